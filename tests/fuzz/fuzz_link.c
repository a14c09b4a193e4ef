/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links of an acceptor's chain: what decodes is the one form of what it says, and whatever the
 * Guard makes upon it is a link again.
 */
#include "tests/fuzz/fuzz.h"

#include "base/codec.h"
#include "base/sodium.h"
#include "fs/journal/link.h"

/* The place that the bytes themselves name, so that the comparison with it is not all there is. */
static struct link_place place_in(struct span in)
{
	struct link_place p = {};
	struct reader r = READER(in);

	(void)read_u8(&r);
	read_copy(&r, p.store, sizeof(p.store));
	p.epoch = (uint32_t)read_varint(&r);
	p.slot = read_varint(&r);
	p.k = read_varint(&r);
	return p;
}

static void check_form(const struct link *l, struct span expected)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LINK_PLAIN_MAX);

	MUST(link_encode(l, &again) == 0);
	MUST(span_equal(expected, buf_span(&again)));
}

/* What was made upon a link goes through its encoding. */
static void check_next(const struct link *top, struct link *made)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(LINK_PLAIN_MAX);
	_cleanup_link_ struct link back = {};

	made->place = top->place;
	made->place.k++;
	MUST(!top->decided);
	MUST(ballot_compare(&made->promised, &top->promised) >= 0);
	MUST(link_encode(made, &bytes) == 0);
	MUST(link_decode(buf_span(&bytes), &made->place, &back) == 0);
	MUST(memcmp(made->hash, back.hash, sizeof(back.hash)) == 0);
}

static void guard(const struct link *top, const struct ballot *b)
{
	_cleanup_link_ struct link promised = {}, accepted = {};
	_cleanup_(blob_unrefp) struct blob *record = blob_copy(SPAN_LITERAL("record"));
	uint8_t hash[RECORD_HASH_SIZE];

	MUST(record);
	blake2b(SPAN_NULL, blob_span(record), hash, sizeof(hash));
	if (link_promise(top, b, top->prev, &promised) == 0)
		check_next(top, &promised);
	else
		MUST(ballot_compare(&top->promised, b) >= 0);
	if (link_accept(top, b, record, hash, top->prev, &accepted) == 0)
		check_next(top, &accepted);
	else
		MUST(ballot_compare(&top->promised, b) > 0);
}

/* Ballots around the one that was promised; only the owner's has round 0. */
static void guard_all(const struct link *top)
{
	const uint64_t rounds[] = { 1, top->promised.round, top->promised.round + 1,
				    BALLOT_ROUND_DECIDED - 1 };

	for (size_t i = 0; i < ARRAY_SIZE(rounds); i++) {
		const struct ballot b = ballot_of(rounds[i], top->place.store);

		if (b.round != 0 && b.round != BALLOT_ROUND_DECIDED)
			guard(top, &b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, size);
	const struct link_place place = place_in(in);
	_cleanup_link_ struct link l = {};
	char name[LINK_NAME_MAX];
	int r;

	link_name(&place, name);
	MUST(strlen(name) == 2 + 16 + 1 + 16 + 1 + 16);
	r = link_decode(in, &place, &l);
	MUST(r == 0 || r == -EBADMSG);
	if (r == 0) {
		check_form(&l, in);
		if (place.k != UINT64_MAX)
			guard_all(&l);
	}
	return 0;
}
