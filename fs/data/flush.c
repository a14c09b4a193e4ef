/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From dirty segments to a WRITE operation.
 *
 * (F1) Full chunks leave while the program goes on writing; a flush sends the rest, waits for the
 *      acknowledged copies, and only then submits one WRITE (D1).
 * (F2) The WRITE and the disappearance of its segments are one step under the inode's lock: a
 *      reader sees the bytes in the buffer or in the namespace, never neither.
 * (F3) What could not be sent stays dirty (D3).
 */
#include "fs/data/data_i.h"

struct send_job {
	struct file *file;
	struct run *run;
	enum flush_how how;
};

static int upload(const struct send_job *job, struct upload **ret)
{
	const struct span plain = span_of(job->run->bytes, job->run->len);

	if (job->how == FLUSH_STAGED && upload_stage(job->file->data, plain, ret) == 0)
		return 0;
	return upload_chunk(job->file->data, plain, ret);
}

static void send_run(void *arg)
{
	_cleanup_free_ struct send_job *job = arg;
	struct file *f = job->file;
	struct run *run = job->run;
	struct upload *u = NULL;
	const int r = upload(job, &u);

	lock_take(&f->lock);
	if (r == 0) {
		run->upload = u;
		run->state = RUN_SENT;
		run->bytes = free_null(run->bytes);
		budget_give(f->data->write_budget, run->charged);
		run->charged = 0;
	} else {
		run->state = RUN_OPEN; /* (F3) */
		f->send_error = r;
	}
	f->sending--;
	run_unref(run, file_run_free, f->data);
	cond_broadcast(&f->cond);
	lock_give(&f->lock);
	file_unref(f);
}

int file_send_run_locked(struct file *f, struct run *r, enum flush_how how)
{
	struct send_job *job = malloc(sizeof(*job));

	if (!job)
		return fail(-ENOMEM);
	*job = (struct send_job){ file_ref(f), r, how };
	r->refs++;
	r->state = RUN_SENDING;
	f->sending++;
	if (pool_run(f->data->send_pool, send_run, job) == 0)
		return 0;
	r->state = RUN_OPEN;
	r->refs--; /* its segments hold it */
	f->sending--;
	lock_give(&f->lock);
	file_unref(f); /* never the last one: the caller has one */
	lock_take(&f->lock);
	free(job);
	return fail(-EAGAIN);
}

static bool is_open(const struct segment *s)
{
	return s->run->state == RUN_OPEN;
}

static uint64_t open_bytes(const struct file *f)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->segs.n; i++)
		if (is_open(&f->segs.v[i]))
			sum += f->segs.v[i].len;
	return sum;
}

/* Moves as many open segments as fit one chunk into one new run. */
static struct run *pack_locked(struct file *f, size_t first, uint64_t total)
{
	struct run *pack = run_new((uint32_t)MIN(total, (uint64_t)CHUNK_MAX));

	if (!pack)
		return NULL;
	for (size_t i = first; i < f->segs.n; i++) {
		struct segment *s = &f->segs.v[i];
		struct run *old = s->run;

		if (!is_open(s))
			continue;
		if (pack->len + s->len > pack->cap)
			break;

		const uint64_t charge = MIN(s->len, old->charged);

		memcpy(pack->bytes + pack->len, old->bytes + s->run_off, s->len);
		s->run = pack;
		s->run_off = pack->len;
		pack->refs++;
		pack->len += (uint32_t)s->len;
		pack->charged += charge;
		old->charged -= charge;
		run_unref(old, file_run_free, f->data);
	}
	return pack;
}

/* One chunk's worth of open segments. 0, FILE_WOULD_WAIT when there is none. */
static int send_one_locked(struct file *f, enum flush_how how)
{
	const uint64_t total = open_bytes(f);
	size_t i = 0;

	while (i < f->segs.n && !is_open(&f->segs.v[i]))
		i++;
	if (i == f->segs.n)
		return FILE_WOULD_WAIT;

	const struct segment *s = &f->segs.v[i];
	const bool whole = s->run_off == 0 && s->len == s->run->len;

	if (whole && (s->len >= CHUNK_MAX / 2 || s->len == total))
		return file_send_run_locked(f, s->run, how);

	struct run *pack = pack_locked(f, i, total);

	if (!pack)
		return fail(-ENOMEM);

	int r = file_send_run_locked(f, pack, how);

	run_unref(pack, file_run_free, f->data);
	return r;
}

