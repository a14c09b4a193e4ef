/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the operations take, seen from the kernel: mangrove_fuse_operation_seconds by operation.
 * What is answered on the FUSE thread ends when the handler returns; what is answered later ends
 * with its answer.
 */
#include "fs/fuse_i.h"

#include "base/metrics.h"

#include <stdio.h>

/* The operation under way on this thread. */
static _Thread_local struct {
	struct metric *metric;
	uint64_t begin_ns;
	bool deferred;
} current;

static void begin(struct metric *_Atomic *m, const char *name)
{
	char labels[64];

	if (!*m) { /* two threads at once find the same one */
		snprintf(labels, sizeof(labels), "operation=\"%s\"", name);
		*m = metric_get("mangrove_fuse_operation_seconds",
				"Operations of programs, to their answer", METRIC_SECONDS, labels);
	}
	current.metric = *m;
	current.begin_ns = clock_now();
	current.deferred = false;
}

static void end(void)
{
	if (!current.deferred)
		metric_observe_ns(current.metric, clock_now() - current.begin_ns);
}

void timed_defer(struct later *l)
{
	l->metric = current.metric;
	l->begin_ns = current.begin_ns;
	current.deferred = true;
}

void timed_end(const struct later *l)
{
	if (l->metric)
		metric_observe_ns(l->metric, clock_now() - l->begin_ns);
}

#define TIMED(name, parameters, arguments)                                                         \
	static void timed_##name parameters                                                        \
	{                                                                                          \
		static struct metric *_Atomic m;                                                   \
\
		begin(&m, #name);                                                                  \
		do_##name arguments;                                                               \
		end();                                                                             \
	}

TIMED(lookup, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(getattr, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(setattr, (fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct
	fuse_file_info *fi), (req, ino, attr, set, fi))
TIMED(readlink, (fuse_req_t req, fuse_ino_t ino), (req, ino))
TIMED(mknod, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t
	rdev), (req, parent, name, mode, rdev))
TIMED(mkdir, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), (req,
	parent, name, mode))
TIMED(unlink, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(rmdir, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(symlink, (fuse_req_t req, const char *target, fuse_ino_t parent, const char
	*name), (req, target, parent, name))
TIMED(rename, (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const
	char *to_name, unsigned flags), (req, parent, name, to, to_name, flags))
TIMED(link, (fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name), (req,
	ino, parent, name))
TIMED(open, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(read, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(write, (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi), (req, ino, data, size, off, fi))
TIMED(flush, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(release, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(fsync, (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
	(req, ino, datasync, fi))
TIMED(opendir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(readdir, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(readdirplus, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(releasedir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(fsyncdir, (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info
	*fi), (req, ino, datasync, fi))
TIMED(statfs, (fuse_req_t req, fuse_ino_t ino), (req, ino))
TIMED(setxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags), (req, ino, name, value, size, flags))
TIMED(getxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), (req,
	ino, name, size))
TIMED(listxattr, (fuse_req_t req, fuse_ino_t ino, size_t size), (req, ino, size))
TIMED(removexattr, (fuse_req_t req, fuse_ino_t ino, const char *name), (req, ino, name))
TIMED(create, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct
	fuse_file_info *fi), (req, parent, name, mode, fi))
TIMED(fallocate, (fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct
	fuse_file_info *fi), (req, ino, mode, off, len, fi))
TIMED(lseek, (fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct
	fuse_file_info *fi), (req, ino, off, whence, fi))
TIMED(copy_file_range, (fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info
	*fi, fuse_ino_t to, off_t to_off, struct fuse_file_info *to_fi, size_t len, int flags),
	(req, ino, off, fi, to, to_off, to_fi, len, flags))

const struct fuse_lowlevel_ops timed_ops = {
	.init = do_init,
	.lookup = timed_lookup,
	.getattr = timed_getattr,
	.setattr = timed_setattr,
	.readlink = timed_readlink,
	.mknod = timed_mknod,
	.mkdir = timed_mkdir,
	.unlink = timed_unlink,
	.rmdir = timed_rmdir,
	.symlink = timed_symlink,
	.rename = timed_rename,
	.link = timed_link,
	.open = timed_open,
	.read = timed_read,
	.write = timed_write,
	.flush = timed_flush,
	.release = timed_release,
	.fsync = timed_fsync,
	.opendir = timed_opendir,
	.readdir = timed_readdir,
	.readdirplus = timed_readdirplus,
	.releasedir = timed_releasedir,
	.fsyncdir = timed_fsyncdir,
	.statfs = timed_statfs,
	.setxattr = timed_setxattr,
	.getxattr = timed_getxattr,
	.listxattr = timed_listxattr,
	.removexattr = timed_removexattr,
	.create = timed_create,
	.fallocate = timed_fallocate,
	.lseek = timed_lseek,
	.copy_file_range = timed_copy_file_range,
};
