/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a blob are set all together: so they are asked for before, and the condition is
 * what was seen then.
 */
#include "backends/azure_i.h"

void azure_describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_HEAD, r->name, r->deadline_ns);

	if (!x)
		return;
	if (exchange_describe(x, r) < 0)
		exchange_refuse(c, -ENOMEM);
	else
		exchange_start(x);
}

int azure_described(struct exchange *x)
{
	_cleanup_pairs_ struct pairs meta = {};
	char *path = strdup(x->req->path);
	int r = path ? exchange_described(x, AZURE_META, META_AZURE, &meta) : fail(-ENOMEM);

	if (r) {
		free(path);
		return r;
	}
	request_retarget(x->req, HTTP_PUT, path);
	pairs_add(&x->req->query, "comp", "metadata");
	azure_condition(x, PUT_IF_MATCH, x->call->version);
	for (size_t i = 0; i < meta.n; i++)
		pairs_add(&x->req->headers, meta.items[i].name, meta.items[i].value);
	return AGAIN_MORE;
}
