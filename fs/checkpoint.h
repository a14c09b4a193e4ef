/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checkpoints: the namespace as of one slot at the stores, so that a mount need not read the
 * journal from its start.
 *
 * (C1) What is written is the state of exactly one slot: the sum of its rows is that slot's state
 *      hash, else nothing is announced.
 * (C2) A checkpoint is announced, and counts, when all its objects stand at enough stores.
 * (C3) What is loaded is verified: seals, the hash of each part, the order and the sum of all rows.
 *      A damaged object is taken from the next store, a checkpoint that lacks one is passed over
 *      for an older one, and the journal from its start is behind all of them.
 * (C4) Nobody goes back: a checkpoint that is not ahead of a database is not loaded.
 * (C5) Writing holds up nobody, and stops when told.
 */
#include "fs/checkpoint_manifest.h"

/* Who carries them. All borrowed. */
struct checkpoint_stores {
	struct replicas *replicas;
	struct sealer *sealer;
	uint64_t stores; /* bit set */
	unsigned enough; /* copies of each object before a checkpoint counts (C2) */
};

struct checkpoint_report {
	uint64_t slot, rows;
	uint64_t parts, parts_written; /* the others were named again */
	uint64_t bytes, bytes_written; /* of their plaintext */
	double seconds;
};
/*
 * Writes a snapshot, as the mount of that number. Names parts of the announced checkpoint `base`
 * (or NULL) again where they are the same and stand where they should. Uses the snapshot up. 0 with
 * what is to be announced; -EBADMSG: the state is not that of its hash (logged); -ECANCELED: *stop
 * was set; what the stores and the database answer.
 */
must_check int checkpoint_write(const struct checkpoint_stores *s, struct commit_snapshot *snap,
				uint32_t mount, const struct checkpoint_row *base,
				const _Atomic bool *stop, struct checkpoint_row *ret,
				struct checkpoint_report *ret_report);

enum checkpoint_cond { CHECKPOINT_NONE = 1 };
/*
 * Fills an empty database from the newest checkpoint of a slot above `above` (UINT64_MAX: of any)
 * that can be had whole. 0; CHECKPOINT_NONE: none can; what failed on this machine: -ENOSPC, -EIO,
 * -ENOMEM (then rows are in it, but no mark).
 */
must_check int checkpoint_load(const struct checkpoint_stores *s, uint64_t above, struct kv *kv,
			       struct checkpoint_report *ret);

/* Writes them in the background, when the tip is this mount's and the last one is long ago. */
struct checkpoint_keeper;
struct checkpoint_keeper_options {
	struct checkpoint_stores stores;
	struct commit *commit; /* borrowed */
	uint64_t every_slots;  /* 0: 10,000 */
	uint64_t every_bytes;  /* of records; 0: 256 MiB */
};
must_check int checkpoint_keeper_new(const struct checkpoint_keeper_options *o,
				     struct checkpoint_keeper **ret);
/* Stops what is under way. */
struct checkpoint_keeper *checkpoint_keeper_free(struct checkpoint_keeper *k);
DEFINE_CLEANUP(struct checkpoint_keeper *, checkpoint_keeper_free)
/* Writes and announces one now. 0, -ETIMEDOUT, -EROFS, as checkpoint_write. */
must_check int checkpoint_now(struct checkpoint_keeper *k, uint64_t deadline_ns,
			      struct checkpoint_report *ret);
