/* SPDX-License-Identifier: Apache-2.0 */
/* Open inodes: reading and writing through their buffer. */
#include "fs/data/data_i.h"

#include <sys/stat.h>

/*
 * Operations that wait are in memory, too, and each record applies them again: beyond this many,
 * and this share of the memory, close waits for the journal.
 */
#define PENDING_MAX 20000u
#define PENDING_SHARE 16u

static void replace_locked(struct file *f)
{
	segments_release(&f->segs, file_run_free, f->data);
	f->replace = true;
	f->append = false;
	f->base_size = 0;
	f->mtime_ns = commit_time(f->data->o.commit);
	file_mark_dirty_locked(f);
}

int file_open(struct data *d, uint64_t ino, enum file_use use, struct file **ret)
{
	const bool trunc = use == FILE_TRUNCATE || use == FILE_TRUNCATE_UNLESS_RUNNING;
	struct file *f = file_find(d, ino);
	struct inode_row row;
	int r;

	if (!f)
		return fail(-ENOMEM);
	lock_take(&f->lock);
	r = data_inode(d, ino, &row);
	/*
	 * A path led to it that leads elsewhere by now, to what replaced it perhaps: the kernel
	 * walks it again. Who has it open may open it again (/proc/self/fd).
	 */
	if (r == 0 && row.nlink == 0 && f->handles == 0)
		r = -ESTALE;
	if (r == 0 && use == FILE_TRUNCATE_UNLESS_RUNNING && f->running)
		r = -ETXTBSY;
	if (r == 0) {
		f->handles++;
		f->running += use == FILE_EXECUTE;
		if (trunc && (row.size || f->segs.n))
			replace_locked(f);
	}
	lock_give(&f->lock);
	if (r < 0) {
		file_unref(f);
		return r;
	}
	*ret = f;
	return 0;
}

struct file *file_ref(struct file *f)
{
	LOCK_SCOPE(&f->data->sync.lock);
	f->refs++;
	return f;
}

uint64_t file_ino(const struct file *f)
{
	return f->ino;
}

uint64_t file_size_locked(struct file *f, uint64_t ns_size)
{
	return MAX(f->replace ? f->base_size : ns_size, segments_end(&f->segs));
}

/*
 * Nobody can ever read an orphan's unsent bytes again: they go (what is being sent just now ends as
 * garbage). Answers whether the dirty reference is free.
 */
static bool discard_locked(struct file *f)
{
	bool unref = false;

	segments_release(&f->segs, file_run_free, f->data);
	f->replace = false;
	if (f->dirty)
		file_mark_clean_locked(f, &unref);
	return unref;
}

static bool is_orphan(struct data *d, uint64_t ino)
{
	struct inode_row row;

	return data_inode(d, ino, &row) == 0 && row.nlink == 0;
}

void file_close(struct file *f, enum file_use use)
{
	struct data *d = f->data;
	bool unref = false, gone = false;

	lock_take(&f->lock);
	f->running -= use == FILE_EXECUTE;
	if (--f->handles == 0 && is_orphan(d, f->ino)) {
		gone = true;
		unref = discard_locked(f);
	}
	lock_give(&f->lock);
	if (gone)
		data_reap_later(d, f->ino);
	if (unref)
		file_unref(f);
	file_unref(f);
}

void data_orphaned(struct data *d, uint64_t ino)
{
	struct file *f = file_peek(d, ino);
	bool open = false, unref = false;

	if (f) {
		lock_take(&f->lock);
		open = f->handles > 0;
		if (!open)
			unref = discard_locked(f);
		lock_give(&f->lock);
		if (unref)
			file_unref(f);
		file_unref(f);
	}
	if (!open)
		data_reap_later(d, ino);
}

static void read_ahead(struct file *f, uint64_t off, size_t len, uint64_t size)
{
	struct plan plan;
	uint64_t from, to;
	bool go;

	lock_take(&f->lock);
	go = ahead_note(&f->ahead, off, len, size, f->data->max_window, &from, &to);
	lock_give(&f->lock);
	if (!go || plan_make(f, from, to - from, NULL, &plan) != 0)
		return;
	for (size_t i = 0; i < plan.n; i++)
		fetch_ahead(f->data, &plan.parts[i]);
	plan_release(&plan);
}

