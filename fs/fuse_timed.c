/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the operations take, seen from the kernel: mangrove_fuse_operation_seconds by operation.
 * What is answered on the FUSE thread ends when the handler returns; what is answered later ends
 * with its answer.
 */
#include "fs/fuse_i.h"

#include "base/metrics.h"
#include "fs/status_i.h"

#include <stdio.h>

/* The operation under way on this thread. */
static _Thread_local struct {
	struct metric *metric;
	uint64_t begin_ns;
	bool deferred;
} current;

static void begin(struct metric *_Atomic *m, const char *name)
{
	char labels[64];

	if (!*m) { /* two threads at once find the same one */
		snprintf(labels, sizeof(labels), "operation=\"%s\"", name);
		*m = metric_get("mangrove_fuse_operation_seconds",
				"Operations of programs, to their answer", METRIC_SECONDS, labels);
	}
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
		begin(&m, #name);                                                                  \
		if (at)                                                                            \
			at_##name arguments;                                                       \
		else                                                                               \
			do_##name arguments;                                                       \
		end();                                                                             \
	}

FUSE_OPERATIONS(TIMED)

#define ENTRY(name, at, parameters, arguments) .name = timed_##name,
const struct fuse_lowlevel_ops timed_ops = { .init = do_init, FUSE_OPERATIONS(ENTRY) };
