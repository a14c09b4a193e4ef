/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/acceptor.h"

#include "base/log.h"
#include "base/plant.h"

#define RETRY_FIRST_NS (50 * NS_PER_MS)
#define RETRY_MOST_NS (2 * NS_PER_S)

void acceptor_init(struct acceptor *a, struct journal *j, unsigned store, uint64_t slot)
{
	*a = (struct acceptor){ .journal = j, .store = store, .slot = slot };
}

static void making_release(struct acceptor *a)
{
	link_release(&a->making);
	a->sealed = blob_unref(a->sealed);
}

/* It goes on: a late copy is welcome, and a late answer tells how the store is. */
static void let_go(struct acceptor *a)
{
	if (!a->call)
		return;
	journal_let_go(a->journal, a->store, a->slot, take_ptr(&a->call),
		       a->sealed ? blob_span(a->sealed).len : 0);
}

void acceptor_release(struct acceptor *a)
{
	let_go(a);
	making_release(a);
	link_release(&a->top);
}

void acceptor_forget_read(struct acceptor *a)
{
	if (a->doing != ACCEPTOR_READING)
		return;
	let_go(a);
	a->doing = ACCEPTOR_IDLE;
}

static struct link_place next_place(const struct acceptor *a)
{
	return journal_place(a->journal, a->store, a->slot, a->any ? a->top.place.k + 1 : 0);
}

/* Takes the link as the new top. */
static void top_set(struct acceptor *a, struct link *takes)
{
	link_release(&a->top);
	a->top = *takes;
	*takes = (struct link){ 0 };
	a->any = true;
	journal_note_seen(a->journal, a->store, a->slot);
}

static uint64_t retry_delay(unsigned tries, const struct store_call *c)
{
	const unsigned doublings = MIN(tries, 6u);
	uint64_t ns = RETRY_FIRST_NS << doublings;

	if (c)
		ns = MAX(ns, c->retry_after_ms * NS_PER_MS);
	ns = MIN(ns, RETRY_MOST_NS);
	return ns / 2 + random_u64() % (ns / 2 + 1);
}

static enum acceptor_event attempt_failed(struct acceptor *a, int error)
{
	a->error = error;
	a->retry_ns = clock_now() + retry_delay(a->tries++, a->call);
	return ACCEPTOR_FAILED;
}

static int start_put(struct acceptor *a)
{
	char name[LINK_NAME_MAX];
	struct put_req r = { .body = a->sealed, .cond = PUT_IF_ABSENT };

	link_name(&a->making.place, name);
	r.name = span_str(name);
	r.deadline_ns = clock_now() + a->journal->o.attempt_ns;
	return store_put(replicas_store(a->journal->o.replicas, a->store), &r, &a->call);
}

static enum acceptor_event start(struct acceptor *a)
{
	const struct link_place place = next_place(a);
	int r;

	if (a->doing == ACCEPTOR_PUTTING)
		r = start_put(a);
	else
		r = journal_get_link(a->journal, &place, a->store, &a->call);
	return r ? attempt_failed(a, r) : ACCEPTOR_QUIET;
}

void acceptor_read(struct acceptor *a)
{
	assert(acceptor_idle(a));
	a->doing = ACCEPTOR_READING;
	a->tries = 0;
	start(a);
}

/* Seals what is being made: once, so that every attempt puts the same bytes (A2). */
static int seal_making(struct acceptor *a)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(LINK_PLAIN_MAX);
	uint8_t id[16];
	int r = link_encode(&a->making, &plain);

	if (r)
		return fail(r);
	link_object_id(&a->making.place, id);
	return seal_object(a->journal->o.sealer, SEAL_LINK, id, buf_span(&plain), &a->sealed);
}

