/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local database fails at its first read, its second, its third ...: that is this machine's
 * failure, whatever the operation, and never turns into an answer.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "cache/kv_i.h"
#include "tests/lib/ns_file.h"
#include "tests/lib/ns_samples.h"

static struct rig rig;
#define R (&rig)

/* Reads until the one that fails; 0: none does. */
static unsigned left;
static const struct kv_ops *real;

static bool fails_now(void)
{
	return left && --left == 0;
}

static int failing_get(struct kv *kv, unsigned column, struct span key, struct buf *ret)
{
	return fails_now() ? -EIO : real->get(kv, column, key, ret);
}

static struct kv_iter *failing_iter_new(struct kv *kv, unsigned column, struct span prefix,
					bool once)
{
	return fails_now() ? NULL : real->iter_new(kv, column, prefix, once);
}

/* /f with a chunk, inline bytes, an attribute; /g; /d/e; an orphan; /raw, a bucket. In the base. */
static uint64_t f, g, d, orphan;

static int open_rig(void **state)
{
	static struct kv_ops failing;

	rig_open(R);
	f = rig_create(R, ROOT_INO, "f");
	g = rig_create(R, ROOT_INO, "g");
	d = rig_mkdir(R, ROOT_INO, "d");
	rig_mkdir(R, d, "e");
	orphan = rig_create(R, ROOT_INO, "o");
	write_chunk(R, orphan, 0, 0, 50, 'o');
	rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "o"));
	write_chunk(R, f, 0, 0, 100, 'a');
	write_chunk(R, f, 0, 100, 100, 'b');
	write_text(R, f, 0, 200, "hello");
	rig_apply(R, (struct op){ .kind = OP_SETXATTR,
				  .ino = f,
				  .name = SPAN_LITERAL("user.a"),
				  .value = SPAN_LITERAL("1") });
	rig_apply(R, (struct op){ .kind = OP_ATTACH,
				  .name = SPAN_LITERAL("raw"),
				  .value = SPAN_LITERAL(SAMPLE_ATTACH) });
	rig_commit(R);
	real = rig.kv->ops;
	failing = *real;
	failing.get = failing_get;
	failing.iter_new = failing_iter_new;
	rig.kv->ops = &failing;
	return 0;
}

static int close_rig(void **state)
{
	rig.kv->ops = real;
	rig_close(R);
	return 0;
}

/* Applies with the n-th read failing, for every n, until there are no more reads. */
static void check_op(struct op op)
{
	struct apply_context ctx = { .slot = rig.slot };
	struct result res = { .error = 77 };
	unsigned n = 1;
	int r;

	memcpy(ctx.incarnation, rig.incarnation, INCARNATION_SIZE);
	op.number = rig.number + 1;
	op.time_ns = rig.time_ns + 1;
	for (;; n++) {
		left = n;
		r = apply(rig.view, &ctx, &op, &res);
		view_drop_open(rig.view);
		if (r == 0)
			break;
		assert_true(r == -EIO || r == -ENOMEM);
		assert_int_equal(res.error, 77); /* outputs are not touched on failure */
		assert_true(n < 200);
	}
	left = 0;
	assert_int_equal(res.error, 0);
	assert_true(n > 2);
}

static struct op with_ino(struct op op, uint64_t ino)
{
	op.ino = ino;
	op.mode = S_IFREG | 0644;
	op.value = SPAN_LITERAL("target");
	return op;
}

static void test_names(void **state)
{
	const struct op exchange = op_rename(ROOT_INO, "f", d, "e");

	check_op(with_ino(op_at(OP_CREATE, ROOT_INO, "new"), rig.next_ino));
	check_op(with_ino(op_at(OP_MKDIR, d, "new"), rig.next_ino));
	check_op(with_ino(op_at(OP_SYMLINK, d, "new"), rig.next_ino));
	check_op(with_ino(op_at(OP_LINK, d, "new"), f));
	check_op((struct op){ .kind = OP_ADOPT,
			      .parent = d,
			      .name = SPAN_LITERAL("new"),
			      .ino = rig.next_ino,
			      .size = 7,
			      .value = SPAN_LITERAL("reference") });
	check_op(op_at(OP_UNLINK, ROOT_INO, "f"));
	check_op(op_at(OP_RMDIR, d, "e"));
	check_op(op_rename(ROOT_INO, "f", ROOT_INO, "g"));
	check_op(op_rename(d, "e", ROOT_INO, "moved"));
	check_op((struct op){ .kind = OP_RENAME,
			      .parent = exchange.parent,
			      .name = exchange.name,
			      .to_parent = exchange.to_parent,
			      .to_name = exchange.to_name,
			      .saw = SAW_ANYTHING,
			      .saw_to = SAW_ANYTHING,
			      .flags = OP_RENAME_EXCHANGE });
}

static void test_attributes(void **state)
{
	struct op op = { .ino = f, .name = SPAN_LITERAL("user.a"), .value = SPAN_LITERAL("2") };

	op.kind = OP_SETATTR;
	check_op(op);
	op.kind = OP_SETXATTR;
	check_op(op);
	op.kind = OP_REMOVEXATTR;
	check_op(op);
}

static void test_contents(void **state)
{
	const struct op_extent e = in_chunk(50, 100, 'c', 0);
	const struct op_chunk c = chunk('c', 100);
	struct op op = { .kind = OP_WRITE,
			 .ino = f,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &c,
			 .n_chunks = 1 };

	check_op(op);
	op.flags = OP_WRITE_REPLACE | OP_WRITE_SIZE;
	op.size = 100;
	check_op(op);
	check_op((struct op){ .kind = OP_TRUNCATE, .ino = f, .size = 20 });
	check_op((struct op){ .kind = OP_PUNCH, .ino = f, .off = 20, .len = 20 });
	check_op((struct op){ .kind = OP_CLONE, .ino = f, .len = 205, .to = g });
}

static void test_copies(void **state)
{
	struct op_chunk c = chunk('a', 100);
	struct op op = { .kind = OP_STORED, .chunks = &c, .n_chunks = 1 };

	c.stores = 2;
	check_op(op);
	op.kind = OP_DEFICIT;
	check_op(op);
	op.kind = OP_COLLECT;
	op.size = GRACE_LEAST_S;
	check_op(op);
	check_op((struct op){ .kind = OP_REAP, .ino = orphan });
	check_op((struct op){ .kind = OP_HOLD, .ino = orphan });
}

static void test_mounts(void **state)
{
	static const uint8_t other[INCARNATION_SIZE] = "another mount.";

	check_op((struct op){ .kind = OP_MORE_INODES });
	check_op((struct op){ .kind = OP_SOURCE, .value = SPAN_LITERAL("s3://b") });
	check_op((struct op){ .kind = OP_KEYSLOT, .off = 1, .value = SPAN_LITERAL("slot") });
	check_op((struct op){ .kind = OP_CHECKPOINT, .value = SPAN_LITERAL(SAMPLE_CHECKPOINT) });
	check_op((struct op){ .kind = OP_ATTACH,
			      .name = SPAN_LITERAL("more"),
			      .value = SPAN_LITERAL(SAMPLE_ATTACH) });
	check_op((struct op){ .kind = OP_DETACH, .name = SPAN_LITERAL("raw") });
	check_op((struct op){ .kind = OP_UNMOUNT });
	check_op((struct op){ .kind = OP_FENCE, .value = span_of(other, sizeof(other)) });
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),  TEST(test_attributes), TEST(test_contents),
		TEST(test_copies), TEST(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
