/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chunk rows: how much of a chunk is in use, who has it, who lacks it.
 *
 * (K1) live = sum of the lengths of all extents that refer to the chunk.
 * (K2) dead = 0 as long as live > 0; else the slot in which the last live byte went.
 * (K3) A row in COL_DEFICIT: the chunk is alive, the store is in `want` and not in `stores`.
 * (K4) Dead and wanted nowhere: it was collected, and its objects may be gone: nothing brings it
 *      back. The row stays as a mark until its author has ended for the grace, so that a late
 *      WRITE fails instead of referring to nothing.
 */
#include "cache/view.h"
#include "fs/ns/op.h"

/*
 * Is it unknown, or known with exactly these properties? 0; EINVAL; ESTALE: it was collected;
 * negative.
 */
must_check int chunk_define_check(struct view *v, const struct op_chunk *c);
/* Makes its row, with nothing live, or adds the stores to the row that is there. */
must_check int chunk_define(struct view *v, const struct op_chunk *c, uint64_t slot);
/* Extents with so many bytes came, or went. */
must_check int chunk_hold(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t bytes);
must_check int chunk_release(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t bytes,
			     uint64_t slot);
/* Upholds (K2) for a chunk that was defined and then not used. */
must_check int chunk_settle(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t slot);
/* These stores have it now; a chunk that is unknown is left so. */
must_check int chunk_stored(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t stores);
/*
 * Who made it: the mount to which its block of numbers was given. 0; VIEW_MISSING: nobody;
 * negative.
 */
must_check int chunk_author(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct mount_row *ret);
/*
 * Marks a chunk that died at or before the slot as collected; of one that is marked, and whose
 * author had ended by that slot, the row goes (K4). *ret_done: did it do either?
 */
must_check int chunk_collect(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t slot,
			     bool *ret_done);
static inline bool chunk_is_collected(const struct chunk_row *row)
{
	return row->dead && !row->want;
}
/* These lack it, as far as they should have it. */
must_check int chunk_lacking(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t stores);
