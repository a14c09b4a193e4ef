/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between the file system's calls and the journal: who is answered when, and the one task that
 * proposes, follows and commits.
 *
 * (M1) The base of the view is exactly the state at the applied slot. Only the commit task changes
 *      it.
 * (M2) An operation answered early stands in the view's `open`, has its number, and goes into the
 *      journal in the order of numbers. `open` is for answers only: a chosen record is applied upon
 *      the base, and what is pending again upon that.
 * (M3) An operation is reported as committed only when this mount has applied a chosen record that
 *      evaluated it.
 * (M4) While a slot is undecided its record is kept (frozen); only having learned another record in
 *      that slot means that one's own is lost. Then its operations are pending still, and go into
 *      the next one.
 * (M5) An operation answered early whose result or objects differ when applied again is LOST:
 *      reported by the next sync of its inode (-EIO once), logged, counted, and the kernel's copies
 *      are invalidated.
 * (M6) Early answers are given by the owner of the tip within its hold only (names); by everyone
 *      for what cannot fail.
 * (M7) A held operation, and with it everything after it, stays out of records until it is
 *      released: so no mount sees it before its data is at the stores, nor what came after it
 *      before it.
 */
#include "base/metrics.h"
#include "cache/view.h"
#include "fs/journal/journal.h"
#include "fs/ns/apply.h"

struct commit;

/* After which record a database is the state. */
struct commit_mark {
	uint64_t slot;
	uint8_t record[RECORD_HASH_SIZE];
	uint8_t owner[INCARNATION_SIZE]; /* of the next slot */
	struct state_hash hash;
	uint64_t time_ns, hold_ns;       /* of the record */
};

enum commit_how {
	COMMIT_EARLY,   /* may be answered before its slot, where the rules allow it */
	/* answered when its slot is applied (names=committed; locks between machines) */
	COMMIT_ORDERED,
	COMMIT_HELD,    /* as COMMIT_EARLY, for what cannot fail; held until commit_release (M7) */
	/*
	 * What an earlier mount had answered: early, whoever owns the tip, with the time and the
	 * `saw` that it has; held until commit_release.
	 */
	COMMIT_AGAIN,
};
enum commit_cond { COMMIT_LATER = 1 };

/* Called once, by a task of the commit queue, holding no lock. Must not block. */
typedef void commit_done_fn(const struct result *res, void *arg);

/*
 * What follows a record of others, or a lost operation: the kernel must be told. Called by the
 * commit task, no lock held.
 */
struct commit_events {
	/*
	 * An operation of another mount was applied: `op` as in the record (its names and inodes
	 * tell what changed).
	 */
	void (*applied)(const struct op *op, const struct result *res, void *arg);
	/*
	 * One of ours, answered early, was lost: winner's incarnation, what we had said and what is
	 * true now.
	 */
	void (*lost)(const struct op *op, const struct result *said, const struct result *now,
		     void *arg);
	/* Buckets were attached or detached, by this mount or another. */
	void (*attached)(void *arg);
	/*
	 * The mount turned read-only (fenced, hash difference, local failure): a sentence. On any
	 * thread.
	 */
	void (*stopped)(const char *why, void *arg);
	void *arg;
};
struct commit_options {
	uint64_t hold_ns;        /* H, 2 s */
	/* cut a record this long after the first pending operation when nobody waits: 0.5 s */
	uint64_t delay_ns;
	uint64_t freshness_ns;   /* poll the tip at least this often: 1 s */
	uint64_t deadline_ns;    /* how long a waiter waits before -EIO: 60 s */
	bool read_only;          /* follow only */
	const char *host;        /* for MOUNT */
	/* 16 bytes, or NULL: a database of another volume is rebuilt from the journal */
	const uint8_t *volume_id;
};
/*
 * Takes neither; journal and view are borrowed and belong to the commit task from here on (the view
 * under commit_lock).
 */
must_check int commit_new(const struct commit_options *o, struct journal *j, struct kv *ns,
			  const struct commit_events *ev, struct commit **ret);
/*
 * Follows the journal to its tip and, unless read-only, gets MOUNT committed. Then starts the
 * commit task. Gives up at the deadline, or when nothing moved for options.deadline_ns. 0, -EIO,
 * -ETIMEDOUT, -EPROTO (a newer level; sentence in err).
 */
must_check int commit_start(struct commit *c, uint64_t deadline_ns, char *err, size_t err_size);
/*
 * Commits what is pending, UNMOUNT with `next` = nobody, ends the task. 0, or -EIO/-ETIMEDOUT:
 * something is left.
 */
int commit_stop(struct commit *c, uint64_t deadline_ns);
struct commit *commit_free(struct commit *c);
DEFINE_CLEANUP(struct commit *, commit_free)

