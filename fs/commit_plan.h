/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the commit task does next, and until when it may sleep. Pure: the state and the clock are
 * passed in.
 *
 * (P1) A frozen record is proposed until its slot is known.
 * (P2) The tip is taken by its owner; by anybody when it has none; when its owner has been silent
 *      for its hold and the clocks' drift; or when an operation has waited for six holds in spite
 *      of new records.
 * (P3) Who waits for a busy owner rings (journal.h), looks often, and is given the tip for one
 *      record; who was given it gives it back with that record.
 * (P4) The owner does not poll within its hold: whoever takes the tip from it is met in the slot.
 * (P5) An owner whose operations wait for their data keeps its hold with records of nothing, so
 *      that names are answered early meanwhile.
 */
#include "fs/commit.h"

/* What the plan looks at. Times are clock_now(). */
struct commit_tip {
	bool booted;          /* the tip was reached once */
	bool writes;          /* this mount proposes */
	bool stopping;        /* leaving: what is pending goes at once */
	bool halted;          /* for good */
	bool owns, nobody;    /* of the next slot */
	bool behind;          /* the last look found a record: there may be more */
	bool frozen;          /* a record stands for the next slot */
	bool refresh;         /* somebody waits for a look at the tip */
	bool waiting;         /* somebody waits for a pending operation */
	bool knocked;         /* we own the tip, and somebody asks for it */
	bool lent;            /* we own the tip because we rang, and a busy mount gave it to us */
	bool rung;            /* our bell is for a slot to come */
	size_t pending, pending_bytes;
	size_t held;          /* of the pending ones: the first that is held, and all after it */
	uint64_t oldest_ns;   /* of the pending ones */
	uint64_t learned_ns;  /* when the last record was learned */
	uint64_t quiet_ns;    /* its author's hold and the clocks' drift */
	uint64_t hold_end_ns; /* ours */
	uint64_t polled_ns;   /* the last look began */
	uint64_t retry_ns;    /* nothing before, after a failure */
	uint64_t help_ns;     /* the slot is undetermined: help then; 0: it is not */
	uint8_t jitter;       /* drawn with each look */
};

enum commit_act { COMMIT_WAIT, COMMIT_LEARN, COMMIT_PROPOSE, COMMIT_RING };
enum commit_act commit_plan(const struct commit_tip *t, const struct commit_options *o,
			    uint64_t now, uint64_t *ret_until);

/* Is the owner of the next slot, if it is another mount, likely to be alive and answering early? */
bool commit_tip_busy(const struct commit_tip *t, uint64_t now);
/* May names be answered before their slot? */
static inline bool commit_tip_early(const struct commit_tip *t, uint64_t now)
{
	return t->owns && t->writes && now < t->hold_end_ns;
}
/* The hold of a record's author with the drift of clocks. */
static inline uint64_t commit_quiet_ns(uint64_t hold_ns)
{
	return hold_ns + hold_ns / 8 + 100 * NS_PER_MS;
}
