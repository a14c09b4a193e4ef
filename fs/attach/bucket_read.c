/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the entries of a directory, in the order of keys (B4), as far as they are certain. */
#include "fs/attach/bucket_i.h"

#define TTL_MIN_NS (10 * NS_PER_S) /* in the middle of a reading */

struct telling {
	struct dir_read *read;
	struct kv_iter *rows;
	bucket_entry_fn *fn;
	void *arg;
	uint64_t told;
	bool stopped;
};

/* The live row and what it is; ROW_NONE when it says nothing: gone, or a mark beside another. */
static int read_row(const struct telling *t, struct row *ret, struct want *ret_want)
{
	const struct span rel = rows_rel(t->rows);
	struct want w = { .dir = t->read->dir, .prefix = t->read->prefix };
	struct span suffix;
	struct row other;
	int r = row_read(kv_iter_value(t->rows), ret);

	if (r)
		return r;
	if (!row_is_live(ret))
		return ROW_NONE;
	w.component = rel_component(rel, ret);
	w.kind = rel_is_dir(rel) || ret->flags & ROW_MARK ? KEY_IS_DIRECTORY
		 : rel.len				  ? KEY_IS_FILE
							  : KEY_IS_MARKER;
	if (ret->flags & ROW_MARK) {
		r = entry_find_dir(t->read->bucket, w.dir, w.component, &other, &suffix);
		if (!r && w.component.len + suffix.len != rel.len)
			r = ROW_NONE;
	} else if (w.kind == KEY_IS_FILE && t->read->row.flags & DIR_HAS_DIRS) {
		r = entry_find_dir(t->read->bucket, w.dir, w.component, &other, &suffix);
		if (!r)
			w.kind = KEY_IS_BESIDE;
		r = MIN(r, 0);
	}
	*ret_want = w;
	return r;
}

/* A name is certain when what may stand beside it is known. */
static bool is_certain(const struct telling *t)
{
	const struct dir_read *d = t->read;
	const struct span rel = rows_rel(t->rows);

	if (d->cover.all || rel_is_dir(rel) || !rel.len)
		return cover_has(&d->cover, d->prefix, rel, SPAN_NULL);
	return cover_has(&d->cover, d->prefix, rel,
			 rows_have_marks(d->bucket) ? SPAN_LITERAL(FOLDER_SUFFIX)
						    : SPAN_LITERAL("/"));
}

static int tell(struct telling *t, const struct want *w, const struct row *row)
{
	_cleanup_buf_ struct buf name = BUF_INIT(KEY_NAME_MAX);
	struct bucket_entry e;
	int r = key_to_name(w->component, w->kind, &name);

	if (r)
		return r;
	entry_fill(w, row, w->kind == KEY_IS_DIRECTORY, &e);
	r = t->fn(buf_span(&name), &e, t->arg);
	if (r < 0)
		return r;
	t->told++;
	t->stopped = r > 0;
	return 0;
}

static int tell_rows(struct telling *t)
{
	struct want w;
	struct row row;
	int r = 0;

	for (; !t->stopped && kv_iter_valid(t->rows); kv_iter_next(t->rows)) {
		if (!is_certain(t))
			break;
		r = read_row(t, &row, &w);
		if (r == 0)
			r = tell(t, &w, &row);
		if (r < 0)
			return r;
	}
	return kv_iter_error(t->rows);
}

int dir_tell(struct dir_read *d, struct span from, bool from_too, bucket_entry_fn *fn, void *arg,
	     uint64_t *ret_told, bool *ret_stopped)
{
	struct telling t = { .read = d, .fn = fn, .arg = arg };
	int r;

	t.rows = rows_iter(d->bucket, d->dir, from);
	if (!t.rows)
		return fail(-ENOMEM);
	/* after the rows: what they hold, the flags know */
	r = dir_row_get(d->bucket, d->dir, &d->row);
	if (!r && !from_too && kv_iter_valid(t.rows) && span_equal(rows_rel(t.rows), from))
		kv_iter_next(t.rows);
	if (!r)
		r = tell_rows(&t);
	kv_iter_free(t.rows);
	*ret_told = t.told;
	*ret_stopped = t.stopped;
	return r;
}

/* ---- readdir ---- */

/* Where the reading goes on: the row that stands for the entry told last. */
static int find_cookie(struct dir_read *d, uint64_t after, struct buf *ret)
{
	struct place place;
	struct span rel, component, suffix;
	struct row row;
	int r = place_get(d->bucket, after, &place);

	if (r || place.parent != d->dir || after == d->bucket->root)
		return r < 0 ? r : fail(-EINVAL);
	rel = span_of(place.rel, place.rel_len);
	if (!place.is_dir)
		return buf_add_span(ret, rel);
	component = span_sub(rel, 0, rel.len - 1);
	r = entry_find_dir(d->bucket, d->dir, component, &row, &suffix);
	if (r == ROW_NONE)
		suffix = SPAN_LITERAL("/");
	r = r < 0 ? r : buf_add_span(ret, component);
	return r ? r : buf_add_span(ret, suffix);
}

static int read_on(struct dir_read *d, struct span from, bool from_too, enum bucket_wait wait,
		   bucket_entry_fn *fn, void *arg, bool *ret_end)
{
	uint64_t told = 0;
	bool stopped = false;
	int r;

	for (;;) {
		r = dir_read_known(d);
		if (r > 0 && d->cover.begun) {
			const bool all = r == DIR_ALL;

			r = dir_tell(d, from, from_too, fn, arg, &told, &stopped);
			*ret_end = all && !stopped;
			if (r || told || all)
				return r;
		}
		if (r >= 0 && wait == BUCKET_NO_WAIT)
			return BUCKET_WOULD_WAIT;
		if (r >= 0)
			r = dir_read_more(d);
		if (r >= 0)
			continue;
		if (!dir_read_stale(d, r))
			return r;
		d->cover = (struct cover){ .begun = true, .all = true };
		r = dir_tell(d, from, from_too, fn, arg, &told, &stopped);
		*ret_end = !stopped;
		return r;
	}
}

int bucket_readdir(struct bucket *b, uint64_t dir, uint64_t after, enum bucket_wait wait,
		   bucket_entry_fn *fn, void *arg, bool *ret_end)
{
	_cleanup_buf_ struct buf from = BUF_INIT(STORE_NAME_MAX + 1);
	struct dir_read d;
	bool end = false;
	int r = dir_read_begin(b, dir, &d);

	if (!r && after)
		r = find_cookie(&d, after, &from);
	if (r)
		return r;
	if (after)
		d.ttl_ns = MAX(d.ttl_ns, TTL_MIN_NS);
	r = read_on(&d, buf_span(&from), !after, wait, fn, arg, &end);
	if (!r)
		*ret_end = end;
	return r;
}

int dir_read_all(struct dir_read *d, enum bucket_wait wait)
{
	int r;

	for (;;) {
		r = dir_read_known(d);
		if (r == DIR_ALL)
			return 0;
		if (r >= 0 && wait == BUCKET_NO_WAIT)
			return BUCKET_WOULD_WAIT;
		if (r >= 0)
			r = dir_read_more(d);
		if (r >= 0)
			continue;
		if (!dir_read_stale(d, r))
			return r;
		d->cover = (struct cover){ .begun = true, .all = true };
		return 0;
	}
}
