/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that wait on the disk: what is found again, what a failing disk costs, what goes. */
#include "cache/stage.h"
#include "tests/unit/stage_rig.h"

#include <dirent.h>

#define LIMIT (1ull << 30)

static struct stage *open_stage(uint64_t limit)
{
	struct stage *s;

	assert_int_equal(stage_open(folder, limit, &s), 0);
	return s;
}

static void id_of(unsigned n, uint8_t ret[STAGE_ID_SIZE])
{
	memset(ret, 0, STAGE_ID_SIZE);
	ret[3] = (uint8_t)n;
	ret[4] = (uint8_t)(n >> 8);
}

static struct blob *body_of(unsigned n, size_t len)
{
	struct blob *b = blob_new(len);

	assert_non_null(b);
	for (size_t i = 0; i < len; i++)
		blob_bytes(b)[i] = (uint8_t)(n * 31 + i);
	return b;
}

static int add(struct stage *s, unsigned n, size_t len)
{
	struct blob *b = body_of(n, len);
	uint8_t id[STAGE_ID_SIZE];
	int r;

	id_of(n, id);
	r = stage_add(s, id, span_str("head"), b);
	blob_unref(b);
	return r;
}

static void expect(struct stage *s, unsigned n, size_t len)
{
	struct blob *want = body_of(n, len), *got;
	_cleanup_buf_ struct buf part = BUF_INIT(len);
	uint8_t id[STAGE_ID_SIZE];

	id_of(n, id);
	assert_int_equal(stage_get(s, id, &got), 0);
	assert_true(span_equal(blob_span(want), blob_span(got)));
	assert_int_equal(stage_read(s, id, len / 3, len / 3, &part), 0);
	assert_true(span_equal(buf_span(&part), span_sub(blob_span(want), len / 3, len / 3)));
	blob_unref(want);
	blob_unref(got);
}

static void drop(struct stage *s, unsigned n)
{
	uint8_t id[STAGE_ID_SIZE];

	id_of(n, id);
	stage_drop(s, id);
	assert_false(stage_has(s, id));
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

static void what_was_added_is_found_again(void **state)
{
	struct stage *s = open_stage(LIMIT);
	struct stage_stats st;

	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(add(s, n, 100 + 1000 * n), 0);
	expect(s, 7, 7100); /* unsynced, from memory */
	assert_int_equal(stage_sync(s), 0);
	expect(s, 7, 7100);
	drop(s, 3);
	stage_close(s);
	s = open_stage(LIMIT);
	stage_stats_get(s, &st);
	assert_int_equal(st.objects, 20); /* a file is removed whole or not at all */
	for (unsigned n = 0; n < 20; n++)
		expect(s, n, 100 + 1000 * n);
	stage_close(s);
}

static void files_go_with_their_last_object(void **state)
{
	struct stage *s = open_stage(LIMIT);

	for (unsigned n = 0; n < 12; n++) /* beyond one file */
		assert_int_equal(add(s, n, 8 << 20), 0);
	assert_int_equal(stage_sync(s), 0);
	assert_int_equal(files(), 2);
	for (unsigned n = 0; n < 8; n++)
		drop(s, n);
	assert_int_equal(files(), 1);
	for (unsigned n = 8; n < 12; n++)
		drop(s, n);
	assert_int_equal(files(), 0);
	stage_close(s);
}

static void nothing_beyond_the_limit(void **state)
{
	struct stage *s = open_stage(3000);

	assert_int_equal(add(s, 1, 1000), 0);
	assert_int_equal(add(s, 2, 1000), 0);
	assert_int_equal(add(s, 3, 1000), -ENOSPC);
	expect(s, 2, 1000);
	stage_close(s);
	assert_int_equal(stage_open(folder, 0, &s), 0); /* what is there counts, and stays */
	expect(s, 2, 1000);
	stage_close(s);
}

/* The file of a failed sync is never believed: what was in it is in another one. */
static void a_failed_sync_is_written_again(void **state)
{
	struct stage *s = open_stage(LIMIT);
	char name[TMPDIR_MAX + 32];

	assert_int_equal(add(s, 1, 1000), 0);
	assert_int_equal(stage_sync(s), 0);
	assert_int_equal(add(s, 2, 2000), 0);
	assert_int_equal(add(s, 3, 3000), 0);
	disk_fault_sync(1, 0, EIO);
	assert_int_equal(stage_sync(s), 0);
	assert_int_equal(files(), 2);
	stage_close(s);

	/* even if nothing of them is left in the first one */
	snprintf(name, sizeof(name), "%s/c-%016x", folder, 0);
	assert_int_equal(truncate(name, 8), 0);
	s = open_stage(LIMIT);
	expect(s, 2, 2000);
	expect(s, 3, 3000);
	stage_close(s);
}

static void a_disk_that_fails_for_good_is_an_error(void **state)
{
	struct stage *s = open_stage(LIMIT);

	assert_int_equal(add(s, 1, 1000), 0);
	disk_fault_sync(1, 100, EIO);
	assert_int_equal(stage_sync(s), -EIO);
	expect(s, 1, 1000); /* from memory */
	disk_fault_sync(0, 0, 0);
	assert_int_equal(stage_sync(s), 0);
	stage_close(s);
	s = open_stage(LIMIT);
	expect(s, 1, 1000);
	stage_close(s);
}

/* Every write of a run fails once, in the middle: what was synced is found again. */
static void every_write_fails_once(void **state)
{
	for (unsigned fault = 1; fault <= 8; fault++) {
		struct stage *s;
		bool promised[4];

		tmpdir_remove(folder);
		tmpdir_make(folder);
		s = open_stage(LIMIT);
		disk_fault_write(fault, 50, ENOSPC);
		for (unsigned n = 0; n < 4; n++) {
			const int r = add(s, n, 500);

			assert_true(r == 0 || r == -ENOSPC);
			promised[n] = r == 0 && stage_sync(s) == 0;
		}
		disk_fault_write(0, 0, 0);
		stage_close(s);
		s = open_stage(LIMIT);
		for (unsigned n = 0; n < 4; n++)
			if (promised[n])
				expect(s, n, 500);
		stage_close(s);
	}
}

static int count(const uint8_t id[STAGE_ID_SIZE], struct span head, uint64_t bytes, void *arg)
{
	assert_true(span_equal(head, span_str("head")));
	return (++*(unsigned *)arg) == 2 ? 77 : 0;
}

static void it_can_be_walked_and_looked_at(void **state)
{
	struct stage *s = open_stage(LIMIT);
	struct stage_stats st;
	unsigned n = 0;

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(add(s, i, 100), 0);
	assert_int_equal(stage_walk(s, count, &n), 77);
	assert_int_equal(stage_look(folder, &st), 0); /* beside who has it open */
	assert_true(st.objects == 5 && st.bytes == 500 && st.lost_bytes == 0);
	assert_int_equal(stage_look("/nonexistent", &st), -ENOENT);
	stage_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_added_is_found_again, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(files_go_with_their_last_object, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(nothing_beyond_the_limit, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_failed_sync_is_written_again, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_for_good_is_an_error,
						make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(every_write_fails_once, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(it_can_be_walked_and_looked_at, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
