/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/map.h"
#include "tests/lib/cm.h"

#include <stdio.h>

static void test_order_and_deletions(void **state)
{
	_cleanup_(map_freep) struct map *m = map_new();
	struct map_entry e;
	struct span value;
	bool gone;

	assert_non_null(m);
	assert_false(map_seek(m, SPAN_NULL, false, &e));
	assert_int_equal(map_put(m, span_str("b"), span_str("2"), false), 0);
	assert_int_equal(map_put(m, span_str("a"), span_str("1"), false), 0);
	assert_int_equal(map_put(m, span_str("ab"), span_str("ignored"), true), 0);
	assert_int_equal(map_put(m, SPAN_NULL, SPAN_NULL, false), 0);
	assert_int_equal(map_count(m), 4);
	assert_int_equal(map_bytes(m), 6);

	assert_true(map_seek(m, SPAN_NULL, false, &e));
	assert_int_equal(e.key.len, 0);
	assert_true(map_seek(m, SPAN_NULL, true, &e));
	assert_span_str(e.key, "a");
	assert_true(map_seek(m, e.key, true, &e));
	assert_span_str(e.key, "ab");
	assert_true(e.gone);
	assert_int_equal(e.value.len, 0);
	assert_true(map_seek(m, span_str("aa"), false, &e));
	assert_span_str(e.key, "ab");
	assert_false(map_seek(m, span_str("b"), true, &e));

	assert_true(map_get(m, span_str("ab"), &value, &gone));
	assert_true(gone);
	map_erase(m, span_str("ab"));
	map_erase(m, span_str("ab"));
	assert_false(map_get(m, span_str("ab"), &value, &gone));
	map_clear(m);
	assert_int_equal(map_count(m), 0);
	assert_int_equal(map_bytes(m), 0);
}

static void test_values_grow_and_shrink(void **state)
{
	_cleanup_(map_freep) struct map *m = map_new();
	uint8_t big[1000];
	struct span value;
	bool gone;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i;
	for (int round = 0; round < 3; round++) {
		for (size_t len = 0; len <= sizeof(big); len += 100) {
			size_t size = round == 1 ? sizeof(big) - len : len;

			assert_int_equal(map_put(m, span_str("k"), span_of(big, size), false), 0);
			assert_true(map_get(m, span_str("k"), &value, &gone));
			assert_true(span_equal(value, span_of(big, size)));
			assert_int_equal(map_bytes(m), 1 + size);
		}
	}
	/* From a part of itself. */
	assert_true(map_get(m, span_str("k"), &value, &gone));
	assert_int_equal(map_put(m, span_str("k"), span_sub(value, 300, 50), false), 0);
	assert_true(map_get(m, span_str("k"), &value, &gone));
	assert_true(span_equal(value, span_of(big + 300, 50)));
}

/* The model: a sorted array. */
struct model_entry {
	char key[12];
	unsigned value;
	bool gone;
};
static struct model_entry model[2000];
static size_t model_count;

static size_t model_find(const char *key, bool *ret_there)
{
	size_t i = 0;

	while (i < model_count && strcmp(model[i].key, key) < 0)
		i++;
	*ret_there = i < model_count && strcmp(model[i].key, key) == 0;
	return i;
}

static void model_put(const char *key, unsigned value, bool gone)
{
	bool there;
	size_t i = model_find(key, &there);

	if (!there) {
		memmove(&model[i + 1], &model[i], (model_count - i) * sizeof(model[0]));
		model_count++;
	}
	strcpy(model[i].key, key);
	model[i].value = value;
	model[i].gone = gone;
}

static void model_erase(const char *key)
{
	bool there;
	size_t i = model_find(key, &there);

	if (there)
		memmove(&model[i], &model[i + 1], (--model_count - i) * sizeof(model[0]));
}

static void check_entry(const struct map_entry *e, const struct model_entry *want)
{
	unsigned v;

	assert_span_str(e->key, want->key);
	assert_int_equal(e->gone, want->gone);
	if (e->gone)
		return;
	assert_int_equal(e->value.len, sizeof(v) + want->value % 40);
	memcpy(&v, e->value.data, sizeof(v));
	assert_int_equal(v, want->value);
}

static void check_all(const struct map *m)
{
	struct map_entry e = { .key = SPAN_NULL };

	for (size_t i = 0; i < model_count; i++) {
		assert_true(map_seek(m, e.key, i > 0, &e));
		check_entry(&e, &model[i]);
	}
	assert_false(map_seek(m, e.key, model_count > 0, &e));
	assert_int_equal(map_count(m), model_count);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return *seed >> 33;
}

static void random_step(struct map *m, uint64_t *seed, unsigned n_keys)
{
	unsigned what = next_random(seed) % 10, v = next_random(seed);
	uint8_t value[sizeof(v) + 40] = { 0 };
	struct map_entry e;
	char key[12];
	bool there;
	size_t i;

	snprintf(key, sizeof(key), "%u", next_random(seed) % n_keys);
	memcpy(value, &v, sizeof(v));
	if (what < 5) {
		assert_int_equal(
			map_put(m, span_str(key), span_of(value, sizeof(v) + v % 40), what == 4),
			0);
		model_put(key, v, what == 4);
	} else if (what < 8) {
		map_erase(m, span_str(key));
		model_erase(key);
	} else {
		i = model_find(key, &there);
		if (what == 9 && there)
			i++;
		assert_int_equal(map_seek(m, span_str(key), what == 9, &e), i < model_count);
		if (i < model_count)
			check_entry(&e, &model[i]);
	}
}

static void test_against_a_sorted_array(void **state)
{
	for (uint64_t round = 1; round <= 30; round++) {
		_cleanup_(map_freep) struct map *m = map_new();
		uint64_t seed = round;

		model_count = 0;
		for (int i = 0; i < 3000; i++) {
			random_step(m, &seed, round * 50);
			if (i % 500 == 0)
				check_all(m);
		}
		check_all(m);
		while (model_count) {
			size_t i = next_random(&seed) % model_count;

			map_erase(m, span_str(model[i].key));
			model_erase(model[i].key);
		}
		check_all(m);
		assert_int_equal(map_bytes(m), 0);
	}
}

/* In the worst order for a tree without balance, which would be too deep for the recursion. */
static void test_sorted_input(void **state)
{
	_cleanup_(map_freep) struct map *m = map_new();
	uint8_t key[4];

	for (uint32_t i = 0; i < 300000; i++) {
		for (int b = 0; b < 4; b++)
			key[b] = i >> (24 - 8 * b);
		assert_int_equal(map_put(m, span_of(key, 4), SPAN_NULL, false), 0);
	}
	assert_int_equal(map_count(m), 300000);
	for (uint32_t i = 0; i < 300000; i += 2) {
		for (int b = 0; b < 4; b++)
			key[b] = i >> (24 - 8 * b);
		map_erase(m, span_of(key, 4));
	}
	assert_int_equal(map_count(m), 150000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_deletions),
		cmocka_unit_test(test_values_grow_and_shrink),
		cmocka_unit_test(test_against_a_sorted_array),
		cmocka_unit_test(test_sorted_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
