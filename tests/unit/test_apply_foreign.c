/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign objects as contents: sources, adopted files, and bytes that are packed elsewhere. */
#include <stdio.h>
#include <sys/stat.h>

#include "fs/ns/foreign.h"
#include "tests/lib/ns_file.h"

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

static int source(const char *url)
{
	return rig_apply(R, (struct op){ .kind = OP_SOURCE, .value = span_str(url) });
}

static void test_sources(void **state)
{
	_cleanup_buf_ struct buf url = BUF_INIT(ROW_MAX);

	assert_int_equal(source("s3://a"), 0);
	assert_int_equal(rig.res.value, 1);
	assert_int_equal(source("s3://b/p"), 0);
	assert_int_equal(rig.res.value, 2);
	assert_int_equal(source("s3://a"), 0);
	assert_int_equal(rig.res.value, 1); /* the same again */
	assert_int_equal(source(""), -EINVAL);
	assert_int_equal(ns_source(rig.view, 2, &url), 0);
	assert_string_equal(buf_str(&url), "s3://b/p");
	assert_int_equal(ns_source(rig.view, 3, &url), NS_MISSING);
}

static void test_too_many_sources(void **state)
{
	char url[32];

	for (unsigned i = 1; i <= SOURCES_MAX; i++) {
		_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
		struct source_row s;
		uint8_t key[4];

		snprintf(url, sizeof(url), "s3://bucket%u", i);
		s.url = span_str(url);
		key_source(i, key);
		assert_int_equal(source_row_encode(&s, &row), 0);
		assert_int_equal(view_put(rig.view, COL_SOURCE, span_of(key, 4), buf_span(&row)),
				 0);
	}
	assert_int_equal(source("s3://one-more"), -ENOSPC);
	assert_int_equal(source("s3://bucket4000"), 0);
	assert_int_equal(rig.res.value, 4000);
}

static struct op adoption(const char *name, uint64_t size, const char *reference)
{
	return (struct op){ .kind = OP_ADOPT,
			    .parent = ROOT_INO,
			    .name = span_str(name),
			    .ino = rig.next_ino++,
			    .uid = 5,
			    .gid = 6,
			    .mode = 0640,
			    .mtime_ns = 12345,
			    .size = size,
			    .value = span_str(reference) };
}

static uint64_t adopt(const char *name, uint64_t size)
{
	assert_int_equal(rig_apply(R, adoption(name, size, "ref")), 0);
	return rig.res.value;
}

static void test_adopt(void **state)
{
	const uint64_t version = rig_inode(R, ROOT_INO).version;
	const uint64_t ino = adopt("a", 100);
	const struct inode_row row = rig_inode(R, ino);

	check_map(R, ino, "0-100:ref+0");
	assert_int_equal(row.mode, S_IFREG | 0640);
	assert_int_equal(row.uid, 5);
	assert_int_equal(row.size, 100);
	assert_int_equal(row.bytes, 100);
	assert_int_equal(row.mtime_ns, 12345);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_equal(rig_lookup(R, ROOT_INO, "a"), ino);
	assert_int_equal(rig_totals(R).files, 1);
	assert_int_equal(rig_totals(R).bytes, 100);
	assert_int_equal(rig_inode(R, ROOT_INO).children, 1);
	assert_true(rig_inode(R, ROOT_INO).version > version);
	assert_int_equal(rig_apply(R, adoption("a", 100, "ref")), -EEXIST);
	assert_int_equal(rig.res.value, ino);
}

static void test_adopt_empty(void **state)
{
	assert_int_equal(rig_apply(R, adoption("e", 0, "")), 0);
	check_map(R, rig.res.value, "");
	assert_int_equal(rig_inode(R, rig.res.value).mtime_ns, 12345);
}

