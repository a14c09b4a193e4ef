/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/view.h"

#include "base/map.h"

/* A value is at most a record; the limit only stops damaged lengths. */
#define VALUE_MAX (64 * MiB)

struct view {
	struct kv *base;
	unsigned n_columns;
	struct map **open, **flying; /* one map for each column */
	bool is_flying;
};

static struct map **overlay_free(struct map **overlay, unsigned n)
{
	for (unsigned i = 0; overlay && i < n; i++)
		map_free(overlay[i]);
	free(overlay);
	return NULL;
}

static struct map **overlay_new(unsigned n)
{
	struct map **overlay = calloc(n, sizeof(*overlay));

	for (unsigned i = 0; overlay && i < n; i++) {
		overlay[i] = map_new();
		if (!overlay[i])
			return overlay_free(overlay, n);
	}
	return overlay;
}

static void overlay_clear(struct map **overlay, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		map_clear(overlay[i]);
}

static size_t overlay_rows(struct map *const *overlay, unsigned n)
{
	size_t rows = 0;

	for (unsigned i = 0; i < n; i++)
		rows += map_count(overlay[i]);
	return rows;
}

struct view *view_new(struct kv *base, unsigned n_columns)
{
	_cleanup_(view_freep) struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base = base;
	v->n_columns = n_columns;
	v->open = overlay_new(n_columns);
	v->flying = overlay_new(n_columns);
	if (!v->open || !v->flying)
		return NULL;
	return take_ptr(&v);
}

struct view *view_free(struct view *v)
{
	if (!v)
		return NULL;
	overlay_free(v->open, v->n_columns);
	overlay_free(v->flying, v->n_columns);
	free(v);
	return NULL;
}

int view_get(struct view *v, unsigned column, struct span key, struct buf *ret)
{
	struct span value;
	bool gone;
	int r;

	assert(column < v->n_columns);
	if (!map_get(v->open[column], key, &value, &gone) &&
	    !map_get(v->flying[column], key, &value, &gone)) {
		r = kv_get(v->base, column, key, ret);
		return r == KV_MISSING ? VIEW_MISSING : r;
	}
	if (gone)
		return VIEW_MISSING;
	buf_clear(ret);
	return buf_add_span(ret, value);
}

int view_put(struct view *v, unsigned column, struct span key, struct span value)
{
	assert(column < v->n_columns);
	return map_put(v->open[column], key, value, false); /* (V1) */
}

int view_delete(struct view *v, unsigned column, struct span key)
{
	assert(column < v->n_columns);
	return map_put(v->open[column], key, SPAN_NULL, true); /* (V1) */
}

/*
 * The three layers, each at its next entry; the first layer that has the least key gives its value.
 */
struct merge {
	struct map *overlay[2];
	struct map_entry next[2];
	bool more[2];
	struct kv_iter *base;
	struct span prefix;
};

static void merge_overlay_seek(struct merge *m, unsigned i, struct span from, bool after)
{
	m->more[i] = map_seek(m->overlay[i], from, after, &m->next[i]) &&
		     span_starts(m->next[i].key, m->prefix);
}

/* false at the end. The entry is borrowed until merge_skip(). */
static bool merge_least(const struct merge *m, struct map_entry *ret)
{
	bool found = false;

	for (unsigned i = 0; i < 2; i++)
		if (m->more[i] && (!found || span_compare(m->next[i].key, ret->key) < 0)) {
			*ret = m->next[i];
			found = true;
		}
	if (kv_iter_valid(m->base) &&
	    (!found || span_compare(kv_iter_key(m->base), ret->key) < 0)) {
		*ret = (struct map_entry){ kv_iter_key(m->base), kv_iter_value(m->base), false };
		found = true;
	}
	return found;
}

/* Passes `key` in every layer that has it. The base moves last: the key may be its own. */
static void merge_skip(struct merge *m, struct span key)
{
	bool in_base = kv_iter_valid(m->base) && span_equal(kv_iter_key(m->base), key);

	for (unsigned i = 0; i < 2; i++)
		if (m->more[i] && span_equal(m->next[i].key, key))
			merge_overlay_seek(m, i, key, true);
	if (in_base)
		kv_iter_next(m->base);
}

