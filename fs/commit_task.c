/* SPDX-License-Identifier: Apache-2.0 */
/* The task that proposes and learns: everything that asks the journal happens here. */
#include "fs/commit_i.h"

#include "base/log.h"
#include "base/plant.h"

#include <utlist.h>

#define LEARN_NS (5 * NS_PER_S)
#define PROPOSE_NS (5 * NS_PER_S)
#define RETRY_NS (200 * NS_PER_MS)
#define AIM_AHEAD 8u
#define RING_FARTHEST 64u
#define RING_AGAIN 100u /* slots after which a bell was for something else */
#define HELP_LEAST_NS (3 * NS_PER_S)
#define HELP_SPREAD_NS (3 * NS_PER_S)

/* The record's operations: all that are pending, in order, as far as they fit. */
static int fill_ops(struct commit *c, struct record *r)
{
	size_t bytes = RECORD_OVERHEAD;
	struct pending *p;

	r->authors = calloc(1, sizeof(*r->authors));
	r->ops = calloc(c->tip.pending ? c->tip.pending : 1, sizeof(*r->ops));
	if (!r->authors || !r->ops)
		return fail(-ENOMEM);
	memcpy(r->authors[0], c->me, INCARNATION_BYTES);
	DL_FOREACH(c->pending, p) {
		if (p == c->held) /* (M7) */
			break;
		if (plant(PLANT_HIGH_WATER_SET) && p == c->pending && p->next &&
		    p->kind >= OP_CREATE)
			continue; /* sent later */
		bytes += record_op_size(p->bytes.len);
		if (bytes > RECORD_MAX)
			break;
		r->ops[r->n_ops++].bytes = buf_span(&p->bytes);
	}
	r->n_authors = r->n_ops ? 1 : 0;
	return 0;
}

/* Who may be quick in the slot after this record. */
static const uint8_t *choose_next(const struct commit *c, const struct record *r)
{
	static const uint8_t nobody[INCARNATION_BYTES];
	const struct commit_tip *t = &c->tip;

	if (t->stopping && r->n_ops == t->pending && !t->lent)
		return nobody;
	/*
	 * A busy owner whose slot was taken, or that gave it, for a few operations gets the tip
	 * back.
	 */
	if (t->lent)
		return c->task.lender;
	if (commit_tip_busy(t, clock_now()) || (r->n_ops == 0 && !t->owns))
		return c->owner;
	return t->knocked ? c->task.knocker : c->me;
}

/* Lock held. The operations' bytes are borrowed: pending ones are freed by this task alone. */
static int compose(struct commit *c, struct record **ret)
{
	_cleanup_(record_freep) struct record *r = record_new();
	int error;

	if (!r)
		return fail(-ENOMEM);
	error = fill_ops(c, r);
	if (error)
		return error;
	memcpy(r->next, choose_next(c, r), INCARNATION_BYTES);
	r->state_lo = c->hash.lo;
	r->state_hi = c->hash.hi;
	r->hold_ns = c->o.hold_ns;
	r->time_ns = clock_wall();
	*ret = take_ptr(&r);
	return 0;
}

/* From the start again, once in a life. */
static int rebuild(struct commit *c, const char *why)
{
	int r;

	if (c->task.rebuilt || c->tip.booted)
		return fail(-EIO);
	log_warn("commit", "rebuilding the local database from the journal", "reason=\"%s\"", why);
	c->task.rebuilt = true;
	r = commit_state_clear(c->kv);
	if (r)
		return r;
	lock_take(&c->lock);
	view_drop(c->view);
	c->slot = UINT64_MAX;
	c->hash = (struct state_hash){ 0 };
	memset(c->owner, 0, sizeof(c->owner));
	lock_give(&c->lock);
	view_drop(c->task.view);
	journal_begin(c->journal, UINT64_MAX, NULL, NULL);
	return 0;
}

/*
 * Who disagrees about the state begins anew while nobody relies on it yet, and goes no further
 * otherwise.
 */
