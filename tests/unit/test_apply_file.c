/* SPDX-License-Identifier: Apache-2.0 */
/* Contents: extents that replace, split, join, and what their chunks count. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/lib/ns_file.h"

static struct rig rig;
#define R (&rig)
static uint64_t f;

static int open_rig(void **state)
{
	rig_open(R);
	f = rig_create(R, ROOT_INO, "f");
	return 0;
}

static int close_rig(void **state)
{
	rig_close(R);
	return 0;
}

static void test_write(void **state)
{
	struct inode_row row;

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	check_map(R, f, "0-100:a+0");
	row = rig_inode(R, f);
	assert_int_equal(row.size, 100);
	assert_int_equal(row.bytes, 100);
	assert_int_equal(row.version, 1);
	assert_int_equal(row.mtime_ns, rig.time_ns);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_equal(chunk_of(R, 'a').live, 100);
	assert_int_equal(chunk_of(R, 'a').born, rig.slot);
	assert_int_equal(chunk_of(R, 'a').dead, 0);
	assert_int_equal(chunk_of(R, 'a').stores, 1);
	assert_int_equal(chunk_of(R, 'a').want, 7);
	assert_int_equal(rig_totals(R).bytes, 100);
	assert_int_equal(write_text(R, f, 0, 200, "hello"), 0);
	check_map(R, f, "0-100:a+0 200-205:hello");
	assert_int_equal(rig_inode(R, f).size, 205);
	assert_int_equal(rig_inode(R, f).bytes, 105);
}

static void test_overwrite(void **state)
{
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(R, f, 0, 40, "0123456789"), 0);
	check_map(R, f, "0-40:a+0 40-50:0123456789 50-100:a+50");
	assert_int_equal(chunk_of(R, 'a').live, 90);
	assert_int_equal(rig_inode(R, f).size, 100);
	assert_int_equal(rig_inode(R, f).bytes, 100);
	assert_int_equal(write_chunk(R, f, 0, 30, 30, 'b'), 0);
	check_map(R, f, "0-30:a+0 30-60:b+0 60-100:a+60");
	assert_int_equal(write_text(R, f, 0, 35, "x"), 0);
	check_map(R, f, "0-30:a+0 30-35:b+0 35-36:x 36-60:b+6 60-100:a+60");
	rig_commit(R);
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'c'), 0);
	check_map(R, f, "0-100:c+0");
	assert_int_equal(chunk_of(R, 'a').live, 0);
	assert_int_equal(chunk_of(R, 'a').dead, rig.slot);
	assert_int_equal(chunk_of(R, 'b').dead, rig.slot);
	assert_int_equal(rig_totals(R).bytes, 100);
}

/* The cut falls into the middle of inline bytes. */
static void test_split_inline(void **state)
{
	assert_int_equal(write_text(R, f, 0, 10, "abcdefgh"), 0);
	assert_int_equal(write_text(R, f, 0, 12, "XY"), 0);
	check_map(R, f, "10-12:ab 12-14:XY 14-18:efgh");
	assert_int_equal(write_text(R, f, 0, 9, "12"), 0);
	check_map(R, f, "9-11:12 11-12:b 12-14:XY 14-18:efgh");
}

static void test_join(void **state)
{
	const struct op_chunk c = chunk('a', 300);
	struct op_extent e = in_chunk(0, 100, 'a', 0);
	struct op op = { .kind = OP_WRITE,
			 .ino = f,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &c,
			 .n_chunks = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	e = in_chunk(200, 100, 'a', 200);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-100:a+0 200-300:a+200");
	e = in_chunk(100, 100, 'a', 100);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-300:a+0");
	assert_int_equal(chunk_of(R, 'a').live, 300);
	e = in_chunk(300, 10, 'a', 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-300:a+0 300-310:a+0");
	assert_int_equal(chunk_of(R, 'a').live, 310);
}

static void test_foreign(void **state)
{
	const struct op_extent e = { .row = { .kind = EXTENT_FOREIGN,
					      .length = 100,
					      .foreign_offset = 7,
					      .bytes = SPAN_LITERAL("key") } };
	const struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_PUNCH, .ino = f, .off = 10, .len = 10 }), 0);
	check_map(R, f, "0-10:key+7 20-100:key+27");
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_CLONE,
						   .ino = f,
						   .off = 0,
						   .len = 10,
						   .to = f,
						   .to_off = 100 }),
			 0);
	check_map(R, f, "0-10:key+7 20-100:key+27 100-110:key+7");
}

