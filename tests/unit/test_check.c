/* SPDX-License-Identifier: Apache-2.0 */
/* A sound namespace has no findings; each kind of damage is found under its own code. */
#include "fs/upkeep/check.h"

#include <stdio.h>
#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "fs/ns/row_io.h"
#include "tests/lib/ns_file.h"

static struct rig rig;
#define R (&rig)
static uint64_t file, dir, inner, orphan, shared;

/* What was found, as codes in the order of the rules: "N1 D4 D4 ". */
struct findings {
	unsigned counts[CHECK_RULES];
	char codes[4096];
};

static void found(enum check_rule rule, const char *text, void *arg)
{
	struct findings *f = arg;

	assert_true(*text && *check_rule_meaning(rule));
	f->counts[rule]++;
}

static size_t spell(struct findings *f)
{
	size_t n = 0, at = 0;

	for (unsigned rule = 0; rule < CHECK_RULES; rule++)
		for (unsigned i = 0; i < f->counts[rule]; i++, n++)
			at += (size_t)snprintf(f->codes + at, sizeof(f->codes) - at, "%s ",
					       check_rule_code(rule));
	return n;
}

/* A small tree with everything in it. */
static int open_rig(void **state)
{
	uint64_t gone;

	rig_open(R);
	dir = rig_mkdir(R, ROOT_INO, "dir");
	inner = rig_mkdir(R, dir, "inner");
	rig_mkdir(R, inner, "deep");
	file = rig_create(R, dir, "file");
	shared = rig_create(R, inner, "shared");
	orphan = rig_create(R, ROOT_INO, "orphan");
	gone = rig_create(R, ROOT_INO, "gone");
	assert_int_equal(write_chunk(R, file, 0, 0, 100, 'a'), 0);
	assert_int_equal(write_chunk(R, file, 0, 300, 50, 'b'), 0);
	assert_int_equal(write_text(R, file, 0, 200, "hello"), 0);
	assert_int_equal(write_chunk(R, gone, 0, 0, 70, 'c'), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_CLONE,
						   .ino = file,
						   .len = 60,
						   .to = shared }),
			 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_SETXATTR,
						   .ino = file,
						   .name = SPAN_LITERAL("user.a"),
						   .value = SPAN_LITERAL("v") }),
			 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "orphan")), 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "gone")), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_REAP, .ino = gone }), 0);
	const struct op_chunk lacks = { .id = { [0 ... 15] = 'a' }, .stores = 2 };
	const struct op deficit = { .kind = OP_DEFICIT, .chunks = &lacks, .n_chunks = 1 };

	assert_int_equal(rig_apply(R, deficit), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_LINK,
						   .ino = file,
						   .parent = inner,
						   .name = SPAN_LITERAL("link") }),
			 0);
	return 0;
}

static int close_rig(void **state)
{
	rig_close(R);
	return 0;
}

/* Commits what is open, with a mark whose hash is right unless told otherwise. */
static void check(size_t window, bool wrong_hash, struct findings *ret)
{
	struct check_options o = { .window = window, .found = found, .arg = ret };
	struct commit_mark m = { .slot = rig.slot };
	struct commit_snapshot snap;
	struct check_report rep;

	*ret = (struct findings){ .codes = "" };
	rig_commit(R);
	assert_int_equal(state_hash_of(rig.kv, &m.hash), 0);
	m.hash.lo += wrong_hash;
	assert_int_equal(commit_mark_store(rig.kv, &m), 0);
	assert_int_equal(commit_snapshot_of(rig.kv, &snap), 0);
	assert_int_equal(check_namespace(&snap, &o, &rep), 0);
	assert_int_equal(rep.findings, spell(ret));
	commit_snapshot_release(&snap);
}

/* Whatever the window, these codes and no others. */
static void expect(const char *codes)
{
	for (size_t window = 0; window < 4; window++) {
		struct findings f;

		check(window, false, &f);
		assert_string_equal(f.codes, codes);
	}
}

