/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1.1 as the stand-in server speaks it: one request and its answer.
 */

#include "web_io.h"
#include "web_store.h"
#include "web_sum.h"
#include "web_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WEB_HEAD_MAX = 32 << 10,        /* request line and headers */
	WEB_HEADERS_MAX = 100,
	WEB_QUERY_MAX = 64,
};

struct web;

/* What a request is about, for faults and counters. */
enum web_op {
	WEB_OP_OTHER,
	WEB_OP_PUT,
	WEB_OP_GET,
	WEB_OP_HEAD,
	WEB_OP_LIST,
	WEB_OP_DELETE,
	WEB_OP_TOKEN,
	WEB_OPS,
};

const char *web_op_name(enum web_op);

struct web_conn {
	struct web_io io;
	size_t filled;                  /* bytes of head[] that hold input */
	char head[WEB_HEAD_MAX + 1];
	char scratch[4 * WEB_HEAD_MAX]; /* decoded parts of the head */
	/* SigV4: the signing key of the last request, the work of four HMACs. */
	char signing_scope[128];
	uint8_t signing_key[32];
};

struct web_reply {
	int status;                     /* 0: not answered yet */
	struct web_text headers;        /* whole lines */
	struct web_text body;
	struct web_object *object;      /* or NULL: then data and len are a slice of it */
	const uint8_t *data;
	size_t len;
	bool close;
	int64_t length_delta;           /* a lie to be told in Content-Length */
};

struct web_req {
	struct web *web;
	struct web_conn *conn;
	const struct web_dialect *dialect;
	uint64_t serial;
	char *method;
	char *target;                   /* as sent, path and query */
	char *path, *query;             /* as sent, still encoded; query "" when there is none */
	struct web_pair headers[WEB_HEADERS_MAX];       /* names in lower case, sent order */
	size_t nheaders;
	struct web_pair params[WEB_QUERY_MAX];          /* decoded, sent order */
	size_t nparams;
	bool has_length;
	uint64_t length;
	bool expects;                   /* Expect: 100-continue */

	/* set by the dialect's route() */
	enum web_op op;
	int verb;                       /* private to the dialect, as the route is */
	const void *route;
	const char *bucket, *key;       /* decoded; "" when absent */
	bool key_in_body;               /* known only when the body is there */

	unsigned want_sums;             /* set by check() */
	struct web_sums sums;
	struct web_blob *body;          /* after check(); never NULL in run() */
	struct web_reply reply;
	/* private */
	char *scratch;
};

/* Reads a head into the connection. Its length, 0 when the peer left, -1 when it is too large. */
ssize_t web_head_read(struct web_conn *);
/* Parses it; the request borrows from the connection. NULL, or what is wrong with it. */
const char *web_req_parse(struct web_req *, struct web_conn *, size_t head_len);
void web_req_release(struct web_req *);

/* Memory that lives as long as the request. */
char *web_req_keep(struct web_req *, const char *s, size_t n);
/* The value of a header (lower-case name) or of a query parameter; NULL when absent. */
const char *web_header(const struct web_req *, const char *name);
const char *web_param(const struct web_req *, const char *name);
/* "" instead of NULL. */
const char *web_param_or_empty(const struct web_req *, const char *name);

/* Starts the answer over. */
void web_reply_reset(struct web_reply *);
void web_reply_header(struct web_req *, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Answers with a slice of an object; shares the object. */
void web_reply_object(struct web_req *, struct web_object *, size_t from, size_t len);
const uint8_t *web_reply_bytes(const struct web_reply *, size_t *ret_len);
/* Sends the answer, of its body only the first `most` bytes. False when the peer is gone. */
bool web_reply_send(struct web_req *, size_t most);
