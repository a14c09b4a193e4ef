/* SPDX-License-Identifier: Apache-2.0 */
/* The model's contents, byte by byte. */
#include <sys/stat.h>

#include "tests/lib/cm.h"
#include "tests/lib/ns_model.h"

uint8_t model_pattern(const uint8_t *id, uint64_t offset)
{
	return (uint8_t)(id[CHUNK_ID_SIZE - 1] * 31 + id[CHUNK_ID_SIZE - 2] * 7 + offset * 13 +
			 (offset >> 8) + 1);
}

struct model_chunk *model_chunk(const struct model *m, const uint8_t *id)
{
	for (size_t i = 0; i < m->n_chunks; i++)
		if (!m->chunks[i].gone && !memcmp(m->chunks[i].c.id, id, CHUNK_ID_SIZE))
			return &m->chunks[i];
	return NULL;
}

uint64_t model_live(const struct model *m, const struct model_chunk *c)
{
	const size_t index = (size_t)(c - m->chunks) + 1;
	uint64_t live = 0;

	for (size_t i = 0; i < m->n_nodes; i++)
		for (uint64_t b = 0; b < m->nodes[i].size; b++)
			live += m->nodes[i].cells[b].chunk == index;
	return live;
}

uint64_t model_bytes(const struct model_node *n)
{
	uint64_t bytes = 0;

	for (uint64_t b = 0; b < n->size; b++)
		bytes += n->cells[b].allocated;
	return bytes;
}

/* One pass over all cells for all chunks. */
void model_bury(struct model *m, uint64_t slot)
{
	bool *alive = calloc(m->n_chunks + 1, sizeof(*alive));

	assert_non_null(alive);
	for (size_t i = 0; i < m->n_nodes; i++)
		for (uint64_t b = 0; b < m->nodes[i].size; b++)
			alive[m->nodes[i].cells[b].chunk] = true;
	for (size_t i = 0; i < m->n_chunks; i++) {
		struct model_chunk *c = &m->chunks[i];

		if (alive[i + 1]) {
			c->dead = 0;
		} else if (!c->dead) {
			c->dead = slot;
			c->deficits = 0;
		}
	}
	free(alive);
}

static int file(const struct model *m, uint64_t ino, struct model_node **ret)
{
	struct model_node *n = model_node(m, ino);

	if (!n)
		return ESTALE;
	if (S_ISDIR(n->mode))
		return EISDIR;
	*ret = n;
	return S_ISREG(n->mode) ? 0 : EINVAL;
}

static void resize(struct model_node *n, uint64_t size)
{
	struct model_cell *cells = reallocarray(n->cells, size + 1, sizeof(*cells));

	assert_non_null(cells);
	if (size > n->size)
		memset(cells + n->size, 0, (size - n->size) * sizeof(*cells));
	n->cells = cells;
	n->size = size;
}

static void written(struct model_node *n, const struct op *op, uint32_t flags)
{
	const uint64_t when = op->mtime_ns ? op->mtime_ns : op->time_ns;

	n->version++;
	n->ctime = MAX(when, n->ctime + 1);
	if (!(flags & OP_WRITE_KEEP_MTIME))
		n->mtime = op->mtime_ns && op->mtime_ns != n->mtime ? op->mtime_ns : n->ctime;
	if (flags & OP_WRITE_KILLPRIV)
		n->mode &= ~(uint32_t)(S_ISUID | (n->mode & S_IXGRP ? S_ISGID : 0));
}

static const struct op_chunk *named(const struct op *op, const uint8_t *id)
{
	for (size_t i = 0; i < op->n_chunks; i++)
		if (!memcmp(op->chunks[i].id, id, CHUNK_ID_SIZE))
			return &op->chunks[i];
	return NULL;
}

