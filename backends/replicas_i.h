/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the replicas share: replicas.c (the set), attempt.c (one request to one store),
 * replicas_get.c, replicas_put.c, and replicas_watch.c (the clock: stalls, retries, probes).
 *
 * (A1) One lock for all, held for moments: never across a store call, a callback or a log line.
 * (A2) Requests report their end through attempt_done(), on the store's thread: it changes
 *      state and wakes, no more. Readers go on by themselves; puts go on in the tasks `replicas-N`;
 *      what time alone causes happens in `replicas-watch`.
 * (A3) The end of an attempt is judged once: as it ends, or earlier when it was late.
 * (A4) Stores are added at any time and never leave; `n` is read without the lock.
 */
#include "backends/health.h"
#include "backends/replicas.h"

#define REPLICAS_WORKERS 2

struct replica {
	struct store *store;
	double read_price;
	struct health health;
	enum replica_state told; /* what on_change heard last */
	uint64_t in_flight, in_flight_bytes, hedged;
	unsigned late; /* reads in flight that were late */
};

struct replicas {
	struct replicas_options options;
	unsigned n;
	struct replica replica[REPLICAS_MAX];
	struct task *watch, *workers[REPLICAS_WORKERS];
	struct {
		struct lock lock;
		struct attempt *attempts;  /* in flight */
		unsigned live_attempts;    /* these and those that somebody holds yet */
		struct put *puts;          /* not reported in full */
		struct put *ready, **ready_end; /* puts that a worker must go on with */
		struct cond work;          /* for workers: ready */
		struct cond tick;          /* for the watch */
		struct cond idle;          /* an attempt, a put or a reader is gone */
		uint64_t tick_ns;          /* when the watch wakes by itself */
		unsigned readers;          /* in replicas_get */
		unsigned writers;          /* in replicas_put */
		uint64_t late_bytes;       /* (R3) */
		bool stopping;             /* nothing new begins, all that goes on is cancelled */
		bool quit;                 /* the tasks end */
		void (*on_change)(unsigned store, enum replica_state state, void *arg);
		void *on_change_arg;
	} sync;
};

/* ---- attempt.c ---- */

struct attempt {
	unsigned refs;
	struct attempt *prev, *next;
	struct replicas *replicas;
	unsigned store;
	enum health_use use;
	uint64_t bytes; /* that are expected to move */
	uint64_t started_ns, stall_ns;
	bool judged;    /* (A3) */
	bool late;
	bool cancelled; /* somebody asked; then it is or was in one cancel_list */
	bool finished;
	int result;              /* valid when finished, as is the next */
	uint64_t retry_after_ms;
	struct store_call *call; /* set when the start has returned; NULL: it failed */
	struct cond *reader;     /* wakes the reader, or NULL: gone */
	struct put *put;         /* a write's, holds a reference */
	struct attempt *next_cancel;
};

/* In flight from here on; two references: the caller's and the flight's. NULL: no memory. */
struct attempt *attempt_begin_locked(struct replicas *r, unsigned store, enum health_use use,
				     uint64_t bytes);
/* Sends what was begun; a failure to start ends the attempt. No lock is held. */
void attempt_send_get(struct attempt *a, const struct get_req *req);
void attempt_send_put(struct attempt *a, const struct put_req *req);
/* Asks it to end: no lock is held. */
void attempt_cancel(struct attempt *a);
/* The one who asked has waited long enough: counts against the store. */
void attempt_judge_late_locked(struct attempt *a, enum health_verdict v, uint64_t now_ns);
void attempt_unref(struct attempt *a);
/*
 * The latest time that an attempt of `bytes` may end: a connection that died silently must not use
 * up the whole time.
 */
uint64_t attempt_deadline(uint64_t now_ns, uint64_t bytes, uint64_t deadline_ns);

/* Attempts to cancel once the lock is given back; the list holds references. */
struct cancel_list {
	struct attempt *first;
};
void cancel_list_add_locked(struct cancel_list *l, struct attempt *a);
void cancel_list_run(struct cancel_list *l); /* no lock is held */

/* ---- replicas_put.c ---- */

enum copy_state {
	COPY_NONE,    /* not wanted there */
	COPY_DUE,     /* to be sent */
	COPY_FLYING,
	COPY_WAITING, /* for retry_ns */
	COPY_STORED,
	COPY_LOST,
};
struct copy {
	enum copy_state state;
	unsigned failures;
	uint64_t retry_ns;
	int error; /* why it was lost */
	struct attempt *attempt; /* flying; holds a reference */
};
struct put {
	unsigned refs;
	struct put *prev, *next;
	struct put *next_ready;
	bool is_ready;
	struct replicas *replicas;
	struct span name; /* own copy */
	struct blob *body;
	unsigned enough;
	uint64_t late_deadline_ns;
	uint64_t want, have, lost;
	uint64_t claimed, told; /* reports: under way and made */
	struct copy copies[REPLICAS_MAX];
	bool is_late; /* its caller has left and copies are pending: counted in late_bytes */
	struct cond wake; /* the caller */
	replica_stored_fn *stored;
	void *arg;
};
/* The attempt of one copy has ended. */
void put_attempt_ended_locked(struct attempt *a, uint64_t now_ns);
/* Goes on with what is due: reports, sends. No lock is held. */
void put_go_on(struct put *p);
/* What time alone causes; answers when to ask again. Adds to `cancel`. */
uint64_t put_tick_locked(struct put *p, uint64_t now_ns, struct cancel_list *cancel);
/* Gives up what is pending in `stores`. */
void put_give_up_locked(struct put *p, uint64_t stores, int error, struct cancel_list *cancel);
void put_unref(struct put *p); /* no lock is held */

/* ---- replicas_watch.c ---- */

void watch_main(void *replicas);
/* The watch must look again by then. */
void watch_by_locked(struct replicas *r, uint64_t when_ns);

/* ---- replicas.c ---- */

enum replica_state replica_state_locked(const struct replicas *r, unsigned i, uint64_t now_ns);
