/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign objects as contents: their sources, files made of them, and bytes that move home. */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

#include "fs/ns/chunk.h"
#include "fs/ns/foreign.h"
#include "fs/ns/row_io.h"

struct search {
	struct span url;
	uint32_t last, found; /* numbers; found 0: not yet */
};

static int is_source(struct span key, struct span value, void *arg)
{
	struct search *s = arg;
	struct reader rd = READER(key);
	struct source_row row;
	int r;

	s->last = read_be32(&rd);
	r = read_end(&rd);
	if (r == 0)
		r = source_row_decode(value, &row);
	if (r || !span_equal(row.url, s->url))
		return r;
	s->found = s->last;
	return 1;
}

int apply_source(struct apply *a)
{
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	const struct source_row source = { .url = a->op->value };
	struct search s = { .url = a->op->value };
	uint8_t key[4];
	int r = source_row_encode(&source, &row);

	if (r)
		return r == -EINVAL ? EINVAL : r;
	r = view_walk(a->view, COL_SOURCE, SPAN_NULL, SPAN_NULL, is_source, &s);
	if (r < 0)
		return r;
	a->value = s.found ? s.found : s.last + 1;
	if (s.found)
		return 0;
	if (s.last == SOURCES_MAX)
		return ENOSPC;
	key_source(s.last + 1, key);
	return view_put(a->view, COL_SOURCE, span_of(key, sizeof(key)), buf_span(&row));
}

/* An empty object needs no reference: there is nothing to read. */
static int adopt_check(const struct op *op)
{
	if (op->size > FILE_SIZE_MAX)
		return EFBIG;
	if (op->mode & ~07777u)
		return EINVAL;
	return op->size ? (op->value.len == 0 || op->value.len > FOREIGN_REFERENCE_MAX ? EINVAL : 0)
			: (op->value.len ? EINVAL : 0);
}

int apply_adopt(struct apply *a)
{
	const struct op *op = a->op;
	const struct extent_row whole = { .kind = EXTENT_FOREIGN,
					  .length = op->size,
					  .bytes = op->value };
	struct extents x;
	struct node *n;
	int r = adopt_check(op);

	if (r)
		return r;
	r = apply_make(a, S_IFREG | op->mode, &n);
	if (r)
		return r;
	if (op->mtime_ns)
		n->row.mtime_ns = op->mtime_ns;
	if (!op->size)
		return 0;
	x = file_extents(a, n);
	r = extents_add(&x, 0, &whole);
	if (r)
		return r;
	n->row.size = op->size;
	return file_extents_done(a, &x, n);
}

/* ---- repack ---- */

/* The next extent that touches [at, end): the walk ends with it. */
struct stretch {
	uint64_t at, end;
	struct extent_row row;
	struct buf bytes; /* what row borrows from */
	bool any;
};

static int take_first(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct stretch *s = arg;
	int r;

	buf_clear(&s->bytes);
	r = buf_add_span(&s->bytes, row->bytes);
	if (r)
		return r;
	s->at = offset;
	s->end = offset + row->length;
	s->row = *row;
	s->row.bytes = buf_span(&s->bytes);
	s->any = true;
	return 1;
}

/* Is every byte of the row at `at` where `old`, had it begun at `off`, says? */
static bool is_still_there(const struct extent_row *old, uint64_t off, const struct extent_row *row,
			   uint64_t at)
{
	if (row->kind != old->kind)
		return false;
	if (row->kind == EXTENT_CHUNK)
		return memcmp(row->chunk, old->chunk, CHUNK_ID_SIZE) == 0 &&
		       row->chunk_offset - at == old->chunk_offset - off;
	return row->kind == EXTENT_FOREIGN && span_equal(row->bytes, old->bytes) &&
	       row->foreign_offset - at == old->foreign_offset - off;
}

static int replace(struct apply *a, struct extents *x, const struct op_extent *e, uint64_t from,
		   uint64_t to)
{
	const struct extent_row part = extent_part(&e->row, from - e->offset, to - from);
	int r = part.kind == EXTENT_CHUNK ? chunk_hold(a->view, part.chunk, part.length) : 0;

	if (r == 0)
		r = extents_cut(x, from, to);
	if (r == 0)
		r = extents_add(x, from, &part);
	a->value += to - from;
	return r;
}

static int repack_one(struct apply *a, struct extents *x, const struct extent_row *old,
		      const struct op_extent *e)
{
	const uint64_t end = MIN(e->offset + e->row.length, x->size);
	_cleanup_(buf_release) struct buf bytes = BUF_INIT(ROW_MAX);
	uint64_t at = e->offset;

	while (at < end) {
		struct stretch s = { .bytes = bytes };
		int r = extents_walk(a->view, x->ino, at, end, take_first, &s);

		bytes = s.bytes;
		if (r < 0 || !s.any)
			return MIN(r, 0);
		if (is_still_there(old, a->op->off, &s.row, s.at))
			r = replace(a, x, e, MAX(at, s.at), MIN(end, s.end));
		if (r < 0)
			return r;
		at = s.end;
	}
	return 0;
}

/* The new extents speak of bytes of the old one only. */
static int repack_check(struct apply *a, struct extent_row *ret_old)
{
	const struct op *op = a->op;
	int r = extent_row_decode(op->value, ret_old);

	if (r)
		return r == -EBADMSG ? EINVAL : r;
	if (ret_old->kind == EXTENT_INLINE || op->off > FILE_SIZE_MAX - ret_old->length)
		return EINVAL;
	for (size_t i = 0; i < op->n_extents; i++) {
		const struct op_extent *e = &op->extents[i];

		if (e->offset < op->off ||
		    e->offset + e->row.length > op->off + ret_old->length)
			return EINVAL;
	}
	return file_write_check(a, 0);
}

int apply_repack(struct apply *a)
{
	struct extent_row old;
	struct extents x;
	struct node *n;
	int r;

	r = node_get_file(a, a->op->ino, &n);
	if (r)
		return r;
	r = repack_check(a, &old);
	if (r)
		return r;
	x = file_extents(a, n);
	r = file_chunks_define(a);
	for (size_t i = 0; r == 0 && i < a->op->n_extents; i++)
		r = repack_one(a, &x, &old, &a->op->extents[i]);
	return r ? r : file_chunks_settle(a);
}
