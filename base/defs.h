/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The few words that every file uses: cleanup by scope, hand-over of pointers,
 * and the mark of an error's birthplace.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
/* not `unused`: libraries' headers spell their attributes so */
#define maybe_unused __attribute__((unused))

/* The variable's destructor runs when its scope ends: _cleanup_(foo_freep) struct foo *f = NULL; */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/*
 * Defines foo_freep() for _cleanup_ out of `struct foo *foo_free(struct foo *)`, which takes NULL.
 */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void fn##p(type *p)                                                   \
	{                                                                                          \
		if (*p)                                                                            \
			*p = fn(*p);                                                               \
	}

/* Hands a pointer over: answers it and leaves NULL behind. */
#define take_ptr(pp)                                                                               \
	({                                                                                         \
		typeof(*(pp)) taken_ = *(pp);                                                      \
		*(pp) = NULL;                                                                      \
		taken_;                                                                            \
	})

/* Hands a file descriptor over: answers it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void *free_null(void *p)
{
	free(p);
	return NULL;
}
static inline void freep(void *pp)
{
	free(*(void **)pp);
}
#define _cleanup_free_ _cleanup_(freep)

/* Closes *fd when a scope ends; keeps errno. */
void closep(int *fd);
#define _cleanup_close_ _cleanup_(closep)

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once; names of their own let them be nested. */
#define MIN(a, b) PICK_AS(a, <, b, __COUNTER__)
#define MAX(a, b) PICK_AS(a, >, b, __COUNTER__)
#define PICK_AS(a, op, b, n) PICK_NAMED(a, op, b, n)
#define PICK_NAMED(a, op, b, n)                                                                    \
	({                                                                                         \
		typeof(a) a_##n = (a);                                                             \
		typeof(b) b_##n = (b);                                                             \
		a_##n op b_##n ? a_##n : b_##n;                                                    \
	})

#define KiB 1024ull
#define MiB (1024ull * KiB)
#define GiB (1024ull * MiB)

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/*
 * fail(-EIO): answers its argument, and keeps file:line in a small ring of this
 * thread, so that an error which surfaces far away has an address (fail_trace()).
 */
int fail_at(int error, const char *file, int line);
#define fail(error) fail_at((error), __FILE__, __LINE__)
/*
 * Writes the ring's entries, newest first, "EIO at fetch.c:88 < seal.c:120", into buf and clears
 * it; answers buf.
 */
const char *fail_trace(char *buf, size_t size);
