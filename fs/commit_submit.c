/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit_i.h"

#include "base/log.h"
#include "base/plant.h"
#include "fs/ns/lookup.h"

#include <utlist.h>

/* A block of inode numbers is nearly used up: ask for another. */
#define INO_LOW (1ull << (INO_BLOCK_BITS - 2))
#define OP_BYTES_MAX (RECORD_MAX - RECORD_OVERHEAD - 16)
/* The clock of the stores is believed rather than ours from this difference on. */
#define SKEW_S 60

struct pending *pending_free(struct pending *p)
{
	if (!p)
		return NULL;
	buf_release(&p->bytes);
	free(p->waiter);
	free(p);
	return NULL;
}

/* Is it answered early by every mount, whoever owns the tip? */
static bool cannot_fail(const struct op *op)
{
	switch (op->kind) {
	case OP_SETATTR:
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_STORED:
	case OP_DEFICIT:
	case OP_REAP:
	case OP_HOLD:
		return true;
	case OP_SETXATTR:
		return op->flags == 0;
	default:
		return false;
	}
}

static uint64_t time_locked(const struct commit *c)
{
	const uint64_t now = clock_wall();

	if (llabs(c->skew_s) <= SKEW_S)
		return now;
	return now + (uint64_t)(c->skew_s * (int64_t)NS_PER_S);
}

uint64_t commit_time(struct commit *c)
{
	LOCK_SCOPE(&c->lock);

	return time_locked(c);
}

/* The task is woken only for what it has to do earlier than it believes. */
static void wake_task_locked(struct commit *c)
{
	uint64_t until;

	if (commit_plan(&c->tip, &c->o, clock_now(), &until) != COMMIT_WAIT ||
	    until < c->sleeps_until_ns)
		cond_signal(&c->work);
}

void commit_queue_changed_locked(struct commit *c)
{
	const struct pending *first = c->pending;

	c->tip.held = c->held ? c->next_no - c->held->no : 0;
	c->tip.oldest_ns = first ? first->since_ns : 0;
	c->tip.waiting = first && c->cut_no >= first->no;
	if (first)
		wake_task_locked(c);
}

/* What stands under a name, as this mount sees it now; 0: nothing. */
static int saw(struct view *v, uint64_t parent, struct span name, uint64_t *ret)
{
	uint64_t ino = 0;
	int r = ns_lookup(v, parent, name, &ino, NULL);

	if (r < 0)
		return r;
	*ret = r == NS_MISSING ? 0 : ino;
	return 0;
}

static bool names_something(const struct op *op)
{
	return op->kind == OP_UNLINK || op->kind == OP_RMDIR || op->kind == OP_RENAME;
}

/* An early answer carries what it saw under its names, and will touch that or nothing. */
static int note_seen(struct view *v, struct op *op)
{
	int r;

	if (!names_something(op) || plant(PLANT_NAME_ONLY))
		return 0;
	r = saw(v, op->parent, op->name, &op->saw);
	if (r == 0 && op->kind == OP_RENAME)
		r = saw(v, op->to_parent, op->to_name, &op->saw_to);
	return r;
}

/* It was not answered: whatever it finds in its slot is right. */
static void forget_seen(struct op *op)
{
	if (names_something(op))
		op->saw = op->saw_to = SAW_ANYTHING;
}

static struct apply_context early_context(const struct commit *c)
{
	struct apply_context ctx = { .slot = c->slot + 1 + c->tip.frozen, .early = true };

	memcpy(ctx.incarnation, c->me, INCARNATION_SIZE);
	return ctx;
}

/* Applies to the view. 0 with the result; -EIO: this machine failed (the caller halts). */
static int apply_early(struct commit *c, struct op *op, bool again, struct result *ret)
{
	const struct apply_context ctx = early_context(c);
	int r = again ? 0 : note_seen(c->view, op);

	if (r == 0)
		r = apply(c->view, &ctx, op, ret);
	if (r < 0)
		log_error("commit", "the local database failed", "error=%d", r);
	return r < 0 ? fail(-EIO) : 0;
}

