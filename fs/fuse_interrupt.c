/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals of programs that wait for an answer. A signal that ends the program ends the call, at
 * once. One that the program handles does not: file systems of a disk, and NFS, finish mkdir or
 * rename first, and programs rely on it (Go's scheduler sends SIGURG a hundred times a second). The
 * kernel tells of the first signal only, so whoever was interrupted is looked at again until it is
 * answered.
 */
#include "fs/fuse_i.h"

#include <signal.h>
#include <stdio.h>
#include <utlist.h>

#define LOOK_NS (50 * NS_PER_MS)

struct interrupts {
	struct task *task;
	struct lock lock; /* RANK_LEAF */
	struct cond cond;
	struct later *waiting; /* interrupted, and not answered */
	size_t n;              /* requests to be answered later; atomic */
	bool stopping;
};

static uint64_t bit_of(int signal)
{
	return 1ull << (signal - 1);
}

/* Signals of which the kernel makes nothing, or a stop, unless the program says otherwise. */
static uint64_t harmless(void)
{
	return bit_of(SIGCHLD) | bit_of(SIGURG) | bit_of(SIGWINCH) | bit_of(SIGCONT) |
	       bit_of(SIGSTOP) | bit_of(SIGTSTP) | bit_of(SIGTTIN) | bit_of(SIGTTOU);
}

/*
 * Is a signal on its way that ends the thread? One that cannot be looked at (another PID namespace)
 * counts as ending.
 */
static bool is_dying(pid_t tid)
{
	uint64_t pending = 0, unheard = harmless();
	unsigned long long mask;
	char path[32], line[128], name[7];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = tid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%6[A-Za-z]: %llx", name, &mask) != 2)
			continue;
		if (!strcmp(name, "SigPnd") || !strcmp(name, "ShdPnd"))
			pending |= mask;
		else if (!strcmp(name, "SigBlk") || !strcmp(name, "SigIgn") ||
			 !strcmp(name, "SigCgt"))
			unheard |= mask;
	}
	fclose(f);
	return pending & (~unheard | bit_of(SIGKILL));
}

#define PF_SIGNALED 0x400 /* the kernel's flag of a task that a signal ends */

/* Is the thread on its way out already, ended by a signal? */
static bool was_killed(pid_t tid)
{
	char path[32], line[1024];
	const char *end;
	unsigned flags = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!end || sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return false;
	return flags & PF_SIGNALED;
}

/* Whoever turns it answers the request. */
static bool turn(struct later *l)
{
	return !__atomic_exchange_n(&l->answered, true, __ATOMIC_ACQ_REL);
}

/* libfuse calls this with the request's own lock held: it cannot be answered and gone meanwhile. */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct later *l = arg;
	struct interrupts *in = l->fs->interrupts;

	if (is_dying(l->pid)) {
		if (turn(l)) /* after this nobody touches req; l belongs to its own end */
			fuse_reply_err(req, EINTR);
		return;
	}
	LOCK_SCOPE(&in->lock);
	if (l->watched || __atomic_load_n(&l->answered, __ATOMIC_ACQUIRE))
		return;
	l->watched = true;
	DL_APPEND(in->waiting, l);
	cond_signal(&in->cond);
}

struct later *later_new(fuse_req_t req)
{
	struct later *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->req = req;
	l->fs = fs_of(req);
	__atomic_add_fetch(&l->fs->interrupts->n, 1, __ATOMIC_RELAXED);
	l->pid = fuse_req_ctx(req)->pid;
	timed_defer(l);
	fuse_req_interrupt_func(req, on_interrupt, l);
	return l;
}

bool later_claim(struct later *l)
{
	const bool ours = turn(l);

	if (ours) /* waits for a running on_interrupt, which finds it answered */
		fuse_req_interrupt_func(l->req, NULL, NULL);
	if (l->watched) {
		LOCK_SCOPE(&l->fs->interrupts->lock);
		DL_DELETE(l->fs->interrupts->waiting, l);
	}
	timed_end(l);
	return ours;
}

void later_let_go(struct later *l)
{
	if (!was_killed(l->pid) || !turn(l))
		return;
	fuse_req_interrupt_func(l->req, NULL, NULL);
	fuse_reply_err(l->req, 0);
}

void later_free(struct later *l)
{
	__atomic_sub_fetch(&l->fs->interrupts->n, 1, __ATOMIC_RELEASE); /* the last touch of fs */
	free(l);
}

/* Under the lock nobody leaves the list, so that what is on it can be touched. */
static void look_locked(struct interrupts *in)
{
	struct later *l;

	DL_FOREACH(in->waiting, l) {
		if (__atomic_load_n(&l->answered, __ATOMIC_ACQUIRE) || !is_dying(l->pid))
			continue;
		if (turn(l))
			fuse_reply_err(l->req, EINTR);
	}
}

static void watch(void *arg)
{
	struct interrupts *in = arg;

	LOCK_SCOPE(&in->lock);
	while (!in->stopping) {
		cond_wait(&in->cond, &in->lock, in->waiting ? clock_now() + LOOK_NS : NEVER);
		look_locked(in);
	}
}

int interrupts_start(struct mountfs *fs)
{
	struct interrupts *in = calloc(1, sizeof(*in));

	if (!in)
		return fail(-ENOMEM);
	lock_init(&in->lock, RANK_LEAF);
	cond_init(&in->cond);
	fs->interrupts = in;
	in->task = task_start("interrupts", watch, in);
	return in->task ? 0 : fail(-ENOMEM);
}

void interrupts_stop(struct mountfs *fs)
{
	struct interrupts *in = fs->interrupts;

	if (!in)
		return;
	/* A commit answers by its deadline. */
	while (__atomic_load_n(&in->n, __ATOMIC_ACQUIRE))
		sleep_until(clock_now() + LOOK_NS);
	lock_take(&in->lock);
	in->stopping = true;
	cond_broadcast(&in->cond);
	lock_give(&in->lock);
	if (in->task)
		task_join(in->task);
	cond_release(&in->cond);
	lock_release(&in->lock);
	free(in);
	fs->interrupts = NULL;
}
