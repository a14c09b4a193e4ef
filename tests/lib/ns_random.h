/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Random operations that have a fair chance to succeed in the state that a model shows. */
#include "tests/lib/ns_model.h"

struct random {
	uint64_t state;
	uint64_t time_ns;
	uint64_t next_counter[256]; /* by block: the next inode number's */
	uint32_t next_chunk;
};

uint32_t draw(struct random *r, uint32_t below); /* 0 .. below - 1 */
static inline bool chance(struct random *r, uint32_t percent)
{
	return draw(r, 100) < percent;
}

#define RANDOM_EXTENTS 3
/* What a random operation borrows. */
struct random_space {
	char name[MODEL_NAME], to_name[MODEL_NAME], value[16];
	struct buf row; /* of random_attach; released by the caller */
	char text[RANDOM_EXTENTS][64];
	uint8_t old[64]; /* an extent's row */
	struct op_extent extents[RANDOM_EXTENTS];
	struct op_chunk chunks[RANDOM_EXTENTS];
};

/*
 * One of the kinds from OP_CREATE on, by a mount whose block of inode numbers is given; number is
 * left to the caller.
 */
struct op random_op(struct random *r, const struct model *m, uint32_t block,
		    struct random_space *space);
/* An ATTACH or a DETACH. */
struct op random_attach(struct random *r, struct random_space *space);
/* A slot is added or removed. */
struct op random_keyslot(struct random *r);
