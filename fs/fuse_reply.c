/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: attributes and errors. */
#include "fs/fuse_i.h"

#include "base/log.h"

#include <sys/stat.h>

/*
 * Nobody else wrote for this long: entries may be believed longer. Changes of others are told to
 * the kernel at once either way; the bound covers an answer that crosses such a message on its way.
 */
#define QUIET_NS (60 * NS_PER_S)
#define CACHE_QUIET 30.0
#define CACHE_SHARED 1.0

void later_reply_err(struct later *l, int error)
{
	if (later_claim(l))
		reply_err(l->req, error);
	later_free(l);
}

static bool is_unexpected(int error)
{
	return error == -EIO || error == -EBADMSG || error == -ENOMEM || error == -EPROTO;
}

void reply_err(fuse_req_t req, int error)
{
	char trace[160];

	fail_trace(trace, sizeof(trace));
	if (error == -EIO)
		metric_add(metric_get("mangrove_fuse_io_errors_total",
				      "Calls of programs that were answered with EIO.",
				      METRIC_COUNTER, ""),
			   1);
	if (is_unexpected(error))
		log_warn("fuse", "a program gets an error", "error=%s trace=\"%s\"",
			 strerror(-error), trace);
	/* a condition that nobody handled: our mistake, but no reason to send nonsense */
	if (error > 0)
		error = -EIO;
	fuse_reply_err(req, -error);
}

void run_later(struct pool *pool, struct later *l, task_fn *fn, void *arg)
{
	const int r = pool_run(pool, fn, arg);

	if (r == 0)
		return;
	later_reply_err(l, r == -EAGAIN ? -ENOMEM : r);
	free(arg);
}

double cache_seconds(struct mountfs *fs)
{
	if (fs->o->strict)
		return 0;

	const uint64_t others = __atomic_load_n(&fs->others_ns, __ATOMIC_RELAXED);

	return others && clock_now() - others < QUIET_NS ? CACHE_SHARED : CACHE_QUIET;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

void stat_fill(struct mountfs *fs, uint64_t ino, const struct inode_row *row, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = shown_ino(fs, ino),
		.st_mode = row->mode,
		.st_nlink = row->nlink,
		.st_uid = fs->o->set_uid ? fs->o->uid : row->uid,
		.st_gid = fs->o->set_gid ? fs->o->gid : row->gid,
		.st_rdev = row->rdev,
		.st_size = (off_t)row->size,
		.st_blksize = 128 * 1024,
		.st_blocks = (blkcnt_t)((row->bytes + 511) / 512),
		.st_atim = timespec_of(row->atime_ns ? row->atime_ns : row->mtime_ns),
		.st_mtim = timespec_of(row->mtime_ns),
		.st_ctim = timespec_of(row->ctime_ns),
	};
	if (fs->o->set_umask)
		ret->st_mode &= ~(mode_t)fs->o->umask;
}

int stat_of(struct mountfs *fs, uint64_t ino, struct stat *ret)
{
	struct inode_view iv = { 0 };
	int r;

	buf_init(&iv.bytes, ROW_MAX);
	r = ns_inode(commit_lock(commit_of(fs)), ino, &iv);
	commit_unlock(commit_of(fs));
	if (r == 0) {
		if (S_ISREG(iv.row.mode))
			data_overlay(fs->v->data, ino, &iv.row);
		stat_fill(fs, ino, &iv.row, ret);
	}
	buf_release(&iv.bytes);
	return r == NS_MISSING ? -ESTALE : r;
}

int entry_of(struct mountfs *fs, uint64_t ino, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ .ino = shown_ino(fs, ino) };
	ret->attr_timeout = ret->entry_timeout = cache_seconds(fs);
	return stat_of(fs, ino, &ret->attr);
}
