/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One copy of a chunk at one store: what repair and scrub know about it. */
#include "backends/replicas.h"
#include "fs/ns/rows.h"
#include "fs/seal.h"

#define COPY_DEADLINE_NS (60 * NS_PER_S) /* for one, read or written */

/* What a chunk's row says of its header. */
void copy_seal(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row,
	       struct chunk_seal *ret);
/* The next id in order; false: there is none. */
bool copy_step_past(uint8_t id[CHUNK_ID_SIZE]);
/* Are these bytes the whole sealed chunk, frame by frame? 0, SEAL_*, -ENOMEM. */
must_check int copy_verify(struct sealer *s, const struct chunk_seal *seal, struct span sealed);

enum copy_cond {
	COPY_MISSING = 1,
	COPY_BAD, /* there, and not this chunk */
};
/*
 * Reads a store's copy and verifies it. 0, COPY_*, or why it could not be read (-EIO, -ETIMEDOUT,
 * -EACCES, -ENOMEM). *ret_bytes: that came.
 */
must_check int copy_check(struct replicas *rs, struct sealer *s, const struct chunk_seal *seal,
			  unsigned store, uint64_t *ret_bytes);
