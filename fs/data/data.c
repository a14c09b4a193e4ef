/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data service: the table of inodes in use, the pools, and the keeper that sends what is old.
 */
#include "fs/data/data_i.h"

#define KEEPER_NS (250 * NS_PER_MS)
#define SEND_WORKERS 16
#define FLUSH_WORKERS 8
#define AHEAD_WORKERS 24
#define DRAIN_WORKERS 16
#define LATE_WORKERS 2 /* each holds a chunk of the budget for as long as a slow store takes */

/* Finds the inode's file, or makes it; referenced. NULL: no memory. */
struct file *file_find(struct data *d, uint64_t ino)
{
	struct file *f;

	LOCK_SCOPE(&d->sync.lock);
	HASH_FIND(hh, d->sync.files, &ino, sizeof(ino), f);
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (!f)
			return NULL;
		f->data = d;
		f->ino = ino;
		lock_init(&f->lock, RANK_FILE);
		cond_init(&f->cond);
		HASH_ADD(hh, d->sync.files, ino, sizeof(f->ino), f);
	}
	f->refs++;
	return f;
}

struct file *file_peek(struct data *d, uint64_t ino)
{
	struct file *f;

	LOCK_SCOPE(&d->sync.lock);
	HASH_FIND(hh, d->sync.files, &ino, sizeof(ino), f);
	if (f)
		f->refs++;
	return f;
}

void file_unref(struct file *f)
{
	struct data *d = f->data;

	lock_take(&d->sync.lock);
	const bool last = --f->refs == 0;

	if (last)
		HASH_DEL(d->sync.files, f);
	lock_give(&d->sync.lock);
	if (!last)
		return;
	segments_release(&f->segs, file_run_free, d);
	cond_release(&f->cond);
	lock_release(&f->lock);
	free(f);
}

void file_unpin(struct file *f)
{
	file_unref(f);
}

/* run_free_fn */
void file_run_free(struct run *r, void *arg)
{
	struct data *d = arg;

	if (r->charged)
		budget_give(d->write_budget, r->charged);
	if (r->upload) {
		if (!r->leaving) /* no operation refers to it, and none ever will */
			upload_abandon(r->upload);
		upload_unref(r->upload);
	}
	free(r->bytes);
	free(r);
}

void file_mark_dirty_locked(struct file *f)
{
	f->unsynced = true;
	if (f->dirty)
		return;
	f->dirty = true;
	f->dirty_since = clock_now();
	file_ref(f);
}

/* *ret_unref: the caller drops the dirty reference once it has given the lock. */
void file_mark_clean_locked(struct file *f, bool *ret_unref)
{
	if (!f->dirty)
		return;
	f->dirty = false;
	f->append = false;
	f->mtime_ns = 0;
	*ret_unref = true;
}

int data_inode(struct data *d, uint64_t ino, struct inode_row *ret)
{
	struct inode_view iv = { 0 };
	int r;

	buf_init(&iv.bytes, ROW_MAX);
	r = ns_inode(commit_lock(d->o.commit), ino, &iv);
	commit_unlock(d->o.commit);
	if (r == 0) {
		*ret = iv.row;
		ret->target = SPAN_NULL;
	}
	buf_release(&iv.bytes);
	return r == NS_MISSING ? -ESTALE : r;
}

void data_overlay(struct data *d, uint64_t ino, struct inode_row *row)
{
	struct file *f = file_peek(d, ino);

	if (!f)
		return;
	lock_take(&f->lock);
	if (f->dirty) {
		row->size = file_size_locked(f, row->size);
		row->bytes = MAX(f->replace ? 0 : row->bytes, segments_bytes(&f->segs));
		if (f->mtime_ns > row->mtime_ns)
			row->mtime_ns = f->mtime_ns;
		if (f->mtime_ns > row->ctime_ns)
			row->ctime_ns = f->mtime_ns;
	}
	lock_give(&f->lock);
	file_unref(f);
}

void data_times_set(struct data *d, uint64_t ino)
{
	struct file *f = file_peek(d, ino);

	if (!f)
		return;
	lock_take(&f->lock);
	f->mtime_ns = 0;
	lock_give(&f->lock);
	file_unref(f);
}

struct file **data_files(struct data *d)
{
	struct file **list, *f, *next;
	size_t n = 0;

	LOCK_SCOPE(&d->sync.lock);
	list = calloc(HASH_COUNT(d->sync.files) + 1, sizeof(*list));
	if (!list)
		return NULL;
	HASH_ITER(hh, d->sync.files, f, next) {
		f->refs++;
		list[n++] = f;
	}
	return list;
}

static bool is_due(struct file *f, uint64_t now)
{
	LOCK_SCOPE(&f->lock);
	return f->dirty && !f->replace && !f->flushing_by_age &&
	       f->dirty_since + DIRTY_AGE_NS <= now;
}

static void keep_once(struct data *d)
{
	const bool pressed = budget_used(d->write_budget) > budget_limit(d->write_budget) / 4 * 3;
	_cleanup_free_ struct file **list = data_files(d);
	const uint64_t now = clock_now();

	for (struct file **f = list; f && *f; f++) {
		if (pressed)
			(void)!file_send_open(*f);
		if (is_due(*f, now) && !d->o.read_only)
			file_flush_later(*f);
		else
			file_unref(*f);
	}
	data_staged_tick(d);
	data_send_reports(d);
	data_reap_orphans(d);
	data_hold_orphans(d);
}

