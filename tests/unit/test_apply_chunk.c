/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks: who lives, who dies, who has a copy; and inodes without a name. */
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

/* New contents that refer to a chunk of the old: it lives on, and keeps what is known of it. */
static void test_replace_keeps_chunk(void **state)
{
	const struct op_extent e = in_chunk(0, 50, 'a', 50);

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(report(OP_DEFICIT, 'a', 2), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_WRITE,
						   .ino = f,
						   .flags = OP_WRITE_REPLACE,
						   .extents = &e,
						   .n_extents = 1 }),
			 0);
	check_map(R, f, "0-50:a+50");
	assert_int_equal(chunk_of(R, 'a').live, 50);
	assert_int_equal(chunk_of(R, 'a').dead, 0);
	assert_int_equal(deficits(), 2);
}

/* A chunk that is named and not used is garbage from the start. */
static void test_unused_chunk(void **state)
{
	const struct op_chunk c[] = { chunk('a', 10), chunk('b', 10), chunk('c', 10) };
	const struct op_extent e[] = { in_chunk(0, 10, 'a', 0), in_chunk(90, 10, 'b', 0) };

	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_WRITE,
						   .ino = f,
						   .extents = e,
						   .n_extents = 2,
						   .flags = OP_WRITE_SIZE,
						   .size = 20,
						   .chunks = c,
						   .n_chunks = 3 }),
			 0);
	check_map(R, f, "0-10:a+0");
	assert_int_equal(chunk_of(R, 'b').live, 0);
	assert_int_equal(chunk_of(R, 'b').dead, rig.slot);
	assert_int_equal(chunk_of(R, 'c').live, 0);
	assert_int_equal(chunk_of(R, 'c').dead, rig.slot);
}

/* A pack: every file's WRITE names it; a dead chunk that is named again lives again. */
static void test_shared_chunk(void **state)
{
	const uint64_t g = rig_create(R, ROOT_INO, "g");
	struct op_extent e = in_chunk(0, 10, 'a', 0);
	struct op_chunk c = chunk('a', 20);
	struct op op = { .kind = OP_WRITE,
			 .ino = f,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &c,
			 .n_chunks = 1 };

	assert_int_equal(rig_apply(R, op), 0);
	op.ino = g;
	e = in_chunk(0, 10, 'a', 10);
	c.stores = 4;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of(R, 'a').live, 20);
	assert_int_equal(chunk_of(R, 'a').stores, 5);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = g }), 0);
	assert_int_equal(chunk_of(R, 'a').dead, rig.slot);
	op.n_chunks = 0;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	op.n_chunks = 1;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(chunk_of(R, 'a').dead, 0);
	c.length = 21;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	c = chunk('a', 20);
	c.salt[3] ^= 1;
	assert_int_equal(rig_apply(R, op), -EINVAL);
	c = chunk('a', 20);
	c.key_epoch++;
	assert_int_equal(rig_apply(R, op), -EINVAL);
}

static void test_copies(void **state)
{
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(report(OP_DEFICIT, 'a', 0xff), 0);
	assert_int_equal(deficits(), 6); /* it is wanted at 0, 1, 2 and stands at 0 */
	assert_int_equal(report(OP_STORED, 'a', 2), 0);
	assert_int_equal(chunk_of(R, 'a').stores, 3);
	assert_int_equal(deficits(), 4);
	assert_int_equal(report(OP_DEFICIT, 'a', 2), 0);
	assert_int_equal(deficits(), 4);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	assert_int_equal(deficits(), 0);
	assert_int_equal(report(OP_DEFICIT, 'a', 4), 0);
	assert_int_equal(deficits(), 0);
	assert_int_equal(report(OP_STORED, 'a', 4), 0);
	assert_int_equal(chunk_of(R, 'a').stores, 7);
	assert_int_equal(report(OP_STORED, 'z', 4), 0);
	assert_int_equal(report(OP_DEFICIT, 'z', 4), 0);
}

/* ---- collected ---- */

static int collect(uint8_t id, uint64_t slot)
{
	const struct op_chunk c = chunk(id, 1);

	return rig_apply(R, (struct op){ .kind = OP_COLLECT,
					 .saw = slot,
					 .size = GRACE_LEAST_S,
					 .chunks = &c,
					 .n_chunks = 1 });
}

/* As rig_open() gives the first mount the block 1. */
static int write_own(uint8_t last)
{
	struct op_chunk c = chunk(0, 100);
	struct op_extent e = in_chunk(0, 100, 0, 0);

	c.id[3] = e.row.chunk[3] = 1;
	c.id[15] = e.row.chunk[15] = last;
	return rig_apply(R, (struct op){ .kind = OP_WRITE,
					 .ino = f,
					 .flags = OP_WRITE_REPLACE,
					 .extents = &e,
					 .n_extents = 1,
					 .chunks = &c,
					 .n_chunks = 1 });
}

static bool is_known(const struct op_chunk *c)
{
	struct chunk_row row;
	const int r = ns_chunk(rig.view, c->id, &row);

	assert_true(r == 0 || r == NS_MISSING);
	return r == 0;
}

