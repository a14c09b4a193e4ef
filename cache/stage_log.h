/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The staged operations of this machine: batches, in order, of one author at a time; what an author
 * that ended without a word left behind, and its takeover by the next one.
 *
 * (L1) What was added before a sync that answered 0 is found by the next stage_log_open.
 * (L2) A takeover is one step: after a crash either the old authors' batches are found or the new
 *      author's in their place, never both.
 * (L3) After a failure the batches since the last good sync must be added again; an operation may
 *      be found twice then, and its number tells.
 *
 * Batches are opaque and sealed; `head` says in the clear what is in them. Not for two threads at
 * once.
 */
#include "base/buf.h"

#define STAGE_AUTHOR_SIZE 16

/* In the clear, so that people see without a key what waits. */
struct stage_batch {
	uint8_t author[STAGE_AUTHOR_SIZE];
	uint64_t first, last; /* numbers of its operations */
	uint64_t done;        /* up to here nothing of this author waited any more */
	uint64_t time_ns;     /* wall clock of the first operation */
};

struct stage_log;
/* The folder exists. 0; -EIO, -ENOMEM. */
must_check int stage_log_open(const char *dir, const uint8_t author[STAGE_AUTHOR_SIZE],
			      struct stage_log **ret);
struct stage_log *stage_log_close(struct stage_log *l);
DEFINE_CLEANUP(struct stage_log *, stage_log_close)

/* 0; -ENOSPC, -EIO: see (L3). batch->author is set here. */
must_check int stage_log_add(struct stage_log *l, const struct stage_batch *batch,
			     struct span body);
must_check int stage_log_sync(struct stage_log *l); /* 0, -EIO */
/* Everything up to this number is needed no more. */
void stage_log_done(struct stage_log *l, uint64_t upto);
uint64_t stage_log_bytes(const struct stage_log *l); /* of its files */

/* The batches of other authors, in the order in which they were written. 0, or fn's answer. */
typedef int stage_batch_fn(const struct stage_batch *batch, struct span body, void *arg);
must_check int stage_log_left(struct stage_log *l, stage_batch_fn *fn, void *arg);
bool stage_log_any_left(const struct stage_log *l);
/*
 * Between begin and end, batches are added in place of those of the others (L2); end is a sync, and
 * removes theirs. 0; -ENOSPC, -EIO: theirs stay.
 */
must_check int stage_log_take_begin(struct stage_log *l);
must_check int stage_log_take_end(struct stage_log *l);

/* For people: operations and bytes that wait, at most. `oldest_ns`: wall clock, 0: none. */
struct stage_log_stats {
	uint64_t operations, bytes, oldest_ns, lost_bytes;
};
/* 0; -ENOENT, -EIO. */
must_check int stage_log_look(const char *dir, struct stage_log_stats *ret);
