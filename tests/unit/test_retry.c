/* SPDX-License-Identifier: Apache-2.0 */
/* Retry classes and delays, and the counting of copies. */
#include "backends/quorum.h"
#include "backends/retry.h"
#include "backends/store.h"
#include "tests/lib/cm.h"

static void classes(void **state)
{
	static const struct {
		int result;
		enum retry get, put;
	} table[] = {
		{ 0, RETRY_DONE, RETRY_DONE },
		{ STORE_MISSING, RETRY_DONE, RETRY_NEVER },
		{ STORE_RANGE, RETRY_DONE, RETRY_NEVER },
		{ STORE_EXISTS, RETRY_NEVER, RETRY_DONE },
		{ STORE_UNKNOWN, RETRY_LATER, RETRY_LATER },
		{ -EAGAIN, RETRY_LATER, RETRY_LATER },
		{ -ETIMEDOUT, RETRY_LATER, RETRY_LATER },
		{ -ENOMEM, RETRY_LATER, RETRY_LATER },
		{ -EIO, RETRY_NEVER, RETRY_NEVER },
		{ -EACCES, RETRY_NEVER, RETRY_NEVER },
		{ -ENOSPC, RETRY_NEVER, RETRY_NEVER },
		{ -EINVAL, RETRY_NEVER, RETRY_NEVER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(retry_get_class(table[i].result), table[i].get);
		assert_int_equal(retry_put_class(table[i].result), table[i].put);
	}
}

static void delays_double_and_are_random(void **state)
{
	static const uint64_t most_ms[] = { 100,  100,	200,  400,   800,
					    1600, 3200, 6400, 10000, 10000 };

	for (unsigned n = 0; n < ARRAY_SIZE(most_ms); n++) {
		uint64_t most = most_ms[n] * NS_PER_MS;

		assert_int_equal(retry_delay_ns(n, 0, most), most);
		assert_int_equal(retry_delay_ns(n, 0, most / 2), most / 2);
		assert_int_equal(retry_delay_ns(n, 0, most + 1), 10 * NS_PER_MS);
		assert_in_range(retry_delay_ns(n, 0, UINT64_MAX), 10 * NS_PER_MS, most);
	}
	assert_int_equal(retry_delay_ns(1000000, 0, 10 * NS_PER_S), 10 * NS_PER_S);
}

static void the_store_may_ask_for_more(void **state)
{
	assert_int_equal(retry_delay_ns(1, 3000, 0), 3 * NS_PER_S);
	assert_int_equal(retry_delay_ns(1, 1, 50 * NS_PER_MS), 50 * NS_PER_MS);
	assert_int_equal(retry_delay_ns(1, UINT64_MAX, 0), 120 * NS_PER_S);
}

static void quorums(void **state)
{
	static const struct {
		uint64_t have, hopeful;
		unsigned enough;
		enum quorum state;
	} table[] = {
		{ 0, 0, 0, QUORUM_WON },
		{ 0, 7, 2, QUORUM_WAIT },
		{ 1, 2, 2, QUORUM_WAIT },
		{ 5, 2, 2, QUORUM_WON },
		{ 1, 0, 2, QUORUM_LOST },
		{ 1, 1, 2, QUORUM_LOST },
		{ 0x8000, 0x4000, 2, QUORUM_WAIT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(quorum_state(table[i].have, table[i].hopeful, table[i].enough),
				 table[i].state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(delays_double_and_are_random),
		cmocka_unit_test(the_store_may_ask_for_more),
		cmocka_unit_test(quorums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
