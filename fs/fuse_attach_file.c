/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of attached buckets. Who reads holds one version of the object; who writes shares a draft
 * with the other writers of the file, which becomes the object when one of them closes it.
 */
#include "fs/fuse_attach_i.h"

#include "base/crc.h"
#include "base/log.h"
#include "fs/attach/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <utlist.h>

struct at_handle *handle_ref(struct at_handle *h)
{
	__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
	return h;
}

void handle_unref(struct at_handle *h)
{
	if (!h || __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (h->object)
		object_close(h->object);
	if (h->writing)
		writing_unref(h->fs, h->writing);
	free(h);
}

/* the files being written */

struct writing *writing_find(struct mountfs *fs, uint64_t ino)
{
	struct writing *w;

	LOCK_SCOPE(&fs->at_lock);
	DL_FOREACH(fs->writings, w) {
		if (w->entry.ino != ino)
			continue;
		w->refs++;
		return w;
	}
	return NULL;
}

struct writing *writing_named(struct mountfs *fs, uint64_t dir, const char *name)
{
	struct writing *w;

	LOCK_SCOPE(&fs->at_lock);
	DL_FOREACH(fs->writings, w) {
		if (w->entry.parent != dir || strcmp(w->name, name) != 0)
			continue;
		w->refs++;
		return w;
	}
	return NULL;
}

/* The last one out drops what was not published, which may wait: not on a FUSE thread. */
void writing_unref(struct mountfs *fs, struct writing *w)
{
	bool last;

	lock_take(&fs->at_lock);
	last = --w->refs == 0;
	if (last)
		DL_DELETE(fs->writings, w);
	lock_give(&fs->at_lock);
	if (!last)
		return;
	draft_free(w->draft);
	free(w);
}

void writing_entry(struct writing *w, struct bucket_entry *ret)
{
	lock_take(&w->fs->at_lock);
	*ret = w->entry;
	lock_give(&w->fs->at_lock);
	writing_overlay(w, ret);
}

void writing_overlay(struct writing *w, struct bucket_entry *e)
{
	e->size = draft_size(w->draft);
	e->modified_s = draft_modified_s(w->draft);
}

/* Another one may have been quicker: then that one is shared. Takes w. */
static struct writing *writing_add(struct mountfs *fs, struct writing *takes)
{
	struct writing *w;

	lock_take(&fs->at_lock);
	DL_FOREACH(fs->writings, w)
		if (w->entry.ino == takes->entry.ino)
			break;
	if (w)
		w->refs++;
	else
		DL_APPEND(fs->writings, takes);
	lock_give(&fs->at_lock);
	if (!w)
		return takes;
	draft_free(takes->draft);
	free(takes);
	return w;
}

static int writing_new(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		       const char *name, bool is_new, bool excl, struct writing **ret)
{
	const struct draft_options o = { .replicas = a->replicas,
					 .key = e->key,
					 .base = is_new ? NULL : e,
					 .excl = excl,
					 .deadline_ns = fs->o->deadline_ns,
					 .budget = fs->at_budget };
	struct writing *w = calloc(1, sizeof(*w));
	int r = w ? draft_new(&o, &w->draft) : fail(-ENOMEM);

	if (r) {
		free(w);
		return r;
	}
	w->refs = 1;
	w->fs = fs;
	w->attached = a;
	w->entry = *e;
	snprintf(w->name, sizeof(w->name), "%s", name);
	*ret = w;
	return 0;
}

/* What is there, into a draft that keeps it. */
static int load(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		struct draft *d)
{
	struct object *o;
	uint8_t *bytes;
	uint64_t at = 0;
	int r;

	if (e->size > DRAFT_WHOLE)
		return -EFBIG;
	bytes = malloc(MAX(e->size, (uint64_t)1));
	r = bytes ? object_open(attach_objects(fs->v->attach), a->identity, a->replicas, e, &o) :
		    fail(-ENOMEM);
	if (r) {
		free(bytes);
		return r;
	}
	while (!r && at < e->size) {
		size_t len = 0;

		r = object_read(o, at, e->size - at, OBJECT_WAIT, bytes + at, &len);
		at += len;
		if (!r && !len)
			r = -ESTALE;
	}
	object_close(o);
	if (!r)
		r = draft_load(d, span_of(bytes, e->size));
	free(bytes);
	return r;
}

/* A draft of the file for one more handle or change. */
static int writing_open(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
			bool truncate, bool wait, struct writing **ret)
{
	struct writing *w = writing_find(fs, e->ino);
	int r = 0;

	if (!w && !wait)
		return AT_WOULD_WAIT;
	if (!w) {
		/* the name is not needed: the listing knows it */
		r = writing_new(fs, a, e, "", false, false, &w);
		if (!r && !truncate)
			r = load(fs, a, e, w->draft);
		if (r) {
			if (w) {
				draft_free(w->draft);
				free(w);
			}
			return r;
		}
		*ret = writing_add(fs, w);
		return 0;
	}
	if (truncate)
		r = draft_truncate(w->draft, 0, wait ? DRAFT_WAIT : DRAFT_NO_WAIT);
	if (r) {
		writing_unref(fs, w);
		return r == DRAFT_WOULD_WAIT ? AT_WOULD_WAIT : r;
	}
	*ret = w;
	return 0;
}

/* open, create */

static bool wants_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
}

