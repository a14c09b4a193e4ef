/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the reading service share: object.c (open objects, reads, reading ahead),
 * object_piece.c (fetched, sealed, opened), object_mirror.c (which store may be read, and as what).
 */
#include "base/budget.h"
#include "base/metrics.h"
#include "fs/attach/object.h"
#include "fs/data/ahead.h"

#include <uthash.h>

enum mirror_state {
	MIRROR_UNKNOWN, /* to be asked for its version, from retry_ns on */
	MIRROR_ASKING,
	MIRROR_GOOD,    /* its object has the right size; match says which it is */
	MIRROR_OFF,     /* left alone */
};
struct mirror {
	struct object *object;
	enum mirror_state state;
	bool trusted;      /* (M2) */
	enum { SUM_UNKNOWN, SUM_ASKED, SUM_KNOWN, SUM_NONE } sum; /* (M4) */
	uint8_t md5[16];
	uint64_t since_ns; /* good since then */
	unsigned failures;
	uint64_t retry_ns;
	int error;         /* off: it refused for good; 0: it has another object, or none */
	char version[STORE_VERSION_MAX];
};

struct object {
	struct objects *service;
	struct replicas *replicas;
	uint8_t id[32]; /* (O2) */
	uint64_t size;
	unsigned n; /* stores */
	int listed; /* the one whose version was listed; -1: none */
	struct get_match match[MIRRORS_MAX]; /* (M3) */
	unsigned refs, users; /* under the service's lock; handles have one of both */
	bool shared;          /* the same: found by its id */
	UT_hash_handle hh;
	struct {
		struct lock lock; /* RANK_FILE */
		struct cond wake; /* a mirror became known, or not */
		struct mirror mirrors[MIRRORS_MAX];
		struct ahead ahead;
		bool lost;  /* a store that had it has another one now, or none */
		bool stale; /* nobody has it any more */
	} sync;
	char key[];
};

struct objects {
	struct objects_options o;
	struct budget *ahead_budget;
	struct pool *ahead_pool;
	uint64_t max_window;
	struct metric *m_corrupt, *m_read;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct cond idle;
		struct object *objects; /* those that are shared */
		unsigned heads;         /* under way */
	} sync;
};

/* ---- object.c ---- */

struct object *object_hold(struct object *o); /* for what is under way: no handle */
void object_drop(struct object *o);
bool object_in_use(struct object *o);
/* Nobody has it any more: who opens it from now on begins anew. Answers -ESTALE. */
int object_stale(struct object *o);

/* ---- object_piece.c ---- */

/* One piece's share of a read: plaintext [from, to) of piece `index` to dst. */
struct share {
	uint32_t index;
	uint32_t from, to;
	uint8_t *dst;
};
int object_read_piece(struct object *o, const struct share *s, enum object_wait wait,
		      uint64_t deadline_ns);
/* Brings it near, or not; asks for nothing that is near already. False: no more room just now. */
bool object_bring_piece(struct object *o, uint32_t index);
uint32_t object_piece_length(const struct object *o, uint32_t index);

/* ---- object_mirror.c ---- */

void mirrors_begin(struct object *o, const struct bucket_entry *e);
/*
 * Reads [off, off + len), which is within the object, into the empty *ret. 0, -ESTALE, or what the
 * stores answered: -EIO, -EACCES, -ETIMEDOUT, -ENOMEM, -ECANCELED.
 */
int mirrors_get(struct object *o, uint64_t off, size_t len, uint64_t deadline_ns, struct buf *ret);
