/* SPDX-License-Identifier: Apache-2.0 */
/* Attached buckets: keys that are no names, markers, what long names become. */
#include "tests/unit/bucket_rig.h"

static void test_odd_keys(void **state)
{
	struct rig *rig = *state;
	uint64_t a;

	rig_put(rig, "a//b", "1");
	rig_put(rig, "/x", "1");
	rig_put(rig, "a/./b", "1");
	rig_put(rig, "a/../b", "1");
	rig_put(rig, "a", "12");
	rig_put(rig, "a/b", "123");
	rig_put(rig, "%~e", "1");
	rig_put(rig, "\xff\xfe", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "%~%%~e=1 %~e/ %~fa=2 a/ \xff\xfe=1 ");
	a = rig_walk(rig, "a");
	assert_string_equal(rig_ls(rig, a), "%~../ %~./ %~e/ b=3 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "a/%~e")), "b=1 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "a/%~..")), "b=1 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "%~e")), "x=1 ");
	/* each by itself as well */
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_walk(rig, "a"), a);
	assert_int_not_equal(rig_walk(rig, "%~fa"), 0);
	assert_int_not_equal(rig_walk(rig, "%~%%~e"), 0);
	assert_int_equal(rig_walk(rig, "%~f\xff\xfe"), 0); /* no directory beside it */
	assert_int_equal(rig_walk(rig, "%~m"), 0);
	assert_int_not_equal(rig_walk(rig, "a/%~./b"), 0);
}

static void test_markers(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	uint64_t number;

	rig_put(rig, "empty/", "");
	rig_put(rig, "full/", "content");
	rig_put(rig, "full/x", "1");
	rig_put(rig, "hadoop_$folder$", "");
	rig_put(rig, "both/x", "1");
	rig_put(rig, "both_$folder$", "");
	rig_put(rig, "no_$folder$", "content");
	assert_string_equal(rig_ls(rig, root(rig)),
			    "both/ empty/ full/ hadoop/ no_$folder$=7 ");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "empty")), "");
	assert_string_equal(rig_ls(rig, rig_walk(rig, "full")), "%~m=7 x=1 ");
	assert_int_equal(rig_lookup(rig, rig_walk(rig, "full"), "%~m", &e), 0);
	assert_string_equal(e.key, "full/");
	assert_false(e.is_dir);
	number = rig_walk(rig, "hadoop");
	assert_int_equal(bucket_get(rig->bucket, number, BUCKET_WAIT, &e), 0);
	assert_string_equal(e.key, "hadoop/");
	assert_true(e.is_dir);
	assert_string_equal(rig_ls(rig, number), "");
	assert_int_equal(rig_walk(rig, "hadoop_$folder$"), 0);
	/* it keeps its number when something comes into it, and when that goes (R4) */
	rig_put(rig, "hadoop/x", "1");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, root(rig)),
			    "both/ empty/ full/ hadoop/ no_$folder$=7 ");
	assert_int_equal(rig_walk(rig, "hadoop"), number);
	assert_string_equal(rig_ls(rig, number), "x=1 ");
	rig_remove(rig, "hadoop/x");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_walk(rig, "hadoop"), number);
	assert_string_equal(rig_ls(rig, number), "");
}

static void test_long_names(void **state)
{
	struct rig *rig = *state;
	_cleanup_listed_ struct listed l = { 0 };
	struct bucket_entry e;
	char key[901];

	memset(key, 'k', 900);
	key[900] = '\0';
	rig_put(rig, key, "1");
	strcpy(key + 300, "/x");
	rig_put(rig, key, "1");
	key[300] = '\0';
	rig_put(rig, key, "12");
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	assert_int_equal(l.n, 3);
	for (size_t i = 0; i < l.n; i++) {
		bucket_refresh(rig->bucket, root(rig), true);
		assert_int_equal(rig_lookup(rig, root(rig), l.name[i], &e), 0);
		assert_int_equal(e.ino, l.e[i].ino);
		assert_string_equal(e.key, l.e[i].key);
	}
	assert_string_not_equal(l.name[0], l.name[1]);
	assert_int_equal(rig_walk(rig, "%~xkkk~00"), 0);
}

struct odd_list {
	char text[4096];
};

static int on_odd(const char *path, const char *key, void *arg)
{
	struct odd_list *l = arg;
	const size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s:%s ", path, key);
	return 0;
}

static void test_odd_names(void **state)
{
	struct rig *rig = *state;
	struct odd_list l = { 0 };

	rig_put(rig, "plain/x", "1");
	rig_put(rig, "a//b", "1");
	rig_put(rig, "c", "1");
	rig_put(rig, "c/./d", "1");
	assert_int_equal(bucket_odd_names(rig->bucket, root(rig), on_odd, &l), 0);
	assert_non_null(strstr(l.text, "%~fc:c "));
	assert_non_null(strstr(l.text, "a/%~e:a// "));
	assert_non_null(strstr(l.text, "c/%~.:c/./ "));
	assert_null(strstr(l.text, "plain"));
	assert_int_equal(rig_requests(rig), 1);
}

int main(void)
{
#define test(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		test(test_odd_keys),
		test(test_markers),
		test(test_long_names),
		test(test_odd_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
