/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of size and holes: truncate, fallocate, lseek, copy_file_range, through the buffer. */
#include "fs/data/data_i.h"

struct range_wait {
	struct event event;
	struct result res;
};

static void range_done(const struct result *res, void *arg)
{
	struct range_wait *w = arg;

	w->res = *res;
	event_set(&w->event);
}

/*
 * Submits under the inode's lock, so that it stands in the right order to the buffer's WRITEs;
 * gives the lock to wait.
 */
static int submit_locked(struct data *d, struct file *f, const struct op *op, struct result *ret)
{
	struct range_wait w = { 0 };
	uint64_t no;
	int r;

	event_init(&w.event);
	r = commit_submit(d->o.commit, op, COMMIT_EARLY, range_done, &w, &w.res, &no);
	if (r == COMMIT_LATER) {
		if (f)
			lock_give(&f->lock);
		event_wait(&w.event, NEVER);
		if (f)
			lock_take(&f->lock);
		r = 0;
	}
	event_release(&w.event);
	if (r == 0)
		r = w.res.error;
	if (r == 0 && ret)
		*ret = w.res;
	return r;
}

static int truncate_op(struct data *d, struct file *f, uint64_t ino, uint64_t size,
		       uint64_t time_ns)
{
	const struct op op = { .kind = OP_TRUNCATE, .ino = ino, .size = size, .mtime_ns = time_ns };

	return submit_locked(d, f, &op, NULL);
}

/* In a replacing buffer (D4) the size is the buffer's own affair until its WRITE. */
static int truncate_locked(struct file *f, uint64_t size, uint64_t time_ns)
{
	int r = segments_cut(&f->segs, size, FILE_SIZE_MAX - size + 1, file_run_free, f->data);

	if (r < 0)
		return r;
	f->unsynced = true;
	if (f->dirty)
		f->mtime_ns = time_ns;
	if (!f->replace)
		return truncate_op(f->data, f, f->ino, size, time_ns);
	f->base_size = size;
	return 0;
}

int data_truncate(struct data *d, uint64_t ino, uint64_t size, uint64_t time_ns)
{
	struct file *f;
	int r;

	if (size > FILE_SIZE_MAX)
		return fail(-EFBIG);
	f = file_peek(d, ino);
	if (!f)
		return truncate_op(d, NULL, ino, size, time_ns);
	lock_take(&f->lock);
	r = truncate_locked(f, size, time_ns);
	lock_give(&f->lock);
	file_unref(f);
	return r;
}

/* The size as readers see it; the lock is held. */
static int visible_size_locked(struct file *f, uint64_t *ret, uint64_t *ret_ns)
{
	struct inode_row row;
	int r = data_inode(f->data, f->ino, &row);

	if (r < 0)
		return r;
	*ret = file_size_locked(f, row.size);
	*ret_ns = row.size;
	return 0;
}

static int allocate_locked(struct file *f, uint64_t off, uint64_t len, bool keep_size,
			   uint64_t time_ns)
{
	uint64_t size, ns_size;
	int r = visible_size_locked(f, &size, &ns_size);

	if (r < 0 || keep_size || off + len <= size)
		return r;
	return truncate_locked(f, off + len, time_ns);
}

static int punch_locked(struct file *f, uint64_t off, uint64_t len, bool keep_size,
			uint64_t time_ns)
{
	uint64_t size, ns_size;
	int r = visible_size_locked(f, &size, &ns_size);

	if (r < 0)
		return r;
	/* A hole at the end of the dirty ranges must not take the size with it. */
	const uint64_t after = keep_size ? size : MAX(size, off + len);

	r = segments_cut(&f->segs, off, len, file_run_free, f->data);
	if (r < 0)
		return r;
	f->unsynced = true;
	if (f->dirty)
		f->mtime_ns = time_ns;
	if (f->replace) {
		f->base_size = MAX(f->base_size, after);
		return 0;
	}
	if (after > ns_size)
		r = truncate_op(f->data, f, f->ino, after, time_ns);
	if (r == 0) {
		const struct op op = {
			.kind = OP_PUNCH, .ino = f->ino, .off = off, .len = len, .mtime_ns = time_ns
		};

		r = submit_locked(f->data, f, &op, NULL);
	}
	return r;
}

typedef int range_fn(struct file *f, uint64_t off, uint64_t len, bool keep_size, uint64_t time_ns);

static int with_range(struct data *d, uint64_t ino, uint64_t off, uint64_t len, bool keep_size,
		      uint64_t time_ns, range_fn *fn)
{
	struct file *f;
	int r;

	if (off > FILE_SIZE_MAX || len > FILE_SIZE_MAX - off)
		return fail(-EFBIG);
	f = file_find(d, ino);
	if (!f)
		return fail(-ENOMEM);
	lock_take(&f->lock);
	r = fn(f, off, len, keep_size, time_ns);
	lock_give(&f->lock);
	file_unref(f);
	return r;
}

