/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bucket_rig.h"

/* ---- listing and looking ---- */

static void test_listing_tells_all(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "12345");
	rig_put(rig, "b/x", "1");
	rig_put(rig, "b/y/z", "12");
	rig_put(rig, "c", "");
	assert_string_equal(rig_ls(rig, root(rig)), "a=5 b/ c=0 ");
	assert_int_equal(rig->side[0].lists, 1);
	assert_string_equal(rig_ls(rig, root(rig)), "a=5 b/ c=0 ");
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	assert_int_equal(e.size, 5);
	assert_string_equal(e.key, "a");
	assert_true(e.version[0][0] && e.modified_s);
	assert_string_equal(e.version[1], "");
	assert_int_equal(e.parent, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig_requests(rig), 1); /* (B1), (B2) */
	assert_int_equal(rig_lookup(rig, root(rig), "b", &e), 0);
	assert_true(e.is_dir);
	assert_string_equal(e.key, "b/");
	assert_string_equal(rig_ls(rig, e.ino), "x=1 y/ ");
	assert_int_equal(rig->side[0].heads, 0);
}

static void test_empty_bucket(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(rig_ls(rig, root(rig)), "");
	assert_string_equal(rig_ls(rig, root(rig)), "");
	assert_int_equal(rig_requests(rig), 1);
}

static void test_no_wait(void **state)
{
	struct rig *rig = *state;
	struct listed l = { .batch = 9 };
	struct bucket_entry e;
	bool end;

	rig_put(rig, "a", "1");
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_NO_WAIT, rig_entry, &l,
					&end),
			 BUCKET_WOULD_WAIT);
	assert_int_equal(bucket_lookup(rig->bucket, root(rig), SPAN_LITERAL("a"), BUCKET_NO_WAIT,
				       &e),
			 BUCKET_WOULD_WAIT);
	assert_int_equal(rig_requests(rig), 0);
	rig_ls(rig, root(rig));
	assert_int_equal(bucket_lookup(rig->bucket, root(rig), SPAN_LITERAL("a"), BUCKET_NO_WAIT,
				       &e),
			 0);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_NO_WAIT, &e), 0);
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_NO_WAIT, rig_entry, &l,
					&end),
			 0);
	assert_true(end);
	assert_int_equal(l.n, 1);
	assert_int_equal(bucket_readdir(rig->bucket, e.ino, 0, BUCKET_NO_WAIT, rig_entry, &l, &end),
			 -ENOTDIR);
	assert_int_equal(bucket_get(rig->bucket, e.ino + 1, BUCKET_WAIT, &e), BUCKET_MISSING);
	listed_release(&l);
}

/* (B1): one LIST, whatever the answer. */
static void test_lookup_in_what_is_not_listed(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e, again;

	rig_put(rig, "file", "123");
	rig_put(rig, "dir/x", "1");
	assert_int_equal(rig_lookup(rig, root(rig), "file", &e), 0);
	assert_int_equal(e.size, 3);
	assert_true(e.version[0][0] && e.modified_s);
	assert_int_equal(rig->side[0].lists, 1);
	assert_int_equal(rig_lookup(rig, root(rig), "dir", &e), 0);
	assert_true(e.is_dir);
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig->side[0].heads, 0);
	/* all of it is remembered */
	assert_int_equal(rig_lookup(rig, root(rig), "none", &e), BUCKET_MISSING);
	assert_int_equal(rig_lookup(rig, root(rig), "file", &e), 0);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &again), 0);
	assert_int_equal(again.size, 3);
	assert_int_equal(rig_requests(rig), 3);
	/* and the numbers stay when it is listed */
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "file", &again), 0);
	assert_int_equal(again.ino, e.ino);
}

