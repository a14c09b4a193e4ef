/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that wait for their data, and copies of what is pending. */
#include "base/codec.h"
#include "fs/commit.h"
#include "fs/ns/lookup.h"
#include "tests/lib/cluster.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <sys/stat.h>

static struct cluster cluster;
static struct member a, b;

static uint64_t soon(void)
{
	return clock_now() + 30 * NS_PER_S;
}

static void mount(struct member *m, unsigned number)
{
	const struct commit_options o = { .hold_ns = NS_PER_S };

	assert_int_equal(member_open(m, &cluster, number, false), 0);
	assert_int_equal(member_mount(m, kv_memory(COL_COUNT), &o, NULL, soon()), 0);
}

static void unmount(struct member *m)
{
	struct kv *kv = m->kv;

	member_close(m);
	kv_close(kv);
}

static int setup(void **state)
{
	cluster = (struct cluster){ 0 };
	if (cluster_open(&cluster) || cluster_format(&cluster))
		return -1;
	mount(&b, 2);
	mount(&a, 1);
	return 0;
}

static int teardown(void **state)
{
	unmount(&a);
	unmount(&b);
	cluster_close(&cluster);
	return 0;
}

static void never(const struct result *res, void *arg)
{
	abort();
}

static struct op create(struct member *m, const char *name)
{
	struct op op = { .kind = OP_CREATE,
			 .parent = ROOT_INO,
			 .name = span_str(name),
			 .mode = S_IFREG | 0644 };

	assert_int_equal(commit_new_ino(m->commit, &op.ino), 0);
	return op;
}

static int submit(struct member *m, const struct op *op, enum commit_how how, uint64_t *ret_no)
{
	struct result res = { 0 };

	assert_int_equal(commit_submit(m->commit, op, how, never, NULL, &res, ret_no), 0);
	return res.error;
}

/* Creates a file with the tip in hand. */
static uint64_t file(struct member *m, const char *name)
{
	struct op op = create(m, name);
	struct result res;

	assert_int_equal(commit_op_wait(m->commit, &op, soon(), &res), 0);
	return op.ino;
}

static const uint8_t chunk_id[CHUNK_ID_SIZE] = "chunk";

static uint64_t write_held(uint64_t ino)
{
	struct op_extent extent = { .row = { .kind = EXTENT_CHUNK, .length = 100 } };
	struct op_chunk chunk = { .length = 100, .key_epoch = 1, .want = 7 };
	const struct op op = { .kind = OP_WRITE,
			       .ino = ino,
			       .extents = &extent,
			       .n_extents = 1,
			       .chunks = &chunk,
			       .n_chunks = 1,
			       .mtime_ns = 1 };
	uint64_t no;

	memcpy(extent.row.chunk, chunk_id, CHUNK_ID_SIZE);
	memcpy(chunk.id, chunk_id, CHUNK_ID_SIZE);
	assert_int_equal(submit(&a, &op, COMMIT_HELD, &no), 0);
	return no;
}

static void release(uint64_t no)
{
	struct op_chunk has = { .stores = 5 };

	memcpy(has.id, chunk_id, CHUNK_ID_SIZE);
	assert_int_equal(commit_release(a.commit, no, &has, 1), 0);
}

/* What `m` knows of a file, after a look at the tip. */
static int look(struct member *m, uint64_t ino, uint64_t *ret_size)
{
	struct inode_view iv = { .bytes = BUF_INIT(ROW_MAX) };
	int r;

	assert_int_equal(commit_refresh(m->commit, soon()), 0);
	r = ns_inode(commit_lock(m->commit), ino, &iv);
	commit_unlock(m->commit);
	*ret_size = r ? 0 : iv.row.size;
	buf_release(&iv.bytes);
	return r;
}

static uint64_t stores_at(struct member *m)
{
	struct chunk_row row = { 0 };

	assert_int_equal(ns_chunk(commit_lock(m->commit), chunk_id, &row), 0);
	commit_unlock(m->commit);
	return row.stores;
}

