/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One slot under way: the chains at the stores and what they say together. Learning it, getting a
 * record chosen on the fast path, getting one chosen by two phases.
 */
#include "fs/journal/acceptor.h"
#include "fs/journal/tally.h"

struct slot {
	struct journal *journal;
	uint64_t number;
	struct tally tally;
	struct acceptor acceptors[REPLICAS_MAX]; /* by the number of the store */
	uint64_t asked;      /* stores that take part so far */
	uint64_t failed;     /* those with a failed attempt */
	uint64_t patience_ns; /* then the others take part, too */
};

/*
 * The slot after the last learned one, with what is known of it from earlier looks and tries: a
 * long chain at a slow store is climbed once. Borrowed until journal_learned() or slot_close().
 * NULL: no memory.
 */
struct slot *slot_open(struct journal *j);
/* Forgets it; requests under way go on by themselves. */
void slot_close(struct journal *j);

/*
 * Results of all three: 0 with what was chosen in *ret (borrowed from the slot); JOURNAL_CONFLICT;
 * JOURNAL_UNDETERMINED; -ETIMEDOUT, -EIO (no majority answers), -EBADMSG (a majority's links
 * cannot be opened), -ENOMEM. Learning also: JOURNAL_NOTHING.
 */
must_check int slot_learn(struct slot *s, uint64_t deadline_ns, const struct tally_accept **ret);
/* Was there no first link of that slot at a majority? 0 or JOURNAL_UNDETERMINED. */
must_check int slot_empty(struct journal *j, uint64_t slot, uint64_t deadline_ns);
/*
 * The owner's first try with ballot 0. JOURNAL_UNDETERMINED: go on with two phases, in the same
 * struct slot or a new one.
 */
must_check int slot_fast(struct slot *s, const struct record *r, uint64_t deadline_ns,
			 const struct tally_accept **ret);
/* Anybody's; proposes r unless something else may have been chosen. */
must_check int slot_two_phase(struct slot *s, const struct record *r, uint64_t deadline_ns,
			      const struct tally_accept **ret);

/* For the files of the folder: more stores take part. */
void slot_ask(struct slot *s, uint64_t stores);
/* Waits until an acceptor may have something to say; not beyond the deadline. */
void slot_wait(struct slot *s, uint64_t deadline_ns);
/* After patience or a failure, everybody is asked. */
void slot_widen(struct slot *s);
/* What is written upon the slot before. */
static inline const uint8_t *slot_prev(const struct slot *s)
{
	return s->tally.prev;
}
/* So many stores hold links that are damaged or not of this volume that waiting cannot help. */
bool slot_unreadable(const struct slot *s);
/*
 * Why no majority came together: -EBADMSG when their links cannot be opened, -EIO when stores
 * refuse for good, else -ETIMEDOUT.
 */
int slot_failure(const struct slot *s);
