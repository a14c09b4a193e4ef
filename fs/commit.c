/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit_i.h"

#include "base/log.h"
#include "fs/ns/lookup.h"

#include <stdio.h>
#include <unistd.h>
#include <utlist.h>

#define HOLD_NS (2 * NS_PER_S)
#define DELAY_NS (500 * NS_PER_MS)
#define FRESHNESS_NS NS_PER_S
#define DEADLINE_NS (60 * NS_PER_S)

static void set_defaults(struct commit_options *o)
{
	o->hold_ns = o->hold_ns ? o->hold_ns : HOLD_NS;
	o->delay_ns = o->delay_ns ? o->delay_ns : DELAY_NS;
	o->freshness_ns = o->freshness_ns ? o->freshness_ns : FRESHNESS_NS;
	o->deadline_ns = o->deadline_ns ? o->deadline_ns : DEADLINE_NS;
}

/* Where the database stands; what cannot be used is forgotten. */
static int load(struct commit *c, const uint8_t *volume_id)
{
	struct commit_mark m;
	int r = commit_mark_load(c->kv, volume_id, &m);

	if (r < 0)
		return r;
	if (r == KV_MISSING) {
		c->slot = UINT64_MAX;
		c->task.rebuilt = true;
		journal_begin(c->journal, UINT64_MAX, NULL, NULL);
		return commit_state_clear(c->kv);
	}
	c->slot = m.slot;
	c->hash = m.hash;
	memcpy(c->owner, m.owner, INCARNATION_SIZE);
	c->tip.nobody = incarnation_none(m.owner);
	c->tip.learned_ns = commit_learned_at(m.time_ns);
	c->tip.quiet_ns = commit_quiet_ns(m.hold_ns);
	journal_begin(c->journal, m.slot, m.record, m.owner);
	return 0;
}

static int build(struct commit *c, const struct commit_options *o)
{
	c->host = strdup(o->host ? o->host : "");
	c->view = view_new(c->kv, COL_COUNT);
	c->task.view = view_new(c->kv, COL_COUNT);
	c->lost = map_new();
	if (!c->host || !c->view || !c->task.view || !c->lost)
		return fail(-ENOMEM);
	return load(c, o->volume_id);
}