static int check_chunks(const struct model *m, const struct op *op)
{
	for (size_t i = 0; i < op->n_chunks; i++) {
		const struct model_chunk *c = model_chunk(m, op->chunks[i].id);

		if (c && c->dead && !c->c.want)
			return ESTALE;
		if (c && (c->c.length != op->chunks[i].length ||
			  memcmp(c->c.salt, op->chunks[i].salt, 16) ||
			  c->c.key_epoch != op->chunks[i].key_epoch))
			return EINVAL;
	}
	for (size_t i = 0; i < op->n_extents; i++) {
		const struct extent_row *row = &op->extents[i].row;
		const struct op_chunk *c;
		const struct model_chunk *known;

		if (row->kind != EXTENT_CHUNK)
			continue;
		c = named(op, row->chunk);
		known = model_chunk(m, row->chunk);
		if (!c && (!known || known->dead))
			return EINVAL;
		if (row->chunk_offset + row->length > (c ? c->length : known->c.length))
			return EINVAL;
	}
	return 0;
}

static void define(struct model *m, const struct op_chunk *op_chunk, uint64_t slot)
{
	struct model_chunk *c = model_chunk(m, op_chunk->id);

	if (c) {
		c->c.stores |= op_chunk->stores;
		return;
	}
	m->chunks = reallocarray(m->chunks, m->n_chunks + 1, sizeof(*m->chunks));
	assert_non_null(m->chunks);
	m->chunks[m->n_chunks++] = (struct model_chunk){ .c = *op_chunk, .born = slot };
}

static uint16_t reference(struct model *m, struct span text)
{
	unsigned i = 0;

	while (i < m->n_references && !span_equal(span_str(m->references[i].text), text))
		i++;
	if (i == m->n_references) {
		assert_true(i < MODEL_REFERENCES && text.len < sizeof(m->references[i].text));
		memcpy(m->references[i].text, text.data, text.len);
		m->n_references++;
	}
	return (uint16_t)(i + 1);
}

static struct model_cell cell_of(struct model *m, const struct extent_row *row, uint64_t i)
{
	struct model_chunk *c = row->kind == EXTENT_CHUNK ? model_chunk(m, row->chunk) : NULL;
	struct model_cell cell = { .allocated = true };

	if (c) {
		cell.at = row->chunk_offset + (uint32_t)i;
		cell.chunk = (uint16_t)(c - m->chunks + 1);
		cell.byte = model_pattern(row->chunk, cell.at);
	} else if (row->kind == EXTENT_FOREIGN) {
		cell.at = (uint32_t)(row->foreign_offset + i);
		cell.foreign = reference(m, row->bytes);
	} else {
		cell.byte = row->bytes.data[i];
	}
	return cell;
}

static void put_extent(struct model *m, struct model_node *n, uint64_t at,
		       const struct extent_row *row)
{
	struct model_chunk *c = row->kind == EXTENT_CHUNK ? model_chunk(m, row->chunk) : NULL;

	if (n->size < at + row->length)
		resize(n, at + row->length);
	if (c)
		c->dead = 0;
	for (uint64_t i = 0; i < row->length; i++)
		n->cells[at + i] = cell_of(m, row, i);
}

int model_write(struct model *m, const struct apply_context *ctx, const struct op *op,
		uint64_t *ret_value)
{
	struct model_node *n;
	uint64_t base = 0;
	int r = file(m, op->ino, &n);

	r = r ? r : check_chunks(m, op);
	if (r)
		return r;
	if ((op->flags & OP_WRITE_APPEND) && !(op->flags & OP_WRITE_REPLACE))
		base = n->size;
	for (size_t i = 0; i < op->n_chunks; i++)
		define(m, &op->chunks[i], ctx->slot);
	if (op->flags & OP_WRITE_REPLACE)
		resize(n, 0);
	for (size_t i = 0; i < op->n_extents; i++)
		put_extent(m, n, base + op->extents[i].offset, &op->extents[i].row);
	if (op->flags & OP_WRITE_SIZE)
		resize(n, op->size);
	written(n, op, op->flags);
	*ret_value = op->flags & OP_WRITE_APPEND ? base : 0;
	return 0;
}

void model_adopted(struct model *m, struct model_node *n, const struct op *op)
{
	const struct extent_row whole = { .kind = EXTENT_FOREIGN,
					  .length = op->size,
					  .bytes = op->value };

	n->mtime = op->mtime_ns ? op->mtime_ns : n->mtime;
	if (op->size)
		put_extent(m, n, 0, &whole);
}

static bool same_place(const struct model_cell *a, const struct model_cell *b)
{
	return a->chunk == b->chunk && a->foreign == b->foreign && a->at == b->at;
}

