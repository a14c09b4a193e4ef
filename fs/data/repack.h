/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes of files that move into sealed chunks, while the files are in use.
 *
 * (P1) The chunk has its acknowledged copies before an operation names it (D1 of file.h).
 * (P2) What was written meanwhile stays: only bytes that are still where they were read are
 *      replaced (OP_REPACK). No time of the file changes.
 */
#include "fs/data/file.h"

struct repack_chunk; /* at its stores, and nobody refers to it yet */

/* `length` bytes of a file, that `old` says where they were, and that are in the chunk now. */
struct repack_item {
	uint64_t ino, off;
	struct extent_row old; /* of `length` bytes; borrowed */
	uint32_t chunk_off;
};

/* Seals and uploads (waits). 0, -EIO, -ENOMEM. */
must_check int repack_upload(struct data *d, struct span plain, struct repack_chunk **ret);
/*
 * Puts the chunk in the place of each item's bytes; returns when that is committed. A file that is
 * gone by then is passed over. *ret_bytes: replaced. 0, -EIO, -EROFS, -ENOMEM, -ETIMEDOUT.
 */
must_check int repack_commit(struct repack_chunk *c, const struct repack_item *items, size_t n,
			     uint64_t *ret_bytes);
/* Takes NULL. What was never committed is garbage. */
struct repack_chunk *repack_chunk_free(struct repack_chunk *c);
DEFINE_CLEANUP(struct repack_chunk *, repack_chunk_free)
