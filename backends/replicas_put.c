/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to several stores (R2)(R3): a small machine for each put, driven by the ends of attempts,
 * by the watch, and by nobody's thread in particular.
 *
 *   due -> flying -> stored | lost | waiting -> due ...
 *
 * (P1) Each wanted store ends as stored or lost, and is reported once: `claimed` by the thread that
 *      reports it, then `told`. The put is over when all are told.
 * (P2) A copy that is not on its way, at a store whose breaker is not closed, is lost at once if
 *      `enough` can be had elsewhere; if not, it is tried all the same.
 * (P3) What is given up while flying stays lost, whatever its attempt says in the end.
 */
#include "backends/quorum.h"
#include "backends/replicas_i.h"
#include "backends/retry.h"
#include "base/log.h"

#include <utlist.h>

static void put_free(struct put *p)
{
	cond_release(&p->wake);
	blob_unref(p->body);
	free((void *)p->name.data);
	free(p);
}

void put_unref(struct put *p)
{
	bool dead;

	lock_take(&p->replicas->sync.lock);
	dead = --p->refs == 0;
	lock_give(&p->replicas->sync.lock);
	if (dead)
		put_free(p);
}

static uint64_t pending_of(const struct put *p)
{
	return p->want & ~(p->have | p->lost);
}

static enum quorum put_quorum(const struct put *p)
{
	return quorum_state(p->have, pending_of(p), p->enough);
}

/* A worker goes on with it. */
static void put_ready_locked(struct put *p)
{
	struct replicas *r = p->replicas;

	if (p->is_ready)
		return;
	p->is_ready = true;
	p->refs++;
	p->next_ready = NULL;
	*r->sync.ready_end = p;
	r->sync.ready_end = &p->next_ready;
	cond_signal(&r->sync.work);
}

static uint64_t body_bytes(const struct put *p)
{
	return blob_span(p->body).len;
}

/*
 * Something ended: is the caller's answer known, is a report due, does the late budget get bytes
 * back?
 */
static void put_changed_locked(struct put *p)
{
	if (put_quorum(p) != QUORUM_WAIT)
		cond_signal(&p->wake);
	if ((p->have | p->lost) & ~p->claimed)
		put_ready_locked(p);
	if (p->is_late && !pending_of(p)) {
		p->is_late = false;
		p->replicas->sync.late_bytes -= body_bytes(p);
	}
}

static void copy_lost_locked(struct put *p, unsigned i, int error)
{
	p->copies[i].state = COPY_LOST;
	p->copies[i].error = error;
	p->lost |= 1ull << i;
}

void put_give_up_locked(struct put *p, uint64_t stores, int error, struct cancel_list *cancel)
{
	stores &= pending_of(p);
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (!(stores >> i & 1))
			continue;
		copy_lost_locked(p, i, error);
		if (p->copies[i].attempt)
			cancel_list_add_locked(cancel, p->copies[i].attempt);
	}
	put_changed_locked(p);
}

static bool is_idle(const struct copy *c)
{
	return c->state == COPY_DUE || c->state == COPY_WAITING;
}

/* (P2) */
static void drop_hopeless_locked(struct put *p)
{
	const struct replica *replica = p->replicas->replica;
	uint64_t broken = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (is_idle(&p->copies[i]) && replica[i].health.breaker != BREAKER_CLOSED)
			broken |= 1ull << i;
	if (!broken || !quorum_possible(p->want & ~p->lost & ~broken, p->enough))
		return;
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (broken >> i & 1)
			copy_lost_locked(p, i, -EIO);
}

void put_attempt_ended_locked(struct attempt *a, uint64_t now_ns)
{
	struct put *p = a->put;
	struct copy *c = &p->copies[a->store];

	if (c->state == COPY_FLYING) { /* (P3) */
		switch (retry_put_class(a->result)) {
		case RETRY_DONE:
			c->state = COPY_STORED;
			p->have |= 1ull << a->store;
			break;
		case RETRY_NEVER:
			copy_lost_locked(p, a->store, a->result < 0 ? a->result : -EIO);
			break;
		case RETRY_LATER:
			c->state = COPY_WAITING;
			c->failures++;
			c->retry_ns = now_ns + retry_delay_ns(c->failures, a->retry_after_ms,
							      random_u64());
			watch_by_locked(p->replicas, c->retry_ns);
			break;
		}
	}
	drop_hopeless_locked(p);
	put_changed_locked(p);
}

