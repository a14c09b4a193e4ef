/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The content of a slot: a batch of operations, what it stands on, and who may be quick in the next
 * slot. Byte by byte: FORMAT.md of this folder. Pure.
 */
#include "backends/replicas.h"
#include "base/codec.h"

#define INCARNATION_BYTES 16
#define RECORD_HASH_SIZE 32
#define RECORD_MAX (1024u * 1024)

struct record_op { /* one encoded operation and whose it is (index into authors) */
	uint32_t author;
	struct span bytes;
};
struct record {
	uint64_t slot;
	uint32_t epoch;
	uint8_t author[INCARNATION_BYTES];
	uint8_t prev[RECORD_HASH_SIZE];        /* hash of the record of slot - 1; zeros in slot 0 */
	uint64_t state_lo, state_hi;           /* state hash after slot - 1 */
	uint8_t next[INCARNATION_BYTES];       /* owner of ballot 0 of slot + 1; all zero: nobody */
	/* how long its author answers early; wall clock of its author */
	uint64_t hold_ns, time_ns;
	/* per store: 1 + the highest slot its author saw there; 0: none */
	uint64_t seen[REPLICAS_MAX];
	/* authors[0] is the author; others: copies of their operations */
	uint8_t (*authors)[INCARNATION_BYTES];
	size_t n_authors;
	struct record_op *ops;                 /* in the order in which they are applied */
	size_t n_ops;
	struct buf bytes;                      /* the encoding; ops borrow from it */
	uint8_t hash[RECORD_HASH_SIZE];        /* of the encoding */
};

/*
 * An empty record, to be filled in: authors and ops are malloc'd and become the record's. NULL: no
 * memory.
 */
struct record *record_new(void);
/*
 * Builds the encoding and the hash from the fields (the operations' bytes may lie elsewhere; they
 * are copied and ops point to the copies then). -EMSGSIZE over RECORD_MAX, -EINVAL, -ENOMEM.
 */
must_check int record_seal(struct record *r);
/* 0, -EBADMSG, -ENOMEM. */
must_check int record_decode(struct span bytes, struct record **ret);
struct record *record_free(struct record *r);
DEFINE_CLEANUP(struct record *, record_free)
/* The length that one more operation adds to the encoding, at most. */
static inline size_t record_op_size(size_t op_bytes)
{
	return op_bytes + 10;
}
/* What a record without operations takes at most. */
#define RECORD_OVERHEAD 1024u

static inline bool incarnation_none(const uint8_t inc[INCARNATION_BYTES])
{
	static const uint8_t zero[INCARNATION_BYTES];

	return memcmp(inc, zero, INCARNATION_BYTES) == 0;
}
static inline bool incarnation_equal(const uint8_t a[INCARNATION_BYTES],
				     const uint8_t b[INCARNATION_BYTES])
{
	return memcmp(a, b, INCARNATION_BYTES) == 0;
}
