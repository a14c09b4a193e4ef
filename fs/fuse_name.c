/* SPDX-License-Identifier: Apache-2.0 */
/* Names: lookup, and the operations that make, move and remove them. */
#include "fs/fuse_i.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A name operation on its way to its answer. */
struct name_job {
	struct later *later;
	enum { ANSWER_OK, ANSWER_ENTRY, ANSWER_CREATE } answer;
	bool may_orphan;          /* an inode may have lost its last name */
	uint64_t victim;          /* of a rename: what was under the new name, 0: nothing */
	bool excl;                /* create: an existing file is an error */
	struct fuse_file_info fi; /* create */
};

static void check_orphan(struct mountfs *fs, uint64_t ino)
{
	struct stat st;

	if (ino && stat_of(fs, ino, &st) == 0 && st.st_nlink == 0 && !S_ISDIR(st.st_mode))
		data_orphaned(fs->v->data, ino);
}

static void answer_entry(struct mountfs *fs, fuse_req_t req, uint64_t ino)
{
	struct fuse_entry_param e;
	int r = entry_of(fs, ino, &e);

	if (r < 0)
		reply_err(req, r);
	else
		fuse_reply_entry(req, &e);
}

static void answer_create(struct mountfs *fs, struct name_job *job, uint64_t ino)
{
	struct fuse_entry_param e;
	int r = open_handle(fs, ino, &job->fi);

	if (r == 0) {
		r = entry_of(fs, ino, &e);
		if (r < 0)
			close_handle(&job->fi);
	}
	if (r < 0)
		reply_err(job->later->req, r);
	else if (fuse_reply_create(job->later->req, &e, &job->fi) < 0)
		close_handle(&job->fi); /* interrupted: no release will come */
}

static void name_answer(struct name_job *job, const struct result *res)
{
	struct mountfs *fs = job->later->fs;
	const fuse_req_t req = job->later->req;

	if (job->answer == ANSWER_CREATE && res->error == -EEXIST && !job->excl)
		/* somebody else made it meanwhile: open that one */
		answer_create(fs, job, res->value);
	else if (res->error)
		reply_err(req, res->error);
	else if (job->answer == ANSWER_CREATE)
		answer_create(fs, job, res->value);
	else if (job->answer == ANSWER_ENTRY)
		answer_entry(fs, req, res->value);
	else
		fuse_reply_err(req, 0);
}

/* commit_done_fn */
static void name_done(const struct result *res, void *arg)
{
	struct name_job *job = arg;
	struct mountfs *fs = job->later->fs;

	if (later_claim(job->later))
		name_answer(job, res);
	later_free(job->later);
	if (res->error == 0 && job->may_orphan)
		check_orphan(fs, job->victim ? job->victim : res->value);
	free(job);
}

static void submit_name(fuse_req_t req, struct op *op, const struct name_job *template)
{
	struct mountfs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct name_job *job = malloc(sizeof(*job));
	struct result res;
	uint64_t no;
	int r;

	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	*job = *template;
	job->later = later_new(req);
	if (!job->later) {
		free(job);
		reply_err(req, -ENOMEM);
		return;
	}
	op->uid = ctx->uid;
	op->gid = ctx->gid;
	op->saw = op->saw_to = SAW_ANYTHING;
	r = commit_submit(commit_of(fs), op, fs->o->names_committed ? COMMIT_ORDERED : COMMIT_EARLY,
			  name_done, job, &res, &no);
	if (r == COMMIT_LATER)
		return;
	if (r < 0)
		res = (struct result){ .error = r };
	name_done(&res, job);
}

/* A new inode under a name. */
static void make(fuse_req_t req, struct op *op, const struct name_job *template)
{
	struct mountfs *fs = fs_of(req);
	int r = commit_new_ino(commit_of(fs), &op->ino);

	if (r < 0)
		reply_err(req, r);
	else
		submit_name(req, op, template);
}