static void test_sound(void **state)
{
	expect("");
}

static void test_sum(void **state)
{
	struct findings f;

	check(0, true, &f);
	assert_string_equal(f.codes, "R2 ");
}

/* ---- inodes ---- */

static struct inode_row inode_of(uint64_t ino)
{
	return rig_inode(R, ino);
}

static void set_inode(uint64_t ino, struct inode_row row)
{
	assert_int_equal(inode_store(rig.view, ino, &row), 0);
}

static void test_nlink(void **state)
{
	struct inode_row row = inode_of(file);

	row.nlink++;
	set_inode(file, row);
	expect("D4 ");
}

static void test_children(void **state)
{
	struct inode_row row = inode_of(inner);

	row.children--;
	set_inode(inner, row);
	expect("D3 ");
}

static void test_subdirs(void **state)
{
	struct inode_row row = inode_of(dir);

	row.subdirs++;
	set_inode(dir, row);
	expect("D3 D4 "); /* nlink is 2 + subdirs */
}

static void test_bytes(void **state)
{
	struct inode_row row = inode_of(file);

	row.bytes++;
	set_inode(file, row);
	expect("D8 X4 "); /* the totals are of these */
}

static void test_short_file(void **state)
{
	struct inode_row row = inode_of(file);

	row.size = 320;
	set_inode(file, row);
	expect("X1 ");
}

static void test_wrong_parent(void **state)
{
	struct inode_row row = inode_of(inner);

	row.parent = ROOT_INO;
	set_inode(inner, row);
	expect("D5 ");
}

static void test_ring(void **state)
{
	/* dir goes into its own child: every count is right, and nobody gets there. */
	struct inode_row d = inode_of(dir), i = inode_of(inner), root = inode_of(ROOT_INO);
	_cleanup_dentry_slot_ struct dentry_slot from = DENTRY_SLOT_INIT, to = DENTRY_SLOT_INIT;
	uint8_t key[16], name_key[16];
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct volume_row v;

	assert_int_equal(ns_volume(rig.view, &v, &bytes), 0);
	memcpy(name_key, v.name_key, sizeof(name_key));
	key_ino_u64(ROOT_INO, dentry_hash(name_key, SPAN_LITERAL("dir")), key);
	assert_int_equal(view_delete(rig.view, COL_DENTRY, span_of(key, sizeof(key))), 0);
	assert_int_equal(dentry_find(rig.view, name_key, inner, SPAN_LITERAL("dir"), &to), 0);
	assert_int_equal(dentry_set(rig.view, &to, dir, S_IFDIR), 0);
	d.parent = inner;
	i.children++;
	i.subdirs++;
	i.nlink++;
	root.children--;
	root.subdirs--;
	root.nlink--;
	set_inode(dir, d);
	set_inode(inner, i);
	set_inode(ROOT_INO, root);
	expect("D6 D6 D6 "); /* dir, inner, deep */
}

static void delete_row(enum column column, const void *key, size_t len)
{
	assert_int_equal(view_delete(rig.view, column, span_of(key, len)), 0);
}

static void test_lost_inode(void **state)
{
	uint8_t key[8];

	key_ino(shared, key);
	delete_row(COL_INODE, key, sizeof(key));
	expect("D1 D8 D8 X1 "); /* files and bytes */
}

static void test_lost_directory(void **state)
{
	uint8_t key[8];
	struct findings f;

	key_ino(inner, key);
	delete_row(COL_INODE, key, sizeof(key));
	check(0, false, &f);
	/* its name, what is in it, the way of what is below */
	assert_non_null(strstr(f.codes, "D1 "));
	assert_non_null(strstr(f.codes, "D2 "));
	assert_non_null(strstr(f.codes, "D6 "));
}

static void test_unnamed(void **state)
{
	uint8_t key[8];

	key_ino(orphan, key);
	delete_row(COL_ORPHAN, key, sizeof(key));
	expect("D7 ");
}

