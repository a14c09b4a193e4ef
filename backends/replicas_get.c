/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from one of several stores (R1), on the thread that asks.
 *
 * (G1) The best store is asked; the next in addition when the answer is late, and at once
 *      after a failure. The first good answer wins, the others are cancelled.
 * (G2) A passing failure is tried again after a while, until the deadline. A lasting one and
 *      "no such object" or "another one" are not. Who has the object may be another store.
 * (G3) The breaker only orders: a store that it holds back is asked when no other is left.
 * (G4) A store for which a third of the readers wait too long already comes after the others.
 */
#include "backends/rank.h"
#include "backends/replicas_i.h"
#include "backends/retry.h"

enum asked {
	ASKED_NOT,    /* not yet, or not one of ours */
	ASKED_FLYING,
	ASKED_AGAIN,  /* failed; may be asked again from retry_ns on */
	ASKED_DONE,   /* gave its last word: result */
};

struct reader {
	struct replicas *replicas;
	const struct get_req *req;
	uint64_t bytes; /* a guess, to rank by */
	uint64_t candidates, missing, changed;
	struct {
		enum asked asked;
		struct attempt *attempt; /* the last one; holds a reference */
		unsigned failures;
		uint64_t retry_ns;
		int result;
	} of[REPLICAS_MAX];
	unsigned flying;
	uint64_t hedge_ns; /* the answers in flight are late from then on */
	bool at_once;      /* something failed: the next is due */
	bool decided;
	int result;
	unsigned winner;
	struct cond wake;
};

static void decide(struct reader *g, int result)
{
	g->decided = true;
	g->result = result;
}

/* Everybody gave its last word, and none is an answer. */
static int last_words(struct reader *g)
{
	bool refused = false;

	if (g->candidates && g->missing == g->candidates)
		return STORE_MISSING;
	if (g->changed)
		return STORE_CHANGED;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (g->of[i].asked != ASKED_DONE)
			continue;
		if (g->of[i].result == STORE_RANGE) {
			g->winner = i;
			return STORE_RANGE;
		}
		refused |= g->of[i].result == -EACCES;
	}
	return fail(refused ? -EACCES : -EIO);
}

/* The deadline has come. That the object was replaced is known, even if not all were heard. */
static int too_late(const struct reader *g)
{
	return g->changed ? STORE_CHANGED : fail(-ETIMEDOUT);
}

/* The answer of a store as one about the object that was asked for (if_match_at). */
static int judge(const struct reader *g, unsigned i, const struct attempt *a)
{
	const struct get_match *m = g->req->if_match_at ? &g->req->if_match_at[i] : NULL;
	const struct store_call *c = a->call;

	if (!m || (a->result != 0 && a->result != STORE_RANGE))
		return a->result;
	if (a->result == STORE_RANGE)
		return g->req->offset < m->size ? STORE_CHANGED : STORE_RANGE;
	if (c->size != m->size)
		return STORE_CHANGED;
	if (m->version && m->version[0])
		return 0; /* the store has compared it */
	return m->modified_s && c->modified_s && c->modified_s != m->modified_s ? STORE_CHANGED : 0;
}

static void take_answer(struct reader *g, unsigned i, uint64_t now)
{
	struct attempt *a = g->of[i].attempt;
	const int result = judge(g, i, a);

	g->of[i].result = result;
	switch (retry_get_class(result)) {
	case RETRY_DONE:
		g->of[i].asked = ASKED_DONE;
		if (result == STORE_MISSING)
			g->missing |= 1ull << i;
		if (result == STORE_CHANGED)
			g->changed |= 1ull << i;
		if (result == 0) {
			g->winner = i;
			decide(g, 0);
		}
		break;
	case RETRY_LATER: /* (G2) */
		g->of[i].asked = ASKED_AGAIN;
		g->of[i].failures++;
		g->of[i].retry_ns = now + retry_delay_ns(g->of[i].failures, a->retry_after_ms,
							 random_u64());
		break;
	case RETRY_NEVER:
		g->of[i].asked = ASKED_DONE;
		break;
	}
}

static void take_answers_locked(struct reader *g, uint64_t now)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < REPLICAS_MAX && !g->decided; i++) {
		if (g->of[i].asked == ASKED_FLYING && g->of[i].attempt->finished) {
			g->flying--;
			g->at_once = true;
			take_answer(g, i, now);
		}
		if ((g->candidates >> i & 1) && g->of[i].asked != ASKED_DONE)
			open |= 1ull << i;
	}
	if (!g->decided && !open)
		decide(g, last_words(g));
}

static bool may_ask(const struct reader *g, unsigned i, uint64_t now)
{
	if (!(g->candidates >> i & 1))
		return false;
	return g->of[i].asked == ASKED_NOT ||
	       (g->of[i].asked == ASKED_AGAIN && now >= g->of[i].retry_ns);
}

static struct rank_entry rank_entry_locked(const struct reader *g, unsigned i, uint64_t now)
{
	const struct replica *r = &g->replicas->replica[i];
	const struct estimate *e = &r->health.estimate;

	return (struct rank_entry){
		.store = i,
		.broken = r->health.breaker != BREAKER_CLOSED, /* (G3) */
		.crowded = r->late > 1 && 3 * r->late > g->replicas->sync.readers, /* (G4) */
		.unknown = estimate_is_stale(e, now) && r->in_flight == 0,
		/* What is in flight there shares the line with us, more or less. */
		.expected_s = estimate_expected_s(e, TRANSFER_READ,
						  g->bytes + r->in_flight_bytes / 4),
		.price = r->read_price,
	};
}

