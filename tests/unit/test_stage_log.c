/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of operations: found again, taken over in one step, counted for people. */
#include "cache/stage_log.h"
#include "tests/unit/stage_rig.h"

#include <dirent.h>

static struct stage_log *open_log(char author)
{
	uint8_t id[STAGE_AUTHOR_SIZE];
	struct stage_log *l;

	memset(id, author, sizeof(id));
	assert_int_equal(stage_log_open(folder, id, &l), 0);
	return l;
}

static int add(struct stage_log *l, uint64_t first, uint64_t last, uint64_t done)
{
	const struct stage_batch b = {
		.first = first, .last = last, .done = done, .time_ns = first
	};
	char body[32];

	snprintf(body, sizeof(body), "%lu-%lu", first, last);
	return stage_log_add(l, &b, span_str(body));
}

/* "x1-3 x4-4 " */
static int describe(const struct stage_batch *b, struct span body, void *arg)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "%lu-%lu", b->first, b->last);
	assert_true(span_equal(body, span_str(expected)));
	return buf_addf(arg, "%c%s ", b->author[0], expected);
}

static void expect_left(char reader, const char *what)
{
	struct stage_log *l = open_log(reader);
	_cleanup_buf_ struct buf text = BUF_INIT(4096);

	assert_int_equal(stage_log_left(l, describe, &text), 0);
	assert_string_equal(buf_str(&text), what);
	stage_log_close(l);
}

static unsigned files(void)
{
	DIR *d = opendir(folder);
	unsigned n = 0;

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void what_was_added_is_found_by_the_next(void **state)
{
	struct stage_log *l = open_log('x');

	assert_int_equal(add(l, 1, 3, 0), 0);
	assert_int_equal(add(l, 4, 4, 0), 0);
	assert_int_equal(stage_log_sync(l), 0);
	stage_log_close(l);
	expect_left('y', "x1-3 x4-4 ");
}

static void what_is_done_goes(void **state)
{
	struct stage_log *l = open_log('x');

	assert_int_equal(add(l, 1, 3, 0), 0);
	stage_log_done(l, 2);
	assert_int_equal(files(), 1);
	stage_log_done(l, 3);
	assert_int_equal(files(), 0);
	assert_int_equal(add(l, 4, 5, 3), 0); /* and it goes on */
	assert_int_equal(stage_log_sync(l), 0);
	stage_log_close(l);
	expect_left('y', "x4-5 ");
}

static void a_failed_file_is_followed_by_another(void **state)
{
	struct stage_log *l = open_log('x');

	assert_int_equal(add(l, 1, 1, 0), 0);
	disk_fault_sync(1, 0, EIO);
	assert_int_equal(stage_log_sync(l), -EIO);
	assert_int_equal(add(l, 1, 2, 0), 0); /* everything again */
	assert_int_equal(stage_log_sync(l), 0);
	assert_int_equal(files(), 2);
	stage_log_close(l);
	expect_left('y', "x1-1 x1-2 ");
}

static void take(struct stage_log *l)
{
	assert_int_equal(stage_log_take_begin(l), 0);
	assert_int_equal(add(l, 10, 12, 0), 0);
	assert_int_equal(stage_log_take_end(l), 0);
}

static void a_takeover_replaces(void **state)
{
	struct stage_log *l = open_log('x');

	assert_int_equal(add(l, 1, 3, 0), 0);
	stage_log_close(l);
	l = open_log('y');
	take(l);
	assert_int_equal(files(), 1);
	assert_int_equal(add(l, 13, 13, 0), 0);
	stage_log_close(l);
	expect_left('z', "y10-12 y13-13 ");
}

/* Before its end nothing has changed. */
static void an_unfinished_takeover_is_none(void **state)
{
	struct stage_log *l = open_log('x');

	assert_int_equal(add(l, 1, 3, 0), 0);
	stage_log_close(l);
	l = open_log('y');
	assert_int_equal(stage_log_take_begin(l), 0);
	assert_int_equal(add(l, 10, 12, 0), 0);
	stage_log_close(l);
	expect_left('z', "x1-3 ");
	assert_int_equal(files(), 1);

	l = open_log('y');
	assert_int_equal(stage_log_take_begin(l), 0);
	disk_fault_sync(1, 0, EIO);
	assert_int_equal(stage_log_take_end(l), -EIO);
	stage_log_close(l);
	expect_left('z', "x1-3 ");
}

/* A crash between the appearance of the new file and the end of the old one. */
static void who_was_replaced_does_not_come_back(void **state)
{
	char old[TMPDIR_MAX + 64] = "", keep[TMPDIR_MAX + 64];
	struct stage_log *l = open_log('x');
	DIR *d;

	assert_int_equal(add(l, 1, 3, 0), 0);
	assert_int_equal(stage_log_sync(l), 0);
	stage_log_close(l);
	d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] == 'o')
			snprintf(old, sizeof(old), "%s/%.40s%s", folder, e->d_name,
				 e->d_name + MIN(strlen(e->d_name), (size_t)40));
	closedir(d);
	snprintf(keep, sizeof(keep), "%s/keep", folder);
	assert_int_equal(link(old, keep), 0);
	l = open_log('y');
	take(l);
	stage_log_close(l);
	assert_int_equal(rename(keep, old), 0);
	expect_left('z', "y10-12 ");
	assert_int_equal(files(), 1);
}

static void people_see_what_waits(void **state)
{
	struct stage_log *l = open_log('x');
	struct stage_log_stats st;

	assert_int_equal(stage_log_look(folder, &st), 0);
	assert_true(st.operations == 0 && st.oldest_ns == 0);
	assert_int_equal(add(l, 1, 10, 0), 0);
	assert_int_equal(add(l, 5, 12, 0), 0); /* some of them again */
	assert_int_equal(stage_log_look(folder, &st), 0);
	assert_true(st.operations == 12 && st.oldest_ns == 1);
	assert_int_equal(add(l, 13, 13, 11), 0);
	assert_int_equal(stage_log_look(folder, &st), 0);
	assert_int_equal(st.operations, 2);
	assert_int_equal(add(l, 14, 14, 13), 0);
	assert_int_equal(stage_log_look(folder, &st), 0);
	assert_true(st.operations == 1 && st.oldest_ns == 14);
	stage_log_close(l);
	assert_int_equal(stage_log_look("/nonexistent", &st), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_added_is_found_by_the_next, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(what_is_done_goes, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_failed_file_is_followed_by_another, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_takeover_replaces, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(an_unfinished_takeover_is_none, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(who_was_replaced_does_not_come_back, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(people_see_what_waits, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
