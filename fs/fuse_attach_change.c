/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of names in attached buckets, and what is refused there: an object store has no links,
 * no devices, no permissions, and cannot move a directory. Programs get the errno that makes them
 * do it another way (EXDEV: mv copies) or say it.
 */
#include "fs/fuse_attach_i.h"

#include "fs/attach/change.h"

#include <stdio.h>
#include <sys/statvfs.h>

void at_refuse(fuse_req_t req, fuse_ino_t parent, const char *name, int taken)
{
	struct mountfs *fs = fs_of(req);
	const struct attached *a = at_bucket(fs, parent);

	if (at_top(fs, parent))
		fuse_reply_err(req, attach_find(fs->v->attach, span_str(name)) ? taken : EROFS);
	else
		fuse_reply_err(req, !a || a->read_only ? EROFS : EPERM);
}

void at_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	at_refuse(req, parent, name, EEXIST);
}

void at_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	at_refuse(req, parent, name, EEXIST);
}

void at_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	if (at_place(fs_of(req), ino) != at_place(fs_of(req), parent))
		fuse_reply_err(req, EXDEV);
	else
		at_refuse(req, parent, name, EEXIST);
}

void at_readlink(fuse_req_t req, fuse_ino_t ino)
{
	fuse_reply_err(req, EINVAL);
}

void at_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

void at_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

void at_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	statfs_shown(&st, 0, 0);
	fuse_reply_statfs(req, &st);
}

void at_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

void at_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

void at_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

/* The kernel copies by reading and writing then. */
void at_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi,
			fuse_ino_t to, off_t to_off, struct fuse_file_info *to_fi, size_t len,
			int flags)
{
	fuse_reply_err(req, EXDEV);
}

/* remove */

static void done_answer(struct at_call *c, fuse_req_t req, int r)
{
	reply_err(req, r == AT_MISSING ? -ENOENT : r);
}

static uint64_t deadline_of(const struct at_call *c)
{
	return clock_now() + c->fs->o->deadline_ns;
}

static int find_name(struct at_call *c, struct attached **ret, bool wait)
{
	struct attached *a = at_bucket(c->fs, c->ino);

	if (!a || a->read_only)
		return -EROFS;
	if (!wait)
		return AT_WOULD_WAIT;
	*ret = a;
	return at_from_bucket(
		bucket_lookup(a->bucket, c->ino, span_str(c->name), BUCKET_WAIT, &c->entry));
}

static int unlink_fn(struct at_call *c, bool wait)
{
	struct attached *a;
	int r = find_name(c, &a, wait);

	if (r)
		return r;
	return c->entry.is_dir ? -EISDIR : change_remove(a, &c->entry, deadline_of(c));
}

static int on_any(struct span name, const struct bucket_entry *e, void *arg)
{
	*(bool *)arg = true;
	return 1;
}

/* As the store says now, not as it was remembered. */
static int check_empty(struct attached *a, uint64_t dir)
{
	bool any = false, end = false;
	int r = 0;

	bucket_refresh(a->bucket, dir, false);
	while (!r && !any && !end)
		r = at_from_bucket(
			bucket_readdir(a->bucket, dir, 0, BUCKET_WAIT, on_any, &any, &end));
	return r ? r : any ? -ENOTEMPTY : 0;
}

static int rmdir_fn(struct at_call *c, bool wait)
{
	struct attached *a;
	int r = find_name(c, &a, wait);

	if (r)
		return r;
	if (!c->entry.is_dir)
		return -ENOTDIR;
	r = check_empty(a, c->entry.ino);
	if (r == AT_MISSING) /* it was nothing but its last file's path */
		r = 0;
	return r ? r : change_remove_dir(a, &c->entry, deadline_of(c));
}

static void run_name(fuse_req_t req, fuse_ino_t parent, const char *name, at_fn *fn,
		     at_answer *answer, int taken)
{
	struct at_call *c = at_call_named(req, parent, name, fn, answer, taken);

	if (c)
		at_run_on(c->fs->writers, req, c);
}

