/* SPDX-License-Identifier: Apache-2.0 */
/* Names: every answer that POSIX has for them, and what they leave behind. */
#include <stdio.h>
#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"

static struct rig rig;
#define R (&rig)

static int open_rig(void **state)
{
	rig_open(R);
	return 0;
}

static int close_rig(void **state)
{
	rig_close(R);
	return 0;
}

static struct op op_create(uint64_t parent, const char *name)
{
	struct op op = op_at(OP_CREATE, parent, name);

	op.ino = rig.next_ino;
	op.mode = S_IFREG | 0644;
	return op;
}

static void test_root(void **state)
{
	const struct inode_row root = rig_inode(R, ROOT_INO);

	assert_int_equal(root.mode, S_IFDIR | 0755);
	assert_int_equal(root.uid, 7);
	assert_int_equal(root.gid, 8);
	assert_int_equal(root.nlink, 2);
	assert_int_equal(root.parent, ROOT_INO);
	assert_int_equal(rig_totals(R).directories, 1);
	assert_int_equal(rig_totals(R).files, 0);
}

static void test_create(void **state)
{
	const struct inode_row before = rig_inode(R, ROOT_INO);
	const uint64_t ino = rig_create(R, ROOT_INO, "f");
	const struct inode_row row = rig_inode(R, ino), root = rig_inode(R, ROOT_INO);

	assert_int_equal(rig_lookup(R, ROOT_INO, "f"), ino);
	assert_int_equal(rig_lookup(R, ROOT_INO, "F"), 0);
	assert_int_equal(row.mode, S_IFREG | 0644);
	assert_int_equal(row.uid, 1000);
	assert_int_equal(row.gid, 100);
	assert_int_equal(row.nlink, 1);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_equal(row.mtime_ns, rig.time_ns);
	assert_int_equal(row.btime_ns, rig.time_ns);
	assert_int_equal(root.children, before.children + 1);
	assert_int_equal(root.mtime_ns, rig.time_ns);
	assert_int_equal(root.ctime_ns, rig.time_ns);
	assert_int_equal(root.version, before.version + 1);
	assert_int_equal(rig_totals(R).files, 1);
}

/* Whatever makes a name has these answers. */
static void check_new_name(enum op_kind kind)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "dir");
	const uint64_t file = rig_create(R, ROOT_INO, "file");
	const uint64_t gone = rig_mkdir(R, ROOT_INO, "gone");
	char name[300];
	struct op op = op_create(ROOT_INO, "file");

	op.kind = kind;
	op.value = kind == OP_SYMLINK ? SPAN_LITERAL("target") : SPAN_NULL;
	op.ino = kind == OP_LINK ? file : op.ino;
	assert_int_equal(rig_apply(R, op), -EEXIST);
	assert_int_equal(rig.res.value, file);
	op.name = SPAN_LITERAL("dir");
	assert_int_equal(rig_apply(R, op), -EEXIST);
	op.name = SPAN_LITERAL("new");
	op.parent = file;
	assert_int_equal(rig_apply(R, op), -ENOTDIR);
	op.parent = rig.next_ino + 100;
	assert_int_equal(rig_apply(R, op), -ENOENT);
	op.parent = gone;
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "gone")), 0);
	assert_int_equal(rig_apply(R, op), -ENOENT);
	op.parent = dir;
	op.name = SPAN_LITERAL("");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.name = SPAN_LITERAL(".");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.name = SPAN_LITERAL("..");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.name = SPAN_LITERAL("a/b");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.name = SPAN_LITERAL("a\0b");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	memset(name, 'x', sizeof(name));
	op.name = span_of(name, 256);
	assert_int_equal(rig_apply(R, op), -ENAMETOOLONG);
	op.name = span_of(name, 255);
	assert_int_equal(rig_apply(R, op), 0);
}

static void test_create_answers(void **state)
{
	check_new_name(OP_CREATE);
}

static void test_mkdir_answers(void **state)
{
	check_new_name(OP_MKDIR);
}

