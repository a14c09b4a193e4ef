/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: enough copies answer, the rest comes late or is given up, and each is reported once. */
#include "tests/unit/replicas_rig.h"

#include <stdio.h>

static int put(struct rig *rig, const char *name, size_t size, unsigned want, unsigned enough,
	       uint64_t deadline_ns, uint64_t *ret_have)
{
	struct blob *body = blob_new(size);
	struct put_req req = {
		.name = span_str(name), .body = body, .cond = PUT_IF_ABSENT,
		.deadline_ns = deadline_ns,
	};
	int r;

	assert_non_null(body);
	memset(blob_bytes(body), 'x', size);
	r = replicas_put(rig->replicas, &req, want, enough, rig_stored, rig, ret_have);
	blob_unref(body);
	return r;
}

static int put_x(struct rig *rig, unsigned enough, uint64_t *ret_have)
{
	return put(rig, "x", 100, ALL, enough, clock_now() + PATIENCE, ret_have);
}

/* Everything is reported, each wanted store once: those in ok as stored. */
static void check_reports(struct rig *rig, unsigned want, unsigned ok)
{
	assert_int_equal(replicas_drain(rig->replicas, clock_now() + PATIENCE), 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(rig_read(rig, &rig->seen.ok[i]), (want & ok) >> i & 1);
		assert_int_equal(rig_read(rig, &rig->seen.lost[i]), (want & ~ok) >> i & 1);
	}
}

static void stores_at_all(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	assert_int_equal(put_x(rig, 3, &have), 0);
	assert_int_equal(have, ALL);
	check_reports(rig, ALL, ALL);
	for (int i = 0; i < N; i++)
		assert_true(scripted_has(rig->store[i], "x"));
}

static void stores_only_where_wanted(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	assert_int_equal(put(rig, "x", 0, A | C, 2, clock_now() + PATIENCE, &have), 0);
	assert_int_equal(have, A | C);
	check_reports(rig, A | C, ALL);
	assert_int_equal(scripted_count(rig->store[1]).puts, 0);
}

static void answers_when_enough_are_there(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[2], &(struct scripted_rule){ .delay_ns = 300 * NS_PER_MS });
	assert_int_equal(put_x(rig, 2, &have), 0);
	assert_int_equal(have, A | B);
	assert_int_equal(replicas_drain(rig->replicas, clock_now()), -ETIMEDOUT);
	check_reports(rig, ALL, ALL);
	assert_true(scripted_has(rig->store[2], "x"));
}

static void tries_a_passing_failure_again(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[1], &(struct scripted_rule){ .result = -EAGAIN, .times = 2 });
	assert_int_equal(put_x(rig, 3, &have), 0);
	assert_int_equal(have, ALL);
	assert_int_equal(scripted_count(rig->store[1]).puts, 3);
	check_reports(rig, ALL, ALL);
}

static void an_unknown_outcome_is_asked_again_and_exists_is_stored(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[0], &(struct scripted_rule){ .lie = SCRIPTED_UNSAID, .times = 1 });
	assert_int_equal(put_x(rig, 3, &have), 0);
	assert_int_equal(have, ALL);
	assert_int_equal(scripted_count(rig->store[0]).puts, 2);
	check_reports(rig, ALL, ALL);
}

static void a_dead_store_costs_a_report(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_all(rig->store[0], &silent);
	assert_int_equal(put_x(rig, 2, &have), 0);
	assert_int_equal(have, B | C);
	/* Its attempts open the breaker, and then its copy is given up: enough are elsewhere. */
	check_reports(rig, ALL, B | C);
	assert_int_equal(scripted_count(rig->store[0]).puts, 3);
}

static void a_broken_store_is_not_tried(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	rig_break(rig, 0);
	assert_int_equal(put_x(rig, 2, &have), 0);
	assert_int_equal(have, B | C);
	check_reports(rig, ALL, B | C);
	assert_int_equal(scripted_count(rig->store[0]).puts, 0);
}

static void a_broken_store_is_tried_when_it_is_needed(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	rig_break(rig, 0);
	scripted_put(rig->store[0], NULL);
	assert_int_equal(put_x(rig, 3, &have), 0);
	assert_int_equal(have, ALL);
	check_reports(rig, ALL, ALL);
}

static void refusals_are_told(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[0], &(struct scripted_rule){ .result = -EACCES });
	scripted_put(rig->store[1], &(struct scripted_rule){ .result = -ENOSPC });
	scripted_put(rig->store[2], &(struct scripted_rule){ .delay_ns = 200 * NS_PER_MS });
	assert_int_equal(put_x(rig, 2, &have), -EACCES);
	assert_int_equal(have, 0);
	/* Without hope the third is not waited for. */
	check_reports(rig, ALL, 0);
	assert_int_equal(scripted_count(rig->store[0]).puts, 1);
	/* One who may not write reads on: no breaker opened. */
	assert_int_equal(replicas_up(rig->replicas), ALL);
}

static void a_full_store_is_told(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[1], &(struct scripted_rule){ .result = -ENOSPC });
	assert_int_equal(put_x(rig, 3, &have), -ENOSPC);
}

static void ends_by_its_deadline(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 0;

	scripted_put(rig->store[1], &hangs);
	scripted_put(rig->store[2], &hangs);
	assert_int_equal(put(rig, "x", 100, ALL, 2, soon(300), &have), -EIO);
	assert_int_equal(have, A);
	check_reports(rig, ALL, A);
	wait_until(scripted_count(rig->store[1]).cancelled == 1);
	wait_until(scripted_count(rig->store[2]).cancelled == 1);
}