/* The process that a thread belongs to; 0: not known. */
static pid_t process_of(pid_t tid)
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

/* Are the kernel's pages of the file still true? The last open of each inode is remembered. */
static bool is_same_version(struct mountfs *fs, const struct bucket_entry *e)
{
	uint64_t hash = e->size ^ e->modified_s << 20;
	struct at_opened *last = &fs->opened[e->ino % AT_OPENED];
	bool same;

	for (unsigned i = 0; i < MIRRORS_MAX; i++)
		hash = hash * 31 + crc32c(0, span_str(e->version[i]));
	LOCK_SCOPE(&fs->at_lock);
	same = last->ino == e->ino && last->version == hash;
	*last = (struct at_opened){ .ino = e->ino, .version = hash };
	return same;
}

static void fill_open(struct at_call *c)
{
	c->fi.fh = (uintptr_t)c->handle;
	c->fi.keep_cache = !c->handle->writing && is_same_version(c->fs, &c->entry);
	c->fi.noflush = !c->handle->writes;
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
		r = writing_new(c->fs, a, &c->entry, c->name, true, c->fi.flags & O_EXCL, &w);
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

/* read, write */

static int read_fn(struct at_call *c, bool wait)
{
	struct at_handle *h = c->handle;
	int r;

	if (c->size > READ_MAX)
		return -EINVAL;
	if (!wait)
		return AT_WOULD_WAIT; /* it was tried; of a draft: a publication may be under way */
	c->bytes = malloc(MAX(c->size, (size_t)1));
	if (!c->bytes)
		return fail(-ENOMEM);
	if (h->writing)
		return draft_read(h->writing->draft, c->off, c->size, c->bytes, &c->len);
	r = object_read(h->object, c->off, c->size, OBJECT_WAIT, c->bytes, &c->len);
	if (object_changed(h->object)) {
		struct attached *a = at_bucket(c->fs, c->ino);

		if (a)
			bucket_doubt(a->bucket, c->ino);
	}
	return r;
}

static void read_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r);
	else
		fuse_reply_buf(req, (char *)c->bytes, c->len);
}

/* What is at hand is answered from the thread's own buffer, without a call. */
static bool read_at_once(fuse_req_t req, struct at_handle *h, size_t size, off_t off)
{
	uint8_t *buf = h->writing ? NULL : read_buffer(size);
	size_t len = 0;

	if (!buf || object_read(h->object, (uint64_t)off, size, OBJECT_NO_WAIT, buf, &len) != 0)
		return false;
	fuse_reply_buf(req, (char *)buf, len);
	return true;
}

void at_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct at_call *c;

	if (read_at_once(req, handle_of(fi), size, off))
		return;
	c = at_call_new(req, ino, read_fn, read_answer);
	if (!c)
		return;
	c->handle = handle_ref(handle_of(fi));
	c->size = size;
	c->off = (uint64_t)off;
	at_run(req, c);
}

