/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, and mounts: at most once, blocks of inode numbers, recorded results, fences. */
#include <sys/stat.h>

#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"
#include "tests/lib/ns_samples.h"

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

static void test_setattr(void **state)
{
	struct op op = { .kind = OP_SETATTR,
			 .ino = f,
			 .set = OP_SET_MODE,
			 .mode = S_IFDIR | 04711,
			 .uid = 5,
			 .gid = 6,
			 .mtime_ns = 7,
			 .atime_ns = 8 };
	struct inode_row row;

	assert_int_equal(rig_apply(R, op), 0);
	row = rig_inode(R, f);
	assert_int_equal(row.mode, S_IFREG | 04711); /* a file stays a file */
	assert_int_equal(row.uid, 1000);
	assert_int_equal(row.gid, 100);
	assert_int_equal(row.atime_ns, 0);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	assert_int_not_equal(row.mtime_ns, rig.time_ns);
	op.set = OP_SET_UID | OP_SET_GID | OP_SET_MTIME | OP_SET_ATIME;
	assert_int_equal(rig_apply(R, op), 0);
	row = rig_inode(R, f);
	assert_int_equal(row.uid, 5);
	assert_int_equal(row.gid, 6);
	assert_int_equal(row.mtime_ns, 7);
	assert_int_equal(row.atime_ns, 8);
	assert_int_equal(row.ctime_ns, rig.time_ns);
	op.ino = 99;
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

static struct op op_xattr(const char *name, const char *value)
{
	return (struct op){
		.kind = OP_SETXATTR, .ino = f, .name = span_str(name), .value = span_str(value)
	};
}

static void check_xattr(const char *name, const char *value)
{
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);

	assert_int_equal(ns_getxattr(rig.view, f, span_str(name), &b), value ? 0 : NS_MISSING);
	if (value)
		assert_span_str(buf_span(&b), value);
}

static int count_name(struct span name, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static void test_xattr(void **state)
{
	struct op remove = { .kind = OP_REMOVEXATTR, .ino = f, .name = SPAN_LITERAL("user.b") };
	struct op op = op_xattr("user.a", "1");
	unsigned n = 0;

	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig_inode(R, f).ctime_ns, rig.time_ns);
	check_xattr("user.a", "1");
	op.flags = OP_XATTR_CREATE;
	assert_int_equal(rig_apply(R, op), -EEXIST);
	op.flags = OP_XATTR_REPLACE;
	op.value = SPAN_LITERAL("");
	assert_int_equal(rig_apply(R, op), 0);
	check_xattr("user.a", "");
	op.name = SPAN_LITERAL("user.b");
	assert_int_equal(rig_apply(R, op), -ENODATA);
	assert_int_equal(rig_apply(R, remove), -ENODATA);
	op.flags = OP_XATTR_CREATE | OP_XATTR_REPLACE;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.flags = OP_XATTR_CREATE;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(ns_listxattr(rig.view, f, count_name, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(rig_apply(R, remove), 0);
	check_xattr("user.b", NULL);
}

static void test_xattr_limits(void **state)
{
	static char big[XATTR_VALUE_MAX + 1], name[256];
	struct op op = op_xattr("", "1");

	memset(name, 'n', sizeof(name));
	assert_int_equal(rig_apply(R, op), -ERANGE);
	op.name = span_of(name, 256);
	assert_int_equal(rig_apply(R, op), -ERANGE);
	op.name = span_of(name, 255);
	assert_int_equal(rig_apply(R, op), 0);
	op.value = span_of(big, sizeof(big));
	assert_int_equal(rig_apply(R, op), -E2BIG);
	op.value.len--;
	assert_int_equal(rig_apply(R, op), 0);
	op.ino = 99;
	assert_int_equal(rig_apply(R, op), -ESTALE);
}

static struct mount_row mount_of(const uint8_t *incarnation)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row;

	assert_int_equal(ns_mount(rig.view, incarnation, &row, &bytes), 0);
	row.name = SPAN_NULL;
	return row;
}

static struct op op_touch(uint64_t number)
{
	return (struct op){
		.kind = OP_SETATTR, .number = number, .ino = f, .set = OP_SET_UID, .uid = 3
	};
}

static void test_at_most_once(void **state)
{
	const uint64_t last = rig.number;
	const struct state_hash before = view_hash(rig.view, true);

	assert_int_equal(rig_apply(R, op_touch(last)), APPLY_IGNORED);
	assert_int_equal(rig_apply(R, op_touch(1)), APPLY_IGNORED);
	assert_int_equal(rig_apply(R, op_touch(last + 2)), APPLY_IGNORED);
	assert_true(state_hash_equal(before, view_hash(rig.view, true)));
	assert_int_equal(rig_apply(R, op_touch(last + 1)), 0);
	assert_int_equal(mount_of(rig.incarnation).last, last + 1);
}

/* One that fails uses its number up, too. */
static void test_results(void **state)
{
	struct op op = op_at(OP_UNLINK, ROOT_INO, "nothing");
	struct result_row res;
	uint64_t n;

	assert_int_equal(rig_apply(R, op), -ENOENT);
	n = rig.number;
	assert_int_equal(ns_result(rig.view, rig.incarnation, n, &res), 0);
	assert_int_equal(res.error, -ENOENT);
	assert_int_equal(ns_result(rig.view, rig.incarnation, n - 1, &res), 0);
	assert_int_equal(res.error, 0);
	assert_int_equal(res.value, f);
	assert_int_equal(ns_result(rig.view, rig.incarnation, n + 1, &res), NS_MISSING);
	for (int i = 0; i < MOUNT_RESULTS - 1; i++)
		assert_int_equal(rig_apply(R, op_touch(0)), 0);
	assert_int_equal(ns_result(rig.view, rig.incarnation, n, &res), 0);
	assert_int_equal(res.error, -ENOENT);
	assert_int_equal(rig_apply(R, op_touch(0)), 0);
	assert_int_equal(ns_result(rig.view, rig.incarnation, n, &res), NS_MISSING);
}

static const uint8_t other[INCARNATION_SIZE] = "another mount.";

static int mount_other(uint64_t number)
{
	return rig_apply_as(R, other,
			    (struct op){ .kind = OP_MOUNT,
					 .number = number,
					 .name = SPAN_LITERAL("two"),
					 .value = span_of(other, sizeof(other)) });
}

static struct op op_fence(const uint8_t *incarnation)
{
	return (struct op){ .kind = OP_FENCE, .value = span_of(incarnation, INCARNATION_SIZE) };
}

static void test_mount(void **state)
{
	const uint32_t first = mount_of(rig.incarnation).number;
	struct op op = op_touch(1);

	assert_int_equal(first, 1);
	assert_int_equal(rig_apply_as(R, other, op), APPLY_IGNORED);
	op = (struct op){ .kind = OP_MOUNT,
			  .number = 1,
			  .value = span_of(rig.incarnation, INCARNATION_SIZE) };
	assert_int_equal(rig_apply_as(R, other, op), -EINVAL);
	assert_int_equal(mount_other(40), 0);
	assert_int_equal(rig.res.value, 2);
	assert_int_equal(mount_of(other).last, 40);
	assert_int_equal(mount_other(41), APPLY_IGNORED);
	assert_int_equal(rig_apply_as(R, other, op_touch(41)), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_MORE_INODES }), 0);
	assert_int_equal(rig.res.value, 3);
}

