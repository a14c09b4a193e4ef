/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One ordered log on several object stores: a slot is a Paxos register whose acceptors are chains of
 * created-once objects. See README.md of this folder for the rules; the names here are its steps.
 *
 * Straight-line, blocking code; one task uses a journal at a time.
 */
#include "backends/replicas.h"
#include "base/codec.h"
#include "fs/seal.h"

#define INCARNATION_BYTES 16
#define RECORD_HASH_SIZE 32
#define RECORD_MAX (1024u * 1024)

/* The content of a slot: a batch of operations. */
struct record_op { /* one encoded operation and whose it is (index into authors) */
	uint32_t author;
	struct span bytes;
};
struct record {
	uint64_t slot;
	uint32_t epoch;
	uint8_t author[INCARNATION_BYTES];
	uint8_t prev[RECORD_HASH_SIZE];     /* hash of the record of slot - 1 */
	uint64_t state_lo, state_hi;        /* state hash after slot - 1 */
	uint8_t next[INCARNATION_BYTES];    /* owner of ballot 0 of slot + 1; all zero: nobody */
	uint64_t hold_ns, time_ns;
	uint64_t seen[REPLICAS_MAX];        /* per store: the highest slot its author saw there */
	uint8_t (*authors)[INCARNATION_BYTES]; /* authors[0] is the author; others: copies of their operations */
	size_t n_authors;
	struct record_op *ops;
	size_t n_ops;
	struct buf bytes;                   /* the encoding; ops borrow from it */
	uint8_t hash[RECORD_HASH_SIZE];     /* of the encoding */
};
/* Builds the encoding and the hash from the fields (ops' bytes may lie elsewhere; they are copied). -EMSGSIZE over RECORD_MAX. */
must_check int record_seal(struct record *r);
must_check int record_decode(struct span bytes, struct record **ret);
struct record *record_free(struct record *r);
DEFINE_CLEANUP(struct record *, record_free)

enum journal_cond {
	JOURNAL_NOTHING = 1,   /* when the asking began, nothing had been chosen in the slot */
	JOURNAL_UNDETERMINED,  /* it cannot be told (yet) */
	JOURNAL_LOST,          /* propose: another record was chosen; it is given */
	JOURNAL_CONFLICT,      /* two records under one ballot, or a cloned machine: stop and report */
	JOURNAL_EMPTY,         /* slot 0 holds nothing: no volume here */
};

struct journal_options {
	struct replicas *replicas;          /* borrowed */
	uint64_t stores;                    /* bit set: who carries the journal */
	uint8_t store_ids[REPLICAS_MAX][16];
	struct sealer *sealer;              /* borrowed */
	uint32_t epoch;
	bool read_only;                     /* never creates anything, not even promises */
	uint64_t attempt_ns;                /* deadline of one request to a store: 5 s */
	uint64_t fast_ns;                   /* how long the fast path waits for a majority before two phases: 3 s */
};
struct journal;
/* Draws the incarnation. */
must_check int journal_new(const struct journal_options *o, struct journal **ret);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)
const uint8_t *journal_incarnation(const struct journal *j);

/* Where to begin: the state is that after `slot`, whose record has this hash and named `next`. A new volume: slot = UINT64_MAX. */
void journal_begin(struct journal *j, uint64_t slot, const uint8_t hash[RECORD_HASH_SIZE], const uint8_t next[INCARNATION_BYTES]);
uint64_t journal_slot(const struct journal *j); /* the last learned one */
bool journal_owns_next(const struct journal *j); /* may we use the fast path for slot + 1? */

/*
 * Learns the record of the next slot. 0 with the record; JOURNAL_NOTHING; JOURNAL_UNDETERMINED; JOURNAL_CONFLICT; -EIO, -ETIMEDOUT (no
 * majority answers). many: more records are likely to follow (read in windows).
 */
must_check int journal_learn(struct journal *j, uint64_t deadline_ns, struct record **ret);
/*
 * Gets a record chosen in the next slot: `r` (slot, epoch, author, prev, next are filled in here), or another's.
 * 0: ours was chosen. JOURNAL_LOST: *ret_other (owned) was. JOURNAL_UNDETERMINED, -EIO, -ETIMEDOUT: not decided by the deadline; the same record must be proposed again.
 */
must_check int journal_propose(struct journal *j, struct record *r, uint64_t deadline_ns, struct record **ret_other);
/* Helps an undetermined slot to a decision by two phases (with nothing of one's own: an empty record). 0 with the record. */
must_check int journal_help(struct journal *j, uint64_t deadline_ns, struct record **ret);
/* Highest slot seen per store, for status and for the record's `seen`. */
uint64_t journal_seen(const struct journal *j, unsigned store);
/* Largest |our clock - the store's Date| heard of late, seconds, signed (store minus ours), with its confidence in answers. */
int64_t journal_clock_skew_s(const struct journal *j);
