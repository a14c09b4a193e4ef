/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of this mount cost, as far as it can know. */
#include "fs/status_i.h"

static const struct config_store *configured(const struct volume *v, const char *name)
{
	for (size_t i = 0; i < v->config->n_stores; i++)
		if (!strcmp(v->config->stores[i].name, name))
			return &v->config->stores[i];
	return NULL;
}

struct prices status_prices(const struct volume *v, const struct store *st)
{
	const struct config_store *c = configured(v, st->name);

	return c ? price_complete(&c->prices, st->url) : price_list(st->url);
}

double status_cost(const struct volume *v, const struct store *st, const struct store_stats *stats)
{
	const struct prices p = status_prices(v, st);
	const struct spending s = spending_of(stats);

	return spending_cost(&s, &p);
}

struct json *status_spending(const struct volume *v, const struct store *st,
			     const struct store_stats *stats)
{
	const struct prices p = status_prices(v, st);
	const struct spending s = spending_of(stats);
	struct json *j = json_object_new();

	json_set_uint(j, "reads", s.reads);
	json_set_uint(j, "writes", s.writes);
	json_set_real(j, "read_price", p.read_gb);
	json_set_real(j, "write_price", p.write_gb);
	json_set_real(j, "reads_price", p.reads);
	json_set_real(j, "writes_price", p.writes);
	json_set_str(j, "list", PRICE_LIST_DATE);
	return j;
}
