/* SPDX-License-Identifier: Apache-2.0 */
#include "base/budget.h"
#include "base/metrics.h"
#include "tests/lib/cm.h"

#define LONG (60 * NS_PER_S)

static void test_try(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new("test", 100);
	struct metric *gauge = metric_get("mangrove_budget_used_bytes", "", METRIC_GAUGE,
					  "budget=\"test\"");

	assert_non_null(b);
	assert_int_equal(budget_limit(b), 100);
	assert_int_equal(budget_try(b, 60), 0);
	assert_int_equal(budget_try(b, 41), -EAGAIN);
	assert_int_equal(budget_try(b, 40), 0);
	assert_int_equal(budget_used(b), 100);
	assert_true(metric_value(gauge) == 100);
	assert_int_equal(budget_take(b, 1, clock_now() + NS_PER_MS), -ETIMEDOUT);
	budget_give(b, 100);
	assert_int_equal(budget_used(b), 0);
}

static void test_more_than_the_limit(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new("big", 100);

	assert_int_equal(budget_try(b, 1), 0);
	assert_int_equal(budget_try(b, 1000), -EAGAIN);
	budget_give(b, 1);
	assert_int_equal(budget_try(b, 1000), 0);
	assert_int_equal(budget_try(b, 1), -EAGAIN);
	budget_give(b, 1000);
}

struct taker {
	struct budget *b;
	uint64_t bytes;
	uint64_t deadline_ns;
	unsigned *order;
	unsigned place; /* when it was served, from 1 */
	int result;
	struct task *task;
};

static void take(void *arg)
{
	struct taker *t = arg;

	t->result = budget_take(t->b, t->bytes, t->deadline_ns);
	t->place = __atomic_add_fetch(t->order, 1, __ATOMIC_SEQ_CST);
}

/* Starts a taker and waits until it stands in the queue: then nobody may pass it. */
static void start(struct taker *t)
{
	uint64_t before = budget_used(t->b);

	t->task = task_start("taker", take, t);
	assert_non_null(t->task);
	while (budget_try(t->b, 0) == 0)
		sleep_for(NS_PER_MS / 10);
	assert_int_equal(budget_used(t->b), before);
}

static void test_first_come(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new("queue", 100);
	unsigned order = 0;
	struct taker big = { b, 90, NEVER, &order }, small = { b, 10, NEVER, &order };

	assert_int_equal(budget_try(b, 50), 0);
	start(&big);
	assert_int_equal(budget_try(b, 10), -EAGAIN);
	small.task = task_start("small", take, &small);
	sleep_for(5 * NS_PER_MS);
	assert_int_equal(__atomic_load_n(&order, __ATOMIC_SEQ_CST), 0);
	budget_give(b, 50);
	task_join(big.task);
	task_join(small.task);
	assert_int_equal(big.result, 0);
	assert_int_equal(small.result, 0);
	assert_int_equal(budget_used(b), 100);
	budget_give(b, 100);
}

/* Whoever gives up lets the next in. */
static void test_giving_up_serves_the_next(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new("leave", 100);
	unsigned order = 0;
	struct taker big = { b, 90, clock_now() + 50 * NS_PER_MS, &order },
		     small = { b, 10, NEVER, &order };

	assert_int_equal(budget_try(b, 50), 0);
	start(&big);
	small.task = task_start("small", take, &small);
	task_join(big.task);
	task_join(small.task);
	assert_int_equal(big.result, -ETIMEDOUT);
	assert_int_equal(small.result, 0);
	assert_int_equal(budget_used(b), 60);
	budget_give(b, 60);
}

static void churn(void *arg)
{
	struct budget *b = arg;

	for (int i = 0; i < 2000; i++) {
		uint64_t bytes = 1 + i % 60;

		if (budget_take(b, bytes, clock_now() + LONG))
			return;
		budget_give(b, bytes);
	}
}

static void test_many(void **state)
{
	_cleanup_(budget_freep) struct budget *b = budget_new("many", 100);
	struct task *tasks[4];

	for (int i = 0; i < 4; i++)
		tasks[i] = task_start("churn", churn, b);
	for (int i = 0; i < 4; i++)
		task_join(tasks[i]);
	assert_int_equal(budget_used(b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_try),
		cmocka_unit_test(test_more_than_the_limit),
		cmocka_unit_test(test_first_come),
		cmocka_unit_test(test_giving_up_serves_the_next),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
