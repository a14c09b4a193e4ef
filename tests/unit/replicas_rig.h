/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Three scripted stores behind one set of replicas, and a recorder of what it reports. */
#include "backends/replicas.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_scripted.h"

enum { A = 1, B = 2, C = 4, ALL = 7, N = 3 };

/* Long enough for the slowest machine; nothing in a test that passes takes it. */
#define PATIENCE (30 * NS_PER_S)

struct rig {
	struct replicas *replicas;
	struct store *store[N]; /* borrowed */
	struct {
		struct lock lock;
		unsigned ok[N], lost[N];
		unsigned down[N], healthy[N];
	} seen;
};

static inline uint64_t soon(uint64_t ms)
{
	return clock_now() + ms * NS_PER_MS;
}

static inline void rig_changed(unsigned store, enum replica_state state, void *arg)
{
	struct rig *rig = arg;

	LOCK_SCOPE(&rig->seen.lock);
	rig->seen.down[store] += state == REPLICA_DOWN;
	rig->seen.healthy[store] += state == REPLICA_HEALTHY;
}

static inline void rig_stored(struct span name, unsigned store, bool ok, void *arg)
{
	struct rig *rig = arg;

	LOCK_SCOPE(&rig->seen.lock);
	if (ok)
		rig->seen.ok[store]++;
	else
		rig->seen.lost[store]++;
}

/* All stores are known and equally fast; the first is the cheapest, so it is asked first. */
static inline struct rig *rig_new(const struct replicas_options *opts)
{
	static const char *const names[N] = { "a", "b", "c" };
	struct rig *rig = calloc(1, sizeof(*rig));

	lock_init(&rig->seen.lock, RANK_LEAF);
	assert_int_equal(replicas_new(opts, &rig->replicas), 0);
	for (int i = 0; i < N; i++) {
		rig->store[i] = scripted_new(names[i]);
		assert_int_equal(replicas_add(rig->replicas, rig->store[i],
					      &(struct replica_options){ .read_price = i }), i);
		for (int k = 0; k < 3; k++)
			replicas_observe(rig->replicas, i, 0, 10 * NS_PER_MS, 0);
	}
	replicas_on_change(rig->replicas, rig_changed, rig);
	return rig;
}

static inline void rig_free(struct rig *rig)
{
	replicas_free(rig->replicas);
	lock_release(&rig->seen.lock);
	free(rig);
}

static inline int rig_setup(void **state)
{
	*state = rig_new(NULL);
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static inline void rig_add(struct rig *rig, unsigned stores, const char *name,
				  const char *content)
{
	for (int i = 0; i < N; i++)
		if (stores >> i & 1)
			scripted_add(rig->store[i], name, content);
}

/* Waits for what another task brings about. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t until_ = clock_now() + PATIENCE;                                          \
		while (!(condition) && clock_now() < until_)                                       \
			sleep_for(5 * NS_PER_MS);                                                  \
		assert_true(condition);                                                            \
	} while (0)

static inline unsigned rig_read(struct rig *rig, const unsigned *counter)
{
	LOCK_SCOPE(&rig->seen.lock);
	return *counter;
}

static const struct scripted_rule hangs = { .hangs = true };
static const struct scripted_rule silent = { .result = -EAGAIN, .silent = true };

/* Nothing answers there: three silent reads open its breaker. */
static inline void rig_break(struct rig *rig, unsigned i)
{
	scripted_all(rig->store[i], &silent);
	for (int k = 0; k < 3; k++)
		replicas_observe(rig->replicas, i, -ETIMEDOUT, 0, 0);
	assert_false(replicas_up(rig->replicas) >> i & 1);
}
