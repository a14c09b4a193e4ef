/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal alone: several proposers at the same few slots, with nothing polite between them.
 * What is rare beside a whole commit queue is common here.
 */
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

#include <stdio.h>

#define SLOTS 4u

static uint64_t patience_ms;

struct proposer {
	unsigned number;
	struct member member;
	unsigned group;
	struct task *task;
	struct record *frozen;
};

static struct record *compose(const struct proposer *p)
{
	struct record *r = record_new();

	if (!r)
		abort();
	r->time_ns = clock_now(); /* no two are equal */
	r->state_lo = p->number;
	if (sim_chance(70))
		memcpy(r->next, journal_incarnation(p->member.journal), INCARNATION_BYTES);
	return r;
}

static void start(struct proposer *p)
{
	const unsigned before = sim_group_enter(p->group = sim_group_new());

	if (member_open(&p->member, &world.cluster, p->number + 1, false))
		abort();
	sim_group_enter(before);
}

static bool over(const struct proposer *p)
{
	const uint64_t slot = journal_slot(p->member.journal);

	return slot != UINT64_MAX && slot + 1 >= SLOTS;
}

static void chosen(const struct proposer *p, const struct record *r)
{
	watch_chosen(journal_incarnation(p->member.journal), r);
}

/* One try at the next slot, with not much patience while the world is ill. Answers the result. */
static int propose(struct proposer *p, uint64_t patience_ns)
{
	_cleanup_(record_freep) struct record *other = NULL;
	int r;

	if (!p->frozen)
		p->frozen = compose(p);
	r = journal_propose(p->member.journal, p->frozen, clock_now() + patience_ns, &other);
	watch_say("proposer %u: propose %d", p->number, r);
	if (r == JOURNAL_CONFLICT)
		watch_fail("a proposer met a conflict");
	if (r == 0)
		chosen(p, p->frozen);
	if (r == JOURNAL_LOST)
		chosen(p, other);
	if (r == 0 || r == JOURNAL_LOST)
		p->frozen = record_free(p->frozen);
	return r;
}

static int learn(struct proposer *p, uint64_t patience_ns)
{
	_cleanup_(record_freep) struct record *r = NULL;
	const uint64_t known = watch_slot();
	const bool any = watch_records() > 0;
	int result = journal_learn(p->member.journal, clock_now() + patience_ns, &r);

	watch_say("proposer %u: learn %d", p->number, result);
	if (result == JOURNAL_CONFLICT)
		watch_fail("a learner met a conflict");
	if ((result == JOURNAL_NOTHING || result == JOURNAL_EMPTY) && any &&
	    journal_slot(p->member.journal) + 1 <= known)
		watch_fail("a learner found nothing in slot %llu, though it was chosen before",
			   (unsigned long long)(journal_slot(p->member.journal) + 1));
	if (result)
		return result;
	chosen(p, r);
	p->frozen = record_free(p->frozen);
	return 0;
}

/* Power off; what is on its way goes on. */
static void crash(struct proposer *p)
{
	watch_say("proposer %u crashes", p->number);
	sim_group_kill(p->group);
	p->frozen = record_free(p->frozen);
	start(p);
}

static void proposer_task(void *arg)
{
	struct proposer *p = arg;

	for (unsigned i = 0; i < 60 && !over(p); i++) {
		const uint64_t what = sim_below(100);

		if (what < 65)
			propose(p, (20 + sim_below(patience_ms)) * NS_PER_MS);
		else if (what < 80)
			learn(p, (20 + sim_below(1000)) * NS_PER_MS);
		else if (what < 90)
			crash(p);
		else
			sleep_for(sim_below(1000) * NS_PER_MS);
	}
}

/* A majority works: every slot is decided. */
static void finish(struct proposer *p)
{
	for (unsigned i = 0; i < 100 && !over(p); i++) {
		const int r = learn(p, 20 * NS_PER_S);

		if (r == JOURNAL_NOTHING || r == JOURNAL_EMPTY || r == JOURNAL_UNDETERMINED)
			propose(p, 20 * NS_PER_S);
	}
	if (!over(p))
		watch_fail("proposer %u gets nothing done though everything has healed", p->number);
}

void register_run(void)
{
	struct proposer p[PROPOSERS] = { { 0 } };

	patience_ms = 1000;

	if (sim_chance(75)) { /* accepts that reach one store here and one there */
		world.bad_percent = 0;
		world.drop_percent = 40 + (unsigned)sim_below(40);
		patience_ms = 30 + sim_below(200);
	}
	for (unsigned i = 0; i < PROPOSERS; i++) {
		p[i].number = i;
		start(&p[i]);
		p[i].task = task_start("proposer", proposer_task, &p[i]);
		if (!p[i].task)
			abort();
	}
	for (unsigned i = 0; i < PROPOSERS; i++)
		task_join(p[i].task);
	world_heal();
	for (unsigned i = 0; i < PROPOSERS; i++)
		finish(&p[i]);
	for (unsigned i = 0; i < PROPOSERS; i++) {
		record_free(p[i].frozen);
		member_close(&p[i].member);
	}
	watch_check_stores(&world.cluster);
}
