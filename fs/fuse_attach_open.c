/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files of attached buckets. Who reads holds one version of the object; who writes shares a
 * draft with the other writers of the file.
 */
#include "fs/fuse_attach_i.h"

#include "fs/attach/keys.h"

#include <fcntl.h>
#include <stdio.h>

struct at_handle *handle_ref(struct at_handle *h)
{
	__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
	return h;
}

void handle_unref(struct at_handle *h)
{
	if (!h || __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL))
		return;
	at_pages_close(h);
	if (h->object)
		object_close(h->object);
	if (h->writing)
		writing_unref(h->fs, h->writing);
	free(h);
}

/* open, create */

static bool wants_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
}

pid_t process_of(pid_t tid)
{
	char path[32], line[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = tid > 0 ? fopen(path, "re") : NULL;
	while (f && !pid && fgets(line, sizeof(line), f))
		sscanf(line, "Tgid: %d", &pid);
	if (f)
		fclose(f);
	return pid;
}

static int handle_new(struct at_call *c)
{
	c->handle = calloc(1, sizeof(*c->handle));
	if (!c->handle)
		return fail(-ENOMEM);
	c->handle->refs = 1;
	c->handle->fs = c->fs;
	c->handle->append = c->fi.flags & O_APPEND;
	c->handle->writes = wants_write(&c->fi);
	c->handle->opener = c->handle->writes ? process_of(c->pid) : 0;
	return 0;
}

/* Else the draft is what is read. */
static bool is_published(struct writing *w)
{
	struct bucket_entry e;
	bool any = false;

	writing_entry(w, &e);
	for (unsigned i = 0; i < MIRRORS_MAX; i++)
		any |= *e.version[i] != '\0';
	return any;
}

static int open_entry(struct at_call *c, bool wait)
{
	struct attached *a = at_bucket(c->fs, c->entry.ino);
	int r = c->handle ? 0 : handle_new(c);

	if (r)
		return r;
	if (!a || c->entry.is_dir)
		return -EISDIR;
	if (!wants_write(&c->fi)) {
		struct writing *w = writing_find(c->fs, c->entry.ino);

		if (w && !is_published(w)) {
			c->handle->writing = w;
			return 0;
		}
		if (w)
			writing_unref(c->fs, w);
		return object_open(attach_objects(c->fs->v->attach), a->identity, a->replicas,
				   &c->entry, &c->handle->object);
	}
	if (a->read_only)
		return -EROFS;
	return writing_open(c->fs, a, &c->entry, c->fi.flags & O_TRUNC, wait, &c->handle->writing);
}

static int open_fn(struct at_call *c, bool wait)
{
	int r = at_get_entry(c->fs, c->ino, wait, &c->entry);

	return r ? r : open_entry(c, wait);
}

static void fill_open(struct at_call *c)
{
	const enum at_pages_use use = c->handle->writing ? AT_PAGES_DROP :
							   at_pages_open(c->handle, &c->entry);

	c->fi.fh = (uintptr_t)c->handle;
	c->fi.keep_cache = use == AT_PAGES_KEEP;
	c->fi.direct_io = use == AT_PAGES_NONE;
	c->fi.noflush = !c->handle->writes;
	/* of the attributes alone, which takes no lock that the open holds: it may be sent here */
	if (use != AT_PAGES_KEEP && c->handle->object)
		fuse_lowlevel_notify_inval_inode(c->fs->session, c->entry.ino, -1, 0);
}

static void open_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r) {
		reply_err(req, r == AT_MISSING ? -ESTALE : r);
		return;
	}
	fill_open(c);
	if (fuse_reply_open(req, &c->fi) == 0) /* else interrupted: no release will come */
		c->handle = NULL;
}

void at_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at_call *c = at_call_new(req, ino, open_fn, open_answer);

	if (!c)
		return;
	c->fi = *fi;
	at_run_on(wants_write(fi) ? c->fs->writers : c->fs->readers, req, c);
}

/* The key of a new name in a directory. */
int at_key_of(struct at_call *c, uint64_t dir, const char *name, bool wait, char *ret)
{
	_cleanup_buf_ struct buf key = BUF_INIT(STORE_NAME_MAX);
	struct bucket_entry parent;
	enum key_kind kind;
	int r = at_get_entry(c->fs, dir, wait, &parent);

	if (r)
		return r;
	r = buf_add_str(&key, parent.key);
	if (!r)
		r = key_from_name(span_str(name), &key, &kind);
	if (r == -EMSGSIZE)
		return -ENAMETOOLONG;
	if (r)
		return r < 0 ? r : -EINVAL; /* a name that stands for no key */
	memcpy(ret, key.data, key.len);
	ret[key.len] = '\0';
	return 0;
}

static int create_new(struct at_call *c, struct attached *a, bool wait)
{
	struct writing *w;
	int r;

	c->entry = (struct bucket_entry){ .parent = c->ino,
					  .modified_s = clock_wall() / NS_PER_S };
	r = at_key_of(c, c->ino, c->name, wait, c->entry.key);
	if (!r)
		r = bucket_number(a->bucket, c->ino, span_str(c->name), &c->entry.ino);
	if (!r)
		r = handle_new(c);
	if (!r)
		r = writing_new(c->fs, a, &c->entry, c->name,
				c->fi.flags & O_EXCL ? WRITING_EXCL : WRITING_NEW, &w);
	if (!r)
		c->handle->writing = writing_add(c->fs, w);
	return r;
}

static int create_fn(struct at_call *c, bool wait)
{
	struct attached *a = at_bucket(c->fs, c->ino);
	struct writing *w;
	int r;

	if (!a || a->read_only)
		return -EROFS;
	w = writing_named(c->fs, c->ino, c->name);
	if (w) {
		writing_entry(w, &c->entry);
		writing_unref(c->fs, w);
		r = 0;
	} else {
		r = at_from_bucket(bucket_lookup(a->bucket, c->ino, span_str(c->name),
						 bucket_wait(wait), &c->entry));
	}
	if (r == AT_MISSING)
		return create_new(c, a, wait);
	if (!r && c->fi.flags & O_EXCL)
		return -EEXIST;
	return r ? r : open_entry(c, wait);
}

static void create_answer(struct at_call *c, fuse_req_t req, int r)
{
	struct fuse_entry_param e;

	if (r) {
		reply_err(req, r == AT_MISSING ? -ESTALE : r);
		return;
	}
	fill_open(c);
	at_entry_fill(c->fs, &c->entry, &e);
	if (fuse_reply_create(req, &e, &c->fi) == 0)
		c->handle = NULL;
}

void at_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct at_call *c = at_call_named(req, parent, name, create_fn, create_answer, EEXIST);

	if (!c)
		return;
	c->fi = *fi;
	at_run_on(c->fs->writers, req, c);
}
