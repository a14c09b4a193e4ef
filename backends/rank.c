/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/rank.h"

#define NEAR_FACTOR   2.0
#define NEAR_MARGIN_S 0.02

static int group_of(const struct rank_entry *e)
{
	if (e->broken)
		return 3;
	if (e->crowded)
		return 2;
	return e->unknown ? 0 : 1;
}

static bool is_near(const struct rank_entry *e, double fastest_s)
{
	return e->expected_s <= NEAR_FACTOR * fastest_s + NEAR_MARGIN_S;
}

/* Is a to be asked before b? fastest_s[g]: the least expected time in group g. */
static bool before(const struct rank_entry *a, const struct rank_entry *b, const double *fastest_s)
{
	int group = group_of(a);

	if (group != group_of(b))
		return group < group_of(b);
	if (is_near(a, fastest_s[group]) != is_near(b, fastest_s[group]))
		return is_near(a, fastest_s[group]);
	if (is_near(a, fastest_s[group]) && (a->price < b->price || a->price > b->price))
		return a->price < b->price;
	return a->expected_s < b->expected_s;
}

void rank_sort(struct rank_entry *e, size_t n)
{
	double fastest_s[] = { 1e9, 1e9, 1e9, 1e9 };

	for (size_t i = 0; i < n; i++)
		fastest_s[group_of(&e[i])] = MIN(fastest_s[group_of(&e[i])], e[i].expected_s);
	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k > 0 && before(&e[k], &e[k - 1], fastest_s); k--) {
			struct rank_entry swap = e[k];

			e[k] = e[k - 1];
			e[k - 1] = swap;
		}
}
