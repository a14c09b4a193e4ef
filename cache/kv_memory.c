/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value database in memory, for tests and the simulator.
 *
 * (M1) An iterator sees the state at its creation: a write copies, for each iterator
 *      of a column that it touches, what that iterator may still reach. There is hardly
 *      ever one, so writes are cheap.
 * (M2) What an iterator lends is its own copy: a write never pulls it away.
 * (M3) Half a batch is never seen: without memory in the middle of one the program ends.
 */
#include "base/map.h"
#include "base/wait.h"
#include "cache/kv_i.h"

struct memory_iter {
	struct kv_iter iter;
	struct memory *memory;
	struct memory_iter *next; /* of those that are open */
	unsigned column;
	struct span prefix;
	struct map *frozen; /* (M1) or NULL: the column itself */
	struct buf key, value;
	bool valid;
	int error;
};

struct memory {
	struct kv kv;
	struct map **columns;
	struct {
		struct lock lock;
		struct memory_iter *iters;
	} sync;
};

enum { CHANGE_MAX = 1 << 30 };

struct memory_change {
	unsigned column;
	size_t key_len, value_len; /* the bytes follow each other in batch->bytes */
	bool gone;
};

struct memory_batch {
	struct kv_batch batch;
	struct buf changes; /* struct memory_change */
	struct buf bytes;
};

static struct memory *memory_of(struct kv *kv)
{
	return container_of(kv, struct memory, kv);
}

static struct memory_iter *iter_of(const struct kv_iter *it)
{
	return container_of((struct kv_iter *)it, struct memory_iter, iter);
}

static struct memory_batch *batch_of(struct kv_batch *b)
{
	return container_of(b, struct memory_batch, batch);
}

static struct kv *memory_close(struct kv *kv)
{
	struct memory *m = memory_of(kv);

	assert(!m->sync.iters);
	for (unsigned i = 0; i < kv->n_columns; i++)
		map_free(m->columns[i]);
	lock_release(&m->sync.lock);
	free(m->columns);
	free(m);
	return NULL;
}

static int memory_get(struct kv *kv, unsigned column, struct span key, struct buf *ret)
{
	struct memory *m = memory_of(kv);
	struct span value;
	bool gone;

	LOCK_SCOPE(&m->sync.lock);
	if (!map_get(m->columns[column], key, &value, &gone))
		return KV_MISSING;
	buf_clear(ret);
	return buf_add_span(ret, value);
}

static struct kv_batch *memory_batch_new(struct kv *kv)
{
	struct memory_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	buf_init(&b->changes, CHANGE_MAX);
	buf_init(&b->bytes, CHANGE_MAX);
	return &b->batch;
}

static struct kv_batch *memory_batch_free(struct kv_batch *batch)
{
	struct memory_batch *b = batch_of(batch);

	buf_release(&b->changes);
	buf_release(&b->bytes);
	free(b);
	return NULL;
}

static int batch_add(struct memory_batch *b, struct memory_change change, struct span key,
		     struct span value)
{
	int r;

	change.key_len = key.len;
	change.value_len = value.len;
	r = buf_reserve(&b->bytes, key.len + value.len);
	if (!r)
		r = buf_add(&b->changes, &change, sizeof(change));
	if (!r)
		r = buf_add_span(&b->bytes, key);
	if (!r)
		r = buf_add_span(&b->bytes, value);
	return r;
}

static int memory_batch_put(struct kv_batch *b, unsigned column, struct span key, struct span value)
{
	return batch_add(batch_of(b), (struct memory_change){ .column = column }, key, value);
}

static int memory_batch_delete(struct kv_batch *b, unsigned column, struct span key)
{
	struct memory_change change = { .column = column, .gone = true };

	return batch_add(batch_of(b), change, key, SPAN_NULL);
}

static struct map *map_copy(const struct map *from, struct span prefix)
{
	_cleanup_(map_freep) struct map *copy = map_new();
	struct map_entry e;

	if (!copy)
		return NULL;
	for (bool more = map_seek(from, prefix, false, &e); more && span_starts(e.key, prefix);
	     more = map_seek(from, e.key, true, &e))
		if (map_put(copy, e.key, e.value, e.gone) < 0)
			return NULL;
	return take_ptr(&copy);
}

/* (M1) */
static int freeze_iters_locked(struct memory *m, unsigned column)
{
	for (struct memory_iter *it = m->sync.iters; it; it = it->next) {
		if (it->column != column || it->frozen)
			continue;
		it->frozen = map_copy(m->columns[column], it->prefix);
		if (!it->frozen)
			return fail(-ENOMEM);
	}
	return 0;
}

static int change_apply_locked(struct memory *m, const struct memory_change *c, struct span key,
			       struct span value)
{
	int r = freeze_iters_locked(m, c->column);

	if (r < 0)
		return r;
	if (!c->gone)
		return map_put(m->columns[c->column], key, value, false);
	map_erase(m->columns[c->column], key);
	return 0;
}

static int memory_write(struct kv *kv, struct kv_batch *batch, bool sync)
{
	struct memory_batch *b = batch_of(batch);
	const struct memory_change *c = (const void *)b->changes.data;
	size_t n = b->changes.len / sizeof(*c), at = 0;
	struct memory *m = memory_of(kv);
	struct span key, value;

	LOCK_SCOPE(&m->sync.lock);
	for (size_t i = 0; i < n; i++) {
		key = span_sub(buf_span(&b->bytes), at, c[i].key_len);
		value = span_sub(buf_span(&b->bytes), at + c[i].key_len, c[i].value_len);
		at += c[i].key_len + c[i].value_len;
		if (change_apply_locked(m, &c[i], key, value) < 0)
			abort(); /* (M3) */
	}
	return 0;
}