/* What died after the slot, what lives, what is not there: none of it is touched. */
static void test_collect(void **state)
{
	const struct op_chunk a = chunk('a', 100);
	struct grace_row grace;

	assert_int_equal(ns_grace(rig.view, &grace), 0);
	assert_int_equal(grace.seconds, GRACE_DEFAULT_S);
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	rig.slot += 10;
	assert_int_equal(collect('a', rig.slot - 1), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	rig.slot++;
	assert_int_equal(collect('a', rig.slot - 2), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(collect('z', rig.slot - 1), 0);
	assert_true(is_known(&a));
	assert_int_equal(collect('a', rig.slot), -EINVAL); /* its own slot, not over yet */
	assert_int_equal(collect('a', rig.slot - 1), 0);
	assert_int_equal(rig.res.value, 1);
	assert_int_equal(chunk_of(R, 'a').want, 0);
	assert_int_equal(ns_grace(rig.view, &grace), 0);
	assert_int_equal(grace.seconds, GRACE_LEAST_S);
	assert_in_range(grace.since_ns, 1, rig.time_ns - 1); /* the first time, not the last */
	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), -ESTALE);
	assert_int_equal(collect('a', rig.slot - 1), 0); /* nobody's number: the mark goes */
	assert_int_equal(rig.res.value, 1);
	assert_false(is_known(&a));
}

static void test_collect_grace(void **state)
{
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_COLLECT, .size = GRACE_LEAST_S - 1 }),
			 -EINVAL);
}

/* (K4): while the author is mounted, an operation of it may still be on its way. */
static void test_collect_of_a_living_author(void **state)
{
	static const uint8_t other[INCARNATION_SIZE] = "another mount.";
	struct op_chunk c = chunk(0, 100);
	struct op op = { .kind = OP_COLLECT, .size = GRACE_LEAST_S, .chunks = &c, .n_chunks = 1 };
	struct chunk_row row;

	c.id[3] = c.id[15] = 1;
	assert_int_equal(write_own(1), 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_TRUNCATE, .ino = f }), 0);
	op.saw = rig.slot++;
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig.res.value, 1);
	assert_int_equal(ns_chunk(rig.view, c.id, &row), 0);
	assert_int_equal(row.stores | row.want, 0);
	assert_int_equal(write_own(1), -ESTALE);
	c.stores = 7;
	assert_int_equal(
		rig_apply(R, (struct op){ .kind = OP_STORED, .chunks = &c, .n_chunks = 1 }), 0);
	assert_int_equal(ns_chunk(rig.view, c.id, &row), 0);
	assert_int_equal(row.stores, 0);
	assert_int_equal(write_own(2), 0);
	/* It ends; somebody else collects the rest. */
	assert_int_equal(rig_apply_as(R, other,
				      (struct op){ .kind = OP_MOUNT,
						   .number = 1,
						   .value = span_of(other, sizeof(other)) }),
			 0);
	assert_int_equal(rig_apply(R, op), 0);
	assert_int_equal(rig.res.value, 0);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_UNMOUNT }), 0);
	rig.slot++;
	op.number = 2;
	assert_int_equal(rig_apply_as(R, other, op), 0);
	assert_int_equal(rig.res.value, 0); /* it ended after that slot */
	op.number = 3;
	op.saw = rig.slot - 1;
	assert_int_equal(rig_apply_as(R, other, op), 0);
	assert_int_equal(rig.res.value, 1);
	assert_false(is_known(&c));
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
	const struct op xattr = { .kind = OP_SETXATTR,
				  .ino = f,
				  .name = SPAN_LITERAL("user.a"),
				  .value = SPAN_LITERAL("1") };

	assert_int_equal(write_chunk(R, f, 0, 0, 100, 'a'), 0);
	assert_int_equal(rig_apply(R, xattr), 0);
	assert_int_equal(rig_apply(R, op), -EBUSY);
	assert_int_equal(orphans(), 0);
	assert_int_equal(rig_apply(R, op_at(OP_UNLINK, ROOT_INO, "f")), 0);
	assert_int_equal(orphans(), f);
	assert_int_equal(write_text(R, f, 0, 10, "open still"), 0);
	assert_int_equal(rig_totals(R).bytes, 100);
	op.saw = rig.slot + 1;
	assert_int_equal(rig_apply(R, op), -EBUSY);
	rig_commit(R);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = f }), 0);
	op.saw = rig.slot;
	assert_int_equal(rig_apply(R, op), 0);
	assert_false(rig_exists(R, f));
	assert_int_equal(orphans(), 0);
	assert_int_equal(chunk_of(R, 'a').dead, rig.slot);
	assert_int_equal(rig_totals(R).bytes, 0);
	check_map(R, f, "");
	assert_int_equal(rig_apply(R, op), -ESTALE);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = f }), -ESTALE);
	assert_int_equal(rig_apply(R, (struct op){ .kind = OP_HOLD, .ino = ROOT_INO }), -EBUSY);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_rig, close_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replace_keeps_chunk),
		TEST(test_unused_chunk),
		TEST(test_shared_chunk),
		TEST(test_copies),
		TEST(test_collect),
		TEST(test_collect_grace),
		TEST(test_collect_of_a_living_author),
		TEST(test_reap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