/* Between "a" and "a/" there may be any number of names. */
static void test_lookup_among_neighbours(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	char key[16];

	rig_put(rig, "both", "1");
	rig_put(rig, "both-and", "22");
	rig_put(rig, "both/x", "1");
	rig_put(rig, "many/x", "1");
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "many-%03d", i);
		rig_put(rig, key, "1");
	}
	assert_int_equal(rig_lookup(rig, root(rig), "%~fboth", &e), 0);
	assert_false(e.is_dir);
	assert_int_equal(rig_lookup(rig, root(rig), "both", &e), 0);
	assert_true(e.is_dir);
	assert_int_equal(rig_requests(rig), 1);
	assert_int_equal(rig_lookup(rig, root(rig), "both-", &e), BUCKET_MISSING);
	assert_int_equal(rig_lookup(rig, root(rig), "bot", &e), BUCKET_MISSING);
	assert_int_equal(rig_requests(rig), 3);
	/* "many/" is too far away: it is asked for by itself */
	assert_int_equal(rig_lookup(rig, root(rig), "many", &e), 0);
	assert_true(e.is_dir);
	assert_int_equal(rig_requests(rig), 5);
	assert_int_equal(rig->side[0].heads, 0);
	assert_int_equal(rig_lookup(rig, root(rig), "many-000", &e), 0);
	assert_int_equal(rig->side[0].heads, 0);
	/* a mark is seen in the same page, whatever was known of the bucket */
	rig_put(rig, "marked_$folder$", "");
	assert_int_equal(rig_lookup(rig, root(rig), "marked", &e), 0);
	assert_true(e.is_dir);
}

/* ---- time ---- */

static void test_refresh_sees_changes(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry kept, e;

	rig_put(rig, "changes", "1");
	rig_put(rig, "goes", "1");
	rig_put(rig, "stays/x", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "changes", &kept), 0);
	rig_put(rig, "changes", "123");
	rig_put(rig, "comes", "1");
	rig_remove(rig, "goes");
	assert_string_equal(rig_ls(rig, root(rig)), "changes=1 goes=1 stays/ ");
	bucket_refresh(rig->bucket, root(rig), false);
	assert_string_equal(rig_ls(rig, root(rig)), "changes=3 comes=1 stays/ ");
	assert_int_equal(rig_lookup(rig, root(rig), "changes", &e), 0);
	assert_int_equal(e.ino, kept.ino); /* (B3) */
	assert_string_not_equal(e.version[0], kept.version[0]);
	rig_put(rig, "goes", "12");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_int_equal(rig_lookup(rig, root(rig), "goes", &e), 0);
	assert_int_equal(e.size, 2);
}

static void test_refresh_is_deep(void **state)
{
	struct rig *rig = *state;
	uint64_t dir;

	rig_put(rig, "d/e/x", "1");
	dir = rig_walk(rig, "d/e");
	assert_string_equal(rig_ls(rig, dir), "x=1 ");
	rig_put(rig, "d/e/y", "1");
	bucket_refresh(rig->bucket, root(rig), false);
	assert_string_equal(rig_ls(rig, dir), "x=1 ");
	bucket_refresh(rig->bucket, root(rig), true);
	assert_string_equal(rig_ls(rig, dir), "x=1 y=1 ");
}

/* Without any belief each look asks, and a listing still comes to its end. */
static void test_no_belief(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	rig->ttl_ns = 0;
	rig_open(rig);
	rig_put(rig, "a", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
	rig_put(rig, "b", "1");
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 b=1 ");
	assert_int_not_equal(rig_walk(rig, "b"), 0);
	rig_remove(rig, "b");
	assert_int_equal(rig_walk(rig, "b"), 0);
}

static void test_restart_finds_the_listing(void **state)
{
	struct rig *rig = *state;
	uint64_t before;

	rig_put(rig, "a", "1");
	rig_put(rig, "d/x", "1");
	rig_ls(rig, root(rig));
	before = rig_walk(rig, "d");
	rig_close(rig);
	rig_open(rig);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig_walk(rig, "d"), before);
	assert_int_equal(rig_requests(rig), 1);
	/* (B3): another bucket under the same number */
	rig_close(rig);
	rig->identity = "mem://other";
	rig_open(rig);
	assert_int_equal(bucket_get(rig->bucket, before, BUCKET_WAIT, &(struct bucket_entry){ 0 }),
			 BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
	assert_int_equal(rig->side[0].lists, 2);
	assert_int_not_equal(rig_walk(rig, "d"), before);
}

static void test_doubt(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;

	rig_put(rig, "a", "1");
	rig_put(rig, "b", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(rig_lookup(rig, root(rig), "a", &e), 0);
	rig_put(rig, "a", "12");
	bucket_doubt(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &e), 0);
	assert_int_equal(e.size, 2);
	assert_int_equal(rig_requests(rig), 2);
	rig_remove(rig, "a");
	bucket_doubt(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &e), BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "b=1 ");
}

/* ---- what this mount does ---- */

