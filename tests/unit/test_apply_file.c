/* SPDX-License-Identifier: Apache-2.0 */
/* Contents: extents that replace, split, join, and what their chunks count. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"

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

static struct op_chunk chunk(uint8_t id, uint32_t length)
{
	struct op_chunk c = { .length = length, .key_epoch = 1, .stores = 1, .want = 7 };

	memset(c.id, id, CHUNK_ID_SIZE);
	memset(c.salt, 0x80 | id, sizeof(c.salt));
	return c;
}

static struct op_extent in_chunk(uint64_t offset, uint64_t length, uint8_t id, uint32_t chunk_offset)
{
	struct op_extent e = { .offset = offset,
			       .row = { .kind = EXTENT_CHUNK, .length = length, .chunk_offset = chunk_offset } };

	memset(e.row.chunk, id, CHUNK_ID_SIZE);
	return e;
}

static struct op_extent in_line(uint64_t offset, const char *text)
{
	return (struct op_extent){ .offset = offset,
				   .row = { .kind = EXTENT_INLINE, .length = strlen(text), .bytes = span_str(text) } };
}

/* One extent of a new chunk of the same length. */
static int write_chunk(uint64_t ino, uint32_t flags, uint64_t offset, uint32_t length, uint8_t id)
{
	const struct op_extent e = in_chunk(offset, length, id, 0);
	const struct op_chunk c = chunk(id, length);

	return rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = ino, .flags = flags, .extents = &e,
					 .n_extents = 1, .chunks = &c, .n_chunks = 1 });
}

static int write_text(uint64_t ino, uint32_t flags, uint64_t offset, const char *text)
{
	const struct op_extent e = in_line(offset, text);

	return rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = ino, .flags = flags, .extents = &e,
					 .n_extents = 1 });
}

/* "0-100:a+0 100-150:a+200 150-155:hello": the whole map of a file, in order. */
static int describe(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct buf *b = arg;

	assert_int_equal(buf_addf(b, "%s%lu-%lu:", b->len ? " " : "", (unsigned long)offset,
				  (unsigned long)(offset + row->length)), 0);
	if (row->kind == EXTENT_INLINE)
		return buf_addf(b, "%.*s", SPAN_FMT(row->bytes));
	if (row->kind == EXTENT_FOREIGN)
		return buf_addf(b, "%.*s+%lu", SPAN_FMT(row->bytes), (unsigned long)row->foreign_offset);
	return buf_addf(b, "%c+%u", row->chunk[0], row->chunk_offset);
}

static void check_map(uint64_t ino, const char *expected)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MiB);

	assert_int_equal(ns_extents(rig.view, ino, 0, UINT64_MAX, describe, &b), 0);
	assert_string_equal(buf_str(&b), expected);
}

static struct chunk_row chunk_of(uint8_t id)
{
	uint8_t key[CHUNK_ID_SIZE];
	struct chunk_row row;

	memset(key, id, sizeof(key));
	assert_int_equal(ns_chunk(rig.view, key, &row), 0);
	return row;
}

static void test_write(void **state)
{
	struct inode_row row;

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	check_map(f, "0-100:a+0");
	row = rig_inode(R, f);
	assert_int_equal(row.size, 100);
	assert_int_equal(row.bytes, 100);
	assert_int_equal(row.version, 1);
	assert_int_equal(row.mtime_ns, rig.time_ns);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_equal(chunk_of('a').live, 100);
	assert_int_equal(chunk_of('a').born, rig.slot);
	assert_int_equal(chunk_of('a').dead, 0);
	assert_int_equal(chunk_of('a').stores, 1);
	assert_int_equal(chunk_of('a').want, 7);
	assert_int_equal(rig_totals(R).bytes, 100);
	assert_int_equal(write_text(f, 0, 200, "hello"), 0);
	check_map(f, "0-100:a+0 200-205:hello");
	assert_int_equal(rig_inode(R, f).size, 205);
	assert_int_equal(rig_inode(R, f).bytes, 105);
}

static void test_overwrite(void **state)
{
	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(f, 0, 40, "0123456789"), 0);
	check_map(f, "0-40:a+0 40-50:0123456789 50-100:a+50");
	assert_int_equal(chunk_of('a').live, 90);
	assert_int_equal(rig_inode(R, f).size, 100);
	assert_int_equal(rig_inode(R, f).bytes, 100);
	assert_int_equal(write_chunk(f, 0, 30, 30, 'b'), 0);
	check_map(f, "0-30:a+0 30-60:b+0 60-100:a+60");
	assert_int_equal(write_text(f, 0, 35, "x"), 0);
	check_map(f, "0-30:a+0 30-35:b+0 35-36:x 36-60:b+6 60-100:a+60");
	rig_commit(R);
	assert_int_equal(write_chunk(f, 0, 0, 100, 'c'), 0);
	check_map(f, "0-100:c+0");
	assert_int_equal(chunk_of('a').live, 0);
	assert_int_equal(chunk_of('a').dead, rig.slot);
	assert_int_equal(chunk_of('b').dead, rig.slot);
	assert_int_equal(rig_totals(R).bytes, 100);
}

