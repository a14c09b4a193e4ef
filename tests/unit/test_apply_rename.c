/* SPDX-License-Identifier: Apache-2.0 */
/* Rename: over what is there, between directories, exchanged, and what it refuses. */
#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"

static struct rig rig;
#define R (&rig)

/* /a/{f, s/{t}}  /b  and their numbers */
static uint64_t a, b, f, s, t;

static int open_rig(void **state)
{
	rig_open(R);
	a = rig_mkdir(R, ROOT_INO, "a");
	b = rig_mkdir(R, ROOT_INO, "b");
	f = rig_create(R, a, "f");
	s = rig_mkdir(R, a, "s");
	t = rig_mkdir(R, s, "t");
	return 0;
}

static int close_rig(void **state)
{
	rig_close(R);
	return 0;
}

static int move(uint64_t parent, const char *name, uint64_t to_parent, const char *to_name)
{
	return rig_apply(R, op_rename(parent, name, to_parent, to_name));
}

static int move_with(uint32_t flags, uint64_t parent, const char *name, uint64_t to_parent,
		     const char *to_name)
{
	struct op op = op_rename(parent, name, to_parent, to_name);

	op.flags = flags;
	return rig_apply(R, op);
}

static void test_file(void **state)
{
	const uint64_t mtime = rig_inode(R, f).mtime_ns;

	assert_int_equal(move(a, "f", a, "g"), 0);
	assert_int_equal(rig.res.value, f);
	assert_int_equal(rig_lookup(R, a, "f"), 0);
	assert_int_equal(rig_lookup(R, a, "g"), f);
	assert_int_equal(rig_inode(R, a).children, 2);
	assert_int_equal(rig_inode(R, f).ctime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, f).mtime_ns, mtime);
	assert_int_equal(move(a, "g", b, "f"), 0);
	assert_int_equal(rig_lookup(R, b, "f"), f);
	assert_int_equal(rig_inode(R, a).children, 1);
	assert_int_equal(rig_inode(R, b).children, 1);
	assert_int_equal(rig_inode(R, a).mtime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, b).mtime_ns, rig.time_ns);
	assert_int_equal(rig_totals(R).files, 1);
}

static void test_directory(void **state)
{
	assert_int_equal(move(a, "s", b, "moved"), 0);
	assert_int_equal(rig_inode(R, s).parent, b);
	assert_int_equal(rig_inode(R, s).nlink, 3);
	assert_int_equal(rig_inode(R, a).nlink, 2);
	assert_int_equal(rig_inode(R, b).nlink, 3);
	assert_int_equal(rig_lookup(R, s, "t"), t);
}

static void test_over_file(void **state)
{
	const uint64_t victim = rig_create(R, b, "g");

	assert_int_equal(move(a, "f", b, "g"), 0);
	assert_int_equal(rig_lookup(R, b, "g"), f);
	assert_int_equal(rig_inode(R, victim).nlink, 0);
	assert_int_equal(rig_inode(R, victim).ctime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, b).children, 1);
	assert_int_equal(rig_totals(R).files, 1);
}

static void test_over_directory(void **state)
{
	assert_int_equal(move(a, "s", ROOT_INO, "b"), 0);
	assert_int_equal(rig_lookup(R, ROOT_INO, "b"), s);
	assert_int_equal(rig_inode(R, b).nlink, 0);
	assert_int_equal(rig_inode(R, ROOT_INO).nlink, 4);
	assert_int_equal(rig_inode(R, ROOT_INO).children, 2);
	assert_int_equal(rig_inode(R, a).nlink, 2);
	assert_int_equal(rig_inode(R, s).parent, ROOT_INO);
	assert_int_equal(rig_totals(R).directories, 4);
}

static void test_refused(void **state)
{
	rig_create(R, b, "full");
	assert_int_equal(move(a, "nothing", b, "x"), -ENOENT);
	assert_int_equal(move(a, "f", f, "x"), -ENOTDIR);
	assert_int_equal(move(f, "x", a, "y"), -ENOTDIR);
	assert_int_equal(move(a, "f", 99, "y"), -ENOENT);
	assert_int_equal(move(99, "f", a, "y"), -ENOENT);
	assert_int_equal(move(a, "f", a, "s"), -EISDIR);
	assert_int_equal(move(a, "s", a, "f"), -ENOTDIR);
	assert_int_equal(move(a, "s", ROOT_INO, "b"), -ENOTEMPTY);
	assert_int_equal(move(a, ".", b, "x"), -EINVAL);
	assert_int_equal(move(a, "f", b, ".."), -EINVAL);
}

static void test_into_itself(void **state)
{
	assert_int_equal(move(a, "s", s, "x"), -EINVAL);
	assert_int_equal(move(a, "s", t, "x"), -EINVAL);
	assert_int_equal(move(ROOT_INO, "a", t, "x"), -EINVAL);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, ROOT_INO, "a", s, "t"), -EINVAL);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, s, "t", ROOT_INO, "a"), -EINVAL);
	assert_int_equal(move(ROOT_INO, "b", t, "x"), 0);
}

