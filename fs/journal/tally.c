/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/tally.h"

#include "base/plant.h"

void tally_init(struct tally *t, unsigned n_stores, const uint8_t owner[INCARNATION_BYTES],
		const uint8_t prev[RECORD_HASH_SIZE])
{
	*t = (struct tally){ .majority = n_stores / 2 + 1 };
	memcpy(t->owner, owner, INCARNATION_BYTES);
	memcpy(t->prev, prev, RECORD_HASH_SIZE);
}

void tally_release(struct tally *t)
{
	for (size_t i = 0; i < t->n_accepts; i++)
		blob_unref(t->accepts[i].record);
	free(t->accepts);
	t->accepts = NULL;
	t->n_accepts = 0;
}

static bool hash_equal(const uint8_t a[RECORD_HASH_SIZE], const uint8_t b[RECORD_HASH_SIZE])
{
	return memcmp(a, b, RECORD_HASH_SIZE) == 0;
}

static struct tally_accept *accept_find(struct tally *t, const struct link *l)
{
	for (size_t i = 0; i < t->n_accepts; i++) {
		struct tally_accept *a = &t->accepts[i];

		if (ballot_compare(&a->ballot, &l->accepted) == 0)
			return a;
		if (plant(PLANT_COUNT_ANY) && hash_equal(a->hash, l->hash))
			return a;
	}
	return NULL;
}

static int accept_add(struct tally *t, unsigned store, const struct link *l)
{
	struct tally_accept *a = reallocarray(t->accepts, t->n_accepts + 1, sizeof(*a));

	if (!a)
		return fail(-ENOMEM);
	t->accepts = a;
	a += t->n_accepts++;
	*a = (struct tally_accept){ .ballot = l->accepted, .stores = 1ull << store };
	memcpy(a->hash, l->hash, RECORD_HASH_SIZE);
	a->record = blob_ref(l->record);
	return 0;
}

int tally_see(struct tally *t, unsigned store, const struct link *l)
{
	struct tally_accept *a;

	if (!hash_equal(l->prev, t->prev))
		t->conflict = true;
	if (!l->decided)
		t->round = MAX(t->round, l->promised.round);
	if (!l->record)
		return 0;
	if (l->accepted.round == 0 &&
	    (incarnation_none(t->owner) || !incarnation_equal(l->accepted.incarnation, t->owner)))
		t->conflict = true;
	if (l->decided) {
		t->conflict |= t->decided && !hash_equal(t->decision, l->hash);
		t->decided = true;
		memcpy(t->decision, l->hash, RECORD_HASH_SIZE);
	}
	t->accepted |= 1ull << store;
	a = accept_find(t, l);
	if (!a)
		return accept_add(t, store, l);
	t->conflict |= !hash_equal(a->hash, l->hash);
	a->stores |= 1ull << store;
	return 0;
}

void tally_complete(struct tally *t, unsigned store)
{
	t->complete |= 1ull << store;
}

void tally_name(struct tally *t, const uint8_t hash[RECORD_HASH_SIZE])
{
	t->conflict |= t->named && !hash_equal(t->name, hash);
	t->named = true;
	memcpy(t->name, hash, RECORD_HASH_SIZE);
}

/* (T1) */
static bool accept_chosen(const struct tally *t, const struct tally_accept *a)
{
	return (unsigned)__builtin_popcountll(a->stores) >= t->majority ||
	       (t->decided && hash_equal(a->hash, t->decision)) ||
	       (t->named && hash_equal(a->hash, t->name));
}

enum tally_verdict tally_verdict(const struct tally *t, const struct tally_accept **ret)
{
	const unsigned empty = (unsigned)__builtin_popcountll(t->complete & ~t->accepted);

	if (t->conflict)
		return TALLY_CONFLICT;
	for (size_t i = 0; i < t->n_accepts; i++) {
		if (!accept_chosen(t, &t->accepts[i]))
			continue;
		*ret = &t->accepts[i];
		return TALLY_CHOSEN;
	}
	if (t->named || t->decided) /* chosen, and whoever has it is away */
		return TALLY_OPEN;
	if (empty >= (plant(PLANT_ONE_STORE) ? 1 : t->majority)) /* (T2) */
		return TALLY_NOTHING;
	return TALLY_OPEN;
}