/* The store to ask next, or -1: nobody now. */
static int choose_locked(struct reader *g, uint64_t now)
{
	struct rank_entry entries[REPLICAS_MAX];
	size_t n = 0;

	if (g->flying && !g->at_once && now < g->hedge_ns)
		return -1;
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (may_ask(g, i, now))
			entries[n++] = rank_entry_locked(g, i, now);
	rank_sort(entries, n);
	return n ? (int)entries[0].store : -1;
}

/* Those in flight have not answered in time. */
static void mark_late_locked(struct reader *g)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct replica *r = &g->replicas->replica[i];

		if (g->of[i].asked != ASKED_FLYING || g->of[i].attempt->late)
			continue;
		g->of[i].attempt->late = true;
		r->late++;
		r->hedged++;
	}
}

/*
 * An answer is late when it is late for the store that was asked, or would be for one of the others
 * that could be: one that has become slow must not set the measure by its own slowness.
 */
static uint64_t hedge_ns_locked(const struct reader *g, unsigned asked)
{
	uint64_t least = NEVER, one;

	for (unsigned i = 0; i < replicas_count(g->replicas); i++) {
		const struct health *h = &g->replicas->replica[i].health;

		if (i != asked && (g->of[i].asked != ASKED_NOT || !(g->candidates >> i & 1) ||
				   h->breaker != BREAKER_CLOSED))
			continue;
		one = estimate_hedge_ns(&h->estimate, g->bytes);
		least = MIN(least, one);
	}
	return least;
}

static void ask_locked(struct reader *g, unsigned i, uint64_t now)
{
	struct replicas *r = g->replicas;
	struct get_req req = *g->req;
	struct attempt *a = attempt_begin_locked(r, i, HEALTH_READ, g->bytes);

	if (!a) {
		decide(g, fail(-ENOMEM));
		return;
	}
	if (g->of[i].attempt) {
		struct attempt *before = g->of[i].attempt;

		lock_give(&r->sync.lock);
		attempt_unref(before);
		lock_take(&r->sync.lock);
	}
	a->reader = &g->wake;
	g->of[i].attempt = a;
	g->of[i].asked = ASKED_FLYING;
	g->flying++;
	g->at_once = false;
	g->hedge_ns = now + hedge_ns_locked(g, i);
	req.deadline_ns = attempt_deadline(now, g->bytes, req.deadline_ns);
	if (req.if_match_at) {
		const char *version = req.if_match_at[i].version;

		req.if_match = version && version[0] ? version : NULL;
		req.if_match_at = NULL;
	}
	lock_give(&r->sync.lock); /* (A1) */
	attempt_send_get(a, &req);
	lock_take(&r->sync.lock);
}

/* When something is to be done although nobody answers. */
static uint64_t wake_at(const struct reader *g, uint64_t now)
{
	uint64_t at = g->req->deadline_ns;

	if (g->flying && !g->at_once && now < g->hedge_ns)
		return MIN(at, g->hedge_ns);
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (g->of[i].asked == ASKED_AGAIN)
			at = MIN(at, g->of[i].retry_ns);
	return at;
}

static void read_locked(struct reader *g)
{
	struct replicas *r = g->replicas;
	uint64_t now;
	int i;

	for (;;) {
		now = clock_now();
		take_answers_locked(g, now);
		if (!g->decided && r->sync.stopping)
			decide(g, -ECANCELED);
		if (!g->decided && now >= g->req->deadline_ns)
			decide(g, too_late(g));
		if (g->decided)
			return;
		if (g->flying && now >= g->hedge_ns)
			mark_late_locked(g);
		i = choose_locked(g, now);
		if (i >= 0)
			ask_locked(g, (unsigned)i, now);
		else
			(void)cond_wait(&g->wake, &r->sync.lock, wake_at(g, now));
	}
}

/* The losers are cancelled, and the late ones judged now: as cancelled they would never tell. */
static void leave_locked(struct reader *g, struct cancel_list *cancel)
{
	uint64_t now = clock_now();

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct attempt *a = g->of[i].attempt;

		if (!a)
			continue;
		a->reader = NULL;
		if (a->late)
			attempt_judge_late_locked(a, HEALTH_BAD, now);
		cancel_list_add_locked(cancel, a);
	}
}

static int hand_over(struct reader *g, struct buf *ret, unsigned *ret_store, uint64_t *ret_missing)
{
	int r = g->result;

	if (r == 0)
		r = buf_move(ret, &g->of[g->winner].attempt->call->body);
	if (ret_store && (r == 0 || r == STORE_RANGE))
		*ret_store = g->winner;
	if (ret_missing)
		*ret_missing = g->missing | g->changed;
	return r;
}

int replicas_get(struct replicas *r, const struct get_req *req, uint64_t have, uint64_t avoid,
		 struct buf *ret, unsigned *ret_store, uint64_t *ret_missing)
{
	struct reader g = {
		.replicas = r,
		.req = req,
		.bytes = req->length ?: MIN(req->limit, (size_t)MiB),
		.candidates = have & ~avoid & ((1ull << replicas_count(r)) - 1),
	};
	struct cancel_list cancel = { 0 };
	int result;

	cond_init(&g.wake);
	lock_take(&r->sync.lock);
	r->sync.readers++;
	read_locked(&g);
	leave_locked(&g, &cancel);
	lock_give(&r->sync.lock);
	cancel_list_run(&cancel);
	result = hand_over(&g, ret, ret_store, ret_missing);
	for (unsigned i = 0; i < replicas_count(r); i++)
		if (g.of[i].attempt)
			attempt_unref(g.of[i].attempt);
	cond_release(&g.wake);
	lock_take(&r->sync.lock);
	r->sync.readers--;
	cond_broadcast(&r->sync.idle);
	lock_give(&r->sync.lock);
	return result;
}
