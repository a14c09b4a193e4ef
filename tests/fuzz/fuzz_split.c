/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the keys of a bucket are cut, whatever they look like: a cut lies between both ends, and
 * a larger key has no smaller value. The input: the byte to be without, how many ends (1, 2) and
 * their parts, then keys.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/attach/split.h"

#define CUT_MAX 64

/* Of keys whose bytes the space has seen; others are a bad guess. */
static void rising(const struct key_space *s, struct span a, struct span b)
{
	const double x = key_space_value(s, a), y = key_space_value(s, b);

	MUST(x >= 0 && x <= 1 && y >= 0 && y <= 1);
	MUST(span_compare(a, b) <= 0 ? x <= y : x >= y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), lo, hi, first, key = SPAN_NULL;
	const uint8_t without = take_byte(&in);
	const bool both = take_byte(&in) % 2;
	struct key_space s = { 0 };
	uint8_t cut[CUT_MAX];
	size_t n;

	lo = take_part(&in);
	hi = take_part(&in);
	first = take_part(&in);
	key_space_add(&s, first);
	while (in.len) {
		key = take_part(&in);
		key_space_add(&s, key);
	}
	rising(&s, first, key);
	if (both && span_compare(lo, hi) >= 0)
		return 0;
	n = key_space_cut(&s, lo, both ? &hi : NULL, without, cut, sizeof(cut));
	MUST(n <= sizeof(cut));
	if (n == 0)
		return 0;
	MUST(span_compare(lo, span_of(cut, n)) < 0);
	MUST(!both || span_compare(span_of(cut, n), hi) < 0);
	MUST(!without || !memchr(cut, without, n));
	return 0;
}
