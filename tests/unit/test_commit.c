/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit.h"

#include "fs/ns/lookup.h"
#include "tests/lib/cluster.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <sys/stat.h>

static struct cluster cluster;
static _Atomic unsigned down; /* bit i: store i refuses everything */
static uint64_t delay_ns;

/* What the events told. */
static struct {
	struct lock lock;
	unsigned applied, lost, stopped;
	int lost_now;
} heard;

static void plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	const struct member_store *way = arg;

	fate->execute_ns = delay_ns / 2;
	fate->answer_ns = delay_ns;
	if (down & (1u << way->store))
		*fate = (struct mem_fate){ .lost = true, .result = -EAGAIN, .executed_not = true };
}

static void on_applied(const struct op *op, const struct result *res, void *arg)
{
	LOCK_SCOPE(&heard.lock);
	heard.applied++;
}

static void on_lost(const struct op *op, const struct result *said, const struct result *now,
		    void *arg)
{
	LOCK_SCOPE(&heard.lock);
	heard.lost++;
	heard.lost_now = now->error;
}

static void on_stopped(const char *why, void *arg)
{
	LOCK_SCOPE(&heard.lock);
	heard.stopped++;
}

static const struct commit_events events = { .applied = on_applied,
					     .lost = on_lost,
					     .stopped = on_stopped };

static int setup(void **state)
{
	cluster = (struct cluster){ .plan = plan };
	down = 0;
	delay_ns = 0;
	memset(&heard, 0, sizeof(heard));
	lock_init(&heard.lock, RANK_LEAF);
	return cluster_open(&cluster) || cluster_format(&cluster);
}

static int teardown(void **state)
{
	cluster_close(&cluster);
	lock_release(&heard.lock);
	return 0;
}

static uint64_t soon(void)
{
	return clock_now() + 30 * NS_PER_S;
}

static void mount_on(struct member *m, unsigned number, struct kv *kv,
		     const struct commit_options *o)
{
	assert_non_null(kv);
	assert_int_equal(member_open(m, &cluster, number, o->read_only), 0);
	assert_int_equal(member_mount(m, kv, o, &events, soon()), 0);
}

static void mount(struct member *m, unsigned number)
{
	const struct commit_options o = { 0 };

	mount_on(m, number, kv_memory(COL_COUNT), &o);
}

