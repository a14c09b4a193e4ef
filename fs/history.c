/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/history.h"

static int reader_new(const struct volume *v, struct journal **ret)
{
	struct journal_options o = { .replicas = v->replicas,
				     .stores = v->journal_stores,
				     .sealer = v->sealer,
				     .epoch = v->epoch,
				     .read_only = true };

	memcpy(o.store_ids, v->store_ids, sizeof(o.store_ids));
	return journal_new(&o, ret);
}

/* 1 + the last slot that this mount has applied. */
static uint64_t end_of(struct volume *v)
{
	struct commit_status st;

	commit_status_get(v->commit, &st);
	return st.applied_slot + 1;
}

static int decided(int r)
{
	switch (r) {
	case JOURNAL_NOTHING:
	case JOURNAL_EMPTY:
		return HISTORY_GONE;
	case JOURNAL_UNDETERMINED:
	case JOURNAL_CONFLICT:
		return fail(-EIO);
	default:
		return r;
	}
}

/*
 * So that the next record learned is that of `slot`; or, where the journal begins with it,
 * *ret_first (owned) is that record, and the next one learned the one after it.
 */
static int begin_at(struct journal *j, uint64_t slot, uint64_t deadline_ns,
		    struct record **ret_first)
{
	_cleanup_(record_freep) struct record *before = NULL;
	int r;

	if (slot == 0) {
		journal_begin(j, UINT64_MAX, NULL, NULL);
		return 0;
	}
	r = decided(journal_seek(j, slot - 1, deadline_ns, &before));
	return r == HISTORY_GONE ? decided(journal_seek(j, slot, deadline_ns, ret_first)) : r;
}

static int give_ops(const struct record *rec, history_fn *fn, void *arg)
{
	int last = 0;

	for (size_t i = 0; i < rec->n_ops; i++) {
		struct op op;
		int r = op_decode(rec->ops[i].bytes, &op);
		const struct history_op h = { .slot = rec->slot,
					      .recorded_ns = rec->time_ns,
					      .mount = rec->authors[rec->ops[i].author],
					      .op = &op };

		if (r == OP_UNKNOWN_KIND) /* of a newer level: what it does is not known here */
			continue;
		if (r)
			return r;
		r = fn(&h, arg);
		op_release(&op);
		if (r < 0)
			return r;
		last |= r;
	}
	return last;
}

int history_read(struct volume *v, uint64_t from, uint64_t max, uint64_t deadline_ns,
		 history_fn *fn, void *arg, uint64_t *ret_position)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	_cleanup_(record_freep) struct record *rec = NULL;
	const uint64_t end = end_of(v);
	int r = 0, last = 0;

	if (from >= end || !max) {
		*ret_position = from;
		return 0;
	}
	r = reader_new(v, &j);
	if (!r)
		r = begin_at(j, from, deadline_ns, &rec);
	for (uint64_t slot = from; !r && !last && slot < end && slot - from < max; slot++) {
		if (!rec)
			r = decided(journal_learn(j, deadline_ns, &rec));
		if (!r)
			last = give_ops(rec, fn, arg);
		if (last < 0)
			r = last;
		rec = record_free(rec);
	}
	if (!r)
		*ret_position = journal_slot(j) + 1;
	return r;
}

int history_find(struct volume *v, uint64_t time_ns, uint64_t deadline_ns, uint64_t *ret_slot)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	uint64_t low = 0, high = end_of(v); /* the answer is in [low, high] */
	int r = reader_new(v, &j);

	/* Nothing names the last slot's record yet: it is looked at by who reads from there. */
	high -= high > 0;
	while (!r && low < high) {
		_cleanup_(record_freep) struct record *rec = NULL;
		const uint64_t middle = low + (high - low) / 2;

		r = decided(journal_seek(j, middle, deadline_ns, &rec));
		if (r == HISTORY_GONE || (!r && rec->time_ns < time_ns))
			low = middle + 1;
		else if (!r)
			high = middle;
		if (r == HISTORY_GONE)
			r = 0;
	}
	if (!r)
		*ret_slot = low;
	return r;
}
