/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: stat, chmod and its kin, statfs, symbolic links, extended attributes. */
#include "fs/fuse_i.h"

#include "base/text.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

static void answer_attr(fuse_req_t req, uint64_t ino)
{
	struct mountfs *fs = fs_of(req);
	struct stat st;
	int r = stat_of(fs, ino, &st);

	if (r < 0)
		reply_err(req, r);
	else
		fuse_reply_attr(req, &st, cache_seconds(fs));
}

void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	answer_attr(req, real_ino(fs_of(req), ino));
}

struct attr_job {
	struct later *later;
	uint64_t ino;
	bool attr; /* answer the attributes; else just the error */
};

/* commit_done_fn */
static void attr_done(const struct result *res, void *arg)
{
	struct attr_job *job = arg;

	if (later_claim(job->later)) {
		if (res->error)
			reply_err(job->later->req, res->error);
		else if (job->attr)
			answer_attr(job->later->req, job->ino);
		else
			fuse_reply_err(job->later->req, 0);
	}
	later_free(job->later);
	free(job);
}

/*
 * Operations on one inode: they cannot lose a race for a name, so every mount answers them at once.
 */
static void submit_attr(fuse_req_t req, struct op *op, bool attr)
{
	struct mountfs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct attr_job *job = malloc(sizeof(*job));
	struct result res;
	uint64_t no;
	int r;

	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	*job = (struct attr_job){ .later = later_new(req), .ino = op->ino, .attr = attr };
	if (!job->later) {
		free(job);
		reply_err(req, -ENOMEM);
		return;
	}
	op->uid = ctx->uid;
	op->gid = ctx->gid;
	r = commit_submit(commit_of(fs), op, COMMIT_EARLY, attr_done, job, &res, &no);
	if (r == COMMIT_LATER)
		return;
	if (r < 0)
		res = (struct result){ .error = r };
	attr_done(&res, job);
}

static uint64_t ns_of(struct timespec t)
{
	return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void setattr_op(struct mountfs *fs, const struct stat *attr, int set, struct op *op)
{
	const uint64_t now = commit_time(commit_of(fs));

	if (set & FUSE_SET_ATTR_MODE) {
		op->set |= OP_SET_MODE;
		op->mode = attr->st_mode & 07777;
	}
	if (set & FUSE_SET_ATTR_UID) {
		op->set |= OP_SET_UID;
		op->uid = attr->st_uid;
	}
	if (set & FUSE_SET_ATTR_GID) {
		op->set |= OP_SET_GID;
		op->gid = attr->st_gid;
	}
	if (set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		op->set |= OP_SET_MTIME;
		op->mtime_ns = set & FUSE_SET_ATTR_MTIME_NOW ? now : ns_of(attr->st_mtim);
	}
	if (set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
		op->set |= OP_SET_ATIME;
		op->atime_ns = set & FUSE_SET_ATTR_ATIME_NOW ? now : ns_of(attr->st_atim);
	}
}

static int do_truncate(struct mountfs *fs, uint64_t ino, const struct stat *attr)
{
	return data_truncate(fs->v->data, ino, (uint64_t)attr->st_size, commit_time(commit_of(fs)));
}

/* What is left of a setattr once the size is set. */
static void setattr_rest(struct later *l, uint64_t ino, const struct stat *attr, int set)
{
	struct op op = { .kind = OP_SETATTR, .ino = ino };
	struct mountfs *fs = l->fs;
	struct attr_job *job = malloc(sizeof(*job));
	struct result res = { 0 };
	uint64_t no;
	int r;

	if (!job) {
		later_reply_err(l, -ENOMEM);
		return;
	}
	*job = (struct attr_job){ .later = l, .ino = ino, .attr = true };
	setattr_op(fs, attr, set, &op);
	if (op.set & OP_SET_MTIME)
		data_times_set(fs->v->data, ino);
	r = op.set ? commit_submit(commit_of(fs), &op, COMMIT_EARLY, attr_done, job, &res, &no) : 0;
	if (r == COMMIT_LATER)
		return;
	if (r < 0)
		res = (struct result){ .error = r };
	attr_done(&res, job);
}

void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	const uint64_t real = real_ino(fs, ino);
	struct later *l = later_new(req);
	int r;

	if (!l) {
		reply_err(req, -ENOMEM);
		return;
	}
	if (set & FUSE_SET_ATTR_SIZE) {
		r = fs->o->read_only ? -EROFS : do_truncate(fs, real, attr);
		if (r < 0) {
			later_reply_err(l, r);
			return;
		}
	}
	setattr_rest(l, real, attr, set);
}

void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct mountfs *fs = fs_of(req);
	struct inode_view iv = { 0 };
	char target[TARGET_MAX_BYTES + 1];
	int r;

	buf_init(&iv.bytes, ROW_MAX);
	r = ns_inode(commit_lock(commit_of(fs)), real_ino(fs, ino), &iv);
	commit_unlock(commit_of(fs));
	if (r == 0 && (!S_ISLNK(iv.row.mode) || iv.row.target.len > TARGET_MAX_BYTES))
		r = -EINVAL;
	if (r == 0) {
		memcpy(target, iv.row.target.data, iv.row.target.len);
		target[iv.row.target.len] = 0;
	}
	buf_release(&iv.bytes);
	if (r)
		reply_err(req, r == NS_MISSING ? -ESTALE : r);
	else
		fuse_reply_readlink(req, target);
}

