/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings of rows: what goes in comes out, in one form only, and hostile bytes are refused. */
#include "fs/ns/rows.h"

#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "tests/lib/cm.h"

#define LIMIT (256 * KiB)

/* Decodes the bytes as one kind of row and encodes what came out. Answers the decoder's error. */
typedef int recode_fn(struct span s, struct buf *ret);

#define RECODE(name) \
	static int recode_##name(struct span s, struct buf *ret) \
	{ \
		struct name##_row row; \
		const int r = name##_row_decode(s, &row); \
\
		if (r) \
			return r; \
		assert_int_equal(name##_row_encode(&row, ret), 0); \
		return 0; \
	}
RECODE(inode)
RECODE(extent)
RECODE(chunk)
RECODE(orphan)
RECODE(mount)
RECODE(result)
RECODE(store)
RECODE(volume)
RECODE(totals)
RECODE(grace)

static uint64_t seed = 1;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void check_form(recode_fn *recode, struct span s)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	const int r = recode(s, &again);

	if (r) {
		assert_int_equal(r, -EBADMSG);
		return;
	}
	assert_true(span_equal(s, buf_span(&again)));
}

/* Damaged copies are refused or are the one form of something else. */
static void check_damage(recode_fn *recode, struct span row)
{
	_cleanup_buf_ struct buf copy = BUF_INIT(LIMIT);

	for (int i = 0; i < 3000; i++) {
		buf_clear(&copy);
		assert_int_equal(buf_add_span(&copy, row), 0);
		for (uint32_t changes = 1 + draw(3); changes > 0; changes--)
			copy.data[draw((uint32_t)copy.len)] = (uint8_t)draw(256);
		check_form(recode, buf_span(&copy));
	}
}

/* The row itself, every beginning of it, one byte more, and damage. */
static void check_row(recode_fn *recode, struct span row)
{
	_cleanup_buf_ struct buf copy = BUF_INIT(LIMIT);

	assert_int_equal(recode(row, &copy), 0);
	assert_true(span_equal(row, buf_span(&copy)));
	for (size_t n = 0; n < row.len; n++) {
		buf_clear(&copy);
		assert_int_equal(recode(span_sub(row, 0, n), &copy), -EBADMSG);
	}
	buf_clear(&copy);
	assert_int_equal(buf_add_span(&copy, row), 0);
	assert_int_equal(buf_add_byte(&copy, 0), 0);
	check_form(recode, buf_span(&copy));
	check_damage(recode, row);
}

static const struct inode_row inode_samples[] = {
	{ .mode = S_IFREG | 04755,
	  .uid = UINT32_MAX,
	  .gid = 1,
	  .nlink = 3,
	  .size = FILE_SIZE_MAX,
	  .bytes = 300,
	  .mtime_ns = UINT64_MAX,
	  .ctime_ns = 5,
	  .btime_ns = 6,
	  .atime_ns = 7,
	  .flags = 8,
	  .policy = 9,
	  .project = 10,
	  .delegate = 11,
	  .version = 12 },
	{ .mode = S_IFDIR | 0755, .nlink = 4, .parent = ROOT_INO, .children = 1000, .subdirs = 2 },
	{ .mode = S_IFLNK | 0777, .nlink = 1, .size = 6, .target = SPAN_LITERAL("../x/y") },
	{ .mode = S_IFCHR, .nlink = 1, .rdev = 0x0103 },
	{ .mode = S_IFBLK, .nlink = 1, .rdev = 0x0800 },
	{ .mode = S_IFIFO, .nlink = 1 },
	{ .mode = S_IFSOCK, .nlink = 1 },
};

#define SAME(field) assert_int_equal(in->field, out.field)

static void same_inode(const struct inode_row *in, struct inode_row out)
{
	SAME(mode);
	SAME(uid);
	SAME(gid);
	SAME(nlink);
	SAME(size);
	SAME(bytes);
	SAME(mtime_ns);
	SAME(ctime_ns);
	SAME(btime_ns);
	SAME(atime_ns);
	SAME(rdev);
	SAME(flags);
	SAME(parent);
	SAME(children);
	SAME(subdirs);
	SAME(policy);
	SAME(project);
	SAME(delegate);
	SAME(version);
	assert_true(span_equal(in->target, out.target));
}

static void test_inode(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(inode_samples); i++) {
		const struct inode_row *in = &inode_samples[i];
		_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
		struct inode_row out;

		assert_int_equal(inode_row_encode(in, &b), 0);
		assert_int_equal(inode_row_decode(buf_span(&b), &out), 0);
		same_inode(in, out);
		check_row(recode_inode, buf_span(&b));
	}
}

