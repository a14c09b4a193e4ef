/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting a record chosen.
 *
 * (P1) Ballot 0 only by the owner, once per slot, for one record (journal.c keeps count).
 * (P2) Two phases propose the record of the highest ballot accepted below the promises of a
 *      majority; only if there is none, one's own.
 * (P3) A link that was made counts at its store; what was not made is read, and counts as well.
 */
#include "fs/journal/slot.h"

#include "base/plant.h"

#define BACKOFF_FIRST_NS (30 * NS_PER_MS)
#define BACKOFF_MOST_NS (2 * NS_PER_S)
/* Refused somewhere: whoever has not answered by then is not waited for in this ballot. */
#define REFUSED_NS (300 * NS_PER_MS)

/* How far a store has come in the present ballot. */
enum phase {
	PHASE_NEW,
	PHASE_PROMISING,
	PHASE_PROMISED,
	PHASE_ACCEPTING,
	PHASE_ACCEPTED,
	PHASE_REFUSED
};

struct two_phase {
	struct slot *slot;
	struct ballot ballot;
	enum phase phase[REPLICAS_MAX];
	struct blob *own;              /* the record to propose if free to choose; owned */
	const uint8_t *own_hash;
	struct blob *value;            /* fixed once a majority promised; owned */
	uint8_t value_hash[RECORD_HASH_SIZE];
};

/* Takes note of what a step told (P3). */
static int note(struct slot *s, unsigned i, enum acceptor_event event)
{
	if (event == ACCEPTOR_FAILED)
		s->failed |= 1ull << i;
	if (event == ACCEPTOR_MINE || event == ACCEPTOR_OTHER)
		return tally_see(&s->tally, i, &s->acceptors[i].top);
	return 0;
}

static bool answers_waiting(const struct slot *s)
{
	for_each_store(i, s->asked) {
		const struct acceptor *a = &s->acceptors[i];

		if (a->call && call_finished(&a->call->call))
			return true;
	}
	return false;
}

static int fast_start(struct slot *s, const struct ballot *b, struct blob *record,
		      const uint8_t *hash)
{
	for_each_store(i, s->asked) {
		struct acceptor *a = &s->acceptors[i];
		struct link l = { 0 };
		int r;

		if (!acceptor_idle(a) || a->any)
			continue;
		r = link_accept(NULL, b, record, hash, slot_prev(s), &l);
		if (r == 0)
			r = acceptor_make(a, &l);
		link_release(&l);
		if (r)
			return fail(r);
	}
	return 0;
}

int slot_fast(struct slot *s, const struct record *rec, uint64_t deadline_ns,
	      const struct tally_accept **ret)
{
	const struct ballot b = ballot_of(0, s->journal->me);
	_cleanup_(blob_unrefp) struct blob *record = blob_copy(buf_span(&rec->bytes));
	uint64_t lost = 0, until = deadline_ns;

	if (!record)
		return fail(-ENOMEM);
	for_each_store(i, s->journal->o.stores) {
		acceptor_forget_read(&s->acceptors[i]);
		lost |= (uint64_t)s->acceptors[i].any << i; /* somebody was here before */
	}
	slot_ask(s, journal_pick(s->journal));
	while (clock_now() < until) {
		enum tally_verdict v;
		int r = fast_start(s, &b, record, rec->hash);

		for_each_store(i, s->asked) {
			const enum acceptor_event event = acceptor_step(&s->acceptors[i]);

			if (event == ACCEPTOR_OTHER)
				lost |= 1ull << i;
			r = r ? r : note(s, i, event);
		}
		if (r)
			return r;
		v = tally_verdict(&s->tally, ret);
		if (v == TALLY_CHOSEN || v == TALLY_CONFLICT)
			return v == TALLY_CHOSEN ? 0 : JOURNAL_CONFLICT;
		if (s->journal->n_stores - (unsigned)__builtin_popcountll(lost) < s->tally.majority)
			break;
		if (lost && until == deadline_ns)
			until = MIN(deadline_ns, clock_now() + REFUSED_NS);
		if (slot_unreadable(s))
			return fail(-EBADMSG);
		slot_widen(s);
		if (!answers_waiting(s))
			slot_wait(s, until);
	}
	return JOURNAL_UNDETERMINED;
}

/* Begins the next link at a store that has nothing under way. 0, negative errno. */
static int advance(struct two_phase *t, unsigned i)
{
	struct acceptor *a = &t->slot->acceptors[i];
	struct link l = { 0 };
	enum phase next;
	int r;

	if (!acceptor_idle(a) || (t->phase[i] != PHASE_NEW && t->phase[i] != PHASE_PROMISED))
		return 0;
	if (t->value) {
		next = PHASE_ACCEPTING;
		r = link_accept(acceptor_top(a), &t->ballot, t->value, t->value_hash,
				slot_prev(t->slot), &l);
	} else if (t->phase[i] == PHASE_NEW) {
		next = PHASE_PROMISING;
		r = link_promise(acceptor_top(a), &t->ballot, slot_prev(t->slot), &l);
	} else {
		return 0;
	}
	if (r == LINK_REFUSED) {
		t->phase[i] = PHASE_REFUSED;
		return 0;
	}
	r = acceptor_make(a, &l);
	link_release(&l);
	if (r == 0)
		t->phase[i] = next;
	return r;
}

