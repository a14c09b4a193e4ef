/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/bucket_merge.h"

struct frame {
	uint64_t dir;
	size_t prefix_len; /* in merge.path */
	unsigned dir_flags;
	uint64_t asked_ns;
	bool empty;        /* made in the page at hand: it has no other rows */
	bool cut;
	bool unproven;     /* from its row alone: no key in it came yet */
	bool started;      /* rows up to `upto` are done */
	size_t upto_len;
	char upto[STORE_NAME_MAX + 1];
	struct kv_iter *rows; /* of the page at hand: those after `upto` */
};

/* ---- directories that are cut ---- */

static struct cut *find_cut(struct cuts *cuts, struct span key)
{
	for (size_t i = 0; i < cuts->n; i++)
		if (span_equal(span_str(cuts->cut[i].key), key))
			return &cuts->cut[i];
	return NULL;
}

static int add_cut(struct cuts *cuts, struct span key, struct span last)
{
	struct cut *more;

	if (find_cut(cuts, key))
		return 0;
	more = reallocarray(cuts->cut, cuts->n + 1, sizeof(*more));
	if (!more)
		return fail(-ENOMEM);
	cuts->cut = more;
	more[cuts->n] = (struct cut){ .key = strndup((const char *)key.data, key.len),
				       .seen = span_starts(last, key) };
	if (!more[cuts->n].key)
		return fail(-ENOMEM);
	cuts->n++;
	return 0;
}

int cuts_add(struct cuts *cuts, struct span prefix, struct span key, struct span last)
{
	int r = 0;

	for (size_t i = prefix.len; i < key.len && !r; i++)
		if (key.data[i] == '/')
			r = add_cut(cuts, span_sub(key, 0, i + 1), last);
	return r;
}

void cuts_release(struct cuts *cuts)
{
	for (size_t i = 0; i < cuts->n; i++)
		free(cuts->cut[i].key);
	free(cuts->cut);
	*cuts = (struct cuts){ 0 };
}

/* ---- frames ---- */

void merge_init(struct merge *m, struct bucket *b, uint64_t root, struct span prefix, bool flat,
		const struct span *lo, struct cuts *cuts)
{
	*m = (struct merge){ .bucket = b, .root = root, .root_len = prefix.len, .flat = flat,
			     .cut_at_lo = lo != NULL, .cuts = cuts };
	if (prefix.len)
		memcpy(m->path, prefix.data, prefix.len);
	if (lo)
		memcpy(m->lo, lo->data, lo->len);
}

/* Between pages others write as well. */
static void end_page(struct merge *m)
{
	for (size_t i = 0; i < m->depth; i++) {
		m->frames[i].rows = kv_iter_free(m->frames[i].rows);
		m->frames[i].empty = false;
	}
}

void merge_release(struct merge *m)
{
	end_page(m);
	free(m->frames);
	m->frames = NULL;
	m->depth = m->room = 0;
}

static struct frame *top(struct merge *m)
{
	return &m->frames[m->depth - 1];
}

static struct span frame_prefix(const struct merge *m, const struct frame *f)
{
	return span_of(m->path, f->prefix_len);
}

static struct spot spot_of(const struct merge *m, const struct frame *f)
{
	return (struct spot){ .dir = f->dir, .prefix = frame_prefix(m, f),
			      .asked_ns = m->asked_ns, .flags = f->dir_flags };
}

static void set_upto(struct frame *f, struct span rel)
{
	assert(rel.len <= STORE_NAME_MAX);
	memcpy(f->upto, rel.data ? (const void *)rel.data : "", rel.len);
	f->upto_len = rel.len;
	f->started = true;
}

/* The part of a key that is a name in a directory: "sub/" or "file". */
static struct span rel_in(struct span key, size_t prefix_len, bool flat)
{
	const struct span rest = span_sub(key, prefix_len, key.len);
	const uint8_t *slash = flat && rest.len ? memchr(rest.data, '/', rest.len) : NULL;

	return slash ? span_sub(rest, 0, (size_t)(slash - rest.data) + 1) : rest;
}

/* The directory whose prefix is now `len` bytes of the path. */
static int push(struct merge *m, uint64_t dir, size_t len, bool empty)
{
	const struct span lo = span_str(m->lo);
	struct frame *f;

	if (m->depth == m->room) {
		const size_t room = MAX(2 * m->room, (size_t)8);

		f = reallocarray(m->frames, room, sizeof(*f));
		if (!f)
			return fail(-ENOMEM);
		m->frames = f;
		m->room = room;
	}
	f = &m->frames[m->depth++];
	*f = (struct frame){ .dir = dir, .prefix_len = len, .asked_ns = m->asked_ns };
	f->cut = m->depth == 1 || (m->cut_at_lo && span_starts(lo, frame_prefix(m, f)));
	f->empty = empty && !f->cut;
	if (m->cut_at_lo && f->cut)
		set_upto(f, rel_in(lo, len, m->flat));
	return 0;
}

/* ---- rows that a page does not name ---- */

