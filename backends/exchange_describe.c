/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New metadata where they can only be replaced all together (S3, Azure): the object is looked at
 * first, and the change is made of what was seen, on the condition that it still is so.
 */
#include "backends/exchange.h"

#include <stdio.h>

void exchange_describe(struct exchange *x, const struct describe_req *r)
{
	x->writes = false;
	x->conditional = true;
	if (r->if_match)
		snprintf(x->if_match, sizeof(x->if_match), "%s", r->if_match);
	x->changes = malloc(sizeof(*x->changes));
	if (!x->changes) {
		exchange_refuse(x->call, -ENOMEM);
		return;
	}
	*x->changes = *r->meta;
	exchange_start(x);
}

/* Names and values that begin so and are not in *ret yet. */
static void keep_others(const struct exchange *x, const char *beginning, struct pairs *ret)
{
	struct span name, value;
	size_t at = 0;

	while (request_header_next(x->req, beginning, &at, &name, &value)) {
		_cleanup_free_ char *n = NULL, *v = strndup((const char *)value.data, value.len);

		if (asprintf(&n, "%s%.*s", beginning, SPAN_FMT(name)) < 0)
			n = NULL;
		if (!n || !v)
			ret->no_memory = true;
		else if (!pairs_get(ret, n))
			pairs_add(ret, n, v);
	}
}

int exchange_described(struct exchange *x, const char *beginning, enum meta_style style,
		       struct pairs *ret)
{
	_cleanup_pairs_ struct pairs ours = {};
	char name[64];

	if (x->if_match[0] && strcmp(x->if_match, x->call->version) != 0)
		return STORE_CHANGED;
	exchange_read_meta(x, beginning);
	object_meta_over(x->changes, &x->call->meta);
	object_meta_write(&x->call->meta, style, &ours);
	for (size_t i = 0; i < ours.n; i++) {
		snprintf(name, sizeof(name), "%s%s", beginning, ours.items[i].name);
		pairs_add(ret, name, ours.items[i].value);
	}
	ret->no_memory |= ours.no_memory;
	keep_others(x, beginning, ret);
	x->writes = true;
	return pairs_error(ret);
}

int exchange_describe_put(struct exchange *x, const struct pairs *headers)
{
	char *path = strdup(x->req->path);

	if (!path)
		return fail(-ENOMEM);
	request_retarget(x->req, HTTP_PUT, path);
	for (size_t i = 0; i < headers->n; i++)
		pairs_add(&x->req->headers, headers->items[i].name, headers->items[i].value);
	return 0;
}