static void test_adopt_refused(void **state)
{
	struct op op = adoption("x", 5, "ref");

	assert_int_equal(rig_apply(R, adoption("x", 5, "")), -EINVAL);
	assert_int_equal(rig_apply(R, adoption("x", 0, "ref")), -EINVAL);
	assert_int_equal(rig_apply(R, adoption("x", FILE_SIZE_MAX + 1, "ref")), -EFBIG);
	op.parent = 0x1000777;
	assert_int_equal(rig_apply(R, op), -ENOENT);
	op = adoption("x", 5, "ref");
	op.mode = S_IFREG | 0644; /* the type goes without saying */
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.mode = 0644;
	op.ino = 0x5000001; /* of nobody's block */
	assert_int_equal(rig_apply(R, op), -EINVAL);
}

/* An adopted file is a file: written, cut, cloned. */
static void test_changed(void **state)
{
	const uint64_t a = adopt("a", 100), b = rig_create(R, ROOT_INO, "b");

	assert_int_equal(write_text(R, a, 0, 10, "new"), 0);
	check_map(R, a, "0-10:ref+0 10-13:new 13-100:ref+13");
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = a, .size = 50 }), 0);
	check_map(R, a, "0-10:ref+0 10-13:new 13-50:ref+13");
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_CLONE, .ino = a, .len = 20, .to = b }), 0);
	check_map(R, b, "0-10:ref+0 10-13:new 13-20:ref+13");
	assert_int_equal(rig_totals(R).bytes, 70);
}

/* ---- repack ---- */

/* [off, off + length) of `ino`, believed to be the foreign object from `at` on, is in chunk 'c'. */
static int repack(uint64_t ino, uint64_t off, uint64_t length, uint64_t at, const char *reference)
{
	const struct extent_row old = { .kind = EXTENT_FOREIGN,
					.length = length,
					.foreign_offset = at,
					.bytes = span_str(reference) };
	const struct op_extent e = in_chunk(off, length, 'c', 0);
	const struct op_chunk c = chunk('c', 100);
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);

	assert_int_equal(extent_row_encode(&old, &row), 0);
	return rig_apply(R, (struct op){ .kind = OP_REPACK,
					 .ino = ino,
					 .off = off,
					 .value = buf_span(&row),
					 .extents = &e,
					 .n_extents = 1,
					 .chunks = &c,
					 .n_chunks = 1 });
}

static void test_repack(void **state)
{
	const uint64_t ino = adopt("a", 100);
	struct inode_row before = rig_inode(R, ino), after;

	assert_int_equal(repack(ino, 0, 100, 0, "ref"), 0);
	assert_int_equal(rig.res.value, 100);
	check_map(R, ino, "0-100:c+0");
	after = rig_inode(R, ino);
	assert_memory_equal(&before, &after, sizeof(before)); /* no time, no version */
	assert_int_equal(chunk_of(R, 'c').live, 100);
	assert_int_equal(chunk_of(R, 'c').dead, 0);
	assert_int_equal(rig_totals(R).bytes, 100);
}

/* What was written meanwhile stays. */
static void test_repack_after_write(void **state)
{
	const uint64_t ino = adopt("a", 100);

	assert_int_equal(write_text(R, ino, 0, 10, "new"), 0);
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_PUNCH, .ino = ino, .off = 50, .len = 10 }), 0);
	assert_int_equal(repack(ino, 0, 100, 0, "ref"), 0);
	assert_int_equal(rig.res.value, 87);
	check_map(R, ino, "0-10:c+0 10-13:new 13-50:c+13 60-100:c+60");
	assert_int_equal(chunk_of(R, 'c').live, 87);
}

/* Truncated, and gone: the chunk is garbage. */
static void test_repack_too_late(void **state)
{
	const uint64_t ino = adopt("a", 100);

	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = ino, .size = 30 }),
			 0);
	assert_int_equal(repack(ino, 0, 100, 0, "ref"), 0);
	check_map(R, ino, "0-30:c+0");
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = ino }), 0);
	assert_int_equal(repack(ino, 0, 100, 0, "ref"), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(chunk_of(R, 'c').live, 0);
	assert_int_equal(chunk_of(R, 'c').dead, rig.slot);
}

