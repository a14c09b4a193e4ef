/* SPDX-License-Identifier: Apache-2.0 */
/* One request to one store: in flight, judged, ended. */
#include "backends/replicas_i.h"

#include <utlist.h>

/* An attempt may take this long and what its bytes need on a poor line. */
#define ATTEMPT_NS       (15 * NS_PER_S)
#define ATTEMPT_RATE_MIN (128 * KiB) /* bytes/s */

uint64_t attempt_deadline(uint64_t now_ns, uint64_t bytes, uint64_t deadline_ns)
{
	uint64_t longest = ATTEMPT_NS + bytes * NS_PER_S / ATTEMPT_RATE_MIN;

	return MIN(now_ns + longest, deadline_ns);
}

static enum transfer transfer_of(enum health_use use)
{
	return use == HEALTH_WRITE ? TRANSFER_WRITE : TRANSFER_READ;
}

struct attempt *attempt_begin_locked(struct replicas *r, unsigned store, enum health_use use,
				     uint64_t bytes)
{
	struct attempt *a = calloc(1, sizeof(*a));
	struct replica *to = &r->replica[store];

	if (!a)
		return NULL;
	a->refs = 2;
	a->replicas = r;
	a->store = store;
	a->use = use;
	a->bytes = bytes;
	a->started_ns = clock_now();
	a->stall_ns = a->started_ns +
		      estimate_stall_ns(&to->health.estimate, transfer_of(use), bytes);
	to->in_flight++;
	to->in_flight_bytes += bytes;
	DL_APPEND(r->sync.attempts, a);
	r->sync.live_attempts++;
	watch_by_locked(r, a->stall_ns);
	return a;
}

void attempt_unref(struct attempt *a)
{
	struct replicas *r = a->replicas;
	bool dead;

	lock_take(&r->sync.lock);
	dead = --a->refs == 0;
	lock_give(&r->sync.lock);
	if (!dead)
		return;
	store_call_unref(a->call);
	if (a->put)
		put_unref(a->put);
	free(a);
	LOCK_SCOPE(&r->sync.lock);
	r->sync.live_attempts--;
	cond_broadcast(&r->sync.idle);
}

void attempt_judge_late_locked(struct attempt *a, enum health_verdict v, uint64_t now_ns)
{
	struct health *h = &a->replicas->replica[a->store].health;

	if (a->judged || a->finished)
		return;
	a->judged = true;
	health_verdict(h, v, a->started_ns, now_ns);
	if (a->use == HEALTH_READ)
		estimate_add_late(&h->estimate, TRANSFER_READ, now_ns, now_ns - a->started_ns);
	if (h->breaker != BREAKER_CLOSED)
		watch_by_locked(a->replicas, now_ns);
}

/* (A3) What was judged bad for lateness and succeeds in the end was not that bad. */
static void judge_end_locked(struct attempt *a, bool answered, uint64_t moved, uint64_t now_ns)
{
	struct health *h = &a->replicas->replica[a->store].health;
	enum breaker before = h->breaker;

	if (a->judged && (a->result < 0 || a->result == STORE_UNKNOWN))
		return;
	a->judged = true;
	health_result(h, a->use, a->result, answered, a->started_ns, now_ns);
	if (a->result == 0 || a->result == STORE_MISSING)
		estimate_add(&h->estimate, transfer_of(a->use), now_ns, now_ns - a->started_ns,
			     moved);
	if (h->breaker != before)
		watch_by_locked(a->replicas, now_ns); /* it tells of the change */
}

struct ending {
	int result;
	bool answered;
	uint64_t retry_after_ms;
	uint64_t moved;
};

/* (A2) */
static void attempt_end(struct attempt *a, const struct ending *end)
{
	struct replicas *r = a->replicas;
	struct replica *from = &r->replica[a->store];
	uint64_t now = clock_now();

	lock_take(&r->sync.lock);
	a->result = end->result;
	a->retry_after_ms = end->retry_after_ms;
	judge_end_locked(a, end->answered, end->moved, now);
	a->finished = true;
	from->in_flight--;
	from->in_flight_bytes -= a->bytes;
	from->late -= a->late;
	DL_DELETE(r->sync.attempts, a);
	if (a->reader)
		cond_signal(a->reader);
	if (a->put)
		put_attempt_ended_locked(a, now);
	lock_give(&r->sync.lock);
	attempt_unref(a);
}

static void attempt_done(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);
	struct attempt *a = call->done_arg;
	struct ending end = {
		.result = call->result,
		.answered = c->date_s != 0,
		.retry_after_ms = c->retry_after_ms,
		.moved = a->use == HEALTH_WRITE ? a->bytes : c->body.len,
	};

	attempt_end(a, &end);
}

/* The start has returned; it took the flight's reference, or there is no flight. */
static void attempt_sent(struct attempt *a, int result, struct store_call *call)
{
	struct replicas *r = a->replicas;
	struct ending end = { .result = result };
	bool cancelled;

	lock_take(&r->sync.lock);
	a->call = call;
	cancelled = a->cancelled;
	lock_give(&r->sync.lock);
	if (!call)
		attempt_end(a, &end);
	else if (cancelled)
		call_cancel(&call->call);
}

void attempt_send_get(struct attempt *a, const struct get_req *req)
{
	struct store *s = a->replicas->replica[a->store].store;
	struct store_call *call = NULL;
	int r = store_get_then(s, req, attempt_done, a, &call);

	attempt_sent(a, r, call);
}

void attempt_send_put(struct attempt *a, const struct put_req *req)
{
	struct store *s = a->replicas->replica[a->store].store;
	struct store_call *call = NULL;
	int r = store_put_then(s, req, attempt_done, a, &call);

	attempt_sent(a, r, call);
}

void cancel_list_add_locked(struct cancel_list *l, struct attempt *a)
{
	if (a->cancelled || a->finished)
		return;
	a->cancelled = true;
	a->refs++;
	a->next_cancel = l->first;
	l->first = a;
}

void cancel_list_run(struct cancel_list *l)
{
	struct attempt *a;
	struct store_call *call;

	while (l->first) {
		a = l->first;
		l->first = a->next_cancel;
		lock_take(&a->replicas->sync.lock);
		call = a->call; /* NULL: being sent; attempt_sent() will see that it is cancelled */
		lock_give(&a->replicas->sync.lock);
		if (call)
			call_cancel(&call->call);
		attempt_unref(a);
	}
}
