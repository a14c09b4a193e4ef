/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a blob are set all together: so they are asked for before, and the condition is
 * what was seen then.
 */
#include "backends/azure_i.h"

void azure_describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_HEAD, r->name, r->deadline_ns);

	if (x)
		exchange_describe(x, r);
}

int azure_described(struct exchange *x)
{
	_cleanup_pairs_ struct pairs meta = {};
	int r = exchange_described(x, AZURE_META, META_AZURE, &meta);

	if (!r)
		r = exchange_describe_put(x, &meta);
	if (r)
		return r;
	pairs_add(&x->req->query, "comp", "metadata");
	azure_condition(x, PUT_IF_MATCH, x->call->version);
	return AGAIN_MORE;
}