/* The view, for reading; between lock and unlock. Never held across anything that waits. */
struct view *commit_lock(struct commit *c);
void commit_unlock(struct commit *c);

/*
 * Submits an operation (op->number and time_ns are set here; the op is copied). 0: answered, *ret
 * holds the result (error included: a failed early operation is not submitted) and *ret_no its
 * number, `done` is not called. COMMIT_LATER: `done` will be called. -EROFS: this mount does not
 * write (any more). -ENOMEM.
 */
must_check int commit_submit(struct commit *c, const struct op *op, enum commit_how how,
			     commit_done_fn *done, void *arg, struct result *ret, uint64_t *ret_no);
/*
 * A held operation may go: these of its chunks have copies by now. Unknown numbers are ignored. 0,
 * -ENOMEM: it is held still.
 */
must_check int commit_release(struct commit *c, uint64_t no, const struct op_chunk *chunks,
			      size_t n);

/* What a copy of pending operations holds; see commit_copy. */
struct commit_copied {
	uint64_t first, last; /* numbers; last 0: nothing */
	uint64_t done;        /* the last number that needs no copy: evaluated */
};
/*
 * Pending operations that were not copied before, in order, each as `bytes` (codec), appended to
 * *ret until it has about `max` bytes. 0, -ENOMEM.
 */
must_check int commit_copy(struct commit *c, size_t max, struct buf *ret,
			   struct commit_copied *ret_copied);
/* Nothing counts as copied any more. */
void commit_copy_again(struct commit *c);
/* The number of the last operation that was evaluated, or submitted. */
uint64_t commit_last(struct commit *c);
uint64_t commit_last_submitted(struct commit *c);
/* How many operations are pending, and their bytes. */
void commit_pending(struct commit *c, uint64_t *ret_n, uint64_t *ret_bytes);

/*
 * Everything this mount submitted so far (on `ino`, with ROOT or 0: everything): done(0) when
 * committed; done(-EIO) once when something of that inode was lost since its last sync, or when the
 * deadline passed. Cuts a record at once.
 */
void commit_sync(struct commit *c, uint64_t ino, commit_done_fn *done, void *arg);
/* The same, waiting on the calling thread (pools, not FUSE threads). 0 or -errno. */
int commit_sync_wait(struct commit *c, uint64_t ino, uint64_t deadline_ns);
/* Submits and waits for its slot. The result's error or a negative errno. */
int commit_op_wait(struct commit *c, const struct op *op, uint64_t deadline_ns, struct result *ret);
/*
 * `strict` reads: returns when the state is at least as new as the tip at the time of the call. 0,
 * -EIO, -ETIMEDOUT.
 */
int commit_refresh(struct commit *c, uint64_t deadline_ns);

/* A new inode number from this mount's blocks. 0 or -EROFS. */
must_check int commit_new_ino(struct commit *c, uint64_t *ret);
uint32_t commit_mount_number(struct commit *c); /* for chunk ids */
/*
 * Wall clock for operations: ours, corrected to the stores' when it is more than 60 s off. ns since
 * 1970.
 */
uint64_t commit_time(struct commit *c);

/* 0; KV_MISSING: none, or none that can be used (another volume's, too); negative errno. */
must_check int commit_mark_load(struct kv *kv, const uint8_t *volume_id, struct commit_mark *ret);
/* On disk when it returns. */
must_check int commit_mark_store(struct kv *kv, const struct commit_mark *m);

/* A state as of one moment, however long it is read meanwhile. */
struct commit_snapshot {
	struct commit_mark mark;
	struct kv_iter *columns[COL_COUNT]; /* none of COL_META */
};
/* Of the applied slot; commits go on. 0; -EAGAIN: there is none yet; -EIO, -ENOMEM. */
must_check int commit_snapshot(struct commit *c, struct commit_snapshot *ret);
/* Of a database to which nobody writes just now. */
must_check int commit_snapshot_of(struct kv *kv, struct commit_snapshot *ret);
void commit_snapshot_release(struct commit_snapshot *s);

struct commit_status {
	uint64_t applied_slot, tip_slot, pending_operations, lost_operations;
	uint8_t owner[INCARNATION_SIZE], incarnation[INCARNATION_SIZE];
	bool owned, read_only;
	double commit_p50_s, commit_p99_s;
	struct state_hash hash;
	uint64_t verified_ns; /* clock of the last time the tip was verified */
	uint64_t applied_bytes; /* of records, since the start */
};
/* commit_status.verified_ns alone; takes no lock. */
uint64_t commit_verified_ns(struct commit *c);
void commit_status_get(struct commit *c, struct commit_status *ret);