static void test_inode_refused(void **state)
{
	const struct inode_row no_type = { .mode = 0644 };
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	assert_int_equal(inode_row_encode(&no_type, &b), -EINVAL);
	assert_int_equal(b.len, 0);
}

static const struct extent_row extent_samples[] = {
	{ .kind = EXTENT_CHUNK, .length = 8 * MiB, .chunk = "0123456789abcde", .chunk_offset = 77 },
	{ .kind = EXTENT_FOREIGN,
	  .length = FILE_SIZE_MAX - 5,
	  .foreign_offset = 5,
	  .bytes = SPAN_LITERAL("s3://bucket/key") },
	{ .kind = EXTENT_INLINE, .length = 5, .bytes = SPAN_LITERAL("hello") },
};

static void test_extent(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(extent_samples); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

		assert_int_equal(extent_row_encode(&extent_samples[i], &b), 0);
		check_row(recode_extent, buf_span(&b));
	}
}

static void test_extent_refused(void **state)
{
	static const uint8_t big[INLINE_MAX + 1];
	const struct extent_row bad[] = {
		{ .kind = 0, .length = 1 },
		{ .kind = 4, .length = 1 },
		{ .kind = EXTENT_CHUNK, .length = 0 },
		{ .kind = EXTENT_CHUNK, .length = UINT32_MAX, .chunk_offset = 1 },
		{ .kind = EXTENT_FOREIGN,
		  .length = FILE_SIZE_MAX,
		  .foreign_offset = 1,
		  .bytes = SPAN_LITERAL("x") },
		{ .kind = EXTENT_FOREIGN, .length = 1 },
		{ .kind = EXTENT_INLINE, .length = 4, .bytes = SPAN_LITERAL("hello") },
		{ .kind = EXTENT_INLINE, .length = sizeof(big), .bytes = { big, sizeof(big) } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

		assert_int_equal(extent_row_encode(&bad[i], &b), -EINVAL);
		assert_int_equal(b.len, 0);
	}
}

static void same_chunk(const struct chunk_row *in, struct chunk_row out)
{
	SAME(length);
	SAME(key_epoch);
	assert_memory_equal(in->salt, out.salt, sizeof(out.salt));
	SAME(live);
	SAME(stores);
	SAME(want);
	SAME(policy);
	SAME(born);
	SAME(dead);
}

static void test_chunk(void **state)
{
	const struct chunk_row in = { .length = 8 * MiB,
				      .key_epoch = 2,
				      .salt = "saltsaltsaltsal",
				      .live = 9,
				      .stores = 5,
				      .want = UINT64_MAX,
				      .policy = 3,
				      .born = 10,
				      .dead = 11 };
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
	struct chunk_row out;

	assert_int_equal(chunk_row_encode(&in, &b), 0);
	assert_int_equal(chunk_row_decode(buf_span(&b), &out), 0);
	same_chunk(&in, out);
	check_row(recode_chunk, buf_span(&b));
}

static void test_small_rows(void **state)
{
	const struct orphan_row orphan = { .slot = 300, .time_ns = 1 };
	const struct totals_row totals = { .files = 1, .directories = 2, .bytes = 1ull << 50 };
	const struct grace_row grace = { .seconds = 300, .since_ns = 1 };
	const struct result_row result = { .error = -ENOTEMPTY, .value = 1ull << 40 };
	const struct result_row bad[] = { { .error = 1 }, { .error = -5000 } };
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
	struct result_row out;

	assert_int_equal(orphan_row_encode(&orphan, &b), 0);
	check_row(recode_orphan, buf_span(&b));
	buf_clear(&b);
	assert_int_equal(totals_row_encode(&totals, &b), 0);
	check_row(recode_totals, buf_span(&b));
	buf_clear(&b);
	assert_int_equal(grace_row_encode(&grace, &b), 0);
	check_row(recode_grace, buf_span(&b));
	buf_clear(&b);
	assert_int_equal(result_row_encode(&result, &b), 0);
	assert_int_equal(result_row_decode(buf_span(&b), &out), 0);
	assert_int_equal(out.error, -ENOTEMPTY);
	check_row(recode_result, buf_span(&b));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(result_row_encode(&bad[i], &b), -EINVAL);
}

static void test_labelled_rows(void **state)
{
	static const char long_name[300] = "x";
	const struct mount_row mount = { .number = 5,
					 .status = MOUNT_FENCED,
					 .last = 900,
					 .slot = 4,
					 .name = SPAN_LITERAL("host/4711") };
	const struct mount_row no_status = { .number = 5 };
	const struct mount_row long_mount = { .status = MOUNT_MOUNTED,
					      .name = span_of(long_name, 300) };
	const struct store_row store = { .id = "0123456789abcde",
					 .roles = 3,
					 .name = SPAN_LITERAL("aws"),
					 .url = SPAN_LITERAL("s3://bucket/prefix") };
	const struct volume_row volume = { .id = "volumevolumevol",
					   .level = 1,
					   .epoch = 2,
					   .key_epoch = 3,
					   .next_mount = UINT32_MAX,
					   .name_key = "keykeykeykeykey",
					   .created_ns = 5,
					   .name = SPAN_LITERAL("demo") };
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	assert_int_equal(mount_row_encode(&mount, &b), 0);
	check_row(recode_mount, buf_span(&b));
	buf_clear(&b);
	assert_int_equal(mount_row_encode(&no_status, &b), -EINVAL);
	assert_int_equal(mount_row_encode(&long_mount, &b), -EINVAL);
	assert_int_equal(store_row_encode(&store, &b), 0);
	check_row(recode_store, buf_span(&b));
	buf_clear(&b);
	assert_int_equal(volume_row_encode(&volume, &b), 0);
	check_row(recode_volume, buf_span(&b));
}

/* An encoder that runs out of room leaves what was there. */
static void test_no_room(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10);

	assert_int_equal(buf_add_str(&b, "abc"), 0);
	assert_true(inode_row_encode(&inode_samples[0], &b) < 0);
	assert_span_str(buf_span(&b), "abc");
}

