/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens because time passes: requests that hang are held against their store while they
 * hang, copies are tried again or given up, stores that failed are probed, and changes of state are
 * told.
 */
#include "backends/replicas_i.h"
#include "base/log.h"

#include <utlist.h>

/*
 * While anything is under way the watch looks this often, so that beginning something need not wake
 * it.
 */
#define TICK_NS (250 * NS_PER_MS)
#define PROBE_DEADLINE_NS (5 * NS_PER_S)
#define PROBE_NAME        "probe/none"

void watch_by_locked(struct replicas *r, uint64_t when_ns)
{
	if (when_ns >= r->sync.tick_ns)
		return;
	r->sync.tick_ns = when_ns;
	cond_signal(&r->sync.tick);
}

/* Detection in seconds: nobody waits for the end of a request to know that it hangs. */
static void judge_stalled_locked(struct replicas *r, uint64_t now)
{
	struct attempt *a;

	DL_FOREACH(r->sync.attempts, a)
		if (now >= a->stall_ns)
			attempt_judge_late_locked(a, HEALTH_UNREACHABLE, now);
}

static uint64_t tick_puts_locked(struct replicas *r, uint64_t now, struct cancel_list *cancel)
{
	uint64_t next = NEVER, at;
	struct put *p;

	DL_FOREACH(r->sync.puts, p) {
		at = put_tick_locked(p, now, cancel);
		next = MIN(next, at);
	}
	return next;
}

/* Begins the probes that are due, into `ret`; answers when the next will be. */
static uint64_t begin_probes_locked(struct replicas *r, uint64_t now, struct attempt **ret)
{
	uint64_t next = NEVER;

	for (unsigned i = 0; i < replicas_count(r); i++) {
		struct health *h = &r->replica[i].health;

		ret[i] = NULL;
		if (now >= health_probe_at(h) && !r->sync.stopping && health_allows(h, now))
			ret[i] = attempt_begin_locked(r, i, HEALTH_PROBE, 0);
		next = MIN(next, health_probe_at(h));
	}
	return next;
}

static void send_probes(struct attempt *const *probes, unsigned n)
{
	struct get_req req = { .name = SPAN_LITERAL(PROBE_NAME), .limit = 64 * KiB };

	for (unsigned i = 0; i < n; i++) {
		if (!probes[i])
			continue;
		req.deadline_ns = probes[i]->started_ns + PROBE_DEADLINE_NS;
		attempt_send_get(probes[i], &req);
		attempt_unref(probes[i]);
	}
}

static void log_change(const struct replica *r, enum replica_state before, enum replica_state now)
{
	if (now == REPLICA_DOWN)
		log_warn("replicas", "a store does not answer: the others serve",
			 "store=%s", r->store->name);
	else if (before == REPLICA_DOWN)
		log_info("replicas", "a store answers again", "store=%s", r->store->name);
}

/* The watch alone tells, so that changes are told in their order. */
static void tell_changes(struct replicas *r, uint64_t now)
{
	void (*fn)(unsigned, enum replica_state, void *);
	enum replica_state state, before;
	void *arg;

	for (unsigned i = 0; i < replicas_count(r); i++) {
		lock_take(&r->sync.lock);
		before = r->replica[i].told;
		state = r->replica[i].told = replica_state_locked(r, i, now);
		fn = r->sync.on_change;
		arg = r->sync.on_change_arg;
		lock_give(&r->sync.lock);
		if (state == before)
			continue;
		log_change(&r->replica[i], before, state);
		if (fn)
			fn(i, state, arg);
	}
}

static void watch_once(struct replicas *r)
{
	struct attempt *probes[REPLICAS_MAX];
	struct cancel_list cancel = { 0 };
	uint64_t now = clock_now(), next, at;
	unsigned n;

	lock_take(&r->sync.lock);
	n = replicas_count(r);
	r->sync.tick_ns = NEVER;
	judge_stalled_locked(r, now);
	next = tick_puts_locked(r, now, &cancel);
	at = begin_probes_locked(r, now, probes);
	next = MIN(next, at);
	if (r->sync.attempts)
		next = MIN(next, now + TICK_NS);
	watch_by_locked(r, next);
	lock_give(&r->sync.lock);
	cancel_list_run(&cancel);
	send_probes(probes, n);
	tell_changes(r, now);
}

void watch_main(void *replicas)
{
	struct replicas *r = replicas;
	bool quit = false;

	while (!quit) {
		watch_once(r);
		LOCK_SCOPE(&r->sync.lock);
		while (!r->sync.quit && clock_now() < r->sync.tick_ns)
			(void)cond_wait(&r->sync.tick, &r->sync.lock, r->sync.tick_ns);
		quit = r->sync.quit;
	}
}
