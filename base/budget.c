/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (B1) Who waits stands in a queue; bytes are given to its head first, and a newcomer
 *      does not pass it. So a big taker is not starved by small ones.
 * (B2) A waiter that was given its bytes has left the queue, under the lock, before it wakes.
 */
#include "base/budget.h"
#include "base/metrics.h"

#include <stdio.h>

struct waiter {
	struct cond cond;
	uint64_t bytes;
	bool given;
	struct waiter *next;
};

struct budget {
	struct {
		struct lock lock;
		uint64_t used;
		struct waiter *first, **last;
	} sync;
	uint64_t limit;
	struct metric *used_gauge;
};

struct budget *budget_new(const char *name, uint64_t limit_bytes)
{
	struct budget *b = calloc(1, sizeof(*b));
	char labels[64];

	if (!b)
		return NULL;
	lock_init(&b->sync.lock, RANK_BUDGET);
	b->sync.last = &b->sync.first;
	b->limit = limit_bytes;
	snprintf(labels, sizeof(labels), "budget=\"%s\"", name);
	b->used_gauge = metric_get("mangrove_budget_used_bytes", "Memory taken from a budget.",
				   METRIC_GAUGE, labels);
	return b;
}

struct budget *budget_free(struct budget *b)
{
	if (!b)
		return NULL;
	assert(!b->sync.first);
	metric_set(b->used_gauge, 0);
	lock_release(&b->sync.lock);
	return free_null(b);
}

static void change_used_locked(struct budget *b, uint64_t used)
{
	b->sync.used = used;
	metric_set(b->used_gauge, used);
}

static bool fits_locked(const struct budget *b, uint64_t bytes)
{
	if (b->sync.used == 0)
		return true; /* more than the limit, but then nobody else */
	return b->sync.used <= b->limit && bytes <= b->limit - b->sync.used;
}

static int try_locked(struct budget *b, uint64_t bytes)
{
	if (b->sync.first || !fits_locked(b, bytes)) /* (B1) */
		return -EAGAIN;
	change_used_locked(b, b->sync.used + bytes);
	return 0;
}

int budget_try(struct budget *b, uint64_t bytes)
{
	LOCK_SCOPE(&b->sync.lock);

	return try_locked(b, bytes);
}

static void serve_queue_locked(struct budget *b)
{
	struct waiter *w;

	while ((w = b->sync.first) && fits_locked(b, w->bytes)) {
		change_used_locked(b, b->sync.used + w->bytes);
		b->sync.first = w->next; /* (B2) */
		if (!b->sync.first)
			b->sync.last = &b->sync.first;
		w->given = true;
		cond_signal(&w->cond);
	}
}

static void leave_queue_locked(struct budget *b, struct waiter *w)
{
	struct waiter **at = &b->sync.first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (!*at)
		b->sync.last = at;
	serve_queue_locked(b); /* the next may want less */
}

static int wait_locked(struct budget *b, uint64_t bytes, uint64_t deadline_ns)
{
	struct waiter w = { .bytes = bytes };
	int r = 0;

	cond_init(&w.cond);
	*b->sync.last = &w;
	b->sync.last = &w.next;
	while (!w.given && !r)
		r = cond_wait(&w.cond, &b->sync.lock, deadline_ns);
	if (!w.given)
		leave_queue_locked(b, &w);
	cond_release(&w.cond);
	return w.given ? 0 : r;
}

int budget_take(struct budget *b, uint64_t bytes, uint64_t deadline_ns)
{
	LOCK_SCOPE(&b->sync.lock);

	return try_locked(b, bytes) ? wait_locked(b, bytes, deadline_ns) : 0;
}

void budget_give(struct budget *b, uint64_t bytes)
{
	LOCK_SCOPE(&b->sync.lock);

	assert(bytes <= b->sync.used);
	change_used_locked(b, b->sync.used - bytes);
	serve_queue_locked(b);
}

uint64_t budget_used(struct budget *b)
{
	LOCK_SCOPE(&b->sync.lock);

	return b->sync.used;
}

uint64_t budget_limit(struct budget *b)
{
	return b->limit;
}
