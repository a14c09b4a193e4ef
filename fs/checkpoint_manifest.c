/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/checkpoint_manifest.h"

#include "base/sodium.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

#define VERSION		 1
#define PART_LEAST_BYTES (PART_HASH_SIZE + 8) /* of one part's entry */

void checkpoint_place_name(const struct checkpoint_place *p, char ret[PLACE_NAME_MAX])
{
	const int n = snprintf(ret, PLACE_NAME_MAX, CHECKPOINT_PREFIX "%016" PRIx64 "-%016x/",
			       p->slot, p->mount);

	if (p->number == PLACE_MANIFEST)
		snprintf(ret + n, PLACE_NAME_MAX - (size_t)n, "manifest");
	else
		snprintf(ret + n, PLACE_NAME_MAX - (size_t)n, "%016x", p->number);
}

void checkpoint_place_id(const struct checkpoint_place *p, uint8_t ret[OBJECT_ID_SIZE])
{
	char name[PLACE_NAME_MAX];

	checkpoint_place_name(p, name);
	blake2b(SPAN_LITERAL("mangrove checkpoint"), span_str(name), ret, OBJECT_ID_SIZE);
}

#define HEX 16
bool checkpoint_place_parse(struct span name, struct checkpoint_place *ret)
{
	const size_t skip = strlen(CHECKPOINT_PREFIX);
	const char *text = (const char *)name.data + skip;
	struct checkpoint_place place;
	uint8_t slot[8], mount[8];
	char only[PLACE_NAME_MAX];

	if (name.len < skip + 2 * HEX + 2 || !span_starts(name, SPAN_LITERAL(CHECKPOINT_PREFIX)) ||
	    text[HEX] != '-' || text[2 * HEX + 1] != '/')
		return false;
	if (hex_decode(text, HEX, slot, sizeof(slot)) ||
	    hex_decode(text + HEX + 1, HEX, mount, sizeof(mount)) || key_u64(mount) > UINT32_MAX)
		return false;
	place = (struct checkpoint_place){ .slot = key_u64(slot),
					   .mount = (uint32_t)key_u64(mount),
					   .number = PLACE_MANIFEST };
	checkpoint_place_name(&place, only);
	if (!span_starts(name, span_of(only, skip + 2 * HEX + 2)))
		return false; /* capital digits: a name that we would not ask for */
	*ret = place;
	return true;
}

void manifest_release(struct manifest *m)
{
	for (size_t i = 0; i < m->n_parts; i++)
		buf_release(&m->parts[i].first);
	free(m->parts);
	m->parts = NULL;
	m->n_parts = 0;
}

int manifest_add(struct manifest *m, struct manifest_part *p)
{
	struct manifest_part *parts = m->parts;

	/* room doubles: at every power of two */
	if ((m->n_parts & (m->n_parts - 1)) == 0)
		parts = realloc(parts, MAX(2 * m->n_parts, 1u) * sizeof(*parts));
	if (!parts) {
		buf_release(&p->first);
		return fail(-ENOMEM);
	}
	m->parts = parts;
	m->parts[m->n_parts++] = *p;
	p->first = BUF_INIT(PART_PLACE_MAX);
	return 0;
}

static void write_mark(struct writer *w, const struct commit_mark *m)
{
	write_varint(w, m->slot);
	write_raw(w, span_of(m->record, sizeof(m->record)));
	write_raw(w, span_of(m->owner, sizeof(m->owner)));
	write_be64(w, m->hash.hi);
	write_be64(w, m->hash.lo);
	write_varint(w, m->time_ns);
	write_varint(w, m->hold_ns);
}

static void read_mark(struct reader *r, struct commit_mark *ret)
{
	ret->slot = read_varint(r);
	read_copy(r, ret->record, sizeof(ret->record));
	read_copy(r, ret->owner, sizeof(ret->owner));
	ret->hash.hi = read_be64(r);
	ret->hash.lo = read_be64(r);
	ret->time_ns = read_varint(r);
	ret->hold_ns = read_varint(r);
}