/* An object store has no size; a round large number lets programs that look for room go on. */
#define SHOWN_BYTES (1ull << 50)
#define SHOWN_FILES (1ull << 40)

void statfs_shown(struct statvfs *ret, uint64_t files, uint64_t bytes)
{
	*ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_MAX_BYTES };
	ret->f_blocks = (SHOWN_BYTES + bytes) / ret->f_frsize;
	ret->f_bfree = ret->f_bavail = SHOWN_BYTES / ret->f_frsize;
	ret->f_files = SHOWN_FILES + files;
	ret->f_ffree = ret->f_favail = SHOWN_FILES;
}

void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mountfs *fs = fs_of(req);
	struct totals_row t = { 0 };
	struct statvfs st;
	int r = ns_totals(commit_lock(commit_of(fs)), &t);

	commit_unlock(commit_of(fs));
	if (r < 0) {
		reply_err(req, r);
		return;
	}
	statfs_shown(&st, t.files + t.directories, t.bytes);
	fuse_reply_statfs(req, &st);
}

/* The classes that are kept; system.* (ACLs) and names without a class are not. */
static bool is_kept(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
	       strncmp(name, "security.", 9) == 0;
}

static bool is_virtual(const char *name)
{
	return strncmp(name, "user.mangrove.", 14) == 0;
}

void do_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	struct op op = { .kind = OP_SETXATTR,
			 .ino = real_ino(fs_of(req), ino),
			 .name = span_str(name),
			 .value = span_of(value, size) };

	if (!is_kept(name) || is_virtual(name)) {
		fuse_reply_err(req, is_kept(name) ? EPERM : EOPNOTSUPP);
		return;
	}
	if (flags & XATTR_CREATE)
		op.flags |= OP_XATTR_CREATE;
	if (flags & XATTR_REPLACE)
		op.flags |= OP_XATTR_REPLACE;
	submit_attr(req, &op, false);
}

void do_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct op op = { .kind = OP_REMOVEXATTR,
			 .ino = real_ino(fs_of(req), ino),
			 .name = span_str(name) };

	if (!is_kept(name) || is_virtual(name))
		fuse_reply_err(req, is_kept(name) ? EPERM : EOPNOTSUPP);
	else
		submit_attr(req, &op, false);
}

/* "aws=3/3 azure=3/3 google=2/3" */
static int replicas_text(struct mountfs *fs, uint64_t ino, struct buf *ret)
{
	struct file_replicas w;
	int r = data_where(fs->v->data, ino, &w);

	for (unsigned i = 0; r == 0 && i < fs->v->n_stores; i++)
		r = buf_addf(ret, "%s%s=%llu/%llu", i ? " " : "",
			     replicas_store(fs->v->replicas, i)->name,
			     (unsigned long long)w.have[i], (unsigned long long)w.chunks);
	return r;
}

/* Computed, not stored: not listed, not copied. */
static int virtual_value(struct mountfs *fs, uint64_t ino, const char *name, struct buf *ret)
{
	if (strcmp(name, "user.mangrove.replicas") == 0)
		return replicas_text(fs, ino, ret);
	if (strcmp(name, "user.mangrove.inode") == 0)
		return buf_addf(ret, "%llu", (unsigned long long)ino);
	return NS_MISSING;
}

static void answer_bytes(fuse_req_t req, const struct buf *b, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, b->len);
	else if (b->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)b->data, b->len);
}

void do_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct mountfs *fs = fs_of(req);
	_cleanup_buf_ struct buf value = BUF_INIT(XATTR_VALUE_MAX);
	int r;

	if (!is_kept(name)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (strcmp(name, "user.mangrove.sha256") == 0) {
		answer_sum(req, real_ino(fs, ino), size);
		return;
	}
	if (is_virtual(name)) {
		r = virtual_value(fs, real_ino(fs, ino), name, &value);
	} else {
		r = ns_getxattr(commit_lock(commit_of(fs)), real_ino(fs, ino), span_str(name),
				&value);
		commit_unlock(commit_of(fs));
	}
	if (r == NS_MISSING)
		fuse_reply_err(req, ENODATA);
	else if (r < 0)
		reply_err(req, r);
	else
		answer_bytes(req, &value, size);
}

/* ns_xattr_fn: names, each with its NUL */
static int add_name(struct span name, void *arg)
{
	int r = buf_add_span(arg, name);

	return r < 0 ? r : buf_add_byte(arg, 0);
}

void do_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct mountfs *fs = fs_of(req);
	_cleanup_buf_ struct buf names = BUF_INIT(64 * KiB);
	int r = ns_listxattr(commit_lock(commit_of(fs)), real_ino(fs, ino), add_name, &names);

	commit_unlock(commit_of(fs));
	if (r == -EMSGSIZE)
		fuse_reply_err(req, E2BIG);
	else if (r != 0)
		reply_err(req, r == NS_MISSING ? -ESTALE : r);
	else
		answer_bytes(req, &names, size);
}
