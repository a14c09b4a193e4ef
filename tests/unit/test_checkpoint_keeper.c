/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints beside a journal: written by themselves, announced, and what a new member begins
 * with. */
#include "fs/checkpoint.h"
#include "fs/ns/lookup.h"
#include "tests/lib/cluster.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <sys/stat.h>

#define LIVE_NS (60 * NS_PER_S)

static struct cluster cluster;

static int setup(void **state)
{
	cluster = (struct cluster){ .plan = NULL };
	return cluster_open(&cluster) || cluster_format(&cluster);
}

static int teardown(void **state)
{
	cluster_close(&cluster);
	return 0;
}

static struct checkpoint_stores stores_of(const struct member *m)
{
	return (struct checkpoint_stores){ .replicas = m->replicas,
					   .sealer = m->sealer,
					   .stores = (1ull << CLUSTER_STORES) - 1,
					   .enough = 2 };
}

static void mount_member(struct member *m, unsigned number, struct kv *kv)
{
	const struct commit_options o = { .delay_ns = NS_PER_MS };

	assert_int_equal(member_open(m, &cluster, number, false), 0);
	assert_int_equal(member_mount(m, kv, &o, NULL, clock_now() + LIVE_NS), 0);
}

static struct checkpoint_keeper *keeper_of(struct member *m, uint64_t every_slots)
{
	const struct checkpoint_keeper_options o = { .stores = stores_of(m),
						     .commit = m->commit,
						     .every_slots = every_slots };
	struct checkpoint_keeper *k;

	assert_int_equal(checkpoint_keeper_new(&o, &k), 0);
	return k;
}

static void create(struct member *m, const char *name)
{
	struct op op = { .kind = OP_CREATE,
			 .parent = ROOT_INO,
			 .name = span_str(name),
			 .mode = S_IFREG | 0644 };
	struct result res;

	assert_int_equal(commit_new_ino(m->commit, &op.ino), 0);
	assert_int_equal(commit_op_wait(m->commit, &op, clock_now() + LIVE_NS, &res), 0);
}

static bool has(struct member *m, const char *name)
{
	uint64_t ino;
	int r = ns_lookup(commit_lock(m->commit), ROOT_INO, span_str(name), &ino, NULL);

	commit_unlock(m->commit);
	return r == 0;
}

/* UINT64_MAX: none was announced. */
static uint64_t announced(struct member *m)
{
	struct checkpoint_row row = { .slot = UINT64_MAX };
	int r = ns_checkpoint(commit_lock(m->commit), &row);

	commit_unlock(m->commit);
	assert_true(r >= 0);
	return row.slot;
}

static void writes_when_it_is_time(void **state)
{
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT);
	const uint64_t limit = clock_now() + LIVE_NS;
	struct checkpoint_keeper *k;
	struct member m;

	mount_member(&m, 0, kv);
	k = keeper_of(&m, 20);
	for (unsigned i = 0; announced(&m) == UINT64_MAX; i++) {
		char name[16];

		assert_true(clock_now() < limit);
		snprintf(name, sizeof(name), "file%u", i);
		create(&m, name);
		sleep_for(10 * NS_PER_MS);
	}
	assert_true(announced(&m) >= 20);
	checkpoint_keeper_free(k);
	member_close(&m);
}

static void a_new_member_begins_with_it(void **state)
{
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT), *other = kv_memory(COL_COUNT);
	struct checkpoint_stores s;
	struct checkpoint_report first, second, loaded;
	struct checkpoint_keeper *k;
	struct member m, n;

	mount_member(&m, 0, kv);
	k = keeper_of(&m, 0);
	create(&m, "before");
	assert_int_equal(checkpoint_now(k, clock_now() + LIVE_NS, &first), 0);
	assert_int_equal(announced(&m), first.slot);
	create(&m, "between");
	assert_int_equal(checkpoint_now(k, clock_now() + LIVE_NS, &second), 0);
	assert_true(second.slot > first.slot);
	create(&m, "after");
	checkpoint_keeper_free(k);
	/* its database is filled before the journal is followed, from that slot on */
	assert_int_equal(member_open(&n, &cluster, 1, true), 0);
	s = stores_of(&n);
	assert_int_equal(checkpoint_load(&s, UINT64_MAX, other, &loaded), 0);
	assert_int_equal(loaded.slot, second.slot);
	assert_int_equal(member_mount(&n, other, &(struct commit_options){ .read_only = true },
				      NULL, clock_now() + LIVE_NS),
			 0);
	assert_int_equal(commit_refresh(n.commit, clock_now() + LIVE_NS), 0);
	assert_true(has(&n, "before") && has(&n, "between") && has(&n, "after"));
	assert_int_equal(announced(&n), second.slot);
	member_close(&n);
	member_close(&m);
}

/* Whatever a checkpoint says, the journal's next record has the last word. */
static void one_that_the_journal_denies(void **state)
{
	_cleanup_(kv_closep) struct kv *kv = kv_memory(COL_COUNT), *other = kv_memory(COL_COUNT);
	struct checkpoint_report rep;
	struct checkpoint_stores s;
	struct checkpoint_keeper *k;
	struct commit_mark mark;
	struct member m, n;

	mount_member(&m, 0, kv);
	k = keeper_of(&m, 0);
	create(&m, "before");
	assert_int_equal(checkpoint_now(k, clock_now() + LIVE_NS, &rep), 0);
	create(&m, "after");
	checkpoint_keeper_free(k);
	assert_int_equal(member_open(&n, &cluster, 1, true), 0);
	s = stores_of(&n);
	assert_int_equal(checkpoint_load(&s, UINT64_MAX, other, &rep), 0);
	assert_int_equal(commit_mark_load(other, NULL, &mark), 0);
	mark.hash.lo ^= 1;
	assert_int_equal(commit_mark_store(other, &mark), 0);
	assert_int_equal(member_mount(&n, other, &(struct commit_options){ .read_only = true },
				      NULL, clock_now() + LIVE_NS),
			 0);
	assert_true(has(&n, "before") && has(&n, "after"));
	member_close(&n);
	member_close(&m);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_when_it_is_time),
		TEST(a_new_member_begins_with_it),
		TEST(one_that_the_journal_denies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
