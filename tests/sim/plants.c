/* SPDX-License-Identifier: Apache-2.0 */
/* The bugs that are planted: which one, and those that need more than a wrong condition. */
#include "tests/sim/plants.h"

#include "base/plant.h"
#include "fs/commit_i.h"

#include <utlist.h>

static enum plant planted;
uint8_t plant_machine;

static const char *const names[PLANT_COUNT] = {
	[PLANT_NONE] = "NONE",
	[PLANT_UNKNOWN_IS_FAILURE] = "UNKNOWN_IS_FAILURE",
	[PLANT_COMPARE_BY_AUTHOR] = "COMPARE_BY_AUTHOR",
	[PLANT_COUNT_ANY] = "COUNT_ANY",
	[PLANT_ANY_VALUE] = "ANY_VALUE",
	[PLANT_BLIND] = "BLIND",
	[PLANT_LOST_BY_BALLOT] = "LOST_BY_BALLOT",
	[PLANT_REUSE_0] = "REUSE_0",
	[PLANT_LINK_0] = "LINK_0",
	[PLANT_ONE_STORE] = "ONE_STORE",
	[PLANT_HIGH_WATER_SET] = "HIGH_WATER_SET",
	[PLANT_NAME_ONLY] = "NAME_ONLY",
};

bool plant(enum plant p)
{
	return planted == p;
}

int plant_set(const char *name)
{
	for (unsigned i = 0; i < PLANT_COUNT; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		planted = i;
		return 0;
	}
	return -EINVAL;
}

const char *plant_name(unsigned i)
{
	return i < PLANT_COUNT ? names[i] : NULL;
}

/* REUSE_0: the same incarnation after every start of a machine. */
void plant_incarnation(uint8_t ret[INCARNATION_BYTES])
{
	memset(ret, plant_machine + 1, INCARNATION_BYTES);
}

static bool in_record(const struct record *r, const struct pending *p)
{
	for (size_t i = 0; i < r->n_ops; i++)
		if (span_equal(r->ops[i].bytes, buf_span(&p->bytes)))
			return true;
	return false;
}

/*
 * UNKNOWN_IS_FAILURE: the record failed; its operations are answered so and forgotten, and their
 * numbers given again.
 */
void plant_give_up(struct commit *c)
{
	const struct result failed = { .error = -EIO };
	struct pending *p, *tmp;

	lock_take(&c->lock);
	DL_FOREACH_SAFE(c->pending, p, tmp) {
		if (!in_record(c->task.frozen, p))
			continue;
		DL_DELETE(c->pending, p);
		c->tip.pending--;
		if (p->waiter)
			commit_ready_locked(c, take_ptr(&p->waiter), &failed);
		pending_free(p);
	}
	if (!c->pending)
		c->next_no = c->last_no + 1;
	c->task.frozen = record_free(c->task.frozen);
	c->tip.frozen = false;
	commit_queue_changed_locked(c);
	lock_give(&c->lock);
}

static void resubmit_one(struct commit *c, struct pending *old)
{
	struct pending *p = calloc(1, sizeof(*p));
	struct op op;

	if (!p || op_decode(buf_span(&old->bytes), &op))
		abort();
	op.number = c->next_no++;
	*p = *old;
	p->no = op.number;
	p->bytes = BUF_INIT(RECORD_MAX);
	if (op_encode(&op, &p->bytes))
		abort();
	op_release(&op);
	old->waiter = NULL;
	old->early = false;
	DL_APPEND(c->pending, p);
	c->tip.pending++;
}

/* LOST_BY_BALLOT: the operations of the record are submitted once more. */
void plant_resubmit(struct commit *c, const struct record *r)
{
	struct pending *p, *last;

	lock_take(&c->lock);
	last = c->pending ? c->pending->prev : NULL;
	DL_FOREACH(c->pending, p) {
		if (in_record(r, p) && p->kind >= OP_CREATE)
			resubmit_one(c, p);
		if (p == last)
			break;
	}
	lock_give(&c->lock);
}