static bool is_at(const struct frame *f)
{
	return f->rows && kv_iter_valid(f->rows);
}

/* The rows after `upto`. */
static int open_rows(struct merge *m, struct frame *f)
{
	const struct span upto = span_of(f->upto, f->upto_len);

	if (f->rows || f->empty)
		return 0;
	f->rows = rows_iter(m->bucket, f->dir, f->started ? upto : SPAN_NULL);
	if (!f->rows)
		return fail(-ENOMEM);
	if (f->started && is_at(f) && span_equal(rows_rel(f->rows), upto))
		kv_iter_next(f->rows);
	return kv_iter_error(f->rows);
}

/* Rows that come before rel (NULL: all there are) are not in the page. */
static int drop_before(struct merge *m, struct frame *f, const struct span *rel)
{
	int r = open_rows(m, f);

	while (!r && is_at(f) && (!rel || span_compare(rows_rel(f->rows), *rel) < 0)) {
		struct spot at = spot_of(m, f);
		struct row row;

		r = row_read(kv_iter_value(f->rows), &row);
		if (!r)
			r = spot_gone(m->change, &at, rows_rel(f->rows), &row);
		if (!r)
			kv_iter_next(f->rows);
	}
	return r ? r : f->rows ? kv_iter_error(f->rows) : 0;
}

/* Goes on to rel: *old is its row, or NULL. */
static int step(struct merge *m, struct frame *f, struct span rel, struct row *room,
		const struct row **old)
{
	const struct spot at = spot_of(m, f);
	int r;

	*old = NULL;
	/* of a cut directory others write rows as well */
	if (f->started && span_equal(span_of(f->upto, f->upto_len), rel))
		return spot_old(m->bucket, &at, rel, room, old);
	r = drop_before(m, f, &rel);
	if (r)
		return r;
	set_upto(f, rel);
	if (is_at(f) && span_equal(rows_rel(f->rows), rel)) {
		*old = room;
		r = row_read(kv_iter_value(f->rows), room);
		if (!r)
			kv_iter_next(f->rows);
	} else if (m->marked && rel_is_dir(rel)) {
		r = change_flush(m->change); /* (R4): the mark may have made it just now */
		if (!r)
			r = spot_old(m->bucket, &at, rel, room, old);
	}
	return r;
}

/* ---- ends of directories ---- */

static int complete(struct change *c, uint64_t dir, unsigned flags, uint64_t asked_ns)
{
	struct dir_row row;
	int r = dir_row_get(c->bucket, dir, &row);

	if (r)
		return r;
	row.flags |= DIR_COMPLETE | flags;
	row.asked_ns = asked_ns;
	row.listed_ns = clock_wall();
	return change_dir(c, dir, &row);
}

static int pop(struct merge *m)
{
	struct frame *f = top(m);
	int r = drop_before(m, f, NULL);

	if (!r && !f->cut)
		r = complete(m->change, f->dir, f->dir_flags, f->asked_ns);
	f->rows = kv_iter_free(f->rows);
	m->depth--;
	return r;
}

static int pop_to(struct merge *m, struct span key)
{
	int r = 0;

	while (!r && m->depth > 1 && !span_starts(key, frame_prefix(m, top(m))))
		r = pop(m);
	return r;
}

/* ---- names ---- */

/* There is a key in the directory whose prefix is `len` bytes of the path. */
static void see_cut(struct merge *m, size_t len)
{
	struct cut *cut = find_cut(m->cuts, span_of(m->path, len));

	if (cut)
		cut->seen = true;
}

static int push_dir(struct merge *m, struct span rel)
{
	struct frame *f = top(m);
	struct spot at = spot_of(m, f);
	const size_t len = f->prefix_len + rel.len;
	const struct row seen = { 0 }, *old;
	struct row room;
	uint64_t ino;
	int r = step(m, f, rel, &room, &old);

	if (!r)
		r = spot_found(m->change, &at, rel, old, &seen, &ino);
	if (r)
		return r;
	f->dir_flags = at.flags;
	if (!m->flat)
		return 0;
	memcpy(m->path + f->prefix_len, rel.data, rel.len);
	see_cut(m, len);
	return push(m, ino, len, !old);
}

static int add_file(struct merge *m, struct span rel, const struct list_entry *e, unsigned mirror)
{
	struct frame *f = top(m);
	struct spot at = spot_of(m, f);
	struct row room, seen = { .size = e->size, .modified_s = e->modified_s };
	const struct row *old;
	uint64_t ino;
	int r;

	r = step(m, f, rel, &room, &old);
	if (r)
		return r;
	if (!rel.len && !e->size) /* the directory's own mark (B5) */
		return spot_gone(m->change, &at, rel, old);
	memcpy(seen.version[mirror], e->version, sizeof(e->version));
	seen.flags = e->is_folder ? ROW_MARK : mark_flag(rel, e->size);
	if (seen.flags) {
		m->marked = true;
		f->empty = false;
	}
	r = spot_found(m->change, &at, rel, old, &seen, &ino);
	f->dir_flags = at.flags;
	return r;
}

