/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The inside of a journal, shared by the files of this folder. One task at a time; no lock. */
#include "fs/journal/journal.h"
#include "fs/journal/link.h"

#define FOLLOW_WINDOW 64u
#define SLOT_NONE UINT64_MAX

/* A request that nobody waits for any more: a third copy that comes late. */
struct late {
	struct late *next;
	struct store_call *call;
	unsigned store;
	uint64_t slot, bytes; /* SLOT_NONE: not a link */
};

/* First links of consecutive slots, read ahead from one store. */
struct window {
	uint64_t first;
	unsigned n;
	struct link links[FOLLOW_WINDOW];
	bool have[FOLLOW_WINDOW];
	unsigned streak;   /* records learned in a row */
	unsigned store;    /* that is being read from */
	unsigned limit;    /* so that a window of large records stays small in memory */
};

struct journal {
	struct journal_options o;
	unsigned n_stores;
	uint8_t me[INCARNATION_BYTES];
	struct { /* the last learned record */
		uint64_t slot;
		uint8_t hash[RECORD_HASH_SIZE];
		uint8_t next[INCARNATION_BYTES];
	} last;
	struct { /* never goes back while the incarnation lives */
		uint64_t round;
		bool used_0;      /* ballot 0 was used, */
		uint64_t slot_0;  /* up to this slot */
		bool frozen;      /* a record stands for this slot: */
		uint64_t frozen_slot;
		uint8_t frozen_hash[RECORD_HASH_SIZE];
	} mine;
	struct window window;
	struct slot *open; /* what is known of the next slot, as long as it is the next; or NULL */
	struct { /* the bell that is being listened to */
		struct store_call *call; /* or NULL */
		unsigned store;
		uint64_t slot;
	} bell;
	struct late *late;
	unsigned n_late[REPLICAS_MAX];
	uint64_t seen[REPLICAS_MAX];
	int64_t skew_s[REPLICAS_MAX];
};

#define for_each_store(i, set)                                                                     \
	for (unsigned i = 0; i < REPLICAS_MAX; i++)                                                \
		if ((set) & (1ull << i))

/* The slot after the last learned one. */
static inline uint64_t journal_tip(const struct journal *j)
{
	return j->last.slot + 1;
}
struct link_place journal_place(const struct journal *j, unsigned store, uint64_t slot, uint64_t k);
/* Opens a sealed link of this place. 0; -EBADMSG: it is not one; -ENOMEM. */
must_check int journal_open_link(struct journal *j, struct span sealed,
				 const struct link_place *place, struct link *ret);
/* Starts a read of a link. 0, negative errno. */
must_check int journal_get_link(struct journal *j, const struct link_place *place, unsigned store,
				struct store_call **ret);
/* Tells everybody concerned what a finished request was like. */
void journal_observe(struct journal *j, unsigned store, struct store_call *c, uint64_t bytes);
void journal_note_seen(struct journal *j, unsigned store, uint64_t slot);
/* Takes a request under way that nobody waits for (or a finished one). */
void journal_let_go(struct journal *j, unsigned store, uint64_t slot, struct store_call *takes,
		    uint64_t bytes);
/* Ends the book-keeping of those that have finished. */
void journal_reap(struct journal *j);
/*
 * Stores worth asking first: a majority at least; those with an open breaker or a queue only when
 * needed.
 */
uint64_t journal_pick(struct journal *j);
/* A record was learned. */
void journal_learned(struct journal *j, const struct record *r);
/*
 * The chosen bytes as a record that fits upon the last one; JOURNAL_CONFLICT if it does not. 0,
 * -ENOMEM.
 */
must_check int journal_record(struct journal *j, struct span bytes, struct record **ret);

/* bell.c: begins to look whether somebody rang for the slot. */
void bell_listen(struct journal *j, uint64_t slot);
void bell_release(struct journal *j);

/*
 * follow.c: the next record out of the window, reading ahead if that promises something. 0 or 1:
 * ask the tip.
 */
must_check int follow_next(struct journal *j, uint64_t deadline_ns, struct record **ret);
/* Does the window name the record of the slot? */
bool follow_names(const struct journal *j, uint64_t slot, const uint8_t **ret_hash);
void follow_release(struct journal *j);
