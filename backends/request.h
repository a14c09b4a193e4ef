/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One HTTP request as data: what is asked, where the answer goes, how it ended. Whoever
 * makes it fills the first part, hands it to http_submit(), and reads the rest when `done` runs.
 *
 * (Q1) From http_submit() until `done` the request belongs to the HTTP thread.
 * (Q2) `attempts` counts how often the request went onto a connection. 0 proves that the
 *      server has not seen it. Only requests marked `repeatable` may have more than one: the
 *      library repeats a request by itself when a kept connection dies, and a write may not be
 *      executed twice unseen.
 */
#include "backends/pairs.h"
#include "base/blob.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_PATCH, HTTP_DELETE };
const char *http_method_name(enum http_method m);

enum request_end {
	REQUEST_ANSWERED,  /* status, headers and the whole body are here */
	REQUEST_FAILED,    /* no connection, a cut one, a body shorter than promised */
	REQUEST_TIMED_OUT, /* the deadline */
	REQUEST_CANCELLED,
	REQUEST_TOO_BIG,   /* more came than the sink may hold */
	REQUEST_UNTRUSTED, /* the server's certificate does not convince */
	REQUEST_NO_MEMORY,
};

struct request;
typedef void request_fn(struct request *r);

struct request {
	/* what is asked */
	enum http_method method;
	char *origin; /* "https://host[:port]" */
	char *path;   /* escaped; begins with '/' */
	struct pairs query;
	char *raw_query; /* appended as it is (a SAS), or NULL */
	struct pairs headers;
	struct buf head;   /* the body is head, then body, then tail */
	struct blob *body; /* or NULL */
	struct buf tail;
	bool sends_body; /* even an empty one: PUT, POST and PATCH */
	bool repeatable; /* (Q2) reads */
	bool no_proxy;   /* metadata services */
	uint64_t deadline_ns;
	unsigned connect_timeout_ms; /* 0: 3000 */
	/* a kept connection older than this is not used again; 0: 60 */
	unsigned idle_s;
	char *ca_file; /* or NULL: the system's authorities */

	/* where the answer goes */
	struct buf *sink; /* body of a 2xx answer; NULL: text */
	/* other bodies; what goes over its limit is dropped unless it is the sink */
	struct buf text;
	request_fn *done; /* on the HTTP thread; must not block */
	void *arg;

	/* how it ended */
	enum request_end end;
	unsigned attempts; /* (Q2) */
	int status;
	char why[160]; /* of failures without a status, for people */

	struct { /* of http.c alone */
		void *easy;
		void *header_list;
		struct buf answer_headers;
		struct request *next, *prev;
		bool queued, active, cancelled, too_big, no_memory;
		uint64_t sent; /* position of the read function */
	} http;
};

#define REQUEST_TEXT_MAX (64 * KiB)

/* Copies origin and path. NULL: no memory. text may hold REQUEST_TEXT_MAX bytes. */
struct request *request_new(enum http_method method, const char *origin, const char *path);
/* Not while it belongs to the HTTP thread. Takes NULL, answers NULL. */
struct request *request_free(struct request *r);
DEFINE_CLEANUP(struct request *, request_free)
/* Forgets the answer, so that the request can be sent once more. */
void request_rewind(struct request *r);
/*
 * Makes another request of it, in place: no query, headers or body. Takes path. What answers it
 * goes to `text`: the sink was measured for another answer.
 */
void request_retarget(struct request *r, enum http_method method, char *path);
/* Copies. 0, -ENOMEM. */
must_check int request_set_origin(struct request *r, const char *origin);

uint64_t request_body_len(const struct request *r);
/* Appends origin + path + query. */
must_check int request_url(const struct request *r, struct buf *ret);
/* Copies up to `room` bytes of the body from `offset`; answers how many. */
size_t request_body_read(const struct request *r, uint64_t offset, void *to, size_t room);

/* The last answer's header of this name in any case, trimmed; false: none. Borrowed. */
bool request_header(const struct request *r, const char *name, struct span *ret);
/* The same copied as a string, cut to size; "" when there is none. */
const char *request_header_copy(const struct request *r, const char *name, char *buf, size_t size);
/*
 * Walks the headers whose names begin with this, in any case: *at is 0 at first; tells the rest of
 * the name, and the value. Borrowed.
 */
bool request_header_next(const struct request *r, const char *beginning, size_t *at,
			 struct span *ret_name, struct span *ret_value);
/* A header that is a decimal number. 0, -ENOENT, -EBADMSG. */
must_check int request_header_uint(const struct request *r, const char *name, uint64_t *ret);
/* Seconds since 1970 of an HTTP date header; 0: none. */
uint64_t request_header_date(const struct request *r, const char *name);
/* Retry-After, a number or a date, in ms; at most 120 s; 0: none. */
uint64_t request_retry_after_ms(const struct request *r);
/*
 * "bytes a-b/TOTAL", or a star instead of a-b, which makes both 0. 0; -ENOENT: there is no such
 * header; -EBADMSG.
 */
must_check int request_content_range(const struct request *r, uint64_t *ret_first,
				     uint64_t *ret_last, uint64_t *ret_total);
