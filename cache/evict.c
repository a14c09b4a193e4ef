/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/evict.h"

#define HIGH_MARK 95
#define LOW_MARK  90

uint64_t evict_excess(uint64_t bytes, uint64_t limit)
{
	uint64_t percent = limit / 100;

	return bytes > limit - (100 - HIGH_MARK) * percent
		       ? bytes - (limit - (100 - LOW_MARK) * percent) : 0;
}

static int by_use(const void *a, const void *b)
{
	const struct evict_item *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

size_t evict_choose(struct evict_item *items, size_t n, uint64_t excess)
{
	uint64_t gone = 0;
	size_t i;

	if (n)
		qsort(items, n, sizeof(*items), by_use);
	for (i = 0; i < n && gone < excess; i++)
		gone += items[i].bytes;
	return i;
}
