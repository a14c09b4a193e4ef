/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/bucket_i.h"

#include "base/codec.h"

#include <stdio.h>

#define ROW_SIZE_MAX 1024
#define KEY_SIZE_MAX (8 + STORE_NAME_MAX)
#define PURGE_MAX 1000 /* rows of a subtree in one batch */
#define FIRST_COUNTER 2

const char *const local_columns[] = { "meta", "entry", "inode", "dir", NULL };

/* ---- keys of rows ---- */

struct row_key {
	size_t len;
	uint8_t bytes[KEY_SIZE_MAX];
};

static struct span number_key(uint64_t number, uint8_t ret[8])
{
	for (int i = 0; i < 8; i++)
		ret[i] = (uint8_t)(number >> (56 - 8 * i));
	return span_of(ret, 8);
}

static struct span entry_key(uint64_t dir, struct span rel, struct row_key *ret)
{
	assert(rel.len <= STORE_NAME_MAX);
	(void)number_key(dir, ret->bytes);
	memcpy(ret->bytes + 8, rel.data ? (const void *)rel.data : "", rel.len);
	return span_of(ret->bytes, 8 + rel.len);
}

static struct span meta_key(struct bucket *b, char ret[32])
{
	const int n = snprintf(ret, 32, "bucket%08x", b->o.number);

	return span_of(ret, (size_t)n);
}

/* ---- values ---- */

int row_read(struct span value, struct row *ret)
{
	struct reader r = READER(value);
	struct row row = { .flags = read_u8(&r) };

	row.ino = read_be64(&r);
	row.size = read_varint(&r);
	row.modified_s = read_varint(&r);
	row.seen_ns = read_varint(&r);
	for (unsigned i = 0; i < MIRRORS_MAX; i++) {
		struct span v = read_bytes(&r, STORE_VERSION_MAX - 1);

		memcpy(row.version[i], v.data ? (const void *)v.data : "", v.len);
	}
	if (read_end(&r) < 0)
		return fail(-EIO);
	*ret = row;
	return 0;
}

static int row_write(const struct row *row, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_u8(&w, (uint8_t)row->flags);
	write_be64(&w, row->ino);
	write_varint(&w, row->size);
	write_varint(&w, row->modified_s);
	write_varint(&w, row->seen_ns);
	for (unsigned i = 0; i < MIRRORS_MAX; i++)
		write_bytes(&w, span_str(row->version[i]));
	return w.error;
}

int row_get(struct bucket *b, uint64_t dir, struct span rel, struct row *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_SIZE_MAX);
	struct row_key key;
	int r;

	if (rel.len > STORE_NAME_MAX)
		return ROW_NONE;
	r = kv_get(b->o.local, LOCAL_ENTRY, entry_key(dir, rel, &key), &value);
	if (r)
		return r == KV_MISSING ? ROW_NONE : r;
	return row_read(buf_span(&value), ret);
}

struct kv_iter *rows_iter(struct bucket *b, uint64_t dir, struct span from)
{
	struct row_key key;
	struct kv_iter *it = kv_iter_new(b->o.local, LOCAL_ENTRY, entry_key(dir, SPAN_NULL, &key));

	if (it)
		kv_iter_seek(it, entry_key(dir, from, &key));
	return it;
}

struct span rows_rel(const struct kv_iter *it)
{
	const struct span key = kv_iter_key(it);

	return span_sub(key, 8, key.len);
}

struct span key_last(struct span key)
{
	size_t at = key.len ? key.len - 1 : 0; /* the '/' at its end */

	while (at && key.data[at - 1] != '/')
		at--;
	return span_sub(key, at, key.len);
}