static struct kv_iter *memory_iter_new(struct kv *kv, unsigned column, struct span prefix,
				       bool once)
{
	struct memory_iter *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->memory = memory_of(kv);
	it->column = column;
	it->prefix = prefix;
	buf_init(&it->key, CHANGE_MAX);
	buf_init(&it->value, CHANGE_MAX);
	LOCK_SCOPE(&it->memory->sync.lock);
	it->next = it->memory->sync.iters;
	it->memory->sync.iters = it;
	return &it->iter;
}

static void memory_iter_free(struct kv_iter *iter)
{
	struct memory_iter *it = iter_of(iter);
	struct memory *m = it->memory;

	lock_take(&m->sync.lock);
	for (struct memory_iter **p = &m->sync.iters; *p; p = &(*p)->next)
		if (*p == it) {
			*p = it->next;
			break;
		}
	lock_give(&m->sync.lock);
	map_free(it->frozen);
	buf_release(&it->key);
	buf_release(&it->value);
	free(it);
}

static void iter_move(struct memory_iter *it, struct span from, bool after)
{
	struct map_entry e;

	LOCK_SCOPE(&it->memory->sync.lock);
	it->valid = !it->error && map_seek(it->frozen ?: it->memory->columns[it->column], from,
					   after, &e);
	if (!it->valid)
		return;
	buf_clear(&it->key);
	buf_clear(&it->value);
	it->error = buf_add_span(&it->key, e.key); /* (M2) */
	if (!it->error)
		it->error = buf_add_span(&it->value, e.value);
	it->valid = !it->error;
}

static void memory_iter_seek(struct kv_iter *iter, struct span from)
{
	iter_move(iter_of(iter), from, false);
}

static void memory_iter_next(struct kv_iter *iter)
{
	struct memory_iter *it = iter_of(iter);

	iter_move(it, buf_span(&it->key), true);
}

static bool memory_iter_valid(const struct kv_iter *iter)
{
	return iter_of(iter)->valid;
}

static struct span memory_iter_key(const struct kv_iter *iter)
{
	return buf_span(&iter_of(iter)->key);
}

static struct span memory_iter_value(const struct kv_iter *iter)
{
	return buf_span(&iter_of(iter)->value);
}

static int memory_iter_error(const struct kv_iter *iter)
{
	return iter_of(iter)->error;
}

/* A run is a batch that waits. */
struct memory_run {
	struct kv_run run;
	struct kv_batch *batch;
};

static int memory_run_new(struct kv *kv, unsigned column, struct kv_run **ret)
{
	struct memory_run *r = calloc(1, sizeof(*r));

	if (!r)
		return fail(-ENOMEM);
	r->batch = kv_batch_new(kv);
	if (!r->batch) {
		free(r);
		return fail(-ENOMEM);
	}
	*ret = &r->run;
	return 0;
}

static struct kv_batch *run_batch(struct kv_run *run)
{
	return container_of(run, struct memory_run, run)->batch;
}

static int memory_run_put(struct kv_run *run, struct span key, struct span value)
{
	return kv_batch_put(run_batch(run), run->column, key, value);
}

static int memory_run_end(struct kv_run *run)
{
	return 0;
}

static void memory_run_free(struct kv_run *run)
{
	kv_batch_free(run_batch(run));
	free(container_of(run, struct memory_run, run));
}

static int memory_ingest(struct kv *kv, struct kv_run *const *runs, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = kv_write(kv, run_batch(runs[i]), true);
	return r;
}

static uint64_t memory_disk_bytes(struct kv *kv)
{
	return 0;
}

static const struct kv_ops memory_ops = {
	.close = memory_close,
	.get = memory_get,
	.batch_new = memory_batch_new,
	.batch_free = memory_batch_free,
	.batch_put = memory_batch_put,
	.batch_delete = memory_batch_delete,
	.write = memory_write,
	.iter_new = memory_iter_new,
	.iter_free = memory_iter_free,
	.iter_seek = memory_iter_seek,
	.iter_next = memory_iter_next,
	.iter_valid = memory_iter_valid,
	.iter_key = memory_iter_key,
	.iter_value = memory_iter_value,
	.iter_error = memory_iter_error,
	.disk_bytes = memory_disk_bytes,
	.run_new = memory_run_new,
	.run_put = memory_run_put,
	.run_end = memory_run_end,
	.run_free = memory_run_free,
	.ingest = memory_ingest,
};

struct kv *kv_memory(unsigned n_columns)
{
	_cleanup_(kv_closep) struct kv *kv = NULL;
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	lock_init(&m->sync.lock, RANK_LEAF);
	m->kv.ops = &memory_ops;
	kv = &m->kv;
	m->columns = calloc(n_columns, sizeof(*m->columns));
	if (!m->columns)
		return NULL;
	for (; kv->n_columns < n_columns; kv->n_columns++) {
		m->columns[kv->n_columns] = map_new();
		if (!m->columns[kv->n_columns])
			return NULL;
	}
	return take_ptr(&kv);
}

void kv_memory_cut(struct kv *kv)
{
	struct memory *m = memory_of(kv);

	LOCK_SCOPE(&m->sync.lock);
	m->sync.iters = NULL;
}
