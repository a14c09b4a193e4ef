/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One append-only file of the staging log: records one behind the other, each with its checksums.
 *
 * (S1) What a sync has covered is there after any crash; what it has not may be torn or missing.
 *      Each record notes how much of the file was synced before it was written, so a reader tells
 *      what was lost (synced, and unreadable) from what was merely not finished.
 * (S2) A file whose write or sync failed is written no more, and nothing that was not synced before
 *      is believed to be in it: the owner writes it again elsewhere.
 * (S3) Files that were found are read, and never appended to.
 *
 * Byte by byte: README.md. Not for two threads at once, but stage_segment_sync may run beside the
 * other calls.
 */
#include "base/span.h"

#define STAGE_SEGMENT_NAME_MAX 96
#define STAGE_HEAD_MAX 512               /* of a record's head */
#define STAGE_BODY_MAX (16u << 20)       /* of its body */

struct stage_segment;
/* Makes a new file in the folder; on disk with its first sync. 0; -EEXIST, -ENOSPC, -EIO. */
must_check int stage_segment_create(int dir, const char *name, struct stage_segment **ret);
/* Closes it; the file stays. */
struct stage_segment *stage_segment_close(struct stage_segment *s);
DEFINE_CLEANUP(struct stage_segment *, stage_segment_close)

/*
 * Appends a record; *ret_offset (or NULL): where its body begins. 0; -ENOSPC, -EIO: nothing was
 * appended, and nothing can be any more (S2).
 */
must_check int stage_segment_append(struct stage_segment *s, uint32_t kind, struct span head,
				    struct span body, uint64_t *ret_offset);
/* Everything appended before the call is on disk. 0, -EIO (S2). */
must_check int stage_segment_sync(struct stage_segment *s);
uint64_t stage_segment_length(const struct stage_segment *s);
bool stage_segment_failed(const struct stage_segment *s);
int stage_segment_fd(const struct stage_segment *s); /* for reading bodies back; borrowed */

struct stage_record {
	uint32_t kind;
	struct span head, body;  /* borrowed for the call */
	uint64_t body_offset;
};
/* 0: go on; else ends the scan and is its answer. */
typedef int stage_record_fn(const struct stage_record *r, void *arg);
struct stage_damage {
	uint64_t lost_bytes;  /* had been synced (S1) */
	uint64_t torn_bytes;  /* had not */
};
/*
 * All whole records of a file, in order, whatever lies between them. *ret_damage is set also when
 * there is none. 0; -ENOENT, -EIO, -ENOMEM; or the callback's answer.
 */
must_check int stage_segment_scan(int dir, const char *name, stage_record_fn *fn, void *arg,
				  struct stage_damage *ret_damage);
