/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Entries of directories. All names of a directory with one hash share one row, a bucket, so that
 * one read finds a name or its absence. Nearly every bucket holds one entry.
 *
 * (N1) A bucket's entries have different ties 0..7, ascending; an empty bucket does not exist.
 * (N2) An entry keeps its tie as long as it is there, so hash << 3 | tie is a cursor that stays
 *      valid while the directory changes.
 * (N3) A hash has 60 bits and is never 0, so cursors are at least 8 and fit a signed 64-bit offset.
 */
#include "cache/view.h"
#include "fs/ns/rows.h"

#define DENTRY_TIES	     8u
#define DENTRY_NAME_KEY_SIZE 16

struct dentry {
	struct span name; /* borrowed from the bucket */
	uint64_t ino;
	uint32_t type; /* S_IFMT bits */
	unsigned tie;
};

uint64_t dentry_hash(const uint8_t name_key[DENTRY_NAME_KEY_SIZE], struct span name);
static inline uint64_t dentry_cursor(uint64_t hash, unsigned tie)
{
	return hash << 3 | tie;
}

/*
 * Reads a bucket entry by entry: true with an entry, false at the end or where it is damaged
 * (read_end tells).
 */
bool dentry_next(struct reader *rd, struct dentry *ret);
/*
 * The bucket with the entry of that tie removed and, unless NULL, `add` (with that tie) put in.
 * Appends; may give nothing.
 */
must_check int bucket_edit(struct span bucket, unsigned tie, const struct dentry *add,
			   struct buf *ret);

/* A name in a directory, found or not: where it is or would be. */
struct dentry_slot {
	uint64_t parent, hash;
	struct span name; /* borrowed from who asked */
	bool found;
	uint64_t ino;  /* found; else 0, which is what `saw` calls an absence */
	uint32_t type; /* found */
	unsigned tie;  /* found; else the lowest free one; DENTRY_TIES: the bucket is full */
	struct buf bucket;
};
#define DENTRY_SLOT_INIT ((struct dentry_slot){ .bucket = { .limit = ROW_MAX } })
void dentry_slot_release(struct dentry_slot *slot);
#define _cleanup_dentry_slot_ _cleanup_(dentry_slot_release)

must_check int dentry_find(struct view *v, const uint8_t name_key[DENTRY_NAME_KEY_SIZE],
			   uint64_t parent, struct span name, struct dentry_slot *ret);
/* Makes the slot's name lead to an inode. The slot must be the newest of its bucket. */
must_check int dentry_set(struct view *v, const struct dentry_slot *slot, uint64_t ino,
			  uint32_t type);
/* Removes a found name; the same condition. */
must_check int dentry_clear(struct view *v, const struct dentry_slot *slot);