static void unmount(struct member *m)
{
	struct kv *kv = m->kv;

	member_close(m);
	kv_close(kv);
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

static struct op unlink_of(const char *name)
{
	return (struct op){
		.kind = OP_UNLINK, .parent = ROOT_INO, .name = span_str(name), .saw = SAW_ANYTHING
	};
}

static void must_not_be_called(const struct result *res, void *arg)
{
	abort();
}

/* Submits what must be answered at once. */
static int at_once(struct member *m, struct op op)
{
	struct result res = { 0 };
	uint64_t no;

	assert_int_equal(
		commit_submit(m->commit, &op, COMMIT_EARLY, must_not_be_called, NULL, &res, &no),
		0);
	return res.error;
}

static int ordered(struct member *m, struct op op)
{
	struct result res = { 0 };

	return commit_op_wait(m->commit, &op, soon(), &res);
}

static uint64_t lookup(struct member *m, const char *name)
{
	struct view *v = commit_lock(m->commit);
	uint64_t ino = 0;
	int r = ns_lookup(v, ROOT_INO, span_str(name), &ino, NULL);

	commit_unlock(m->commit);
	assert_true(r == 0 || r == NS_MISSING);
	return r ? 0 : ino;
}

/* Commits something until the tip is this mount's, for long enough to answer early. */
static void take_tip(struct member *m)
{
	static unsigned n;
	struct commit_status st;

	do {
		char name[16];

		snprintf(name, sizeof(name), "tip%u", n++);
		assert_int_equal(ordered(m, create(m, name)), 0);
		sleep_for(20 * NS_PER_MS); /* a late bell may have given it away */
		commit_status_get(m->commit, &st);
	} while (!st.owned);
}

static void assert_same_state(struct member *a, struct member *b)
{
	const uint64_t until = soon();
	struct commit_status sa, sb;

	do { /* the tip may go back to its owner in between */
		assert_int_equal(commit_refresh(a->commit, soon()), 0);
		assert_int_equal(commit_refresh(b->commit, soon()), 0);
		commit_status_get(a->commit, &sa);
		commit_status_get(b->commit, &sb);
	} while (sa.applied_slot != sb.applied_slot && clock_now() < until);
	assert_int_equal(sa.applied_slot, sb.applied_slot);
	assert_int_equal(sa.hash.lo, sb.hash.lo);
	assert_int_equal(sa.hash.hi, sb.hash.hi);
}

static void test_mounts_and_commits(void **state)
{
	struct member a;
	struct commit_status st;

	mount(&a, 1);
	assert_true(commit_mount_number(a.commit) > 0);
	assert_int_equal(at_once(&a, create(&a, "f")), 0);
	assert_int_not_equal(lookup(&a, "f"), 0);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	commit_status_get(a.commit, &st);
	assert_true(st.owned);
	assert_int_equal(st.pending_operations, 0);
	assert_int_equal(commit_stop(a.commit, soon()), 0);
	unmount(&a);
}

static void test_what_fails_early_is_answered_and_not_submitted(void **state)
{
	struct member a;
	struct commit_status st;

	mount(&a, 1);
	assert_int_equal(at_once(&a, unlink_of("nothing")), -ENOENT);
	assert_int_equal(at_once(&a, create(&a, "f")), 0);
	assert_int_equal(at_once(&a, create(&a, "f")), -EEXIST);
	commit_status_get(a.commit, &st);
	assert_int_equal(st.pending_operations, 1);
	unmount(&a);
}

static void test_commits_by_itself(void **state)
{
	struct member a, b;
	const uint64_t until = soon();

	mount(&a, 1);
	mount(&b, 2);
	assert_int_equal(ordered(&a, create(&a, "seen")), 0);
	/* Others see it without anybody waiting. */
	while (!lookup(&b, "seen") && clock_now() < until)
		sleep_for(10 * NS_PER_MS);
	assert_int_not_equal(lookup(&b, "seen"), 0);
	assert_true(heard.applied > 0);
	unmount(&a);
	unmount(&b);
}

static void test_ordered_answers_are_in_the_journal(void **state)
{
	struct member a, b;

	mount(&a, 1);
	assert_int_equal(ordered(&a, create(&a, "f")), 0);
	assert_int_equal(ordered(&a, create(&a, "f")), -EEXIST);
	mount(&b, 2);
	assert_int_not_equal(lookup(&b, "f"), 0);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

static void test_a_second_writer_gets_in(void **state)
{
	const struct commit_options quick = { .hold_ns = 100 * NS_PER_MS };
	struct member a, b;

	mount_on(&a, 1, kv_memory(COL_COUNT), &quick);
	mount_on(&b, 2, kv_memory(COL_COUNT), &quick);
	for (int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "a%d", i);
		assert_int_equal(ordered(&a, create(&a, name)), 0);
		name[0] = 'b';
		assert_int_equal(ordered(&b, create(&b, name)), 0);
	}
	assert_same_state(&a, &b);
	assert_int_not_equal(lookup(&a, "b4"), 0);
	assert_int_not_equal(lookup(&b, "a4"), 0);
	assert_int_equal(commit_stop(a.commit, soon()), 0);
	assert_int_equal(commit_stop(b.commit, soon()), 0);
	unmount(&a);
	unmount(&b);
}

/* An owner that never pauses; the other one still gets its operations in. */
struct busy {
	struct member *m;
	_Atomic bool stop;
	_Atomic unsigned done;
};

static void busy_task(void *arg)
{
	struct busy *b = arg;

	while (!b->stop) {
		char name[32];

		snprintf(name, sizeof(name), "busy%u", b->done);
		if (ordered(b->m, create(b->m, name)) == 0)
			b->done++;
	}
}

static void test_a_busy_owner_does_not_keep_others_out(void **state)
{
	const struct commit_options quick = { .hold_ns = 50 * NS_PER_MS };
	struct member a, b;
	struct busy busy = { .m = &a };
	struct task *t;

	delay_ns = 4 * NS_PER_MS;
	mount_on(&a, 1, kv_memory(COL_COUNT), &quick);
	t = task_start("busy", busy_task, &busy);
	mount_on(&b, 2, kv_memory(COL_COUNT), &quick);
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "in%d", i);
		assert_int_equal(ordered(&b, create(&b, name)), 0);
	}
	busy.stop = true;
	task_join(t);
	assert_true(busy.done > 3);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

