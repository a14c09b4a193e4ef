/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catching up: the first links of many slots are read at once from one store. A link of slot s + 1
 * carries the hash of the record of s and so proves it; what a window does not prove, the slot is
 * asked for at all stores.
 */
#include "fs/journal/journal_i.h"

#define WINDOW_LEAST 4u
#define WINDOW_BYTES (8 * MiB)

void follow_release(struct journal *j)
{
	struct window *w = &j->window;

	for (unsigned i = 0; i < w->n; i++)
		if (w->have[i])
			link_release(&w->links[i]);
	w->n = 0;
}

static const struct link *window_link(const struct journal *j, uint64_t slot)
{
	const struct window *w = &j->window;

	if (slot < w->first || slot - w->first >= w->n || !w->have[slot - w->first])
		return NULL;
	return &w->links[slot - w->first];
}

bool follow_names(const struct journal *j, uint64_t slot, const uint8_t **ret_hash)
{
	const struct link *l = window_link(j, slot + 1);

	if (l)
		*ret_hash = l->prev;
	return l != NULL;
}

/* The next store that may be read from. */
static unsigned next_store(const struct journal *j, unsigned store)
{
	for (unsigned i = 1; i <= REPLICAS_MAX; i++) {
		const unsigned s = (store + i) % REPLICAS_MAX;

		if (j->o.stores & (1ull << s))
			return s;
	}
	return store;
}

/*
 * The record of the slot, if the window holds it and its proof. 0; 1: it does not; negative errno,
 * JOURNAL_CONFLICT.
 */
static int window_take(struct journal *j, uint64_t slot, struct record **ret)
{
	const struct link *l = window_link(j, slot);
	const uint8_t *hash;

	if (!l || !l->record || !follow_names(j, slot, &hash) ||
	    memcmp(hash, l->hash, RECORD_HASH_SIZE) != 0)
		return 1;
	return journal_record(j, blob_span(l->record), ret);
}

static unsigned window_size(struct journal *j)
{
	const unsigned streak = MIN(j->window.streak, 6u);

	return MIN(1u << streak, j->window.limit);
}

/* Keeps a link that came; answers the bytes of its record. */
static uint64_t window_keep(struct journal *j, unsigned i, struct store_call *c)
{
	struct window *w = &j->window;
	const struct link_place place = journal_place(j, w->store, w->first + i, 0);
	struct link *l = &w->links[i];

	if (c->call.result || journal_open_link(j, buf_span(&c->body), &place, l))
		return 0;
	w->have[i] = true;
	journal_note_seen(j, w->store, w->first + i);
	return l->record ? blob_span(l->record).len : 0;
}

/*
 * Reads the window that begins at the slot. A store that answers nothing, or has gaps, is changed
 * for the next one.
 */
static void window_fill(struct journal *j, uint64_t slot, unsigned n, uint64_t deadline_ns)
{
	struct window *w = &j->window;
	struct store_call *got[FOLLOW_WINDOW] = { NULL };
	struct call *calls[FOLLOW_WINDOW] = { NULL };
	uint64_t bytes = 0;

	follow_release(j);
	w->first = slot;
	w->n = n;
	for (unsigned i = 0; i < n; i++) {
		const struct link_place place = journal_place(j, w->store, slot + i, 0);

		w->have[i] = false;
		if (journal_get_link(j, &place, w->store, &got[i]) == 0)
			calls[i] = &got[i]->call;
	}
	calls_wait(calls, n, n, deadline_ns);
	for (unsigned i = 0; i < n; i++) {
		if (!got[i])
			continue;
		if (call_finished(&got[i]->call))
			bytes += window_keep(j, i, got[i]);
		else
			call_cancel(&got[i]->call);
		journal_let_go(j, w->store, slot + i, got[i], 0);
	}
	journal_reap(j);
	if (!w->have[0])
		w->store = next_store(j, w->store);
	w->limit = FOLLOW_WINDOW;
	if (bytes > WINDOW_BYTES * n / FOLLOW_WINDOW)
		w->limit = MAX(WINDOW_LEAST, (unsigned)(WINDOW_BYTES * n / bytes));
}

int follow_next(struct journal *j, uint64_t deadline_ns, struct record **ret)
{
	const uint64_t slot = journal_tip(j);
	const unsigned n = window_size(j);
	int r = window_take(j, slot, ret);

	if (r != 1 || n < WINDOW_LEAST)
		return r;
	/* the next one was not there just now */
	if (window_link(j, slot) && slot + 1 < j->window.first + j->window.n)
		return 1;
	if (!replicas_allows(j->o.replicas, j->window.store)) {
		j->window.store = next_store(j, j->window.store);
		return 1;
	}
	window_fill(j, slot, n, MIN(deadline_ns, clock_now() + j->o.attempt_ns));
	return window_take(j, slot, ret);
}
