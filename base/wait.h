/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The ONLY way to wait, to read a clock, to draw randomness or to run in parallel.
 * The simulator links another implementation of this header (one baton, a seeded
 * scheduler, a fake clock, seeded randomness), so that production code runs there
 * unchanged and replays exactly.
 *
 * (W1) Times are ns of a clock that counts suspended time (CLOCK_BOOTTIME); a deadline
 *      is a point of that clock; NEVER waits without end.
 * (W2) Locks are ranked; a thread takes them in rising rank only (asserted).
 * (W3) No lock is held across a store call, a callback, a kernel notification or a wait:
 *      sleep_until() and task_join() assert that none is held, cond_wait() that only its own is.
 *
 * Events and pools are made of the rest (event.c, pool.c) and serve every implementation.
 */
#include "base/defs.h"

#define NEVER UINT64_MAX

uint64_t clock_now(void);      /* ns, CLOCK_BOOTTIME */
uint64_t clock_wall(void);     /* ns since 1970, CLOCK_REALTIME */
void sleep_until(uint64_t deadline_ns);
static inline void sleep_for(uint64_t ns)
{
	sleep_until(clock_now() + ns);
}
/* Cryptographic randomness (getrandom). Aborts the program if the kernel has none. */
void random_fill(void *p, size_t len);
static inline uint64_t random_u64(void)
{
	uint64_t v;

	random_fill(&v, sizeof(v));
	return v;
}

/* Tasks. A task is joined or detached exactly once. */
typedef void task_fn(void *arg);
struct task;
/* Signals are for the main thread: tasks take none. NULL: the machine gives no more. */
struct task *task_start(const char *name, task_fn *fn, void *arg);
void task_join(struct task *t);
void task_detach(struct task *t);
const char *task_name(void); /* of the calling task; "main" otherwise */
/* The calling task works only with the processor time that nobody else wants, from now on. */
void task_background(void);

/* Ranks, outermost first. Add here and nowhere else. */
enum lock_rank {
	RANK_VOLUME = 10,
	RANK_FILE = 20,    /* an open inode's buffer: submits operations while held */
	RANK_COMMIT = 30,  /* the commit queue */
	RANK_TREE = 40,    /* the view of the namespace */
	RANK_PIECES = 50,
	RANK_DISK = 55,
	RANK_REPLICAS = 60,
	RANK_STORE = 70,   /* a store's own state: credentials, connections */
	RANK_QUEUE = 80,
	RANK_CALL = 90,
	RANK_BUDGET = 95,
	RANK_LEAF = 100,   /* metrics, log, small counters */
};

struct lock {
	_Alignas(16) uint8_t space[64]; /* private to the implementation */
	enum lock_rank rank;
};
void lock_init(struct lock *l, enum lock_rank rank);
void lock_release(struct lock *l); /* the end of the lock's life */
void lock_take(struct lock *l);
void lock_give(struct lock *l);
void lock_assert_held(const struct lock *l);
void lock_assert_none(void); /* the calling thread holds no lock at all (W3) */

static inline void lock_givep(struct lock **l)
{
	if (*l)
		lock_give(*l);
}
#define LOCK_SCOPE_JOIN(a, b) a##b
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_JOIN(lock_scope_, line)
/* Holds a lock until the scope ends. */
#define LOCK_SCOPE(l)                                                                              \
	_cleanup_(lock_givep) maybe_unused struct lock *LOCK_SCOPE_NAME(__LINE__) =               \
		(lock_take(l), (l))

/* A condition variable. Spurious wake-ups happen: wait in a loop. */
struct cond {
	_Alignas(16) uint8_t space[64];
};
void cond_init(struct cond *c);
void cond_release(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
/*
 * 0 when woken, -ETIMEDOUT when the deadline passed. The lock is held again in both cases, and no
 * other meanwhile.
 */
int cond_wait(struct cond *c, struct lock *l, uint64_t deadline_ns);

/*
 * A flag to wait for: set stays set until cleared. It may be set while other locks are held, but no
 * leaf.
 */
struct event {
	struct lock lock;
	struct cond cond;
	bool set;
};
void event_init(struct event *e);
void event_release(struct event *e);
void event_set(struct event *e);
void event_clear(struct event *e);
/* 0 or -ETIMEDOUT. */
int event_wait(struct event *e, uint64_t deadline_ns);
/* Waits and clears in one step. */
int event_take(struct event *e, uint64_t deadline_ns);

/* A pool of workers on one bounded queue. NULL: no memory, no threads. */
struct pool;
struct pool *pool_new(const char *name, unsigned workers, size_t max_queued);
/* 0; -EAGAIN: the queue is full (nothing was done); -ESHUTDOWN. */
must_check int pool_run(struct pool *p, task_fn *fn, void *arg);
/*
 * Runs fn on each of n items of so many bytes, side by side, and waits for all. What the pool has
 * no room for runs on the calling task.
 */
void pool_each(struct pool *p, task_fn *fn, void *items, size_t size, size_t n);
/* Runs what is queued, joins the workers. */
struct pool *pool_free(struct pool *p);
size_t pool_queued(struct pool *p);
DEFINE_CLEANUP(struct pool *, pool_free)