static void test_unmount(void **state)
{
	struct result_row res;

	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_UNMOUNT }), 0);
	assert_int_equal(mount_of(rig.incarnation).status, MOUNT_UNMOUNTED);
	assert_int_equal(mount_of(rig.incarnation).slot, rig.slot);
	assert_int_equal(ns_result(rig.view, rig.incarnation, rig.number, &res), 0);
	assert_int_equal(ns_result(rig.view, rig.incarnation, rig.number - 1, &res), NS_MISSING);
	assert_int_equal(rig_apply(R, op_touch(0)), APPLY_IGNORED);
	assert_int_equal(mount_other(1), 0);
	assert_int_equal(rig_apply_as(R, other,
				      (struct op){ .kind = OP_FENCE,
						   .number = 2,
						   .value = span_of(rig.incarnation, 16) }),
			 0);
	assert_int_equal(mount_of(rig.incarnation).status, MOUNT_UNMOUNTED);
}

static void test_fence(void **state)
{
	assert_int_equal(mount_other(7), 0);
	assert_int_equal(rig_apply(R, op_fence(other)), 0);
	assert_int_equal(rig.res.value, 7);
	assert_int_equal(mount_of(other).status, MOUNT_FENCED);
	assert_int_equal(rig_apply_as(R, other, op_touch(8)), APPLY_IGNORED);
	assert_int_equal(mount_other(8), APPLY_IGNORED);
	assert_int_equal(rig_apply(R, op_fence(other)), 0);
	assert_int_equal(rig.res.value, 7);
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_FENCE, .value = SPAN_LITERAL("short") }),
		-EINVAL);
	assert_int_equal(rig_apply(R, op_fence(rig.incarnation)), 0); /* oneself */
	assert_int_equal(mount_of(rig.incarnation).last, rig.number);
	assert_int_equal(rig_apply(R, op_touch(0)), APPLY_IGNORED);
}

static void test_fence_before_mount(void **state)
{
	assert_int_equal(rig_apply(R, op_fence(other)), 0);
	assert_int_equal(mount_of(other).number, 0);
	assert_int_equal(mount_other(1), APPLY_IGNORED);
}

