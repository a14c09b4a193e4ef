/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to those who wait. They are collected under the lock and given without it, by the task as
 * soon as a record is applied; the answerer gives those that must not wait for the task, which may
 * be busy at the stores: what was committed already, and deadlines.
 */
#include "fs/commit_i.h"

#include "base/log.h"

#include <utlist.h>

#define DEADLINE_CHECK_NS NS_PER_S

struct ready *ready_new(commit_done_fn *done, void *arg)
{
	struct ready *r = calloc(1, sizeof(*r));

	if (r) {
		r->done = done;
		r->arg = arg;
	}
	return r;
}

void commit_ready_locked(struct commit *c, struct ready *takes, const struct result *res)
{
	takes->res = *res;
	DL_APPEND(c->ready, takes);
}

void commit_give(struct commit *c)
{
	struct ready *list, *r, *tmp;

	lock_take(&c->lock);
	list = take_ptr(&c->ready);
	lock_give(&c->lock);
	DL_FOREACH_SAFE(list, r, tmp) {
		r->done(&r->res, r->arg);
		free(r);
	}
}

static void key_of(uint64_t ino, uint8_t ret[8])
{
	for (int i = 0; i < 8; i++)
		ret[i] = (uint8_t)(ino >> (56 - 8 * i));
}

void commit_lost_locked(struct commit *c, const struct pending *p)
{
	c->n_lost++;
	for (size_t i = 0; i < ARRAY_SIZE(p->inodes); i++) {
		uint8_t key[8];

		if (!p->inodes[i])
			continue;
		key_of(p->inodes[i], key);
		if (map_put(c->lost, span_of(key, 8), SPAN_NULL, false))
			log_error("commit", "no memory to remember a lost operation",
				  "operation=%s", op_kind_name(p->kind));
	}
}

/* Was something of the inode lost since it was asked last? */
static bool lost_take(struct commit *c, uint64_t ino)
{
	const bool all = ino == 0 || ino == ROOT_INO;
	uint8_t key[8];
	struct span value;
	bool gone, found;

	if (all) {
		found = map_count(c->lost) > 0;
		map_clear(c->lost);
		return found;
	}
	key_of(ino, key);
	found = map_get(c->lost, span_of(key, 8), &value, &gone);
	if (found)
		map_erase(c->lost, span_of(key, 8));
	return found;
}

static void sync_end(struct commit *c, struct ready *w, int error)
{
	const struct result res = { .error = error };

	DL_DELETE(c->syncs, w);
	commit_ready_locked(c, w, &res);
}

void commit_syncs_locked(struct commit *c)
{
	/* In the order of numbers, so the first one that waits on ends the round. */
	while (c->syncs && c->syncs->upto <= c->last_no)
		sync_end(c, c->syncs, lost_take(c, c->syncs->ino) ? -EIO : 0);
}

static void give_up(struct commit *c, struct pending *p, int error)
{
	const struct result res = { .error = error };

	if (p->waiter)
		commit_ready_locked(c, take_ptr(&p->waiter), &res);
}

void commit_answer_all_locked(struct commit *c, int error)
{
	struct pending *p;

	DL_FOREACH(c->pending, p)
		give_up(c, p, error);
	while (c->syncs)
		sync_end(c, c->syncs, error);
	cond_signal(&c->answers);
}

/* Whoever waited too long hears of it; the operations stay, and may yet be committed. */
static void deadlines_locked(struct commit *c, uint64_t now)
{
	struct pending *p;
	struct ready *w, *tmp;

	DL_FOREACH(c->pending, p)
		if (now >= p->deadline_ns)
			give_up(c, p, -EIO);
	DL_FOREACH_SAFE(c->syncs, w, tmp)
		if (now >= w->deadline_ns)
			sync_end(c, w, -EIO);
}

void commit_deadline_locked(struct commit *c)
{
	if (c->answers_asleep)
		cond_signal(&c->answers);
	c->answers_asleep = false;
}

void commit_answer_task(void *arg)
{
	struct commit *c = arg;

	lock_take(&c->lock);
	while (!c->ending || c->ready) {
		const bool somebody = c->pending || c->syncs;

		c->answers_asleep = !c->ready && !somebody;
		if (!c->ready)
			cond_wait(&c->answers, &c->lock,
				  somebody ? clock_now() + DEADLINE_CHECK_NS : NEVER);
		c->answers_asleep = false;
		deadlines_locked(c, clock_now());
		lock_give(&c->lock);
		commit_give(c);
		lock_take(&c->lock);
	}
	lock_give(&c->lock);
}

/* Everything submitted so far goes into a record at once. Answers its last number. */
static uint64_t cut_locked(struct commit *c)
{
	c->cut_no = c->next_no - 1;
	commit_queue_changed_locked(c);
	return c->cut_no;
}

void commit_sync(struct commit *c, uint64_t ino, commit_done_fn *done, void *arg)
{
	struct ready *w = ready_new(done, arg);

	if (!w) {
		done(&(struct result){ .error = fail(-ENOMEM) }, arg);
		return;
	}
	lock_take(&c->lock);
	w->ino = ino;
	w->upto = cut_locked(c);
	w->deadline_ns = clock_now() + c->o.deadline_ns;
	DL_APPEND(c->syncs, w);
	if (c->tip.halted && c->pending)
		sync_end(c, w, -EIO);
	commit_syncs_locked(c);
	cond_signal(&c->answers);
	lock_give(&c->lock);
}

int commit_sync_wait(struct commit *c, uint64_t ino, uint64_t deadline_ns)
{
	LOCK_SCOPE(&c->lock);
	const uint64_t upto = cut_locked(c);

	while (c->last_no < upto) {
		if (c->tip.halted)
			return fail(-EIO);
		if (cond_wait(&c->changed, &c->lock, deadline_ns) == -ETIMEDOUT &&
		    c->last_no < upto)
			return fail(-ETIMEDOUT);
	}
	return lost_take(c, ino) ? fail(-EIO) : 0;
}
