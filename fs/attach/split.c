/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/split.h"

#define FINEST 1e-14 /* of a double */
#define ROUNDING 1e-13

static bool has(const uint64_t set[4], unsigned byte)
{
	return set[byte / 64] >> byte % 64 & 1;
}

static void add(uint64_t set[4], unsigned byte)
{
	set[byte / 64] |= 1ull << byte % 64;
}

/* How many of from..to are seen. */
static unsigned seen_of(const uint64_t set[4], unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned c = from; c <= to; c++)
		n += has(set, c);
	return n;
}

static void add_range(uint64_t set[4], unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		add(set, c);
}

/* One letter may be a word that all keys have; two are a choice. */
static void find_kin(const uint64_t seen[4], uint64_t kin[4])
{
	const bool digits = seen_of(seen, '0', '9') > 0;
	const unsigned hex = seen_of(seen, 'a', 'f'), lower = seen_of(seen, 'a', 'z');
	const unsigned upper = seen_of(seen, 'A', 'Z');

	memcpy(kin, seen, 4 * sizeof(*kin));
	if (digits)
		add_range(kin, '0', '9');
	if (digits && hex == lower && hex)
		add_range(kin, 'a', 'f');
	else if (lower > 1)
		add_range(kin, 'a', 'z');
	if (upper > 1)
		add_range(kin, 'A', 'Z');
	if (seen_of(seen, 0x80, 0xff) > 1)
		add_range(kin, 0x80, 0xf4);
}

void key_space_add(struct key_space *s, struct span key)
{
	for (size_t i = 0; i < key.len && i < SPACE_DEPTH; i++) {
		if (has(s->seen[i], key.data[i]))
			continue;
		add(s->seen[i], key.data[i]);
		find_kin(s->seen[i], s->kin[i]);
	}
}

static unsigned size_of(const uint64_t set[4])
{
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		n += (unsigned)__builtin_popcountll(set[i]);
	return n;
}

static unsigned rank_of(const uint64_t set[4], unsigned byte)
{
	unsigned n = 0;

	for (unsigned i = 0; i < byte / 64; i++)
		n += (unsigned)__builtin_popcountll(set[i]);
	return n + (unsigned)__builtin_popcountll(set[byte / 64] & ((1ull << byte % 64) - 1));
}

static uint8_t byte_at(const uint64_t set[4], unsigned rank)
{
	unsigned c = 0;

	for (; c < 255; c++)
		if (has(set, c) && rank-- == 0)
			break;
	return (uint8_t)c;
}

double key_space_value(const struct key_space *s, struct span key)
{
	double value = 0, scale = 1;

	for (size_t i = 0; i < key.len && i < SPACE_DEPTH && scale > FINEST; i++) {
		const unsigned n = size_of(s->kin[i]);

		if (n == 0)
			break;
		scale /= n;
		value += rank_of(s->kin[i], key.data[i]) * scale;
	}
	return value;
}

/*
 * The letter at a place that may lie outside of all of them: an end with bytes that were not seen
 * has a value beyond 1, and what is left of it may be any number of letters away.
 */
static unsigned rank_at(double place, unsigned letters)
{
	return place <= 0 ? 0 : place >= letters ? letters - 1 : (unsigned)place;
}

static bool lies_between(struct span cut, struct span lo, const struct span *hi)
{
	return span_compare(cut, lo) > 0 && (!hi || span_compare(cut, *hi) < 0);
}

size_t key_space_cut(const struct key_space *s, struct span lo, const struct span *hi,
		     uint8_t without, uint8_t *ret, size_t max)
{
	const double from = key_space_value(s, lo), to = hi ? key_space_value(s, *hi) : 1;
	double rest = (from + to) / 2 + ROUNDING, scale = 1;
	size_t n = 0;

	while (n < max && n < SPACE_DEPTH && scale > FINEST) {
		const unsigned letters = size_of(s->kin[n]);
		unsigned rank;

		if (letters == 0)
			break;
		scale /= letters;
		rank = rank_at(rest / scale, letters);
		rest -= rank * scale;
		ret[n] = byte_at(s->kin[n], rank);
		if (without && ret[n] == without)
			break;
		n++;
		/* precise enough, and where it should be */
		if (scale < (to - from) / 8 && lies_between(span_of(ret, n), lo, hi))
			return n;
	}
	return lies_between(span_of(ret, n), lo, hi) ? n : 0;
}