/*
 * Space is not reserved: there is no such thing at an object store. What POSIX promises of the size
 * is kept.
 */
int data_allocate(struct data *d, uint64_t ino, uint64_t off, uint64_t len, bool keep_size,
		  uint64_t time_ns)
{
	return with_range(d, ino, off, len, keep_size, time_ns, allocate_locked);
}

int data_punch(struct data *d, uint64_t ino, uint64_t off, uint64_t len, bool keep_size,
	       uint64_t time_ns)
{
	return with_range(d, ino, off, len, keep_size, time_ns, punch_locked);
}

/* The namespace's first extent at or after `at`, below `end`. */
struct next_extent {
	uint64_t at, begin, end;
	bool found;
};

static int on_next_extent(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct next_extent *n = arg;

	n->begin = MAX(offset, n->at);
	n->end = offset + row->length;
	n->found = true;
	return 1;
}

static int next_extent_locked(struct file *f, uint64_t at, uint64_t end, struct next_extent *ret)
{
	struct view *v;
	int r;

	*ret = (struct next_extent){ .at = at };
	if (f->replace || end <= at)
		return 0;
	v = commit_lock(f->data->o.commit);
	r = ns_extents(v, f->ino, at, end - at, on_next_extent, ret);
	commit_unlock(f->data->o.commit);
	return r < 0 ? r : 0;
}

/* Where does data begin, at or after `at`? `size` when nowhere. */
static int seek_data_locked(struct file *f, uint64_t at, uint64_t size, uint64_t *ret)
{
	const size_t i = segments_find(&f->segs, at);
	const struct segment *s = i < f->segs.n ? &f->segs.v[i] : NULL;
	struct next_extent n;
	int r;

	if (s && s->off <= at) {
		*ret = at;
		return 0;
	}
	r = next_extent_locked(f, at, s ? s->off : size, &n);
	if (r == 0)
		*ret = n.found ? n.begin : s ? s->off : size;
	return r;
}

/* Where does the hole begin, at or after `at`? */
static int seek_hole_locked(struct file *f, uint64_t at, uint64_t size, uint64_t *ret)
{
	while (at < size) {
		const size_t i = segments_find(&f->segs, at);
		const struct segment *s = i < f->segs.n ? &f->segs.v[i] : NULL;
		struct next_extent n;
		int r;

		if (s && s->off <= at) {
			at = s->off + s->len;
			continue;
		}
		r = next_extent_locked(f, at, size, &n);
		if (r < 0)
			return r;
		if (!n.found || n.begin > at)
			break;
		at = s ? MIN(n.end, s->off) : n.end;
	}
	*ret = MIN(at, size);
	return 0;
}

int file_seek(struct file *f, uint64_t off, bool data, uint64_t *ret)
{
	uint64_t size, ns_size, at;
	int r;

	LOCK_SCOPE(&f->lock);
	r = visible_size_locked(f, &size, &ns_size);
	if (r < 0)
		return r;
	if (off >= size)
		return -ENXIO;
	r = data ? seek_data_locked(f, off, size, &at) : seek_hole_locked(f, off, size, &at);
	if (r < 0)
		return r;
	if (data && at >= size)
		return -ENXIO;
	*ret = at;
	return 0;
}

static int clone_locked(struct file *from, uint64_t off, struct file *to, uint64_t to_off,
			uint64_t len, uint64_t time_ns, uint64_t *ret_len)
{
	const struct op op = { .kind = OP_CLONE,
			       .ino = from->ino,
			       .off = off,
			       .len = len,
			       .to = to->ino,
			       .to_off = to_off,
			       .mtime_ns = time_ns };
	struct result res;
	int r = segments_cut(&to->segs, to_off, len, file_run_free, to->data);

	if (r == 0)
		r = submit_locked(to->data, to, &op, &res);
	if (r == 0) {
		to->unsynced = true;
		*ret_len = res.value;
	}
	return r;
}

int file_clone(struct file *from, uint64_t off, struct file *to, uint64_t to_off, uint64_t len,
	       uint64_t time_ns, uint64_t *ret_len)
{
	const uint64_t deadline = clock_now() + from->data->o.deadline_ns;
	uint64_t size;
	int r = file_flush(from, FLUSH_STORED, deadline);

	if (r == 0 && to != from)
		r = file_flush(to, FLUSH_STORED, deadline);
	if (r == 0)
		r = file_size(from, &size);
	if (r < 0)
		return r;
	if (off >= size || len == 0) {
		*ret_len = 0;
		return 0;
	}
	if (to_off > FILE_SIZE_MAX || len > FILE_SIZE_MAX - to_off)
		return fail(-EFBIG);
	len = MIN(len, size - off);
	LOCK_SCOPE(&to->lock);
	return clone_locked(from, off, to, to_off, len, time_ns, ret_len);
}
