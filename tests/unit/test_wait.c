/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wait.h"
#include "tests/lib/cm.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG (60 * NS_PER_S)

static void test_clocks(void **state)
{
	uint64_t a = clock_now(), b;

	sleep_for(2 * NS_PER_MS);
	b = clock_now();
	assert_true(b - a >= 2 * NS_PER_MS);
	sleep_until(a);
	assert_true(clock_wall() > 1700000000 * NS_PER_S);
}

static void test_random(void **state)
{
	uint8_t big[1000] = { 0 };
	bool tail = false;

	random_fill(big, sizeof(big));
	for (size_t i = 900; i < 1000; i++)
		tail |= big[i] != 0;
	assert_true(tail);
	assert_true(random_u64() != random_u64());
}

struct shared {
	struct lock lock;
	struct cond cond;
	unsigned count;
	char name[32];
};

static void shared_init(struct shared *s)
{
	*s = (struct shared){ 0 };
	lock_init(&s->lock, RANK_QUEUE);
	cond_init(&s->cond);
}

static void shared_release(struct shared *s)
{
	cond_release(&s->cond);
	lock_release(&s->lock);
}

static void count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 10000; i++) {
		LOCK_SCOPE(&s->lock);
		s->count++;
	}
	LOCK_SCOPE(&s->lock);
	lock_assert_held(&s->lock);
	strncpy(s->name, task_name(), sizeof(s->name) - 1);
	cond_broadcast(&s->cond);
}

static void test_tasks_and_locks(void **state)
{
	struct shared s;
	struct task *tasks[4];

	shared_init(&s);
	assert_string_equal(task_name(), "main");
	for (int i = 0; i < 4; i++) {
		tasks[i] = task_start("counter-with-a-long-name", count_up, &s);
		assert_non_null(tasks[i]);
	}
	for (int i = 0; i < 4; i++)
		task_join(tasks[i]);
	assert_int_equal(s.count, 40000);
	assert_string_equal(s.name, "counter-with-a-");
	shared_release(&s);
}

static void test_detached(void **state)
{
	struct shared s;
	struct task *t;

	shared_init(&s);
	t = task_start("free", count_up, &s);
	assert_non_null(t);
	task_detach(t);
	lock_take(&s.lock);
	while (!s.name[0])
		assert_int_equal(cond_wait(&s.cond, &s.lock, clock_now() + LONG), 0);
	lock_give(&s.lock);
	shared_release(&s);
}

static void test_cond_deadline(void **state)
{
	struct shared s;
	uint64_t start = clock_now(), deadline = start + 20 * NS_PER_MS;
	int r;

	shared_init(&s);
	lock_take(&s.lock);
	assert_int_equal(cond_wait(&s.cond, &s.lock, start), -ETIMEDOUT);
	do
		r = cond_wait(&s.cond, &s.lock, deadline);
	while (!r);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(clock_now() >= deadline);
	lock_assert_held(&s.lock);
	lock_give(&s.lock);
	lock_assert_none();
	shared_release(&s);
}

static void set_event(void *arg)
{
	sleep_for(5 * NS_PER_MS);
	event_set(arg);
}

static void test_event(void **state)
{
	struct event e;
	struct task *t;

	event_init(&e);
	assert_int_equal(event_wait(&e, clock_now() + NS_PER_MS), -ETIMEDOUT);
	t = task_start("setter", set_event, &e);
	assert_non_null(t);
	assert_int_equal(event_wait(&e, NEVER), 0);
	assert_int_equal(event_take(&e, 0), 0);
	assert_int_equal(event_take(&e, 0), -ETIMEDOUT);
	event_set(&e);
	event_clear(&e);
	assert_int_equal(event_wait(&e, 0), -ETIMEDOUT);
	task_join(t);
	event_release(&e);
}

/* Runs fn in a child, whose assertion must end it. */
static void assert_aborts(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static struct lock low, high;

static void take_wrongly(void)
{
	lock_take(&high);
	lock_take(&low);
}
static void take_twice(void)
{
	lock_take(&high);
	lock_take(&high);
}
static void give_what_is_not_held(void)
{
	lock_give(&high);
}
static void sleep_with_a_lock(void)
{
	lock_take(&low);
	sleep_until(0);
}
static void wait_with_two(void)
{
	struct cond c;

	cond_init(&c);
	lock_take(&low);
	lock_take(&high);
	cond_wait(&c, &high, 0);
}

static void test_ranks(void **state)
{
	lock_init(&low, RANK_VOLUME);
	lock_init(&high, RANK_LEAF);
	lock_take(&low);
	lock_take(&high);
	lock_give(&low); /* not in the order of taking: allowed */
	lock_assert_held(&high);
	lock_give(&high);
	lock_assert_none();
	assert_aborts(take_wrongly);
	assert_aborts(take_twice);
	assert_aborts(give_what_is_not_held);
	assert_aborts(sleep_with_a_lock);
	assert_aborts(wait_with_two);
	lock_release(&low);
	lock_release(&high);
}

static void add_one(void *arg)
{
	__atomic_add_fetch((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

static void wait_for_event(void *arg)
{
	event_wait(arg, NEVER);
}

static void test_pool(void **state)
{
	struct pool *p = pool_new("work", 3, 1000);
	unsigned count = 0;

	assert_non_null(p);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pool_run(p, add_one, &count), 0);
	assert_null(pool_free(p));
	assert_int_equal(count, 1000);
	assert_null(pool_free(NULL));
}

static void test_pool_is_bounded(void **state)
{
	struct pool *p = pool_new("work", 1, 2);
	unsigned count = 0;
	struct event go;

	event_init(&go);
	assert_non_null(p);
	assert_int_equal(pool_run(p, wait_for_event, &go), 0);
	while (pool_queued(p) > 0)
		sleep_for(NS_PER_MS);
	assert_int_equal(pool_run(p, add_one, &count), 0);
	assert_int_equal(pool_run(p, add_one, &count), 0);
	assert_int_equal(pool_run(p, add_one, &count), -EAGAIN);
	assert_int_equal(pool_queued(p), 2);
	event_set(&go);
	pool_free(p);
	assert_int_equal(count, 2);
	event_release(&go);
}

/* All are run before it returns, also those that the queue has no room for. */
static void test_pool_each(void **state)
{
	struct pool *p = pool_new("work", 2, 3);
	unsigned counts[50] = { 0 };

	assert_non_null(p);
	pool_each(p, add_one, counts, sizeof(counts[0]), ARRAY_SIZE(counts));
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		assert_int_equal(counts[i], 1);
	pool_each(p, add_one, counts, sizeof(counts[0]), 0);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_tasks_and_locks),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_cond_deadline),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_is_bounded),
		cmocka_unit_test(test_pool_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
