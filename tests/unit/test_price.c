/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/price.h"
#include "tests/lib/cm.h"

#include <math.h>

static bool is(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void test_list(void **state)
{
	assert_true(price_list("s3://b/p?region=x").read_gb > 0);
	assert_true(price_list("azblob://a/c").writes > 0);
	assert_true(price_list("gs://b").reads > 0);
	assert_true(is(price_list("file:///srv").read_gb, 0));
	assert_true(is(price_list("file:///srv/s3://").writes, 0));
}

/* What is configured wins, a price of nothing included. */
static void test_configured_wins(void **state)
{
	const struct prices some = {
	    .read_gb = 0, .write_gb = 7, .reads = PRICE_UNKNOWN, .writes = 3};
	struct prices p = price_complete(&prices_unknown, "s3://b"), listed = price_list("s3://b");

	assert_true(is(p.read_gb, listed.read_gb) && is(p.reads, listed.reads));
	p = price_complete(&some, "s3://b");
	assert_true(is(p.read_gb, 0) && is(p.write_gb, 7) && is(p.reads, listed.reads) &&
		    is(p.writes, 3));
}

static void test_bill(void **state)
{
	struct store_stats st = {.bytes_read = 2000000000, .bytes_written = 500000000};
	const struct prices p = {.read_gb = 0.1, .write_gb = 0.02, .reads = 1, .writes = 10};
	struct spending s;

	for (unsigned op = 0; op < STORE_OPS; op++)
		st.by_op[op] = 1000;
	s = spending_of(&st);
	assert_int_equal(s.reads, 2000);  /* get, head */
	assert_int_equal(s.writes, 7000); /* all but remove and abort */
	assert_true(is(spending_cost(&s, &p), 0.2 + 0.01 + 2 + 70));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_configured_wins),
	    cmocka_unit_test(test_bill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
