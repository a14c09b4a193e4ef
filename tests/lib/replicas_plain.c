/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of backends/replicas.h that the journal needs, and nothing behind it: no health, no
 * task, no hedging. For tests in which every request's fate is planned.
 */
#include "backends/replicas.h"

struct replicas {
	struct store *stores[REPLICAS_MAX];
	unsigned n;
};

int replicas_new(const struct replicas_options *opts, struct replicas **ret)
{
	struct replicas *r = calloc(1, sizeof(*r));

	if (!r)
		return fail(-ENOMEM);
	*ret = r;
	return 0;
}

int replicas_add(struct replicas *r, struct store *takes, const struct replica_options *opts)
{
	if (r->n == REPLICAS_MAX) {
		store_free(takes);
		return fail(-ENOSPC);
	}
	r->stores[r->n] = takes;
	return (int)r->n++;
}

struct replicas *replicas_free(struct replicas *r)
{
	if (!r)
		return NULL;
	for (unsigned i = 0; i < r->n; i++)
		store_free(r->stores[i]);
	free(r);
	return NULL;
}

unsigned replicas_count(const struct replicas *r)
{
	return r->n;
}

struct store *replicas_store(const struct replicas *r, unsigned i)
{
	return r->stores[i];
}

void replicas_observe(struct replicas *r, unsigned i, int result, uint64_t ns, uint64_t bytes)
{
}

bool replicas_allows(struct replicas *r, unsigned i)
{
	return true;
}

uint64_t replicas_up(struct replicas *r)
{
	return (1ull << r->n) - 1;
}