static void test_symlink_answers(void **state)
{
	check_new_name(OP_SYMLINK);
}

static void test_link_answers(void **state)
{
	check_new_name(OP_LINK);
}

static void test_types(void **state)
{
	static const uint32_t types[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct op op = op_create(ROOT_INO, "a");
	uint32_t type;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char name[] = { (char)('a' + i), 0 };
		const bool device = types[i] == S_IFCHR || types[i] == S_IFBLK;

		op.name = span_str(name);
		op.mode = types[i] | 0600;
		op.ino = rig.next_ino++;
		op.rdev = 0x501;
		assert_int_equal(rig_apply(R, op), 0);
		assert_int_equal(rig_inode(R, op.ino).mode, op.mode);
		assert_int_equal(rig_inode(R, op.ino).rdev, device ? 0x501 : 0);
		assert_int_equal(ns_lookup(rig.view, ROOT_INO, op.name, NULL, &type), 0);
		assert_int_equal(type, types[i]);
	}
	op.name = SPAN_LITERAL("z");
	op.ino = rig.next_ino++;
	for (uint32_t bad = 0; bad <= S_IFMT; bad += 0010000) {
		bool good = false;

		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			good = good || types[i] == bad;
		op.mode = bad | 0600;
		if (!good)
			assert_int_equal(rig_apply(R, op), -EINVAL);
	}
}

/* Only from one's own blocks, and only numbers that are free. */
static void test_inode_numbers(void **state)
{
	const uint64_t used = rig_create(R, ROOT_INO, "used");
	struct op op = op_create(ROOT_INO, "new");
	uint64_t block;

	op.ino = used;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.ino = ROOT_INO + 1;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.ino = 9ull << INO_BLOCK_BITS;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.ino = 1ull << 62;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_MORE_INODES }), 0);
	block = rig.res.value;
	op.ino = block << INO_BLOCK_BITS;
	assert_int_equal(rig_apply(R, op), 0);
	op.name = SPAN_LITERAL("newer");
	op.ino = (block + 1) << INO_BLOCK_BITS;
	assert_int_equal(rig_apply(R, op), -EINVAL);
}

static void test_setgid(void **state)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "dir");
	const struct op op = { .kind = OP_SETATTR,
			       .ino = dir,
			       .set = OP_SET_MODE | OP_SET_GID,
			       .mode = 02775,
			       .gid = 555 };

	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, rig_create(R, dir, "f")).gid, 555);
	assert_int_equal(rig_inode(R, rig_lookup(R, dir, "f")).mode, S_IFREG | 0644);
	assert_int_equal(rig_inode(R, rig_mkdir(R, dir, "d")).gid, 555);
	assert_int_equal(rig_inode(R, rig_lookup(R, dir, "d")).mode, S_IFDIR | 02755);
}

static void test_symlink(void **state)
{
	static char target[TARGET_MAX_BYTES + 1];
	struct op op = op_at(OP_SYMLINK, ROOT_INO, "l");
	struct inode_view iv;

	op.ino = rig.next_ino++;
	assert_int_equal(rig_apply(R, op), -ENOENT);
	memset(target, 't', sizeof(target));
	op.value = span_of(target, sizeof(target));
	assert_int_equal(rig_apply(R, op), -ENAMETOOLONG);
	op.value = SPAN_LITERAL("a\0b");
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.value = span_of(target, TARGET_MAX_BYTES);
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(ns_inode(rig.view, op.ino, &iv), 0);
	assert_int_equal(iv.row.mode, S_IFLNK | 0777);
	assert_int_equal(iv.row.size, TARGET_MAX_BYTES);
	assert_true(span_equal(iv.row.target, op.value));
	buf_release(&iv.bytes);
}

