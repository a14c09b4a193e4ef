/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (P1) The ring has its full size from the start, so that handing work over never
 *      fails for want of memory.
 */
#include "base/wait.h"

#include <stdio.h>

struct job {
	task_fn *fn;
	void *arg;
};

struct pool {
	struct {
		struct lock lock;
		struct cond more;
		struct job *ring; /* (P1) */
		size_t size, first, count;
		bool stopping;
	} sync;
	unsigned n_workers;
	struct task *workers[];
};

/* The next job; false: no more will come. */
static bool next_job(struct pool *p, struct job *ret)
{
	LOCK_SCOPE(&p->sync.lock);

	while (p->sync.count == 0 && !p->sync.stopping)
		cond_wait(&p->sync.more, &p->sync.lock, NEVER);
	if (p->sync.count == 0)
		return false;
	*ret = p->sync.ring[p->sync.first];
	p->sync.first = (p->sync.first + 1) % p->sync.size;
	p->sync.count--;
	return true;
}

static void worker_main(void *arg)
{
	struct pool *p = arg;
	struct job job;

	while (next_job(p, &job))
		job.fn(job.arg);
}

static struct pool *pool_alloc(unsigned workers, size_t max_queued)
{
	struct pool *p = calloc(1, sizeof(*p) + workers * sizeof(p->workers[0]));

	if (!p)
		return NULL;
	p->sync.ring = calloc(max_queued, sizeof(p->sync.ring[0]));
	if (!p->sync.ring)
		return free_null(p);
	p->sync.size = max_queued;
	lock_init(&p->sync.lock, RANK_QUEUE);
	cond_init(&p->sync.more);
	return p;
}

struct pool *pool_new(const char *name, unsigned workers, size_t max_queued)
{
	_cleanup_(pool_freep) struct pool *p = NULL;
	char worker_name[32];

	assert(workers > 0 && max_queued > 0);
	p = pool_alloc(workers, max_queued);
	if (!p)
		return NULL;
	for (; p->n_workers < workers; p->n_workers++) {
		snprintf(worker_name, sizeof(worker_name), "%.10s-%u", name, p->n_workers);
		p->workers[p->n_workers] = task_start(worker_name, worker_main, p);
		if (!p->workers[p->n_workers])
			return NULL;
	}
	return take_ptr(&p);
}

int pool_run(struct pool *p, task_fn *fn, void *arg)
{
	LOCK_SCOPE(&p->sync.lock);

	if (p->sync.stopping)
		return -ESHUTDOWN;
	if (p->sync.count == p->sync.size)
		return -EAGAIN;
	p->sync.ring[(p->sync.first + p->sync.count) % p->sync.size] = (struct job){ fn, arg };
	p->sync.count++;
	cond_signal(&p->sync.more);
	return 0;
}

/* Items that somebody waits for together. */
struct each {
	task_fn *fn;
	struct lock lock; /* RANK_LEAF */
	struct cond ended;
	size_t left;
};
struct each_item {
	struct each *each;
	void *arg;
};

static void each_run(void *arg)
{
	const struct each_item *i = arg;
	struct each *e = i->each;

	e->fn(i->arg);
	LOCK_SCOPE(&e->lock);
	e->left--;
	cond_broadcast(&e->ended);
}

void pool_each(struct pool *p, task_fn *fn, void *items, size_t size, size_t n)
{
	struct each e = { .fn = fn, .left = n };
	_cleanup_free_ struct each_item *all = calloc(n, sizeof(*all));

	lock_init(&e.lock, RANK_LEAF);
	cond_init(&e.ended);
	for (size_t i = 0; i < n; i++) {
		struct each_item alone = { &e, (uint8_t *)items + i * size };

		if (all)
			all[i] = alone;
		if (!all || pool_run(p, each_run, &all[i]))
			each_run(&alone);
	}
	lock_take(&e.lock);
	while (e.left)
		cond_wait(&e.ended, &e.lock, NEVER);
	lock_give(&e.lock);
	cond_release(&e.ended);
	lock_release(&e.lock);
}

size_t pool_queued(struct pool *p)
{
	LOCK_SCOPE(&p->sync.lock);

	return p->sync.count;
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	lock_take(&p->sync.lock);
	p->sync.stopping = true;
	cond_broadcast(&p->sync.more);
	lock_give(&p->sync.lock);
	for (unsigned i = 0; i < p->n_workers; i++)
		task_join(p->workers[i]);
	cond_release(&p->sync.more);
	lock_release(&p->sync.lock);
	free(p->sync.ring);
	return free_null(p);
}
