/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What leaves a cache that is full, and how much of it. Pure. */
#include "base/defs.h"

struct evict_item {
	uint64_t used; /* when last: any clock that only grows */
	uint64_t bytes;
	void *what;
};
/*
 * How many bytes must go: none up to the limit's high mark (95 in 100); beyond it, what brings it
 * to the low mark (90 in 100), so that evicting is rare and thorough.
 */
uint64_t evict_excess(uint64_t bytes, uint64_t limit);
/*
 * Orders items, the longest unused first, and answers how many of the first ones make up `excess`
 * bytes.
 */
size_t evict_choose(struct evict_item *items, size_t n, uint64_t excess);
