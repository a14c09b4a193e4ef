/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/extent.h"

#include "fs/ns/chunk.h"

struct extent_row extent_part(const struct extent_row *row, uint64_t from, uint64_t length)
{
	struct extent_row part = *row;

	assert(length > 0 && from + length <= row->length);
	part.length = length;
	switch (row->kind) {
	case EXTENT_CHUNK:
		part.chunk_offset += (uint32_t)from;
		break;
	case EXTENT_FOREIGN:
		part.foreign_offset += from;
		break;
	case EXTENT_INLINE:
		part.bytes = span_sub(row->bytes, from, length);
		break;
	}
	return part;
}

bool extent_continues(const struct extent_row *a, const struct extent_row *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case EXTENT_CHUNK:
		return memcmp(a->chunk, b->chunk, CHUNK_ID_SIZE) == 0 &&
		       a->chunk_offset + a->length == b->chunk_offset;
	case EXTENT_FOREIGN:
		return span_equal(a->bytes, b->bytes) &&
		       a->foreign_offset + a->length == b->foreign_offset;
	case EXTENT_INLINE:
		return false; /* they would grow over INLINE_MAX */
	}
	return false;
}

/* From a row and its key back to where the extent begins. */
static int extent_parse(struct span key, struct span value, uint64_t *ret_offset,
			struct extent_row *ret)
{
	uint64_t last;
	int r;

	if (key.len != 16)
		return -EBADMSG;
	r = extent_row_decode(value, ret);
	if (r)
		return r;
	last = key_u64(key.data + 8);
	if (last >= FILE_SIZE_MAX || last + 1 < ret->length)
		return -EBADMSG;
	*ret_offset = last + 1 - ret->length;
	return 0;
}

struct walk {
	uint64_t end;
	extent_fn *fn;
	void *arg;
};

static int walk_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct extent_row row;
	uint64_t offset;
	int r;

	r = extent_parse(key, value, &offset, &row);
	if (r)
		return r;
	return offset >= w->end ? 1 : w->fn(offset, &row, w->arg);
}

int extents_walk(struct view *v, uint64_t ino, uint64_t off, uint64_t end, extent_fn *fn, void *arg)
{
	struct walk w = { .end = end, .fn = fn, .arg = arg };
	uint8_t prefix[8], from[16];

	key_ino(ino, prefix);
	key_ino_u64(ino, off, from);
	return view_walk(v, COL_EXTENT, span_of(prefix, sizeof(prefix)),
			 span_of(from, sizeof(from)), walk_one, &w);
}

/*
 * Some extents at a time, copied: a walk must be over before the view is written, and a file may
 * have more of them than fit in memory.
 */
#define BATCH_MAX 32
struct batch {
	unsigned n;
	uint64_t next; /* where to go on */
	struct {
		uint64_t offset;
		size_t at; /* its row.bytes in `bytes` */
		struct extent_row row;
	} items[BATCH_MAX];
	struct buf bytes;
};

static int batch_add(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct batch *b = arg;
	int r;

	b->items[b->n].offset = offset;
	b->items[b->n].at = b->bytes.len;
	b->items[b->n].row = *row;
	r = buf_add_span(&b->bytes, row->bytes);
	if (r)
		return r;
	b->n++;
	b->next = offset + row->length;
	return b->n == BATCH_MAX;
}

/* The next extents from b->next on that touch anything below end; b->n == 0: no more. */
static int batch_fill(struct batch *b, struct view *v, uint64_t ino, uint64_t end)
{
	int r;

	b->n = 0;
	buf_clear(&b->bytes);
	if (b->next >= end)
		return 0;
	r = extents_walk(v, ino, b->next, end, batch_add, b);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < b->n; i++)
		b->items[i].row.bytes =
			span_sub(buf_span(&b->bytes), b->items[i].at, b->items[i].row.bytes.len);
	return 0;
}

static void batch_release(struct batch *b)
{
	buf_release(&b->bytes);
}

static int extent_put(const struct extents *x, uint64_t offset, const struct extent_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t key[16];
	int r;

	r = extent_row_encode(row, &bytes);
	if (r)
		return r;
	key_ino_u64(x->ino, offset + row->length - 1, key);
	return view_put(x->view, COL_EXTENT, span_of(key, sizeof(key)), buf_span(&bytes));
}

static int extent_delete(const struct extents *x, uint64_t offset, const struct extent_row *row)
{
	uint8_t key[16];

	key_ino_u64(x->ino, offset + row->length - 1, key);
	return view_delete(x->view, COL_EXTENT, span_of(key, sizeof(key)));
}