/* A key came in all directories that are open. */
static void prove(struct merge *m)
{
	for (size_t i = m->depth; i-- > 1 && m->frames[i].unproven;) {
		m->frames[i].unproven = false;
		see_cut(m, m->frames[i].prefix_len);
	}
}

static int merge_entry(struct merge *m, const struct list_entry *e, unsigned mirror)
{
	const struct span key = span_str(e->name);
	int r = pop_to(m, key);

	if (!r)
		prove(m);
	while (!r) {
		const struct span rel = rel_in(key, top(m)->prefix_len, m->flat);

		/* with a delimiter, and without one on the way down */
		if (!rel_is_dir(rel) || (!m->flat && !e->is_prefix))
			return add_file(m, rel, e, mirror);
		r = push_dir(m, rel);
		if (!m->flat)
			break;
	}
	return r;
}

/* ---- pages ---- */

/* Directories on the way to a key that are there already. */
static int descend(struct merge *m, struct span key)
{
	int r = 0;

	while (!r && m->flat) {
		const struct frame *f = top(m);
		const struct span rel = rel_in(key, f->prefix_len, true);
		const size_t len = f->prefix_len + rel.len;
		struct row row;

		if (!rel_is_dir(rel))
			break;
		r = row_get(m->bucket, f->dir, rel, &row);
		if (r == ROW_NONE || (!r && !row_is_live(&row)))
			return 0;
		if (r)
			return r;
		memcpy(m->path + f->prefix_len, rel.data, rel.len);
		r = push(m, row.ino, len, false);
		if (!r)
			top(m)->unproven = true;
	}
	return r;
}

static int begin(struct merge *m)
{
	int r;

	if (m->depth)
		return 0;
	r = push(m, m->root, m->root_len, false);
	return !r && m->cut_at_lo ? descend(m, span_str(m->lo)) : r;
}

/* Nothing more comes up to hi: of each directory that holds hi, the names before it are done. */
static int finish(struct merge *m, const struct span *hi)
{
	int r = hi ? pop_to(m, *hi) : 0;

	if (!r && hi) {
		r = change_flush(m->change);
		if (!r)
			r = descend(m, *hi);
	}
	while (!r && m->depth) {
		struct frame *f = top(m);
		struct span rel;

		f->cut |= hi != NULL;
		if (!hi) {
			r = pop(m);
			continue;
		}
		rel = rel_in(*hi, f->prefix_len, m->flat);
		r = drop_before(m, f, &rel);
		if (!r && is_at(f) && !rel_is_dir(rel) && span_equal(rows_rel(f->rows), rel)) {
			struct spot at = spot_of(m, f);
			struct row row;

			r = row_read(kv_iter_value(f->rows), &row);
			if (!r)
				r = spot_gone(m->change, &at, rel, &row);
		}
		f->rows = kv_iter_free(f->rows);
		m->depth--;
	}
	return r;
}

int merge_page(struct merge *m, const struct merge_page *page)
{
	struct change c;
	int r = change_begin(m->bucket, &c);

	if (r)
		return r;
	m->change = &c;
	m->asked_ns = page->asked_ns;
	m->marked = false;
	r = begin(m);
	for (size_t i = 0; i < page->n && !r; i++)
		r = merge_entry(m, &page->entries[i], page->mirror);
	if (!r && page->last)
		r = finish(m, page->hi);
	end_page(m);
	m->change = NULL;
	return change_end(&c, r);
}

/* ---- the end of a listing ---- */

/* The row of a directory below the root, by its key. */
static int find_dir(struct merge *m, struct span key, uint64_t *ret_parent, struct row *ret)
{
	uint64_t dir = m->root;
	size_t at = m->root_len;
	int r;

	for (;;) {
		const struct span rel = rel_in(key, at, true);

		r = row_get(m->bucket, dir, rel, ret);
		at += rel.len;
		if (r || at == key.len)
			break;
		dir = ret->ino;
	}
	*ret_parent = dir;
	return r;
}

static int end_cut(struct merge *m, const struct cut *cut, uint64_t asked_ns)
{
	const struct span key = span_str(cut->key), rel = key_last(key);
	struct spot at = { .asked_ns = asked_ns };
	struct row row;
	int r = find_dir(m, key, &at.dir, &row);

	if (r)
		return MIN(r, 0);
	at.prefix = span_sub(key, 0, key.len - rel.len);
	if (cut->seen)
		return complete(m->change, row.ino, 0, asked_ns);
	return spot_gone(m->change, &at, rel, &row);
}

int merge_end(struct merge *m, uint64_t asked_ns, bool whole)
{
	struct change c;
	int r = change_begin(m->bucket, &c);

	if (r)
		return r;
	m->change = &c;
	for (size_t i = 0; i < m->cuts->n && !r; i++)
		r = end_cut(m, &m->cuts->cut[i], asked_ns);
	if (!r && whole)
		r = complete(&c, m->root, 0, asked_ns);
	m->change = NULL;
	return change_end(&c, r);
}
