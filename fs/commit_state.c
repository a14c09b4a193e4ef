/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bookkeeping of the database: after which record it is the state. Written in the same batch as the
 * rows. The database is a cache: whatever does not fit is forgotten, and rebuilt from the journal.
 */
#include "fs/commit_i.h"

#include "fs/ns/lookup.h"

#define MARK_VERSION 1
#define CLEAR_BATCH 1000u

int commit_mark_encode(const struct commit_mark *m, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_u8(&w, MARK_VERSION);
	write_be64(&w, m->slot);
	write_raw(&w, span_of(m->record, sizeof(m->record)));
	write_raw(&w, span_of(m->owner, sizeof(m->owner)));
	write_be64(&w, m->hash.hi);
	write_be64(&w, m->hash.lo);
	write_be64(&w, m->time_ns);
	write_be64(&w, m->hold_ns);
	return w.error;
}

static int mark_decode(struct span s, struct commit_mark *ret)
{
	struct commit_mark m;
	struct reader r = READER(s);

	if (read_u8(&r) != MARK_VERSION)
		return fail(-EBADMSG);
	m.slot = read_be64(&r);
	read_copy(&r, m.record, sizeof(m.record));
	read_copy(&r, m.owner, sizeof(m.owner));
	m.hash.hi = read_be64(&r);
	m.hash.lo = read_be64(&r);
	m.time_ns = read_be64(&r);
	m.hold_ns = read_be64(&r);
	if (read_end(&r))
		return fail(-EBADMSG);
	*ret = m;
	return 0;
}

/* 0, or 1: the rows are another volume's. */
static int check_volume(struct kv *kv, const uint8_t *volume_id)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	_cleanup_(view_freep) struct view *v = view_new(kv, COL_COUNT);
	struct volume_row row;
	int r;

	if (!v)
		return fail(-ENOMEM);
	r = ns_volume(v, &row, &bytes);
	if (r)
		return r == NS_MISSING || r == -EBADMSG ? 1 : r;
	return volume_id && memcmp(row.id, volume_id, sizeof(row.id)) != 0;
}

static int mark_get(struct kv *kv, struct commit_mark *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(COMMIT_MARK_MAX);
	const int r = kv_get(kv, COL_META, COMMIT_MARK_KEY, &bytes);

	if (r == -EMSGSIZE)
		return KV_MISSING;
	if (r)
		return r;
	return mark_decode(buf_span(&bytes), ret) ? KV_MISSING : 0;
}

int commit_mark_load(struct kv *kv, const uint8_t *volume_id, struct commit_mark *ret)
{
	struct commit_mark m;
	int r = mark_get(kv, &m);

	if (r)
		return r;
	r = check_volume(kv, volume_id);
	if (r)
		return r > 0 ? KV_MISSING : r;
	*ret = m;
	return 0;
}

int commit_mark_store(struct kv *kv, const struct commit_mark *m)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);
	_cleanup_buf_ struct buf bytes = BUF_INIT(COMMIT_MARK_MAX);
	int r = b ? commit_mark_encode(m, &bytes) : fail(-ENOMEM);

	if (!r)
		r = kv_batch_put(b, COL_META, COMMIT_MARK_KEY, buf_span(&bytes));
	return r ? r : kv_write(kv, b, true);
}

int commit_snapshot_of(struct kv *kv, struct commit_snapshot *ret)
{
	_cleanup_(commit_snapshot_release) struct commit_snapshot s = { .mark = { 0 } };
	const int r = mark_get(kv, &s.mark);

	if (r)
		return r == KV_MISSING ? fail(-EAGAIN) : r;
	for (unsigned column = COL_META + 1; column < COL_COUNT; column++) {
		s.columns[column] = kv_iter_new_once(kv, column);
		if (!s.columns[column])
			return fail(-ENOMEM);
	}
	*ret = s;
	s = (struct commit_snapshot){ .mark = { 0 } };
	return 0;
}

/* The base changes under the lock alone (M1), so it is one state with its mark. */
int commit_snapshot(struct commit *c, struct commit_snapshot *ret)
{
	LOCK_SCOPE(&c->lock);

	return c->tip.booted ? commit_snapshot_of(c->kv, ret) : fail(-EAGAIN);
}

void commit_snapshot_release(struct commit_snapshot *s)
{
	for (unsigned column = 0; column < COL_COUNT; column++)
		s->columns[column] = kv_iter_free(s->columns[column]);
}

struct clearing {
	struct kv_batch *batch;
	unsigned column, n;
};

static int clear_one(struct span key, struct span value, void *arg)
{
	struct clearing *c = arg;
	int r = kv_batch_delete(c->batch, c->column, key);

	if (r)
		return r;
	return ++c->n >= CLEAR_BATCH;
}

/* Some rows of a column. 0 with how many. */
static int clear_some(struct kv *kv, unsigned column, unsigned *ret_n)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);
	struct clearing c = { .batch = b, .column = column };
	int r;

	if (!b)
		return fail(-ENOMEM);
	r = kv_walk(kv, column, SPAN_NULL, SPAN_NULL, clear_one, &c);
	if (r < 0)
		return r;
	r = c.n ? kv_write(kv, b, false) : 0;
	if (r == 0)
		*ret_n = c.n;
	return r;
}

int commit_state_clear(struct kv *kv)
{
	/* From COL_META on: a database that is cleared halfway has no mark. */
	for (unsigned column = 0; column < COL_COUNT; column++) {
		unsigned n;

		do {
			int r = clear_some(kv, column, &n);

			if (r)
				return r;
		} while (n == CLEAR_BATCH);
	}
	return 0;
}

void commit_state_distrust(struct kv *kv)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);

	/*
	 * Without the mark the next start begins at slot 0. If even this fails, it finds the
	 * difference again.
	 */
	if (b && kv_batch_delete(b, COL_META, COMMIT_MARK_KEY) == 0 && kv_write(kv, b, true) == 0)
		return;
}