/* A foreign object that comes in parts is one extent again, from either side. */
static void test_join_foreign(void **state)
{
	struct op_extent e = { .offset = 10,
			       .row = { .kind = EXTENT_FOREIGN,
					.length = 10,
					.foreign_offset = 60,
					.bytes = SPAN_LITERAL("key") } };
	const struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	e.offset = 20;
	e.row.foreign_offset = 70;
	assert_int_equal(rig_apply(R, op), 0);
	e.offset = 0;
	e.row.foreign_offset = 50;
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-30:key+50");
	e.offset = 30;
	e.row.foreign_offset = 80;
	e.row.bytes = SPAN_LITERAL("other");
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-30:key+50 30-40:other+80");
}

static void test_append(void **state)
{
	assert_int_equal(write_text(R, f, 0, 0, "abc"), 0);
	assert_int_equal(write_text(R, f, OP_WRITE_APPEND, 0, "def"), 0);
	assert_int_equal(rig.res.value, 3);
	assert_int_equal(write_text(R, f, OP_WRITE_APPEND, 0, "ghi"), 0);
	assert_int_equal(rig.res.value, 6);
	check_map(R, f, "0-3:abc 3-6:def 6-9:ghi");
	assert_int_equal(write_text(R, f, OP_WRITE_APPEND | OP_WRITE_REPLACE, 0, "new"), 0);
	assert_int_equal(rig.res.value, 0);
	check_map(R, f, "0-3:new");
}

static void test_replace(void **state)
{
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(R, f, 0, 500, "tail"), 0);
	assert_int_equal(write_text(R, f, OP_WRITE_REPLACE, 2, "new"), 0);
	check_map(R, f, "2-5:new");
	assert_int_equal(rig_inode(R, f).size, 5);
	assert_int_equal(rig_inode(R, f).bytes, 3);
	assert_int_equal(chunk_of(R, 'a').dead, rig.slot);
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = f, .flags = OP_WRITE_REPLACE }),
		0);
	check_map(R, f, "");
	assert_int_equal(rig_inode(R, f).size, 0);
	assert_int_equal(rig_totals(R).bytes, 0);
}

static void test_size(void **state)
{
	const struct op_extent e = in_line(0, "0123456789");
	struct op op = { .kind = OP_WRITE,
			 .ino = f,
			 .flags = OP_WRITE_SIZE,
			 .size = 4,
			 .extents = &e,
			 .n_extents = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-4:0123");
	assert_int_equal(rig_inode(R, f).size, 4);
	op.size = 1000;
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-10:0123456789");
	assert_int_equal(rig_inode(R, f).size, 1000);
	op.size = FILE_SIZE_MAX;
	assert_int_equal(rig_apply(R, op), 0);
	op.size++;
	assert_int_equal(rig_apply(R, op), -EFBIG);
}

static void test_write_refused(void **state)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "d");
	struct op link = op_at(OP_SYMLINK, ROOT_INO, "l");
	struct op_extent e = in_chunk(0, 10, 'a', 95);
	const struct op_chunk c = chunk('a', 100);
	struct op op = { .kind = OP_WRITE,
			 .ino = f,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &c,
			 .n_chunks = 1 };

	link.ino = rig.next_ino++;
	link.value = SPAN_LITERAL("x");
	assert_int_equal(rig_apply(R, link), 0);
	assert_int_equal(write_text(R, dir, 0, 0, "x"), -EISDIR);
	assert_int_equal(write_text(R, link.ino, 0, 0, "x"), -EINVAL);
	assert_int_equal(write_text(R, 99, 0, 0, "x"), -ESTALE);
	assert_int_equal(rig_apply(R, op), -EINVAL); /* beyond the chunk */
	e = in_chunk(0, 10, 'z', 0);
	assert_int_equal(rig_apply(R, op), -EINVAL); /* no such chunk */
	e = in_chunk(FILE_SIZE_MAX - 10, 10, 'a', 0);
	assert_int_equal(rig_apply(R, op), 0);
	op.flags = OP_WRITE_APPEND;
	e = in_chunk(0, 1, 'a', 0);
	assert_int_equal(rig_apply(R, op), -EFBIG);
}