int acceptor_make(struct acceptor *a, struct link *takes)
{
	int r;

	assert(acceptor_idle(a));
	making_release(a);
	a->making = *takes;
	*takes = (struct link){ 0 };
	a->making.place = next_place(a); /* (A1) */
	r = seal_making(a);
	if (r)
		return r;
	a->doing = ACCEPTOR_PUTTING;
	a->tries = 0;
	start(a);
	return 0;
}

static enum acceptor_event made(struct acceptor *a)
{
	a->doing = ACCEPTOR_IDLE;
	top_set(a, &a->making);
	making_release(a);
	return ACCEPTOR_MINE;
}

static void damaged(struct acceptor *a, const struct link_place *place)
{
	char name[LINK_NAME_MAX];

	link_name(place, name);
	log_warn("journal", "damaged link", "store=%s object=%s",
		 replicas_store(a->journal->o.replicas, a->store)->name, name);
}

/* The answer of a read holds a link: it becomes the top. */
static enum acceptor_event link_came(struct acceptor *a, enum acceptor_event event)
{
	const struct link_place place = next_place(a);
	struct link l = { 0 };
	int r = journal_open_link(a->journal, buf_span(&a->call->body), &place, &l);

	if (r) {
		if (r == -EBADMSG && a->error != r) /* once, and not for each attempt */
			damaged(a, &place);
		return attempt_failed(a, r);
	}
	if (plant(PLANT_COMPARE_BY_AUTHOR) && event == ACCEPTOR_OTHER &&
	    incarnation_equal(l.promised.incarnation, a->journal->me)) {
		link_release(&l);
		return made(a);
	}
	if (plant(PLANT_BLIND) && event == ACCEPTOR_OTHER && a->any) {
		const uint64_t k = l.place.k;

		link_release(&l);
		link_copy(&a->top, &l);
		l.place.k = k;
	}
	a->doing = ACCEPTOR_IDLE;
	making_release(a);
	top_set(a, &l);
	return event;
}

static enum acceptor_event read_ended(struct acceptor *a, int result)
{
	if (result == 0)
		return link_came(a, ACCEPTOR_LINK);
	if (result != STORE_MISSING)
		return attempt_failed(a, result);
	a->doing = ACCEPTOR_IDLE;
	return ACCEPTOR_TOP;
}

static enum acceptor_event put_ended(struct acceptor *a, int result)
{
	if (result == 0)
		return made(a);
	if (result != STORE_EXISTS)
		return attempt_failed(a, result); /* (A2) */
	a->doing = ACCEPTOR_COMPARING;
	a->retry_ns = 0;
	return ACCEPTOR_QUIET;
}

static enum acceptor_event compare_ended(struct acceptor *a, int result)
{
	if (result == 0 && span_equal(buf_span(&a->call->body), blob_span(a->sealed))) /* (A3) */
		return made(a);
	if (result == 0)
		return link_came(a, ACCEPTOR_OTHER);
	if (result == STORE_MISSING) /* gone again: unknown */
		a->doing = ACCEPTOR_PUTTING;
	return attempt_failed(a, result);
}

static enum acceptor_event call_ended(struct acceptor *a)
{
	const int result = a->call->call.result;

	if (a->doing == ACCEPTOR_READING)
		return read_ended(a, result);
	if (a->doing == ACCEPTOR_PUTTING)
		return put_ended(a, result);
	return compare_ended(a, result);
}

enum acceptor_event acceptor_step(struct acceptor *a)
{
	enum acceptor_event event = ACCEPTOR_QUIET;

	if (acceptor_idle(a))
		return ACCEPTOR_QUIET;
	if (a->call) {
		if (!call_finished(&a->call->call))
			return ACCEPTOR_QUIET;
		journal_observe(a->journal, a->store, a->call,
				a->sealed ? blob_span(a->sealed).len : 0);
		event = call_ended(a);
		store_call_unrefp(&a->call);
	}
	if (event == ACCEPTOR_QUIET && !acceptor_idle(a) && clock_now() >= a->retry_ns)
		event = start(a);
	return event;
}
