/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/ahead.h"

#include "tests/lib/cm.h"

#define SIZE (1ull << 30)
#define MAX_WINDOW (32 * MiB)

static bool note(struct ahead *a, uint64_t off, uint64_t len, uint64_t *from, uint64_t *to)
{
	return ahead_note(a, off, len, SIZE, MAX_WINDOW, from, to);
}

/* Reads n steps of 128 KiB from `at`; answers the bytes asked for in advance. */
static uint64_t stream(struct ahead *a, uint64_t *at, unsigned n)
{
	uint64_t asked = 0, from, to;

	for (unsigned i = 0; i < n; i++, *at += 128 * KiB)
		if (note(a, *at, 128 * KiB, &from, &to)) {
			assert_true(from >= *at + 128 * KiB);
			assert_true(to - *at <= MAX_WINDOW + 128 * KiB);
			asked += to - from;
		}
	return asked;
}

static void test_sequential(void **state)
{
	struct ahead a = { 0 };
	uint64_t at = 0;

	assert_true(stream(&a, &at, 1024) >= at - 128 * KiB);
	/* Nothing is asked for twice: what was asked reaches no farther than one window ahead. */
	struct ahead b = { 0 };
	uint64_t pos = 0;

	assert_true(stream(&b, &pos, 1024) <= pos + MAX_WINDOW);
}

static void test_random_reads_ask_for_nothing(void **state)
{
	struct ahead a = { 0 };
	unsigned seed = 7;
	uint64_t from, to, asked = 0;

	for (int i = 0; i < 200; i++) {
		const uint64_t off = 8 * MiB + ((uint64_t)rand_r(&seed) % 60) * 16 * MiB +
				     (uint64_t)i * 4096;

		if (note(&a, off, 4096, &from, &to))
			asked++;
	}
	assert_true(asked < 100);
}

static void test_interleaved_streams(void **state)
{
	struct ahead a = { 0 };
	uint64_t at[4] = { 0, 200 * MiB, 400 * MiB, 600 * MiB }, asked[4] = { 0 };

	for (int round = 0; round < 200; round++)
		for (int i = 0; i < 4; i++)
			asked[i] += stream(&a, &at[i], 1);
	for (int i = 0; i < 4; i++)
		assert_true(asked[i] >= 20 * MiB);
}

/* The kernel's own read-ahead sends requests a little out of order. */
static void test_slightly_out_of_order(void **state)
{
	struct ahead a = { 0 };
	uint64_t asked = 0, from, to;

	for (uint64_t at = 0; at < 64 * MiB; at += 256 * KiB) {
		if (note(&a, at + 128 * KiB, 128 * KiB, &from, &to))
			asked += to - from;
		if (note(&a, at, 128 * KiB, &from, &to))
			asked += to - from;
	}
	assert_true(asked >= 60 * MiB);
	assert_true(asked <= 64 * MiB + MAX_WINDOW);
}

static void test_stops_at_the_end(void **state)
{
	struct ahead a = { 0 };
	uint64_t from, to;

	for (uint64_t at = 0; at < 4 * MiB; at += 128 * KiB)
		if (ahead_note(&a, at, 128 * KiB, 4 * MiB, MAX_WINDOW, &from, &to))
			assert_true(to <= 4 * MiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_random_reads_ask_for_nothing),
		cmocka_unit_test(test_interleaved_streams),
		cmocka_unit_test(test_slightly_out_of_order),
		cmocka_unit_test(test_stops_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