static int announce(uint64_t slot, uint8_t manifest)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	struct checkpoint_row row = { .slot = slot, .mount = 1 };

	memset(row.manifest, manifest, sizeof(row.manifest));
	assert_int_equal(checkpoint_row_encode(&row, &value), 0);
	return rig_apply(R, (struct op){ .kind = OP_CHECKPOINT, .value = buf_span(&value) });
}

/* Of a slot before its own, and none goes back. */
static void test_checkpoint(void **state)
{
	struct checkpoint_row row;

	rig.slot = 100;
	assert_int_equal(ns_checkpoint(rig.view, &row), NS_MISSING);
	assert_int_equal(announce(rig.slot, 1), -EINVAL);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_CHECKPOINT,
						   .value = SPAN_LITERAL("short") }),
			 -EINVAL);
	assert_int_equal(ns_checkpoint(rig.view, &row), NS_MISSING);
	assert_int_equal(announce(50, 1), 0);
	assert_int_equal(announce(50, 2), -ESTALE);
	assert_int_equal(announce(49, 2), -ESTALE);
	assert_int_equal(announce(99, 3), 0);
	assert_int_equal(ns_checkpoint(rig.view, &row), 0);
	assert_int_equal(row.slot, 99);
	assert_int_equal(row.mount, 1);
	assert_int_equal(row.manifest[31], 3);
}

static int attach_as(const char *name, struct span row)
{
	return rig_apply(R, (struct op){ .kind = OP_ATTACH, .name = span_str(name),
					 .value = row });
}

static int on_attached(struct span name, const struct attach_row *row, void *arg)
{
	assert_true(span_equal(name, SPAN_LITERAL("raw")));
	assert_int_equal(row->flags, ATTACH_READ_ONLY);
	assert_int_equal(row->ttl_ns, 60 * NS_PER_S);
	assert_int_equal(row->n_urls, 2);
	assert_true(span_equal(row->urls[1], SPAN_LITERAL("gs:b")));
	++*(int *)arg;
	return 0;
}

static int attached(void)
{
	int n = 0;

	assert_int_equal(ns_attached(rig.view, on_attached, &n), 0);
	return n;
}

/* A bucket has its name in the root for itself. */
static void test_attach(void **state)
{
	const struct span row = SPAN_LITERAL(SAMPLE_ATTACH);
	const uint64_t version = rig_inode(R, ROOT_INO).version;
	struct op move = op_at(OP_RENAME, ROOT_INO, "f");

	assert_int_equal(attach_as("f", row), -EEXIST);
	assert_int_equal(attach_as("raw", SPAN_LITERAL("short")), -EINVAL);
	assert_int_equal(attach_as("..", row), -EINVAL);
	assert_int_equal(attached(), 0);
	assert_int_equal(attach_as("raw", row), 0);
	assert_int_equal(attached(), 1);
	assert_int_equal(rig_inode(R, ROOT_INO).version, version + 1);
	assert_int_equal(rig_inode(R, ROOT_INO).children, 1);
	assert_int_equal(attach_as("raw", row), -EEXIST);
	assert_int_equal(rig_apply(R, op_at(OP_MKDIR, ROOT_INO, "raw")), -EEXIST);
	assert_int_equal(rig.res.value, 0);
	move.to_parent = ROOT_INO;
	move.to_name = SPAN_LITERAL("raw");
	move.saw_to = SAW_ANYTHING;
	assert_int_equal(rig_apply(R, move), -EBUSY);
	move.flags = OP_RENAME_EXCHANGE;
	assert_int_equal(rig_apply(R, move), -EBUSY);
	move.flags = OP_RENAME_NOREPLACE;
	assert_int_equal(rig_apply(R, move), -EEXIST);
	assert_int_equal(rig_apply(R, op_at(OP_RMDIR, ROOT_INO, "raw")), -ENOENT);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_DETACH, .name = move.to_name }), 0);
	assert_int_equal(attached(), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_DETACH, .name = move.to_name }),
			 -ENOENT);
	move.flags = 0;
	assert_int_equal(rig_apply(R, move), 0);
}

static void test_format_once(void **state)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	struct op op = { .kind = OP_FORMAT, .number = 1, .mode = 0700 };

	rig_format_value(&value);
	op.value = buf_span(&value);
	assert_int_equal(rig_apply_as(R, other, op), APPLY_IGNORED);
}

static int check_store(unsigned number, const struct store_row *row, void *arg)
{
	unsigned *n = arg;

	assert_int_equal(number, *n);
	assert_span_str(row->name, number ? "two" : "one");
	++*n;
	return 0;
}