/* A change of the row keeps the target that the row borrows from its old bytes. */
static void test_symlink_keeps_target(void **state)
{
	struct op op = op_at(OP_SYMLINK, ROOT_INO, "l");
	struct inode_view iv;

	op.ino = rig.next_ino++;
	op.value = SPAN_LITERAL("../there");
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_SETATTR,
						   .ino = op.ino,
						   .set = OP_SET_UID,
						   .uid = 5 }),
			 0);
	assert_int_equal(rig_apply(R, op_rename(ROOT_INO, "l", ROOT_INO, "m")), 0);
	assert_int_equal(ns_inode(rig.view, op.ino, &iv), 0);
	assert_span_str(iv.row.target, "../there");
	assert_int_equal(iv.row.uid, 5);
	buf_release(&iv.bytes);
}

static struct op op_link(uint64_t ino, uint64_t parent, const char *name)
{
	struct op op = op_at(OP_LINK, parent, name);

	op.ino = ino;
	return op;
}

static void test_link(void **state)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "d"), ino = rig_create(R, ROOT_INO, "f");

	assert_int_equal(rig_apply(R, op_link(ino, dir, "g")), 0);
	assert_int_equal(rig.res.value, ino);
	assert_int_equal(rig_lookup(R, dir, "g"), ino);
	assert_int_equal(rig_inode(R, ino).nlink, 2);
	assert_int_equal(rig_inode(R, ino).ctime_ns, rig.time_ns);
	assert_int_not_equal(rig_inode(R, ino).mtime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, dir).mtime_ns, rig.time_ns);
	assert_int_equal(rig_totals(R).files, 1);
	assert_int_equal(rig_apply(R, op_link(dir, ROOT_INO, "x")), -EPERM);
	assert_int_equal(rig_apply(R, op_link(dir, ROOT_INO, "f")), -EEXIST);
	assert_int_equal(rig_apply(R, op_link(ino + 100, ROOT_INO, "x")), -ESTALE);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, dir, "g")), 0);
	assert_int_equal(rig_apply(R, op_link(ino, ROOT_INO, "x")), -ENOENT);
}

/* Straight to the limit: 65,000 links one by one would only take time. */
static void test_too_many_links(void **state)
{
	const uint64_t ino = rig_create(R, ROOT_INO, "f");
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct inode_row row = rig_inode(R, ino);
	uint8_t key[8];

	row.nlink = LINKS_MAX - 1;
	key_ino(ino, key);
	assert_int_equal(inode_row_encode(&row, &bytes), 0);
	assert_int_equal(view_put(rig.view, COL_INODE, span_of(key, 8), buf_span(&bytes)), 0);
	assert_int_equal(rig_apply(R, op_link(ino, ROOT_INO, "last")), 0);
	assert_int_equal(rig_apply(R, op_link(ino, ROOT_INO, "over")), -EMLINK);
}

static void test_unlink(void **state)
{
	const uint64_t ino = rig_create(R, ROOT_INO, "f"), dir = rig_mkdir(R, ROOT_INO, "d");
	struct inode_row row;

	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "nothing")), -ENOENT);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "d")), -EISDIR);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ino, "f")), -ENOTDIR);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, dir, "f")), -ENOENT);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), 0);
	assert_int_equal(rig.res.value, ino);
	row = rig_inode(R, ino); /* still there, for whoever has it open */
	assert_int_equal(row.nlink, 0);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_equal(rig_inode(R, ROOT_INO).ctime_ns, rig.time_ns);
	assert_int_equal(rig_totals(R).files, 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), -ENOENT);
}

static void test_rmdir(void **state)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "d"), sub = rig_mkdir(R, dir, "s");

	rig_create(R, ROOT_INO, "f");
	assert_int_equal(rig_inode(R, ROOT_INO).nlink, 3);
	assert_int_equal(rig_inode(R, dir).nlink, 3);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "f")), -ENOTDIR);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "nothing")), -ENOENT);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "d")), -ENOTEMPTY);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, dir, "s")), 0);
	assert_int_equal(rig_inode(R, dir).nlink, 2);
	assert_int_equal(rig_inode(R, sub).nlink, 0);
	assert_int_equal(rig_inode(R, sub).parent, 0);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "d")), 0);
	assert_int_equal(rig_inode(R, ROOT_INO).nlink, 2);
	assert_int_equal(rig_totals(R).directories, 1);
	assert_int_equal(rig_apply(R, op_at(OP_CREATE, dir, "late")), -EINVAL); /* no type */
	assert_int_equal(rig_apply(R, op_create(dir, "late")), -ENOENT);
}