static int read_parts(struct file *f, const struct plan *plan, enum file_wait wait,
		      uint64_t deadline_ns, uint8_t *dst)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->n; i++)
		r = fetch_part(f->data, &plan->parts[i], wait, deadline_ns, dst);
	return r;
}

static int read_once(struct file *f, uint64_t off, size_t len, enum file_wait wait,
		     uint64_t deadline_ns, uint8_t *dst)
{
	struct plan plan;
	int r = plan_make(f, off, len, dst, &plan);

	if (r < 0)
		return r;
	r = read_parts(f, &plan, wait, deadline_ns, dst);
	plan_release(&plan);
	return r;
}

int file_read(struct file *f, uint64_t off, size_t len, enum file_wait wait, uint8_t *dst,
	      size_t *ret_len)
{
	const uint64_t deadline = clock_now() + f->data->o.deadline_ns;
	uint64_t size;
	int r = file_size(f, &size);

	if (r < 0)
		return r;
	if (off >= size) {
		*ret_len = 0;
		return 0;
	}
	len = MIN((uint64_t)len, size - off);
	if (wait == FILE_NO_WAIT) /* who waits was here before: one read is no stream of two */
		read_ahead(f, off, len, size);
	r = read_once(f, off, len, wait, deadline, dst);
	if (r == FETCH_GONE) {
		/*
		 * Missing everywhere it should be: perhaps this view is old. Only then is it an
		 * error.
		 */
		r = commit_refresh(f->data->o.commit, deadline);
		if (r == 0)
			r = read_once(f, off, len, wait, deadline, dst);
		if (r == FETCH_GONE)
			r = fail(-EIO);
	}
	if (r == 0) {
		metric_add(f->data->m_read, (double)len);
		*ret_len = len;
	}
	return r;
}

/* Is the whole range inside one open run's window? Then it is overwritten in place. */
static bool overwrite_locked(struct file *f, uint64_t off, struct span bytes)
{
	const size_t i = segments_find(&f->segs, off);

	if (i == f->segs.n)
		return false;

	const struct segment *s = &f->segs.v[i];

	if (s->run->state != RUN_OPEN || s->off > off || s->off + s->len < off + bytes.len)
		return false;
	memcpy(s->run->bytes + s->run_off + (off - s->off), bytes.data, bytes.len);
	return true;
}

static int grow_run(struct run *r, uint32_t need)
{
	uint32_t cap = r->cap;
	uint8_t *bytes;

	if (need <= cap)
		return 0;
	while (cap < need)
		cap = cap < MiB ? cap * 2 : CHUNK_MAX;
	bytes = realloc(r->bytes, cap);
	if (!bytes)
		return fail(-ENOMEM);
	r->bytes = bytes;
	r->cap = cap;
	return 0;
}

/*
 * Extends the run that ends exactly at `off`, as far as a chunk has room. *ret: bytes taken, 0 when
 * there is none.
 */
static int extend_locked(struct file *f, uint64_t off, struct span bytes, size_t *ret)
{
	size_t i = off ? segments_find(&f->segs, off - 1) : f->segs.n;
	struct segment *s = i < f->segs.n ? &f->segs.v[i] : NULL;
	int r;

	*ret = 0;
	if (!s || s->off + s->len != off || s->run->state != RUN_OPEN ||
	    s->run_off + s->len != s->run->len || s->run->len == CHUNK_MAX)
		return 0;

	const size_t n = MIN(bytes.len, (size_t)(CHUNK_MAX - s->run->len));
	struct run *run = s->run;

	r = grow_run(run, run->len + (uint32_t)n);
	if (r == 0)
		r = segments_cut(&f->segs, off, n, file_run_free, f->data);
	if (r < 0)
		return r;
	s = &f->segs.v[segments_find(&f->segs, off - 1)]; /* the cut may have moved the array */
	memcpy(run->bytes + run->len, bytes.data, n);
	run->len += (uint32_t)n;
	run->charged += n;
	s->len += n;
	*ret = n;
	if (run->len == CHUNK_MAX)
		/* if not now, the flush sends it */
		(void)!file_send_run_locked(f, run, flush_how(f->data));
	return 0;
}

static int new_run_locked(struct file *f, uint64_t off, struct span bytes)
{
	struct run *run = run_new(MAX(4096u, (uint32_t)bytes.len));
	int r;

	if (!run)
		return fail(-ENOMEM);
	memcpy(run->bytes, bytes.data, bytes.len);
	run->len = (uint32_t)bytes.len;
	r = segments_insert(&f->segs, off, bytes.len, run, 0, file_run_free, f->data);
	if (r == 0)
		run->charged = bytes.len;
	run_unref(run, file_run_free, f->data);
	return r;
}

