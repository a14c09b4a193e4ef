/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/staging.h"

#include "base/codec.h"
#include "base/log.h"
#include "cache/stage_log.h"

#include <utlist.h>

#define BATCH_BYTES (1 * MiB)
/* A batch ends with the operation that reaches BATCH_BYTES. */
#define BATCH_MAX (BATCH_BYTES + RECORD_MAX)
#define TICK_NS (NS_PER_S / 2)
/* After a failure the disk is left alone for so long. */
#define PAUSE_NS (5 * NS_PER_S)
#define CHUNK_HEAD_SIZE 32u

struct waiter {
	struct waiter *prev, *next;
	uint64_t ino;
	commit_done_fn *done;
	void *arg;
};

struct staging {
	struct commit *commit;
	struct sealer *sealer;
	struct stage *chunks;
	struct task *worker;
	struct { /* the worker's own, and of who opens */
		struct stage_log *log;
		uint64_t last;       /* the highest number in it */
		bool unsynced;
		uint64_t tick_ns, pause_ns;
	} task;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct cond wake;
		struct waiter *waiters;
		bool stopping;
	} sync;
};

static int add_batch(struct staging *s, const struct commit_copied *copied, struct span plain)
{
	const struct stage_batch batch = { .first = copied->first,
					   .last = copied->last,
					   .done = copied->done,
					   .time_ns = clock_wall() };
	_cleanup_(blob_unrefp) struct blob *sealed = NULL;
	uint8_t id[OBJECT_ID_SIZE];
	int r;

	random_fill(id, sizeof(id));
	r = seal_object(s->sealer, SEAL_PIECE, id, plain, &sealed);
	if (r == 0)
		r = stage_log_add(s->task.log, &batch, blob_span(sealed));
	if (r == 0) {
		s->task.last = copied->last;
		s->task.unsynced = true;
	}
	return r;
}

/* Everything that is pending and not in the log yet. */
static int add_pending(struct staging *s)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(BATCH_MAX);
	struct commit_copied copied;
	int r;

	do {
		buf_clear(&plain);
		r = commit_copy(s->commit, BATCH_BYTES, &plain, &copied);
		if (r == 0 && copied.last)
			r = add_batch(s, &copied, buf_span(&plain));
	} while (r == 0 && copied.last);
	return r;
}

/* Chunks first: no batch is on disk without those that it names. */
static int write_and_sync(struct staging *s)
{
	int r = add_pending(s);

	if (r == 0)
		r = stage_sync(s->chunks);
	if (r == 0 && s->task.unsynced)
		r = stage_log_sync(s->task.log);
	if (r == 0)
		s->task.unsynced = false;
	return r;
}

/* What may have been lost is written again next time, to another file. */
static void failed(struct staging *s, int error)
{
	log_error("staging", "the disk of the cache folder failed: close waits for the stores",
		  "error=%s", strerror(-error));
	commit_copy_again(s->commit);
	s->task.pause_ns = clock_now() + PAUSE_NS;
}

static void answer(struct staging *s, struct waiter *list, bool staged)
{
	struct waiter *w, *next;

	DL_FOREACH_SAFE(list, w, next) {
		if (staged)
			w->done(&(struct result){ 0 }, w->arg);
		else /* (Y2) */
			commit_sync(s->commit, w->ino, w->done, w->arg);
		free(w);
	}
}

static void serve(struct staging *s, struct waiter *list)
{
	int r = -EIO;

	if (clock_now() >= s->task.pause_ns) {
		r = write_and_sync(s);
		if (r)
			failed(s, r);
	}
	answer(s, list, r == 0);
}

/* Files whose operations are all evaluated go, now and then: a new one costs two syncs. */
static void tick(struct staging *s)
{
	const uint64_t now = clock_now();

	if (now < s->task.tick_ns)
		return;
	s->task.tick_ns = now + TICK_NS;
	stage_log_done(s->task.log, commit_last(s->commit));
}

static void work(void *arg)
{
	struct staging *s = arg;

	for (;;) {
		struct waiter *list;
		bool stop;

		lock_take(&s->sync.lock);
		if (!s->sync.waiters && !s->sync.stopping)
			cond_wait(&s->sync.wake, &s->sync.lock, clock_now() + TICK_NS);
		list = take_ptr(&s->sync.waiters);
		stop = s->sync.stopping;
		lock_give(&s->sync.lock);
		if (list)
			serve(s, list);
		if (stop && !list)
			break;
		tick(s);
	}
	stage_log_done(s->task.log, commit_last(s->commit));
}