static int send_all_locked(struct file *f, enum flush_how how)
{
	int r;

	do
		r = send_one_locked(f, how);
	while (r == 0);
	return r == FILE_WOULD_WAIT ? 0 : r;
}

int file_send_open(struct file *f)
{
	LOCK_SCOPE(&f->lock);
	return send_all_locked(f, flush_how(f->data));
}

/* Little enough travels in the operation itself: one round trip instead of two. */
static int send_rest_locked(struct file *f, enum flush_how how)
{
	const uint64_t total = open_bytes(f);

	if (total > INLINE_MAX)
		return send_all_locked(f, how);
	for (size_t i = 0; i < f->segs.n; i++)
		if (is_open(&f->segs.v[i]))
			f->segs.v[i].run->state = RUN_INLINE;
	return 0;
}

static void reopen_inline_locked(struct file *f)
{
	for (size_t i = 0; i < f->segs.n; i++)
		if (f->segs.v[i].run->state == RUN_INLINE)
			f->segs.v[i].run->state = RUN_OPEN;
}

/* The WRITE under construction. */
struct write_op {
	struct op op;
	struct op_extent *extents;
	struct op_chunk *chunks;
	struct upload **uploads;
	size_t n, n_chunks;
	uint64_t end;
	bool staged, held; /* some of its chunks are staged; lack copies yet */
	uint64_t no;
};

static void write_op_release(struct write_op *w)
{
	for (size_t i = 0; i < w->n_chunks; i++)
		upload_unref(w->uploads[i]);
	free(w->extents);
	free(w->chunks);
	free(w->uploads);
}

static void add_chunk(struct write_op *w, struct upload *u, uint64_t want)
{
	struct op_chunk *c;

	for (size_t i = w->n_chunks; i-- > 0;)
		if (w->uploads[i] == u)
			return;
	c = &w->chunks[w->n_chunks];
	*c = (struct op_chunk){ .length = u->seal.length,
				.key_epoch = u->seal.epoch,
				.stores = upload_tell(u),
				.want = want };
	memcpy(c->id, u->seal.id, CHUNK_ID_SIZE);
	memcpy(c->salt, u->seal.salt, sizeof(c->salt));
	w->staged |= u->staged;
	w->held |= u->staged && !upload_acknowledged(u);
	w->uploads[w->n_chunks++] = upload_ref(u);
}

static void add_extent(struct file *f, struct write_op *w, const struct segment *s)
{
	struct op_extent *e = &w->extents[w->n++];
	const uint64_t base = f->append ? f->append_base : 0;

	*e = (struct op_extent){ .offset = s->off - base, .row = { .length = s->len } };
	w->end = MAX(w->end, s->off + s->len);
	s->run->leaving = true;
	if (s->run->state == RUN_INLINE) {
		e->row.kind = EXTENT_INLINE;
		e->row.bytes = span_of(s->run->bytes + s->run_off, s->len);
		return;
	}
	e->row.kind = EXTENT_CHUNK;
	e->row.chunk_offset = s->run_off;
	memcpy(e->row.chunk, s->run->upload->seal.id, CHUNK_ID_SIZE);
	add_chunk(w, s->run->upload, f->data->o.stores);
}

static int write_op_build_locked(struct file *f, struct write_op *w)
{
	w->extents = calloc(f->segs.n + 1, sizeof(*w->extents));
	w->chunks = calloc(f->segs.n + 1, sizeof(*w->chunks));
	w->uploads = calloc(f->segs.n + 1, sizeof(*w->uploads));
	if (!w->extents || !w->chunks || !w->uploads)
		return fail(-ENOMEM);
	for (size_t i = 0; i < f->segs.n; i++) {
		const enum run_state state = f->segs.v[i].run->state;

		if (state == RUN_SENT || state == RUN_INLINE)
			add_extent(f, w, &f->segs.v[i]);
	}
	w->op = (struct op){ .kind = OP_WRITE,
			     .ino = f->ino,
			     .extents = w->extents,
			     .n_extents = w->n,
			     .chunks = w->chunks,
			     .n_chunks = w->n_chunks,
			     .mtime_ns = f->mtime_ns };
	if (!f->mtime_ns)
		w->op.flags |= OP_WRITE_KEEP_MTIME;
	if (f->replace) {
		w->op.flags |= OP_WRITE_REPLACE | OP_WRITE_SIZE;
		w->op.size = MAX(f->base_size, w->end);
	} else if (f->append) {
		w->op.flags |= OP_WRITE_APPEND;
		w->op.off = f->append_base;
	}
	return 0;
}

struct submit_wait {
	struct event event;
	struct result res;
};

