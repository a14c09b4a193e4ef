/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where to cut a range of keys of which only a part is known, so that both halves have something.
 * Pure.
 *
 * Each position of a key has an alphabet: the bytes seen there, and their kin (a digit stands for
 * all digits). With these a key is a number between 0 and 1, and cutting is arithmetic. A bad guess
 * costs a request, never a name.
 */
#include "base/span.h"

#define SPACE_DEPTH 128

struct key_space {
	uint64_t seen[SPACE_DEPTH][4]; /* bits of bytes */
	uint64_t kin[SPACE_DEPTH][4];
};

/* A key that exists; without the prefix that all have. */
void key_space_add(struct key_space *s, struct span key);
double key_space_value(const struct key_space *s, struct span key);
/*
 * A cut between two keys (hi NULL: no end), of at most `max` bytes, without `not` (0: any byte).
 * 0 and no cut when there is none to be seen.
 */
size_t key_space_cut(const struct key_space *s, struct span lo, const struct span *hi,
		     uint8_t without, uint8_t *ret, size_t max);
