/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The S3 dialect, inside: its files share these.
 */

#include "web.h"

enum web_s3_verb {
	S3_NONE,
	S3_BUCKETS,
	S3_BUCKET_CREATE,
	S3_BUCKET_HEAD,
	S3_BUCKET_DELETE,
	S3_LOCATION,
	S3_LIST,
	S3_PUT,
	S3_GET,
	S3_HEAD,
	S3_DELETE,
	S3_DELETE_MANY,
	S3_UPLOAD_START,        /* the following are web_s3_upload()'s */
	S3_UPLOAD_PART,
	S3_UPLOAD_COMPLETE,
	S3_UPLOAD_ABORT,
	S3_UPLOAD_PARTS,
	S3_UPLOADS,
};

/* Answers with an error; extra is further XML inside <Error>, or "". */
void web_s3_fail(struct web_req *, int status, const char *code, const char *message,
		 const char *extra);
/* The answer to a condition of the store. */
void web_s3_fail_cond(struct web_req *, int cond);
/* Begins an XML answer with status 200. */
struct web_text *web_s3_xml(struct web_req *);

/* web_s3_auth.c: verifies the signature; fails the request otherwise. */
void web_s3_authenticate(struct web_req *);

/* web_s3_sum.c: which checksums a body needs; and whether it has those that were announced. */
void web_s3_sums_ask(struct web_req *);
bool web_s3_sums_verify(struct web_req *);

/* web_s3_object.c */
void web_s3_put(struct web_req *);
void web_s3_get(struct web_req *);
void web_s3_delete(struct web_req *);
/* An object of the request's body, with its headers and checksums, not yet in the store. */
struct web_object *web_s3_object_new(struct web_req *);
void web_s3_etag(struct web_object *);
/* Puts it into the store under the request's conditions. 0, or the request has failed. */
int web_s3_store(struct web_req *, struct web_object *);
/* The judge of conditional writes; arg is the request. */
int web_s3_write_judge(const struct web_object *now, const void *arg);

/* The object that x-amz-copy-source names, a reference; NULL: the request has failed. */
struct web_object *web_s3_copy_source(struct web_req *);

/* web_s3_list.c */
void web_s3_list(struct web_req *);
void web_s3_buckets(struct web_req *);
void web_s3_delete_many(struct web_req *);

/* web_s3_upload.c */
void web_s3_upload(struct web_req *);