static void write_part(struct writer *w, const struct manifest_part *p)
{
	write_varint(w, p->place.slot);
	write_varint(w, p->place.mount);
	write_varint(w, p->place.number);
	write_raw(w, span_of(p->hash, sizeof(p->hash)));
	write_varint(w, p->rows);
	write_varint(w, p->size);
	write_varint(w, p->length);
	write_varint(w, p->stores);
	write_bytes(w, buf_span(&p->first));
}

int manifest_encode(const struct manifest *m, struct buf *ret)
{
	struct writer w = WRITER(ret);
	const size_t begin = ret->len;

	write_u8(&w, VERSION);
	write_mark(&w, &m->mark);
	write_varint(&w, COL_COUNT);
	for (unsigned i = 0; i < COL_COUNT; i++) {
		write_varint(&w, m->totals.columns[i].rows);
		write_varint(&w, m->totals.columns[i].size);
	}
	write_varint(&w, m->n_parts);
	for (size_t i = 0; i < m->n_parts; i++)
		write_part(&w, &m->parts[i]);
	if (w.error)
		ret->len = begin;
	return w.error;
}

static int read_part(struct reader *r, struct manifest *m)
{
	struct manifest_part p = { .first = BUF_INIT(PART_PLACE_MAX) };
	const struct buf *last = m->n_parts ? &m->parts[m->n_parts - 1].first : NULL;
	struct span first;
	int error;

	p.place.slot = read_varint(r);
	p.place.mount = read_varint32(r);
	p.place.number = read_varint32(r);
	read_copy(r, p.hash, sizeof(p.hash));
	p.rows = read_varint(r);
	p.size = read_varint(r);
	p.length = read_varint(r);
	p.stores = read_varint(r);
	first = read_bytes(r, PART_PLACE_MAX);
	if (read_error(r) || !p.rows || !first.len || p.length > PART_PLAIN_MAX ||
	    p.place.number == PLACE_MANIFEST)
		return fail(-EBADMSG);
	if (last && span_compare(first, buf_span(last)) <= 0)
		return fail(-EBADMSG);
	error = buf_add_span(&p.first, first);
	return error ? error : manifest_add(m, &p);
}

static int read_parts(struct reader *r, struct manifest *m)
{
	const uint64_t n = read_varint(r);

	if (n > r->rest.len / PART_LEAST_BYTES)
		return fail(-EBADMSG);
	for (uint64_t i = 0; i < n; i++) {
		const int error = read_part(r, m);

		if (error)
			return error;
	}
	return read_end(r);
}

/* The parts have as many rows as the columns. */
static int check_rows(const struct manifest *m)
{
	uint64_t balance = 0;

	for (unsigned i = 0; i < COL_COUNT; i++)
		balance += m->totals.columns[i].rows;
	for (size_t i = 0; i < m->n_parts; i++)
		balance -= m->parts[i].rows;
	return balance ? fail(-EBADMSG) : 0;
}

int manifest_decode(struct span s, struct manifest *ret)
{
	_cleanup_(manifest_release) struct manifest m = {};
	struct reader r = READER(s);
	int error;

	if (read_u8(&r) != VERSION)
		return fail(-EBADMSG);
	read_mark(&r, &m.mark);
	m.totals.hash = m.mark.hash;
	if (read_varint(&r) != COL_COUNT)
		return fail(-EBADMSG);
	for (unsigned i = 0; i < COL_COUNT; i++) {
		m.totals.columns[i].rows = read_varint(&r);
		m.totals.columns[i].size = read_varint(&r);
	}
	error = read_parts(&r, &m);
	if (!error)
		error = check_rows(&m);
	if (error)
		return error;
	*ret = m;
	m = (struct manifest){};
	return 0;
}

void manifest_hash(struct span encoded, uint8_t ret[32])
{
	blake2b(SPAN_NULL, encoded, ret, 32);
}