/* What was seen early is what may be hit later, and nothing else. */
static void test_saw(void **state)
{
	const uint64_t old = rig_create(R, ROOT_INO, "f"), dir = rig_mkdir(R, ROOT_INO, "d");
	struct op op = op_at(OP_UNLINK, ROOT_INO, "f");

	op.saw = old + 1;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw = 0;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw = old;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_apply(R, op), -ENOENT);
	op = op_at(OP_RMDIR, ROOT_INO, "d");
	op.saw = old;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw = dir;
	assert_int_equal(rig_apply(R, op), 0);
}

static void test_saw_rename(void **state)
{
	const uint64_t a = rig_create(R, ROOT_INO, "a"), b = rig_create(R, ROOT_INO, "b");
	struct op op = op_rename(ROOT_INO, "a", ROOT_INO, "b");

	op.saw = b;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw = a;
	op.saw_to = 0;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw_to = a;
	assert_int_equal(rig_apply(R, op), -ESTALE);
	op.saw_to = b;
	assert_int_equal(rig_apply(R, op), 0);
	rig_create(R, ROOT_INO, "c");
	op = op_rename(ROOT_INO, "c", ROOT_INO, "new");
	op.saw_to = b; /* it was there, and is no more */
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

/* System-set times never stand still, even when the clock does. */
static void test_times(void **state)
{
	struct op op = op_create(ROOT_INO, "f");
	const uint64_t then = rig_inode(R, ROOT_INO).ctime_ns;

	op.time_ns = 5; /* long ago */
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, ROOT_INO).ctime_ns, then + 1);
	assert_int_equal(rig_inode(R, ROOT_INO).mtime_ns, then + 1);
}

struct seen {
	char names[64][8];
	unsigned n;
	uint64_t cursor;
	unsigned stop_after;
};

static int see(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	struct seen *s = arg;

	assert_true(cursor > s->cursor);
	assert_true(cursor > 2 && cursor <= INT64_MAX);
	s->cursor = cursor;
	memcpy(s->names[s->n], name.data, name.len);
	s->names[s->n++][name.len] = 0;
	return s->n == s->stop_after;
}

static bool has(const struct seen *s, const char *name)
{
	unsigned times = 0;

	for (unsigned i = 0; i < s->n; i++)
		times += !strcmp(s->names[i], name);
	assert_in_range(times, 0, 1);
	return times;
}

/* Read in parts while entries come and go: those that stay are seen once. */
static void test_readdir(void **state)
{
	struct seen s = {};
	char name[8];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		rig_create(R, ROOT_INO, name);
		if (i == 9)
			rig_commit(R);
	}
	for (int part = 0; part < 10; part++) {
		snprintf(name, sizeof(name), "t%d", part);
		rig_create(R, ROOT_INO, name);
		s.stop_after = s.n + 3;
		assert_int_equal(ns_readdir(rig.view, ROOT_INO, s.cursor, see, &s), 0);
		assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, name)), 0);
	}
	s.stop_after = 0;
	assert_int_equal(ns_readdir(rig.view, ROOT_INO, s.cursor, see, &s), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_true(has(&s, name));
	}
}