int model_repack(struct model *m, const struct apply_context *ctx, const struct op *op,
		 uint64_t *ret_value)
{
	struct extent_row old;
	struct model_node *n;
	int r = file(m, op->ino, &n);

	r = r ? r : check_chunks(m, op);
	if (r)
		return r;
	assert_int_equal(extent_row_decode(op->value, &old), 0);
	for (size_t i = 0; i < op->n_chunks; i++)
		define(m, &op->chunks[i], ctx->slot);
	for (size_t i = 0; i < op->n_extents; i++) {
		const struct op_extent *e = &op->extents[i];

		for (uint64_t b = 0; b < e->row.length && e->offset + b < n->size; b++) {
			const struct model_cell was = cell_of(m, &old, e->offset + b - op->off);
			struct model_cell *cell = &n->cells[e->offset + b];

			if (!cell->allocated || !same_place(cell, &was))
				continue;
			*cell = cell_of(m, &e->row, b);
			++*ret_value;
		}
	}
	return 0;
}

int model_truncate(struct model *m, const struct op *op)
{
	struct model_node *n;
	const int r = file(m, op->ino, &n);

	if (r)
		return r;
	resize(n, op->size);
	written(n, op, op->flags);
	return 0;
}

int model_punch(struct model *m, const struct op *op)
{
	struct model_node *n;
	const int r = file(m, op->ino, &n);

	if (r)
		return r;
	if (op->len == 0)
		return EINVAL;
	for (uint64_t b = op->off; b < op->off + op->len && b < n->size; b++)
		n->cells[b] = (struct model_cell){ 0 };
	if ((op->flags & OP_PUNCH_GROW) && n->size < op->off + op->len)
		resize(n, op->off + op->len);
	written(n, op, op->flags & OP_WRITE_KILLPRIV);
	return 0;
}

int model_clone(struct model *m, const struct op *op, uint64_t *ret_value)
{
	struct model_node *from, *to;
	uint64_t len;
	int r = file(m, op->ino, &from);

	r = r ? r : file(m, op->to, &to);
	if (r)
		return r;
	len = op->off >= from->size ? 0 : MIN(op->len, from->size - op->off);
	if (len == 0)
		return 0;
	if (from == to && op->off < op->to_off + len && op->to_off < op->off + len)
		return EINVAL;
	if (to->size < op->to_off + len)
		resize(to, op->to_off + len);
	memcpy(to->cells + op->to_off, from->cells + op->off, len * sizeof(*to->cells));
	written(to, op, 0);
	*ret_value = len;
	return 0;
}

int model_copies(struct model *m, const struct op *op)
{
	for (size_t i = 0; i < op->n_chunks; i++) {
		struct model_chunk *c = model_chunk(m, op->chunks[i].id);
		const uint64_t stores = op->chunks[i].stores;

		if (!c || (c->dead && !c->c.want))
			continue;
		if (op->kind == OP_STORED) {
			c->c.stores |= stores;
			c->deficits &= ~stores;
		} else if (!c->dead) {
			c->deficits |= stores & c->c.want & ~c->c.stores;
		}
	}
	return 0;
}

int model_collect(struct model *m, const struct apply_context *ctx, const struct op *op,
		  uint64_t *ret_value)
{
	if (op->size < 60 || op->saw >= ctx->slot)
		return EINVAL;
	if (op->size != (m->grace_s ? m->grace_s : 24 * 3600)) {
		m->grace_s = op->size;
		m->grace_since = op->time_ns;
	}
	for (size_t i = 0; i < op->n_chunks; i++) {
		const uint8_t *id = op->chunks[i].id;
		struct model_chunk *c = model_chunk(m, id);
		const unsigned owner = m->block_owner[id[3]];
		const struct model_mount *author = owner ? &m->mounts[owner - 1] : NULL;

		if (!c || !c->dead || c->dead > op->saw)
			continue;
		if (c->c.want) {
			c->c.stores = c->c.want = 0;
			++*ret_value;
			continue;
		}
		if (author && (author->status == MOUNT_MOUNTED || author->slot > op->saw))
			continue;
		c->gone = true;
		++*ret_value;
	}
	return 0;
}
