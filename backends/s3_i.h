/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the parts of the S3 dialect: what is asked, and what the answers mean. */
#include "backends/exchange.h"
#include "backends/upload_i.h"

struct s3 {
	struct web web;
	bool path_style, amazon; /* amazon: the address follows from the region */
	char region[48];         /* under web.store.sync.lock */
};

static inline struct s3 *s3_of(struct web *w)
{
	return container_of(w, struct s3, web);
}

#define S3_META "x-amz-meta-"

/* The start of an operation on one object. NULL: the call has been ended. */
struct exchange *s3_begin(struct store *s, struct store_call *c, enum http_method m,
			  struct span name, uint64_t deadline_ns);
void s3_add_crc32c(struct pairs *headers, uint32_t crc);
/* Notes the condition and adds its header. */
void s3_condition(struct exchange *x, enum put_cond cond, const char *if_match);

/* s3_upload.c: the requests */
void s3_copy(struct store *s, const struct copy_req *r, struct store_call *c);
void s3_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c);
void s3_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c);
void s3_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c);
void s3_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c);
extern const struct upload_limits s3_upload_limits;
/* Makes the question that settles a refused copy or an abort. 0, -ENOMEM. */
int s3_upload_look(struct exchange *x);
/* And what a success of theirs says: a call's result, or AGAIN_LOOK. */
int s3_upload_succeeded(struct exchange *x);
/* The answer to the question about a refused copy. */
int s3_copy_looked(struct exchange *x);

/* s3_describe.c */
void s3_describe(struct store *s, const struct describe_req *r, struct store_call *c);
/* Its look was answered: a call's result, or AGAIN_MORE. */
int s3_described(struct exchange *x);

bool s3_region_is_good(const char *s);
/* (J3) of s3_judge.c: an error with status 200, or 0. */
int s3_hidden_error(struct exchange *x);
/* Judges an answer: a call's result, or AGAIN_*. */
int s3_judge(struct exchange *x);
