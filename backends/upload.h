/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One object in several requests: begun, filled by parts, published whole or dropped. S3's
 * multipart uploads, Azure's block lists, GCS's resumable sessions, a temporary file of a folder.
 *
 *	begin -> part, part, ... -> finish     the object is there, at once and whole
 *	                         -> abort      as if nothing had been
 *
 * (U1) Every function is ONE attempt (S1 of store.h); the caller retries with the same index.
 * (U2) Only finish publishes: it alone ends as STORE_UNKNOWN. An unknown end of the others is
 *      -EAGAIN or -ETIMEDOUT: a part that is sent twice replaces itself. A begin that was not heard
 *      of leaves an upload without a byte.
 * (U3) The condition is told at the beginning and judged when the object is published. GCS judges
 *it at the beginning as well. (U4) Whoever begins ends by finish or abort, when no part is under
 *way. Otherwise the parts stay with the provider, invisible: S3 keeps them until its rule
 *AbortIncompleteMultipartUpload, GCS and Azure for a week; a folder keeps none. Azure cannot drop
 *them sooner: an abort there only forgets them, and the next write of that name drops them. (U5)
 *After a finish that ended as STORE_UNKNOWN or STORE_GONE a head tells what is there
 *      (object_meta.writer says whose it is). Finishing again is allowed, and does not publish
 *twice.
 */
#include "backends/store.h"

/* What a store wants of parts. All but the last have the same size. */
struct upload_limits {
	uint64_t part_min, part_max; /* bytes; the last may be smaller */
	uint64_t part_unit;          /* they are multiples of this; the last need not be */
	uint64_t object_max;
	unsigned parts_max;
	/* How many may be under way together. 1: also in the order of their indices. */
	unsigned parts_at_once;
	bool copies_parts; /* store_upload_copy_part() */
	bool named;        /* an upload has a name by which another process can abort it */
};
/* NULL: the store has no uploads. */
const struct upload_limits *store_upload_limits(const struct store *s);
/*
 * The size of parts nearest above `wanted` that this store takes for an object of `size` bytes (0:
 * not known; then the largest object is parts_max of them). 0: no size will do.
 */
uint64_t store_upload_part_size(const struct store *s, uint64_t size, uint64_t wanted);

struct upload_req {
	struct span name;
	const struct object_meta *meta; /* or NULL: none */
	enum put_cond cond;             /* (U3) */
	const char *if_match;
	uint64_t part_size; /* of store_upload_part_size() */
	/* all its parts are copies: no checksums are asked for, which not all S3 tell */
	bool copies;
	uint64_t deadline_ns;
};
struct upload_part_req {
	unsigned index;    /* 0.. */
	struct blob *body; /* shares; part_size bytes, the last 1 to part_size */
	/* Instead of a body, a range of another object of the same store; see
	 * store_upload_copy_part */
	struct span from;
	const char *from_match;
	uint64_t offset, length;
	uint64_t deadline_ns;
};

/*
 * An upload is shared by its calls and whoever holds a reference. It may outlive its calls, not its
 * store.
 */
struct store_upload *store_upload_ref(struct store_upload *u);
struct store_upload *store_upload_unref(struct store_upload *u); /* takes NULL, answers NULL */
DEFINE_CLEANUP(struct store_upload *, store_upload_unref)

const char *store_upload_name(const struct store_upload *u); /* of its object; borrowed */
/*
 * What another process has to know to abort it, when this one is gone; NULL: there is nothing to
 * abort by a name. Borrowed. At GCS who knows it may write: it belongs into no log.
 */
const char *store_upload_id(const struct store_upload *u);
/* For that: an upload that can be aborted, and nothing else. 0, -EINVAL, -ENOMEM. */
must_check int store_upload_recall(struct store *s, struct span name, const char *id,
				   struct store_upload **ret);

/*
 * As store_put() and the others: 0 with a started call, -ENOMEM, or -EINVAL: what cannot be, among
 * that a part of the wrong size or out of its turn, a finish with parts missing or without any (an
 * empty object is a put), a store without uploads.
 *
 * begin: the call's `upload` is the upload when its result is 0. GCS: STORE_EXISTS, STORE_CHANGED.
 * part: 0; STORE_GONE.
 * finish: 0 with the new version; STORE_EXISTS, STORE_CHANGED: the upload is still there, abort it;
 * STORE_UNKNOWN, STORE_GONE: (U5).
 * abort: 0, also when there is no such upload any more. -EAGAIN: parts may be left, once more.
 */
must_check int store_upload_begin(struct store *s, const struct upload_req *r,
				  struct store_call **ret);
must_check int store_upload_part(struct store_upload *u, unsigned index, struct blob *body,
				 uint64_t deadline_ns, struct store_call **ret);
must_check int store_upload_finish(struct store_upload *u, uint64_t deadline_ns,
				   struct store_call **ret);
must_check int store_upload_abort(struct store_upload *u, uint64_t deadline_ns,
				  struct store_call **ret);
/* The same with a function to run at the end (call_on_done), set before the start. */
must_check int store_upload_part_then(struct store_upload *u, unsigned index, struct blob *body,
				      uint64_t deadline_ns, call_fn *done, void *arg,
				      struct store_call **ret);
/*
 * The part is `length` bytes at `offset` of another object of this store, copied inside the store:
 * an append without reading, a copy of what is STORE_TOO_LARGE. Also STORE_MISSING, STORE_CHANGED
 * of that object. Limits: copies_parts.
 */
must_check int store_upload_copy_part(struct store_upload *u, unsigned index, struct span from,
				      const char *from_match, uint64_t offset, uint64_t length,
				      uint64_t deadline_ns, struct store_call **ret);

/* Start, wait and answer as store_put_wait(). */
int store_upload_begin_wait(struct store *s, const struct upload_req *r,
			    struct store_call **ret_call);
int store_upload_part_wait(struct store_upload *u, unsigned index, struct blob *body,
			   uint64_t deadline_ns, struct store_call **ret_call);
int store_upload_finish_wait(struct store_upload *u, uint64_t deadline_ns,
			     struct store_call **ret_call);
int store_upload_abort_wait(struct store_upload *u, uint64_t deadline_ns,
			    struct store_call **ret_call);