static void test_mtime(void **state)
{
	struct op op = { .kind = OP_WRITE, .ino = f, .mtime_ns = 5000 };

	assert_int_equal(rig_apply(R, op), 0); /* the time of the write(2), as it was shown */
	assert_int_equal(rig_inode(R, f).mtime_ns, 5000);
	assert_true(rig_inode(R, f).ctime_ns > 5000);
	assert_int_equal(rig_apply(R, op), 0); /* other contents, another mtime */
	assert_int_equal(rig_inode(R, f).mtime_ns, rig_inode(R, f).ctime_ns);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_SETATTR,
						   .ino = f,
						   .set = OP_SET_MTIME,
						   .mtime_ns = 77 }),
			 0);
	op.flags = OP_WRITE_KEEP_MTIME;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).mtime_ns, 77);
	op = (struct op){ .kind = OP_TRUNCATE, .ino = f, .size = 0 };
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).mtime_ns, rig.time_ns);
	op.mtime_ns = rig.time_ns + 17;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).mtime_ns, op.mtime_ns);
	assert_int_equal(rig_inode(R, f).ctime_ns, op.mtime_ns);
}

static void test_killpriv(void **state)
{
	struct op chmod = { .kind = OP_SETATTR, .ino = f, .set = OP_SET_MODE, .mode = 06775 };

	assert_int_equal(rig_apply(R, chmod), 0);
	assert_int_equal(write_text(R, f, 0, 0, "x"), 0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 06775);
	assert_int_equal(write_text(R, f, OP_WRITE_KILLPRIV, 0, "x"), 0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 0775);
	chmod.mode = 06765; /* setgid without execution by the group is no privilege */
	assert_int_equal(rig_apply(R, chmod), 0);
	assert_int_equal(
		rig_apply(R,
			  (struct op){ .kind = OP_TRUNCATE, .ino = f, .flags = OP_WRITE_KILLPRIV }),
		0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 02765);
}

static void test_truncate(void **state)
{
	struct op op = { .kind = OP_TRUNCATE, .ino = f, .size = 60 };

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(R, f, 0, 100, "hello"), 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-60:a+0");
	assert_int_equal(chunk_of(R, 'a').live, 60);
	op.size = 1000;
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-60:a+0");
	assert_int_equal(rig_inode(R, f).size, 1000);
	op.size = FILE_SIZE_MAX + 1;
	assert_int_equal(rig_apply(R, op), -EFBIG);
	op.size = 0;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of(R, 'a').dead, rig.slot);
	op.ino = ROOT_INO;
	assert_int_equal(rig_apply(R, op), -EISDIR);
	op.ino = 99;
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

static void test_punch(void **state)
{
	struct op op = { .kind = OP_PUNCH, .ino = f, .off = 10, .len = 80 };

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(R, f, "0-10:a+0 90-100:a+90");
	assert_int_equal(rig_inode(R, f).size, 100);
	assert_int_equal(rig_inode(R, f).bytes, 20);
	op.off = 95;
	op.len = 1000;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).size, 100);
	op.flags = OP_PUNCH_GROW;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).size, 1095);
	op.len = 0;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.len = FILE_SIZE_MAX;
	assert_int_equal(rig_apply(R, op), -EFBIG);
	op.len = UINT64_MAX;
	assert_int_equal(rig_apply(R, op), -EFBIG);
}

static int clone(uint64_t from, uint64_t off, uint64_t len, uint64_t to, uint64_t to_off)
{
	return rig_apply(R, (struct op){ .kind = OP_CLONE,
					 .ino = from,
					 .off = off,
					 .len = len,
					 .to = to,
					 .to_off = to_off });
}

