/* SPDX-License-Identifier: Apache-2.0 */
/* The set of stores: its life, its tasks, and what it tells about the stores' health. */
#include "backends/replicas_i.h"

#include <stdio.h>
#include <utlist.h>

#define LATE_BUDGET_BYTES  (256 * MiB)
#define LATE_DEADLINE_NS   (60 * NS_PER_S)
#define OBSERVED_BYTES_MAX (64 * KiB)

static struct put *next_ready_locked(struct replicas *r)
{
	struct put *p = r->sync.ready;

	if (!p)
		return NULL;
	r->sync.ready = p->next_ready;
	if (!r->sync.ready)
		r->sync.ready_end = &r->sync.ready;
	p->is_ready = false;
	return p;
}

static void worker_main(void *replicas)
{
	struct replicas *r = replicas;
	struct put *p;
	bool quit = false;

	while (!quit) {
		lock_take(&r->sync.lock);
		while (!r->sync.ready && !r->sync.quit)
			(void)cond_wait(&r->sync.work, &r->sync.lock, NEVER);
		p = next_ready_locked(r);
		quit = !p;
		lock_give(&r->sync.lock);
		if (p) {
			put_go_on(p);
			put_unref(p);
		}
	}
}

static int start_tasks(struct replicas *r)
{
	char name[16];

	r->watch = task_start("replicas-watch", watch_main, r);
	if (!r->watch)
		return fail(-ENOMEM);
	for (unsigned i = 0; i < REPLICAS_WORKERS; i++) {
		snprintf(name, sizeof(name), "replicas-%u", i);
		r->workers[i] = task_start(name, worker_main, r);
		if (!r->workers[i])
			return fail(-ENOMEM);
	}
	return 0;
}

int replicas_new(const struct replicas_options *opts, struct replicas **ret)
{
	_cleanup_(replicas_freep) struct replicas *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return fail(-ENOMEM);
	lock_init(&r->sync.lock, RANK_REPLICAS);
	cond_init(&r->sync.work);
	cond_init(&r->sync.tick);
	cond_init(&r->sync.idle);
	r->sync.ready_end = &r->sync.ready;
	r->sync.tick_ns = NEVER;
	if (opts)
		r->options = *opts;
	if (!r->options.late_budget_bytes)
		r->options.late_budget_bytes = LATE_BUDGET_BYTES;
	if (!r->options.late_deadline_ns)
		r->options.late_deadline_ns = LATE_DEADLINE_NS;
	error = start_tasks(r);
	if (error < 0)
		return error;
	*ret = take_ptr(&r);
	return 0;
}

void replicas_late_budget(struct replicas *r, uint64_t bytes)
{
	LOCK_SCOPE(&r->sync.lock);
	r->options.late_budget_bytes = bytes; /* what is beyond goes with the next late copy */
}

int replicas_add(struct replicas *r, struct store *takes, const struct replica_options *opts)
{
	unsigned n = replicas_count(r);

	LOCK_SCOPE(&r->sync.lock);
	if (n == REPLICAS_MAX) {
		store_free(takes);
		return fail(-ENOSPC);
	}
	r->replica[n] = (struct replica){
		.store = takes,
		.read_price = opts ? opts->read_price : 0,
	};
	__atomic_store_n(&r->n, n + 1, __ATOMIC_RELEASE); /* (A4) */
	return (int)n;
}

static void cancel_all(struct replicas *r)
{
	struct cancel_list cancel = { 0 };
	struct attempt *a;
	struct put *p;

	lock_take(&r->sync.lock);
	r->sync.stopping = true;
	DL_FOREACH(r->sync.puts, p)
		put_give_up_locked(p, p->want, -ECANCELED, &cancel);
	DL_FOREACH(r->sync.attempts, a)
		cancel_list_add_locked(&cancel, a);
	lock_give(&r->sync.lock);
	cancel_list_run(&cancel);
}

/* Tasks that work on puts are the last to go. */
static void stop_tasks(struct replicas *r)
{
	lock_take(&r->sync.lock);
	while (r->sync.puts || r->sync.live_attempts || r->sync.readers ||
	       r->sync.writers)
		(void)cond_wait(&r->sync.idle, &r->sync.lock, NEVER);
	r->sync.quit = true;
	cond_broadcast(&r->sync.work);
	cond_broadcast(&r->sync.tick);
	lock_give(&r->sync.lock);
	if (r->watch)
		task_join(r->watch);
	for (unsigned i = 0; i < REPLICAS_WORKERS; i++)
		if (r->workers[i])
			task_join(r->workers[i]);
}

