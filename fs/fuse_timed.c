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

/* `at`: does it concern an attached bucket? */
#define TIMED(name, at, parameters, arguments)                                                     \
	static void timed_##name parameters                                                        \
	{                                                                                          \
		static struct metric *_Atomic m;                                                   \
\
		begin(&m, #name);                                                                  \
		if (at)                                                                            \
			at_##name arguments;                                                       \
		else                                                                               \
			do_##name arguments;                                                       \
		end();                                                                             \
	}

TIMED(lookup, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(getattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(setattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct
	fuse_file_info *fi), (req, ino, attr, set, fi))
TIMED(readlink, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino), (req, ino))
TIMED(mknod, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t
	rdev), (req, parent, name, mode, rdev))
TIMED(mkdir, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), (req,
	parent, name, mode))
TIMED(unlink, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(rmdir, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
TIMED(symlink, at_name(fs_of(req), parent, name),
	(fuse_req_t req, const char *target, fuse_ino_t parent, const char
	*name), (req, target, parent, name))
TIMED(rename, at_name(fs_of(req), parent, name) || at_name(fs_of(req), to, to_name),
	(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const
	char *to_name, unsigned flags), (req, parent, name, to, to_name, flags))
TIMED(link, at_place(fs_of(req), ino) || at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name), (req,
	ino, parent, name))
TIMED(open, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(read, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(write, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi), (req, ino, data, size, off, fi))
TIMED(flush, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(release, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(fsync, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi),
	(req, ino, datasync, fi))
TIMED(opendir, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(readdir, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(readdirplus, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct
	fuse_file_info *fi), (req, ino, size, off, fi))
TIMED(releasedir, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), (req, ino, fi))
TIMED(fsyncdir, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info
	*fi), (req, ino, datasync, fi))
TIMED(statfs, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino), (req, ino))
TIMED(setxattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags), (req, ino, name, value, size, flags))
TIMED(getxattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), (req,
	ino, name, size))
TIMED(listxattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, size_t size), (req, ino, size))
TIMED(removexattr, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, const char *name), (req, ino, name))
TIMED(create, at_name(fs_of(req), parent, name),
	(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct
	fuse_file_info *fi), (req, parent, name, mode, fi))
TIMED(fallocate, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct
	fuse_file_info *fi), (req, ino, mode, off, len, fi))
TIMED(lseek, at_place(fs_of(req), ino),
	(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct
	fuse_file_info *fi), (req, ino, off, whence, fi))
TIMED(copy_file_range, at_place(fs_of(req), ino) || at_place(fs_of(req), to),
	(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info
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
