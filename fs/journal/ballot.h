/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A ballot: (round, incarnation), totally ordered. Round 0 belongs to the owner of the slot alone.
 * Pure.
 */
#include "fs/journal/record.h"

struct ballot {
	uint64_t round;
	uint8_t incarnation[INCARNATION_BYTES];
};

/* Promised by a link that says what was decided: nobody goes above it. */
#define BALLOT_ROUND_DECIDED UINT64_MAX

static inline struct ballot ballot_of(uint64_t round, const uint8_t incarnation[INCARNATION_BYTES])
{
	struct ballot b = { .round = round };

	memcpy(b.incarnation, incarnation, INCARNATION_BYTES);
	return b;
}
static inline int ballot_compare(const struct ballot *a, const struct ballot *b)
{
	if (a->round != b->round)
		return a->round < b->round ? -1 : 1;
	return memcmp(a->incarnation, b->incarnation, INCARNATION_BYTES);
}
