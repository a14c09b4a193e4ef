/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (E1) A setter signals while it holds the lock: a waiter that saw the flag and
 *      releases the event does so after the setter has let go of it.
 */
#include "base/wait.h"

void event_init(struct event *e)
{
	lock_init(&e->lock, RANK_LEAF);
	cond_init(&e->cond);
	e->set = false;
}

void event_release(struct event *e)
{
	lock_take(&e->lock); /* (E1) */
	lock_give(&e->lock);
	cond_release(&e->cond);
	lock_release(&e->lock);
}

void event_set(struct event *e)
{
	LOCK_SCOPE(&e->lock);

	e->set = true;
	cond_broadcast(&e->cond); /* (E1) */
}

void event_clear(struct event *e)
{
	LOCK_SCOPE(&e->lock);

	e->set = false;
}

static int wait_locked(struct event *e, uint64_t deadline_ns)
{
	int r = 0;

	while (!e->set && !r)
		r = cond_wait(&e->cond, &e->lock, deadline_ns);
	return e->set ? 0 : r;
}

int event_wait(struct event *e, uint64_t deadline_ns)
{
	LOCK_SCOPE(&e->lock);

	return wait_locked(e, deadline_ns);
}

int event_take(struct event *e, uint64_t deadline_ns)
{
	LOCK_SCOPE(&e->lock);
	int r = wait_locked(e, deadline_ns);

	if (!r)
		e->set = false;
	return r;
}