static int pending_new(const struct op *op, commit_done_fn *done, void *arg, struct pending **ret)
{
	_cleanup_(pending_freep) struct pending *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return fail(-ENOMEM);
	if (done) {
		p->waiter = ready_new(done, arg);
		if (!p->waiter)
			return fail(-ENOMEM);
	}
	p->bytes = BUF_INIT(OP_BYTES_MAX);
	p->no = op->number;
	p->kind = op->kind;
	p->inodes[0] = op->ino;
	p->inodes[1] = op->parent;
	p->inodes[2] = op->to_parent;
	r = op_encode(op, &p->bytes);
	if (r)
		return r;
	*ret = take_ptr(&p);
	return 0;
}

static void enqueue(struct commit *c, struct pending *p)
{
	p->since_ns = clock_now();
	p->deadline_ns = p->since_ns + c->o.deadline_ns;
	DL_APPEND(c->pending, p);
	c->next_no++;
	c->tip.pending++;
	c->tip.pending_bytes += record_op_size(p->bytes.len);
	if (!p->applied && p->kind >= OP_CREATE)
		c->n_unapplied++;
	if (!c->uncopied)
		c->uncopied = p;
	if (p->held && !c->held)
		c->held = p;
	if (p->waiter) {
		c->cut_no = p->no;
		commit_deadline_locked(c);
	}
	commit_queue_changed_locked(c);
}

/* Numbers, applies where the rules allow it, queues. As commit_submit. */
static int submit_locked(struct commit *c, struct op *op, enum commit_how how, commit_done_fn *done,
			 void *arg, struct result *ret, uint64_t *ret_no)
{
	const bool tip = c->n_unapplied == 0 && commit_tip_early(&c->tip, clock_now());
	const bool again = how == COMMIT_AGAIN;
	const bool early = how != COMMIT_ORDERED && op->kind >= OP_CREATE &&
			   (tip || again || cannot_fail(op));
	const bool applied = op->kind >= OP_CREATE && (tip || early);
	_cleanup_(pending_freep) struct pending *p = NULL;
	struct result res = { 0 };
	int r;

	op->number = c->next_no;
	if (!again)
		op->time_ns = time_locked(c);
	if (applied) {
		r = apply_early(c, op, again, &res);
		if (r)
			return r;
	}
	if (early && res.error) { /* answered, and not submitted */
		*ret = res;
		*ret_no = 0;
		return 0;
	}
	if (!early)
		forget_seen(op);
	r = pending_new(op, early ? NULL : done, arg, &p);
	if (r) /* the view without it */
		return commit_reapply_locked(c) ? fail(-EIO) : r;
	p->early = early;
	p->held = again || how == COMMIT_HELD;
	p->applied = applied;
	p->said = res;
	*ret_no = p->no;
	if (early)
		*ret = res;
	enqueue(c, take_ptr(&p));
	return early ? 0 : COMMIT_LATER;
}

int commit_submit(struct commit *c, const struct op *op, enum commit_how how, commit_done_fn *done,
		  void *arg, struct result *ret, uint64_t *ret_no)
{
	struct op mine = *op;
	int r;

	lock_take(&c->lock);
	if (!c->tip.writes || c->tip.halted || !c->mounted || c->tip.stopping)
		r = fail(-EROFS);
	else
		r = submit_locked(c, &mine, how, done, arg, ret, ret_no);
	lock_give(&c->lock);
	if (r == -EIO)
		commit_halt(c, -EIO, "the local database failed");
	return r;
}

/* Somebody waits on its own thread for one operation. */
struct op_wait {
	struct lock lock;
	struct cond cond;
	unsigned refs;
	bool done;
	struct result res;
};

static struct op_wait *op_wait_new(void)
{
	struct op_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	lock_init(&w->lock, RANK_LEAF);
	cond_init(&w->cond);
	w->refs = 2;
	return w;
}