/* *ret_unused: bytes of the charge that nothing holds. */
static int store_locked(struct file *f, uint64_t off, struct span bytes, uint64_t *ret_unused)
{
	*ret_unused = bytes.len;
	if (overwrite_locked(f, off, bytes))
		return 0;
	while (bytes.len) {
		size_t n;
		int r = extend_locked(f, off, bytes, &n);

		if (r == 0 && n == 0) {
			n = MIN(bytes.len, (size_t)CHUNK_MAX);
			r = new_run_locked(f, off, span_sub(bytes, 0, n));
		}
		if (r < 0)
			return r;
		*ret_unused -= n;
		off += n;
		bytes = span_sub(bytes, n, bytes.len - n);
	}
	return 0;
}

static void note_append_locked(struct file *f, uint64_t off, bool append)
{
	if (!f->dirty) {
		f->append = append;
		f->append_base = off;
	} else if (!append || f->replace) {
		f->append = false;
	}
}

static int write_locked(struct file *f, uint64_t off, struct span bytes, bool append,
			uint64_t time_ns, uint64_t *ret_unused)
{
	struct inode_row row;
	int r = data_inode(f->data, f->ino, &row);

	if (r < 0)
		return r;
	if (append)
		off = file_size_locked(f, row.size);
	if (off > FILE_SIZE_MAX || bytes.len > FILE_SIZE_MAX - off)
		return fail(-EFBIG);
	note_append_locked(f, off, append);
	r = store_locked(f, off, bytes, ret_unused);
	if (r == 0) {
		f->mtime_ns = time_ns;
		f->unsynced = true;
	}
	if (f->segs.n)
		file_mark_dirty_locked(f);
	return r;
}

/* Room for dirty bytes; while it lacks, everything dirty is sent off. */
static int take_room(struct data *d, uint64_t bytes, enum file_wait wait)
{
	if (budget_try(d->write_budget, bytes) == 0)
		return 0;
	event_set(&d->wake);
	if (wait == FILE_NO_WAIT)
		return FILE_WOULD_WAIT;
	return budget_take(d->write_budget, bytes, clock_now() + d->o.deadline_ns) == 0
		       ? 0
		       : fail(-EIO);
}

int file_write(struct file *f, uint64_t off, struct span bytes, bool append, uint64_t time_ns,
	       enum file_wait wait)
{
	struct data *d = f->data;
	uint64_t unused_room = bytes.len;
	bool many;
	int r;

	if (d->o.read_only)
		return fail(-EROFS);
	r = take_room(d, bytes.len, wait);
	if (r != 0)
		return r;
	lock_take(&f->lock);
	r = write_locked(f, off, bytes, append, time_ns, &unused_room);
	many = f->segs.n > SEGMENTS_MAX;
	lock_give(&f->lock);
	budget_give(d->write_budget, unused_room);
	if (many)
		file_flush_later(file_ref(f));
	if (r == 0)
		metric_add(d->m_written, (double)bytes.len);
	return r;
}

bool file_dirty(struct file *f)
{
	LOCK_SCOPE(&f->lock);
	return f->dirty || f->unsynced;
}

static bool few_pending(struct data *d)
{
	uint64_t n, bytes;

	commit_pending(d->o.commit, &n, &bytes);
	return n < PENDING_MAX && bytes < d->o.memory_bytes / PENDING_SHARE;
}

void file_sync(struct file *f, bool closing, commit_done_fn *done, void *arg)
{
	struct data *d = f->data;
	const enum flush_how how = closing ? flush_how(d) : FLUSH_STORED;
	struct result res = { 0 };

	if (closing && is_orphan(d, f->ino)) {
		done(&res, arg);
		return;
	}
	res.error = file_flush(f, how, clock_now() + d->o.deadline_ns);
	if (res.error < 0) {
		done(&res, arg);
		return;
	}
	lock_take(&f->lock);
	f->unsynced = f->dirty;
	lock_give(&f->lock);
	if (how == FLUSH_STAGED && few_pending(d))
		staging_wait(d->o.staging, f->ino, done, arg);
	else
		commit_sync(d->o.commit, f->ino, done, arg);
}
