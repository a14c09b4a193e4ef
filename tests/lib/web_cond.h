/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ranges, HTTP conditions and pages of a listing: what the dialects have in common.
 */

#include "web.h"

enum web_range {
	WEB_RANGE_ALL,          /* absent, or to be ignored */
	WEB_RANGE_PART,
	WEB_RANGE_BEYOND,       /* 416 */
};

/* A single "bytes=" range of something of this size; suffix: whether "-n" is understood. */
enum web_range web_range_parse(const char *header, bool suffix, size_t size, size_t *ret_from,
			       size_t *ret_len);

/* Whether an If-Match or If-None-Match value names this ETag (held without quotes). */
bool web_etag_matches(const char *header, const char *etag);

/* Verdicts of judges (see web_store.h). */
enum web_verdict {
	WEB_PASS = 0,
	WEB_PRECONDITION = WEB_JUDGED + 1,      /* 412 */
	WEB_NOT_MODIFIED,                       /* 304 */
	WEB_EXISTS,                             /* create refused */
	WEB_ABSENT,                             /* replace refused, there is nothing */
	WEB_TOO_OFTEN,                          /* GCS: one change a second */
};

/* The four HTTP conditions of a read of an existing object. */
int web_read_verdict(const struct web_req *, const struct web_object *);

enum { WEB_BAD_TOKEN = WEB_JUDGED + 100 };

struct web_page {
	struct web_list list;
	char *token;            /* of the next page; NULL at the end */
};

/*
 * One page; token is that of the page before, or "". The options --page and --empty-pages are
 * applied here. Conditions: WEB_NO_BUCKET, WEB_BAD_TOKEN.
 */
int web_page_make(const struct web_req *, const struct web_list_req *, const char *token,
		  struct web_page *ret);
void web_page_release(struct web_page *);