/* The cut falls into the middle of inline bytes. */
static void test_split_inline(void **state)
{
	assert_int_equal(write_text(f, 0, 10, "abcdefgh"), 0);
	assert_int_equal(write_text(f, 0, 12, "XY"), 0);
	check_map(f, "10-12:ab 12-14:XY 14-18:efgh");
	assert_int_equal(write_text(f, 0, 9, "12"), 0);
	check_map(f, "9-11:12 11-12:b 12-14:XY 14-18:efgh");
}

static void test_join(void **state)
{
	const struct op_chunk c = chunk('a', 300);
	struct op_extent e = in_chunk(0, 100, 'a', 0);
	struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1, .chunks = &c, .n_chunks = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	e = in_chunk(200, 100, 'a', 200);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-100:a+0 200-300:a+200");
	e = in_chunk(100, 100, 'a', 100);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-300:a+0");
	assert_int_equal(chunk_of('a').live, 300);
	e = in_chunk(300, 10, 'a', 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-300:a+0 300-310:a+0");
	assert_int_equal(chunk_of('a').live, 310);
}

static void test_foreign(void **state)
{
	const struct op_extent e = { .row = { .kind = EXTENT_FOREIGN, .length = 100, .foreign_offset = 7,
					      .bytes = SPAN_LITERAL("key") } };
	const struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_PUNCH, .ino = f, .off = 10, .len = 10 }), 0);
	check_map(f, "0-10:key+7 20-100:key+27");
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_CLONE, .ino = f, .off = 0, .len = 10, .to = f,
						   .to_off = 100 }), 0);
	check_map(f, "0-10:key+7 20-100:key+27 100-110:key+7");
}

static void test_append(void **state)
{
	assert_int_equal(write_text(f, 0, 0, "abc"), 0);
	assert_int_equal(write_text(f, OP_WRITE_APPEND, 0, "def"), 0);
	assert_int_equal(rig.res.value, 3);
	assert_int_equal(write_text(f, OP_WRITE_APPEND, 0, "ghi"), 0);
	assert_int_equal(rig.res.value, 6);
	check_map(f, "0-3:abc 3-6:def 6-9:ghi");
	assert_int_equal(write_text(f, OP_WRITE_APPEND | OP_WRITE_REPLACE, 0, "new"), 0);
	assert_int_equal(rig.res.value, 0);
	check_map(f, "0-3:new");
}

static void test_replace(void **state)
{
	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(f, 0, 500, "tail"), 0);
	assert_int_equal(write_text(f, OP_WRITE_REPLACE, 2, "new"), 0);
	check_map(f, "2-5:new");
	assert_int_equal(rig_inode(R, f).size, 5);
	assert_int_equal(rig_inode(R, f).bytes, 3);
	assert_int_equal(chunk_of('a').dead, rig.slot);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = f, .flags = OP_WRITE_REPLACE }), 0);
	check_map(f, "");
	assert_int_equal(rig_inode(R, f).size, 0);
	assert_int_equal(rig_totals(R).bytes, 0);
}

/* New contents that refer to a chunk of the old: it lives on, and keeps what is known of it. */
static void test_replace_keeps_chunk(void **state)
{
	const struct op_extent e = in_chunk(0, 50, 'a', 50);
	struct op deficit = { .kind = OP_DEFICIT, .n_chunks = 1 };
	struct op_chunk c = chunk('a', 100);

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	c.stores = 2;
	deficit.chunks = &c;
	assert_int_equal(rig_apply(R, deficit), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = f, .flags = OP_WRITE_REPLACE,
						   .extents = &e, .n_extents = 1 }), 0);
	check_map(f, "0-50:a+50");
	assert_int_equal(chunk_of('a').live, 50);
	assert_int_equal(chunk_of('a').dead, 0);
}

static void test_size(void **state)
{
	const struct op_extent e = in_line(0, "0123456789");
	struct op op = { .kind = OP_WRITE, .ino = f, .flags = OP_WRITE_SIZE, .size = 4, .extents = &e,
			 .n_extents = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-4:0123");
	assert_int_equal(rig_inode(R, f).size, 4);
	op.size = 1000;
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-10:0123456789");
	assert_int_equal(rig_inode(R, f).size, 1000);
	op.size = FILE_SIZE_MAX;
	assert_int_equal(rig_apply(R, op), 0);
	op.size++;
	assert_int_equal(rig_apply(R, op), -EFBIG);
}

/* A chunk that is named and not used is garbage from the start. */
static void test_unused_chunk(void **state)
{
	const struct op_chunk c[] = { chunk('a', 10), chunk('b', 10) };
	const struct op_extent e[] = { in_chunk(0, 10, 'a', 0), in_chunk(90, 10, 'b', 0) };

	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_WRITE, .ino = f, .extents = e, .n_extents = 2,
						   .flags = OP_WRITE_SIZE, .size = 20, .chunks = c, .n_chunks = 2 }),
			 0);
	check_map(f, "0-10:a+0");
	assert_int_equal(chunk_of('b').live, 0);
	assert_int_equal(chunk_of('b').dead, rig.slot);
}

