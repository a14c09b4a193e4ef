/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of a machine do, what they are told, and how the machine ends and comes back.
 */
#include "fs/ns/lookup.h"
#include "tests/sim/plants.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <sys/stat.h>

#define START_NS (120 * NS_PER_S)

/* Events of the commit queue. */

static void on_lost(const struct op *op, const struct result *said, const struct result *now,
		    void *arg)
{
	const struct machine *m = arg;

	watch_lost(journal_incarnation(m->member.journal), op, now);
}

static void on_stopped(const char *why, void *arg)
{
	const struct machine *m = arg;

	watch_fail("machine %u stopped: %s", m->number, why);
}

/* Its tasks stop where they are, in the middle of a walk perhaps. */
static void power_off(struct machine *m)
{
	sim_group_kill(m->group);
	kv_memory_cut(m->kv);
}

void machine_start(struct machine *m)
{
	const struct commit_events ev = { .lost = on_lost, .stopped = on_stopped, .arg = m };
	unsigned before;
	int r;

	while (!m->up) {
		m->group = sim_group_new();
		before = sim_group_enter(m->group);
		plant_machine = (uint8_t)m->number;
		r = member_open(&m->member, &world.cluster, m->number + 1, false);
		if (r)
			watch_fail("no memory");
		r = member_mount(&m->member, m->kv, &world.options, &ev, clock_now() + START_NS);
		sim_group_enter(before);
		m->up = r == 0;
		watch_say("machine %u: mount %d", m->number, r);
		if (r && world.healed)
			watch_fail("machine %u cannot mount: %d", m->number, r);
		if (r)
			power_off(m);
		if (r && m->restarts++ > 4)
			return;
	}
}

void machine_stop(struct machine *m, uint64_t deadline_ns)
{
	uint8_t me[INCARNATION_SIZE];
	int r;

	memcpy(me, journal_incarnation(m->member.journal), sizeof(me));
	r = commit_stop(m->member.commit, deadline_ns);
	watch_say("machine %u: unmount %d", m->number, r);
	if (r == 0)
		watch_synced(me);
	else if (world.healed)
		watch_fail("machine %u cannot unmount: %d", m->number, r);
	m->up = false;
	member_close(&m->member);
}

/* Power off. What it had, in memory and under way, is gone; the database is as it was, or lost. */
static void machine_crash(struct machine *m)
{
	watch_say("machine %u crashes", m->number);
	power_off(m);
	m->up = false;
	if (sim_chance(25))
		m->kv = kv_memory(COL_COUNT);
	if (!m->kv)
		abort();
}

/* Operations */

struct request {
	struct machine *m;
	struct op op;
	char name[16], to[16];
	uint8_t who[INCARNATION_SIZE];
	uint64_t no;
	bool done; /* answered */
	bool left; /* nobody waits: freed with the answer */
	struct result res;
	struct lock lock;
	struct cond cond;
};

static void random_name(char ret[16])
{
	snprintf(ret, 16, "n%u", (unsigned)sim_below(NAMES));
}

static uint64_t find(struct machine *m, const char *name)
{
	struct view *v = commit_lock(m->member.commit);
	uint64_t ino = 0;
	const int r = ns_lookup(v, ROOT_INO, span_str(name), &ino, NULL);

	commit_unlock(m->member.commit);
	return r ? 0 : ino;
}

/* What a program wants next. false: nothing to do it to. */
static bool draw_op(struct machine *m, struct request *q)
{
	struct op *op = &q->op;

	random_name(q->name);
	random_name(q->to);
	*op = (struct op){ .parent = ROOT_INO, .name = span_str(q->name) };
	switch (sim_below(6)) {
	case 0:
	case 1:
		op->kind = OP_CREATE;
		op->mode = S_IFREG | 0644;
		return commit_new_ino(m->member.commit, &op->ino) == 0;
	case 2:
		op->kind = OP_MKDIR;
		op->mode = S_IFDIR | 0755;
		return commit_new_ino(m->member.commit, &op->ino) == 0;
	case 3:
		op->kind = sim_chance(70) ? OP_UNLINK : OP_RMDIR;
		op->saw = SAW_ANYTHING;
		return true;
	case 4:
		op->kind = OP_RENAME;
		op->to_parent = ROOT_INO;
		op->to_name = span_str(q->to);
		op->saw = op->saw_to = SAW_ANYTHING;
		return true;
	default:
		op->kind = OP_SETATTR;
		op->parent = 0;
		op->name = SPAN_NULL;
		op->ino = find(m, q->name);
		op->set = OP_SET_MODE;
		op->mode = (uint32_t)sim_below(0777);
		return op->ino != 0;
	}
}

static void request_free(struct request *q)
{
	cond_release(&q->cond);
	lock_release(&q->lock);
	free(q);
}