static void more_than_there_are(void **state)
{
	struct rig *rig = *state;
	uint64_t have = 99;

	assert_int_equal(put(rig, "x", 100, A | B, 3, clock_now() + PATIENCE, &have), -EIO);
	assert_int_equal(have, 0);
	check_reports(rig, A | B, 0);
	assert_int_equal(scripted_count(rig->store[0]).puts, 0);
}

static void late_copies_keep_to_their_budget(void **state)
{
	struct rig *rig = rig_new(&(struct replicas_options){ .late_budget_bytes = 1000 });
	uint64_t have;
	char name[8];

	scripted_put(rig->store[2], &hangs);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		have = 0;
		assert_int_equal(put(rig, name, 600, ALL, 2, clock_now() + PATIENCE, &have), 0);
		assert_int_equal(have, A | B);
	}
	/* The second and the third did not fit beside the one before. */
	wait_until(rig_read(rig, &rig->seen.lost[2]) == 2);
	assert_int_equal(rig_read(rig, &rig->seen.ok[2]), 0);
	wait_until(scripted_count(rig->store[2]).cancelled == 2);
	rig_free(rig);
}

static void late_copies_have_a_deadline(void **state)
{
	const struct replicas_options opts = { .late_deadline_ns = 200 * NS_PER_MS };
	struct rig *rig = rig_new(&opts);
	uint64_t have = 0;

	scripted_put(rig->store[2], &hangs);
	assert_int_equal(put(rig, "x", 100, ALL, 2, soon(100), &have), 0);
	check_reports(rig, ALL, A | B);
	rig_free(rig);
}

static void freeing_ends_late_copies(void **state)
{
	struct rig *rig = rig_new(NULL);
	uint64_t have = 0;

	scripted_put(rig->store[1], &hangs);
	scripted_put(rig->store[2], &(struct scripted_rule){ .result = -EAGAIN });
	assert_int_equal(put_x(rig, 1, &have), 0);
	assert_int_equal(have, A);
	rig->replicas = replicas_free(rig->replicas);
	for (int i = 0; i < N; i++)
		assert_int_equal(rig->seen.ok[i] + rig->seen.lost[i], 1);
	assert_int_equal(rig->seen.lost[1], 1);
	rig_free(rig);
}

/* Many at once, with failures of all kinds in between. */
enum { WRITERS = 6, PUTS = 25 };

struct writer {
	struct rig *rig;
	unsigned number, failed;
};

static void write_many(void *arg)
{
	struct writer *w = arg;
	char name[16];
	uint64_t have;

	for (unsigned i = 0; i < PUTS; i++) {
		struct get_req req = { .limit = 1000, .deadline_ns = clock_now() + PATIENCE };
		_cleanup_buf_ struct buf body = BUF_INIT(1000);
		unsigned store;

		snprintf(name, sizeof(name), "w%u/%u", w->number, i);
		req.name = span_str(name);
		if (put(w->rig, name, 500, ALL, 2, clock_now() + PATIENCE, &have) < 0 ||
		    replicas_get(w->rig->replicas, &req, have, 0, &body, &store, NULL) != 0 ||
		    body.len != 500)
			w->failed++;
	}
}

static void plague(struct rig *rig, unsigned turn)
{
	static const struct scripted_rule rules[] = {
		{ .result = -EAGAIN, .times = 4 },
		{ .delay_ns = 20 * NS_PER_MS, .times = 10 },
		{ .lie = SCRIPTED_UNSAID, .times = 5 },
		{ .result = -EAGAIN, .silent = true, .times = 3 },
		{ .delay_ns = 300 * NS_PER_MS, .times = 2 },
		{ 0 },
	};

	scripted_put(rig->store[turn % N], &rules[turn % ARRAY_SIZE(rules)]);
	scripted_get(rig->store[turn / 2 % N],
		     turn % 10 == 0 ? &hangs : &rules[turn / 3 % ARRAY_SIZE(rules)]);
}

static void many_at_once(void **state)
{
	const struct replicas_options opts = {
		.late_budget_bytes = 10000, .late_deadline_ns = 3 * NS_PER_S,
	};
	struct rig *rig = rig_new(&opts);
	struct writer writers[WRITERS];
	struct task *tasks[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .rig = rig, .number = i };
		tasks[i] = task_start("writer", write_many, &writers[i]);
	}
	for (unsigned turn = 0; turn < 40; turn++) {
		plague(rig, turn);
		sleep_for(10 * NS_PER_MS);
	}
	for (int i = 0; i < N; i++)
		scripted_all(rig->store[i], NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		task_join(tasks[i]);
		assert_int_equal(writers[i].failed, 0);
	}
	assert_int_equal(replicas_drain(rig->replicas, clock_now() + PATIENCE), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(rig->seen.ok[i] + rig->seen.lost[i], WRITERS * PUTS);
	rig_free(rig);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(stores_at_all),
		T(stores_only_where_wanted),
		T(answers_when_enough_are_there),
		T(tries_a_passing_failure_again),
		T(an_unknown_outcome_is_asked_again_and_exists_is_stored),
		T(a_dead_store_costs_a_report),
		T(a_broken_store_is_not_tried),
		T(a_broken_store_is_tried_when_it_is_needed),
		T(refusals_are_told),
		T(a_full_store_is_told),
		T(ends_by_its_deadline),
		T(more_than_there_are),
		cmocka_unit_test(late_copies_keep_to_their_budget),
		cmocka_unit_test(late_copies_have_a_deadline),
		cmocka_unit_test(freeing_ends_late_copies),
		cmocka_unit_test(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
