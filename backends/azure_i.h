/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the parts of the Azure dialect. */
#include "backends/exchange.h"
#include "backends/upload_i.h"

#define AZURE_META "x-ms-meta-"

struct azure {
	struct web web;
	char *account;
	char *base; /* "" or "/account" (path style) */
};

static inline struct azure *azure_of(struct web *w)
{
	return container_of(w, struct azure, web);
}

/* The escaped path of an object. Owned. NULL: no memory. */
char *azure_path(struct web *w, struct span name);
/* The start of an operation on one object. NULL: the call has been ended. */
struct exchange *azure_begin(struct store *s, struct store_call *c, enum http_method m,
			     struct span name, uint64_t deadline_ns);
void azure_add_crc64(struct pairs *headers, struct blob *body);
/* Notes the condition and adds its header. */
void azure_condition(struct exchange *x, enum put_cond cond, const char *if_match);

/* azure_judge.c */
int azure_judge(struct exchange *x);

/* azure_describe.c */
void azure_describe(struct store *s, const struct describe_req *r, struct store_call *c);
/* Its look was answered: a call's result, or AGAIN_MORE. */
int azure_described(struct exchange *x);

/* azure_upload.c */
void azure_copy(struct store *s, const struct copy_req *r, struct store_call *c);
void azure_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c);
void azure_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c);
void azure_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c);
void azure_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c);
extern const struct upload_limits azure_upload_limits;
/* (L4) of azure_upload.c: so that the service may read a part's source. 0, -ENOMEM, -EINVAL. */
int azure_open_source(struct exchange *x, const struct creds_value *v, uint64_t now_s);
/* A copy's source is read by the service, which needs the SAS for that as well. */
void azure_sign_source(struct exchange *x, const char *sas);
/* Asks what there is at a copy's end: how far it is, or what is in its way. */
int azure_copy_look(struct exchange *x);
/* That question was refused: a call's result or AGAIN_*. */
int azure_copy_unseen(struct exchange *x);
/* How far it is: a call's result or AGAIN_WAIT. */
int azure_copied(struct exchange *x);