static void test_named_orphan(void **state)
{
	const struct orphan_row row = { .slot = 1, .time_ns = 1 };

	assert_int_equal(orphan_store(rig.view, file, &row), 0);
	expect("D7 ");
}

static void test_ungiven_number(void **state)
{
	const uint64_t ino = 99ull << INO_BLOCK_BITS | 1;
	const struct orphan_row row = { .slot = 1, .time_ns = 1 };

	set_inode(ino, inode_of(orphan));
	assert_int_equal(orphan_store(rig.view, ino, &row), 0);
	expect("D9 ");
}

static void test_lost_xattr_owner(void **state)
{
	static const uint8_t key[] = { 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 'u' };

	assert_int_equal(view_put(rig.view, COL_XATTR, span_of(key, sizeof(key)), SPAN_NULL), 0);
	expect("D10 ");
}

static void test_totals(void **state)
{
	struct totals_row t = rig_totals(R);

	t.files++;
	t.directories++;
	t.bytes++;
	assert_int_equal(totals_store(rig.view, &t), 0);
	expect("D8 D8 D8 ");
}

/* ---- names ---- */

static void put_bucket(uint64_t parent, uint64_t hash, struct span bucket)
{
	uint8_t key[16];

	key_ino_u64(parent, hash, key);
	assert_int_equal(view_put(rig.view, COL_DENTRY, span_of(key, sizeof(key)), bucket), 0);
}

static void test_name_elsewhere(void **state)
{
	const struct dentry d = { .name = SPAN_LITERAL("more"), .ino = file, .type = S_IFREG };
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);

	assert_int_equal(bucket_edit(SPAN_NULL, DENTRY_TIES, &d, &b), 0);
	put_bucket(dir, 12345, buf_span(&b));
	expect("N3 D3 D4 ");
}

static void test_empty_bucket(void **state)
{
	put_bucket(dir, 12345, SPAN_NULL);
	expect("N1 ");
}

static void test_wrong_type(void **state)
{
	struct dentry d = { .name = SPAN_LITERAL("file"), .ino = file, .type = S_IFIFO };
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX), bytes = BUF_INIT(ROW_MAX);
	struct volume_row v;

	assert_int_equal(ns_volume(rig.view, &v, &bytes), 0);
	assert_int_equal(bucket_edit(SPAN_NULL, DENTRY_TIES, &d, &b), 0);
	put_bucket(dir, dentry_hash(v.name_key, d.name), buf_span(&b));
	expect("D1 D4 ");
}

/* ---- extents and chunks ---- */

static void put_extent(uint64_t ino, uint64_t offset, const struct extent_row *row)
{
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);
	uint8_t space[16];
	const struct span key = span_of(space, sizeof(space));

	assert_int_equal(extent_row_encode(row, &b), 0);
	key_ino_u64(ino, offset + row->length - 1, space);
	assert_int_equal(view_put(rig.view, COL_EXTENT, key, buf_span(&b)), 0);
}

static void test_overlap(void **state)
{
	const struct op_extent e = in_chunk(290, 20, 'b', 0);

	put_extent(file, 290, &e.row);
	expect("X1 X4 K1 ");
}

static void test_not_joined(void **state)
{
	const struct op_extent left = in_chunk(300, 20, 'b', 0), right = in_chunk(320, 30, 'b', 20);

	put_extent(file, 300, &left.row);
	put_extent(file, 320, &right.row);
	expect("X3 ");
}

static void test_no_chunk(void **state)
{
	const struct op_extent e = in_chunk(300, 50, 'z', 0);

	put_extent(file, 300, &e.row);
	expect("X5 K1 ");
}

static void test_beyond_chunk(void **state)
{
	const struct op_extent e = in_chunk(300, 50, 'b', 1);

	put_extent(file, 300, &e.row);
	expect("X5 ");
}

