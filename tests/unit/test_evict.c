/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/evict.h"
#include "tests/lib/cm.h"

static void nothing_goes_below_the_high_mark(void **state)
{
	assert_int_equal(evict_excess(0, 1000), 0);
	assert_int_equal(evict_excess(950, 1000), 0);
	assert_int_equal(evict_excess(0, 0), 0);
}

static void beyond_it_the_low_mark_is_reached(void **state)
{
	assert_int_equal(evict_excess(951, 1000), 51);
	assert_int_equal(evict_excess(2000, 1000), 1100);
	assert_int_equal(evict_excess(7, 0), 7);
	assert_int_equal(evict_excess(UINT64_MAX, 1000), UINT64_MAX - 900);
}

static void the_longest_unused_go_first(void **state)
{
	struct evict_item items[] = {
		{ .used = 30, .bytes = 10 }, { .used = 10, .bytes = 5 }, { .used = 20, .bytes = 8 },
	};

	assert_int_equal(evict_choose(items, 3, 6), 2);
	assert_int_equal(items[0].used, 10);
	assert_int_equal(items[1].used, 20);
	assert_int_equal(evict_choose(items, 3, 5), 1);
	assert_int_equal(evict_choose(items, 3, 0), 0);
	assert_int_equal(evict_choose(items, 3, 1000), 3);
	assert_int_equal(evict_choose(NULL, 0, 1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_goes_below_the_high_mark),
		cmocka_unit_test(beyond_it_the_low_mark_is_reached),
		cmocka_unit_test(the_longest_unused_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