static void test_keys(void **state)
{
	uint8_t a[16], b[16];

	key_ino_u64(1, UINT64_MAX, a);
	key_ino_u64(2, 0, b);
	assert_true(memcmp(a, b, 16) < 0);
	assert_int_equal(key_u64(a + 8), UINT64_MAX);
	key_ino(0x0102030405060708, a);
	assert_memory_equal(a, "\1\2\3\4\5\6\7\10", 8);
}

static struct dentry entry(const char *name, uint64_t ino, unsigned tie)
{
	return (struct dentry){ .name = span_str(name), .ino = ino, .type = S_IFREG, .tie = tie };
}

static void edit(struct buf *bucket, unsigned tie, const struct dentry *add)
{
	struct buf next = BUF_INIT(ROW_MAX);

	assert_int_equal(bucket_edit(buf_span(bucket), tie, add, &next), 0);
	buf_release(bucket);
	*bucket = next;
}

static int recode_bucket(struct span s, struct buf *ret)
{
	return bucket_edit(s, DENTRY_TIES, NULL, ret);
}

/*
 * Entries with one hash stand in the order of their ties, whatever the order of their coming and
 * going.
 */
static void test_bucket(void **state)
{
	_cleanup_buf_ struct buf bucket = BUF_INIT(ROW_MAX);
	const struct dentry a = entry("a", 10, 0), b = entry("b", 11, 1), c = entry("c", 12, 2);
	const struct dentry b2 = entry("b-again", 13, 1);
	struct reader rd;
	struct dentry d;

	edit(&bucket, 0, &a);
	edit(&bucket, 2, &c);
	edit(&bucket, 1, &b);
	edit(&bucket, 1, &b2);
	check_damage(recode_bucket, buf_span(&bucket));
	edit(&bucket, 0, NULL);
	rd = READER(buf_span(&bucket));
	assert_true(dentry_next(&rd, &d));
	assert_span_str(d.name, "b-again");
	assert_int_equal(d.ino, 13);
	assert_int_equal(d.tie, 1);
	assert_int_equal(d.type, S_IFREG);
	assert_true(dentry_next(&rd, &d));
	assert_span_str(d.name, "c");
	assert_false(dentry_next(&rd, &d));
	assert_int_equal(read_end(&rd), 0);
	edit(&bucket, 1, NULL);
	edit(&bucket, 2, NULL);
	assert_int_equal(bucket.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inode),	      cmocka_unit_test(test_inode_refused),
		cmocka_unit_test(test_extent),	      cmocka_unit_test(test_extent_refused),
		cmocka_unit_test(test_chunk),	      cmocka_unit_test(test_small_rows),
		cmocka_unit_test(test_labelled_rows), cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_keys),	      cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
