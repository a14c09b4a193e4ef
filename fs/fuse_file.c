/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. What is at hand is read and buffered on the FUSE thread; the rest is done by a pool.
 */
#include "fs/fuse_i.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

static struct file *file_of(const struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh;
}

/* The kernel's flag of the handle that a running program keeps of its file. */
#define FMODE_EXEC 0x20

/*
 * The kernel refuses to truncate a running program, except here: of open(O_RDONLY | O_TRUNC) the
 * file system hears before it has looked, and the program would lose its pages.
 */
static enum file_use use_of(const struct fuse_file_info *fi)
{
	if (fi->flags & FMODE_EXEC)
		return FILE_EXECUTE;
	if (!(fi->flags & O_TRUNC))
		return FILE_PLAIN;
	if ((fi->flags & O_ACCMODE) == O_RDONLY)
		return FILE_TRUNCATE_UNLESS_RUNNING;
	return FILE_TRUNCATE;
}

int open_handle(struct mountfs *fs, uint64_t ino, struct fuse_file_info *fi)
{
	struct file *f;
	int r = file_open(fs->v->data, ino, use_of(fi), &f);

	if (r < 0)
		return r;
	fi->fh = (uintptr_t)f;
	/*
	 * Pages stay valid between opens: the kernel is told when another mount changes the file
	 * (K4).
	 */
	fi->keep_cache = !fs->o->strict;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	return 0;
}

void close_handle(const struct fuse_file_info *fi)
{
	file_close(file_of(fi), use_of(fi));
}

/* strict_fn */
static void open_now(fuse_req_t req, fuse_ino_t ino, const char *name, struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	int r = open_handle(fs, real_ino(fs, ino), fi);

	if (r < 0)
		reply_err(req, r);
	else if (fuse_reply_open(req, fi) < 0)
		close_handle(fi); /* interrupted: no release will come */
}

/* One deferred operation on an open file; which fields count depends on the operation. */
struct file_job {
	struct later *later;
	struct file *file, *to;
	uint64_t off, to_off, time_ns;
	size_t len;
	bool append, closing;
	uint8_t bytes[]; /* a write's */
};

static struct file_job *job_new(fuse_req_t req, struct file *f, size_t extra)
{
	struct file_job *job = calloc(1, sizeof(*job) + extra);

	if (!job)
		return NULL;
	job->later = later_new(req);
	if (!job->later)
		return free_null(job);
	job->file = f ? file_ref(f) : NULL;
	return job;
}

static void job_free(struct file_job *job)
{
	if (job->file)
		file_unpin(job->file);
	if (job->to)
		file_unpin(job->to);
	free(job);
}

static void job_end(struct file_job *job, int error)
{
	later_reply_err(job->later, error);
	job_free(job);
}

static void run_job(struct pool *pool, struct file_job *job, task_fn *fn)
{
	if (pool_run(pool, fn, job) != 0)
		job_end(job, -ENOMEM);
}

void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_of(req)->o->read_only && (fi->flags & O_TRUNC))
		fuse_reply_err(req, EROFS);
	else
		answer_strictly(req, open_now, ino, NULL, fi);
}

uint8_t *read_buffer(size_t size)
{
	static __thread uint8_t *buffer;
	static __thread size_t have;

	if (size <= have)
		return buffer;
	free(buffer);
	have = 0;
	buffer = NULL;
	if (size > READ_MAX || posix_memalign((void **)&buffer, 4096, MAX(size, (size_t)MiB)) != 0)
		return buffer = NULL;
	have = MAX(size, (size_t)MiB);
	return buffer;
}

static void read_waiting(void *arg)
{
	struct file_job *job = arg;
	uint8_t *buf = read_buffer(job->len);
	size_t len = 0;
	int r = buf ? file_read(job->file, job->off, job->len, FILE_WAIT, buf, &len) : -ENOMEM;

	if (later_claim(job->later)) {
		if (r == 0)
			fuse_reply_buf(job->later->req, (const char *)buf, len);
		else
			reply_err(job->later->req, r);
	}
	later_free(job->later);
	job_free(job);
}

void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	uint8_t *buf = read_buffer(size);
	struct file_job *job;
	size_t len = 0;
	int r = buf ? file_read(file_of(fi), (uint64_t)off, size, FILE_NO_WAIT, buf, &len)
		    : -ENOMEM;

	if (r == 0) {
		fuse_reply_buf(req, (const char *)buf, len);
		return;
	}
	if (r != FILE_WOULD_WAIT) {
		reply_err(req, r);
		return;
	}
	job = job_new(req, file_of(fi), 0);
	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	job->off = (uint64_t)off;
	job->len = size;
	run_job(fs->readers, job, read_waiting);
}

