/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: fail over, hedge, and never fail because of a breaker. */
#include "tests/unit/replicas_rig.h"

/* Reads the object "x"; the result, and which store answered with what. */
struct outcome {
	struct buf body;
	unsigned store;
	uint64_t missing;
	int result;
};

static void outcome_release(struct outcome *o)
{
	buf_release(&o->body);
}

static struct outcome read_x(struct rig *rig, uint64_t have, uint64_t avoid, uint64_t deadline_ns)
{
	struct get_req req = {
		.name = SPAN_LITERAL("x"), .limit = 1000, .deadline_ns = deadline_ns,
	};
	struct outcome o = { .body = BUF_INIT(1000), .store = 99 };

	o.result = replicas_get(rig->replicas, &req, have, avoid, &o.body, &o.store, &o.missing);
	return o;
}
#define READ_X(rig, have, avoid)                                                                   \
	read_x(rig, have, avoid, clock_now() + PATIENCE)
#define OUTCOME _cleanup_(outcome_release) struct outcome

static void asks_the_best_only(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, ALL, "x", "content");
	OUTCOME o = READ_X(rig, ALL, 0);
	assert_int_equal(o.result, 0);
	assert_int_equal(o.store, 0);
	assert_int_equal(o.missing, 0);
	assert_span_str(buf_span(&o.body), "content");
	assert_int_equal(scripted_count(rig->store[1]).gets, 0);
	assert_int_equal(scripted_count(rig->store[2]).gets, 0);
}

static void asks_only_where_it_is_and_not_to_be_avoided(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, ALL, "x", "content");
	OUTCOME o = READ_X(rig, B | C, B);
	assert_int_equal(o.result, 0);
	assert_int_equal(o.store, 2);
	assert_int_equal(scripted_count(rig->store[0]).gets, 0);
	assert_int_equal(scripted_count(rig->store[1]).gets, 0);
	OUTCOME none = READ_X(rig, B, B);
	assert_int_equal(none.result, -EIO);
}

static void fails_over_at_once(void **state)
{
	static const int failures[] = { -EAGAIN, -EIO, -ETIMEDOUT, -EACCES, STORE_MISSING };
	struct rig *rig = *state;

	rig_add(rig, ALL, "x", "content");
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		scripted_get(rig->store[0], &(struct scripted_rule){ .result = failures[i] });
		OUTCOME o = READ_X(rig, ALL, 0);
		assert_int_equal(o.result, 0);
		assert_int_equal(o.store, 1);
		assert_int_equal(o.missing, failures[i] == STORE_MISSING ? A : 0);
		/* Good news between the bad ones keeps the breaker closed. */
		for (int k = 0; k < 10; k++)
			replicas_observe(rig->replicas, 0, 0, 10 * NS_PER_MS, 0);
	}
	assert_int_equal(scripted_count(rig->store[0]).gets, ARRAY_SIZE(failures));
	assert_int_equal(scripted_count(rig->store[2]).gets, 0);
}

static void asks_another_when_the_answer_is_late(void **state)
{
	struct rig *rig = *state;
	struct replica_health health;

	rig_add(rig, ALL, "x", "content");
	scripted_get(rig->store[0], &hangs);
	OUTCOME o = READ_X(rig, ALL, 0);
	assert_int_equal(o.result, 0);
	assert_int_equal(o.store, 1);
	wait_until(scripted_count(rig->store[0]).cancelled == 1);
	replicas_health(rig->replicas, 0, &health);
	assert_int_equal(health.hedged, 1);
	assert_int_equal(scripted_count(rig->store[2]).gets, 0);
}

static void the_first_good_answer_wins(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, ALL, "x", "content");
	/* The first is late, the second in addition is no help; the first answers in the end. */
	scripted_get(rig->store[0], &(struct scripted_rule){ .delay_ns = 1500 * NS_PER_MS });
	scripted_get(rig->store[1], &hangs);
	OUTCOME o = READ_X(rig, A | B, 0);
	assert_int_equal(o.result, 0);
	assert_int_equal(o.store, 0);
	wait_until(scripted_count(rig->store[1]).cancelled == 1);
}

