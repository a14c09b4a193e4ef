/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What close=staged answers for: chunks and operations on this disk, until the stores and the
 * journal have them. One task writes what is pending and syncs once for all who wait.
 *
 * (Y1) staging_wait answers 0 only when every operation submitted before it is evaluated, or in a
 *      batch on disk together with the chunks that it names.
 * (Y2) When the disk does not take it, who waits waits for the commit instead: never an error that
 *      the stores could have prevented.
 * (Y3) What an earlier mount left is submitted again under new numbers and taken over in one step
 *      before any of it may reach the journal; so nothing of it is evaluated twice.
 *
 * Operations hold names, so batches are sealed, as chunks are.
 */
#include "cache/stage.h"
#include "fs/commit.h"
#include "fs/seal.h"

struct staging;
struct staging_options {
	const char *dir;      /* the folder, locked by the caller */
	uint64_t limit_bytes; /* of chunks */
	struct sealer *sealer;   /* borrowed, as is the next */
	struct commit *commit;
	const uint8_t *author;   /* this mount's incarnation */
};
/* 0; -EIO, -EACCES, -ENOMEM. */
must_check int staging_open(const struct staging_options *o, struct staging **ret);
/* What is not done stays on disk. Nobody may wait any more. */
struct staging *staging_close(struct staging *s);
DEFINE_CLEANUP(struct staging *, staging_close)

/* (Y1): done(0) then; else as commit_sync of `ino` (Y2). */
void staging_wait(struct staging *s, uint64_t ino, commit_done_fn *done, void *arg);
struct stage *staging_chunks(struct staging *s);

/* The operations that earlier mounts left here, in order, encoded; borrowed for the call. */
typedef int staging_left_fn(const uint8_t author[INCARNATION_SIZE], struct span op, void *arg);
/* 0, or fn's answer. *ret_broken: batches that do not open. */
must_check int staging_left(struct staging *s, staging_left_fn *fn, void *arg,
			    uint64_t *ret_broken);
/* What is pending stands in the place of all that (Y3). 0; -EIO, -ENOSPC: nothing has changed. */
must_check int staging_take(struct staging *s);

/* A chunk as its object in the log describes it. */
struct staged_chunk {
	struct chunk_seal seal;
	uint64_t want;
};
must_check int staging_add(struct staging *s, const struct staged_chunk *c, struct blob *body);
/* -EBADMSG: it describes none. */
must_check int staged_chunk_decode(const uint8_t id[STAGE_ID_SIZE], struct span head,
				   struct staged_chunk *ret);
