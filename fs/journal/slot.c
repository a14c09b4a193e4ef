/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/slot.h"

#include "base/plant.h"

/*
 * A store that is left out at first (open breaker, long queue) is asked after all when the others
 * are slow.
 */
#define PATIENCE_NS (500 * NS_PER_MS)
/* A learner that has read a majority waits this much longer for the others to settle a doubt. */
#define SETTLE_LEAST_NS (100 * NS_PER_MS)
#define SETTLE_MOST_NS NS_PER_S
#define SETTLE_FACTOR 3
/* A link that cannot be opened is read so often: the bit may have flipped on the way. */
#define UNREADABLE_TRIES 3
/* And the links of the next slot are asked for so long, whatever the deadline. */
#define NAME_NS NS_PER_S

struct slot *slot_open(struct journal *j)
{
	struct slot *s;

	/* One's own older links are met again only if they were forgotten. */
	if (plant(PLANT_COMPARE_BY_AUTHOR))
		slot_close(j);
	s = j->open;
	if (s) {
		s->failed = 0;
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->journal = j;
	s->number = journal_tip(j);
	tally_init(&s->tally, j->n_stores, j->last.next, j->last.hash);
	for_each_store(i, j->o.stores)
		acceptor_init(&s->acceptors[i], j, i, s->number);
	j->open = s;
	return s;
}

void slot_close(struct journal *j)
{
	struct slot *s = take_ptr(&j->open);

	if (!s)
		return;
	for_each_store(i, j->o.stores)
		acceptor_release(&s->acceptors[i]);
	tally_release(&s->tally);
	free(s);
}

void slot_ask(struct slot *s, uint64_t stores)
{
	s->asked |= stores & s->journal->o.stores;
	s->patience_ns = clock_now() + PATIENCE_NS;
}

void slot_widen(struct slot *s)
{
	if (s->asked != s->journal->o.stores && (s->failed || clock_now() >= s->patience_ns))
		slot_ask(s, s->journal->o.stores);
}

void slot_wait(struct slot *s, uint64_t deadline_ns)
{
	struct call *calls[REPLICAS_MAX] = { NULL };
	size_t n = 0;

	if (s->asked != s->journal->o.stores)
		deadline_ns = MIN(deadline_ns, s->patience_ns);
	for_each_store(i, s->asked) {
		struct acceptor *a = &s->acceptors[i];

		if (a->call)
			calls[n++] = &a->call->call;
		else if (!acceptor_idle(a))
			deadline_ns = MIN(deadline_ns, a->retry_ns);
	}
	if (n > 0)
		calls_wait(calls, n, 1, deadline_ns);
	else
		sleep_until(deadline_ns);
}

bool slot_unreadable(const struct slot *s)
{
	unsigned n = 0;

	for_each_store(i, s->asked) {
		const struct acceptor *a = &s->acceptors[i];

		n += !acceptor_idle(a) && a->error == -EBADMSG && a->tries >= UNREADABLE_TRIES;
	}
	return s->journal->n_stores - n < s->tally.majority;
}

int slot_failure(const struct slot *s)
{
	if (slot_unreadable(s))
		return fail(-EBADMSG);
	for_each_store(i, s->asked) {
		const int error = s->acceptors[i].error;

		if (error == -EIO || error == -EACCES || error == -ENOSPC)
			return fail(-EIO);
	}
	return fail(-ETIMEDOUT);
}

static int learn_step(struct slot *s, unsigned i)
{
	struct acceptor *a = &s->acceptors[i];
	const uint64_t bit = 1ull << i;

	if (acceptor_idle(a) && !(s->tally.complete & bit))
		acceptor_read(a);
	switch (acceptor_step(a)) {
	case ACCEPTOR_LINK:
		if (plant(PLANT_LINK_0))
			tally_complete(&s->tally, i);
		return tally_see(&s->tally, i, &a->top);
	case ACCEPTOR_MINE: /* of an earlier try of ours */
	case ACCEPTOR_OTHER:
		return tally_see(&s->tally, i, &a->top);
	case ACCEPTOR_TOP:
		tally_complete(&s->tally, i);
		return 0;
	case ACCEPTOR_FAILED:
		s->failed |= bit;
		return 0;
	default:
		return 0;
	}
}

/* Is an answer there that was not looked at yet, or a link to ask for? */
static bool learn_busy(const struct slot *s)
{
	for_each_store(i, s->asked & ~s->tally.complete) {
		const struct acceptor *a = &s->acceptors[i];

		if (acceptor_idle(a) || (a->call && call_finished(&a->call->call)))
			return true;
	}
	return false;
}

/* Waits until a majority has said what is there, or nobody is left to say it. */
static void await_majority(struct journal *j, struct call *const *calls, uint64_t deadline_ns)
{
	for (;;) {
		unsigned known = 0, finished = 0, all = 0;

		for (unsigned i = 0; i < REPLICAS_MAX; i++) {
			const bool over = calls[i] && call_finished(calls[i]);

			all += calls[i] != NULL;
			finished += over;
			known += over &&
				 (calls[i]->result == 0 || calls[i]->result == STORE_MISSING);
		}
		if (known >= j->n_stores / 2 + 1 || finished == all)
			return;
		if (calls_wait(calls, REPLICAS_MAX, finished + 1, deadline_ns) < 0)
			return;
	}
}

/*
 * Reads the first links of another slot at these stores. A store that is away does not keep the
 * others' answers back.
 */
static void read_first(struct journal *j, uint64_t slot, uint64_t stores, uint64_t deadline_ns,
		       void (*fn)(enum acceptor_event event, const struct acceptor *a, void *arg),
		       void *arg)
{
	struct acceptor first[REPLICAS_MAX];
	struct call *calls[REPLICAS_MAX] = { NULL };

	for_each_store(i, stores) {
		acceptor_init(&first[i], j, i, slot);
		acceptor_read(&first[i]);
		calls[i] = first[i].call ? &first[i].call->call : NULL;
	}
	await_majority(j, calls, deadline_ns);
	for_each_store(i, stores) {
		fn(acceptor_step(&first[i]), &first[i], arg);
		acceptor_release(&first[i]);
	}
}

static void count_empty(enum acceptor_event event, const struct acceptor *a, void *arg)
{
	unsigned *n = arg;

	*n += event == ACCEPTOR_TOP;
}

int slot_empty(struct journal *j, uint64_t slot, uint64_t deadline_ns)
{
	unsigned n = 0;

	read_first(j, slot, journal_pick(j), deadline_ns, count_empty, &n);
	return n >= j->n_stores / 2 + 1 ? 0 : JOURNAL_UNDETERMINED;
}

static void take_name(enum acceptor_event event, const struct acceptor *a, void *arg)
{
	struct tally *t = arg;

	if (event == ACCEPTOR_LINK)
		tally_name(t, a->top.prev);
}

/*
 * The chains of the slot itself do not tell: a link of the next slot names the record, if one was
 * chosen.
 */
static void learn_name(struct slot *s)
{
	read_first(s->journal, s->number + 1, s->asked, clock_now() + NAME_NS, take_name,
		   &s->tally);
}

static int verdict_result(enum tally_verdict v)
{
	switch (v) {
	case TALLY_CHOSEN:
		return 0;
	case TALLY_NOTHING:
		return JOURNAL_NOTHING;
	case TALLY_CONFLICT:
		return JOURNAL_CONFLICT;
	default:
		return JOURNAL_UNDETERMINED;
	}
}

static uint64_t settle_ns(uint64_t reading_ns)
{
	const uint64_t ns = SETTLE_LEAST_NS + SETTLE_FACTOR * reading_ns;

	return MIN(ns, SETTLE_MOST_NS);
}

/* Reads chains until they say something, or a majority was read and the rest had its time. */
static int learn_chains(struct slot *s, uint64_t deadline_ns, const struct tally_accept **ret)
{
	const uint64_t begun = clock_now();
	uint64_t until = deadline_ns;
	bool settling = false;

	for (;;) {
		enum tally_verdict v;
		uint64_t now;

		for_each_store(i, s->asked) {
			int r = learn_step(s, i);

			if (r)
				return r;
		}
		v = tally_verdict(&s->tally, ret);
		if (v != TALLY_OPEN)
			return verdict_result(v);
		if (learn_busy(s))
			continue;
		now = clock_now();
		/* what was read leaves a doubt: ask the others, too */
		if (s->tally.complete == s->asked) {
			if (s->asked == s->journal->o.stores)
				return JOURNAL_UNDETERMINED;
			slot_ask(s, s->journal->o.stores);
		}
		if ((unsigned)__builtin_popcountll(s->tally.complete) >= s->tally.majority &&
		    !settling) {
			settling = true;
			until = MIN(deadline_ns, now + settle_ns(now - begun));
		}
		if (now >= until)
			return settling ? JOURNAL_UNDETERMINED : slot_failure(s);
		slot_widen(s);
		slot_wait(s, until);
	}
}

int slot_learn(struct slot *s, uint64_t deadline_ns, const struct tally_accept **ret)
{
	int r;

	s->tally.complete = 0; /* of this look alone */
	for_each_store(i, s->journal->o.stores)
		acceptor_forget_read(&s->acceptors[i]);
	s->asked = 0;
	slot_ask(s, journal_pick(s->journal));
	r = learn_chains(s, deadline_ns, ret);
	if (r != JOURNAL_UNDETERMINED || s->tally.named)
		return r;
	learn_name(s);
	return verdict_result(tally_verdict(&s->tally, ret));
}
