/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The other implementation of base/wait.h: tasks are coroutines of one thread, and one baton goes
 * round among them. Who runs next, what the clock says and what is drawn depends on the seed alone,
 * so a run is replayed exactly.
 *
 * (S1) A task loses the baton when it waits, and sometimes (drawn) before it takes its first lock:
 *      a paused or killed task never holds one.
 * (S2) The clock stands still while tasks run, but for a little time at each look and switch; when
 *      nobody can run it jumps to the next deadline.
 * (S3) A group is what one machine runs: it can be paused, killed, and its wall clock set.
 */
#include "base/wait.h"

/* Begins a run in which the caller is the task "main" of group 0. */
void sim_begin(uint64_t seed);
/* The run is over: every other task has ended or was killed. */
void sim_end(void);
uint64_t sim_seed(void);

/* The harness's own draws, from the same seed. */
uint64_t sim_random(void);
static inline uint64_t sim_below(uint64_t n)
{
	return sim_random() % n;
}
static inline bool sim_chance(unsigned percent)
{
	return sim_below(100) < percent;
}

#define SIM_GROUPS 1024u
/* A fresh group. */
unsigned sim_group_new(void);
/*
 * The calling task's group from now on, inherited by tasks that it starts. Answers the one before.
 */
unsigned sim_group_enter(unsigned group);
void sim_group_pause(unsigned group, uint64_t until_ns);
/* Its tasks never run again; what they had is never freed. */
void sim_group_kill(unsigned group);
void sim_group_wall_skew(unsigned group, int64_t ns);

/*
 * Nobody can ever run again: a deadlock. Ends the program with a message; set what is to be printed
 * before.
 */
void sim_on_deadlock(void (*fn)(void));
uint64_t sim_switches(void);
