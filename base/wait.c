/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h on the machine itself: the door of threads, clocks and randomness.
 *
 * (T1) A thread keeps the locks that it holds in a small stack. Ranks rise in it,
 *      so the top tells what may still be taken.
 * (T2) A wait ends at least once a second: the kernel's timed waits do not count
 *      suspended time, our deadlines do.
 */
#include "base/wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#define HELD_MAX 16
#define TASK_NAME_MAX 16 /* with NUL, as Linux has it */

static _Thread_local struct {
	const struct lock *locks[HELD_MAX]; /* (T1) */
	unsigned count;
} held;

static _Thread_local char own_name[TASK_NAME_MAX];

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

uint64_t clock_now(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

void sleep_until(uint64_t deadline_ns)
{
	const struct timespec ts = timespec_of(MIN(deadline_ns, (uint64_t)INT64_MAX));

	lock_assert_none();
	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

void random_fill(void *p, size_t len)
{
	uint8_t *at = p;
	ssize_t n;

	while (len > 0) {
		n = getrandom(at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort(); /* keys and ids without randomness would be worse */
		at += n;
		len -= n;
	}
}

struct task {
	pthread_t thread;
};

/* What the new thread takes over. */
struct task_begin {
	char name[TASK_NAME_MAX];
	task_fn *fn;
	void *arg;
};

static void *task_main(void *p)
{
	struct task_begin *begin = p;
	task_fn *fn = begin->fn;
	void *arg = begin->arg;

	memcpy(own_name, begin->name, sizeof(own_name));
	free(begin);
	pthread_setname_np(pthread_self(), own_name);
	fn(arg);
	return NULL;
}

/* Tasks take no signals: those are for the main thread. */
static int thread_create(pthread_t *ret, struct task_begin *begin)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, NULL, task_main, begin);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

struct task *task_start(const char *name, task_fn *fn, void *arg)
{
	_cleanup_free_ struct task *t = calloc(1, sizeof(*t));
	_cleanup_free_ struct task_begin *begin = calloc(1, sizeof(*begin));

	if (!t || !begin)
		return NULL;
	begin->fn = fn;
	begin->arg = arg;
	strncpy(begin->name, name, sizeof(begin->name) - 1);
	if (thread_create(&t->thread, begin))
		return NULL;
	begin = NULL; /* the thread's */
	return take_ptr(&t);
}

void task_background(void)
{
	/*
	 * Of the thread, not of the process: Linux differs from POSIX here, and it is what we want.
	 */
	(void)!setpriority(PRIO_PROCESS, 0, 19);
}

void task_join(struct task *t)
{
	lock_assert_none();
	pthread_join(t->thread, NULL);
	free(t);
}

void task_detach(struct task *t)
{
	pthread_detach(t->thread);
	free(t);
}

const char *task_name(void)
{
	return own_name[0] ? own_name : "main";
}

static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct lock *)NULL)->space), "struct lock");
static_assert(sizeof(pthread_cond_t) <= sizeof(((struct cond *)NULL)->space), "struct cond");

static pthread_mutex_t *mutex_of(struct lock *l)
{
	return (pthread_mutex_t *)l->space;
}

static pthread_cond_t *cond_of(struct cond *c)
{
	return (pthread_cond_t *)c->space;
}

void lock_init(struct lock *l, enum lock_rank rank)
{
	l->rank = rank;
	pthread_mutex_init(mutex_of(l), NULL);
}

void lock_release(struct lock *l)
{
	pthread_mutex_destroy(mutex_of(l));
}

void lock_take(struct lock *l)
{
	assert(held.count < HELD_MAX);
	assert(held.count == 0 || held.locks[held.count - 1]->rank < l->rank); /* (W2) */
	pthread_mutex_lock(mutex_of(l));
	held.locks[held.count++] = l;
}

/* Where in the stack l is; asserts that it is. */
static unsigned held_index(const struct lock *l)
{
	unsigned i = held.count;

	while (i > 0 && held.locks[i - 1] != l)
		i--;
	assert(i > 0);
	return i - 1;
}

void lock_give(struct lock *l)
{
	unsigned i = held_index(l);

	for (held.count--; i < held.count; i++)
		held.locks[i] = held.locks[i + 1];
	pthread_mutex_unlock(mutex_of(l));
}

void lock_assert_held(const struct lock *l)
{
	held_index(l);
}

void lock_assert_none(void)
{
	assert(held.count == 0);
}

void cond_init(struct cond *c)
{
	pthread_cond_init(cond_of(c), NULL);
}

void cond_release(struct cond *c)
{
	pthread_cond_destroy(cond_of(c));
}

void cond_signal(struct cond *c)
{
	pthread_cond_signal(cond_of(c));
}

void cond_broadcast(struct cond *c)
{
	pthread_cond_broadcast(cond_of(c));
}

int cond_wait(struct cond *c, struct lock *l, uint64_t deadline_ns)
{
	struct timespec until;
	uint64_t now;

	assert(held.count == 1 && held.locks[0] == l); /* (W3) */
	if (deadline_ns == NEVER) {
		pthread_cond_wait(cond_of(c), mutex_of(l));
		return 0;
	}
	now = clock_now();
	if (now >= deadline_ns)
		return -ETIMEDOUT;
	/* The end of a part is a spurious wake-up to the caller: going on here could miss
	 * a signal that came between the two waits (T2). */
	until = timespec_of(read_clock(CLOCK_MONOTONIC) +
			    MIN(deadline_ns - now, (uint64_t)NS_PER_S));
	pthread_cond_clockwait(cond_of(c), mutex_of(l), CLOCK_MONOTONIC, &until);
	return clock_now() >= deadline_ns ? -ETIMEDOUT : 0;
}
