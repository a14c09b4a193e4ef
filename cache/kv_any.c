/* SPDX-License-Identifier: Apache-2.0 */
/* The checked entrances of kv.h, whichever implementation stands behind them. */
#include "cache/kv_i.h"

struct kv *kv_close(struct kv *kv)
{
	return kv ? kv->ops->close(kv) : NULL;
}

int kv_get(struct kv *kv, unsigned column, struct span key, struct buf *ret)
{
	assert(column < kv->n_columns);
	return kv->ops->get(kv, column, key, ret);
}

struct kv_batch *kv_batch_new(struct kv *kv)
{
	struct kv_batch *b = kv->ops->batch_new(kv);

	if (b)
		b->kv = kv;
	return b;
}

struct kv_batch *kv_batch_free(struct kv_batch *b)
{
	return b ? b->kv->ops->batch_free(b) : NULL;
}

int kv_batch_put(struct kv_batch *b, unsigned column, struct span key, struct span value)
{
	assert(column < b->kv->n_columns);
	return b->kv->ops->batch_put(b, column, key, value);
}

int kv_batch_delete(struct kv_batch *b, unsigned column, struct span key)
{
	assert(column < b->kv->n_columns);
	return b->kv->ops->batch_delete(b, column, key);
}

int kv_write(struct kv *kv, struct kv_batch *b, bool sync)
{
	assert(b->kv == kv);
	return kv->ops->write(kv, b, sync);
}

static struct kv_iter *iter_new(struct kv *kv, unsigned column, struct span prefix, bool once)
{
	struct buf copy = BUF_INIT(prefix.len + 1);
	struct kv_iter *it;

	assert(column < kv->n_columns);
	if (buf_add_span(&copy, prefix) < 0)
		return NULL;
	it = kv->ops->iter_new(kv, column, buf_span(&copy), once);
	if (!it) {
		buf_release(&copy);
		return NULL;
	}
	it->ops = kv->ops;
	it->prefix = copy;
	return it;
}

struct kv_iter *kv_iter_new(struct kv *kv, unsigned column, struct span prefix)
{
	return iter_new(kv, column, prefix, false);
}

struct kv_iter *kv_iter_new_once(struct kv *kv, unsigned column)
{
	return iter_new(kv, column, SPAN_NULL, true);
}

struct kv_iter *kv_iter_free(struct kv_iter *it)
{
	struct buf prefix;

	if (!it)
		return NULL;
	prefix = it->prefix;
	it->ops->iter_free(it);
	buf_release(&prefix);
	return NULL;
}

void kv_iter_seek(struct kv_iter *it, struct span from)
{
	struct span prefix = buf_span(&it->prefix);

	it->ops->iter_seek(it, span_compare(from, prefix) < 0 ? prefix : from);
}

void kv_iter_next(struct kv_iter *it)
{
	it->ops->iter_next(it);
}

bool kv_iter_valid(const struct kv_iter *it)
{
	return it->ops->iter_valid(it) &&
	       span_starts(it->ops->iter_key(it), buf_span(&it->prefix));
}

struct span kv_iter_key(const struct kv_iter *it)
{
	return it->ops->iter_key(it);
}

struct span kv_iter_value(const struct kv_iter *it)
{
	return it->ops->iter_value(it);
}

int kv_iter_error(const struct kv_iter *it)
{
	return it->ops->iter_error(it);
}

int kv_walk(struct kv *kv, unsigned column, struct span prefix, struct span from, kv_walk_fn *fn,
	    void *arg)
{
	_cleanup_(kv_iter_freep) struct kv_iter *it = kv_iter_new(kv, column, prefix);
	int r;

	if (!it)
		return fail(-ENOMEM);
	for (kv_iter_seek(it, from); kv_iter_valid(it); kv_iter_next(it)) {
		r = fn(kv_iter_key(it), kv_iter_value(it), arg);
		if (r)
			return r < 0 ? r : 0;
	}
	return kv_iter_error(it);
}

uint64_t kv_disk_bytes(struct kv *kv)
{
	return kv->ops->disk_bytes(kv);
}

#define KEY_MOST (64 * KiB)

int kv_run_new(struct kv *kv, unsigned column, struct kv_run **ret)
{
	struct kv_run *run;
	int r;

	assert(column < kv->n_columns);
	r = kv->ops->run_new(kv, column, &run);
	if (r)
		return r;
	run->kv = kv;
	run->column = column;
	buf_init(&run->last, KEY_MOST);
	*ret = run;
	return 0;
}

int kv_run_put(struct kv_run *run, struct span key, struct span value)
{
	int r;

	assert(!run->ended);
	if (run->last.data && span_compare(key, buf_span(&run->last)) <= 0)
		return fail(-EINVAL);
	buf_clear(&run->last);
	r = buf_reserve(&run->last, key.len + 1); /* so it has data from the first row on */
	if (!r)
		r = buf_add_span(&run->last, key);
	return r ? r : run->kv->ops->run_put(run, key, value);
}

int kv_run_end(struct kv_run *run)
{
	int r;

	assert(!run->ended && run->last.data);
	r = run->kv->ops->run_end(run);
	run->ended = !r;
	return r;
}

struct kv_run *kv_run_free(struct kv_run *run)
{
	if (!run)
		return NULL;
	buf_release(&run->last);
	run->kv->ops->run_free(run);
	return NULL;
}

int kv_ingest(struct kv *kv, struct kv_run *const *runs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert(runs[i]->kv == kv && runs[i]->ended);
	return kv->ops->ingest(kv, runs, n);
}