void at_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	run_name(req, parent, name, unlink_fn, done_answer, EISDIR);
}

void at_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	run_name(req, parent, name, rmdir_fn, done_answer, EBUSY);
}

/* mkdir */

static int mkdir_fn(struct at_call *c, bool wait)
{
	struct attached *a;
	size_t len;
	int r = find_name(c, &a, wait);

	if (r != AT_MISSING)
		return r ? r : -EEXIST;
	c->entry = (struct bucket_entry){ .parent = c->ino,
					  .is_dir = true,
					  .modified_s = clock_wall() / NS_PER_S };
	r = at_key_of(c, c->ino, c->name, true, c->entry.key);
	len = strlen(c->entry.key);
	if (!r && len + 1 > STORE_NAME_MAX)
		r = -ENAMETOOLONG;
	if (!r)
		memcpy(c->entry.key + len, "/", 2);
	if (!r)
		r = bucket_number(a->bucket, c->ino, span_str(c->name), &c->entry.ino);
	if (!r)
		r = change_make_dir(a, c->entry.key, deadline_of(c));
	return r ? r : bucket_note(a->bucket, &c->entry);
}

static void mkdir_answer(struct at_call *c, fuse_req_t req, int r)
{
	struct fuse_entry_param e;

	if (r) {
		reply_err(req, r == AT_MISSING ? -ENOENT : r);
		return;
	}
	at_entry_fill(c->fs, &c->entry, &e);
	fuse_reply_entry(req, &e);
}

void at_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	run_name(req, parent, name, mkdir_fn, mkdir_answer, EEXIST);
}

/* rename: of a file, within one bucket */

#define NOREPLACE 1u /* RENAME_NOREPLACE of linux/fs.h */

static int find_target(struct at_call *c, struct attached *a, struct bucket_entry *ret)
{
	int r = at_from_bucket(
		bucket_lookup(a->bucket, c->to, span_str(c->to_name), BUCKET_WAIT, ret));

	if (r)
		return r;
	if (ret->is_dir)
		return -EISDIR;
	return c->flags & NOREPLACE ? -EEXIST : 0;
}

static int rename_fn(struct at_call *c, bool wait)
{
	char key[STORE_NAME_MAX + 1];
	struct bucket_entry over, now;
	struct attached *a;
	int r = find_name(c, &a, wait), found;

	if (r)
		return r;
	if (c->entry.is_dir || at_bucket(c->fs, c->to) != a)
		return -EXDEV; /* the tools copy then */
	found = find_target(c, a, &over);
	if (found && found != AT_MISSING)
		return found;
	if (!found && over.ino == c->entry.ino)
		return 0;
	r = at_key_of(c, c->to, c->to_name, true, key);
	if (!r && found)
		r = bucket_number(a->bucket, c->to, span_str(c->to_name), &over.ino);
	if (!r)
		r = change_move(a, &c->entry, key, found ? NULL : &over, deadline_of(c), &now);
	if (r)
		return r;
	now.ino = over.ino;
	now.parent = c->to;
	return bucket_note(a->bucket, &now);
}

void at_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	       const char *to_name, unsigned flags)
{
	struct mountfs *fs = fs_of(req);
	struct at_call *c;

	if (at_top(fs, parent) || at_top(fs, to)) {
		if (at_place(fs, parent) != at_place(fs, to))
			fuse_reply_err(req, EXDEV);
		else if (at_name(fs, parent, name))
			at_refuse(req, parent, name, EBUSY);
		else
			at_refuse(req, to, to_name, flags & NOREPLACE ? EEXIST : EBUSY);
		return;
	}
	if (!at_bucket(fs, parent) || !at_bucket(fs, to)) {
		fuse_reply_err(req, EXDEV);
		return;
	}
	if (flags & ~NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (strlen(to_name) > NAME_MAX_BYTES) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	c = at_call_new(req, parent, rename_fn, done_answer);
	if (!c)
		return;
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->to_name, sizeof(c->to_name), "%s", to_name);
	c->to = to;
	c->flags = flags;
	at_run_on(fs->writers, req, c);
}
