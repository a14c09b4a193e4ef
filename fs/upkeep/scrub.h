/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading every copy of every chunk, to find what is bad before somebody needs it.
 *
 * (U1) A copy counts as sound only when it was read whole and each of its frames verified.
 * (U2) What is bad goes to the repair; scrub itself writes nothing to a store.
 * (U3) Where it is is kept in a file: the next run goes on there, whatever ended this one.
 */
#include "fs/commit.h"
#include "fs/upkeep/copy.h"
#include "fs/upkeep/progress.h"

struct repair;

/* A copy that is bad, or missing where it should be. Borrowed for the call; one at a time. */
typedef void scrub_found_fn(const uint8_t id[CHUNK_ID_SIZE], unsigned store, enum copy_cond what,
			    void *arg);

struct scrub_options {
	struct replicas *replicas; /* all borrowed */
	struct sealer *sealer;
	struct commit *commit;
	struct repair *repair; /* NULL: what is bad is only told */
	const char *file;      /* of the place to go on at (U3) */
	uint64_t stores;       /* bit set: whose copies are read */
	double share;          /* of all chunks in this run, up to 1: to the end */
	uint64_t rate;         /* bytes a second; 0: as fast as it goes */
	struct progress *progress;
	scrub_found_fn *found;
	void *arg;
};
struct scrub_report {
	uint64_t chunks, copies, bytes; /* read in this run */
	uint64_t bad, missing;
	uint64_t unread; /* their store did not answer: nothing is known of them */
	bool resumed;    /* began where an earlier run had ended */
	bool ended;      /* came to the last chunk */
};
/* 0, -ECANCELED (the report is right all the same); -ENOMEM; what the namespace answers. */
must_check int scrub_run(const struct scrub_options *o, struct scrub_report *ret);
