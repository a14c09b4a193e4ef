/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/checkpoint_part.h"

#include "base/sodium.h"

struct part_cutter {
	part_fn *fn;
	void *arg;
	struct part *part; /* the one that grows, or NULL */
	struct part_totals totals;
	struct buf last;       /* place of the last row of all */
	struct buf place, row; /* of the next one */
	uint32_t frame;	       /* bytes in the open frame */
};

struct part *part_free(struct part *p)
{
	if (!p)
		return NULL;
	buf_release(&p->raw);
	buf_release(&p->frames);
	buf_release(&p->first);
	free(p);
	return NULL;
}

static struct part *part_new(void)
{
	struct part *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	buf_init(&p->raw, PART_RAW_MAX);
	buf_init(&p->frames, PART_RAW_MAX);
	buf_init(&p->first, PART_PLACE_MAX);
	return p;
}

int part_cutter_new(part_fn *fn, void *arg, struct part_cutter **ret)
{
	struct part_cutter *c = calloc(1, sizeof(*c));

	if (!c)
		return fail(-ENOMEM);
	c->fn = fn;
	c->arg = arg;
	buf_init(&c->last, PART_PLACE_MAX);
	buf_init(&c->place, PART_PLACE_MAX);
	buf_init(&c->row, ROW_MAX + 2 * PART_PLACE_MAX);
	*ret = c;
	return 0;
}

struct part_cutter *part_cutter_free(struct part_cutter *c)
{
	if (!c)
		return NULL;
	part_free(c->part);
	buf_release(&c->last);
	buf_release(&c->place);
	buf_release(&c->row);
	free(c);
	return NULL;
}

void part_totals_add(struct part_totals *t, unsigned column, struct span key, struct span value,
		     struct state_hash row)
{
	state_hash_add(&t->hash, row);
	t->columns[column].rows++;
	t->columns[column].size += key.len + value.len;
}

bool part_totals_equal(const struct part_totals *a, const struct part_totals *b)
{
	for (unsigned i = 0; i < COL_COUNT; i++)
		if (a->columns[i].rows != b->columns[i].rows ||
		    a->columns[i].size != b->columns[i].size)
			return false;
	return a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi;
}

bool part_begins(struct state_hash row, size_t size)
{
	return row.hi < size * (UINT64_MAX / PART_MEAN);
}

static size_t common(struct span a, struct span b)
{
	const size_t most = MIN(a.len, b.len);
	size_t n = 0;

	while (n < most && a.data[n] == b.data[n])
		n++;
	return n;
}

/* The row's bytes behind `shared` bytes that it has in common with the one before. */
static int encode(struct part_cutter *c, size_t shared, struct span value)
{
	struct writer w = WRITER(&c->row);

	buf_clear(&c->row);
	write_varint(&w, shared);
	write_bytes(&w, span_sub(buf_span(&c->place), shared, SIZE_MAX));
	write_bytes(&w, value);
	return w.error;
}

static int frame_end(struct part_cutter *c)
{
	const uint32_t length = c->frame;

	c->frame = 0;
	return buf_add(&c->part->frames, &length, sizeof(length));
}

static int part_end(struct part_cutter *c)
{
	const int r = frame_end(c);

	if (r)
		return r;
	blake2b(SPAN_NULL, buf_span(&c->part->raw), c->part->hash, PART_HASH_SIZE);
	return c->fn(take_ptr(&c->part), c->arg);
}

static int part_begin(struct part_cutter *c)
{
	c->part = part_new();
	c->frame = 0;
	return c->part ? buf_add_span(&c->part->first, buf_span(&c->place)) : fail(-ENOMEM);
}

/* Into the open frame where it fits, else into another. */
static int append(struct part_cutter *c, struct span value)
{
	const size_t shared = c->frame ? common(buf_span(&c->last), buf_span(&c->place)) : 0;
	int r = encode(c, shared, value);

	if (!r && c->frame && c->frame + c->row.len > PART_FRAME_SIZE) {
		r = frame_end(c);
		if (!r)
			r = encode(c, 0, value);
	}
	if (!r)
		r = buf_add_span(&c->part->raw, buf_span(&c->row));
	if (!r)
		c->frame += (uint32_t)c->row.len;
	return r;
}

static int read_place(struct part_cutter *c, unsigned column, struct span key)
{
	int r;

	if (column <= COL_META || column >= COL_COUNT || key.len >= PART_PLACE_MAX)
		return fail(-EBADMSG);
	buf_clear(&c->place);
	r = buf_add_byte(&c->place, (uint8_t)column);
	if (!r)
		r = buf_add_span(&c->place, key);
	if (!r && c->last.len && span_compare(buf_span(&c->place), buf_span(&c->last)) <= 0)
		return fail(-EBADMSG);
	return r;
}

int part_cutter_add(struct part_cutter *c, unsigned column, struct span key, struct span value)
{
	const struct state_hash hash = state_hash_row(column, key, value);
	size_t size;
	int r = value.len > ROW_MAX ? fail(-EBADMSG) : read_place(c, column, key);

	if (r)
		return r;
	size = c->place.len + value.len;
	if (c->part && (part_begins(hash, size) || c->part->size + size > PART_MOST)) /* (P2) */
		r = part_end(c);
	if (!r && !c->part)
		r = part_begin(c);
	if (!r)
		r = append(c, value);
	if (r)
		return r;
	c->part->rows++;
	c->part->size += size;
	part_totals_add(&c->totals, column, key, value, hash);
	buf_clear(&c->last);
	return buf_add_span(&c->last, buf_span(&c->place));
}

int part_cutter_end(struct part_cutter *c, struct part_totals *ret)
{
	const int r = c->part ? part_end(c) : 0;

	if (!r)
		*ret = c->totals;
	return r;
}