static void answered(const struct result *res, void *arg)
{
	struct request *q = arg;
	bool left;

	if (res->error != -EIO)
		watch_told(q->who, q->no, &q->op, TOLD_COMMITTED, res);
	lock_take(&q->lock);
	q->done = true;
	q->res = *res;
	left = q->left;
	cond_signal(&q->cond);
	lock_give(&q->lock);
	if (left)
		request_free(q);
}

/* Waits for the answer; who has no more patience leaves. Answers whether it came. */
static bool request_wait(struct request *q, uint64_t deadline_ns)
{
	bool done;

	lock_take(&q->lock);
	while (!q->done && clock_now() < deadline_ns)
		cond_wait(&q->cond, &q->lock, deadline_ns);
	done = q->done;
	q->left = !done;
	lock_give(&q->lock);
	return done;
}

static struct request *request_new(struct machine *m)
{
	struct request *q = calloc(1, sizeof(*q));

	if (!q)
		abort();
	q->m = m;
	memcpy(q->who, journal_incarnation(m->member.journal), INCARNATION_SIZE);
	lock_init(&q->lock, RANK_LEAF);
	cond_init(&q->cond);
	return q;
}

/*
 * Submits; tells the watch what was answered early. Answers whether an answer is to be waited for.
 */
static bool request_submit(struct request *q, enum commit_how how)
{
	int r = commit_submit(q->m->member.commit, &q->op, how, answered, q, &q->res, &q->no);

	watch_say("machine %u: %s %s %s: %d, %d, number %llu", q->m->number,
		  op_kind_name(q->op.kind), q->name, how == COMMIT_EARLY ? "early" : "ordered", r,
		  r ? 0 : q->res.error, (unsigned long long)q->no);
	if (r == 0 && q->no)
		watch_told(q->who, q->no, &q->op, TOLD_EARLY, &q->res);
	return r == COMMIT_LATER;
}

static void some_op(struct machine *m)
{
	struct request *q = request_new(m);
	const enum commit_how how = sim_chance(80) ? COMMIT_EARLY : COMMIT_ORDERED;
	const uint64_t patience = sim_chance(20) ? NS_PER_S / 10 : 70 * NS_PER_S;

	if (!draw_op(m, q) || !request_submit(q, how) || request_wait(q, clock_now() + patience))
		request_free(q);
}

static void some_sync(struct machine *m)
{
	const int r = commit_sync_wait(m->member.commit, 0, clock_now() + 60 * NS_PER_S);

	watch_say("machine %u: sync %d", m->number, r);
	if (r == 0)
		watch_synced(journal_incarnation(m->member.journal));
}

static void some_look(struct machine *m)
{
	const uint64_t chosen = watch_slot();
	const int r = commit_refresh(m->member.commit, clock_now() + 20 * NS_PER_S);
	struct commit_status st;

	commit_status_get(m->member.commit, &st);
	watch_say("machine %u: look %d, slot %llu", m->number, r,
		  (unsigned long long)st.applied_slot);
	if (r == 0 && st.applied_slot < chosen)
		watch_fail(
			"machine %u looked and saw slot %llu, though slot %llu was chosen before",
			m->number, (unsigned long long)st.applied_slot, (unsigned long long)chosen);
}

static void some_end(struct machine *m)
{
	if (sim_chance(40))
		machine_stop(m, clock_now() + 10 * NS_PER_S);
	else
		machine_crash(m);
	sleep_for(sim_below(3000) * NS_PER_MS);
}

void machine_programs(void *arg)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < world.steps; i++) {
		const uint64_t what = sim_below(100);

		if (!m->up)
			machine_start(m);
		if (!m->up)
			break;
		if (what < 60)
			some_op(m);
		else if (what < 70)
			some_sync(m);
		else if (what < 82)
			some_look(m);
		else if (what < 85)
			some_end(m);
		else
			sleep_for(sim_below(3000) * NS_PER_MS);
	}
}

void machine_must_work(struct machine *m)
{
	struct request *q;

	if (!m->up)
		machine_start(m);
	q = request_new(m);
	snprintf(q->name, sizeof(q->name), "last%u", m->number);
	q->op = (struct op){ .kind = OP_CREATE,
			     .parent = ROOT_INO,
			     .name = span_str(q->name),
			     .mode = S_IFREG | 0600 };
	if (commit_new_ino(m->member.commit, &q->op.ino))
		watch_fail("machine %u has no inode number", m->number);
	if (!request_submit(q, COMMIT_ORDERED) || !request_wait(q, clock_now() + 120 * NS_PER_S) ||
	    q->res.error)
		watch_fail("machine %u gets nothing done though everything has healed: %d",
			   m->number, q->res.error);
	request_free(q);
	some_sync(m);
	some_look(m);
}
