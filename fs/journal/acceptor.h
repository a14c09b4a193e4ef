/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One store's acceptor of one slot: a chain of links. At most one request is under way; the owner
 * of many acceptors waits for any of them and then calls acceptor_step() on each.
 *
 * (A1) A link is made only upon the link that was read, or that is known to be one's own; or as the
 *      first one (its creation itself proves that there was none).
 * (A2) An unknown outcome is asked again with the same sealed bytes until it is known.
 * (A3) What exists is "mine" only if it is equal, byte by byte, to what this request put.
 */
#include "fs/journal/journal_i.h"

enum acceptor_event {
	ACCEPTOR_QUIET,  /* nothing new (or nothing to do) */
	ACCEPTOR_LINK,   /* read: a link; it is the top now, and there may be more */
	ACCEPTOR_TOP,    /* read: there is no further link */
	ACCEPTOR_MINE,   /* made: the link is the top now */
	/* not made: somebody's link stands there, and is the top as far as is known */
	ACCEPTOR_OTHER,
	ACCEPTOR_FAILED, /* an attempt failed; it will be repeated */
};

struct acceptor {
	struct journal *journal;
	unsigned store;
	uint64_t slot;
	bool any;               /* there is a link: */
	struct link top;        /* the highest one that was read or made */
	enum { ACCEPTOR_IDLE, ACCEPTOR_READING, ACCEPTOR_PUTTING, ACCEPTOR_COMPARING } doing;
	struct link making;     /* PUTTING, COMPARING */
	struct blob *sealed;    /* the same, as it is put */
	struct store_call *call;
	uint64_t retry_ns;      /* when to try again, without a call */
	unsigned tries;
	int error;              /* of the last failed attempt */
};

void acceptor_init(struct acceptor *a, struct journal *j, unsigned store, uint64_t slot);
/* What is under way goes on: a late copy is welcome. */
void acceptor_release(struct acceptor *a);
static inline bool acceptor_idle(const struct acceptor *a)
{
	return a->doing == ACCEPTOR_IDLE;
}
/* The highest link known, or NULL. */
static inline const struct link *acceptor_top(const struct acceptor *a)
{
	return a->any ? &a->top : NULL;
}
/* A read under way may answer what was true before: it is forgotten. */
void acceptor_forget_read(struct acceptor *a);
/* Idle: begins to read the link above the top. */
void acceptor_read(struct acceptor *a);
/*
 * Idle: begins to make a link upon the top; takes the link (its place is filled in). 0, -ENOMEM,
 * -EIO.
 */
must_check int acceptor_make(struct acceptor *a, struct link *takes);
/* Goes on as far as is possible without waiting. */
enum acceptor_event acceptor_step(struct acceptor *a);