int staging_open(const struct staging_options *o, struct staging **ret)
{
	_cleanup_(staging_closep) struct staging *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fail(-ENOMEM);
	s->commit = o->commit;
	s->sealer = o->sealer;
	lock_init(&s->sync.lock, RANK_LEAF);
	cond_init(&s->sync.wake);
	r = stage_open(o->dir, o->limit_bytes, &s->chunks);
	if (r == 0)
		r = stage_log_open(o->dir, o->author, &s->task.log);
	if (r)
		return r;
	*ret = take_ptr(&s);
	return 0;
}

struct staging *staging_close(struct staging *s)
{
	if (!s)
		return NULL;
	lock_take(&s->sync.lock);
	s->sync.stopping = true;
	cond_signal(&s->sync.wake);
	lock_give(&s->sync.lock);
	if (s->worker)
		task_join(s->worker);
	stage_log_close(s->task.log);
	stage_close(s->chunks);
	cond_release(&s->sync.wake);
	lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

void staging_wait(struct staging *s, uint64_t ino, commit_done_fn *done, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		commit_sync(s->commit, ino, done, arg); /* (Y2) */
		return;
	}
	*w = (struct waiter){ .ino = ino, .done = done, .arg = arg };
	LOCK_SCOPE(&s->sync.lock);
	DL_APPEND(s->sync.waiters, w);
	cond_signal(&s->sync.wake);
}

struct stage *staging_chunks(struct staging *s)
{
	return s->chunks;
}

/* ---- what was left ---- */

struct leaving {
	struct staging *s;
	staging_left_fn *fn;
	void *arg;
	uint64_t broken;
};

static int read_ops(const struct leaving *l, const uint8_t author[INCARNATION_SIZE],
		    struct span plain)
{
	struct reader r = READER(plain);

	while (r.rest.len) {
		const struct span op = read_bytes(&r, RECORD_MAX);
		const int result = read_error(&r) ? -EBADMSG : l->fn(author, op, l->arg);

		if (result)
			return result;
	}
	return read_end(&r);
}

static int read_left(const struct stage_batch *batch, struct span body, void *arg)
{
	struct leaving *l = arg;
	_cleanup_buf_ struct buf plain = BUF_INIT(BATCH_MAX);
	int r = seal_object_open(l->s->sealer, SEAL_PIECE, NULL, body, &plain, NULL);

	if (r > 0)
		r = -EBADMSG;
	if (r == 0)
		r = read_ops(l, batch->author, buf_span(&plain));
	l->broken += r == -EBADMSG;
	return r == -EBADMSG ? 0 : r;
}

int staging_left(struct staging *s, staging_left_fn *fn, void *arg, uint64_t *ret_broken)
{
	struct leaving l = { s, fn, arg, 0 };
	const int r = stage_log_left(s->task.log, read_left, &l);

	*ret_broken = l.broken;
	return r;
}

static int take(struct staging *s)
{
	int r = stage_log_take_begin(s->task.log);

	if (r == 0)
		r = add_pending(s);
	if (r == 0)
		r = stage_sync(s->chunks);
	if (r == 0)
		r = stage_log_take_end(s->task.log);
	s->task.unsynced = false;
	return r;
}

int staging_take(struct staging *s)
{
	const int r = stage_log_any_left(s->task.log) ? take(s) : 0;

	if (r)
		return r;
	s->worker = task_start("staging", work, s);
	return s->worker ? 0 : fail(-ENOMEM);
}

/* ---- chunks ---- */

int staging_add(struct staging *s, const struct staged_chunk *c, struct blob *body)
{
	_cleanup_buf_ struct buf head = BUF_INIT(CHUNK_HEAD_SIZE);
	struct writer w = WRITER(&head);

	write_be32(&w, c->seal.length);
	write_be32(&w, c->seal.epoch);
	write_raw(&w, span_of(c->seal.salt, sizeof(c->seal.salt)));
	write_be64(&w, c->want);
	return w.error ? w.error : stage_add(s->chunks, c->seal.id, buf_span(&head), body);
}

int staged_chunk_decode(const uint8_t id[STAGE_ID_SIZE], struct span head, struct staged_chunk *ret)
{
	struct reader r = READER(head);

	memcpy(ret->seal.id, id, sizeof(ret->seal.id));
	ret->seal.length = read_be32(&r);
	ret->seal.epoch = read_be32(&r);
	read_copy(&r, ret->seal.salt, sizeof(ret->seal.salt));
	ret->want = read_be64(&r);
	return read_end(&r);
}