int place_get(struct bucket *b, uint64_t ino, struct place *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(KEY_SIZE_MAX);
	struct place p = { .is_dir = true };
	struct reader r;
	struct span rel;
	uint8_t key[8];
	int x;

	if (ino == b->root) {
		*ret = p;
		return 0;
	}
	x = kv_get(b->o.local, LOCAL_INODE, number_key(ino, key), &value);
	if (x)
		return x == KV_MISSING ? ROW_NONE : x;
	r = READER(buf_span(&value));
	p.parent = read_be64(&r);
	if (read_error(&r) < 0 || r.rest.len > STORE_NAME_MAX)
		return fail(-EIO);
	rel = r.rest;
	p.is_dir = rel_is_dir(rel);
	if (p.is_dir) {
		memcpy(p.key, rel.data, rel.len);
		rel = key_last(rel);
	}
	p.rel_len = rel.len;
	memcpy(p.rel, rel.data ? (const void *)rel.data : "", rel.len);
	*ret = p;
	return 0;
}

int dir_row_get(struct bucket *b, uint64_t dir, struct dir_row *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_SIZE_MAX);
	struct dir_row row = { 0 };
	struct reader r;
	uint8_t key[8];
	int x = kv_get(b->o.local, LOCAL_DIR, number_key(dir, key), &value);

	if (x < 0)
		return x;
	if (x == 0) {
		r = READER(buf_span(&value));
		row.flags = read_u8(&r);
		row.asked_ns = read_varint(&r);
		row.listed_ns = read_varint(&r);
		if (read_end(&r) < 0)
			return fail(-EIO);
	}
	*ret = row;
	return 0;
}

/* ---- changes ---- */

int change_begin(struct bucket *b, struct change *ret)
{
	struct kv_batch *batch = kv_batch_new(b->o.local);

	if (!batch)
		return fail(-ENOMEM);
	lock_take(&b->rows.lock);
	*ret = (struct change){ .bucket = b, .batch = batch, .totals = b->rows.totals };
	return 0;
}

static int add_totals(struct change *c)
{
	_cleanup_buf_ struct buf value = BUF_INIT(64 * KiB);
	struct writer w = WRITER(&value);
	char key[32];

	write_bytes(&w, span_str(c->bucket->identity));
	write_varint(&w, c->totals.next);
	write_varint(&w, c->totals.files);
	write_varint(&w, c->totals.directories);
	write_varint(&w, c->totals.bytes);
	write_varint(&w, c->totals.marks);
	if (w.error < 0)
		return w.error;
	return kv_batch_put(c->batch, LOCAL_META, meta_key(c->bucket, key), buf_span(&value));
}

static int write_out(struct change *c)
{
	int r = 0;

	lock_assert_held(&c->bucket->rows.lock);
	if (memcmp(&c->totals, &c->bucket->rows.totals, sizeof(c->totals)))
		r = add_totals(c);
	if (r == 0)
		r = kv_write(c->bucket->o.local, c->batch, false);
	if (r == 0) {
		c->bucket->rows.totals = c->totals;
		c->bucket->has_marks = c->totals.marks != 0;
	}
	return r;
}

int change_end(struct change *c, int error)
{
	const int r = error ? error : write_out(c);

	lock_give(&c->bucket->rows.lock);
	c->batch = kv_batch_free(c->batch);
	return r;
}

int change_flush(struct change *c)
{
	struct kv_batch *next = kv_batch_new(c->bucket->o.local);
	int r = next ? write_out(c) : fail(-ENOMEM);

	if (r < 0) {
		kv_batch_free(next);
		return r;
	}
	kv_batch_free(c->batch);
	c->batch = next;
	return 0;
}

uint64_t change_number(struct change *c)
{
	return c->bucket->root - ATTACHED_ROOT + c->totals.next++;
}

static void count(struct totals *t, struct span rel, const struct row *row, int sign)
{
	if (!row || !row_is_live(row))
		return;
	if (rel_is_dir(rel) || row->flags & ROW_MARK) {
		t->directories += (uint64_t)sign;
		return;
	}
	t->files += (uint64_t)sign;
	t->bytes += (uint64_t)sign * row->size;
}