static void test_clone(void **state)
{
	const uint64_t g = rig_create(R, ROOT_INO, "g");

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(R, f, 0, 120, "hello"), 0);
	assert_int_equal(write_chunk(R, g, 0, 0, 300, 'b'), 0);
	assert_int_equal(clone(f, 50, 1000, g, 100), 0);
	assert_int_equal(rig.res.value, 75); /* as far as there is something */
	check_map(R, g, "0-100:b+0 100-150:a+50 170-175:hello 175-300:b+175");
	assert_int_equal(chunk_of(R, 'a').live, 150);
	assert_int_equal(chunk_of(R, 'b').live, 225);
	assert_int_equal(rig_inode(R, g).size, 300);
	assert_int_equal(rig_totals(R).bytes, 105 + 280);
	assert_int_equal(clone(f, 125, 10, g, 0), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(clone(f, 0, 125, f, 125), 0);
	check_map(R, f, "0-100:a+0 120-125:hello 125-225:a+0 245-250:hello");
	assert_int_equal(clone(f, 0, 10, f, 9), -EINVAL);
	assert_int_equal(clone(f, 10, 10, f, 1), -EINVAL);
	assert_int_equal(clone(f, 10, 10, f, 0), 0); /* side by side */
	assert_int_equal(clone(f, 0, 10, f, 0), -EINVAL);
	assert_int_equal(clone(f, 0, 10, f, FILE_SIZE_MAX - 9), -EFBIG);
	assert_int_equal(clone(f, 0, 10, ROOT_INO, 0), -EISDIR);
	assert_int_equal(clone(f, 0, 10, 99, 0), -ESTALE);
	assert_int_equal(clone(99, 0, 10, f, 0), -ESTALE);
}

/* More extents than are handled at a time; cloning may join with what it clones. */
static void test_many_extents(void **state)
{
	const struct op_chunk c = chunk('a', 1000);
	struct op_extent e[200];
	struct op op = { .kind = OP_WRITE, .ino = f, .extents = e, .chunks = &c, .n_chunks = 1 };

	for (op.n_extents = 0; op.n_extents < ARRAY_SIZE(e); op.n_extents++)
		e[op.n_extents] = in_chunk(op.n_extents * 2, 1, 'a', (uint32_t)(1 + op.n_extents));
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of(R, 'a').live, 200);
	assert_int_equal(clone(f, 0, 400, f, 400), 0);
	assert_int_equal(chunk_of(R, 'a').live, 400);
	assert_int_equal(rig_inode(R, f).bytes, 400);
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_PUNCH, .ino = f, .off = 1, .len = 797 }), 0);
	check_map(R, f, "0-1:a+1 798-799:a+200");
	assert_int_equal(chunk_of(R, 'a').live, 2);
}

/* The same without gaps: the next ones begin where the last one of a batch ended. */
static void test_many_neighbours(void **state)
{
	const struct op_chunk c = chunk('a', 1000);
	struct op_extent e[100];
	struct op op = { .kind = OP_WRITE, .ino = f, .extents = e, .chunks = &c, .n_chunks = 1 };

	for (op.n_extents = 0; op.n_extents < ARRAY_SIZE(e); op.n_extents++)
		e[op.n_extents] = in_chunk(op.n_extents, 1, 'a', (uint32_t)(2 * op.n_extents));
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(clone(f, 0, 100, f, 100), 0);
	assert_int_equal(chunk_of(R, 'a').live, 200);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	check_map(R, f, "");
	assert_int_equal(chunk_of(R, 'a').live, 0);
	assert_int_equal(rig_totals(R).bytes, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write),	  TEST(test_overwrite),	      TEST(test_split_inline),
		TEST(test_join),	  TEST(test_foreign),	      TEST(test_join_foreign),
		TEST(test_append),	  TEST(test_replace),	      TEST(test_size),
		TEST(test_write_refused), TEST(test_mtime),	      TEST(test_killpriv),
		TEST(test_truncate),	  TEST(test_punch),	      TEST(test_clone),
		TEST(test_many_extents),  TEST(test_many_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