int view_walk(struct view *v, unsigned column, struct span prefix, struct span from, kv_walk_fn *fn,
	      void *arg)
{
	_cleanup_(kv_iter_freep) struct kv_iter *base = kv_iter_new(v->base, column, prefix);
	struct merge m = { { v->open[column], v->flying[column] }, .base = base, .prefix = prefix };
	struct map_entry e = { .gone = false };
	int r;

	assert(column < v->n_columns);
	if (!base)
		return fail(-ENOMEM);
	if (span_compare(from, prefix) < 0)
		from = prefix;
	kv_iter_seek(base, from);
	merge_overlay_seek(&m, 0, from, false);
	merge_overlay_seek(&m, 1, from, false);
	while (merge_least(&m, &e)) {
		r = e.gone ? 0 : fn(e.key, e.value, arg);
		if (r)
			return r < 0 ? r : 0;
		merge_skip(&m, e.key);
	}
	return kv_iter_error(base);
}

void view_cut(struct view *v)
{
	struct map **empty = v->flying;

	assert(overlay_rows(empty, v->n_columns) == 0);
	v->flying = v->open;
	v->open = empty;
	v->is_flying = true;
}

bool view_is_flying(const struct view *v)
{
	return v->is_flying;
}

size_t view_open_rows(const struct view *v)
{
	return overlay_rows(v->open, v->n_columns);
}

/* Calls fn for the row unless base says the same already. */
static int row_change(struct view *v, unsigned column, const struct map_entry *e,
		      struct buf *scratch, view_change_fn *fn, void *arg)
{
	struct span old = SPAN_NULL, new = SPAN_NULL;
	int r;

	r = kv_get(v->base, column, e->key, scratch);
	if (r < 0)
		return r;
	if (r == 0)
		old = span_of(scratch->data ?: (const void *)"", scratch->len);
	if (!e->gone)
		new = span_of(e->value.data ?: (const void *)"", e->value.len);
	if (!old.data == !new.data && span_equal(old, new))
		return 0;
	return fn(column, e->key, old, new, arg);
}

int view_changes(struct view *v, view_change_fn *fn, void *arg)
{
	_cleanup_buf_ struct buf scratch = BUF_INIT(VALUE_MAX);
	struct map_entry e;
	int r;

	for (unsigned c = 0; c < v->n_columns; c++)
		for (bool more = map_seek(v->flying[c], SPAN_NULL, false, &e); more;
		     more = map_seek(v->flying[c], e.key, true, &e)) {
			r = row_change(v, c, &e, &scratch, fn, arg);
			if (r)
				return r < 0 ? r : 0;
		}
	return 0;
}

static int batch_add_overlay(struct kv_batch *b, unsigned column, const struct map *overlay)
{
	struct map_entry e;
	int r = 0;

	for (bool more = map_seek(overlay, SPAN_NULL, false, &e); more && !r;
	     more = map_seek(overlay, e.key, true, &e))
		r = e.gone ? kv_batch_delete(b, column, e.key)
			   : kv_batch_put(b, column, e.key, e.value);
	return r;
}

int view_commit(struct view *v, const struct view_row *extra, size_t n_extra, bool sync)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(v->base);
	int r = b ? 0 : fail(-ENOMEM);

	for (unsigned c = 0; c < v->n_columns && !r; c++)
		r = batch_add_overlay(b, c, v->flying[c]);
	for (size_t i = 0; i < n_extra && !r; i++)
		r = kv_batch_put(b, extra[i].column, extra[i].key, extra[i].value);
	if (!r)
		r = kv_write(v->base, b, sync); /* (V2) */
	if (r < 0)
		return r;
	overlay_clear(v->flying, v->n_columns);
	v->is_flying = false;
	return 0;
}

void view_drop(struct view *v)
{
	overlay_clear(v->flying, v->n_columns);
	overlay_clear(v->open, v->n_columns);
	v->is_flying = false;
}

void view_drop_open(struct view *v)
{
	overlay_clear(v->open, v->n_columns);
}