static void what_is_held_stays_here_with_what_follows(void **state)
{
	const uint64_t ino = file(&a, "f"), other = file(&a, "g");
	const struct op chmod = { .kind = OP_SETATTR, .ino = other, .set = OP_SET_MODE, .mode = 7 };
	uint64_t size, no = write_held(ino), after;

	assert_int_equal(submit(&a, &chmod, COMMIT_EARLY, &after), 0);
	assert_int_equal(look(&a, ino, &size), 0);
	assert_int_equal(size, 100);
	assert_int_equal(commit_sync_wait(a.commit, 0, clock_now() + NS_PER_S), -ETIMEDOUT);
	assert_int_equal(look(&b, ino, &size), 0);
	assert_int_equal(size, 0);
	assert_true(commit_last(a.commit) < no);

	release(no);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	assert_int_equal(commit_last(a.commit), after);
	assert_int_equal(look(&b, ino, &size), 0);
	assert_int_equal(size, 100);
	assert_int_equal(stores_at(&b), 5); /* as they were when it was released */
	assert_int_equal(stores_at(&a), 5);
}

static void names_are_answered_early_as_long_as_it_takes(void **state)
{
	const uint64_t no = write_held(file(&a, "f")), until = clock_now() + 5 * NS_PER_S / 2;
	unsigned early = 0, late = 0;
	char name[16];
	uint64_t unset;

	while (clock_now() < until) {
		const struct op op = create(&a, (snprintf(name, sizeof(name), "n%u", early), name));
		struct result res = { 0 };
		struct commit_status st;

		commit_status_get(a.commit, &st);
		if (st.owned)
			early += submit(&a, &op, COMMIT_EARLY, &unset) == 0;
		else
			late += commit_op_wait(a.commit, &op, clock_now(), &res) != 0;
		sleep_for(50 * NS_PER_MS);
	}
	assert_true(early > 20 && late == 0); /* the hold alone is for one second */
	release(no);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
}

static unsigned count(struct span copied, uint64_t first)
{
	struct reader r = READER(copied);
	unsigned n = 0;

	for (; r.rest.len; n++) {
		const struct span one = read_bytes(&r, RECORD_MAX);
		struct op op;

		assert_int_equal(op_decode(one, &op), 0);
		assert_int_equal(op.number, first + n);
		op_release(&op);
	}
	assert_int_equal(read_end(&r), 0);
	return n;
}

static void copies_hold_what_is_pending(void **state)
{
	const uint64_t ino = file(&a, "f");
	const struct op chmod = { .kind = OP_SETATTR, .ino = ino, .set = OP_SET_MODE, .mode = 7 };
	_cleanup_buf_ struct buf bytes = BUF_INIT(MiB);
	struct commit_copied copied;
	uint64_t no = write_held(ino), last;

	assert_int_equal(submit(&a, &chmod, COMMIT_EARLY, &last), 0);
	assert_int_equal(commit_copy(a.commit, MiB, &bytes, &copied), 0);
	assert_true(copied.first == no && copied.last == last && copied.done == no - 1);
	assert_int_equal(count(buf_span(&bytes), no), 2);

	buf_clear(&bytes);
	assert_int_equal(commit_copy(a.commit, MiB, &bytes, &copied), 0);
	assert_int_equal(copied.last, 0);
	commit_copy_again(a.commit);
	assert_int_equal(commit_copy(a.commit, 1, &bytes, &copied), 0);
	assert_true(copied.first == no && copied.last == no);

	release(no);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	assert_int_equal(commit_copy(a.commit, MiB, &bytes, &copied), 0);
	assert_int_equal(copied.last, 0);
	assert_int_equal(copied.done, last);
}

/* An operation of an earlier mount touches what that one saw, or nothing. */
static void again_means_what_was_seen_then(void **state)
{
	const uint64_t ino = file(&a, "f");
	struct op op = { .kind = OP_UNLINK,
			 .parent = ROOT_INO,
			 .name = span_str("f"),
			 .saw = ino + 1,
			 .time_ns = 12345 };
	uint64_t no = 0;

	assert_true(submit(&a, &op, COMMIT_AGAIN, &no) < 0);
	op.saw = ino;
	assert_int_equal(submit(&a, &op, COMMIT_AGAIN, &no), 0);
	assert_int_equal(commit_release(a.commit, no, NULL, 0), 0);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_held_stays_here_with_what_follows, setup,
						teardown),
		cmocka_unit_test_setup_teardown(names_are_answered_early_as_long_as_it_takes,
						setup, teardown),
		cmocka_unit_test_setup_teardown(copies_hold_what_is_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(again_means_what_was_seen_then, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
