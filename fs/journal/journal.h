/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One ordered log on several object stores: a slot is a Paxos register whose acceptors are chains
 * of created-once objects. See README.md of this folder for the rules; the names here are its
 * steps.
 *
 * Straight-line, blocking code; one task uses a journal at a time.
 */
#include "backends/replicas.h"
#include "fs/journal/record.h"
#include "fs/seal.h"

enum journal_cond {
	JOURNAL_NOTHING = 1,   /* when the asking began, nothing had been chosen in the slot */
	JOURNAL_UNDETERMINED,  /* it cannot be told (yet) */
	JOURNAL_LOST,          /* propose: another record was chosen; it is given */
	/* two records under one ballot, a false owner or a cloned machine: stop and report */
	JOURNAL_CONFLICT,
	JOURNAL_EMPTY,         /* nothing was chosen in slot 0: no volume here */
};

struct journal_options {
	struct replicas *replicas;          /* borrowed */
	uint64_t stores;                    /* bit set: who carries the journal */
	uint8_t store_ids[REPLICAS_MAX][16];
	struct sealer *sealer;              /* borrowed */
	uint32_t epoch;
	bool read_only;                     /* never creates anything, not even promises */
	uint64_t attempt_ns;                /* deadline of one request to a store; 0: 5 s */
	/* how long the fast path waits for a majority before two phases; 0: 3 s */
	uint64_t fast_ns;
};
struct journal;
/* Draws the incarnation. 0, -EINVAL (no stores), -ENOMEM. */
must_check int journal_new(const struct journal_options *o, struct journal **ret);
/* Cancels the requests that nobody waits for any more, and waits for their ends. */
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)
const uint8_t *journal_incarnation(const struct journal *j);

/*
 * Where to begin: the state is that after `slot`, whose record has this hash and named `next`. A
 * new volume, or from the start: slot = UINT64_MAX (hash and next may be NULL then).
 */
void journal_begin(struct journal *j, uint64_t slot, const uint8_t *hash, const uint8_t *next);
/*
 * The same in the middle: begins after `slot`, whose record is given, too. It must have been
 * chosen, and the next slot begun. 0; JOURNAL_NOTHING: no store that answers has it (any more);
 * -EIO, -ETIMEDOUT, -EBADMSG, -ENOMEM.
 */
must_check int journal_seek(struct journal *j, uint64_t slot, uint64_t deadline_ns,
			    struct record **ret);
uint64_t journal_slot(const struct journal *j); /* the last learned one; UINT64_MAX: none */
bool journal_owns_next(const struct journal *j); /* may we use the fast path for slot + 1? */

/*
 * Learns the record of the next slot. 0 with the record; JOURNAL_NOTHING (JOURNAL_EMPTY in slot 0);
 * JOURNAL_UNDETERMINED; JOURNAL_CONFLICT; -EIO, -ETIMEDOUT (no majority answers), -EBADMSG (a
 * majority holds what cannot be opened), -ENOMEM. Many records in a row are read ahead in windows.
 */
must_check int journal_learn(struct journal *j, uint64_t deadline_ns, struct record **ret);
/*
 * Is the slot `distance` after the last learned one empty still? 0: nothing was chosen there when
 * the asking began, so whoever has learned the slots before it is as new as the tip was then
 * (beside an owner that writes without a pause, nobody ever finds the very next slot empty).
 * JOURNAL_UNDETERMINED: it cannot be told.
 */
must_check int journal_ahead(struct journal *j, uint64_t distance, uint64_t deadline_ns);
/*
 * Gets a record chosen in the next slot: `r`, or another's. The caller fills in next, the state
 * hash, hold, time, authors and operations; slot, epoch, author, prev and seen are filled in here,
 * and the record is sealed. 0: ours was chosen. JOURNAL_LOST: *ret_other (owned) was.
 * JOURNAL_UNDETERMINED, -EIO, -ETIMEDOUT, -EBADMSG: not decided by the deadline: until the slot is
 * learned, the same record must be proposed again. JOURNAL_CONFLICT; -EROFS; -EINVAL: another
 * record stands for this slot already; -EMSGSIZE, -ENOMEM.
 */
must_check int journal_propose(struct journal *j, struct record *r, uint64_t deadline_ns,
			       struct record **ret_other);
/*
 * Asks the owner of the tip for it, by a bell for the slot `distance` after the last learned one. A
 * hint: it waits for nothing, and may be missed by an owner that is past that slot.
 */
void journal_ring(struct journal *j, uint64_t distance);
/*
 * Did somebody else ring for the slot that we proposed last on the fast path, as far as is known?
 * Says so once.
 */
bool journal_knocked(struct journal *j, uint8_t ret[INCARNATION_BYTES]);
/* 1 + the highest slot seen at a store, for status and for the record's `seen`; 0: none. */
uint64_t journal_seen(const struct journal *j, unsigned store);
/*
 * The store's clock minus ours, seconds, of the latest answers: the largest in absolute value among
 * the stores.
 */
int64_t journal_clock_skew_s(const struct journal *j);
