/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the kernel what others changed. Messages are queued by the commit task and sent by a
 * thread of their own that holds nothing: the kernel may need an answer of ours before it takes one
 * (K4).
 */
#include "fs/fuse_i.h"

#include "base/log.h"

#include <sys/stat.h>
#include <utlist.h>

#define QUEUE_MAX 65536

struct message {
	struct message *prev, *next;
	enum { SAY_ENTRY, SAY_ATTR, SAY_CONTENT } what;
	uint64_t ino; /* the directory, for an entry */
	char name[];
};

struct notify {
	struct mountfs *fs;
	struct task *task;
	struct lock lock; /* RANK_LEAF */
	struct cond cond;
	struct message *queue;
	size_t n;
	bool stopping, overflow;
};

static void say(struct notify *n, int what, uint64_t ino, struct span name)
{
	struct message *m = malloc(sizeof(*m) + name.len + 1);

	if (m) {
		m->what = what;
		m->ino = ino;
		memcpy(m->name, name.data ? (const void *)name.data : "", name.len);
		m->name[name.len] = 0;
	}
	LOCK_SCOPE(&n->lock);
	if (!m || n->n >= QUEUE_MAX) {
		/*
		 * What is left out is believed by the kernel for no longer than cache_seconds()
		 * allows.
		 */
		n->overflow = true;
		free(m);
		return;
	}
	DL_APPEND(n->queue, m);
	n->n++;
	cond_signal(&n->cond);
}

static void say_name(struct notify *n, uint64_t parent, struct span name)
{
	say(n, SAY_ENTRY, parent, name);
	say(n, SAY_CONTENT, parent, SPAN_NULL); /* its listing and times */
}

/* What an operation makes stale in this kernel. */
static void say_op(struct notify *n, const struct op *op, const struct result *res)
{
	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_ADOPT:
		say_name(n, op->parent, op->name);
		break;
	case OP_LINK:
		say_name(n, op->parent, op->name);
		say(n, SAY_ATTR, op->ino, SPAN_NULL);
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		say_name(n, op->parent, op->name);
		say(n, SAY_ATTR, res->value, SPAN_NULL);
		break;
	case OP_RENAME:
		say_name(n, op->parent, op->name);
		say_name(n, op->to_parent, op->to_name);
		say(n, SAY_ATTR, res->value, SPAN_NULL);
		break;
	case OP_SETATTR:
	case OP_SETXATTR:
	case OP_REMOVEXATTR:
		say(n, SAY_ATTR, op->ino, SPAN_NULL);
		break;
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_PUNCH:
		say(n, SAY_CONTENT, op->ino, SPAN_NULL);
		break;
	case OP_CLONE:
		say(n, SAY_CONTENT, op->to, SPAN_NULL);
		break;
	default:
		break;
	}
}

static void on_applied(const struct op *op, const struct result *res, void *arg)
{
	struct mountfs *fs = arg;

	__atomic_store_n(&fs->others_ns, clock_now(), __ATOMIC_RELAXED);
	if (res->error == 0)
		say_op(fs->notify, op, res);
}

static void on_lost(const struct op *op, const struct result *said, const struct result *now,
		    void *arg)
{
	struct mountfs *fs = arg;

	say_op(fs->notify, op, said);
	if (op->kind == OP_CREATE || op->kind == OP_MKDIR || op->kind == OP_SYMLINK ||
	    op->kind == OP_ADOPT)
		say(fs->notify, SAY_CONTENT, op->ino, SPAN_NULL);
}

static void on_attached(const char *name, void *arg)
{
	struct mountfs *fs = arg;

	say_name(fs->notify, ROOT_INO, span_str(name));
}

static void expire_entry(struct fuse_session *s, fuse_ino_t parent, const char *name)
{
#ifdef HAVE_FUSE_EXPIRE_FLAGS
	fuse_lowlevel_notify_expire_entry(s, parent, name, strlen(name), FUSE_LL_EXPIRE_ONLY);
#else
	fuse_lowlevel_notify_expire_entry(s, parent, name, strlen(name));
#endif
}

static void send(struct notify *n, const struct message *m)
{
	struct mountfs *fs = n->fs;
	const fuse_ino_t ino = shown_ino(fs, m->ino);

	switch (m->what) {
	case SAY_ENTRY:
		if (fs->can_expire)
			expire_entry(fs->session, ino, m->name);
		else
			fuse_lowlevel_notify_inval_entry(fs->session, ino, m->name,
							 strlen(m->name));
		break;
	case SAY_ATTR:
		fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
		break;
	case SAY_CONTENT:
		fuse_lowlevel_notify_inval_inode(fs->session, ino, 0, 0);
		break;
	}
	/* Errors: the kernel did not have it (ENOENT), or the mount is gone. Both are fine. */
}

static struct message *next_message(struct notify *n, bool *ret_overflow)
{
	struct message *m;

	LOCK_SCOPE(&n->lock);
	while (!n->queue && !n->stopping)
		cond_wait(&n->cond, &n->lock, NEVER);
	*ret_overflow = n->overflow;
	n->overflow = false;
	m = n->queue;
	if (m) {
		DL_DELETE(n->queue, m);
		n->n--;
	}
	return m;
}

static void notify_run(void *arg)
{
	struct notify *n = arg;
	struct message *m;
	bool overflow;

	while ((m = next_message(n, &overflow))) {
		if (overflow)
			log_warn("fuse",
				 "too many changes by others at once, some are noticed late",
				 "queue=%d", QUEUE_MAX);
		send(n, m);
		free(m);
	}
}

int notify_start(struct mountfs *fs)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return fail(-ENOMEM);
	n->fs = fs;
	lock_init(&n->lock, RANK_LEAF);
	cond_init(&n->cond);
	fs->notify = n;
	n->task = task_start("notify", notify_run, n);
	if (!n->task)
		return fail(-ENOMEM);
	fs->hooks.events = (struct commit_events){ .applied = on_applied,
						   .lost = on_lost,
						   .arg = fs };
	fs->hooks.attached = on_attached;
	volume_hooks_set(fs->v, &fs->hooks);
	return 0;
}

void notify_stop(struct mountfs *fs)
{
	struct notify *n = fs->notify;
	struct message *m, *next;

	volume_hooks_set(fs->v, NULL);
	if (!n)
		return;
	lock_take(&n->lock);
	DL_FOREACH_SAFE(n->queue, m, next) {
		DL_DELETE(n->queue, m);
		free(m);
	}
	n->stopping = true;
	cond_broadcast(&n->cond);
	lock_give(&n->lock);
	if (n->task)
		task_join(n->task);
	cond_release(&n->cond);
	lock_release(&n->lock);
	free(n);
	fs->notify = NULL;
}
