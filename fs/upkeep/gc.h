/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Garbage: what nothing refers to any more, and nobody can come to need. The only part of Mangrove
 * that removes an object.
 *
 * (B1) Whatever is removed has been garbage for the grace at least. What a mount shows is younger
 *      than half of that.
 * (B2) Rows are marked first, by an operation; objects go when the state that this process has
 *      applied, which is newer than the listing that named them, has a mark or no row for them.
 * (B3) A chunk without a row is garbage when its author has ended, by UNMOUNT or FENCE, for the
 *      grace: none of its operations can come any more. A mount that has not ended is never judged.
 * (B4) Stopped anywhere, what is left is found by the next run.
 * (B5) Two checkpoints stay whole: the one announced last and the newest before it; and whatever
 *      is younger.
 */
#include "fs/checkpoint.h"
#include "fs/upkeep/progress.h"

struct gc_options {
	struct replicas *replicas; /* all borrowed */
	struct sealer *sealer;
	struct commit *commit;
	struct journal *past; /* for journal_seek() alone; of nobody else */
	uint64_t stores, data_stores;
	uint64_t grace_s; /* 0: the volume's, as it is */
	bool dry_run;     /* counts, and changes nothing */
	struct progress *progress;
};
struct gc_count {
	uint64_t n, bytes;
};
struct gc_store {
	/* objects removed, or (dry_run) that would be */
	struct gc_count chunks, checkpoints, probes;
	struct gc_count waiting; /* chunks that nothing refers to, of mounts that might yet */
	struct gc_count kept;    /* chunks */
	uint64_t failed;         /* could not be removed: the next run does */
	bool unread;             /* could not be listed to the end */
};
struct gc_report {
	uint64_t grace_s;
	bool any_slot; /* was there anything a grace ago? */
	uint64_t slot; /* the last one then */
	struct gc_count orphans; /* inodes without a name, freed */
	struct gc_count dead;    /* chunks forgotten */
	uint64_t mounted;        /* mounts that have not ended, this one aside */
	struct gc_store stores[REPLICAS_MAX];
};
/*
 * 0, with what was done; a store that is away is skipped. -ECANCELED, the report being right all
 * the same; -EIO, -ETIMEDOUT: the journal does not answer; -ENOMEM.
 */
must_check int gc_run(const struct gc_options *o, struct gc_report *ret);