uint64_t put_tick_locked(struct put *p, uint64_t now_ns, struct cancel_list *cancel)
{
	uint64_t next = pending_of(p) ? p->late_deadline_ns : NEVER;
	bool due = false;

	if (now_ns >= p->late_deadline_ns) {
		put_give_up_locked(p, p->want, -ETIMEDOUT, cancel);
		return NEVER;
	}
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct copy *c = &p->copies[i];

		if (c->state != COPY_WAITING)
			continue;
		if (now_ns >= c->retry_ns) {
			c->state = COPY_DUE;
			due = true;
		} else {
			next = MIN(next, c->retry_ns);
		}
	}
	if (due)
		put_ready_locked(p);
	return next;
}

/* Without memory for an attempt the copy waits like one that failed. */
static struct attempt *fly_locked(struct put *p, unsigned i)
{
	struct copy *c = &p->copies[i];
	struct attempt *a = attempt_begin_locked(p->replicas, i, HEALTH_WRITE, body_bytes(p));

	if (!a) {
		c->state = COPY_WAITING;
		c->retry_ns = clock_now() + retry_delay_ns(++c->failures, 0, random_u64());
		return NULL;
	}
	c->state = COPY_FLYING;
	a->put = p;
	p->refs++;
	return a;
}

/* What one thread does next for a put. */
struct todo {
	uint64_t report, stored;
	struct attempt *fly[REPLICAS_MAX], *landed[REPLICAS_MAX];
};

static bool find_todo_locked(struct put *p, struct todo *ret)
{
	bool any;

	*ret = (struct todo){ 0 };
	if (p->replicas->sync.stopping)
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			if (is_idle(&p->copies[i]))
				copy_lost_locked(p, i, -ECANCELED);
	drop_hopeless_locked(p);
	put_changed_locked(p);
	ret->stored = p->have;
	ret->report = (p->have | p->lost) & ~p->claimed;
	p->claimed |= ret->report;
	any = ret->report != 0;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (p->copies[i].state != COPY_DUE)
			continue;
		ret->landed[i] = p->copies[i].attempt;
		ret->fly[i] = p->copies[i].attempt = fly_locked(p, i);
		if (ret->fly[i])
			ret->fly[i]->refs++; /* sending holds one of its own */
		any = true;
	}
	return any;
}

static void send_copy(struct put *p, struct attempt *a)
{
	struct put_req req = {
		.name = p->name,
		.body = p->body,
		.cond = PUT_IF_ABSENT,
		.deadline_ns = attempt_deadline(a->started_ns, a->bytes, p->late_deadline_ns),
	};

	attempt_send_put(a, &req);
	attempt_unref(a);
}

static void do_todo(struct put *p, const struct todo *todo)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (todo->landed[i])
			attempt_unref(todo->landed[i]);
		if (todo->fly[i])
			send_copy(p, todo->fly[i]);
	}
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if ((todo->report >> i & 1) && p->stored)
			p->stored(p->name, i, todo->stored >> i & 1, p->arg);
}

/* The copies' last attempts have nothing to tell any more. */
static void let_attempts_go(struct put *p)
{
	struct attempt *a;

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		lock_take(&p->replicas->sync.lock);
		a = take_ptr(&p->copies[i].attempt);
		lock_give(&p->replicas->sync.lock);
		if (a)
			attempt_unref(a);
	}
}

void put_go_on(struct put *p)
{
	struct replicas *r = p->replicas;
	struct todo todo;
	bool any, over;

	do {
		lock_take(&r->sync.lock);
		any = find_todo_locked(p, &todo);
		lock_give(&r->sync.lock);
		do_todo(p, &todo);
		lock_take(&r->sync.lock);
		p->told |= todo.report;
		over = todo.report && p->told == p->want; /* (P1): true once */
		lock_give(&r->sync.lock);
	} while (any && !over);
	if (!over)
		return;
	let_attempts_go(p);
	lock_take(&r->sync.lock);
	DL_DELETE(r->sync.puts, p);
	cond_broadcast(&r->sync.idle);
	lock_give(&r->sync.lock);
	put_unref(p);
}

/* The store at which the most late bytes are pending. */
static unsigned slowest_locked(const struct replicas *r)
{
	uint64_t bytes[REPLICAS_MAX] = { 0 };
	const struct put *p;
	unsigned most = 0;

	DL_FOREACH(r->sync.puts, p)
		for (unsigned i = 0; p->is_late && i < replicas_count(r); i++)
			if (pending_of(p) >> i & 1)
				bytes[i] += body_bytes(p);
	for (unsigned i = 1; i < replicas_count(r); i++)
		if (bytes[i] > bytes[most])
			most = i;
	return most;
}

