/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/rank.h"
#include "tests/lib/cm.h"

static void check_order(struct rank_entry *entries, size_t n, const char *expected)
{
	char order[17] = "";

	for (size_t i = 0; i < n; i++)
		entries[i].store = (unsigned)i;
	rank_sort(entries, n);
	for (size_t i = 0; i < n; i++)
		order[i] = (char)('0' + entries[i].store);
	assert_string_equal(order, expected);
}
#define CHECK(expected, ...)                                                                       \
	do {                                                                                       \
		struct rank_entry entries_[] = { __VA_ARGS__ };                                    \
		check_order(entries_, ARRAY_SIZE(entries_), expected);                             \
	} while (0)

static void the_quickest_first(void **state)
{
	CHECK("201", { .expected_s = 0.2 }, { .expected_s = 0.4 }, { .expected_s = 0.01 });
	CHECK("0", { .expected_s = 1 });
	rank_sort(NULL, 0);
}

static void among_the_quick_the_cheap(void **state)
{
	/* 0.1 and 0.05 are near; 0.5 is not, though it is for nothing. */
	CHECK("102", { .expected_s = 0.05, .price = 0.09 }, { .expected_s = 0.1, .price = 0.01 },
	      { .expected_s = 0.5 });
	CHECK("10", { .expected_s = 0.010, .price = 0.09 }, { .expected_s = 0.035 });
	CHECK("01", { .expected_s = 0.05, .price = 0.09 }, { .expected_s = 0.1, .price = 0.09 });
}

static void the_broken_last_and_the_crowded_before(void **state)
{
	CHECK("210", { .expected_s = 0.01, .broken = true },
	      { .expected_s = 0.01, .crowded = true }, { .expected_s = 5 });
	CHECK("10", { .expected_s = 0.5, .broken = true }, { .expected_s = 0.1, .broken = true });
}

static void the_unknown_is_tried(void **state)
{
	CHECK("10", { .expected_s = 0.01 }, { .expected_s = 0.05, .unknown = true });
	CHECK("01", { .expected_s = 0.01 },
	      { .expected_s = 0.05, .unknown = true, .broken = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_quickest_first),
		cmocka_unit_test(among_the_quick_the_cheap),
		cmocka_unit_test(the_broken_last_and_the_crowded_before),
		cmocka_unit_test(the_unknown_is_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
