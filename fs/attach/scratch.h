/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes that were written and are not in the bucket yet: blocks of 64 KiB by their place, the
 * newest in memory, the others in a file without a name in the cache folder. Not for two threads at
 * once.
 *
 * (T1) What is on the disk is sealed with a key that was drawn for this file and is in memory
 *      alone: nobody opens it afterwards, and it is gone with the process.
 * (T2) Every block is written under a nonce that was never used before, and bound to its place.
 * (T3) Memory and disk are taken from budgets. Without memory an older block makes room on the
 *      disk; without disk it is -ENOSPC.
 */
#include "base/budget.h"
#include "base/span.h"

#define SCRATCH_BLOCK 65536u

enum scratch_cond {
	SCRATCH_WOULD_WAIT = 1, /* needs the disk, or memory that others have */
};

struct scratch_options {
	const char *dir;        /* of the file; NULL: there is no disk, all is in memory */
	uint64_t memory_bytes;  /* the most that stays in memory */
	struct budget *memory;  /* borrowed */
	struct budget *disk;    /* borrowed; with dir */
	uint64_t deadline_ns;   /* how long to wait for memory, relative */
};
struct scratch;
must_check int scratch_new(const struct scratch_options *o, struct scratch **ret);
struct scratch *scratch_free(struct scratch *s);
DEFINE_CLEANUP(struct scratch *, scratch_free)

bool scratch_has(const struct scratch *s, uint64_t block);
/* Would one more block have to go to the disk? */
bool scratch_is_full(const struct scratch *s);
/*
 * The bytes of a block, to be changed until the next call of this; all zero and *ret_new when there
 * was none. 0; SCRATCH_WOULD_WAIT, when it may not wait; -ENOMEM, -ENOSPC, -EIO.
 */
must_check int scratch_block(struct scratch *s, uint64_t block, bool wait, uint8_t **ret,
			     bool *ret_new);
/* Bytes of a block that is there. 0, -EIO. */
must_check int scratch_read(struct scratch *s, uint64_t block, size_t from, size_t len,
			    uint8_t *dst);
/* Blocks [from, to) are forgotten. */
void scratch_forget(struct scratch *s, uint64_t from, uint64_t to);