static void missing_is_an_answer_only_of_all(void **state)
{
	struct rig *rig = *state;

	OUTCOME all = READ_X(rig, ALL, 0);
	assert_int_equal(all.result, STORE_MISSING);
	assert_int_equal(all.missing, ALL);
	scripted_get(rig->store[2], &(struct scripted_rule){ .result = -EIO });
	OUTCOME two = READ_X(rig, ALL, 0);
	assert_int_equal(two.result, -EIO);
	assert_int_equal(two.missing, A | B);
	scripted_get(rig->store[2], &(struct scripted_rule){ .result = -EACCES });
	OUTCOME refused = READ_X(rig, ALL, 0);
	assert_int_equal(refused.result, -EACCES);
}

static void a_range_behind_the_end(void **state)
{
	struct rig *rig = *state;
	struct get_req req = {
		.name = SPAN_LITERAL("x"), .offset = 3, .length = 4, .limit = 1000,
		.deadline_ns = clock_now() + PATIENCE,
	};
	_cleanup_buf_ struct buf body = BUF_INIT(1000);
	unsigned store;

	rig_add(rig, A, "x", "con");
	rig_add(rig, B, "x", "content");
	assert_int_equal(replicas_get(rig->replicas, &req, A | B, 0, &body, &store, NULL), 0);
	assert_int_equal(store, 1);
	assert_span_str(buf_span(&body), "tent");
	assert_int_equal(replicas_get(rig->replicas, &req, A, 0, &body, &store, NULL), STORE_RANGE);
	assert_int_equal(store, 0);
	assert_int_equal(body.len, 4);
}

/* Reads a part of "x" of which every store is known to have what match[] says. */
static struct outcome read_match(struct rig *rig, uint64_t have, const struct get_match *match,
				 uint64_t deadline_ns)
{
	struct get_req req = {
		.name = SPAN_LITERAL("x"), .offset = 3, .length = 4, .limit = 4,
		.if_match_at = match, .deadline_ns = deadline_ns,
	};
	struct outcome o = { .body = BUF_INIT(4), .store = 99 };

	o.result = replicas_get(rig->replicas, &req, have, 0, &o.body, &o.store, &o.missing);
	return o;
}

static void another_object_is_an_answer_only_of_all(void **state)
{
	static const struct get_match match[N] = { { "1", 7, 0 }, { "2", 7, 0 }, { "3", 7, 0 } };
	static const struct scripted_rule changed = { .result = STORE_CHANGED };
	static const struct scripted_rule refused = { .result = -EACCES };
	struct rig *rig = *state;

	rig_add(rig, A | B, "x", "content");
	scripted_get(rig->store[0], &changed);
	OUTCOME other = read_match(rig, A | B, match, soon(30000));
	assert_int_equal(other.result, 0);
	assert_int_equal(other.store, 1);
	assert_int_equal(other.missing, A);
	assert_span_str(buf_span(&other.body), "tent");
	scripted_get(rig->store[1], &refused);
	OUTCOME none = read_match(rig, ALL, match, soon(30000));
	assert_int_equal(none.result, STORE_CHANGED);
	assert_int_equal(none.missing, A | C);
	assert_int_equal(none.body.len, 0);
	OUTCOME alone = read_match(rig, A, match, soon(30000));
	assert_int_equal(alone.result, STORE_CHANGED);
	/* Who cannot be heard changes nothing about what is known. */
	scripted_get(rig->store[1], &hangs);
	OUTCOME late = read_match(rig, A | B, match, soon(300));
	assert_int_equal(late.result, STORE_CHANGED);
}

/* The store did its work; the breaker stays closed however often it says so. */
static void another_object_is_no_failure_of_the_store(void **state)
{
	static const struct get_match match[N] = { { "1", 7, 0 } };
	struct rig *rig = *state;
	struct replica_health health;

	scripted_get(rig->store[0], &(struct scripted_rule){ .result = STORE_CHANGED });
	for (int i = 0; i < 20; i++) {
		OUTCOME o = read_match(rig, A, match, soon(30000));
		assert_int_equal(o.result, STORE_CHANGED);
	}
	replicas_health(rig->replicas, 0, &health);
	assert_string_equal(health.breaker, "closed");
	assert_int_equal(health.state, REPLICA_HEALTHY);
	assert_int_equal(scripted_count(rig->store[0]).gets, 20);
}