static void submit_done(const struct result *res, void *arg)
{
	struct submit_wait *w = arg;

	w->res = *res;
	event_set(&w->event);
}

/*
 * 0 or -errno: as the operation ended. Gives the lock while it has to wait; `leaving` segments stay
 * readable.
 */
static int submit_locked(struct file *f, struct write_op *w)
{
	struct submit_wait wait = { 0 };
	int r;

	event_init(&wait.event);
	r = commit_submit(f->data->o.commit, &w->op, w->held ? COMMIT_HELD : COMMIT_EARLY,
			  submit_done, &wait, &wait.res, &w->no);
	if (r == COMMIT_LATER) {
		lock_give(&f->lock);
		event_wait(&wait.event, NEVER);
		lock_take(&f->lock);
		r = 0;
	}
	event_release(&wait.event);
	return r < 0 ? r : wait.res.error;
}

static void forget_leaving_locked(struct file *f)
{
	for (size_t i = 0; i < f->segs.n; i++)
		f->segs.v[i].run->leaving = false;
}

/* The state of the buffer once its WRITE is in the namespace. */
static void after_write_locked(struct file *f, bool *ret_unref)
{
	segments_remove_leaving(&f->segs, file_run_free, f->data);
	f->replace = false;
	f->base_size = 0;
	if (f->segs.n) {
		f->append_base = f->segs.v[0].off;
		f->dirty_since = clock_now();
		return;
	}
	file_mark_clean_locked(f, ret_unref);
}

/* From now on its uploads' news are operations of their own (U2), or go with its release. */
static void submitted(struct data *d, const struct write_op *w)
{
	if (w->staged && data_hold(d, w->no, !w->held, w->uploads, w->n_chunks) == 0)
		return;
	for (size_t i = 0; i < w->n_chunks; i++)
		upload_submitted(w->uploads[i]);
}

static int submit_ready_locked(struct file *f, bool *ret_unref)
{
	_cleanup_(write_op_release) struct write_op w = { 0 };
	int r;

	if (!f->dirty)
		return 0;
	r = write_op_build_locked(f, &w);
	if (r == 0 && w.n == 0 && !f->replace)
		return 0;
	if (r == 0)
		r = submit_locked(f, &w);
	if (r < 0 && r != -ESTALE) {
		forget_leaving_locked(f);
		return r;
	}
	if (r == 0)
		submitted(f->data, &w);
	for (size_t i = 0; i < w.n_chunks; i++)
		if (r < 0)
			upload_abandon(w.uploads[i]);
	after_write_locked(f, ret_unref);
	return r; /* -ESTALE: the inode is gone, and its data with it */
}

int file_flush(struct file *f, enum flush_how how, uint64_t deadline_ns)
{
	bool unref = false;
	int r;

	lock_take(&f->lock);
	while (f->syncing)
		if (cond_wait(&f->cond, &f->lock, deadline_ns) == -ETIMEDOUT) {
			lock_give(&f->lock);
			return fail(-EIO);
		}
	f->syncing = true;
	f->send_error = 0;
	r = send_rest_locked(f, how);
	while (f->sending) /* each ends by its own deadline */
		cond_wait(&f->cond, &f->lock, NEVER);
	if (r == 0)
		r = f->send_error;
	if (r == 0)
		r = submit_ready_locked(f, &unref);
	reopen_inline_locked(f);
	f->syncing = false;
	cond_broadcast(&f->cond);
	lock_give(&f->lock);
	if (unref)
		file_unref(f);
	return r;
}

static void flush_later(void *arg)
{
	struct file *f = arg;
	int r = file_flush(f, flush_how(f->data), clock_now() + f->data->o.deadline_ns);

	if (r < 0 && r != -ESTALE)
		log_warn("data", "written data could not be stored yet, it stays in memory",
			 "inode=%llu error=%s", (unsigned long long)f->ino, strerror(-r));
	lock_take(&f->lock);
	f->flushing_by_age = false;
	lock_give(&f->lock);
	file_unref(f);
}

/* Takes the caller's reference. */
void file_flush_later(struct file *f)
{
	lock_take(&f->lock);
	const bool busy = f->flushing_by_age;

	f->flushing_by_age = true;
	lock_give(&f->lock);
	if (busy) {
		file_unref(f);
		return;
	}
	if (pool_run(f->data->flush_pool, flush_later, f) != 0) {
		lock_take(&f->lock);
		f->flushing_by_age = false;
		lock_give(&f->lock);
		file_unref(f);
	}
}
