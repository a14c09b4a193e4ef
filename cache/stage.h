/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sealed objects that wait on this disk until the stores have them.
 *
 * (T1) What was added before a stage_sync that answered 0 is found by the next stage_open, whatever
 *      happens in between.
 * (T2) Until it was synced, an object is in memory as well: when a sync fails, it is written again
 *      to another file.
 * (T3) A file goes when nothing in it is needed any more.
 * (T4) Others on this disk come first: beyond its limit, or when the disk is nearly full, it takes
 *      nothing.
 *
 * An object is `head`, what its owner wants to know of it (in the clear), and `body`, sealed bytes.
 */
#include "base/blob.h"
#include "base/buf.h"

#define STAGE_ID_SIZE 16

struct stage;
enum stage_cond { STAGE_MISSING = 1 };

struct stage_stats {
	uint64_t objects, bytes; /* that wait */
	uint64_t disk_bytes;     /* of the files */
	uint64_t lost_bytes;     /* found damaged at the start */
};

/*
 * Opens the folder (made if need be, locked by the caller) and finds what was left in it. 0; -EIO,
 * -EACCES, -ENOMEM.
 */
must_check int stage_open(const char *dir, uint64_t limit_bytes, struct stage **ret);
/* Files with objects in them stay. */
struct stage *stage_close(struct stage *s);
DEFINE_CLEANUP(struct stage *, stage_close)

/*
 * Adds an object; not on disk before a sync. The blob is shared from here on. 0; -ENOSPC (T4),
 * -EIO, -ENOMEM.
 */
must_check int stage_add(struct stage *s, const uint8_t id[STAGE_ID_SIZE], struct span head,
			 struct blob *body);
/* Everything added so far is on disk. 0, -EIO, -ENOSPC. */
must_check int stage_sync(struct stage *s);
/* Part of a body, appended to *ret. 0; STAGE_MISSING; -EIO, -ENOMEM. */
must_check int stage_read(struct stage *s, const uint8_t id[STAGE_ID_SIZE], uint64_t off,
			  uint64_t len, struct buf *ret);
/* The whole body. 0; STAGE_MISSING; -EIO, -ENOMEM. */
must_check int stage_get(struct stage *s, const uint8_t id[STAGE_ID_SIZE], struct blob **ret);
bool stage_has(struct stage *s, const uint8_t id[STAGE_ID_SIZE]);
/* It is not needed any more. */
void stage_drop(struct stage *s, const uint8_t id[STAGE_ID_SIZE]);
/* All objects, oldest first. `fn` must not call the stage. 0, or fn's answer. */
typedef int stage_object_fn(const uint8_t id[STAGE_ID_SIZE], struct span head, uint64_t bytes,
			    void *arg);
int stage_walk(struct stage *s, stage_object_fn *fn, void *arg);
void stage_stats_get(struct stage *s, struct stage_stats *ret);

/*
 * What waits in a folder, without opening it: for people, beside a mount or without one. 0,
 * -ENOENT, -EIO.
 */
must_check int stage_look(const char *dir, struct stage_stats *ret);
