/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object of S3 with other metadata: a copy onto itself, which replaces all of them. So they are
 * asked for before, and the copy is made of what was seen then and of nothing else.
 */
#include "backends/s3_i.h"

#include <stdio.h>

/* What a copy would lose otherwise. */
static const char *const kept[] = {
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Type",	 "Expires",	       "x-amz-storage-class",
};

void s3_describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_HEAD, r->name, r->deadline_ns);

	if (x)
		exchange_describe(x, r);
}

/* The copy's source is its target: the path holds the bucket, or the host does. */
static void add_itself(struct exchange *x)
{
	const char *path = x->req->path;
	const char *bucket = s3_of(x->web)->path_style ? "" : x->web->bucket;

	pairs_addf(&x->req->headers, "x-amz-copy-source", "%s%s%s", *bucket ? "/" : "", bucket,
		   path + (s3_of(x->web)->amazon ? 0 : strlen(x->web->endpoint.path)));
	pairs_add(&x->req->headers, "x-amz-copy-source-if-match", x->call->version);
	pairs_add(&x->req->headers, "x-amz-metadata-directive", "REPLACE");
	x->source_match = true;
}

int s3_described(struct exchange *x)
{
	_cleanup_pairs_ struct pairs meta = {};
	int r = exchange_described(x, S3_META, META_S3, &meta);
	char value[KiB];

	for (size_t i = 0; !r && i < ARRAY_SIZE(kept); i++)
		if (request_header_copy(x->req, kept[i], value, sizeof(value))[0])
			pairs_add(&meta, kept[i], value);
	if (!r)
		r = pairs_error(&meta);
	if (!r)
		r = exchange_describe_put(x, &meta);
	if (r)
		return r;
	add_itself(x);
	s3_condition(x, PUT_IF_MATCH, x->call->version);
	return AGAIN_MORE;
}