/* A pack: every file's WRITE names it; a dead chunk that is named again lives again. */
static void test_shared_chunk(void **state)
{
	const uint64_t g = rig_create(R, ROOT_INO, "g");
	struct op_extent e = in_chunk(0, 10, 'a', 0);
	struct op_chunk c = chunk('a', 20);
	struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1, .chunks = &c, .n_chunks = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	op.ino = g;
	e = in_chunk(0, 10, 'a', 10);
	c.stores = 4;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of('a').live, 20);
	assert_int_equal(chunk_of('a').stores, 5);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = g }), 0);
	assert_int_equal(chunk_of('a').dead, rig.slot);
	op.n_chunks = 0;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.n_chunks = 1;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of('a').dead, 0);
	c.length = 21;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	c = chunk('a', 20);
	c.salt[3] ^= 1;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	c = chunk('a', 20);
	c.key_epoch++;
	assert_int_equal(rig_apply(R, op), -EINVAL);
}

static void test_write_refused(void **state)
{
	const uint64_t dir = rig_mkdir(R, ROOT_INO, "d");
	struct op link = op_at(OP_SYMLINK, ROOT_INO, "l");
	struct op_extent e = in_chunk(0, 10, 'a', 95);
	const struct op_chunk c = chunk('a', 100);
	struct op op = { .kind = OP_WRITE, .ino = f, .extents = &e, .n_extents = 1, .chunks = &c, .n_chunks = 1 };

	link.ino = rig.next_ino++;
	link.value = SPAN_LITERAL("x");
	assert_int_equal(rig_apply(R, link), 0);
	assert_int_equal(write_text(dir, 0, 0, "x"), -EISDIR);
	assert_int_equal(write_text(link.ino, 0, 0, "x"), -EINVAL);
	assert_int_equal(write_text(99, 0, 0, "x"), -ESTALE);
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
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_SETATTR, .ino = f, .set = OP_SET_MTIME,
						   .mtime_ns = 77 }), 0);
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
	assert_int_equal(write_text(f, 0, 0, "x"), 0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 06775);
	assert_int_equal(write_text(f, OP_WRITE_KILLPRIV, 0, "x"), 0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 0775);
	chmod.mode = 06765; /* setgid without execution by the group is no privilege */
	assert_int_equal(rig_apply(R, chmod), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f, .flags = OP_WRITE_KILLPRIV }), 0);
	assert_int_equal(rig_inode(R, f).mode, S_IFREG | 02765);
}

static void test_truncate(void **state)
{
	struct op op = { .kind = OP_TRUNCATE, .ino = f, .size = 60 };

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(f, 0, 100, "hello"), 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-60:a+0");
	assert_int_equal(chunk_of('a').live, 60);
	op.size = 1000;
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-60:a+0");
	assert_int_equal(rig_inode(R, f).size, 1000);
	op.size = FILE_SIZE_MAX + 1;
	assert_int_equal(rig_apply(R, op), -EFBIG);
	op.size = 0;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of('a').dead, rig.slot);
	op.ino = ROOT_INO;
	assert_int_equal(rig_apply(R, op), -EISDIR);
	op.ino = 99;
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

static void test_punch(void **state)
{
	struct op op = { .kind = OP_PUNCH, .ino = f, .off = 10, .len = 80 };

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(rig_apply(R, op), 0);
	check_map(f, "0-10:a+0 90-100:a+90");
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
	return rig_apply(R, (struct op){ .kind = OP_CLONE, .ino = from, .off = off, .len = len, .to = to,
					 .to_off = to_off });
}

