/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One operation of a cloud store over HTTP: take credentials, sign, send, judge; and once
 * more where the answer proves that nothing was executed and says what to do instead. What
 * the three dialects share; a fourth fills in `struct dialect` and builders of its requests.
 *
 * (X1) An exchange ends its call exactly once, and touches neither store nor call afterwards.
 * (X2) It lives as long as its call, since a cancel may come late.
 * (X3) A write is sent again only after an answer that refused it before execution.
 * (X4) Once a server has said that it is at work (AGAIN_WAIT), nothing that happens to our
 * questions proves that nothing was executed.
 */
#include "backends/faults.h"
#include "backends/listing.h"
#include "backends/web.h"

struct exchange;

/* What a dialect's judge may answer besides a call's result. Each is granted once. */
enum exchange_again {
	AGAIN_RENEW = 100, /* other credentials */
	AGAIN_CLOCK,       /* the store's clock */
	AGAIN_ELSEWHERE,   /* another address or region, which the dialect has taken note of */
	/* the answer leaves a doubt: the dialect's look() makes the question that settles it */
	AGAIN_LOOK,
	/* And these as often as the deadline allows. */
	AGAIN_MORE, /* the same request, which the judge has changed, goes on with the work */
	AGAIN_WAIT, /* the work goes on by itself: look() asks, now and then, whether it is done */
};

struct dialect {
	/*
	 * Completes the request for this try: address, date, signature. v is NULL for anonymous.
	 * 0, -ENOMEM.
	 */
	int (*sign)(struct exchange *x, const struct creds_value *v, uint64_t now_s);
	/* Judges an answer: a call's result, or AGAIN_*. */
	int (*judge)(struct exchange *x);
	/*
	 * AGAIN_LOOK, AGAIN_WAIT: retargets the request (request_retarget). 0, -ENOMEM. NULL: never
	 * asked for.
	 */
	int (*look)(struct exchange *x);
	void (*free_more)(struct store *s); /* what the dialect added to struct web */
};

struct exchange {
	struct web *web;
	struct store_call *call;
	struct request *req;
	struct creds_wait wait;
	struct creds_value *value; /* of this try, or NULL */
	bool writes;               /* publishes or removes (S4 of store.h) */
	bool conditional;          /* if_match */
	bool source_match;         /* copy: from_match */
	enum put_cond cond;
	uint64_t offset, length;          /* get */
	char if_match[STORE_VERSION_MAX]; /* get; "" : none */
	struct listing_state page;        /* list */
	struct object_meta *changes;      /* describe */
	char *body_hash;                  /* S3 on plain HTTP: computed once */
	struct fault fault;               /* of the newest answer */
	bool renewed, clock_set, moved, looked;
	bool begun;       /* (X4): the server is at work, and we ask how far it is */
	struct event nap; /* AGAIN_WAIT; a cancel ends it */
};

/* ---- building ---- */

/*
 * The start of every operation; path is escaped. Sets deadline, limits, sink. NULL: no memory; the
 * caller then ends the call by exchange_refuse().
 */
struct exchange *exchange_new(struct web *w, struct store_call *c, enum http_method method,
			      const char *path, uint64_t deadline_ns);
/* "bytes=a-b" for a get, in this header; nothing when the whole object is asked. */
void exchange_range(struct exchange *x, const struct get_req *r, const char *header);
void exchange_body(struct exchange *x, struct blob *body); /* shares */
/* Notes the condition; its words are the dialect's. */
void exchange_condition(struct exchange *x, enum put_cond cond);
/* Adds it as headers with this beginning: "x-amz-meta-". m may be NULL. */
void exchange_meta(struct exchange *x, const char *beginning, const struct object_meta *m,
		   enum meta_style style);
/* Starts a describe, whose first request is a look at the object. Writes nothing yet. */
void exchange_describe(struct exchange *x, const struct describe_req *r);
/*
 * The answer to that look: STORE_CHANGED, or 0 and the metadata as they will be: of other tools as
 * they are, ours with the changes. From now on it writes.
 */
int exchange_described(struct exchange *x, const char *beginning, enum meta_style style,
		       struct pairs *ret);
/* The request becomes a PUT of the same object with these headers. 0, -ENOMEM. */
must_check int exchange_describe_put(struct exchange *x, const struct pairs *headers);
/*
 * Reads the request's token or `after` into x->page, names with the store's prefix. 0, -EINVAL,
 * -ENOMEM.
 */
must_check int exchange_page(struct exchange *x, const struct list_req *r);
/* Sends it. Takes x. */
void exchange_start(struct exchange *x);
/*
 * Ends a call for which no exchange could be made, on another task, since nothing ends inside a
 * start.
 */
void exchange_refuse(struct store_call *c, int error);
/* The same for an operation that needs no request. */
void exchange_done(struct store_call *c);

/* ---- judging ---- */

/*
 * A sentence into the call's detail: "403 AccessDenied on get of s3://b/p: MESSAGE: ADVICE";
 * advice may be NULL.
 */
void exchange_explain(struct exchange *x, const char *advice);
/* Sets the sentence and answers `result`. */
int exchange_because(struct exchange *x, int result, const char *advice);
/* What is proven not to have been executed and may work later. */
int exchange_throttled(struct exchange *x);
/* Reads the answer's metadata into the call. */
void exchange_read_meta(struct exchange *x, const char *beginning);
/* The MD5 of the object, as the store says it: base64, or lower-case hex. Anything else: none. */
void exchange_read_md5(struct exchange *x, struct span text);
/* By the status alone, when no code of the provider said more. */
int exchange_by_status(struct exchange *x);
/*
 * A 200 or 206 to a get, with the version (all servers tell one) filled in: lengths, range and
 * version as asked? Fills size, modified_s. 0, STORE_RANGE, STORE_CHANGED (from servers that
 * ignore conditions), -EAGAIN, -EIO.
 */
int exchange_got(struct exchange *x);
/* A 416: STORE_RANGE to a get, with the size if it was told. */
int exchange_no_such_range(struct exchange *x);
/* A page: l is consumed. */
int exchange_listed(struct exchange *x, int parse_error, struct listing *l);