static void disagree(struct commit *c, const char *what, const char *why)
{
	if (rebuild(c, what) == 0)
		return;
	commit_state_distrust(c->kv);
	commit_halt(c, -EIO, why);
}

/* The tip was verified by a look that began then. */
static void verified(struct commit *c, uint64_t begun, uint64_t refresh)
{
	LOCK_SCOPE(&c->lock);

	c->task.streak = 0;
	c->task.aim.set = false;
	c->task.aim.after = COMMIT_AIM_AFTER;
	c->verified_ns = begun;
	c->refresh_done = MAX(c->refresh_done, refresh);
	c->tip.refresh = c->refresh_asked > c->refresh_done;
	c->tip.booted = true;
	c->tip.behind = false;
	c->skew_s = journal_clock_skew_s(c->journal);
	cond_broadcast(&c->changed);
}

/* A record was chosen in the next slot; `proposed_ns`: ours, since then; else 0. */
static void learned(struct commit *c, const struct record *r, uint64_t proposed_ns)
{
	if (r->state_lo != c->hash.lo || r->state_hi != c->hash.hi) {
		disagree(
			c, "state hash",
			"the local state differs from the journal's (it is rebuilt at the "
			"next mount)");
		return;
	}
	if (commit_apply(c, r, proposed_ns))
		return;
	lock_take(&c->lock);
	if (proposed_ns) /* it stood upon the tip of then */
		c->verified_ns = MAX(c->verified_ns, proposed_ns);
	c->tip.behind = true; /* until a look finds nothing */
	lock_give(&c->lock);
	c->task.streak++;
	if (c->task.aim.set && r->slot >= c->task.aim.slot)
		verified(c, c->task.aim.begun_ns, c->task.aim.refresh);
}

/*
 * Since when the record has been proposed, if it is the frozen one: somebody may have completed it
 * for us.
 */
static uint64_t proposed_since(const struct commit *c, const struct record *r)
{
	if (!c->task.frozen || memcmp(c->task.frozen->hash, r->hash, RECORD_HASH_SIZE) != 0)
		return 0;
	return c->task.frozen_ns;
}

static void failed(struct commit *c, int error)
{
	LOCK_SCOPE(&c->lock);

	c->boot_error = error;
	c->tip.retry_ns = clock_now() + RETRY_NS / 2 + random_u64() % RETRY_NS;
	cond_broadcast(&c->changed);
}

static void undetermined(struct commit *c)
{
	LOCK_SCOPE(&c->lock);

	if (!c->tip.help_ns)
		c->tip.help_ns = clock_now() + HELP_LEAST_NS + random_u64() % HELP_SPREAD_NS;
	if (!c->tip.writes) /* who cannot help answers with the state before it */
		c->tip.booted = true;
	cond_broadcast(&c->changed);
}

static void conflict(struct commit *c)
{
	disagree(c, "another history",
		 "the journal contradicts itself or this mount's state (was a machine cloned?)");
}

/* Lock held: a look begins. Answers which refreshes it serves. */
static uint64_t look_begins(struct commit *c, uint64_t now)
{
	c->tip.polled_ns = now;
	c->tip.jitter = (uint8_t)random_u64();
	c->tip.behind = false;
	return c->refresh_asked;
}

/*
 * The owner may write faster than anybody can find the next slot empty: find one that is, and catch
 * up with it.
 */
static void aim(struct commit *c, uint64_t begun, uint64_t refresh)
{
	if (c->task.aim.set || c->task.streak < c->task.aim.after)
		return;
	c->task.aim.after *= 4; /* far behind: catching up comes first */
	if (journal_ahead(c->journal, AIM_AHEAD, begun + LEARN_NS))
		return;
	c->task.aim.set = true;
	c->task.aim.slot = journal_slot(c->journal) + AIM_AHEAD - 1;
	c->task.aim.begun_ns = begun;
	c->task.aim.refresh = refresh;
}

