/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES (1024 * KiB)
#else
#define STACK_BYTES (256 * KiB)
#endif

#define TASKS_MAX 256
#define LOOK_NS 20
#define SWITCH_NS 500
#define BOOT_NS (1000 * NS_PER_S)          /* the clock at the begin */
#define WALL_NS (1800000000 * NS_PER_S)    /* the wall clock then */
#define PREEMPT_ONE_IN 8
#define HELD_MAX 16

struct task {
	bool used, ended, detached, joined;
	bool blocked;            /* until woken, or: */
	uint64_t wake_ns;        /* NEVER: only woken */
	const void *waits_for;   /* a lock, a cond, a task */
	unsigned group;
	char name[16];
	task_fn *fn;
	void *arg;
	ucontext_t context;
	void *stack;
	const void *bottom; /* the same for the sanitizer; of the main task, the thread's own */
	size_t size;
	const struct lock *held[HELD_MAX];
	unsigned n_held;
};

static struct {
	struct task tasks[TASKS_MAX];
	unsigned n_tasks; /* highest used, plus one */
	struct task *current;
	struct task *previous; /* who had the baton */
	uint64_t now, state[2], seed, switches;
	struct {
		uint64_t paused_until;
		bool killed;
		int64_t wall_skew;
	} groups[SIM_GROUPS];
	unsigned n_groups;
	void *stacks[TASKS_MAX]; /* free ones */
	unsigned n_stacks;
	void (*on_deadlock)(void);
} sim;

static uint64_t rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

/* xoroshiro128+ by Blackman and Vigna (public domain). */
uint64_t sim_random(void)
{
	const uint64_t a = sim.state[0];
	uint64_t b = sim.state[1];
	const uint64_t r = a + b;

	b ^= a;
	sim.state[0] = rotate(a, 24) ^ b ^ (b << 16);
	sim.state[1] = rotate(b, 37);
	return r;
}

