/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The extents of one file: ranges of bytes and where they are. What no extent covers is a hole.
 *
 * (X1) Extents of an inode are not empty, do not overlap and end at or below its size.
 * (X2) The key is the offset of the LAST byte: the first key >= x is the extent that covers x or,
 *      if none does, the next one behind it; one seek forward answers every question.
 * (X3) Neighbours that continue each other in one chunk or one foreign object are one extent.
 * (X4) live of the chunks follows (K1 of chunk.h), and so does the number of allocated bytes.
 */
#include "cache/view.h"
#include "fs/ns/rows.h"

#define EXTENTS_ALL UINT64_MAX

struct extents {
	struct view *view;
	uint64_t ino;
	uint64_t size; /* no extent ends beyond; grows with extents_add */
	uint64_t bytes; /* allocated */
	uint64_t slot; /* in which chunks die */
};

/* Makes [off, end) a hole. */
must_check int extents_cut(struct extents *x, uint64_t off, uint64_t end);
/* Fills a hole. The chunk's bytes are held by the caller already (chunk_hold). */
must_check int extents_add(struct extents *x, uint64_t off, const struct extent_row *row);
/*
 * Shares [off, end) of another file (or of a range that does not overlap) at to_off, which is a
 * hole.
 */
must_check int extents_clone(struct extents *x, uint64_t to_off, uint64_t from_ino, uint64_t off,
			     uint64_t end);

/* Those that touch [off, end), in order, whole. fn as of view_walk. */
typedef int extent_fn(uint64_t offset, const struct extent_row *row, void *arg);
must_check int extents_walk(struct view *v, uint64_t ino, uint64_t off, uint64_t end, extent_fn *fn,
			    void *arg);

/* The part of an extent of `length` bytes from `from` on; borrows. */
struct extent_row extent_part(const struct extent_row *row, uint64_t from, uint64_t length);
/* Does b go on where a ends (X3)? */
bool extent_continues(const struct extent_row *a, const struct extent_row *b);