static void learn(struct commit *c)
{
	_cleanup_(record_freep) struct record *r = NULL;
	const uint64_t begun = clock_now();
	uint64_t refresh;
	int result;

	lock_take(&c->lock);
	refresh = look_begins(c, begun);
	lock_give(&c->lock);
	aim(c, begun, refresh);
	result = journal_learn(c->journal, begun + LEARN_NS, &r);
	switch (result) {
	case 0:
		learned(c, r, proposed_since(c, r));
		break;
	case JOURNAL_NOTHING:
		verified(c, begun, refresh);
		break;
	case JOURNAL_UNDETERMINED:
		undetermined(c);
		break;
	case JOURNAL_CONFLICT:
		conflict(c);
		break;
	case JOURNAL_EMPTY:
		failed(c, -ENODATA);
		break;
	default:
		failed(c, result);
	}
}

/* The record that stands for the next slot. */
static int freeze(struct commit *c, uint64_t *ret_refresh)
{
	LOCK_SCOPE(&c->lock);

	*ret_refresh = c->refresh_asked;
	if (c->task.frozen)
		return 0;
	c->task.frozen_ns = clock_now();
	c->tip.frozen = compose(c, &c->task.frozen) == 0;
	return c->tip.frozen ? 0 : fail(-ENOMEM);
}

/* The frozen record was chosen. */
static void won(struct commit *c, bool fresh, uint64_t begun, uint64_t refresh)
{
	_cleanup_(record_freep) struct record *mine = take_ptr(&c->task.frozen);

	metric_observe_ns(c->seconds, clock_now() - c->task.frozen_ns);
	learned(c, mine, c->task.frozen_ns);
	/*
	 * A record that was proposed before may have been completed by others long ago, and more
	 * after it.
	 */
	if (fresh)
		verified(c, begun, refresh);
}

static void propose(struct commit *c)
{
	_cleanup_(record_freep) struct record *other = NULL;
	const uint64_t begun = clock_now();
	const bool fresh = !c->task.frozen;
	uint64_t refresh;
	int r = freeze(c, &refresh);

	if (r == 0)
		r = journal_propose(c->journal, c->task.frozen, begun + PROPOSE_NS, &other);
	switch (r) {
	case 0:
		won(c, fresh, begun, refresh);
		break;
	case JOURNAL_LOST:
		if (plant(PLANT_LOST_BY_BALLOT))
			plant_resubmit(c, other);
		learned(c, other, 0);
		break;
	case JOURNAL_CONFLICT:
		conflict(c);
		break;
	default: /* the record stands, and is proposed again */
		if (plant(PLANT_UNKNOWN_IS_FAILURE))
			plant_give_up(c);
		failed(c, r);
	}
}

/* Each bell that was missed is followed by one for a slot that is further away. */
static void ring(struct commit *c)
{
	const uint64_t slot = journal_slot(c->journal);

	if (c->task.rung_slot + RING_AGAIN < slot)
		c->task.rung_distance = 0;
	c->task.rung_distance = MIN(MAX(4 * c->task.rung_distance, 1u), RING_FARTHEST);
	c->task.rung_slot = slot + c->task.rung_distance;
	journal_ring(c->journal, c->task.rung_distance);
	lock_take(&c->lock);
	c->tip.rung = true;
	lock_give(&c->lock);
}

void commit_task(void *arg)
{
	struct commit *c = arg;

	for (;;) {
		enum commit_act act;
		uint64_t until;

		lock_take(&c->lock);
		if (c->ending)
			break;
		act = commit_plan(&c->tip, &c->o, clock_now(), &until);
		if (act == COMMIT_WAIT) {
			c->sleeps_until_ns = until;
			cond_wait(&c->work, &c->lock, until);
		}
		lock_give(&c->lock);
		if (act == COMMIT_LEARN)
			learn(c);
		if (act == COMMIT_PROPOSE)
			propose(c);
		if (act == COMMIT_RING)
			ring(c);
		commit_give(c);
	}
	lock_give(&c->lock);
}
