/* SPDX-License-Identifier: Apache-2.0 */
/* What a range of a file consists of: the buffer over the namespace's extents over holes. */
#include "fs/data/data_i.h"

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->parts[i].reference);
	free(p->parts);
	*p = (struct plan){ 0 };
}

static int add_part(struct plan *p, const struct chunk_part *part)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 4;
		struct chunk_part *v = realloc(p->parts, cap * sizeof(*v));

		if (!v)
			return fail(-ENOMEM);
		p->parts = v;
		p->cap = cap;
	}
	p->parts[p->n++] = *part;
	return 0;
}

/* The reference is copied: its row is gone when it is read. */
static int add_foreign(struct plan *p, const struct extent_row *row, uint64_t off, size_t dst,
		       size_t len)
{
	struct chunk_part part = { .dst = dst,
				   .len = len,
				   .reference = malloc(row->bytes.len),
				   .reference_len = row->bytes.len,
				   .foreign_off = row->foreign_offset + off };
	int r;

	if (!part.reference)
		return fail(-ENOMEM);
	memcpy(part.reference, row->bytes.data, row->bytes.len);
	r = add_part(p, &part);
	if (r)
		free(part.reference);
	return r;
}

/* A gap between dirty segments, answered by the namespace. */
struct gap {
	struct plan *plan;
	uint8_t *dst;       /* of the whole read, or NULL */
	uint64_t origin;    /* file offset of dst[0] */
	uint64_t off, end;  /* the gap */
	uint64_t at;        /* answered up to here */
};

static void zero(struct gap *g, uint64_t from, uint64_t to)
{
	if (g->dst && to > from)
		memset(g->dst + (from - g->origin), 0, to - from);
}

static int on_extent(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct gap *g = arg;
	const uint64_t from = MAX(offset, g->at);
	const uint64_t to = MIN(offset + row->length, g->end);

	if (to <= from)
		return 0;
	zero(g, g->at, from);
	g->at = to;
	if (row->kind == EXTENT_INLINE) {
		struct span bytes = span_sub(row->bytes, from - offset, to - from);

		if (bytes.len != to - from)
			return fail(-EIO);
		if (g->dst)
			memcpy(g->dst + (from - g->origin), bytes.data, bytes.len);
		return 0;
	}
	if (row->kind == EXTENT_FOREIGN)
		return add_foreign(g->plan, row, from - offset, from - g->origin, to - from);

	struct chunk_part part = { .chunk_off = row->chunk_offset + (uint32_t)(from - offset),
				   .dst = from - g->origin,
				   .len = to - from };

	memcpy(part.seal.id, row->chunk, CHUNK_ID_SIZE);
	return add_part(g->plan, &part);
}

/* The chunks' rows, once the walk over the extents is over. */
static int fill_seals(struct view *v, struct plan *p, size_t from)
{
	for (size_t i = from; i < p->n; i++) {
		struct chunk_row row;
		int r;

		if (p->parts[i].reference)
			continue;
		r = ns_chunk(v, p->parts[i].seal.id, &row);

		if (r < 0)
			return r;
		if (r == NS_MISSING)
			return fail(-EIO);
		p->parts[i].seal.length = row.length;
		p->parts[i].seal.epoch = row.key_epoch;
		memcpy(p->parts[i].seal.salt, row.salt, sizeof(row.salt));
		p->parts[i].have = row.stores ? row.stores : row.want;
	}
	return 0;
}

static int plan_gap(struct file *f, struct gap *g)
{
	int r = 0;

	g->at = g->off;
	if (!f->replace) {
		struct view *v = commit_lock(f->data->o.commit);
		const size_t first = g->plan->n;

		r = ns_extents(v, f->ino, g->off, g->end - g->off, on_extent, g);
		if (r == 0)
			r = fill_seals(v, g->plan, first);
		commit_unlock(f->data->o.commit);
		if (r > 0)
			r = fail(-ESTALE);
	}
	zero(g, g->at, g->end);
	return r;
}

static int plan_segment(struct gap *g, const struct segment *s, uint64_t from, uint64_t to)
{
	const uint32_t run_off = s->run_off + (uint32_t)(from - s->off);

	if (s->run->bytes) {
		if (g->dst)
			memcpy(g->dst + (from - g->origin), s->run->bytes + run_off, to - from);
		return 0;
	}
	return add_part(g->plan, &(struct chunk_part){ .seal = s->run->upload->seal,
						       .have = upload_stores(s->run->upload),
						       .chunk_off = run_off,
						       .dst = from - g->origin,
						       .len = to - from });
}

static int plan_make_locked(struct file *f, uint64_t off, uint64_t end, uint8_t *dst,
			    struct plan *plan)
{
	struct gap g = { .plan = plan, .dst = dst, .origin = off };
	uint64_t at = off;
	int r = 0;

	for (size_t i = segments_find(&f->segs, off); r == 0 && at < end; i++) {
		const struct segment *s = i < f->segs.n ? &f->segs.v[i] : NULL;
		const uint64_t next = s ? MIN(s->off, end) : end;

		if (next > at) {
			g.off = at;
			g.end = next;
			r = plan_gap(f, &g);
			at = next;
		}
		if (r == 0 && s && at < end) {
			const uint64_t to = MIN(s->off + s->len, end);

			r = plan_segment(&g, s, at, to);
			at = to;
		}
	}
	return r;
}

int plan_make(struct file *f, uint64_t off, size_t len, uint8_t *dst, struct plan *ret)
{
	*ret = (struct plan){ 0 };
	LOCK_SCOPE(&f->lock);

	int r = plan_make_locked(f, off, off + len, dst, ret);

	if (r < 0)
		plan_release(ret);
	return r;
}

int file_size(struct file *f, uint64_t *ret)
{
	struct inode_row row;

	LOCK_SCOPE(&f->lock);
	if (f->replace) {
		*ret = file_size_locked(f, 0);
		return 0;
	}

	int r = data_inode(f->data, f->ino, &row);

	if (r == 0)
		*ret = file_size_locked(f, row.size);
	return r;
}