static int lookup(struct mountfs *fs, uint64_t parent, const char *name, uint64_t *ret)
{
	struct view *v = commit_lock(commit_of(fs));
	struct inode_view iv = { 0 };
	int r;

	if (strcmp(name, ".") && strcmp(name, "..")) {
		r = ns_lookup(v, parent, span_str(name), ret, NULL);
	} else { /* asked by who exports the file system (NFS) */
		buf_init(&iv.bytes, ROW_MAX);
		r = ns_inode(v, parent, &iv);
		if (r == 0)
			*ret = name[1] && parent != fs->root ? iv.row.parent : parent;
		buf_release(&iv.bytes);
	}
	commit_unlock(commit_of(fs));
	return r;
}

static void answer_missing(fuse_req_t req)
{
	/* "No such file" is an answer worth keeping: programs ask it by the thousand. */
	const struct fuse_entry_param none = { .entry_timeout = cache_seconds(fs_of(req)) };

	if (none.entry_timeout > 0)
		fuse_reply_entry(req, &none);
	else
		fuse_reply_err(req, ENOENT);
}

static void answer_lookup(fuse_req_t req, int r, uint64_t ino)
{
	if (r == NS_MISSING)
		answer_missing(req);
	else if (r < 0)
		reply_err(req, r);
	else
		answer_entry(fs_of(req), req, ino);
}

/* strict_fn: is it missing at the tip, too? */
static void lookup_again(fuse_req_t req, fuse_ino_t parent, const char *name,
			 struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	uint64_t ino = 0;
	const int r = lookup(fs, real_ino(fs, parent), name, &ino);

	answer_lookup(req, r, ino);
}

void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mountfs *fs = fs_of(req);
	uint64_t ino = 0;
	int r;

	if (strlen(name) > NAME_MAX_BYTES) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	r = lookup(fs, real_ino(fs, parent), name, &ino);
	if (r == NS_MISSING && fs->o->strict)
		answer_strictly(req, lookup_again, parent, name, NULL);
	else
		answer_lookup(req, r, ino);
}

void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct op op = { .kind = OP_CREATE,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name),
			 .mode = mode,
			 .rdev = (uint32_t)rdev };

	make(req, &op, &(struct name_job){ .answer = ANSWER_ENTRY });
}

void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct op op = { .kind = OP_MKDIR,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name),
			 .mode = S_IFDIR | (mode & 07777) };

	make(req, &op, &(struct name_job){ .answer = ANSWER_ENTRY });
}

void do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct op op = { .kind = OP_SYMLINK,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name),
			 .value = span_str(target),
			 .mode = S_IFLNK | 0777 };

	make(req, &op, &(struct name_job){ .answer = ANSWER_ENTRY });
}

void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct op op = { .kind = OP_CREATE,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name),
			 .mode = S_IFREG | (mode & 07777) };

	make(req, &op,
	     &(struct name_job){ .answer = ANSWER_CREATE, .excl = fi->flags & O_EXCL, .fi = *fi });
}

void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct mountfs *fs = fs_of(req);
	struct op op = { .kind = OP_LINK,
			 .ino = real_ino(fs, ino),
			 .parent = real_ino(fs, parent),
			 .name = span_str(name) };

	submit_name(req, &op, &(struct name_job){ .answer = ANSWER_ENTRY });
}

void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op = { .kind = OP_UNLINK,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name) };

	submit_name(req, &op, &(struct name_job){ .may_orphan = true });
}

void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op = { .kind = OP_RMDIR,
			 .parent = real_ino(fs_of(req), parent),
			 .name = span_str(name) };

	submit_name(req, &op, &(struct name_job){ 0 });
}

void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	       const char *to_name, unsigned flags)
{
	struct mountfs *fs = fs_of(req);
	struct op op = { .kind = OP_RENAME, .parent = real_ino(fs, parent), .name = span_str(name),
			 .to_parent = real_ino(fs, to_parent), .to_name = span_str(to_name) };
	struct name_job job = { .may_orphan = true };

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (flags & RENAME_NOREPLACE)
		op.flags |= OP_RENAME_NOREPLACE;
	if (flags & RENAME_EXCHANGE)
		op.flags |= OP_RENAME_EXCHANGE;
	if (lookup(fs, op.to_parent, to_name, &job.victim) != 0)
		job.victim = 0;
	job.may_orphan = job.victim != 0;
	submit_name(req, &op, &job);
}