static void test_an_operation_answered_early_is_lost(void **state)
{
	const struct commit_options slow = { .hold_ns = 300 * NS_PER_MS,
					     .delay_ns = 100 * NS_PER_S };
	const struct commit_options quick = { .hold_ns = 300 * NS_PER_MS };
	struct member a, b;

	mount_on(&a, 1, kv_memory(COL_COUNT), &slow);
	mount_on(&b, 2, kv_memory(COL_COUNT), &quick);
	/* The tip is a's, and it answers early, */
	take_tip(&a);
	assert_int_equal(at_once(&a, create(&a, "same")), 0);
	assert_int_equal(at_once(&a, create(&a, "other")), 0);
	/* but says nothing for longer than its hold, and b takes the tip. */
	assert_int_equal(ordered(&b, create(&b, "same")), 0);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), -EIO);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0); /* told once */
	assert_int_equal(heard.lost, 1);
	assert_int_equal(heard.lost_now, -EEXIST);
	assert_int_not_equal(lookup(&a, "other"), 0);
	assert_same_state(&a, &b);
	assert_int_equal(lookup(&a, "same"), lookup(&b, "same"));
	unmount(&a);
	unmount(&b);
}

static void test_an_early_unlink_takes_what_it_saw(void **state)
{
	const struct commit_options slow = { .hold_ns = 300 * NS_PER_MS,
					     .delay_ns = 100 * NS_PER_S };
	const struct commit_options quick = { .hold_ns = 300 * NS_PER_MS };
	struct member a, b;
	uint64_t new_ino;

	mount_on(&a, 1, kv_memory(COL_COUNT), &slow);
	mount_on(&b, 2, kv_memory(COL_COUNT), &quick);
	assert_int_equal(ordered(&a, create(&a, "f")), 0);
	take_tip(&a);
	assert_int_equal(at_once(&a, unlink_of("f")), 0);
	assert_int_equal(lookup(&a, "f"), 0);
	/* b knows f still; replaces it before a's operation has its slot. */
	assert_int_equal(ordered(&b, unlink_of("f")), 0);
	assert_int_equal(ordered(&b, create(&b, "f")), 0);
	new_ino = lookup(&b, "f");
	assert_int_not_equal(new_ino, 0);
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), -EIO);
	assert_int_equal(lookup(&a, "f"), new_ino);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

static void test_one_store_down(void **state)
{
	struct member a, b;

	mount(&a, 1);
	for (unsigned i = 0; i < CLUSTER_STORES; i++) {
		char name[16];

		down = 1u << i;
		snprintf(name, sizeof(name), "down%u", i);
		assert_int_equal(ordered(&a, create(&a, name)), 0);
	}
	mount(&b, 2);
	assert_int_not_equal(lookup(&b, "down0"), 0);
	assert_int_not_equal(lookup(&b, "down2"), 0);
	unmount(&a);
	unmount(&b);
}

static void test_no_majority_ends_with_eio_and_loses_nothing(void **state)
{
	const struct commit_options hasty = { .deadline_ns = NS_PER_S };
	struct member a;

	mount_on(&a, 1, kv_memory(COL_COUNT), &hasty);
	assert_int_equal(ordered(&a, create(&a, "before")), 0);
	down = 3;
	assert_int_equal(at_once(&a, create(&a, "during")), 0);
	assert_int_equal(ordered(&a, create(&a, "too")), -EIO);
	down = 0;
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	assert_int_not_equal(lookup(&a, "during"), 0);
	assert_int_not_equal(lookup(&a, "too"), 0);
	unmount(&a);
}

struct counter {
	_Atomic unsigned n, errors;
};

static void count(const struct result *res, void *arg)
{
	struct counter *c = arg;

	c->errors += res->error != 0;
	c->n++;
}

static void test_syncs_are_answered(void **state)
{
	struct counter c = { .n = 0 };
	const uint64_t until = soon();
	struct member a;

	mount(&a, 1);
	commit_sync(a.commit, 0, count, &c); /* nothing to wait for */
	assert_int_equal(at_once(&a, create(&a, "f")), 0);
	commit_sync(a.commit, ROOT_INO, count, &c);
	commit_sync(a.commit, 12345, count, &c);
	while (c.n < 3 && clock_now() < until)
		sleep_for(NS_PER_MS);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.errors, 0);
	unmount(&a);
}