int change_row(struct change *c, uint64_t dir, struct span rel, const struct row *old,
	       const struct row *new)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_SIZE_MAX);
	struct row_key key;
	int r = new ? row_write(new, &value) : 0;

	if (r < 0)
		return r;
	count(&c->totals, rel, old, -1);
	count(&c->totals, rel, new, 1);
	if (!new)
		return kv_batch_delete(c->batch, LOCAL_ENTRY, entry_key(dir, rel, &key));
	return kv_batch_put(c->batch, LOCAL_ENTRY, entry_key(dir, rel, &key), buf_span(&value));
}

int change_place(struct change *c, uint64_t ino, uint64_t parent, struct span key)
{
	struct row_key value;
	uint8_t number[8];

	return kv_batch_put(c->batch, LOCAL_INODE, number_key(ino, number),
			    entry_key(parent, key, &value));
}

int change_dir(struct change *c, uint64_t dir, const struct dir_row *row)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_SIZE_MAX);
	struct writer w = WRITER(&value);
	uint8_t key[8];

	write_u8(&w, (uint8_t)row->flags);
	write_varint(&w, row->asked_ns);
	write_varint(&w, row->listed_ns);
	if (w.error < 0)
		return w.error;
	return kv_batch_put(c->batch, LOCAL_DIR, number_key(dir, key), buf_span(&value));
}

/* ---- purging ---- */

struct child {
	struct row row;
	size_t rel_len;
	uint8_t rel[STORE_NAME_MAX];
};
struct children {
	struct child *child;
	size_t n, max;
};

static int on_child(struct span key, struct span value, void *arg)
{
	struct children *all = arg;
	struct child *c = &all->child[all->n];
	int r;

	if (all->n == all->max)
		return 1;
	r = row_read(value, &c->row);
	if (r < 0)
		return r;
	c->rel_len = key.len - 8;
	memcpy(c->rel, key.data + 8, c->rel_len);
	all->n++;
	return 0;
}

/* The number and all that is said of it. */
static int forget_number(struct change *c, uint64_t ino)
{
	uint8_t key[8];
	int r = kv_batch_delete(c->batch, LOCAL_INODE, number_key(ino, key));

	return r ? r : kv_batch_delete(c->batch, LOCAL_DIR, number_key(ino, key));
}

/* Removes rows below a directory as long as *budget lasts; it is 0 when some may be left. */
static int purge_below(struct change *c, uint64_t dir, size_t *budget)
{
	struct children all = { .max = MIN(*budget, (size_t)16) };
	_cleanup_free_ struct child *room = calloc(all.max + 1, sizeof(*room));
	_cleanup_buf_ struct buf from = BUF_INIT(KEY_SIZE_MAX + 1);
	uint8_t key[8];
	int r = room ? buf_add_span(&from, number_key(dir, key)) : fail(-ENOMEM);

	all.child = room;
	do {
		all.n = 0;
		if (!r)
			r = kv_walk(c->bucket->o.local, LOCAL_ENTRY, number_key(dir, key),
				    buf_span(&from), on_child, &all);
		for (size_t i = 0; i < all.n && !r && *budget; i++) {
			struct child *ch = &all.child[i];
			const struct span rel = span_of(ch->rel, ch->rel_len);

			--*budget;
			if (rel_is_dir(rel))
				r = purge_below(c, ch->row.ino, budget);
			if (!r && (*budget || !rel_is_dir(rel)))
				r = forget_number(c, ch->row.ino);
			if (!r && (*budget || !rel_is_dir(rel)))
				r = change_row(c, dir, rel, &ch->row, NULL);
			buf_clear(&from);
			if (!r)
				r = buf_add_span(&from, number_key(dir, key));
			if (!r)
				r = buf_add_span(&from, rel);
			if (!r)
				r = buf_add_byte(&from, 0);
		}
	} while (!r && all.n == all.max && *budget);
	return r;
}

