/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include "fs/ns/chunk.h"
#include "fs/ns/row_io.h"

struct extents file_extents(const struct apply *a, const struct node *n)
{
	return (struct extents){
		.view = a->view,
		.ino = n->ino,
		.size = n->row.size,
		.bytes = n->row.bytes,
		.slot = a->ctx->slot,
	};
}

int file_extents_done(struct apply *a, const struct extents *x, struct node *n)
{
	const int r = apply_totals_load(a);

	if (r)
		return r;
	if (n->row.bytes != x->bytes) {
		a->totals.bytes += x->bytes - n->row.bytes;
		a->totals_dirty = true;
	}
	n->row.bytes = x->bytes;
	n->dirty = true;
	return 0;
}

/*
 * The chunk's length as far as a WRITE may refer to it: named by it, or known and alive. EINVAL
 * otherwise.
 */
static int referred_length(struct apply *a, const struct extent_row *row, size_t *hint,
			   uint32_t *ret)
{
	const struct op *op = a->op;
	struct chunk_row known;
	int r;

	/*
	 * Extents come in the order of their chunks, nearly always: begin where the last one was
	 * found.
	 */
	for (size_t i = 0; i < op->n_chunks; i++) {
		const struct op_chunk *c = &op->chunks[(*hint + i) % op->n_chunks];

		if (memcmp(c->id, row->chunk, CHUNK_ID_SIZE) == 0) {
			*hint = (*hint + i) % op->n_chunks;
			*ret = c->length;
			return 0;
		}
	}
	r = chunk_load(a->view, row->chunk, &known);
	if (r)
		return r == VIEW_MISSING ? EINVAL : r;
	if (known.dead)
		return EINVAL;
	*ret = known.length;
	return 0;
}

int file_write_check(struct apply *a, uint64_t base)
{
	const struct op *op = a->op;
	size_t hint = 0;

	if ((op->flags & OP_WRITE_SIZE) && op->size > FILE_SIZE_MAX)
		return EFBIG;
	for (size_t i = 0; i < op->n_chunks; i++) {
		const int r = chunk_define_check(a->view, &op->chunks[i]);

		if (r)
			return r;
	}
	for (size_t i = 0; i < op->n_extents; i++) {
		const struct op_extent *e = &op->extents[i];
		uint32_t length;
		int r;

		if (base > FILE_SIZE_MAX - e->offset - e->row.length)
			return EFBIG;
		if (e->row.kind != EXTENT_CHUNK)
			continue;
		r = referred_length(a, &e->row, &hint, &length);
		if (r)
			return r;
		if (e->row.chunk_offset > length || e->row.length > length - e->row.chunk_offset)
			return EINVAL;
	}
	return 0;
}

int file_chunks_define(struct apply *a)
{
	const struct op *op = a->op;

	for (size_t i = 0; i < op->n_chunks; i++) {
		const int r = chunk_define(a->view, &op->chunks[i], a->ctx->slot);

		if (r)
			return r;
	}
	return 0;
}

/*
 * New chunks, and the live bytes of all that the extents refer to: before anything is released, so
 * that no chunk that is in use before and after dies in between.
 */
static int write_hold(struct apply *a)
{
	const struct op *op = a->op;
	int r = file_chunks_define(a);

	for (size_t i = 0; r == 0 && i < op->n_extents; i++) {
		const struct extent_row *row = &op->extents[i].row;

		if (row->kind == EXTENT_CHUNK)
			r = chunk_hold(a->view, row->chunk, row->length);
	}
	return r;
}

static int write_extents(struct apply *a, struct extents *x, uint64_t base)
{
	const struct op *op = a->op;

	for (size_t i = 0; i < op->n_extents; i++) {
		const struct op_extent *e = &op->extents[i];
		const uint64_t at = base + e->offset;
		int r;

		r = extents_cut(x, at, at + e->row.length);
		if (r)
			return r;
		r = extents_add(x, at, &e->row);
		if (r)
			return r;
	}
	return 0;
}

int file_chunks_settle(struct apply *a)
{
	const struct op *op = a->op;

	for (size_t i = 0; i < op->n_chunks; i++) {
		const int r = chunk_settle(a->view, op->chunks[i].id, a->ctx->slot);

		if (r)
			return r;
	}
	return 0;
}

int apply_write(struct apply *a)
{
	const struct op *op = a->op;
	struct extents x;
	struct node *n;
	uint64_t base;
	int r;

	r = node_get_file(a, op->ino, &n);
	if (r)
		return r;
	x = file_extents(a, n);
	base = (op->flags & (OP_WRITE_APPEND | OP_WRITE_REPLACE)) == OP_WRITE_APPEND ? x.size : 0;
	r = file_write_check(a, base);
	if (r)
		return r;
	r = write_hold(a);
	if (r)
		return r;
	if (op->flags & OP_WRITE_REPLACE) {
		r = extents_cut(&x, 0, EXTENTS_ALL);
		if (r)
			return r;
		x.size = 0;
	}
	r = write_extents(a, &x, base);
	if (r)
		return r;
	n->row.size = x.size;
	if (op->flags & OP_WRITE_SIZE) {
		r = extents_cut(&x, op->size, EXTENTS_ALL);
		if (r)
			return r;
		n->row.size = op->size;
	}
	r = file_chunks_settle(a);
	if (r)
		return r;
	node_written(a, n);
	a->value = op->flags & OP_WRITE_APPEND ? base : 0;
	return file_extents_done(a, &x, n);
}

