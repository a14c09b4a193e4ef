/* SPDX-License-Identifier: Apache-2.0 */
#include "base/call.h"
#include "tests/lib/cm.h"

struct job {
	struct call call;
	uint64_t delay_ns;
	int result;
	unsigned done, cancelled;
	unsigned *destroyed;
};

static void job_destroy(struct call *c)
{
	struct job *j = container_of(c, struct job, call);

	__atomic_add_fetch(j->destroyed, 1, __ATOMIC_SEQ_CST);
	free(j);
}

static struct job *job_new(unsigned *destroyed)
{
	struct job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->destroyed = destroyed;
	call_init(&j->call, job_destroy);
	return j;
}

static void on_done(struct call *c)
{
	struct job *j = c->done_arg;

	lock_assert_none();
	assert_true(call_finished(c));
	j->done++;
}

static void on_cancel(struct call *c)
{
	struct job *j = c->cancel_arg;

	lock_assert_none();
	assert_true(call_cancelled(c));
	j->cancelled++;
}

static void test_finish(void **state)
{
	unsigned destroyed = 0;
	struct job *j = job_new(&destroyed);

	call_on_done(&j->call, on_done, j);
	assert_int_equal(call_wait(&j->call, clock_now() + NS_PER_MS), -ETIMEDOUT);
	assert_false(call_finished(&j->call));
	call_ref(&j->call);
	call_finish(&j->call, 3);
	assert_int_equal(call_wait(&j->call, 0), 3);
	assert_int_equal(j->done, 1);
	assert_true(j->call.finished_ns >= j->call.started_ns);
	call_unref(&j->call);
	assert_int_equal(destroyed, 0);
	call_unref(&j->call);
	assert_int_equal(destroyed, 1);
}

static void test_cancel_once(void **state)
{
	unsigned destroyed = 0;
	struct job *j = job_new(&destroyed);

	call_set_cancel(&j->call, on_cancel, j);
	call_cancel(&j->call);
	call_cancel(&j->call);
	assert_int_equal(j->cancelled, 1);
	assert_false(call_finished(&j->call));
	call_finish(&j->call, -ECANCELED);
	call_cancel(&j->call);
	assert_int_equal(j->cancelled, 1);
	assert_int_equal(call_wait(&j->call, 0), -ECANCELED);
	call_unref(&j->call);
	assert_int_equal(destroyed, 1);
}

static void test_cancel_before_it_is_known_how(void **state)
{
	unsigned destroyed = 0;
	struct job *j = job_new(&destroyed);

	call_cancel(&j->call);
	call_set_cancel(&j->call, on_cancel, j);
	call_set_cancel(&j->call, NULL, NULL);
	assert_int_equal(j->cancelled, 1);
	call_finish(&j->call, 0);
	call_set_cancel(&j->call, on_cancel, j);
	assert_int_equal(j->cancelled, 1);
	call_unref(&j->call);
}

static void finisher(void *arg)
{
	struct job *j = arg;

	sleep_for(j->delay_ns);
	call_finish(&j->call, j->result);
	call_unref(&j->call);
}

static struct job *job_start(unsigned *destroyed, uint64_t delay_ns, int result)
{
	struct job *j = job_new(destroyed);
	struct task *t;

	j->delay_ns = delay_ns;
	j->result = result;
	call_ref(&j->call);
	t = task_start("finisher", finisher, j);
	assert_non_null(t);
	task_detach(t);
	return j;
}

static void test_k_of_n(void **state)
{
	unsigned destroyed = 0;
	struct job *jobs[3];
	struct call *calls[4] = { NULL };

	jobs[0] = job_start(&destroyed, 0, 0);
	jobs[1] = job_start(&destroyed, 10 * NS_PER_MS, -EIO);
	jobs[2] = job_new(&destroyed);
	for (int i = 0; i < 3; i++)
		calls[i < 1 ? i : i + 1] = &jobs[i]->call;
	assert_true(calls_wait(calls, 4, 1, NEVER) >= 1);
	assert_int_equal(calls_wait(calls, 4, 2, NEVER), 2);
	assert_int_equal(calls_wait(calls, 4, 3, clock_now() + NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(calls_wait(calls, 4, 0, 0), 2);
	call_finish(&jobs[2]->call, 0);
	assert_int_equal(calls_wait(calls, 4, 3, 0), 3);
	assert_int_equal(calls_wait(calls, 4, 9, NEVER), 3);
	assert_int_equal(calls_wait(calls, 0, 1, NEVER), 0);
	for (int i = 0; i < 3; i++)
		call_unref(&jobs[i]->call);
	while (__atomic_load_n(&destroyed, __ATOMIC_SEQ_CST) < 3)
		sleep_for(NS_PER_MS);
}

/*
 * Two threads wait for the same calls, more than fit on the stack; each finishes on its own thread.
 */
enum { MANY = 40 };
struct crowd {
	struct call *calls[MANY];
	unsigned woken;
};

static void crowd_wait(void *arg)
{
	struct crowd *c = arg;

	if (calls_wait(c->calls, MANY, MANY, NEVER) == MANY)
		__atomic_add_fetch(&c->woken, 1, __ATOMIC_SEQ_CST);
}

static void test_many(void **state)
{
	for (int round = 0; round < 20; round++) {
		unsigned destroyed = 0;
		struct crowd c = { .woken = 0 };
		struct task *waiters[2];

		for (int i = 0; i < MANY; i++)
			c.calls[i] = &job_start(&destroyed, i % 4 * 100 * NS_PER_US, 0)->call;
		for (int i = 0; i < 2; i++)
			waiters[i] = task_start("waiter", crowd_wait, &c);
		for (int k = 1; k <= MANY; k++)
			assert_true(calls_wait(c.calls, MANY, k, NEVER) >= k);
		for (int i = 0; i < 2; i++)
			task_join(waiters[i]);
		assert_int_equal(c.woken, 2);
		for (int i = 0; i < MANY; i++)
			call_unref(c.calls[i]);
		while (__atomic_load_n(&destroyed, __ATOMIC_SEQ_CST) < MANY)
			sleep_for(NS_PER_MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_cancel_once),
		cmocka_unit_test(test_cancel_before_it_is_known_how),
		cmocka_unit_test(test_k_of_n),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