static void test_clone(void **state)
{
	const uint64_t g = rig_create(R, ROOT_INO, "g");

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_text(f, 0, 120, "hello"), 0);
	assert_int_equal(write_chunk(g, 0, 0, 300, 'b'), 0);
	assert_int_equal(clone(f, 50, 1000, g, 100), 0);
	assert_int_equal(rig.res.value, 75); /* as far as there is something */
	check_map(g, "0-100:b+0 100-150:a+50 170-175:hello 175-300:b+175");
	assert_int_equal(chunk_of('a').live, 150);
	assert_int_equal(chunk_of('b').live, 225);
	assert_int_equal(rig_inode(R, g).size, 300);
	assert_int_equal(rig_totals(R).bytes, 105 + 280);
	assert_int_equal(clone(f, 125, 10, g, 0), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(clone(f, 0, 125, f, 125), 0);
	check_map(f, "0-100:a+0 120-125:hello 125-225:a+0 245-250:hello");
	assert_int_equal(clone(f, 0, 10, f, 9), -EINVAL);
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
	assert_int_equal(chunk_of('a').live, 200);
	assert_int_equal(clone(f, 0, 400, f, 400), 0);
	assert_int_equal(chunk_of('a').live, 400);
	assert_int_equal(rig_inode(R, f).bytes, 400);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_PUNCH, .ino = f, .off = 1, .len = 797 }), 0);
	check_map(f, "0-1:a+1 798-799:a+200");
	assert_int_equal(chunk_of('a').live, 2);
}

static int count_deficit(const uint8_t *id, unsigned store, void *arg)
{
	uint64_t *stores = arg;

	*stores |= 1ull << store;
	return 0;
}

static uint64_t deficits(void)
{
	uint64_t stores = 0;

	assert_int_equal(ns_deficits(rig.view, NULL, 0, count_deficit, &stores), 0);
	return stores;
}

static int report(enum op_kind kind, uint8_t id, uint64_t stores)
{
	struct op_chunk c = chunk(id, 1);

	c.stores = stores;
	return rig_apply(R, (struct op){ .kind = kind, .chunks = &c, .n_chunks = 1 });
}

static void test_copies(void **state)
{
	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(report(OP_DEFICIT, 'a', 0xff), 0);
	assert_int_equal(deficits(), 6); /* it is wanted at 0, 1, 2 and stands at 0 */
	assert_int_equal(report(OP_STORED, 'a', 2), 0);
	assert_int_equal(chunk_of('a').stores, 3);
	assert_int_equal(deficits(), 4);
	assert_int_equal(report(OP_DEFICIT, 'a', 2), 0);
	assert_int_equal(deficits(), 4);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	assert_int_equal(deficits(), 0);
	assert_int_equal(report(OP_DEFICIT, 'a', 4), 0);
	assert_int_equal(deficits(), 0);
	assert_int_equal(report(OP_STORED, 'a', 4), 0);
	assert_int_equal(chunk_of('a').stores, 7);
	assert_int_equal(report(OP_STORED, 'z', 4), 0);
	assert_int_equal(report(OP_DEFICIT, 'z', 4), 0);
}

static int one_orphan(uint64_t ino, const struct orphan_row *row, void *arg)
{
	uint64_t *ret = arg;

	assert_int_equal(*ret, 0);
	*ret = ino;
	return 0;
}

static uint64_t orphans(void)
{
	uint64_t ino = 0;

	assert_int_equal(ns_orphans(rig.view, 0, one_orphan, &ino), 0);
	return ino;
}

static void test_reap(void **state)
{
	struct op op = { .kind = OP_REAP, .ino = f };
	const struct op xattr = { .kind = OP_SETXATTR, .ino = f, .name = SPAN_LITERAL("user.a"),
				  .value = SPAN_LITERAL("1") };

	assert_int_equal(write_chunk(f, 0, 0, 100, 'a'), 0);
	assert_int_equal(rig_apply(R, xattr), 0);
	assert_int_equal(rig_apply(R, op), -EBUSY);
	assert_int_equal(orphans(), 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), 0);
	assert_int_equal(orphans(), f);
	assert_int_equal(write_text(f, 0, 10, "open still"), 0);
	assert_int_equal(rig_totals(R).bytes, 100);
	op.saw = rig.slot + 1;
	assert_int_equal(rig_apply(R, op), -EBUSY);
	rig_commit(R);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = f }), 0);
	op.saw = rig.slot;
	assert_int_equal(rig_apply(R, op), 0);
	assert_false(rig_exists(R, f));
	assert_int_equal(orphans(), 0);
	assert_int_equal(chunk_of('a').dead, rig.slot);
	assert_int_equal(rig_totals(R).bytes, 0);
	check_map(f, "");
	assert_int_equal(rig_apply(R, op), -ESTALE);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = f }), -ESTALE);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = ROOT_INO }), -EBUSY);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write),	TEST(test_overwrite),	 TEST(test_split_inline),
		TEST(test_join),	TEST(test_foreign),	 TEST(test_append),
		TEST(test_replace),	TEST(test_replace_keeps_chunk), TEST(test_size),
		TEST(test_unused_chunk), TEST(test_shared_chunk), TEST(test_write_refused),
		TEST(test_mtime),	TEST(test_killpriv),	 TEST(test_truncate),
		TEST(test_punch),	TEST(test_clone),	 TEST(test_many_extents),
		TEST(test_copies),	TEST(test_reap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
