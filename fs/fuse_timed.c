/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the operations take, seen from the kernel: mangrove_fuse_operation_seconds by operation.
 * What is answered on the FUSE thread ends when the handler returns; what is answered later ends
 * with its answer.
 */
#include "fs/fuse_i.h"

#include "base/metrics.h"
#include "fs/status_i.h"

#include <stdatomic.h>
#include <stdio.h>

/* The operation under way on this thread. */
static _Thread_local struct {
	struct metric *metric;
	uint64_t begin_ns;
	bool deferred;
} current;

/* Who calls: the first so many people by number, all others together. */
#define PEOPLE 64
static struct {
	_Atomic uint64_t who; /* uid + 1; 0: free */
	struct metric *_Atomic calls;
} people[PEOPLE];

static struct metric *calls_of(const char *uid)
{
	char labels[32];

	snprintf(labels, sizeof(labels), "uid=\"%s\"", uid);
	return metric_get("mangrove_fuse_calls_total", "Calls of programs, by their user.",
			  METRIC_COUNTER, labels);
}

static void count_person(fuse_req_t req)
{
	const uint64_t who = (uint64_t)fuse_req_ctx(req)->uid + 1;
	struct metric *m = NULL;
	char uid[16];

	for (unsigned i = 0; i < PEOPLE; i++) {
		uint64_t there = people[i].who;

		if (!there && atomic_compare_exchange_strong(&people[i].who, &there, who))
			there = who;
		if (there != who)
			continue;
		snprintf(uid, sizeof(uid), "%llu", (unsigned long long)who - 1);
		m = people[i].calls; /* two threads at once find the same one */
		if (!m)
			m = people[i].calls = calls_of(uid);
		break;
	}
	metric_add(m ? m : calls_of("other"), 1);
}

static void begin(fuse_req_t req, struct metric *_Atomic *m, const char *name)
{
	char labels[64];

	if (!*m) { /* two threads at once find the same one */
		snprintf(labels, sizeof(labels), "operation=\"%s\"", name);
		*m = metric_get("mangrove_fuse_operation_seconds",
				"Operations of programs, to their answer", METRIC_SECONDS, labels);
	}
	count_person(req);
	current.metric = *m;
	current.begin_ns = clock_now();
	current.deferred = false;
}

static void took(struct metric *m, uint64_t ns)
{
	static struct metric *_Atomic longest;

	if (!longest)
		longest = status_longest_call();
	metric_observe_ns(m, ns);
	metric_raise(longest, (double)ns / NS_PER_S);
}

static void end(void)
{
	if (!current.deferred)
		took(current.metric, clock_now() - current.begin_ns);
}

void timed_defer(struct later *l)
{
	l->metric = current.metric;
	l->begin_ns = current.begin_ns;
	current.deferred = true;
}

void timed_end(const struct later *l)
{
	if (l->metric)
		took(l->metric, clock_now() - l->begin_ns);
}

/* `at`: does it concern an attached bucket? */
#define TIMED(name, at, parameters, arguments)                                                     \
	static void timed_##name parameters                                                        \
	{                                                                                          \
		static struct metric *_Atomic m;                                                   \
\
		begin(req, &m, #name);                                                             \
		if (at)                                                                            \
			at_##name arguments;                                                       \
		else if (is_awake(req, #name))                                                     \
			do_##name arguments;                                                       \
		end();                                                                             \
	}

FUSE_OPERATIONS(TIMED)

#define ENTRY(name, at, parameters, arguments) .name = timed_##name,
const struct fuse_lowlevel_ops timed_ops = { .init = do_init, FUSE_OPERATIONS(ENTRY) };
