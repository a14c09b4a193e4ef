/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the parts of the dialect of Google Cloud Storage. */
#include "backends/exchange.h"
#include "backends/upload_i.h"

/*
 * "/storage/v1/b/BUCKET/o[/NAME]" after the endpoint's path and `upload`; the name's slashes are
 * escaped too. Owned. NULL: no memory.
 */
char *gcs_path(const struct web *w, const char *upload, const char *key);
/* (D1) of gcs.c: a version in the place of a generation. */
const char *gcs_generation(const char *version);
/* Notes the condition and adds it to the query. */
void gcs_condition(struct exchange *x, enum put_cond cond, const char *if_match);
/*
 * An object's description as a client gives it: name and CRC-32C may be NULL. 0, -ENOMEM, -EINVAL
 * (no UTF-8).
 */
must_check int gcs_description(const char *name, const struct object_meta *m, const uint32_t *crc,
			       struct buf *ret);
must_check int gcs_crc32c_text(uint32_t crc, struct buf *ret);

/* gcs_judge.c */
int gcs_judge(struct exchange *x);
int gcs_look(struct exchange *x);

/* gcs_upload.c */
void gcs_copy(struct store *s, const struct copy_req *r, struct store_call *c);
void gcs_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c);
void gcs_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c);
void gcs_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c);
void gcs_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c);
extern const struct upload_limits gcs_upload_limits;
/* A request to a session, which is its own authorization. */
bool gcs_is_session(const struct exchange *x);
/* What a session answered: a call's result. */
int gcs_session_judge(struct exchange *x);
int gcs_upload_begun(struct exchange *x);
/* A copy's answer: a call's result, or AGAIN_MORE. */
int gcs_copied(struct exchange *x);