static uint64_t split(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t sim_seed(void)
{
	return sim.seed;
}

uint64_t sim_switches(void)
{
	return sim.switches;
}

void sim_on_deadlock(void (*fn)(void))
{
	sim.on_deadlock = fn;
}

static void *stack_take(void)
{
	void *p;

	if (sim.n_stacks > 0)
		return sim.stacks[--sim.n_stacks];
	p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void stack_give(void *p)
{
	if (p && sim.n_stacks < TASKS_MAX)
		sim.stacks[sim.n_stacks++] = p;
}

void sim_begin(uint64_t seed)
{
	uint64_t x = seed;
	const void *bottom = sim.tasks[0].bottom;
	const size_t size = sim.tasks[0].size;

	for (unsigned i = 0; i < sim.n_tasks; i++)
		stack_give(sim.tasks[i].stack);
	memset(sim.tasks, 0, sizeof(sim.tasks));
	memset(sim.groups, 0, sizeof(sim.groups));
	sim.state[0] = split(&x);
	sim.state[1] = split(&x);
	sim.seed = seed;
	sim.switches = 0;
	sim.now = BOOT_NS;
	sim.n_groups = 1;
	sim.n_tasks = 1;
	sim.current = &sim.tasks[0];
	*sim.current = (struct task){
		.used = true, .name = "main", .bottom = bottom, .size = size
	};
}

void sim_end(void)
{
	for (unsigned i = 1; i < sim.n_tasks; i++) {
		const struct task *t = &sim.tasks[i];

		if (t->used && !t->ended && !sim.groups[t->group].killed) {
			fprintf(stderr, "seed %llu: the task \"%s\" was left behind\n",
				(unsigned long long)sim.seed, t->name);
			abort();
		}
	}
}

unsigned sim_group_new(void)
{
	assert(sim.n_groups < SIM_GROUPS);
	return sim.n_groups++;
}

unsigned sim_group_enter(unsigned group)
{
	const unsigned before = sim.current->group;

	sim.current->group = group;
	return before;
}

void sim_group_pause(unsigned group, uint64_t until_ns)
{
	sim.groups[group].paused_until = until_ns;
}

void sim_group_kill(unsigned group)
{
	sim.groups[group].killed = true;
}

void sim_group_wall_skew(unsigned group, int64_t ns)
{
	sim.groups[group].wall_skew = ns;
}

/* When the task may run; NEVER: not by time. */
static uint64_t runs_at(const struct task *t)
{
	const uint64_t at = t->blocked ? t->wake_ns : 0;

	if (!t->used || t->ended || sim.groups[t->group].killed)
		return NEVER;
	return MAX(at, sim.groups[t->group].paused_until);
}

static struct task *choose(void)
{
	struct task *ready[TASKS_MAX];
	uint64_t next = NEVER;
	unsigned n = 0;

	for (;;) {
		for (unsigned i = 0; i < sim.n_tasks; i++) {
			const uint64_t at = runs_at(&sim.tasks[i]);

			if (at <= sim.now)
				ready[n++] = &sim.tasks[i];
			next = MIN(next, at);
		}
		if (n > 0)
			return ready[n == 1 ? 0 : sim_below(n)];
		if (next == NEVER) {
			fprintf(stderr, "seed %llu: nobody can run any more\n",
				(unsigned long long)sim.seed);
			if (sim.on_deadlock)
				sim.on_deadlock();
			abort();
		}
		sim.now = next; /* (S2) */
	}
}

/* AddressSanitizer must be told which stack is in use. */
#if defined(__SANITIZE_ADDRESS__)
static void leaves(struct task *from, struct task *to, void **fake)
{
	sim.previous = from;
	__sanitizer_start_switch_fiber(from->ended ? NULL : fake, to->bottom, to->size);
}

static void arrives(void *fake)
{
	__sanitizer_finish_switch_fiber(fake, &sim.previous->bottom, &sim.previous->size);
}
#else
static void leaves(struct task *from, struct task *to, void **fake)
{
}

static void arrives(void *fake)
{
}
#endif

static void switch_to(struct task *to)
{
	struct task *from = sim.current;
	void *fake = NULL;

	if (to == from)
		return;
	sim.current = to;
	leaves(from, to, &fake);
	swapcontext(&from->context, &to->context);
	arrives(fake);
}

/* Gives the baton away. */
static void yield(void)
{
	struct task *to;

	sim.switches++;
	sim.now += SWITCH_NS;
	to = choose();
	to->blocked = false;
	to->waits_for = NULL;
	switch_to(to);
}

/* Until woken or the deadline. */
static void block(const void *on, uint64_t deadline_ns)
{
	sim.current->blocked = true;
	sim.current->waits_for = on;
	sim.current->wake_ns = deadline_ns;
	yield();
}

static void wake_waiters(const void *on, bool all)
{
	struct task *waiting[TASKS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < sim.n_tasks; i++) {
		struct task *t = &sim.tasks[i];

		if (t->used && !t->ended && t->blocked && t->waits_for == on)
			waiting[n++] = t;
	}
	if (n > 1 && !all) {
		waiting[0] = waiting[sim_below(n)];
		n = 1;
	}
	for (unsigned i = 0; i < n; i++)
		waiting[i]->blocked = false;
}

/* Clocks and randomness */

uint64_t clock_now(void)
{
	sim.now += LOOK_NS;
	return sim.now;
}

uint64_t clock_wall(void)
{
	return (uint64_t)((int64_t)(WALL_NS - BOOT_NS + clock_now()) +
			  sim.groups[sim.current->group].wall_skew);
}

void sleep_until(uint64_t deadline_ns)
{
	lock_assert_none();
	while (sim.now < deadline_ns)
		block(NULL, deadline_ns);
}

void random_fill(void *p, size_t len)
{
	uint8_t *at = p;

	while (len > 0) {
		const uint64_t r = sim_random();
		const size_t n = MIN(len, sizeof(r));

		memcpy(at, &r, n);
		at += n;
		len -= n;
	}
}

/* Tasks */

static void task_main(void)
{
	struct task *me = sim.current;

	arrives(NULL);
	me->fn(me->arg);
	assert(me->n_held == 0);
	me->ended = true;
	wake_waiters(me, true);
	yield();
	abort(); /* nobody gives the baton to who has ended */
}

static struct task *task_slot(void)
{
	for (unsigned i = 1; i < TASKS_MAX; i++) {
		struct task *t = &sim.tasks[i];

		if (t->used && !(t->ended && (t->joined || t->detached)))
			continue;
		stack_give(take_ptr(&t->stack));
		sim.n_tasks = MAX(sim.n_tasks, i + 1);
		return t;
	}
	return NULL;
}

struct task *task_start(const char *name, task_fn *fn, void *arg)
{
	struct task *t = task_slot();

	assert(t);
	*t = (struct task){ .used = true, .fn = fn, .arg = arg, .group = sim.current->group };
	strncpy(t->name, name, sizeof(t->name) - 1);
	t->stack = stack_take();
	assert(t->stack);
	getcontext(&t->context);
	t->bottom = t->stack;
	t->size = STACK_BYTES;
	t->context.uc_stack.ss_sp = t->stack;
	t->context.uc_stack.ss_size = STACK_BYTES;
	t->context.uc_link = NULL;
	makecontext(&t->context, task_main, 0);
	return t;
}

void task_join(struct task *t)
{
	lock_assert_none();
	while (!t->ended)
		block(t, NEVER);
	t->joined = true;
}

void task_detach(struct task *t)
{
	t->detached = true;
}

const char *task_name(void)
{
	return sim.current->name;
}

/* Locks: the space of a lock holds its owner. */

static struct task **owner_of(struct lock *l)
{
	return (struct task **)l->space;
}

void lock_init(struct lock *l, enum lock_rank rank)
{
	l->rank = rank;
	*owner_of(l) = NULL;
}

void lock_release(struct lock *l)
{
	assert(*owner_of(l) == NULL);
}

static void lock_get(struct lock *l)
{
	struct task *me = sim.current;

	assert(me->n_held < HELD_MAX);
	assert(me->n_held == 0 || me->held[me->n_held - 1]->rank < l->rank);
	while (*owner_of(l))
		block(l, NEVER);
	*owner_of(l) = me;
	me->held[me->n_held++] = l;
}

void lock_take(struct lock *l)
{
	if (sim.current->n_held == 0 && sim_below(PREEMPT_ONE_IN) == 0) /* (S1) */
		yield();
	lock_get(l);
}

static unsigned held_index(const struct lock *l)
{
	unsigned i = sim.current->n_held;

	while (i > 0 && sim.current->held[i - 1] != l)
		i--;
	assert(i > 0);
	return i - 1;
}

void lock_give(struct lock *l)
{
	struct task *me = sim.current;
	unsigned i = held_index(l);

	for (me->n_held--; i < me->n_held; i++)
		me->held[i] = me->held[i + 1];
	*owner_of(l) = NULL;
	wake_waiters(l, true);
}

void lock_assert_held(const struct lock *l)
{
	held_index(l);
}

void lock_assert_none(void)
{
	assert(sim.current->n_held == 0);
}

void cond_init(struct cond *c)
{
}

void cond_release(struct cond *c)
{
}

void cond_signal(struct cond *c)
{
	wake_waiters(c, false);
}

void cond_broadcast(struct cond *c)
{
	wake_waiters(c, true);
}

int cond_wait(struct cond *c, struct lock *l, uint64_t deadline_ns)
{
	assert(sim.current->n_held == 1 && sim.current->held[0] == l);
	if (clock_now() >= deadline_ns)
		return -ETIMEDOUT;
	lock_give(l);
	block(c, deadline_ns);
	lock_get(l);
	return sim.now >= deadline_ns ? -ETIMEDOUT : 0;
}