static void test_format(void **state)
{
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT);
	_cleanup_(view_freep) struct view *v = view_new(kv, COL_COUNT);
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX), bytes = BUF_INIT(ROW_MAX);
	const struct apply_context ctx = { .slot = 0 };
	struct op op = { .kind = OP_MOUNT, .number = 1, .value = span_of(ctx.incarnation, 16) };
	struct volume_row row;
	struct result res;
	unsigned n = 0;

	assert_int_equal(apply(v, &ctx, &op, &res), 0);
	assert_int_equal(res.error, APPLY_IGNORED); /* there is no volume yet */
	op = (struct op){ .kind = OP_FORMAT, .value = SPAN_LITERAL("nonsense") };
	assert_int_equal(apply(v, &ctx, &op, &res), 0);
	assert_int_equal(res.error, -EINVAL);
	assert_int_equal(ns_volume(v, &row, &bytes), NS_MISSING);
	rig_format_value(&value);
	op.value = buf_span(&value);
	assert_int_equal(apply(v, &ctx, &op, &res), 0);
	assert_int_equal(res.error, 0);
	assert_int_equal(ns_volume(v, &row, &bytes), 0);
	assert_span_str(row.name, "demo");
	assert_int_equal(row.next_mount, 1);
	assert_int_equal(ns_stores(v, check_store, &n), 0);
	assert_int_equal(n, 2);
}

/* Early answers leave no trace in the mounts' rows, and numbers do not matter to them. */
static void test_early(void **state)
{
	struct apply_context ctx = { .slot = rig.slot, .early = true };
	const struct state_hash before = view_hash(rig.view, true);
	struct op op = op_at(OP_CREATE, ROOT_INO, "early");
	struct result res;

	memcpy(ctx.incarnation, rig.incarnation, INCARNATION_SIZE);
	rig_commit(R);
	op.mode = S_IFREG;
	op.ino = rig.next_ino;
	op.time_ns = rig.time_ns + 1;
	assert_int_equal(apply(rig.view, &ctx, &op, &res), 0);
	assert_int_equal(res.error, 0);
	assert_int_equal(rig_lookup(R, ROOT_INO, "early"), op.ino);
	assert_int_equal(mount_of(rig.incarnation).last, rig.number);
	op = (struct op){ .kind = OP_UNMOUNT };
	assert_int_equal(apply(rig.view, &ctx, &op, &res), 0);
	assert_int_equal(res.error, APPLY_IGNORED);
	view_drop_open(rig.view);
	assert_true(state_hash_equal(before, view_hash(rig.view, true)));
}

static void test_state_hash(void **state)
{
	struct state_hash running = {}, whole;

	view_cut(rig.view);
	assert_int_equal(state_hash_update(&running, rig.view), 0);
	assert_int_equal(view_commit(rig.view, NULL, 0, false), 0);
	assert_int_equal(state_hash_of(rig.kv, &whole), 0);
	assert_true(state_hash_equal(running, whole));
	assert_true(whole.lo || whole.hi);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), 0);
	view_cut(rig.view);
	assert_int_equal(state_hash_update(&running, rig.view), 0);
	assert_false(state_hash_equal(running, whole));
	assert_int_equal(view_commit(rig.view, NULL, 0, false), 0);
	assert_int_equal(state_hash_of(rig.kv, &whole), 0);
	assert_true(state_hash_equal(running, whole));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

static int keyslot(uint64_t number, const char *slot)
{
	return rig_apply(R, (struct op){ .kind = OP_KEYSLOT,
					 .off = number,
					 .value = span_str(slot) });
}

static void test_keyslots(void **state)
{
	static const char long_one[KEYSLOT_SIZE_MAX + 1];
	const struct op longest = { .kind = OP_KEYSLOT,
				    .off = 2,
				    .value = span_of(long_one, sizeof(long_one)) };

	assert_int_equal(keyslot(0, ""), -EBUSY); /* nothing would open the volume */
	assert_int_equal(keyslot(0, "another"), -EEXIST);
	assert_int_equal(keyslot(1, ""), -ENOENT);
	assert_int_equal(keyslot(KEYSLOTS_MAX, "slot"), -EINVAL);
	assert_int_equal(rig_apply(R, longest), -EINVAL);
	assert_int_equal(keyslot(KEYSLOTS_MAX - 1, "slot"), 0);
	assert_int_equal(keyslot(0, ""), 0);
	assert_int_equal(keyslot(KEYSLOTS_MAX - 1, ""), -EBUSY);
	assert_int_equal(keyslot(0, "again"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_setattr),
		TEST(test_xattr),
		TEST(test_xattr_limits),
		TEST(test_at_most_once),
		TEST(test_results),
		TEST(test_mount),
		TEST(test_unmount),
		TEST(test_fence),
		TEST(test_fence_before_mount),
		TEST(test_checkpoint),
		TEST(test_attach),
		TEST(test_keyslots),
		TEST(test_format_once),
		TEST(test_early),
		TEST(test_state_hash),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
