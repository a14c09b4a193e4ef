/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A link of an acceptor's chain: the whole state of one store's acceptor for one slot, created
 * once. And the Guard: which link may follow upon which. Pure.
 *
 * (G1) promise b: only above promised < b; the accepted pair is copied.
 * (G2) accept b: only above promised <= b.
 * (G3) ballot 0: as link 0 only.
 * (G4) Nothing follows upon a link that says what was decided.
 */
#include "base/blob.h"
#include "fs/journal/ballot.h"

/* Where a link stands; sealed into it and compared after opening. */
struct link_place {
	uint8_t store[16]; /* the store's id */
	uint32_t epoch;
	uint64_t slot, k;
};
struct link {
	struct link_place place;
	bool decided;           /* the accepted record was chosen; promised is infinite */
	struct ballot promised;
	struct blob *record;    /* accepted, encoded; NULL: none */
	struct ballot accepted; /* under which ballot, if any */
	uint8_t hash[RECORD_HASH_SIZE]; /* of the accepted record */
	uint8_t prev[RECORD_HASH_SIZE]; /* of the record chosen in slot - 1; zeros in slot 0 */
};

#define LINK_PLAIN_MAX (RECORD_MAX + 1024u)   /* an encoded link */
#define LINK_SEALED_MAX (LINK_PLAIN_MAX + 4096u) /* header and tags included */
#define LINK_NAME_MAX 64

void link_release(struct link *l);
#define _cleanup_link_ _cleanup_(link_release)
/* Another reference to the same record. */
void link_copy(const struct link *from, struct link *ret);
/* Appends. 0, -ENOMEM, -EMSGSIZE. */
must_check int link_encode(const struct link *l, struct buf *ret);
/* 0; -EBADMSG: not a link, or not of this place; -ENOMEM. */
must_check int link_decode(struct span s, const struct link_place *place, struct link *ret);

/* The object's name: j/<epoch>/<slot>.<k>, each as 16 hex digits. */
void link_name(const struct link_place *p, char ret[LINK_NAME_MAX]);
/* The object id of the seal: a hash of the place, so that a link opens nowhere else. */
void link_object_id(const struct link_place *p, uint8_t ret[16]);

enum link_cond { LINK_REFUSED = 1 };
/*
 * What is written upon `top` (NULL: nothing is there). The place is the caller's. 0 or LINK_REFUSED
 * (ret untouched).
 */
must_check int link_promise(const struct link *top, const struct ballot *b,
			    const uint8_t prev[RECORD_HASH_SIZE], struct link *ret);
must_check int link_accept(const struct link *top, const struct ballot *b, struct blob *record,
			   const uint8_t hash[RECORD_HASH_SIZE],
			   const uint8_t prev[RECORD_HASH_SIZE], struct link *ret);
