/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (C1) A waiter's node is in a call's list only while that call is not finished, and
 *      is put there, told and removed under the call's lock. So whoever has taken the
 *      call's lock once after unlinking may forget the node.
 * (C2) The functions of others (done, cancel, destroy) run outside of the lock.
 */
#include "base/call.h"

/* More calls at once than any fan-out over stores has; beyond, the nodes come from the heap. */
#define NODES_ON_STACK 16

/* One thread in calls_wait(). */
struct waiter {
	struct lock lock; /* a leaf: taken under the lock of a call */
	struct cond cond;
	size_t finished;
};

/* That one call is waited for by one waiter. */
struct waiter_list {
	struct waiter *waiter;
	struct waiter_list *next;
};

void call_init(struct call *c, call_fn *destroy)
{
	*c = (struct call){ .refs = 1, .destroy = destroy, .started_ns = clock_now() };
	lock_init(&c->lock, RANK_CALL);
	cond_init(&c->cond);
}

struct call *call_ref(struct call *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void call_unref(struct call *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	assert(!c->waiters);
	cond_release(&c->cond);
	lock_release(&c->lock);
	if (c->destroy)
		c->destroy(c);
}

void call_on_done(struct call *c, call_fn *done, void *arg)
{
	c->done = done;
	c->done_arg = arg;
}

void call_set_cancel(struct call *c, call_fn *cancel, void *arg)
{
	bool now;

	lock_take(&c->lock);
	c->cancel_arg = arg;
	now = c->cancelled && !c->finished;
	c->cancel = now ? NULL : cancel;
	lock_give(&c->lock);
	if (now && cancel)
		cancel(c); /* (C2) */
}

static void tell_waiters_locked(struct call *c)
{
	struct waiter_list *node;

	while (c->waiters) {
		node = c->waiters;
		c->waiters = node->next; /* (C1) */
		LOCK_SCOPE(&node->waiter->lock);
		node->waiter->finished++;
		cond_signal(&node->waiter->cond);
	}
}

void call_finish(struct call *c, int result)
{
	/* Who waits may drop the last other reference as soon as it sees the result. */
	call_ref(c);
	lock_take(&c->lock);
	assert(!c->finished); /* (L1) */
	c->result = result;
	c->finished = true;
	c->finished_ns = clock_now();
	c->cancel = NULL;
	cond_broadcast(&c->cond);
	tell_waiters_locked(c);
	lock_give(&c->lock);
	if (c->done) {
		lock_assert_none(); /* (L2) */
		c->done(c);
	}
	call_unref(c);
}

void call_cancel(struct call *c)
{
	call_fn *cancel = NULL;

	lock_take(&c->lock);
	if (!c->finished && !c->cancelled) {
		c->cancelled = true;
		cancel = take_ptr(&c->cancel);
	}
	lock_give(&c->lock);
	if (cancel)
		cancel(c); /* (C2) */
}

bool call_finished(struct call *c)
{
	LOCK_SCOPE(&c->lock);

	return c->finished;
}

bool call_cancelled(struct call *c)
{
	LOCK_SCOPE(&c->lock);

	return c->cancelled;
}

int call_wait(struct call *c, uint64_t deadline_ns)
{
	LOCK_SCOPE(&c->lock);
	int r = 0;

	while (!c->finished && !r)
		r = cond_wait(&c->cond, &c->lock, deadline_ns);
	return c->finished ? c->result : r;
}

/* true: node is in the list; false: the call has finished already. */
static bool link_node(struct call *c, struct waiter_list *node)
{
	LOCK_SCOPE(&c->lock);

	if (c->finished)
		return false;
	node->next = c->waiters;
	c->waiters = node;
	return true;
}

static void unlink_node(struct call *c, struct waiter_list *node)
{
	LOCK_SCOPE(&c->lock);
	struct waiter_list **at = &c->waiters;

	while (*at && *at != node)
		at = &(*at)->next;
	if (*at)
		*at = node->next;
}

static int wait_for(struct waiter *w, size_t enough, uint64_t deadline_ns)
{
	LOCK_SCOPE(&w->lock);
	int r = 0;

	while (w->finished < enough && !r)
		r = cond_wait(&w->cond, &w->lock, deadline_ns);
	return w->finished < enough ? r : (int)w->finished;
}

static int wait_with_nodes(struct call *const *calls, struct waiter_list *nodes, size_t n,
			   size_t enough, uint64_t deadline_ns)
{
	struct waiter w = { .finished = 0 };
	size_t present = 0, finished = 0;
	int r;

	lock_init(&w.lock, RANK_LEAF);
	cond_init(&w.cond);
	for (size_t i = 0; i < n; i++) {
		if (!calls[i])
			continue;
		present++;
		nodes[i].waiter = &w;
		if (!link_node(calls[i], &nodes[i]))
			finished++;
	}
	lock_take(&w.lock);
	w.finished += finished;
	lock_give(&w.lock);
	r = wait_for(&w, MIN(enough, present), deadline_ns);
	for (size_t i = 0; i < n; i++)
		if (calls[i])
			unlink_node(calls[i], &nodes[i]);
	cond_release(&w.cond);
	lock_release(&w.lock);
	return r;
}

int calls_wait(struct call *const *calls, size_t n, size_t enough, uint64_t deadline_ns)
{
	struct waiter_list on_stack[NODES_ON_STACK];
	_cleanup_free_ struct waiter_list *on_heap = NULL;

	if (n <= NODES_ON_STACK)
		return wait_with_nodes(calls, on_stack, n, enough, deadline_ns);
	on_heap = calloc(n, sizeof(*on_heap));
	if (!on_heap)
		return fail(-ENOMEM);
	return wait_with_nodes(calls, on_heap, n, enough, deadline_ns);
}
