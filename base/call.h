/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Something under way elsewhere. Whoever starts it makes the call and keeps a
 * reference; the implementer finishes it exactly once, from any thread, always
 * asynchronously in effect (the starter's code never runs inside the start).
 *
 * (L1) A call finishes exactly once; cancelling only asks.
 * (L2) `done` runs after the result is visible, on the finishing thread, holding no lock;
 *      it must not block.
 * (L3) References: the starter has one; the implementer takes its own until it has finished.
 */
#include "base/wait.h"

struct call;
typedef void call_fn(struct call *c);

struct call {
	struct lock lock;
	struct cond cond;
	unsigned refs;
	bool finished;
	bool cancelled;          /* somebody asked */
	int result;              /* valid when finished: 0, -errno or a positive condition */
	call_fn *destroy;        /* frees the object that embeds this call */
	call_fn *done;           /* or NULL */
	void *done_arg;
	call_fn *cancel;         /* set by the implementer, or NULL */
	void *cancel_arg;
	uint64_t started_ns, finished_ns;
	struct waiter_list *waiters; /* private: calls_wait() */
};

/* One reference. destroy is called with the last reference gone. */
void call_init(struct call *c, call_fn *destroy);
struct call *call_ref(struct call *c);
void call_unref(struct call *c);
/* Before the start: what to run at the end. */
void call_on_done(struct call *c, call_fn *done, void *arg);
/*
 * By the implementer: how to cancel; run at once when that was already asked, forgotten when the
 * call has finished. It runs at most once, holding no lock of the call, and perhaps while another
 * thread finishes the call.
 */
void call_set_cancel(struct call *c, call_fn *cancel, void *arg);
/* Gives back no reference: the implementer drops its own afterwards. */
void call_finish(struct call *c, int result);
void call_cancel(struct call *c);
bool call_finished(struct call *c);
bool call_cancelled(struct call *c);
/* The result, or -ETIMEDOUT while it goes on. */
int call_wait(struct call *c, uint64_t deadline_ns);
/*
 * Waits until at least `enough` of n are finished (whatever their results). Answers the number
 * finished, or -ETIMEDOUT with fewer; -ENOMEM. NULL entries are skipped; no more than the rest of
 * them is waited for.
 */
int calls_wait(struct call *const *calls, size_t n, size_t enough, uint64_t deadline_ns);