int apply_truncate(struct apply *a)
{
	const uint64_t size = a->op->size;
	struct extents x;
	struct node *n;
	int r;

	r = node_get_file(a, a->op->ino, &n);
	if (r)
		return r;
	if (size > FILE_SIZE_MAX)
		return EFBIG;
	x = file_extents(a, n);
	r = extents_cut(&x, size, EXTENTS_ALL);
	if (r)
		return r;
	n->row.size = size;
	node_written(a, n);
	return file_extents_done(a, &x, n);
}

int apply_punch(struct apply *a)
{
	const struct op *op = a->op;
	struct extents x;
	struct node *n;
	int r;

	r = node_get_file(a, op->ino, &n);
	if (r)
		return r;
	if (op->len == 0)
		return EINVAL;
	if (op->len > FILE_SIZE_MAX || op->off > FILE_SIZE_MAX - op->len)
		return EFBIG;
	x = file_extents(a, n);
	r = extents_cut(&x, op->off, op->off + op->len);
	if (r)
		return r;
	if (op->flags & OP_PUNCH_GROW)
		n->row.size = MAX(n->row.size, op->off + op->len);
	node_written(a, n);
	return file_extents_done(a, &x, n);
}

int apply_clone(struct apply *a)
{
	const struct op *op = a->op;
	struct node *from, *to;
	struct extents x;
	uint64_t len;
	int r;

	r = node_get_file(a, op->ino, &from);
	if (r)
		return r;
	r = node_get_file(a, op->to, &to);
	if (r)
		return r;
	len = op->off < from->row.size ? MIN(op->len, from->row.size - op->off) : 0;
	if (len == 0)
		return 0;
	if (op->to_off > FILE_SIZE_MAX - len)
		return EFBIG;
	if (from == to && op->off < op->to_off + len && op->to_off < op->off + len)
		return EINVAL;
	x = file_extents(a, to);
	r = extents_cut(&x, op->to_off, op->to_off + len);
	if (r)
		return r;
	r = extents_clone(&x, op->to_off, from->ino, op->off, op->off + len);
	if (r)
		return r;
	to->row.size = MAX(to->row.size, op->to_off + len);
	node_written(a, to);
	a->value = len;
	return file_extents_done(a, &x, to);
}

int apply_stored(struct apply *a)
{
	for (size_t i = 0; i < a->op->n_chunks; i++) {
		const int r = chunk_stored(a->view, a->op->chunks[i].id, a->op->chunks[i].stores);

		if (r)
			return r;
	}
	return 0;
}

int apply_deficit(struct apply *a)
{
	for (size_t i = 0; i < a->op->n_chunks; i++) {
		const int r = chunk_lacking(a->view, a->op->chunks[i].id, a->op->chunks[i].stores);

		if (r)
			return r;
	}
	return 0;
}

/* An inode without a name, and its row as an orphan. ESTALE: gone; EBUSY: it has a name. */
static int orphan_get(struct apply *a, struct node **ret, struct orphan_row *ret_row)
{
	int r;

	r = node_get(a, a->op->ino, ret);
	if (r)
		return r;
	if ((*ret)->row.nlink > 0)
		return EBUSY;
	r = orphan_load(a->view, a->op->ino, ret_row);
	return r == VIEW_MISSING ? -EBADMSG : r;
}

int apply_reap(struct apply *a)
{
	const uint64_t saw = a->op->saw;
	struct orphan_row row;
	struct extents x;
	struct node *n;
	uint8_t key[8];
	int r;

	r = orphan_get(a, &n, &row);
	if (r)
		return r;
	if (saw != 0 && saw != SAW_ANYTHING && saw != row.slot)
		return EBUSY; /* somebody said HOLD since */
	x = file_extents(a, n);
	r = extents_cut(&x, 0, EXTENTS_ALL);
	if (r)
		return r;
	key_ino(n->ino, key);
	r = rows_remove(a->view, COL_XATTR, span_of(key, sizeof(key)));
	if (r)
		return r;
	r = view_delete(a->view, COL_ORPHAN, span_of(key, sizeof(key)));
	if (r)
		return r;
	n->gone = true;
	a->value = n->ino;
	return file_extents_done(a, &x, n);
}

int apply_hold(struct apply *a)
{
	const struct orphan_row held = { .slot = a->ctx->slot, .time_ns = a->op->time_ns };
	struct orphan_row row;
	struct node *n;
	int r;

	r = orphan_get(a, &n, &row);
	return r ? r : orphan_store(a->view, n->ino, &held);
}
