/* SPDX-License-Identifier: Apache-2.0 */
/* Size, time, mode and owner of a file of an attached bucket are changed. */
#include "fs/fuse_attach_i.h"

#include <unistd.h>

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

static void meta_of(const struct at_call *c, struct object_meta *ret)
{
	*ret = (struct object_meta){ .has = 0 };
	if (c->set & FUSE_SET_ATTR_MTIME_NOW) {
		ret->has |= META_MTIME;
		ret->mtime_ns = (int64_t)clock_wall();
	} else if (c->set & FUSE_SET_ATTR_MTIME) {
		ret->has |= META_MTIME;
		ret->mtime_ns = ns_of(c->attr.st_mtim);
	}
	if (c->set & FUSE_SET_ATTR_MODE) {
		ret->has |= META_MODE;
		ret->mode = c->attr.st_mode & 07777;
	}
	if (c->set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		ret->has |= META_OWNER;
		ret->uid = c->set & FUSE_SET_ATTR_UID ? c->attr.st_uid : getuid();
		ret->gid = c->set & FUSE_SET_ATTR_GID ? c->attr.st_gid : getgid();
	}
}

static int change_size(struct at_call *c, struct writing *w, bool was_open)
{
	int r = draft_truncate(w->draft, (uint64_t)c->attr.st_size, DRAFT_WAIT);

	/* by path: there may be no handle left whose close would publish it */
	return r || (was_open && c->by_handle) ? r : writing_publish(w);
}

/* Of a file: a draft of it does it, which is there already when somebody has it open to write. */
static int change(struct at_call *c, struct attached *a)
{
	struct writing *w = writing_find(c->fs, c->ino);
	const bool was_open = w != NULL, sized = c->set & FUSE_SET_ATTR_SIZE;
	struct object_meta meta;
	int r = 0;

	meta_of(c, &meta);
	if (!sized && !meta.has)
		goto out;
	if (!w)
		r = writing_open(c->fs, a, &c->entry, sized && c->attr.st_size == 0, true, &w);
	if (!r && sized)
		r = change_size(c, w, was_open);
	if (!r && meta.has)
		r = writing_describe(w, &meta);
out:
	if (w)
		writing_unref(c->fs, w);
	return r;
}

static int setattr_fn(struct at_call *c, bool wait)
{
	struct attached *a = at_bucket(c->fs, c->ino);
	int r = at_get_entry(c->fs, c->ino, wait, &c->entry);

	if (r)
		return r;
	if (!a || a->read_only)
		return -EROFS;
	if (!wait)
		return AT_WOULD_WAIT;
	if (c->entry.is_dir)
		return c->set & FUSE_SET_ATTR_SIZE ? -EISDIR : 0; /* it has none to keep */
	r = change(c, a);
	return r ? r : at_get_entry(c->fs, c->ino, true, &c->entry);
}

void at_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		struct fuse_file_info *fi)
{
	struct at_call *c;

	if (at_top(fs_of(req), ino)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	c = at_call_new(req, ino, setattr_fn, at_answer_attr);
	if (!c)
		return;
	c->attr = *attr;
	c->set = set;
	c->by_handle = fi != NULL;
	at_run_on(c->fs->writers, req, c);
}
