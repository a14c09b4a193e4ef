/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whom to ask first for bytes that several stores have. Pure. */
#include "base/defs.h"

struct rank_entry {
	unsigned store;
	bool broken;       /* its breaker is not closed: asked when nobody else is left */
	bool crowded;      /* too many readers wait for it already */
	bool unknown;      /* nothing was heard of it for long: worth one try */
	double expected_s; /* to the last byte */
	double price;      /* per GB read */
};
/*
 * The best first: those that work before crowded ones before broken ones; unknown ones first among
 * equals. About as fast as the fastest (twice its time and 20 ms) is fast enough, and among those
 * the cheapest is first.
 */
void rank_sort(struct rank_entry *entries, size_t n);
