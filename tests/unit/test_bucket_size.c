/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets of 100,000 keys: how many requests it takes to see all of them. */
#include "tests/unit/bucket_rig.h"

static void test_a_big_directory(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };
	struct bucket_status st;

	rig_put_many(rig, "img%06u.jpg", 100000);
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 100000);
	assert_true(rig->side[0].lists <= 130);
	bucket_status_get(rig->bucket, &st);
	assert_int_equal(st.files, 100000);
	assert_int_equal(st.bytes, 100000);
	assert_int_equal(st.lists, rig->side[0].lists);
	/* again, with one that went and one that came: nothing else is written anew */
	rig_remove(rig, "img050000.jpg");
	rig_put(rig, "img050000.png", "12");
	bucket_refresh(rig->bucket, root(rig), false);
	listed_release(&l);
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 100000);
	bucket_status_get(rig->bucket, &st);
	assert_int_equal(st.bytes, 100001);
}

static void check_find(struct rig *rig, size_t keys, const char *what)
{
	const unsigned raw = (unsigned)((keys + 999) / 1000);

	assert_int_equal(rig_find(rig, root(rig)), keys);
	print_message("%s: %u requests, flat %u\n", what, rig_requests(rig), raw);
	assert_int_equal(rig->side[0].heads, 0);
	assert_true(rig->side[0].lists <= raw + raw * 3 / 10);
	assert_int_equal(rig_find(rig, root(rig)), keys);
	assert_true(rig->side[0].lists <= raw + raw * 3 / 10); /* the second time: none */
}

static void put_tree(struct rig *rig, unsigned a, unsigned b, unsigned c)
{
	char key[64];

	for (unsigned i = 0; i < a; i++)
		for (unsigned k = 0; k < b; k++)
			for (unsigned n = 0; n < c; n++) {
				snprintf(key, sizeof(key), "d%03u/e%03u/f%05u", i, k, n);
				rig_put(rig, key, "1");
			}
}

static void test_find_in_small_directories(void **state)
{
	put_tree(*state, 100, 100, 10);
	check_find(*state, 100000, "100 x 100 x 10");
}

static void test_find_in_middling_directories(void **state)
{
	put_tree(*state, 10, 100, 100);
	check_find(*state, 100000, "10 x 100 x 100");
}

static void test_find_in_large_directories(void **state)
{
	put_tree(*state, 2, 5, 10000);
	check_find(*state, 100000, "2 x 5 x 10000");
}

/* As Azure: what was read is read again at most once. */
static void test_find_where_nothing_starts_after(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	rig->starts_nowhere = true;
	rig_open(rig);
	put_tree(rig, 10, 100, 20);
	assert_int_equal(rig_find(rig, root(rig)), 20000);
	print_message("not starting after a name: %u requests, flat 20\n", rig_requests(rig));
	assert_true(rig->side[0].lists <= 40);
	assert_int_equal(rig->side[0].heads, 0);
}

int main(void)
{
#define test(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		test(test_a_big_directory),
		test(test_find_in_small_directories),
		test(test_find_in_middling_directories),
		test(test_find_in_large_directories),
		test(test_find_where_nothing_starts_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
