/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/estimate.h"
#include "tests/lib/cm.h"

#include <math.h>

#define assert_near(got, want, share)                                                              \
	assert_true(fabs((got) - (want)) <= (share) * (want))

static void add_reads(struct estimate *e, unsigned n, uint64_t ms, uint64_t bytes)
{
	while (n--)
		estimate_add(e, TRANSFER_READ, NS_PER_S, ms * NS_PER_MS, bytes);
}

static void quantiles_follow_what_was_seen(void **state)
{
	struct latency l = { 0 };

	assert_true(latency_quantile(&l, 0.5) <= 0);
	for (int i = 0; i < 1000; i++)
		latency_add(&l, i % 10 == 9 ? 1.0 : 0.02);
	/* The buckets are 35 % wide. */
	assert_near(latency_quantile(&l, 0.5), 0.02, 0.35);
	assert_near(latency_quantile(&l, 0.99), 1.0, 0.35);
}

static void extremes_fit(void **state)
{
	struct latency l = { 0 };

	latency_add(&l, 0);
	assert_true(latency_quantile(&l, 1) <= 100e-6);
	for (int i = 0; i < 100; i++)
		latency_add(&l, 1e9);
	assert_true(latency_quantile(&l, 0.9) >= 90);
	assert_true(isfinite(latency_quantile(&l, 1)));
}

static void the_past_fades(void **state)
{
	struct latency l = { 0 };

	for (int i = 0; i < 1000; i++)
		latency_add(&l, 1.0);
	for (int i = 0; i < 100; i++)
		latency_add(&l, 0.01);
	assert_near(latency_quantile(&l, 0.5), 0.01, 0.35);
}

static void latency_and_rate_are_told_apart(void **state)
{
	struct estimate e = { 0 };

	/* 20 ms, then 100 MB/s. */
	add_reads(&e, 50, 20, 1000);
	for (int i = 0; i < 50; i++)
		estimate_add(&e, TRANSFER_READ, NS_PER_S, 20 * NS_PER_MS + 80 * NS_PER_MS, 8000000);
	assert_near(e.rate[TRANSFER_READ], 1e8, 0.2);
	assert_near(latency_quantile(&e.latency[TRANSFER_READ], 0.5), 0.02, 0.4);
	assert_near(estimate_expected_s(&e, TRANSFER_READ, 1000000), 0.03, 0.4);
	/* Uploads are another matter. */
	assert_true(e.rate[TRANSFER_WRITE] <= 0);
}

static void only_big_bodies_tell_a_rate(void **state)
{
	struct estimate e = { 0 };

	add_reads(&e, 10, 10, 1000);
	assert_true(e.rate[TRANSFER_READ] <= 0);
	add_reads(&e, 1, 10, MiB);
	assert_true(e.rate[TRANSFER_READ] > 0);
	assert_true(isfinite(e.rate[TRANSFER_READ]));
	estimate_add(&e, TRANSFER_READ, 1, 0, MiB);
	assert_true(isfinite(e.rate[TRANSFER_READ]));
}

static void a_hedge_waits_half_a_second_to_five(void **state)
{
	struct estimate e = { 0 };

	assert_int_equal(estimate_hedge_ns(&e, 0), 500 * NS_PER_MS);
	add_reads(&e, 100, 10, 0);
	assert_int_equal(estimate_hedge_ns(&e, 0), 500 * NS_PER_MS);
	add_reads(&e, 100, 500, 0);
	assert_in_range(estimate_hedge_ns(&e, 0), 1000 * NS_PER_MS, 2500 * NS_PER_MS);
	add_reads(&e, 100, 20000, 0);
	assert_int_equal(estimate_hedge_ns(&e, 0), 5 * NS_PER_S);
}

static void a_stall_is_two_seconds_or_more_for_big_bodies(void **state)
{
	struct estimate e = { 0 };

	assert_int_equal(estimate_stall_ns(&e, TRANSFER_READ, 0), 2 * NS_PER_S);
	/* 8 MiB on an uplink of 1 MB/s take 8 s: that is no stall. */
	for (int i = 0; i < 20; i++)
		estimate_add(&e, TRANSFER_WRITE, 1, 8 * NS_PER_S, 8000000);
	assert_true(estimate_stall_ns(&e, TRANSFER_WRITE, 8000000) > 20 * NS_PER_S);
	assert_true(estimate_stall_ns(&e, TRANSFER_READ, 0) == 2 * NS_PER_S);
}

static void silence_makes_it_stale(void **state)
{
	struct estimate e = { 0 };

	assert_true(estimate_is_stale(&e, 1));
	estimate_add(&e, TRANSFER_READ, 100 * NS_PER_S, NS_PER_MS, 0);
	assert_false(estimate_is_stale(&e, 150 * NS_PER_S));
	assert_true(estimate_is_stale(&e, 161 * NS_PER_S));
	estimate_add_late(&e, TRANSFER_READ, 161 * NS_PER_S, NS_PER_S);
	assert_false(estimate_is_stale(&e, 161 * NS_PER_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_follow_what_was_seen),
		cmocka_unit_test(extremes_fit),
		cmocka_unit_test(the_past_fades),
		cmocka_unit_test(latency_and_rate_are_told_apart),
		cmocka_unit_test(only_big_bodies_tell_a_rate),
		cmocka_unit_test(a_hedge_waits_half_a_second_to_five),
		cmocka_unit_test(a_stall_is_two_seconds_or_more_for_big_bodies),
		cmocka_unit_test(silence_makes_it_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