struct replicas *replicas_free(struct replicas *r)
{
	if (!r)
		return NULL;
	cancel_all(r);
	stop_tasks(r);
	for (unsigned i = 0; i < replicas_count(r); i++)
		store_free(r->replica[i].store);
	cond_release(&r->sync.idle);
	cond_release(&r->sync.tick);
	cond_release(&r->sync.work);
	lock_release(&r->sync.lock);
	free(r);
	return NULL;
}

unsigned replicas_count(const struct replicas *r)
{
	return __atomic_load_n(&r->n, __ATOMIC_ACQUIRE);
}

struct store *replicas_store(const struct replicas *r, unsigned i)
{
	assert(i < replicas_count(r));
	return r->replica[i].store;
}

int replicas_find(const struct replicas *r, const char *name)
{
	for (unsigned i = 0; i < replicas_count(r); i++)
		if (strcmp(r->replica[i].store->name, name) == 0)
			return (int)i;
	return -ENOENT;
}

const char *replica_state_name(enum replica_state s)
{
	static const char *const names[] = { "healthy", "slow", "down", "frozen", "draining" };

	return names[s];
}

/* The least typical latency among the other stores that work; 0: none is known. */
static double best_other_p50_locked(const struct replicas *r, unsigned i)
{
	double best = 0, p50;

	for (unsigned k = 0; k < replicas_count(r); k++) {
		const struct health *h = &r->replica[k].health;

		p50 = latency_quantile(&h->estimate.latency[TRANSFER_READ], 0.5);
		if (k != i && h->breaker == BREAKER_CLOSED && p50 > 0 && (best <= 0 || p50 < best))
			best = p50;
	}
	return best;
}

enum replica_state replica_state_locked(const struct replicas *r, unsigned i, uint64_t now_ns)
{
	const struct health *h = &r->replica[i].health;

	if (h->breaker != BREAKER_CLOSED)
		return REPLICA_DOWN;
	return health_is_slow(h, best_other_p50_locked(r, i), now_ns) ? REPLICA_SLOW
								      : REPLICA_HEALTHY;
}

void replicas_health(struct replicas *r, unsigned i, struct replica_health *ret)
{
	const struct replica *from = &r->replica[i];
	const struct estimate *e = &from->health.estimate;
	struct replica_health health = { 0 };
	const struct latency *latency;

	assert(i < replicas_count(r));
	lock_take(&r->sync.lock);
	health.state = replica_state_locked(r, i, clock_now());
	health.breaker = breaker_name(from->health.breaker);
	latency = &e->latency[e->latency[TRANSFER_READ].total > 0 ? TRANSFER_READ : TRANSFER_WRITE];
	health.latency_p50_s = latency_quantile(latency, 0.5);
	health.latency_p95_s = latency_quantile(latency, 0.95);
	health.throughput = e->rate[TRANSFER_READ] ?: e->rate[TRANSFER_WRITE];
	health.in_flight = from->in_flight;
	health.in_flight_bytes = from->in_flight_bytes;
	health.hedged = from->hedged;
	lock_give(&r->sync.lock);
	store_stats_get(from->store, &health.stats);
	*ret = health;
}

void replicas_observe(struct replicas *r, unsigned i, int result, uint64_t ns, uint64_t bytes)
{
	uint64_t now = clock_now();
	struct health *h = &r->replica[i].health;

	assert(i < replicas_count(r));
	LOCK_SCOPE(&r->sync.lock);
	health_result(h, HEALTH_READ, result, result != -ETIMEDOUT, now - ns, now);
	/*
	 * Which way the bytes went is not told: only small requests say something, about latency.
	 */
	if (result >= 0 && result != STORE_UNKNOWN && bytes < OBSERVED_BYTES_MAX)
		estimate_add(&h->estimate, TRANSFER_READ, now, ns, bytes);
	if (h->breaker != BREAKER_CLOSED)
		watch_by_locked(r, now);
}

bool replicas_allows(struct replicas *r, unsigned i)
{
	assert(i < replicas_count(r));
	LOCK_SCOPE(&r->sync.lock);
	return health_allows(&r->replica[i].health, clock_now());
}

uint64_t replicas_up(struct replicas *r)
{
	uint64_t up = 0;

	LOCK_SCOPE(&r->sync.lock);
	for (unsigned i = 0; i < replicas_count(r); i++)
		if (r->replica[i].health.breaker != BREAKER_OPEN)
			up |= 1ull << i;
	return up;
}

void replicas_on_change(struct replicas *r,
			void (*fn)(unsigned store, enum replica_state, void *arg), void *arg)
{
	LOCK_SCOPE(&r->sync.lock);
	r->sync.on_change = fn;
	r->sync.on_change_arg = arg;
}
