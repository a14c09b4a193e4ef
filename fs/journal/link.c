/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/link.h"

#include "base/sodium.h"

#include <inttypes.h>
#include <stdio.h>

#define LINK_VERSION 1
#define LINK_ACCEPTED 1u
#define LINK_DECIDED 2u

void link_release(struct link *l)
{
	l->record = blob_unref(l->record);
}

void link_copy(const struct link *from, struct link *ret)
{
	*ret = *from;
	if (ret->record)
		blob_ref(ret->record);
}

static void write_ballot(struct writer *w, const struct ballot *b)
{
	write_varint(w, b->round);
	write_raw(w, span_of(b->incarnation, INCARNATION_BYTES));
}

static struct ballot read_ballot(struct reader *r)
{
	struct ballot b = { .round = read_varint(r) };

	read_copy(r, b.incarnation, INCARNATION_BYTES);
	return b;
}

int link_encode(const struct link *l, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_u8(&w, LINK_VERSION);
	write_raw(&w, span_of(l->place.store, sizeof(l->place.store)));
	write_varint(&w, l->place.epoch);
	write_varint(&w, l->place.slot);
	write_varint(&w, l->place.k);
	write_u8(&w, (l->record ? LINK_ACCEPTED : 0) | (l->decided ? LINK_DECIDED : 0));
	write_ballot(&w, &l->promised);
	write_raw(&w, span_of(l->prev, RECORD_HASH_SIZE));
	if (l->record) {
		write_ballot(&w, &l->accepted);
		write_bytes(&w, blob_span(l->record));
	}
	return w.error;
}

static void read_place(struct reader *r, const struct link_place *place)
{
	const struct span store = read_raw(r, sizeof(place->store));

	if (!span_equal(store, span_of(place->store, sizeof(place->store))))
		read_fail(r);
	if (read_varint(r) != place->epoch)
		read_fail(r);
	if (read_varint(r) != place->slot)
		read_fail(r);
	if (read_varint(r) != place->k)
		read_fail(r);
}

/* A state that the Guard can lead to. */
static bool link_sound(const struct link *l, uint8_t flags)
{
	if (flags & ~(LINK_ACCEPTED | LINK_DECIDED))
		return false;
	if (l->decided != (l->promised.round == BALLOT_ROUND_DECIDED))
		return false;
	if (l->decided && !(flags & LINK_ACCEPTED))
		return false;
	if (l->promised.round == 0 && (l->place.k != 0 || !(flags & LINK_ACCEPTED))) /* (G3) */
		return false;
	return !(flags & LINK_ACCEPTED) || ballot_compare(&l->accepted, &l->promised) <= 0;
}

int link_decode(struct span s, const struct link_place *place, struct link *ret)
{
	struct link l = { .place = *place };
	struct reader r = READER(s);
	struct span record = SPAN_NULL;
	uint8_t flags;

	if (read_u8(&r) != LINK_VERSION)
		read_fail(&r);
	read_place(&r, place);
	flags = read_u8(&r);
	l.decided = flags & LINK_DECIDED;
	l.promised = read_ballot(&r);
	read_copy(&r, l.prev, RECORD_HASH_SIZE);
	if (flags & LINK_ACCEPTED) {
		l.accepted = read_ballot(&r);
		record = read_bytes(&r, RECORD_MAX);
	}
	if (read_end(&r) || !link_sound(&l, flags))
		return fail(-EBADMSG);
	if (flags & LINK_ACCEPTED) {
		l.record = blob_copy(record);
		if (!l.record)
			return fail(-ENOMEM);
		blake2b(SPAN_NULL, record, l.hash, RECORD_HASH_SIZE);
	}
	*ret = l;
	return 0;
}

void link_name(const struct link_place *p, char ret[LINK_NAME_MAX])
{
	snprintf(ret, LINK_NAME_MAX, "j/%016" PRIx64 "/%016" PRIx64 ".%016" PRIx64,
		 (uint64_t)p->epoch, p->slot, p->k);
}

void link_object_id(const struct link_place *p, uint8_t ret[16])
{
	struct buf b = BUF_INIT(64);
	struct writer w = WRITER(&b);

	write_raw(&w, span_of(p->store, sizeof(p->store)));
	write_be32(&w, p->epoch);
	write_be64(&w, p->slot);
	write_be64(&w, p->k);
	blake2b(SPAN_LITERAL("mangrove link"), buf_span(&b), ret, 16);
	buf_release(&b);
}

int link_promise(const struct link *top, const struct ballot *b,
		 const uint8_t prev[RECORD_HASH_SIZE], struct link *ret)
{
	struct link l = { 0 };

	if (top && ballot_compare(&top->promised, b) >= 0) /* (G1), (G4) */
		return LINK_REFUSED;
	if (top)
		link_copy(top, &l);
	l.promised = *b;
	memcpy(l.prev, prev, RECORD_HASH_SIZE);
	*ret = l;
	return 0;
}

int link_accept(const struct link *top, const struct ballot *b, struct blob *record,
		const uint8_t hash[RECORD_HASH_SIZE], const uint8_t prev[RECORD_HASH_SIZE],
		struct link *ret)
{
	struct link l = { .promised = *b, .accepted = *b };

	if (top && (b->round == 0 || ballot_compare(&top->promised, b) > 0)) /* (G2), (G3), (G4) */
		return LINK_REFUSED;
	l.record = blob_ref(record);
	memcpy(l.hash, hash, RECORD_HASH_SIZE);
	memcpy(l.prev, prev, RECORD_HASH_SIZE);
	*ret = l;
	return 0;
}