/* (R4): a number that a mark still has is not forgotten. */
static int is_marked(struct change *c, uint64_t dir, struct span rel, bool *ret)
{
	const struct span component = span_sub(rel, 0, rel.len - 1);
	char mark[STORE_NAME_MAX + sizeof(FOLDER_SUFFIX)];
	struct row row;
	int n, r = row_get(c->bucket, dir, component, &row);

	*ret = !r && row.flags & ROW_MARK;
	if (r < 0 || *ret)
		return MIN(r, 0);
	n = snprintf(mark, sizeof(mark), "%.*s" FOLDER_SUFFIX, SPAN_FMT(component));
	r = row_get(c->bucket, dir, span_of(mark, (size_t)n), &row);
	*ret = !r && row.flags & ROW_MARK;
	return MIN(r, 0);
}

int change_purge(struct change *c, uint64_t dir, struct span rel, const struct row *row)
{
	size_t budget = PURGE_MAX;
	bool marked = false;
	int r = 0;

	if (rel_is_dir(rel)) {
		r = is_marked(c, dir, rel, &marked);
		if (!r && !marked)
			r = purge_below(c, row->ino, &budget);
		if (r || marked || !budget)
			return r;
	}
	if (!(row->flags & ROW_MARK))
		r = forget_number(c, row->ino);
	return r ? r : change_row(c, dir, rel, row, NULL);
}

/* ---- opening ---- */

/* 0 with what is remembered of this identity; ROW_NONE: of none, or of another one. */
static int totals_get(struct bucket *b, struct totals *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(64 * KiB);
	struct totals t;
	struct reader r;
	struct span identity;
	char key[32];
	int x = kv_get(b->o.local, LOCAL_META, meta_key(b, key), &value);

	if (x)
		return x == KV_MISSING ? ROW_NONE : x;
	r = READER(buf_span(&value));
	identity = read_bytes(&r, 64 * KiB);
	t = (struct totals){ .next = read_varint(&r) };
	t.files = read_varint(&r);
	t.directories = read_varint(&r);
	t.bytes = read_varint(&r);
	t.marks = read_varint(&r);
	if (read_end(&r) < 0)
		return ROW_NONE;
	*ret = t;
	return span_equal(identity, span_str(b->identity)) ? 0 : ROW_NONE;
}

struct sweep {
	struct bucket *b;
	struct kv_batch *batch;
	unsigned column;
	size_t n;
	int error;
};

static int on_old(struct span key, struct span value, void *arg)
{
	struct sweep *s = arg;
	int r = kv_batch_delete(s->batch, s->column, key);

	return r ? r : ++s->n == PURGE_MAX;
}

/* (B3): what another bucket had under this number. */
static int forget_all(struct bucket *b, unsigned column)
{
	struct sweep s = { .b = b, .column = column };
	uint8_t key[8];
	int r;

	do {
		s.n = 0;
		s.batch = kv_batch_new(b->o.local);
		if (!s.batch)
			return fail(-ENOMEM);
		/* the bits above the counter: three bytes */
		r = kv_walk(b->o.local, column, span_sub(number_key(b->root, key), 0, 3),
			    SPAN_NULL, on_old, &s);
		if (!r)
			r = kv_write(b->o.local, s.batch, false);
		kv_batch_free(s.batch);
	} while (!r && s.n == PURGE_MAX);
	return r;
}

int rows_open(struct bucket *b)
{
	struct change c;
	int r = totals_get(b, &b->rows.totals);

	b->has_marks = r == 0 && b->rows.totals.marks;
	if (r != ROW_NONE)
		return r;
	/* what says that a listing is complete goes first */
	for (unsigned column = LOCAL_COUNT; column-- > LOCAL_ENTRY;) {
		r = forget_all(b, column);
		if (r < 0)
			return r;
	}
	r = change_begin(b, &c);
	if (r < 0)
		return r;
	c.totals = (struct totals){ .next = MAX(b->rows.totals.next, (uint64_t)FIRST_COUNTER) };
	return change_end(&c, 0);
}