int commit_new(const struct commit_options *o, struct journal *j, struct kv *ns,
	       const struct commit_events *ev, struct commit **ret)
{
	struct commit *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fail(-ENOMEM);
	c->o = *o;
	c->o.volume_id = NULL; /* the caller's; used here and now */
	set_defaults(&c->o);
	if (ev)
		c->ev = *ev;
	c->journal = j;
	c->kv = ns;
	c->next_no = 1;
	c->task.aim.after = COMMIT_AIM_AFTER;
	memcpy(c->me, journal_incarnation(j), INCARNATION_SIZE);
	lock_init(&c->lock, RANK_COMMIT);
	cond_init(&c->work);
	cond_init(&c->answers);
	cond_init(&c->changed);
	c->tip.writes = !o->read_only;
	c->seconds = metric_get("mangrove_journal_commit_seconds",
				"from a record's composition to its choice", METRIC_SECONDS, "");
	c->lost_total = metric_get("mangrove_lost_operations_total",
				   "operations answered early and lost", METRIC_COUNTER, "");
	r = build(c, o);
	if (r) {
		commit_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Ends the tasks; nobody waits any more. */
static void end(struct commit *c)
{
	lock_take(&c->lock);
	c->ending = true;
	cond_signal(&c->work);
	cond_signal(&c->answers);
	lock_give(&c->lock);
	if (c->worker)
		task_join(take_ptr(&c->worker));
	lock_take(&c->lock);
	commit_answer_all_locked(c, -EIO);
	lock_give(&c->lock);
	if (c->answerer)
		task_join(take_ptr(&c->answerer));
	commit_give(c);
}

struct commit *commit_free(struct commit *c)
{
	struct pending *p, *tmp;

	if (!c)
		return NULL;
	end(c);
	DL_FOREACH_SAFE(c->pending, p, tmp) {
		DL_DELETE(c->pending, p);
		pending_free(p);
	}
	record_free(c->task.frozen);
	view_free(c->task.view);
	view_free(c->view);
	map_free(c->lost);
	cond_release(&c->work);
	cond_release(&c->answers);
	cond_release(&c->changed);
	lock_release(&c->lock);
	free(c->host);
	free(c);
	return NULL;
}

void commit_halt(struct commit *c, int error, const char *why)
{
	lock_take(&c->lock);
	if (c->tip.halted || (error == -EROFS && !c->tip.writes)) {
		lock_give(&c->lock);
		return;
	}
	c->tip.writes = false;
	c->tip.halted = error != -EROFS; /* who was fenced may follow still */
	c->boot_error = error;
	snprintf(c->why, sizeof(c->why), "%s", why);
	commit_answer_all_locked(c, -EIO);
	cond_broadcast(&c->changed);
	lock_give(&c->lock);
	log_error("commit", "this mount is read-only from now on", "reason=\"%s\"", why);
	commit_give(c);
	if (c->ev.stopped)
		c->ev.stopped(why, c->ev.arg);
}

/* A limit of its own for standing still: a long journal may take long, a silent one may not. */
static uint64_t still_until(const struct commit *c, uint64_t deadline_ns)
{
	return MIN(deadline_ns, clock_now() + c->o.deadline_ns);
}

/* Waits until the journal was followed to its tip. */
static int wait_booted(struct commit *c, uint64_t deadline_ns, char *err, size_t err_size)
{
	LOCK_SCOPE(&c->lock);
	uint64_t limit_ns = still_until(c, deadline_ns), slot = c->slot;

	while (!c->tip.booted) {
		if (c->tip.halted) {
			snprintf(err, err_size, "%s", c->why);
			return c->boot_error;
		}
		if (c->boot_error == -ENODATA) {
			snprintf(err, err_size, "the journal is empty: there is no volume here");
			return fail(-EIO);
		}
		if (c->slot != slot)
			limit_ns = still_until(c, deadline_ns);
		slot = c->slot;
		if (cond_wait(&c->changed, &c->lock, limit_ns) == -ETIMEDOUT && !c->tip.booted &&
		    c->slot == slot) {
			snprintf(
				err, err_size,
				"the journal did not answer in time: too few stores are reachable");
			return fail(-ETIMEDOUT);
		}
	}
	return 0;
}

static int mount_commit(struct commit *c, uint64_t deadline_ns, char *err, size_t err_size)
{
	struct op op = { .kind = OP_MOUNT,
			 .name = span_str(c->host),
			 .value = span_of(c->me, INCARNATION_SIZE) };
	struct result res = { 0 };
	int r = commit_op_await(c, &op, true, deadline_ns, &res);

	if (r) {
		snprintf(err, err_size, "the mount could not be entered in the journal: %s",
			 strerror(-r));
		return r == -ETIMEDOUT ? r : fail(-EIO);
	}
	lock_take(&c->lock);
	c->mounted = true;
	c->number = (uint32_t)res.value;
	commit_block_locked(c, c->number);
	lock_give(&c->lock);
	return 0;
}

int commit_start(struct commit *c, uint64_t deadline_ns, char *err, size_t err_size)
{
	int r;

	c->worker = task_start("commit", commit_task, c);
	c->answerer = task_start("answer", commit_answer_task, c);
	if (!c->worker || !c->answerer) {
		snprintf(err, err_size, "no thread could be started");
		return fail(-EIO);
	}
	r = wait_booted(c, deadline_ns, err, err_size);
	if (r == 0 && !c->o.read_only)
		r = mount_commit(c, still_until(c, deadline_ns), err, err_size);
	return r;
}

int commit_stop(struct commit *c, uint64_t deadline_ns)
{
	struct op op = { .kind = OP_UNMOUNT };
	struct result res;
	bool mounted, left;
	int r = 0;

	lock_take(&c->lock);
	c->tip.stopping = true;
	mounted = c->mounted && c->tip.writes && !c->tip.halted;
	lock_give(&c->lock);
	if (mounted)
		r = commit_op_await(c, &op, true, deadline_ns, &res);
	lock_take(&c->lock);
	left = c->tip.pending > 0;
	c->mounted = false;
	lock_give(&c->lock);
	end(c);
	if (r == 0 && left)
		return fail(-EIO);
	return r;
}

struct view *commit_lock(struct commit *c)
{
	lock_take(&c->lock);
	return c->view;
}

void commit_unlock(struct commit *c)
{
	lock_give(&c->lock);
}

int commit_refresh(struct commit *c, uint64_t deadline_ns)
{
	LOCK_SCOPE(&c->lock);
	const uint64_t mine = ++c->refresh_asked;

	c->tip.refresh = true;
	cond_signal(&c->work);
	while (c->refresh_done < mine) {
		if (c->tip.halted || c->ending)
			return fail(-EIO);
		if (cond_wait(&c->changed, &c->lock, deadline_ns) == -ETIMEDOUT &&
		    c->refresh_done < mine)
			return fail(-ETIMEDOUT);
	}
	return 0;
}

uint64_t commit_verified_ns(struct commit *c)
{
	return c->verified_ns;
}

void commit_status_get(struct commit *c, struct commit_status *ret)
{
	LOCK_SCOPE(&c->lock);

	*ret = (struct commit_status){
		.applied_slot = c->slot,
		.tip_slot = c->slot,
		.pending_operations = c->tip.pending,
		.lost_operations = c->n_lost,
		.owned = c->tip.owns,
		.read_only = !c->tip.writes || c->tip.halted,
		.commit_p50_s = metric_quantile(c->seconds, 0.5),
		.commit_p99_s = metric_quantile(c->seconds, 0.99),
		.hash = c->hash,
		.verified_ns = c->verified_ns,
		.applied_bytes = c->applied_bytes,
	};
	memcpy(ret->owner, c->owner, INCARNATION_SIZE);
	memcpy(ret->incarnation, c->me, INCARNATION_SIZE);
}