static void test_readers_follow_and_write_nothing(void **state)
{
	const struct commit_options reader = { .read_only = true };
	struct member a, r;
	struct op op = { .kind = OP_MKDIR,
			 .parent = ROOT_INO,
			 .name = SPAN_LITERAL("d"),
			 .mode = S_IFDIR | 0755 };
	struct result res;
	uint64_t no;

	mount(&a, 1);
	assert_int_equal(ordered(&a, create(&a, "f")), 0);
	mount_on(&r, 2, kv_memory(COL_COUNT), &reader);
	assert_int_not_equal(lookup(&r, "f"), 0);
	assert_int_equal(
		commit_submit(r.commit, &op, COMMIT_EARLY, must_not_be_called, NULL, &res, &no),
		-EROFS);
	assert_int_equal(ordered(&a, create(&a, "g")), 0);
	assert_int_equal(commit_refresh(r.commit, soon()), 0);
	assert_int_not_equal(lookup(&r, "g"), 0);
	assert_same_state(&a, &r);
	assert_int_equal(commit_stop(r.commit, soon()), 0);
	unmount(&a);
	unmount(&r);
}

static void test_the_database_is_used_again(void **state)
{
	struct kv *kv = kv_memory(COL_COUNT);
	const struct commit_options o = { 0 };
	struct commit_status st;
	struct member a;
	uint64_t slot;

	mount_on(&a, 1, kv, &o);
	assert_int_equal(ordered(&a, create(&a, "f")), 0);
	assert_int_equal(commit_stop(a.commit, soon()), 0);
	commit_status_get(a.commit, &st);
	slot = st.applied_slot;
	member_close(&a);
	mount_on(&a, 2, kv, &o);
	commit_status_get(a.commit, &st);
	assert_int_equal(st.applied_slot, slot + 1); /* its MOUNT; nobody owned the tip */
	assert_true(st.owned);
	assert_int_not_equal(lookup(&a, "f"), 0);
	unmount(&a);
}

static void spoil(struct kv *kv, unsigned column, struct span key, struct span value)
{
	struct kv_batch *b = kv_batch_new(kv);

	assert_int_equal(kv_batch_put(b, column, key, value), 0);
	assert_int_equal(kv_write(kv, b, false), 0);
	kv_batch_free(b);
}

static void test_a_damaged_database_is_rebuilt(void **state)
{
	struct kv *kv = kv_memory(COL_COUNT);
	const struct commit_options o = { 0 };
	struct member a, b;

	mount(&b, 1);
	assert_int_equal(ordered(&b, create(&b, "f")), 0);
	mount_on(&a, 2, kv, &o);
	member_close(&a);
	/* Whatever is wrong with the mark: from the start. */
	spoil(kv, COL_META, SPAN_LITERAL("applied"), SPAN_LITERAL("nonsense"));
	spoil(kv, COL_XATTR, SPAN_LITERAL("left over"), SPAN_LITERAL("of the old state"));
	mount_on(&a, 3, kv, &o);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

static void test_many_operations_in_one_go(void **state)
{
	struct member a, b;

	delay_ns = 5 * NS_PER_MS;
	mount(&a, 1);
	for (int i = 0; i < 3000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "a file with a name of some length %d", i);
		assert_int_equal(at_once(&a, create(&a, name)), 0);
	}
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	mount(&b, 2);
	assert_int_not_equal(lookup(&b, "a file with a name of some length 2999"), 0);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

static void test_more_than_a_record_holds(void **state)
{
	_cleanup_free_ uint8_t *value = calloc(1, XATTR_VALUE_MAX);
	struct member a, b;
	struct op op;

	mount(&a, 1);
	assert_int_equal(ordered(&a, create(&a, "f")), 0);
	op = (struct op){ .kind = OP_SETXATTR,
			  .ino = lookup(&a, "f"),
			  .value = span_of(value, 60000) };
	for (int i = 0; i < 60; i++) {
		char name[16];

		snprintf(name, sizeof(name), "user.%d", i);
		op.name = span_str(name);
		assert_int_equal(at_once(&a, op), 0);
	}
	assert_int_equal(commit_sync_wait(a.commit, 0, soon()), 0);
	mount(&b, 2);
	assert_same_state(&a, &b);
	unmount(&a);
	unmount(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_mounts_and_commits),
		T(test_what_fails_early_is_answered_and_not_submitted),
		T(test_commits_by_itself),
		T(test_ordered_answers_are_in_the_journal),
		T(test_a_second_writer_gets_in),
		T(test_a_busy_owner_does_not_keep_others_out),
		T(test_an_operation_answered_early_is_lost),
		T(test_an_early_unlink_takes_what_it_saw),
		T(test_one_store_down),
		T(test_no_majority_ends_with_eio_and_loses_nothing),
		T(test_syncs_are_answered),
		T(test_readers_follow_and_write_nothing),
		T(test_the_database_is_used_again),
		T(test_a_damaged_database_is_rebuilt),
		T(test_many_operations_in_one_go),
		T(test_more_than_a_record_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