static void op_wait_unref(struct op_wait *w)
{
	bool last;

	lock_take(&w->lock);
	last = --w->refs == 0;
	lock_give(&w->lock);
	if (!last)
		return;
	cond_release(&w->cond);
	lock_release(&w->lock);
	free(w);
}

static void op_wait_done(const struct result *res, void *arg)
{
	struct op_wait *w = arg;

	lock_take(&w->lock);
	w->res = *res;
	w->done = true;
	cond_signal(&w->cond);
	lock_give(&w->lock);
	op_wait_unref(w);
}

static int op_wait_end(struct op_wait *w, uint64_t deadline_ns, struct result *ret)
{
	LOCK_SCOPE(&w->lock);

	while (!w->done)
		if (cond_wait(&w->cond, &w->lock, deadline_ns) == -ETIMEDOUT && !w->done)
			return fail(-ETIMEDOUT);
	*ret = w->res;
	return w->res.error;
}

int commit_op_await(struct commit *c, const struct op *op, bool by_itself, uint64_t deadline_ns,
		    struct result *ret)
{
	struct op_wait *w = op_wait_new();
	struct op mine = *op;
	struct result unset;
	uint64_t no;
	int r;

	if (!w)
		return fail(-ENOMEM);
	if (by_itself) {
		lock_take(&c->lock);
		r = c->tip.halted
			    ? fail(-EROFS)
			    : submit_locked(c, &mine, COMMIT_ORDERED, op_wait_done, w, &unset, &no);
		lock_give(&c->lock);
	} else {
		r = commit_submit(c, op, COMMIT_ORDERED, op_wait_done, w, &unset, &no);
	}
	if (r == COMMIT_LATER)
		r = op_wait_end(w, deadline_ns, ret);
	else
		op_wait_unref(w); /* nobody will call */
	op_wait_unref(w);
	return r;
}

int commit_op_wait(struct commit *c, const struct op *op, uint64_t deadline_ns, struct result *ret)
{
	return commit_op_await(c, op, false, deadline_ns, ret);
}

void commit_block_locked(struct commit *c, uint32_t number)
{
	const uint64_t first = (uint64_t)number << INO_BLOCK_BITS;

	if (c->ino_next != c->ino_end) {
		c->ino_spare = number;
		return;
	}
	c->ino_next = MAX(first, ROOT_INO + 1);
	c->ino_end = first + (1ull << INO_BLOCK_BITS);
}

static void block_came(const struct result *res, void *arg)
{
	struct commit *c = arg;
	LOCK_SCOPE(&c->lock);

	c->ino_asked = false;
	if (res->error == 0)
		commit_block_locked(c, (uint32_t)res->value);
}

static void block_ask_locked(struct commit *c)
{
	struct op op = { .kind = OP_MORE_INODES };
	struct result unset;
	uint64_t no;

	if (c->ino_asked || c->ino_spare || c->tip.stopping)
		return;
	c->ino_asked = submit_locked(c, &op, COMMIT_ORDERED, block_came, c, &unset, &no) ==
		       COMMIT_LATER;
}

int commit_new_ino(struct commit *c, uint64_t *ret)
{
	LOCK_SCOPE(&c->lock);

	if (!c->tip.writes || c->tip.halted || !c->mounted)
		return fail(-EROFS);
	if (c->ino_next == c->ino_end && c->ino_spare) {
		const uint32_t spare = c->ino_spare;

		c->ino_spare = 0;
		commit_block_locked(c, spare);
	}
	if (c->ino_end - c->ino_next < INO_LOW)
		block_ask_locked(c);
	if (c->ino_next == c->ino_end)
		return fail(-EROFS);
	*ret = c->ino_next++;
	return 0;
}

uint32_t commit_mount_number(struct commit *c)
{
	LOCK_SCOPE(&c->lock);

	return c->number;
}
