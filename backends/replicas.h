/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The stores of a volume, and the choice among them. Not itself a store: which copies
 * exist (`have`), which to avoid, how many are enough and what comes late do not fit
 * through that keyhole. Stores are numbered 0..n-1; sets of them are bit masks.
 *
 * (R1) A read goes to the healthy store with the least expected time (and price); when
 *      the first byte is late (health.h) the next is asked in addition, the first good
 *      answer wins and the others are cancelled.
 * (R2) A write goes to every store in `want` at once. replicas_put answers when `enough`
 *      have it; the rest goes on and each later copy is reported by `stored`.
 * (R3) What is under way holds its blob; late copies are bounded by the budget given at creation:
 *      beyond it the slowest store's copies are given up (reported as not stored).
 */
#include "backends/store.h"
#include "base/budget.h"

#define REPLICAS_MAX 16

struct replicas;

struct replicas_options {
	uint64_t late_budget_bytes;  /* (R3); 0: 256 MiB */
	uint64_t late_deadline_ns;   /* how long a late copy is tried; 0: 60 s */
};
struct replica_options {
	double read_price; /* per GB */
};
/* 0, -ENOMEM */
must_check int replicas_new(const struct replicas_options *opts, struct replicas **ret);
/* Takes the store (also on failure). Answers its number or -errno. */
must_check int replicas_add(struct replicas *r, struct store *takes,
			    const struct replica_options *opts);
/* Cancels what is under way, waits for it, frees the stores. */
struct replicas *replicas_free(struct replicas *r);
DEFINE_CLEANUP(struct replicas *, replicas_free)

/* Another bound for late copies (R3). */
void replicas_late_budget(struct replicas *r, uint64_t bytes);

unsigned replicas_count(const struct replicas *r);
struct store *replicas_store(const struct replicas *r, unsigned i); /* borrowed */
int replicas_find(const struct replicas *r, const char *name);      /* its number, or -ENOENT */

/*
 * Reads from one of the stores in `have` but not in `avoid`. 0 with the bytes in *ret (appended)
 * and the store's number; STORE_MISSING: every store asked said so; STORE_CHANGED: none has the
 * object that req->if_match(_at) names, and one has another; STORE_RANGE: none has so many bytes
 * (and *ret_store is one that said so); -EIO, -ETIMEDOUT, -EACCES when nobody could answer by the
 * deadline. *ret_missing (or NULL): stores that said "no such object", or "another one", though
 * they are in `have`.
 *
 * With if_match_at, each store is asked for the version that it is known to have, and an answer
 * about an object of another size (without a version: or time) is that of another object.
 */
must_check int replicas_get(struct replicas *r, const struct get_req *req, uint64_t have,
			    uint64_t avoid, struct buf *ret, unsigned *ret_store,
			    uint64_t *ret_missing);

/*
 * Reports, for each store in `want`, exactly once: `ok` (the copy is there) or not (given up: a
 * deficit). May run before replicas_put returns, on any thread, holding no lock.
 */
typedef void replica_stored_fn(struct span name, unsigned store, bool ok, void *arg);
/*
 * Puts req->body (if_absent; names are never reused, so "exists" means that an earlier attempt
 * arrived) at `want`. 0 with the stores that have it so far in *ret_have; -EIO when fewer than
 * `enough` can be reached by req->deadline_ns, -EACCES or -ENOSPC when that is why; *ret_have is
 * set then too. `arg` must live until every report was made.
 */
must_check int replicas_put(struct replicas *r, const struct put_req *req, uint64_t want,
			    unsigned enough, replica_stored_fn *stored, void *arg,
			    uint64_t *ret_have);
/* Nothing under way any more? Waits for late copies. 0, -ETIMEDOUT. */
int replicas_drain(struct replicas *r, uint64_t deadline_ns);

enum replica_state {
	REPLICA_HEALTHY,
	REPLICA_SLOW,
	REPLICA_DOWN,
	REPLICA_FROZEN,
	REPLICA_DRAINING,
};
const char *replica_state_name(enum replica_state s);
struct replica_health {
	enum replica_state state;
	const char *breaker; /* "closed" "open" "half-open" */
	double latency_p50_s, latency_p95_s, throughput; /* bytes/s */
	uint64_t in_flight, in_flight_bytes, hedged;
	struct store_stats stats;
};
void replicas_health(struct replicas *r, unsigned i, struct replica_health *ret);
/*
 * Other users of a store (the journal) tell what they saw, so that one health serves all. ns:
 * duration of the attempt; bytes moved.
 */
void replicas_observe(struct replicas *r, unsigned i, int result, uint64_t ns, uint64_t bytes);
/* May a request be sent there now (breaker)? Half-open: one at a time. */
bool replicas_allows(struct replicas *r, unsigned i);
/* The stores whose breaker is not open. */
uint64_t replicas_up(struct replicas *r);
/* Called on each change of state (down, healthy again), on any thread, no lock held; set once. */
void replicas_on_change(struct replicas *r,
			void (*fn)(unsigned store, enum replica_state, void *arg), void *arg);