static void write_waiting(void *arg)
{
	struct file_job *job = arg;
	int r = file_write(job->file, job->off, span_of(job->bytes, job->len), job->append,
			   job->time_ns, FILE_WAIT);

	if (later_claim(job->later)) {
		if (r == 0)
			fuse_reply_write(job->later->req, job->len);
		else
			reply_err(job->later->req, r);
	}
	later_free(job->later);
	job_free(job);
}

void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	const bool append = fi->flags & O_APPEND && !fi->writepage;
	const uint64_t now = commit_time(commit_of(fs));
	struct file_job *job;
	int r = file_write(file_of(fi), (uint64_t)off, span_of(data, size), append, now,
			   FILE_NO_WAIT);

	if (r == 0) {
		fuse_reply_write(req, size);
		return;
	}
	if (r != FILE_WOULD_WAIT) {
		reply_err(req, r);
		return;
	}
	job = job_new(req, file_of(fi), size);
	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	job->off = (uint64_t)off;
	job->len = size;
	job->append = append;
	job->time_ns = now;
	memcpy(job->bytes, data, size);
	run_job(fs->writers, job, write_waiting);
}

/* commit_done_fn */
static void sync_done(const struct result *res, void *arg)
{
	job_end(arg, res->error);
}

static void sync_waiting(void *arg)
{
	struct file_job *job = arg;

	file_sync(job->file, job->closing, sync_done, job);
}

static void sync_file(fuse_req_t req, struct fuse_file_info *fi, bool closing)
{
	struct mountfs *fs = fs_of(req);
	struct file *f = file_of(fi);
	struct file_job *job;

	if (!f || (closing && !file_dirty(f))) {
		fuse_reply_err(req, 0);
		return;
	}
	job = job_new(req, f, 0);
	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	job->closing = closing;
	if (closing)
		later_let_go(job->later);
	if (file_dirty(f))
		run_job(fs->writers, job, sync_waiting);
	else
		commit_sync(commit_of(fs), file_ino(f), sync_done, job);
}

void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	sync_file(req, fi, true);
}

void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	sync_file(req, fi, false);
}

void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	close_handle(fi);
	fuse_reply_err(req, 0);
}

void do_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	const uint64_t real = real_ino(fs, ino), now = commit_time(commit_of(fs));
	const bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int r;

	if (fs->o->read_only)
		r = -EROFS;
	else if (off < 0 || len <= 0)
		r = -EINVAL;
	else if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0)
		r = data_allocate(fs->v->data, real, (uint64_t)off, (uint64_t)len, keep, now);
	else if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
		 (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE)
		r = data_punch(fs->v->data, real, (uint64_t)off, (uint64_t)len, keep, now);
	else
		r = -EOPNOTSUPP;
	reply_err(req, r);
}

void do_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	uint64_t at;
	int r;

	if (off < 0 || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
		fuse_reply_err(req, off < 0 ? ENXIO : EINVAL);
		return;
	}
	r = file_seek(file_of(fi), (uint64_t)off, whence == SEEK_DATA, &at);
	if (r < 0)
		reply_err(req, r);
	else
		fuse_reply_lseek(req, (off_t)at);
}

static void clone_waiting(void *arg)
{
	struct file_job *job = arg;
	uint64_t len = 0;
	int r = file_clone(job->file, job->off, job->to, job->to_off, job->len, job->time_ns, &len);

	if (later_claim(job->later)) {
		if (r == 0)
			fuse_reply_write(job->later->req, len);
		else
			reply_err(job->later->req, r);
	}
	later_free(job->later);
	job_free(job);
}

void do_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi,
			fuse_ino_t to, off_t to_off, struct fuse_file_info *to_fi, size_t len,
			int flags)
{
	struct mountfs *fs = fs_of(req);
	struct file_job *job = job_new(req, file_of(fi), 0);

	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	job->to = file_ref(file_of(to_fi));
	job->off = (uint64_t)off;
	job->to_off = (uint64_t)to_off;
	job->len = MIN(len, (size_t)1 << 30); /* the answer has 32 bits */
	job->time_ns = commit_time(commit_of(fs));
	run_job(fs->writers, job, clone_waiting);
}
