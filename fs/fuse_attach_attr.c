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

/* Nobody has it open for writing: the size is changed by a draft of its own. */
static int truncate_closed(struct at_call *c, struct attached *a)
{
	struct writing *w;
	const uint64_t size = (uint64_t)c->attr.st_size;
	int r = writing_open(c->fs, a, &c->entry, size == 0, true, &w);

	if (r)
		return r;
	r = draft_truncate(w->draft, size, DRAFT_WAIT);
	if (!r)
		r = writing_publish(w);
	writing_unref(c->fs, w);
	return r;
}

static int setattr_fn(struct at_call *c, bool wait)
{
	struct attached *a = at_bucket(c->fs, c->ino);
	struct object_meta meta;
	struct writing *w;
	int r = at_get_entry(c->fs, c->ino, wait, &c->entry);

	if (r)
		return r;
	if (!a || a->read_only)
		return -EROFS;
	if (!wait)
		return AT_WOULD_WAIT;
	if (c->entry.is_dir)
		return c->set & FUSE_SET_ATTR_SIZE ? -EISDIR : 0; /* it has none to keep */
	meta_of(c, &meta);
	w = writing_find(c->fs, c->ino);
	if (!w && c->set & FUSE_SET_ATTR_SIZE)
		r = truncate_closed(c, a);
	else if (!w && meta.has)
		r = -EOPNOTSUPP; /* it would be a copy of the whole object */
	if (w && c->set & FUSE_SET_ATTR_SIZE)
		r = draft_truncate(w->draft, (uint64_t)c->attr.st_size, DRAFT_WAIT);
	if (w && !r && meta.has)
		draft_meta(w->draft, &meta);
	/* by path: there may be no handle left whose close would publish it */
	if (w && !r && c->set & FUSE_SET_ATTR_SIZE && !c->by_handle)
		r = writing_publish(w);
	if (w)
		writing_unref(c->fs, w);
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