static void size_and_time_tell_objects_apart(void **state)
{
	static const struct get_match shorter[N] = { { "1", 6, 0 } };
	static const struct get_match longer[N] = { { "1", 8, 0 } };
	static const struct get_match dated[N] = { { "", 7, 100 } };
	static const struct get_match versioned[N] = { { "1", 7, 101 } };
	static const struct get_match undated[N] = { { NULL, 7, 0 }, { NULL, 3, 0 } };
	struct rig *rig = *state;

	rig_add(rig, A, "x", "content");
	rig_add(rig, B, "x", "con");
	scripted_get(rig->store[0], &(struct scripted_rule){ .modified_s = 100 });
	OUTCOME o1 = read_match(rig, A, shorter, soon(30000));
	assert_int_equal(o1.result, STORE_CHANGED);
	OUTCOME o2 = read_match(rig, A, longer, soon(30000));
	assert_int_equal(o2.result, STORE_CHANGED);
	OUTCOME o3 = read_match(rig, A, dated, soon(30000));
	assert_int_equal(o3.result, 0);
	OUTCOME o4 = read_match(rig, A, versioned, soon(30000));
	assert_int_equal(o4.result, 0);
	scripted_get(rig->store[0], &(struct scripted_rule){ .modified_s = 101 });
	OUTCOME o5 = read_match(rig, A, dated, soon(30000));
	assert_int_equal(o5.result, STORE_CHANGED);
	assert_int_equal(o5.missing, A);
	OUTCOME o6 = read_match(rig, A, undated, soon(30000));
	assert_int_equal(o6.result, 0);
	/* Nothing at 3: another object where there should be more, the truth where not. */
	OUTCOME o7 = read_match(rig, B, undated, soon(30000));
	assert_int_equal(o7.result, STORE_RANGE);
	OUTCOME o8 = read_match(rig, B, (const struct get_match[]){ { 0 }, { NULL, 7, 0 } },
				soon(30000));
	assert_int_equal(o8.result, STORE_CHANGED);
}

static void tries_a_passing_failure_again(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, A, "x", "content");
	scripted_get(rig->store[0], &(struct scripted_rule){ .result = -EAGAIN, .times = 2 });
	OUTCOME o = READ_X(rig, A, 0);
	assert_int_equal(o.result, 0);
	assert_int_equal(scripted_count(rig->store[0]).gets, 3);
}

static void a_lasting_failure_is_not_tried_again(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, A, "x", "content");
	scripted_get(rig->store[0], &(struct scripted_rule){ .result = -EIO });
	OUTCOME o = READ_X(rig, A, 0);
	assert_int_equal(o.result, -EIO);
	assert_int_equal(scripted_count(rig->store[0]).gets, 1);
}

static void ends_by_its_deadline(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < N; i++)
		scripted_get(rig->store[i], &hangs);
	OUTCOME o = read_x(rig, ALL, 0, soon(200));
	assert_int_equal(o.result, -ETIMEDOUT);
	assert_int_equal(o.store, 99);
	assert_int_equal(o.body.len, 0);
	scripted_get(rig->store[0], &(struct scripted_rule){ .result = -EAGAIN });
	OUTCOME throttled = read_x(rig, A, 0, soon(200));
	assert_int_equal(throttled.result, -ETIMEDOUT);
}

static void a_body_that_does_not_fit(void **state)
{
	struct rig *rig = *state;
	struct get_req req = {
		.name = SPAN_LITERAL("x"), .limit = 1000, .deadline_ns = clock_now() + PATIENCE,
	};
	_cleanup_buf_ struct buf body = BUF_INIT(3);

	rig_add(rig, A, "x", "content");
	assert_int_equal(replicas_get(rig->replicas, &req, A, 0, &body, NULL, NULL), -EMSGSIZE);
	assert_int_equal(body.len, 0);
}

static void a_broken_store_is_left_alone_until_it_answers_a_probe(void **state)
{
	struct rig *rig = *state;
	unsigned gets;

	rig_add(rig, ALL, "x", "content");
	rig_break(rig, 0);
	wait_until(rig_read(rig, &rig->seen.down[0]) == 1);
	gets = scripted_count(rig->store[0]).gets;
	for (int i = 0; i < 5; i++) {
		OUTCOME o = READ_X(rig, ALL, 0);
		assert_int_equal(o.result, 0);
		assert_int_equal(o.store, 1);
	}
	assert_int_equal(scripted_count(rig->store[0]).gets, gets);
	wait_until(scripted_count(rig->store[0]).probes >= 2);
	assert_int_equal(replicas_up(rig->replicas) & (B | C), B | C);
	scripted_all(rig->store[0], NULL);
	wait_until(rig_read(rig, &rig->seen.healthy[0]) == 1);
	assert_int_equal(replicas_up(rig->replicas), ALL);
	assert_int_equal(rig_read(rig, &rig->seen.down[0]), 1);
}

