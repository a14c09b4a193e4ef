/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the chains of one slot say, and what follows from it. Pure.
 *
 * (T1) Chosen: the same (ballot, record) accepted at a majority; or a link that says "decided"; or
 *      any link of the next slot names the record.
 * (T2) Nothing was chosen: a majority of chains, each read to its top, has no accepted record.
 * (T3) Conflict: two records under one ballot; ballot 0 by anyone but the slot's owner; a link upon
 *      another record of the slot before. Somebody's machine was cloned: never go on.
 */
#include "fs/journal/link.h"

struct tally_accept {
	struct ballot ballot;
	uint8_t hash[RECORD_HASH_SIZE];
	struct blob *record;
	uint64_t stores; /* where it was seen */
};
struct tally {
	unsigned majority;
	uint8_t owner[INCARNATION_BYTES]; /* of ballot 0; zeros: nobody */
	uint8_t prev[RECORD_HASH_SIZE];   /* what was chosen in the slot before */
	struct tally_accept *accepts;
	size_t n_accepts;
	uint64_t complete;                /* stores whose chains were read to the top */
	uint64_t accepted;                /* stores whose chains have an accepted record */
	uint64_t round;                   /* the highest round seen */
	bool named;                       /* a link of the next slot names this record: */
	uint8_t name[RECORD_HASH_SIZE];
	bool decided;                     /* a link says that this was decided: */
	uint8_t decision[RECORD_HASH_SIZE];
	bool conflict;
};

void tally_init(struct tally *t, unsigned n_stores, const uint8_t owner[INCARNATION_BYTES],
		const uint8_t prev[RECORD_HASH_SIZE]);
void tally_release(struct tally *t);
/* A link of this slot at a store: read there, or known to be one's own. 0, -ENOMEM. */
must_check int tally_see(struct tally *t, unsigned store, const struct link *l);
/* The chain of the store ends here. */
void tally_complete(struct tally *t, unsigned store);
/* A link of the next slot names the record of this one. */
void tally_name(struct tally *t, const uint8_t hash[RECORD_HASH_SIZE]);

enum tally_verdict { TALLY_OPEN, TALLY_CHOSEN, TALLY_NOTHING, TALLY_CONFLICT };
/* *ret (borrowed): with TALLY_CHOSEN, what was chosen. */
enum tally_verdict tally_verdict(const struct tally *t, const struct tally_accept **ret);