static void test_same(void **state)
{
	struct op link = op_at(OP_LINK, b, "hard");
	struct state_hash before;

	link.ino = f;
	assert_int_equal(rig_apply(R, link), 0);
	before = view_hash(rig.view, false);
	assert_int_equal(move(a, "f", b, "hard"), 0);
	assert_int_equal(move(a, "f", a, "f"), 0);
	assert_int_equal(move(a, "s", a, "s"), 0);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, a, "f", b, "hard"), 0);
	assert_true(state_hash_equal(before, view_hash(rig.view, false)));
}

static void test_noreplace(void **state)
{
	assert_int_equal(move_with(OP_RENAME_NOREPLACE, a, "f", a, "s"), -EEXIST);
	assert_int_equal(move_with(OP_RENAME_NOREPLACE, a, "f", a, "f"), -EEXIST);
	assert_int_equal(move_with(OP_RENAME_NOREPLACE, a, "f", b, "f"), 0);
	assert_int_equal(move_with(OP_RENAME_NOREPLACE | OP_RENAME_EXCHANGE, b, "f", b, "f"),
			 -EINVAL);
}

static void test_exchange(void **state)
{
	const uint64_t g = rig_create(R, b, "g");

	assert_int_equal(move_with(OP_RENAME_EXCHANGE, a, "f", b, "x"), -ENOENT);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, a, "f", b, "g"), 0);
	assert_int_equal(rig_lookup(R, a, "f"), g);
	assert_int_equal(rig_lookup(R, b, "g"), f);
	assert_int_equal(rig_inode(R, f).ctime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, g).ctime_ns, rig.time_ns);
	/* a directory and a file, between directories and in one */
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, a, "s", b, "g"), 0);
	assert_int_equal(rig_lookup(R, b, "g"), s);
	assert_int_equal(rig_inode(R, s).parent, b);
	assert_int_equal(rig_inode(R, a).nlink, 2);
	assert_int_equal(rig_inode(R, b).nlink, 3);
	assert_int_equal(rig_inode(R, a).children, 2);
	assert_int_equal(rig_inode(R, b).children, 1);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, ROOT_INO, "a", ROOT_INO, "b"), 0);
	assert_int_equal(rig_lookup(R, ROOT_INO, "a"), b);
	assert_int_equal(rig_inode(R, ROOT_INO).nlink, 4);
}

/* Two directories that change places, from different depths. */
static void test_exchange_directories(void **state)
{
	const uint64_t c = rig_mkdir(R, b, "c");

	assert_int_equal(move_with(OP_RENAME_EXCHANGE, s, "t", b, "c"), 0);
	assert_int_equal(rig_inode(R, t).parent, b);
	assert_int_equal(rig_inode(R, c).parent, s);
	assert_int_equal(rig_inode(R, s).nlink, 3);
	assert_int_equal(rig_inode(R, b).nlink, 3);
}

/* Two names with one hash of 60 bits under the rig's name key, found by search. */
#define TWIN_A "7c14ae9b41a8424"
#define TWIN_B "ceea94be2d3874d"

static void test_twins_have_one_hash(void **state)
{
	uint8_t name_key[DENTRY_NAME_KEY_SIZE];

	memset(name_key, 0xe0, sizeof(name_key));
	assert_int_equal(dentry_hash(name_key, SPAN_LITERAL(TWIN_A)),
			 dentry_hash(name_key, SPAN_LITERAL(TWIN_B)));
}

/* Both names of a rename in one bucket: the second change starts from what the first one made. */
static void test_in_one_bucket(void **state)
{
	const uint64_t x = rig_create(R, b, TWIN_A);
	uint64_t y;

	assert_int_equal(move(b, TWIN_A, b, TWIN_B), 0);
	assert_int_equal(rig_lookup(R, b, TWIN_A), 0);
	assert_int_equal(rig_lookup(R, b, TWIN_B), x);
	y = rig_create(R, b, TWIN_A);
	assert_int_equal(rig_lookup(R, b, TWIN_B), x);
	assert_int_equal(move_with(OP_RENAME_EXCHANGE, b, TWIN_A, b, TWIN_B), 0);
	assert_int_equal(rig_lookup(R, b, TWIN_A), x);
	assert_int_equal(rig_lookup(R, b, TWIN_B), y);
	assert_int_equal(move(b, TWIN_A, b, TWIN_B), 0);
	assert_int_equal(rig_lookup(R, b, TWIN_A), 0);
	assert_int_equal(rig_lookup(R, b, TWIN_B), x);
	assert_int_equal(rig_inode(R, y).nlink, 0);
	assert_int_equal(rig_inode(R, b).children, 1);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, b, TWIN_B)), 0);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "b")), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_directory),
		TEST(test_over_file),
		TEST(test_refused),
		TEST(test_over_directory),
		TEST(test_into_itself),
		TEST(test_same),
		TEST(test_noreplace),
		TEST(test_exchange),
		TEST(test_exchange_directories),
		TEST(test_twins_have_one_hash),
		TEST(test_in_one_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