/* (R3) The oldest copies of the slowest store go first. */
static void trim_late_locked(struct replicas *r, struct cancel_list *cancel)
{
	struct put *p;

	while (r->sync.late_bytes > r->options.late_budget_bytes) {
		uint64_t slowest = 1ull << slowest_locked(r);

		DL_FOREACH(r->sync.puts, p)
			if (p->is_late && (pending_of(p) & slowest)) {
				put_give_up_locked(p, slowest, -ENOSPC, cancel);
				break;
			}
		assert(p); /* late bytes belong to a put that has something pending */
	}
}

static int put_error(const struct put *p)
{
	int error = -EIO;

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (p->copies[i].state != COPY_LOST)
			continue;
		if (p->copies[i].error == -EACCES)
			return fail(-EACCES);
		if (p->copies[i].error == -ENOSPC)
			error = -ENOSPC;
	}
	return fail(error);
}

/* The caller's part: waits for its answer, and leaves the rest to the others. */
static int put_wait_locked(struct put *p, uint64_t deadline_ns, struct cancel_list *cancel)
{
	struct replicas *r = p->replicas;
	bool in_time = true;
	int result;

	while (put_quorum(p) == QUORUM_WAIT && in_time)
		in_time = cond_wait(&p->wake, &r->sync.lock, deadline_ns) == 0;
	if (put_quorum(p) != QUORUM_WON) {
		result = put_error(p);
		put_give_up_locked(p, p->want, -ETIMEDOUT, cancel);
		return result;
	}
	if (pending_of(p)) {
		p->is_late = true;
		r->sync.late_bytes += body_bytes(p);
		trim_late_locked(r, cancel);
	}
	return 0;
}

static struct put *put_new(struct replicas *r, const struct put_req *req, uint64_t want,
			   unsigned enough)
{
	struct put *p = calloc(1, sizeof(*p));
	uint8_t *name = malloc(req->name.len + 1);

	if (!p || !name) {
		free(p);
		free(name);
		return NULL;
	}
	memcpy(name, req->name.data, req->name.len);
	p->refs = 2; /* the list's and the caller's */
	p->replicas = r;
	p->name = span_of(name, req->name.len);
	p->body = blob_ref(req->body);
	p->enough = enough;
	p->want = want;
	p->late_deadline_ns = MAX(req->deadline_ns, clock_now() + r->options.late_deadline_ns);
	cond_init(&p->wake);
	for (unsigned i = 0; i < replicas_count(r); i++)
		p->copies[i].state = want >> i & 1 ? COPY_DUE : COPY_NONE;
	return p;
}

/* Nothing could begin: the reports are made all the same. */
static int put_refuse(const struct put_req *req, uint64_t want, replica_stored_fn *stored,
		      void *arg, int error)
{
	for (unsigned i = 0; stored && i < REPLICAS_MAX; i++)
		if (want >> i & 1)
			stored(req->name, i, false, arg);
	return fail(error);
}

int replicas_put(struct replicas *r, const struct put_req *req, uint64_t want, unsigned enough,
		 replica_stored_fn *stored, void *arg, uint64_t *ret_have)
{
	struct cancel_list cancel = { 0 };
	struct put *p;
	int result;

	assert(req->cond == PUT_IF_ABSENT && want < 1ull << replicas_count(r));
	*ret_have = 0;
	if (!quorum_possible(want, enough))
		return put_refuse(req, want, stored, arg, -EIO);
	if (!want)
		return 0;
	p = put_new(r, req, want, enough);
	if (!p)
		return put_refuse(req, want, stored, arg, -ENOMEM);
	p->stored = stored;
	p->arg = arg;
	lock_take(&r->sync.lock);
	r->sync.writers++;
	DL_APPEND(r->sync.puts, p);
	watch_by_locked(r, p->late_deadline_ns);
	lock_give(&r->sync.lock);
	put_go_on(p);
	lock_take(&r->sync.lock);
	result = put_wait_locked(p, req->deadline_ns, &cancel);
	*ret_have = p->have;
	lock_give(&r->sync.lock);
	cancel_list_run(&cancel);
	put_unref(p);
	lock_take(&r->sync.lock);
	r->sync.writers--;
	cond_broadcast(&r->sync.idle);
	lock_give(&r->sync.lock);
	return result;
}

int replicas_drain(struct replicas *r, uint64_t deadline_ns)
{
	LOCK_SCOPE(&r->sync.lock);
	while (r->sync.puts)
		if (cond_wait(&r->sync.idle, &r->sync.lock, deadline_ns) == -ETIMEDOUT)
			return r->sync.puts ? -ETIMEDOUT : 0;
	return 0;
}