static void set_chunk(uint8_t id, struct chunk_row row)
{
	uint8_t key[CHUNK_ID_SIZE];

	memset(key, id, sizeof(key));
	assert_int_equal(chunk_store(rig.view, key, &row), 0);
}

static void test_live(void **state)
{
	struct chunk_row row = chunk_of(R, 'a');

	row.live++;
	set_chunk('a', row);
	expect("K1 ");
}

static void test_dead_and_alive(void **state)
{
	struct chunk_row row = chunk_of(R, 'c');

	assert_int_equal(row.live, 0);
	row.dead = 0;
	set_chunk('c', row);
	expect("K2 ");
	row.dead = rig.slot + 100;
	set_chunk('c', row);
	expect("R3 ");
}

static void test_deficit(void **state)
{
	struct chunk_row row = chunk_of(R, 'a');

	row.stores |= 2;
	set_chunk('a', row);
	expect("K3 ");
}

/* ---- mounts, and rows that are none ---- */

static void test_mounts(void **state)
{
	struct mount_row row;
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);

	assert_int_equal(mount_load(rig.view, rig.incarnation, &row, &bytes), 0);
	row.number++;
	assert_int_equal(mount_store(rig.view, rig.incarnation, &row), 0);
	expect("M1 ");
}

static void test_no_mount(void **state)
{
	struct findings f;

	delete_row(COL_MOUNT, rig.incarnation, INCARNATION_SIZE);
	check(0, false, &f);
	assert_non_null(strstr(f.codes, "M1 "));
	assert_non_null(strstr(f.codes, "M2 "));
}

static void test_not_a_row(void **state)
{
	static const struct {
		enum column column;
		size_t key_len;
	} rows[] = {
		{ COL_INODE, 7 },  { COL_DENTRY, 15 }, { COL_EXTENT, 17 },  { COL_CHUNK, 15 },
		{ COL_ORPHAN, 9 }, { COL_MOUNT, 15 },  { COL_XATTR, 8 },    { COL_STORE, 2 },
		{ COL_VOLUME, 3 }, { COL_RESULT, 18 }, { COL_DEFICIT, 16 }, { COL_BLOCK, 5 },
		{ COL_ATTACH, 9 }, { COL_SOURCE, 5 },
	};
	uint8_t key[18];

	memset(key, 0xfe, sizeof(key));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct findings f;

		assert_int_equal(view_put(rig.view, rows[i].column, span_of(key, rows[i].key_len),
					  SPAN_LITERAL("?")),
				 0);
		check(0, false, &f);
		assert_memory_equal(f.codes, "R1 ", 3);
		delete_row(rows[i].column, key, rows[i].key_len);
	}
}

static void test_stopped(void **state)
{
	struct progress p = { .stop = true };
	struct findings f = { .codes = "" };
	const struct check_options o = { .progress = &p, .found = found, .arg = &f };
	struct commit_snapshot snap;
	struct check_report rep;

	check(0, false, &f);
	assert_int_equal(commit_snapshot_of(rig.kv, &snap), 0);
	assert_int_equal(check_namespace(&snap, &o, &rep), -ECANCELED);
	commit_snapshot_release(&snap);
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, open_rig, close_rig)
int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sound),	     CASE(sum),		  CASE(nlink),	      CASE(children),
		CASE(subdirs),	     CASE(bytes),	  CASE(short_file),   CASE(wrong_parent),
		CASE(ring),	     CASE(lost_inode),	  CASE(lost_directory), CASE(unnamed),
		CASE(named_orphan),  CASE(ungiven_number), CASE(lost_xattr_owner), CASE(totals),
		CASE(name_elsewhere), CASE(empty_bucket), CASE(wrong_type),   CASE(overlap),
		CASE(not_joined),    CASE(no_chunk),	  CASE(beyond_chunk), CASE(live),
		CASE(dead_and_alive), CASE(deficit),	  CASE(mounts),	      CASE(no_mount),
		CASE(not_a_row),     CASE(stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
