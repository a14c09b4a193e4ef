/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The inside of the commit queue.
 *
 *     commit.c         new, start, stop, the questions
 *     commit_submit.c  operations come in: numbered, applied early or queued
 *     commit_held.c    those that wait for their data; copies for the staging log
 *     commit_plan.c    what the task does next (pure)
 *     commit_task.c    the task: compose, propose, learn
 *     commit_apply.c   a chosen record becomes the state; ours that follow are applied again
 *     commit_answer.c  who waits is answered; deadlines; what was lost
 *     commit_state.c   the state's own bookkeeping on this machine
 *
 * One lock for the view and the queue (RANK_COMMIT), never held across a store call or a callback.
 * What the task alone touches stands in `task`: it works there without the lock, and a chosen
 * record is applied and hashed in a view of its own before the lock is taken for the short moment
 * of the change.
 */
#include "base/map.h"
#include "fs/commit_plan.h"

/* One operation of this mount from its number to its slot. */
struct pending {
	struct pending *prev, *next;
	uint64_t no;
	struct buf bytes;       /* encoded; the same for ever */
	enum op_kind kind;
	uint64_t inodes[3];     /* whose next sync hears of its loss; 0: none */
	bool early;             /* answered: */
	struct result said;
	bool applied;           /* stands in the view */
	bool held;              /* (M7) */
	struct ready *waiter;   /* who waits for its slot; NULL: nobody (any more) */
	uint64_t since_ns, deadline_ns;
};

/* Somebody who waits; and, with its result, an answer to be given as soon as no lock is held. */
struct ready {
	struct ready *prev, *next;
	commit_done_fn *done;
	void *arg;
	struct result res;
	uint64_t upto, ino, deadline_ns; /* of a sync: waits for everything up to a number */
};

struct commit {
	struct commit_options o;
	struct commit_events ev;
	char *host;
	struct journal *journal; /* the task's */
	struct kv *kv;
	uint8_t me[INCARNATION_SIZE];
	struct task *worker, *answerer;
	struct metric *seconds, *lost_total;

	struct lock lock;
	struct cond work;     /* the task has something to do */
	uint64_t sleeps_until_ns; /* under the lock: what it believed when it went to sleep */
	struct cond answers;  /* the answerer has something to do */
	struct cond changed;  /* applied, refreshed, booted, stopped */
	/* Under the lock: */
	struct view *view;
	struct commit_tip tip;
	struct pending *pending;    /* in the order of numbers */
	size_t n_unapplied;         /* of them, not in the view */
	struct pending *held;       /* the first of them that is held, or NULL */
	struct pending *uncopied;   /* the first that commit_copy has not had, or NULL */
	uint64_t next_no, last_no;  /* to be given; applied */
	uint64_t cut_no;            /* somebody waits for the operations up to here */
	struct ready *syncs;
	struct ready *ready;
	struct map *lost;           /* be64 inode: something of it was lost since its last sync */
	uint64_t n_lost;
	uint64_t refresh_asked, refresh_done;
	uint64_t slot;              /* applied; UINT64_MAX: none */
	struct state_hash hash;
	uint8_t owner[INCARNATION_SIZE]; /* of the next slot */
	_Atomic uint64_t verified_ns;
	uint64_t applied_bytes;
	int64_t skew_s;
	int boot_error;
	char why[160];              /* of the halt */
	bool mounted, ending;
	bool answers_asleep;        /* the answerer watches no deadline */
	uint32_t number;            /* our first block of inode numbers */
	uint64_t ino_next, ino_end; /* in the present block */
	uint32_t ino_spare;         /* another block; 0: none */
	bool ino_asked;

	struct { /* the task's own */
		struct view *view;          /* where records are applied */
		struct record *frozen;
		uint64_t frozen_ns;
		uint8_t knocker[INCARNATION_SIZE]; /* with tip.knocked */
		uint8_t lender[INCARNATION_SIZE];  /* with tip.lent */
		uint64_t rung_slot, rung_distance; /* our last bell */
		uint8_t last_hash[RECORD_HASH_SIZE]; /* of the applied record */
		unsigned streak;            /* records learned without finding the tip */
		struct { /* with this slot, the state is as new as the tip was when it began */
			bool set;
			uint64_t slot, begun_ns, refresh;
			unsigned after; /* so many records in a row: look for one */
		} aim;
		bool rebuilt;               /* from the journal's start, in this life */
	} task;
};

/* commit_state.c. What a batch of rows leaves behind besides them. */
#define COMMIT_MARK_MAX 128
#define COMMIT_MARK_KEY SPAN_LITERAL("applied")
must_check int commit_mark_encode(const struct commit_mark *m, struct buf *ret);
/* Forgets everything. */
must_check int commit_state_clear(struct kv *kv);
/* The next start rebuilds. */
void commit_state_distrust(struct kv *kv);

/*
 * When a record was learned, as far as the clock of its author tells, if that was before this mount
 * looked.
 */
uint64_t commit_learned_at(uint64_t time_ns);

/*
 * commit_apply.c, by the task. Applies a record that was chosen in the next slot; ours: since when
 * it was proposed, else 0. 0, or stopped.
 */
must_check int commit_apply(struct commit *c, const struct record *r, uint64_t proposed_ns);
/* By the task, lock held: what is pending is applied again upon the new base. */
must_check int commit_reapply_locked(struct commit *c);
/*
 * For good, lock not held. -EROFS: it does not write any more, but follows; else it does nothing
 * any more.
 */
void commit_halt(struct commit *c, int error, const char *why);

/* commit_answer.c */
/* NULL: no memory. */
struct ready *ready_new(commit_done_fn *done, void *arg);
/* Lock held. Takes the waiter; its answer is given soon. */
void commit_ready_locked(struct commit *c, struct ready *takes, const struct result *res);
/* Gives the answers that are ready; lock not held. */
void commit_give(struct commit *c);
/* Lock held: syncs whose operations are applied. */
void commit_syncs_locked(struct commit *c);
void commit_lost_locked(struct commit *c, const struct pending *p);
/* Nobody waits any more: everybody gets the error. */
void commit_answer_all_locked(struct commit *c, int error);
/* Lock held: there is a deadline to watch. */
void commit_deadline_locked(struct commit *c);
void commit_answer_task(void *arg);

/* commit_task.c */
#define COMMIT_AIM_AFTER 4u
void commit_task(void *arg);

/* commit_submit.c */
struct pending *pending_free(struct pending *p);
DEFINE_CLEANUP(struct pending *, pending_free)
/* Lock held: a new block of inode numbers, or the first. */
void commit_block_locked(struct commit *c, uint32_t number);
/* Lock held: what the plan needs to know of the queue. */
void commit_queue_changed_locked(struct commit *c);
/*
 * Submits and waits. `by_itself`: MOUNT and UNMOUNT, which come while nothing else may be
 * submitted.
 */
int commit_op_await(struct commit *c, const struct op *op, bool by_itself, uint64_t deadline_ns,
		    struct result *ret);