/* What a finished step means for the present ballot. */
static void move(struct two_phase *t, unsigned i, enum acceptor_event event)
{
	const struct link *top = acceptor_top(&t->slot->acceptors[i]);

	if (event == ACCEPTOR_OTHER)
		t->phase[i] = PHASE_NEW; /* the state moved: try upon the new top */
	if (event != ACCEPTOR_MINE)
		return;
	/* A link of an earlier ballot of one's own may be the one that was made. */
	if (ballot_compare(&top->promised, &t->ballot) != 0)
		t->phase[i] = PHASE_NEW;
	else if (t->phase[i] == PHASE_PROMISING)
		t->phase[i] = PHASE_PROMISED;
	else if (t->phase[i] == PHASE_ACCEPTING)
		t->phase[i] = PHASE_ACCEPTED;
}

static unsigned count_phase(const struct two_phase *t, enum phase least)
{
	unsigned n = 0;

	for_each_store(i, t->slot->asked)
		n += t->phase[i] >= least && t->phase[i] != PHASE_REFUSED;
	return n;
}

/* (P2) */
static void fix_value(struct two_phase *t)
{
	const struct link *best = NULL;

	if (t->value || count_phase(t, PHASE_PROMISED) < t->slot->tally.majority)
		return;
	for_each_store(i, t->slot->asked) {
		const struct link *l = acceptor_top(&t->slot->acceptors[i]);

		if (t->phase[i] != PHASE_PROMISED || !l->record)
			continue;
		if (!best || ballot_compare(&l->accepted, &best->accepted) > 0)
			best = l;
	}
	if (best && !plant(PLANT_ANY_VALUE)) {
		t->value = blob_ref(best->record);
		memcpy(t->value_hash, best->hash, RECORD_HASH_SIZE);
	} else {
		t->value = blob_ref(t->own);
		memcpy(t->value_hash, t->own_hash, RECORD_HASH_SIZE);
	}
}

static unsigned count_refused(const struct two_phase *t)
{
	unsigned n = 0;

	for_each_store(i, t->slot->asked)
		n += t->phase[i] == PHASE_REFUSED;
	return n;
}

static int step_all(struct two_phase *t)
{
	for_each_store(i, t->slot->asked) {
		const enum acceptor_event event = acceptor_step(&t->slot->acceptors[i]);
		int r = note(t->slot, i, event);

		if (r)
			return r;
		move(t, i, event);
	}
	fix_value(t);
	for_each_store(i, t->slot->asked) {
		int r = advance(t, i);

		if (r)
			return r;
	}
	return 0;
}

/*
 * One ballot: 0 chosen, JOURNAL_CONFLICT, JOURNAL_LOST (refused: another round),
 * JOURNAL_UNDETERMINED (time).
 */
static int run_ballot(struct two_phase *t, uint64_t deadline_ns, const struct tally_accept **ret)
{
	struct slot *s = t->slot;
	uint64_t until = deadline_ns;

	while (clock_now() < until) {
		enum tally_verdict v;
		int r = step_all(t);

		if (r)
			return r;
		v = tally_verdict(&s->tally, ret);
		if (v == TALLY_CHOSEN || v == TALLY_CONFLICT)
			return v == TALLY_CHOSEN ? 0 : JOURNAL_CONFLICT;
		if (s->journal->n_stores - count_refused(t) < s->tally.majority)
			return JOURNAL_LOST;
		if (count_refused(t) && until == deadline_ns)
			until = MIN(deadline_ns, clock_now() + REFUSED_NS);
		if (slot_unreadable(s))
			return fail(-EBADMSG);
		slot_widen(s);
		if (!answers_waiting(s))
			slot_wait(s, until);
	}
	return until < deadline_ns ? JOURNAL_LOST : JOURNAL_UNDETERMINED;
}

static void next_ballot(struct two_phase *t)
{
	struct journal *j = t->slot->journal;

	j->mine.round = MAX(j->mine.round, t->slot->tally.round) + 1;
	t->ballot = ballot_of(j->mine.round, j->me);
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		t->phase[i] = PHASE_NEW;
	t->value = blob_unref(t->value);
}

int slot_two_phase(struct slot *s, const struct record *rec, uint64_t deadline_ns,
		   const struct tally_accept **ret)
{
	struct two_phase t = { .slot = s,
			       .own = blob_copy(buf_span(&rec->bytes)),
			       .own_hash = rec->hash };
	uint64_t backoff = BACKOFF_FIRST_NS;
	int r;

	if (!t.own)
		return fail(-ENOMEM);
	for_each_store(i, s->journal->o.stores)
		acceptor_forget_read(&s->acceptors[i]);
	slot_ask(s, journal_pick(s->journal));
	for (;;) {
		next_ballot(&t);
		r = run_ballot(&t, deadline_ns, ret);
		if (r != JOURNAL_LOST)
			break;
		sleep_until(MIN(deadline_ns, clock_now() + backoff / 2 + random_u64() % backoff));
		backoff = MIN(2 * backoff, BACKOFF_MOST_NS);
	}
	/* the next try begins above it */
	s->journal->mine.round = MAX(s->journal->mine.round, s->tally.round);
	blob_unref(t.value);
	blob_unref(t.own);
	if (r == JOURNAL_UNDETERMINED && count_phase(&t, PHASE_PROMISED) < s->tally.majority &&
	    s->failed)
		return slot_failure(s);
	return r;
}