static void test_notes(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e = { .parent = root(rig), .size = 7, .key = "new" }, got;

	rig_put(rig, "a", "1");
	rig_ls(rig, root(rig));
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("new"), &e.ino), 0);
	assert_int_equal(rig_lookup(rig, root(rig), "new", &got), BUCKET_MISSING);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_lookup(rig, root(rig), "new", &got), 0);
	assert_int_equal(got.ino, e.ino);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 new=7 ");
	bucket_note_gone(rig->bucket, e.ino);
	assert_int_equal(bucket_get(rig->bucket, e.ino, BUCKET_WAIT, &got), BUCKET_MISSING);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 ");
	/* a directory that this mount made */
	e = (struct bucket_entry){ .parent = root(rig), .is_dir = true, .key = "d/" };
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("d"), &e.ino), 0);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_walk(rig, "d"), e.ino);
	assert_string_equal(rig_ls(rig, root(rig)), "a=1 d/ ");
}

/* A name that was looked for in vain is there once it was written. */
static void test_note_after_no(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e = { .parent = root(rig), .size = 7, .key = "new" };

	assert_int_equal(rig_walk(rig, "new"), 0);
	assert_int_equal(bucket_number(rig->bucket, root(rig), SPAN_LITERAL("new"), &e.ino), 0);
	assert_int_equal(bucket_note(rig->bucket, &e), 0);
	assert_int_equal(rig_walk(rig, "new"), e.ino);
}

/* ---- listings under way ---- */

/* The first page is told before the last one has come. */
static void test_streams(void **state)
{
	struct rig *rig = *state;
	struct listed l = { .batch = 5000 };
	bool end = true;

	rig_put_many(rig, "same-%04u", 3000);
	rig->side[0].fail_after = 1;
	rig->side[0].fail_result = -EAGAIN;
	rig->side[0].fail_times = 1000000;
	assert_int_equal(bucket_readdir(rig->bucket, root(rig), 0, BUCKET_WAIT, rig_entry, &l,
					&end),
			 0);
	assert_false(end);
	assert_true(l.n > 900 && l.n <= 1000);
	/* what was told needs no question */
	assert_int_not_equal(rig_walk(rig, "same-0000"), 0);
	assert_int_equal(rig->side[0].heads, 0);
	rig->side[0].fail_times = 0;
	assert_int_equal(rig_read(rig, root(rig), &l), 0);
	check_order(&l, 3000);
	listed_release(&l);
}

/* ---- ends ---- */

struct reader {
	struct rig *rig;
	int result;
};

static void read_root(void *arg)
{
	struct reader *r = arg;
	_cleanup_listed_ struct listed l = { 0 };

	r->result = rig_read(r->rig, bucket_root(r->rig->bucket), &l);
	if (!r->result && l.n != 3000)
		r->result = 1;
}

/* However many ask, it is listed once. */
static void test_many_readers(void **state)
{
	struct rig *rig = *state;
	struct reader r[8];
	struct task *t[8];

	rig_put_many(rig, "same-%04u", 3000);
	rig->side[0].delay_ns = 20 * NS_PER_MS;
	for (unsigned i = 0; i < 8; i++) {
		r[i] = (struct reader){ .rig = rig };
		t[i] = task_start("reader", read_root, &r[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		task_join(t[i]);
		assert_int_equal(r[i].result, 0);
	}
	assert_true(rig->side[0].lists <= 6);
}

static void start_listing(void *arg)
{
	struct rig *rig = arg;
	struct listed l = { .batch = 1 };
	bool end;

	(void)!bucket_readdir(rig->bucket, bucket_root(rig->bucket), 0, BUCKET_WAIT, rig_entry, &l,
			      &end);
	listed_release(&l);
}

/* A listing that hangs does not keep the bucket from ending. */
static void test_end_in_the_middle(void **state)
{
	struct rig *rig = *state;
	struct task *t;

	rig_close(rig);
	rig->deadline_ns = 200 * NS_PER_MS;
	rig_open(rig);
	rig->side[0].mute = true;
	t = task_start("reader", start_listing, rig);
	task_join(t); /* by its deadline */
	rig_close(rig);
	rig_open(rig);
}

int main(void)
{
#define test(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		test(test_listing_tells_all),
		test(test_empty_bucket),
		test(test_no_wait),
		test(test_lookup_in_what_is_not_listed), test(test_lookup_among_neighbours),
		test(test_refresh_sees_changes),
		test(test_refresh_is_deep),
		test(test_no_belief),
		test(test_restart_finds_the_listing),
		test(test_doubt),
		test(test_notes),
		test(test_note_after_no),
		test(test_streams),
		test(test_many_readers),
		test(test_end_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