static int write_fn(struct at_call *c, bool wait)
{
	if (!wait)
		return AT_WOULD_WAIT; /* it was tried */
	return draft_write(c->handle->writing->draft, c->off, span_of(c->bytes, c->len),
			   c->handle->append && !c->fi.writepage, DRAFT_WAIT);
}

static void write_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r);
	else
		fuse_reply_write(req, c->len);
}

void at_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct at_handle *h = handle_of(fi);
	struct at_call *c;
	int r;

	if (!h->writes) {
		fuse_reply_err(req, EBADF);
		return;
	}
	r = draft_write(h->writing->draft, (uint64_t)off, span_of(data, size),
			h->append && !fi->writepage, DRAFT_NO_WAIT);
	if (r != DRAFT_WOULD_WAIT) {
		if (r)
			reply_err(req, r);
		else
			fuse_reply_write(req, size);
		return;
	}
	c = at_call_new(req, ino, write_fn, write_answer);
	if (!c)
		return;
	c->bytes = malloc(size);
	if (!c->bytes) {
		reply_err(req, -ENOMEM);
		free(c);
		return;
	}
	memcpy(c->bytes, data, size);
	c->handle = handle_ref(h);
	c->fi = *fi;
	c->len = size;
	c->off = (uint64_t)off;
	at_run_on(c->fs->writers, req, c);
}

/* flush, fsync */

static int publish(struct writing *w)
{
	struct bucket_entry now;
	uint64_t lacking;
	int r;

	if (!draft_dirty(w->draft))
		return 0;
	writing_entry(w, &now);
	r = draft_publish(w->draft, &now, &lacking);
	if (r) {
		bucket_doubt(w->attached->bucket, w->entry.ino);
		return r;
	}
	r = attach_missed(w->attached, now.key, lacking);
	if (r)
		return r;
	lock_take(&w->fs->at_lock);
	w->entry = now;
	lock_give(&w->fs->at_lock);
	return bucket_note(w->attached->bucket, &now);
}

static int publish_fn(struct at_call *c, bool wait)
{
	if (!wait)
		return AT_WOULD_WAIT;
	return publish(c->handle->writing);
}

static void error_answer(struct at_call *c, fuse_req_t req, int r)
{
	reply_err(req, r);
}

/*
 * Does this close end the writing? A process that was forked closes its copies of what it
 * inherited, also when it starts another program: that must not publish half of a file.
 */
static bool means_it(struct at_handle *h, pid_t tid)
{
	if (!h->opener || process_of(tid) == h->opener)
		__atomic_store_n(&h->opener_left, true, __ATOMIC_RELAXED);
	return __atomic_load_n(&h->opener_left, __ATOMIC_RELAXED);
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool closing)
{
	struct at_handle *h = handle_of(fi);
	struct at_call *c;

	if (!h->writes || !draft_dirty(h->writing->draft) ||
	    (closing && !means_it(h, fuse_req_ctx(req)->pid))) {
		fuse_reply_err(req, 0);
		return;
	}
	c = at_call_new(req, ino, publish_fn, error_answer);
	if (!c)
		return;
	c->handle = handle_ref(h);
	at_run_on(c->fs->writers, req, c);
}

void at_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	flush(req, ino, fi, true);
}

void at_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	flush(req, ino, fi, false);
}

/* The last copy is closed: what no close has published is published now, and nobody hears of it. */
static void release_waiting(void *arg)
{
	struct at_handle *h = arg;
	int r = h->writes ? publish(h->writing) : 0;

	if (r)
		log_warn("attach", "a file was closed and could not be stored", "key=%s error=%s",
			 h->writing->entry.key, strerror(-r));
	handle_unref(h);
}

void at_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at_handle *h = handle_of(fi);

	/* the stores may have to be asked: not here */
	if (!h->writing || pool_run(fs_of(req)->writers, release_waiting, h) != 0)
		handle_unref(h);
	fuse_reply_err(req, 0);
}

void at_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	const struct at_handle *h = handle_of(fi);
	const off_t size =
		(off_t)(h->writing ? draft_size(h->writing->draft) : object_size(h->object));

	if (off < 0 || off >= size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_HOLE ? size : off);
}

/* setattr */

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
		r = publish(w);
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
		r = publish(w);
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