static void keeper(void *arg)
{
	struct data *d = arg;

	while (!__atomic_load_n(&d->stopping, __ATOMIC_ACQUIRE)) {
		event_take(&d->wake, clock_now() + KEEPER_NS);
		keep_once(d);
	}
}

int data_flush_all(struct data *d, uint64_t deadline_ns)
{
	_cleanup_free_ struct file **list = data_files(d);
	int first = 0;

	for (struct file **f = list; f && *f; f++) {
		if (first == 0)
			(void)!file_send_open(*f); /* all at once; the flush below waits for each */
	}
	for (struct file **f = list; f && *f; f++) {
		int r = file_flush(*f, FLUSH_STORED, deadline_ns);

		if (r < 0 && r != -ESTALE && first == 0)
			first = r;
		file_unref(*f);
	}
	data_send_reports(d);
	data_reap_orphans(d);
	return first;
}

void data_on_bad(struct data *d,
		 void (*fn)(const struct chunk_seal *seal, unsigned store, void *arg), void *arg)
{
	d->on_bad_arg = arg;
	d->on_bad = fn;
}

static int start(struct data *d)
{
	const uint64_t memory = d->o.memory_bytes, sent = MAX(memory / 100 * 16, 2ull * CHUNK_MAX);

	/* A store that lags may have half of it; beyond, its copies are made again later. */
	replicas_late_budget(d->o.replicas, sent / 2);
	d->sent_budget = budget_new("sent", sent);
	d->write_budget = budget_new("write", memory / 100 * 24);
	d->ahead_budget = budget_new("ahead", memory / 10 * 3);
	d->send_pool = pool_new("send", SEND_WORKERS, 4096);
	d->flush_pool = pool_new("flush", FLUSH_WORKERS, 1024);
	d->ahead_pool = pool_new("ahead", AHEAD_WORKERS, 1024);
	d->drain_pool = d->o.staging ? pool_new("drain", DRAIN_WORKERS, 4096) : NULL;
	d->late_pool = d->o.staging ? pool_new("late", LATE_WORKERS, 4096) : NULL;
	if (d->o.staging && (!d->drain_pool || !d->late_pool))
		return fail(-ENOMEM);
	if (!d->write_budget || !d->sent_budget || !d->ahead_budget || !d->send_pool ||
	    !d->flush_pool || !d->ahead_pool)
		return fail(-ENOMEM);
	d->max_window = MAX(MIN(memory / 16, 64 * MiB), 4 * MiB);
	d->keeper = task_start("keeper", keeper, d);
	return d->keeper ? 0 : fail(-ENOMEM);
}

int data_new(const struct data_options *o, struct data **ret)
{
	_cleanup_(data_freep) struct data *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return fail(-ENOMEM);
	d->o = *o;
	lock_init(&d->sync.lock, RANK_LEAF);
	event_init(&d->wake);
	d->sync.held_end = &d->sync.held;
	d->m_corrupt = metric_get("mangrove_corrupt_frames_total", "Frames that did not verify",
				  METRIC_COUNTER, "");
	d->m_read = metric_get("mangrove_read_bytes_total", "Bytes read by programs",
			       METRIC_COUNTER, "");
	d->m_written = metric_get("mangrove_written_bytes_total", "Bytes written by programs",
				  METRIC_COUNTER, "");
	r = start(d);
	if (r < 0)
		return r;
	*ret = take_ptr(&d);
	return 0;
}

struct data *data_free(struct data *d)
{
	if (!d)
		return NULL;
	__atomic_store_n(&d->stopping, true, __ATOMIC_RELEASE);
	event_set(&d->wake);
	if (d->keeper)
		task_join(d->keeper);
	pool_free(d->ahead_pool);
	pool_free(d->flush_pool);
	pool_free(d->send_pool);

	/* Every store has reported on every upload, or been told to give up. */
	replicas_drain(d->o.replicas, NEVER);
	pool_free(d->drain_pool);
	pool_free(d->late_pool);
	replicas_drain(d->o.replicas, NEVER); /* what these had begun */

	struct file *f, *next;

	HASH_ITER(hh, d->sync.files, f, next) {
		log_error("data", "written data is given up", "inode=%llu bytes=%llu",
			  (unsigned long long)f->ino, (unsigned long long)segments_bytes(&f->segs));
		f->refs = 1;
		file_unref(f);
	}
	for (struct upload *u = d->sync.reports, *after; u; u = after) {
		after = u->next_report;
		upload_unref(u);
	}
	data_staged_free(d);
	free(d->sync.orphans);
	budget_free(d->write_budget);
	budget_free(d->sent_budget);
	budget_free(d->ahead_budget);
	event_release(&d->wake);
	lock_release(&d->sync.lock);
	free(d);
	return NULL;
}

void data_status_get(struct data *d, struct data_status *ret)
{
	_cleanup_free_ struct file **list = data_files(d);
	struct data_status st = { .dirty_bytes = budget_used(d->write_budget) };

	for (struct file **f = list; f && *f; f++) {
		lock_take(&(*f)->lock);
		if ((*f)->dirty && (!st.oldest_dirty_ns || (*f)->dirty_since < st.oldest_dirty_ns))
			st.oldest_dirty_ns = (*f)->dirty_since;
		lock_give(&(*f)->lock);
		file_unref(*f);
	}
	lock_take(&d->sync.lock);
	st.oldest_staged_ns = d->sync.held ? d->sync.held->since_ns : 0;
	st.in_flight_chunks = d->sync.uploads;
	st.in_flight_bytes = d->sync.upload_bytes;
	st.corrupt_frames = d->sync.corrupt_frames;
	lock_give(&d->sync.lock);
	*ret = st;
}