static void a_broken_store_is_asked_when_no_other_is_left(void **state)
{
	struct rig *rig = *state;

	rig_add(rig, A, "x", "content");
	rig_break(rig, 0);
	scripted_get(rig->store[0], NULL);
	OUTCOME o = READ_X(rig, A, 0);
	assert_int_equal(o.result, 0);
	OUTCOME others_lack_it = READ_X(rig, ALL, 0);
	assert_int_equal(others_lack_it.result, 0);
	assert_int_equal(others_lack_it.store, 0);
}

static void read_a_alone(void *arg)
{
	struct rig *rig = arg;
	OUTCOME o = read_x(rig, A, 0, soon(4000));

	assert_int_equal(o.result, -ETIMEDOUT);
}

/* Three requests that hang are known to hang while they do. */
static void a_stalled_store_is_noticed_before_anything_ends(void **state)
{
	struct rig *rig = *state;
	struct task *tasks[3];
	struct replica_health health;

	scripted_get(rig->store[0], &hangs);
	scripted_get(rig->store[1], &hangs);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = task_start("reader", read_a_alone, rig);
	wait_until(!(replicas_up(rig->replicas) & A));
	replicas_health(rig->replicas, 0, &health);
	assert_int_equal(health.in_flight - scripted_count(rig->store[0]).probes, 3);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		task_join(tasks[i]);
}

/*
 * Each read is rescued by the hedge before the stall could show; the breaker must open all the
 * same.
 */
static void rescued_reads_count_against_the_late_store(void **state)
{
	struct rig *rig = *state;
	unsigned tries = 0;

	rig_add(rig, ALL, "x", "content");
	scripted_all(rig->store[0], &hangs);
	while ((replicas_up(rig->replicas) & A) && tries++ < 20) {
		/* As if it had been quick until a moment ago. */
		OUTCOME o = READ_X(rig, ALL, 0);
		assert_int_equal(o.result, 0);
		assert_int_not_equal(o.store, 0);
		if (scripted_count(rig->store[0]).gets == tries - 1)
			break; /* it is not asked any more: as good */
	}
	assert_true(tries < 20);
}

static void a_late_store_does_not_keep_all_readers(void **state)
{
	struct rig *rig = *state;
	struct replica_health health;

	rig_add(rig, ALL, "x", "content");
	scripted_get(rig->store[0], &hangs);
	for (int i = 0; i < 3; i++) {
		OUTCOME o = READ_X(rig, ALL, 0);
		assert_int_equal(o.result, 0);
	}
	replicas_health(rig->replicas, 0, &health);
	assert_true(health.latency_p95_s >= 0.4); /* what the cancelled ones told */
	wait_until(scripted_count(rig->store[0]).cancelled == scripted_count(rig->store[0]).gets);
}

static void finds_stores_by_name(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(replicas_count(rig->replicas), 3);
	assert_int_equal(replicas_find(rig->replicas, "b"), 1);
	assert_int_equal(replicas_find(rig->replicas, "d"), -ENOENT);
	assert_ptr_equal(replicas_store(rig->replicas, 2), rig->store[2]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(asks_the_best_only),
		T(asks_only_where_it_is_and_not_to_be_avoided),
		T(fails_over_at_once),
		T(asks_another_when_the_answer_is_late),
		T(the_first_good_answer_wins),
		T(missing_is_an_answer_only_of_all),
		T(a_range_behind_the_end),
		T(another_object_is_an_answer_only_of_all),
		T(another_object_is_no_failure_of_the_store),
		T(size_and_time_tell_objects_apart),
		T(tries_a_passing_failure_again),
		T(a_lasting_failure_is_not_tried_again),
		T(ends_by_its_deadline),
		T(a_body_that_does_not_fit),
		T(a_broken_store_is_left_alone_until_it_answers_a_probe),
		T(a_broken_store_is_asked_when_no_other_is_left),
		T(a_stalled_store_is_noticed_before_anything_ends),
		T(rescued_reads_count_against_the_late_store),
		T(a_late_store_does_not_keep_all_readers),
		T(finds_stores_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
