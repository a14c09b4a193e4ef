/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The dialect of Google Cloud Storage's JSON API, inside: its files share these.
 */

#include "web.h"

#include <jansson.h>

enum web_gcs_verb {
	GCS_NONE,
	GCS_TOKEN,
	GCS_METADATA_TOKEN,
	GCS_BUCKETS,
	GCS_BUCKET_CREATE,
	GCS_BUCKET_GET,
	GCS_BUCKET_DELETE,
	GCS_LIST,
	GCS_INSERT,
	GCS_SESSION,
	GCS_SESSION_DELETE,
	GCS_GET,
	GCS_PATCH,
	GCS_DELETE,
	GCS_REWRITE,
	GCS_COMPOSE,
	GCS_BATCH,
};

/* The preconditions of a request; those of the source of a rewrite under their own prefix. */
struct web_gcs_cond {
	const struct web *web;
	bool write;             /* counts for the rate of changes of a name */
	struct {
		bool given;
		uint64_t value;
	} match, not_match, meta_match, meta_not_match, generation;
};

/* False when a number is malformed; the request has failed then. */
bool web_gcs_cond_read(struct web_req *, bool write, struct web_gcs_cond *ret);
/* Judges of web_store.h; arg is the struct web_gcs_cond. */
int web_gcs_write_judge(const struct web_object *now, const void *arg);
int web_gcs_read_judge(const struct web_object *now, const void *arg);

void web_gcs_fail(struct web_req *, int status, const char *reason, const char *message);
void web_gcs_fail_cond(struct web_req *, int cond);
/* Answers 200 with this JSON, as far as ?fields= asks for it. Takes the JSON. */
void web_gcs_reply(struct web_req *, json_t *);

/* web_gcs_json.c */
json_t *web_gcs_resource(const struct web_object *, const char *bucket);
/* The part of the JSON that fields selects; NULL when the selection is malformed. */
json_t *web_gcs_select(json_t *, const char *fields);
/*
 * Takes over what a client says of its object. NULL, or what is wrong. The checksums that it
 * announces are returned: borrowed from the JSON, or NULL.
 */
const char *web_gcs_describe(struct web_object *, json_t *, const char **ret_crc32c,
			     const char **ret_md5);

bool web_gcs_name_is_good(const char *key);

/* web_gcs_object.c */
/* Takes the object's name from the description in a multipart body. */
void web_gcs_find_key(struct web_req *);
void web_gcs_insert(struct web_req *);
void web_gcs_get(struct web_req *);
void web_gcs_patch(struct web_req *);
void web_gcs_delete(struct web_req *);
void web_gcs_rewrite(struct web_req *, const char *from_bucket, const char *from_key);
void web_gcs_etag(struct web_object *);
/* Puts an object that came with this description into the store and answers. Takes neither. */
void web_gcs_store(struct web_req *, struct web_object *, json_t *description,
		   const struct web_gcs_cond *);

/* NULL, or what is wrong with the name of the request and of the description (or NULL). */
const char *web_gcs_name_check(const struct web_req *, json_t *description);

/* web_gcs_upload.c: resumable uploads */
void web_gcs_session_start(struct web_req *, const struct web_gcs_cond *);
void web_gcs_session(struct web_req *);
void web_gcs_session_delete(struct web_req *);
/* The key that a session writes, for faults by name. */
void web_gcs_session_key(struct web_req *);

/* web_gcs_list.c */
void web_gcs_list(struct web_req *);
void web_gcs_buckets(struct web_req *);
void web_gcs_bucket(struct web_req *);