/* Puts an entry under the hash of `name` as one whose own name has the same would stand there. */
static void plant(const char *name, const char *other, unsigned tie)
{
	_cleanup_buf_ struct buf old = BUF_INIT(ROW_MAX), bucket = BUF_INIT(ROW_MAX);
	const struct dentry d = {
		.name = span_str(other), .ino = 4711, .type = S_IFREG, .tie = tie
	};
	uint8_t name_key[DENTRY_NAME_KEY_SIZE], key[16];

	memset(name_key, 0xe0, sizeof(name_key));
	key_ino_u64(ROOT_INO, dentry_hash(name_key, span_str(name)), key);
	assert_in_range(view_get(rig.view, COL_DENTRY, span_of(key, 16), &old), 0, VIEW_MISSING);
	assert_int_equal(bucket_edit(buf_span(&old), tie, &d, &bucket), 0);
	assert_int_equal(view_put(rig.view, COL_DENTRY, span_of(key, 16), buf_span(&bucket)), 0);
}

static int see_tie(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	if (span_equal(name, SPAN_LITERAL("x")))
		*(uint64_t *)arg = cursor & 7;
	return 0;
}

static uint64_t tie_of_x(void)
{
	uint64_t tie = UINT64_MAX;

	assert_int_equal(ns_readdir(rig.view, ROOT_INO, 0, see_tie, &tie), 0);
	return tie;
}

/* Names of one hash: each has its tie, the lowest that is free; eight are enough. */
static void test_one_hash(void **state)
{
	static const char *const others[] = { "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7" };
	uint64_t ino;

	plant("x", others[0], 0);
	plant("x", others[2], 2);
	assert_int_equal(rig_lookup(R, ROOT_INO, "x"), 0);
	ino = rig_create(R, ROOT_INO, "x");
	assert_int_equal(rig_lookup(R, ROOT_INO, "x"), ino);
	assert_int_equal(tie_of_x(), 1);
	assert_int_equal(rig_apply(R, op_rename(ROOT_INO, "x", ROOT_INO, "y")), 0);
	assert_int_equal(rig_lookup(R, ROOT_INO, "x"), 0);
	plant("x", others[1], 1);
	assert_int_equal(rig_apply(R, op_rename(ROOT_INO, "y", ROOT_INO, "x")), 0);
	assert_int_equal(tie_of_x(), 3);
	assert_int_equal(rig_apply(R, op_rename(ROOT_INO, "x", ROOT_INO, "y")), 0);
	for (unsigned i = 3; i < ARRAY_SIZE(others); i++)
		plant("x", others[i], i);
	assert_int_equal(rig_apply(R, op_create(ROOT_INO, "x")), -ENOSPC);
	assert_int_equal(rig_apply(R, op_rename(ROOT_INO, "y", ROOT_INO, "x")), -ENOSPC);
	assert_int_equal(rig_lookup(R, ROOT_INO, "y"), ino);
}

static void test_dir_path(void **state)
{
	const uint64_t a = rig_mkdir(R, ROOT_INO, "one"), b = rig_mkdir(R, a, "two");
	_cleanup_buf_ struct buf path = BUF_INIT(4096);

	assert_int_equal(ns_dir_path(rig.view, b, &path), 0);
	assert_span_str(buf_span(&path), "/one/two");
	buf_clear(&path);
	assert_int_equal(ns_dir_path(rig.view, ROOT_INO, &path), 0);
	assert_span_str(buf_span(&path), "/");
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, a, "two")), 0);
	assert_int_equal(ns_dir_path(rig.view, b, &path), NS_MISSING);
	assert_int_equal(ns_dir_path(rig.view, 99, &path), NS_MISSING);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_root),
		TEST(test_create),
		TEST(test_create_answers),
		TEST(test_mkdir_answers),
		TEST(test_symlink_answers),
		TEST(test_link_answers),
		TEST(test_types),
		TEST(test_inode_numbers),
		TEST(test_setgid),
		TEST(test_symlink),
		TEST(test_symlink_keeps_target),
		TEST(test_link),
		TEST(test_too_many_links),
		TEST(test_unlink),
		TEST(test_rmdir),
		TEST(test_saw),
		TEST(test_saw_rename),
		TEST(test_times),
		TEST(test_readdir),
		TEST(test_one_hash),
		TEST(test_dir_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