/* Cuts [off, end) out of one extent that touches it. */
static int cut_one(struct extents *x, uint64_t off, uint64_t end, uint64_t at,
		   const struct extent_row *row)
{
	const uint64_t row_end = at + row->length;
	const uint64_t first = MAX(off, at), last = MIN(end, row_end);
	int r;

	r = extent_delete(x, at, row);
	if (r)
		return r;
	if (first > at) {
		const struct extent_row left = extent_part(row, 0, first - at);

		r = extent_put(x, at, &left);
		if (r)
			return r;
	}
	if (last < row_end) {
		const struct extent_row right = extent_part(row, last - at, row_end - last);

		r = extent_put(x, last, &right);
		if (r)
			return r;
	}
	x->bytes -= last - first;
	return row->kind == EXTENT_CHUNK ? chunk_release(x->view, row->chunk, last - first, x->slot)
					 : 0;
}

int extents_cut(struct extents *x, uint64_t off, uint64_t end)
{
	_cleanup_(batch_release) struct batch b = { .next = off,
						    .bytes = BUF_INIT(BATCH_MAX * ROW_MAX) };
	int r;

	end = MIN(end, x->size); /* (X1) */
	for (;;) {
		r = batch_fill(&b, x->view, x->ino, end);
		if (r || b.n == 0)
			return r;
		for (unsigned i = 0; i < b.n; i++) {
			r = cut_one(x, off, end, b.items[i].offset, &b.items[i].row);
			if (r)
				return r;
		}
	}
}

/* The neighbour below, if `row` at `off` continues it: taken out of the view, and row extended. */
static int join_left(const struct extents *x, uint64_t *off, struct extent_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct extent_row left;
	uint8_t key[16];
	int r;

	if (*off == 0)
		return 0;
	key_ino_u64(x->ino, *off - 1, key); /* (X2): who ends there is found by that */
	r = view_get(x->view, COL_EXTENT, span_of(key, sizeof(key)), &bytes);
	if (r)
		return r == VIEW_MISSING ? 0 : r;
	r = extent_row_decode(buf_span(&bytes), &left);
	if (r || !extent_continues(&left, row))
		return r;
	r = view_delete(x->view, COL_EXTENT, span_of(key, sizeof(key)));
	if (r)
		return r;
	*off -= left.length;
	row->length += left.length;
	row->chunk_offset = left.chunk_offset;
	row->foreign_offset = left.foreign_offset;
	return 0;
}

struct joining {
	uint64_t at;
	const struct extent_row *row;
	uint64_t length; /* of the neighbour that continues row; 0: none does */
};

static int join_candidate(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct joining *j = arg;

	if (offset == j->at && extent_continues(j->row, row))
		j->length = row->length;
	return 1;
}

/* The same above. */
static int join_right(const struct extents *x, uint64_t off, struct extent_row *row)
{
	struct joining j = { .at = off + row->length, .row = row };
	uint8_t key[16];
	int r;

	if (j.at >= x->size || row->kind == EXTENT_INLINE)
		return 0; /* (X1): nothing is there */
	r = extents_walk(x->view, x->ino, j.at, j.at + 1, join_candidate, &j);
	if (r < 0 || j.length == 0)
		return r < 0 ? r : 0;
	key_ino_u64(x->ino, j.at + j.length - 1, key);
	r = view_delete(x->view, COL_EXTENT, span_of(key, sizeof(key)));
	if (r)
		return r;
	row->length += j.length;
	return 0;
}

int extents_add(struct extents *x, uint64_t off, const struct extent_row *row)
{
	struct extent_row joined = *row;
	const uint64_t end = off + row->length;
	int r;

	r = row->kind == EXTENT_INLINE ? 0 : join_left(x, &off, &joined);
	if (r)
		return r;
	r = join_right(x, off, &joined);
	if (r)
		return r;
	x->bytes += row->length;
	x->size = MAX(x->size, end);
	return extent_put(x, off, &joined);
}

int extents_clone(struct extents *x, uint64_t to_off, uint64_t from_ino, uint64_t off, uint64_t end)
{
	_cleanup_(batch_release) struct batch b = { .next = off,
						    .bytes = BUF_INIT(BATCH_MAX * ROW_MAX) };
	int r;

	for (;;) {
		r = batch_fill(&b, x->view, from_ino, end);
		if (r || b.n == 0)
			return r;
		for (unsigned i = 0; i < b.n; i++) {
			const uint64_t at = b.items[i].offset, row_end = at + b.items[i].row.length;
			const uint64_t first = MAX(at, off), last = MIN(row_end, end);
			const struct extent_row part =
				extent_part(&b.items[i].row, first - at, last - first);

			r = part.kind == EXTENT_CHUNK ? chunk_hold(x->view, part.chunk, part.length)
						      : 0;
			if (r)
				return r;
			r = extents_add(x, to_off + (first - off), &part);
			if (r)
				return r;
		}
	}
}
