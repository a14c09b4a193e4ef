/* SPDX-License-Identifier: Apache-2.0 */
/* Open files of attached buckets: reading, writing, and what a close means. */
#include "fs/fuse_attach_i.h"

#include "base/log.h"

#include <unistd.h>

/* read, write */

static int read_fn(struct at_call *c, bool wait)
{
	struct at_handle *h = c->handle;
	int r;

	if (c->size > READ_MAX)
		return -EINVAL;
	if (!wait)
		return AT_WOULD_WAIT; /* it was tried; of a draft: a publication may be under way */
	c->bytes = malloc(MAX(c->size, (size_t)1));
	if (!c->bytes)
		return fail(-ENOMEM);
	if (h->writing)
		return draft_read(h->writing->draft, c->off, c->size, c->bytes, &c->len);
	r = object_read(h->object, c->off, c->size, OBJECT_WAIT, c->bytes, &c->len);
	if (object_changed(h->object)) {
		struct attached *a = at_bucket(c->fs, c->ino);

		if (a)
			bucket_doubt(a->bucket, c->ino);
	}
	return !r && at_pages_end(h, c->off + c->size) ? -ESTALE : r;
}

static void read_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r);
	else
		fuse_reply_buf(req, (char *)c->bytes, c->len);
}

/* What is at hand is answered from the thread's own buffer, without a call. */
static bool read_at_once(fuse_req_t req, struct at_handle *h, size_t size, off_t off)
{
	uint8_t *buf = h->writing ? NULL : read_buffer(size);
	size_t len = 0;

	if (!buf || object_read(h->object, (uint64_t)off, size, OBJECT_NO_WAIT, buf, &len) != 0)
		return false;
	if (at_pages_end(h, (uint64_t)off + size))
		reply_err(req, -ESTALE);
	else
		fuse_reply_buf(req, (char *)buf, len);
	return true;
}

void at_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct at_call *c;

	at_pages_read(handle_of(fi));
	if (read_at_once(req, handle_of(fi), size, off))
		return;
	c = at_call_new(req, ino, read_fn, read_answer);
	if (!c)
		return;
	c->handle = handle_ref(handle_of(fi));
	c->size = size;
	c->off = (uint64_t)off;
	at_run(req, c);
}

static int write_fn(struct at_call *c, bool wait)
{
	if (!wait)
		return AT_WOULD_WAIT; /* it was tried */
	return draft_write(c->handle->writing->draft, c->off, span_of(c->bytes, c->len),
			   c->handle->append && !c->fi.writepage, DRAFT_WAIT);
}

static void write_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r);
	else
		fuse_reply_write(req, c->len);
}

void at_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct at_handle *h = handle_of(fi);
	struct at_call *c;
	int r;

	if (!h->writes) {
		fuse_reply_err(req, EBADF);
		return;
	}
	r = draft_write(h->writing->draft, (uint64_t)off, span_of(data, size),
			h->append && !fi->writepage, DRAFT_NO_WAIT);
	if (r != DRAFT_WOULD_WAIT) {
		if (r)
			reply_err(req, r);
		else
			fuse_reply_write(req, size);
		return;
	}
	c = at_call_new(req, ino, write_fn, write_answer);
	if (!c)
		return;
	c->bytes = malloc(size);
	if (!c->bytes) {
		reply_err(req, -ENOMEM);
		free(c);
		return;
	}
	memcpy(c->bytes, data, size);
	c->handle = handle_ref(h);
	c->fi = *fi;
	c->len = size;
	c->off = (uint64_t)off;
	at_run_on(c->fs->writers, req, c);
}

/* flush, fsync */

static int publish_fn(struct at_call *c, bool wait)
{
	if (!wait)
		return AT_WOULD_WAIT;
	return writing_publish(c->handle->writing);
}

static void error_answer(struct at_call *c, fuse_req_t req, int r)
{
	reply_err(req, r);
}

/*
 * Does this close end the writing? A process that was forked closes its copies of what it
 * inherited, also when it starts another program: that must not publish half of a file.
 */
static bool means_it(struct at_handle *h, pid_t tid)
{
	if (!h->opener || process_of(tid) == h->opener)
		__atomic_store_n(&h->opener_left, true, __ATOMIC_RELAXED);
	return __atomic_load_n(&h->opener_left, __ATOMIC_RELAXED);
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool closing)
{
	struct at_handle *h = handle_of(fi);
	struct at_call *c;

	if (!h->writes || !draft_dirty(h->writing->draft) ||
	    (closing && !means_it(h, fuse_req_ctx(req)->pid))) {
		fuse_reply_err(req, 0);
		return;
	}
	c = at_call_new(req, ino, publish_fn, error_answer);
	if (!c)
		return;
	c->handle = handle_ref(h);
	at_run_on(c->fs->writers, req, c);
}

void at_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	flush(req, ino, fi, true);
}

void at_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	flush(req, ino, fi, false);
}

/* The last copy is closed: what no close has published is published now, and nobody hears of it. */
static void release_waiting(void *arg)
{
	struct at_handle *h = arg;
	int r = h->writes ? writing_publish(h->writing) : 0;

	if (r)
		log_warn("attach", "a file was closed and could not be stored", "key=%s error=%s",
			 h->writing->entry.key, strerror(-r));
	handle_unref(h);
}

void at_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at_handle *h = handle_of(fi);

	/* the stores may have to be asked: not here */
	if (!h->writing || pool_run(fs_of(req)->writers, release_waiting, h) != 0)
		handle_unref(h);
	fuse_reply_err(req, 0);
}

void at_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	const struct at_handle *h = handle_of(fi);
	const off_t size =
		(off_t)(h->writing ? draft_size(h->writing->draft) : object_size(h->object));

	if (off < 0 || off >= size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_HOLE ? size : off);
}
