/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beginning anywhere: every link of slot s + 1 names the record that was chosen in s by its hash.
 * So one link there and the record itself, from whichever stores, are as good as a majority.
 */
#include "fs/journal/journal_i.h"

/* One link, now. 0 with the link; STORE_MISSING and other conditions; negative errno. */
static int read_link(struct journal *j, unsigned store, uint64_t slot, uint64_t k,
		     uint64_t deadline_ns, struct link *ret)
{
	const struct link_place place = journal_place(j, store, slot, k);
	struct store_call *c;
	int r = journal_get_link(j, &place, store, &c);

	if (r)
		return r;
	r = call_wait(&c->call, deadline_ns);
	if (!call_finished(&c->call))
		call_cancel(&c->call);
	else if (r == 0)
		r = journal_open_link(j, buf_span(&c->body), &place, ret);
	journal_let_go(j, store, slot, c, 0);
	return r;
}

/* What keeps a search from being sure: the worst that a store said, but "missing". */
static void note_failure(int r, int *failure)
{
	if (r < 0)
		*failure = r;
}

/* The hash of the record of `slot`, by any first link of the next one. */
static int name_of(struct journal *j, uint64_t slot, uint64_t stores, uint64_t deadline_ns,
		   uint8_t ret[RECORD_HASH_SIZE])
{
	int failure = 0;

	for_each_store(i, stores) {
		_cleanup_link_ struct link l = { 0 };
		int r = read_link(j, i, slot + 1, 0, deadline_ns, &l);

		if (r == 0) {
			memcpy(ret, l.prev, RECORD_HASH_SIZE);
			return 0;
		}
		note_failure(r, &failure);
	}
	return failure ? failure : JOURNAL_NOTHING;
}

/* The record with this hash, in whatever link of the chain at one store. */
static int climb(struct journal *j, unsigned store, uint64_t slot,
		 const uint8_t hash[RECORD_HASH_SIZE], uint64_t deadline_ns, struct record **ret)
{
	for (uint64_t k = 0;; k++) {
		_cleanup_link_ struct link l = { 0 };
		int r = read_link(j, store, slot, k, deadline_ns, &l);

		if (r)
			return r;
		if (l.record && !memcmp(l.hash, hash, RECORD_HASH_SIZE))
			return record_decode(blob_span(l.record), ret);
	}
}

static int record_by_name(struct journal *j, uint64_t slot, uint64_t stores,
			  const uint8_t hash[RECORD_HASH_SIZE], uint64_t deadline_ns,
			  struct record **ret)
{
	int failure = 0;

	for_each_store(i, stores) {
		int r = climb(j, i, slot, hash, deadline_ns, ret);

		if (r == 0)
			return 0;
		note_failure(r, &failure);
	}
	return failure ? failure : JOURNAL_NOTHING;
}

int journal_seek(struct journal *j, uint64_t slot, uint64_t deadline_ns, struct record **ret)
{
	_cleanup_(record_freep) struct record *rec = NULL;
	const uint64_t stores = journal_pick(j);
	uint8_t hash[RECORD_HASH_SIZE];
	int r = name_of(j, slot, stores, deadline_ns, hash);

	if (!r)
		r = record_by_name(j, slot, stores, hash, deadline_ns, &rec);
	journal_reap(j);
	if (r)
		return r;
	journal_begin(j, slot, rec->hash, rec->next);
	*ret = take_ptr(&rec);
	return 0;
}