/* The same range of another object, or another range of the same: nothing is replaced. */
static void test_repack_of_another(void **state)
{
	const uint64_t ino = adopt("a", 100);

	assert_int_equal(repack(ino, 0, 100, 0, "other"), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(repack(ino, 0, 100, 1, "ref"), 0);
	check_map(R, ino, "0-100:ref+0");
	assert_int_equal(repack(ino, 40, 20, 40, "ref"), 0);
	check_map(R, ino, "0-40:ref+0 40-60:c+0 60-100:ref+60");
}

static void test_repack_refused(void **state)
{
	const uint64_t ino = adopt("a", 100);
	const struct op_extent e = in_chunk(90, 11, 'c', 0);
	const struct op_chunk c = chunk('c', 11);
	const struct extent_row old = { .kind = EXTENT_FOREIGN,
					.length = 100,
					.bytes = SPAN_LITERAL("ref") };
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	struct op op = { .kind = OP_REPACK,
			 .ino = ino,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &c,
			 .n_chunks = 1 };

	assert_int_equal(rig_apply(R, op), -EINVAL); /* no row */
	assert_int_equal(extent_row_encode(&old, &row), 0);
	op.value = buf_span(&row);
	assert_int_equal(rig_apply(R, op), -EINVAL); /* it goes beyond what is replaced */
	op.ino = ROOT_INO;
	assert_int_equal(rig_apply(R, op), -EISDIR);
	op.ino = 0x1000777;
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

/* ---- references ---- */

static void test_references(void **state)
{
	const struct foreign with = { .source = 3,
				      .key = SPAN_LITERAL("a/b"),
				      .size = 500,
				      .version = SPAN_LITERAL("v1") };
	const struct foreign without = {
		.source = 3, .key = SPAN_LITERAL("a/b"), .size = 500, .modified_s = 77
	};
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);
	struct foreign f;

	assert_int_equal(foreign_encode(&with, &b), 0);
	/* a million of them are little more than their keys and versions */
	assert_int_equal(b.len, 1 + 4 + 2 + 3);
	assert_int_equal(foreign_decode(buf_span(&b), &f), 0);
	assert_true(f.source == 3 && f.size == 500 && f.modified_s == 0);
	assert_true(span_equal(f.key, with.key) && span_equal(f.version, with.version));
	buf_clear(&b);
	assert_int_equal(foreign_encode(&without, &b), 0);
	assert_int_equal(foreign_decode(buf_span(&b), &f), 0);
	assert_true(f.modified_s == 77 && f.version.len == 0);
	assert_int_equal(foreign_decode(span_sub(buf_span(&b), 0, b.len - 1), &f), -EBADMSG);
	assert_int_equal(foreign_decode(SPAN_LITERAL("s3:k"), &f), -EBADMSG);
}

static void test_no_references(void **state)
{
	struct foreign f = { .source = 1, .key = SPAN_LITERAL("k"), .size = 1 };
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);

	f.source = 0;
	assert_int_equal(foreign_encode(&f, &b), -EINVAL);
	f = (struct foreign){ .source = 1 };
	assert_int_equal(foreign_encode(&f, &b), -EINVAL);
	f = (struct foreign){ .source = 1,
			      .key = SPAN_LITERAL("k"),
			      .version = SPAN_LITERAL("v"),
			      .modified_s = 1 };
	assert_int_equal(foreign_encode(&f, &b), -EINVAL); /* one form only */
	assert_int_equal(b.len, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sources),	  TEST(test_too_many_sources),
		TEST(test_adopt),	  TEST(test_adopt_empty),
		TEST(test_adopt_refused), TEST(test_changed),
		TEST(test_repack),	  TEST(test_repack_after_write),
		TEST(test_repack_too_late), TEST(test_repack_of_another),
		TEST(test_repack_refused), TEST(test_references),
		TEST(test_no_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
