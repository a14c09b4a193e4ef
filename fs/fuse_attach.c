/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attached buckets as the kernel sees them. What is remembered is answered on the FUSE thread; what
 * needs the store, by a pool: each operation is a function that is run once without waiting and, if
 * that is not enough, again where it may wait.
 */
#include "fs/fuse_attach_i.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CURSOR_DOT 1
#define CURSOR_DOTDOT 2
/* The kernel asks again so soon; what is remembered here answers it. */
#define KERNEL_NS NS_PER_S

static void call_free(struct at_call *c)
{
	handle_unref(c->handle);
	free(c->bytes);
	free(c);
}

static void call_waiting(void *arg)
{
	struct at_call *c = arg;
	int r = c->fn(c, true);

	if (later_claim(c->later))
		c->answer(c, c->later->req, r);
	later_free(c->later);
	call_free(c);
}

struct at_call *at_call_named(fuse_req_t req, fuse_ino_t dir, const char *name, at_fn *fn,
			      at_answer *answer, int taken)
{
	struct at_call *c;

	if (at_top(fs_of(req), dir)) {
		at_refuse(req, dir, name, taken);
		return NULL;
	}
	if (strlen(name) > NAME_MAX_BYTES) {
		fuse_reply_err(req, ENAMETOOLONG);
		return NULL;
	}
	c = at_call_new(req, dir, fn, answer);
	if (c)
		snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

void at_run_on(struct pool *pool, fuse_req_t req, struct at_call *c)
{
	int r = c->fn(c, false);

	if (r != AT_WOULD_WAIT) {
		c->answer(c, req, r);
		call_free(c);
		return;
	}
	c->later = later_new(req);
	if (!c->later) {
		reply_err(req, -ENOMEM);
		call_free(c);
		return;
	}
	r = pool_run(pool, call_waiting, c);
	if (r == 0)
		return;
	later_reply_err(c->later, -ENOMEM);
	call_free(c);
}

void at_run(fuse_req_t req, struct at_call *c)
{
	at_run_on(c->fs->readers, req, c);
}

struct at_call *at_call_new(fuse_req_t req, uint64_t ino, at_fn *fn, at_answer *answer)
{
	struct at_call *c = calloc(1, sizeof(*c));

	if (!c) {
		reply_err(req, -ENOMEM);
		return NULL;
	}
	c->fs = fs_of(req);
	c->ino = ino;
	c->req = req;
	c->pid = fuse_req_ctx(req)->pid;
	c->fn = fn;
	c->answer = answer;
	return c;
}

struct attached *at_bucket(struct mountfs *fs, uint64_t ino)
{
	return attach_of(fs->v->attach, ino);
}

static struct attach *attach_in(struct mountfs *fs)
{
	return fs->v->attach;
}

/* The directory that holds the attachments. */
bool at_top(struct mountfs *fs, uint64_t ino)
{
	return ino == FUSE_ROOT_ID && fs->root == ROOT_INO;
}

bool at_place(struct mountfs *fs, fuse_ino_t ino)
{
	return ino & ATTACHED_BIT || (at_top(fs, ino) && is_bare(fs->v));
}

bool at_name(struct mountfs *fs, fuse_ino_t parent, const char *name)
{
	if (at_place(fs, parent))
		return true;
	return at_top(fs, parent) && attach_find(attach_in(fs), span_str(name));
}

/* A condition of the layer below as one of ours. */
int at_from_bucket(int r)
{
	return r == BUCKET_WOULD_WAIT ? AT_WOULD_WAIT : r == BUCKET_MISSING ? AT_MISSING : r;
}

double at_seconds(struct mountfs *fs, uint64_t ino)
{
	const struct attached *a = attach_of(attach_in(fs), ino);

	return fs->o->strict || !a ? 0 : (double)MIN(a->ttl_ns, KERNEL_NS) / NS_PER_S;
}

void at_stat(struct mountfs *fs, const struct bucket_entry *e, struct stat *ret)
{
	const struct attached *a = attach_of(attach_in(fs), e->ino);
	const mode_t mode = e->is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
	const uint64_t size = e->is_dir ? 0 : at_pages_shown(fs, e);

	*ret = (struct stat){
		.st_ino = e->ino,
		.st_mode = !a || a->read_only ? mode & ~(mode_t)0222 : mode,
		.st_nlink = 1,
		.st_uid = fs->o->set_uid ? fs->o->uid : geteuid(),
		.st_gid = fs->o->set_gid ? fs->o->gid : getegid(),
		.st_size = (off_t)size,
		.st_blksize = 128 * 1024,
		.st_blocks = (blkcnt_t)((size + 511) / 512),
		.st_mtim = { .tv_sec = (time_t)e->modified_s },
	};
	ret->st_atim = ret->st_ctim = ret->st_mtim;
	if (fs->o->set_umask)
		ret->st_mode &= ~(mode_t)fs->o->umask;
}

void at_entry_fill(struct mountfs *fs, const struct bucket_entry *e,
		       struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ .ino = e->ino };
	ret->attr_timeout = ret->entry_timeout = at_seconds(fs, e->ino);
	at_stat(fs, e, &ret->attr);
}

/* The directory of the attachments of a mount of nothing else. */
static void top_entry(struct mountfs *fs, struct bucket_entry *ret)
{
	*ret = (struct bucket_entry){ .ino = FUSE_ROOT_ID,
				      .parent = FUSE_ROOT_ID,
				      .is_dir = true,
				      .modified_s = clock_wall() / NS_PER_S };
}

static void attached_entry(const struct attached *a, struct bucket_entry *ret)
{
	*ret = (struct bucket_entry){ .ino = bucket_root(a->bucket),
				      .parent = FUSE_ROOT_ID,
				      .is_dir = true,
				      .modified_s = clock_wall() / NS_PER_S };
}

int at_get_entry(struct mountfs *fs, uint64_t ino, bool wait, struct bucket_entry *ret)
{
	const struct attached *a = attach_of(attach_in(fs), ino);
	struct writing *w;

	if (ino == FUSE_ROOT_ID) {
		top_entry(fs, ret);
		return 0;
	}
	if (!a)
		return AT_MISSING;
	if (ino == bucket_root(a->bucket)) {
		attached_entry(a, ret);
		return 0;
	}
	w = writing_find(fs, ino);
	if (w) {
		writing_entry(w, ret);
		writing_unref(fs, w);
		return 0;
	}
	return at_from_bucket(bucket_get(a->bucket, ino, bucket_wait(wait), ret));
}

/* lookup */

/* A file that is being written over is shown as it is written. */
static int look_listed(struct at_call *c, const struct attached *a, struct span name, bool wait)
{
	int r = at_from_bucket(
		bucket_lookup(a->bucket, c->ino, name, bucket_wait(wait), &c->entry));
	struct writing *w = r ? NULL : writing_find(c->fs, c->entry.ino);

	if (w) {
		writing_overlay(w, &c->entry);
		writing_unref(c->fs, w);
	}
	return r;
}

static int lookup_fn(struct at_call *c, bool wait)
{
	const struct span name = span_str(c->name);
	const struct attached *a;
	struct writing *w;

	if (at_top(c->fs, c->ino)) {
		a = attach_find(attach_in(c->fs), name);
		if (!a)
			return AT_MISSING;
		attached_entry(a, &c->entry);
		return 0;
	}
	a = attach_of(attach_in(c->fs), c->ino);
	if (!a)
		return AT_MISSING;
	if (!strcmp(c->name, ".") || !strcmp(c->name, "..")) { /* asked by who exports it (NFS) */
		int r = at_get_entry(c->fs, c->ino, wait, &c->entry);

		if (r || !c->name[1])
			return r;
		return at_get_entry(c->fs, c->entry.parent, wait, &c->entry);
	}
	w = writing_named(c->fs, c->ino, c->name);
	if (w) {
		writing_entry(w, &c->entry);
		writing_unref(c->fs, w);
		return 0;
	}
	return look_listed(c, a, name, wait);
}

static void lookup_answer(struct at_call *c, fuse_req_t req, int r)
{
	struct fuse_entry_param e = { .entry_timeout = at_seconds(c->fs, c->ino) };

	if (r == AT_MISSING && e.entry_timeout > 0) {
		fuse_reply_entry(req, &e);
	} else if (r == AT_MISSING) {
		fuse_reply_err(req, ENOENT);
	} else if (r) {
		reply_err(req, r);
	} else {
		at_entry_fill(c->fs, &c->entry, &e);
		fuse_reply_entry(req, &e);
	}
}

void at_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct at_call *c;

	if (strlen(name) > NAME_MAX_BYTES) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	c = at_call_new(req, parent, lookup_fn, lookup_answer);
	if (!c)
		return;
	snprintf(c->name, sizeof(c->name), "%s", name);
	at_run(req, c);
}

/* getattr */

static int getattr_fn(struct at_call *c, bool wait)
{
	return at_get_entry(c->fs, c->ino, wait, &c->entry);
}

void at_answer_attr(struct at_call *c, fuse_req_t req, int r)
{
	struct stat st;

	if (r) {
		reply_err(req, r == AT_MISSING ? -ESTALE : r);
		return;
	}
	at_stat(c->fs, &c->entry, &st);
	fuse_reply_attr(req, &st, at_seconds(c->fs, c->ino));
}

void at_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct at_call *c = at_call_new(req, ino, getattr_fn, at_answer_attr);

	if (c)
		at_run(req, c);
}

/* readdir */

/* False: no room for it. */
static bool add_entry(struct at_call *c, const char *name, const struct bucket_entry *e,
		      uint64_t cursor)
{
	const size_t left = c->size - c->len;
	char *at = (char *)c->bytes + c->len;
	struct fuse_entry_param p;
	size_t need;

	at_entry_fill(c->fs, e, &p);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		p = (struct fuse_entry_param){ .attr = { .st_ino = FUSE_ROOT_ID,
							 .st_mode = S_IFDIR } };
	need = c->plus ? fuse_add_direntry_plus(c->req, at, left, name, &p, (off_t)cursor) :
			 fuse_add_direntry(c->req, at, left, name, &p.attr, (off_t)cursor);
	if (need > left)
		return false;
	c->len += need;
	return true;
}

static bool add_dots(struct at_call *c)
{
	struct bucket_entry dir;

	top_entry(c->fs, &dir);
	if (c->off < CURSOR_DOT && !add_entry(c, ".", &dir, CURSOR_DOT))
		return false;
	return c->off >= CURSOR_DOTDOT || add_entry(c, "..", &dir, CURSOR_DOTDOT);
}

static int on_bucket_entry(struct span name, const struct bucket_entry *e, void *arg)
{
	struct at_call *c = arg;
	char text[NAME_MAX_BYTES + 1];

	if (name.len > NAME_MAX_BYTES)
		return fail(-EIO);
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return !add_entry(c, text, e, e->ino & ~ATTACHED_BIT);
}

/*
 * The names of the attachments, behind the dots. A cursor is the number of the attachment, which
 * it keeps while others come and go.
 */
static bool add_attached(struct at_call *c)
{
	unsigned number = c->off > CURSOR_DOTDOT ? (unsigned)(c->off - CURSOR_DOTDOT) : 0;
	const struct attached *a;

	while ((a = attach_next(attach_in(c->fs), number))) {
		struct bucket_entry e;

		number = a->number;
		attached_entry(a, &e);
		if (!add_entry(c, a->name, &e, CURSOR_DOTDOT + number))
			return false;
	}
	return true;
}

static int readdir_bucket(struct at_call *c, bool wait)
{
	const struct attached *a = attach_of(attach_in(c->fs), c->ino);
	uint64_t after = c->off > CURSOR_DOTDOT ? c->off | ATTACHED_BIT : 0;
	bool end = false;
	int r;

	if (!a)
		return AT_MISSING;
	/* While the listing streams in there may be nothing yet to tell: an empty answer would be
	 * the end. */
	do {
		const size_t had = c->len;

		r = at_from_bucket(bucket_readdir(a->bucket, c->ino, after, bucket_wait(wait),
					       on_bucket_entry, c, &end));
		if (r || c->len > had)
			break;
	} while (!end && wait);
	if (!r && !end && !c->len && !wait)
		return AT_WOULD_WAIT;
	return r;
}

static int readdir_fn(struct at_call *c, bool wait)
{
	c->bytes = c->bytes ? c->bytes : malloc(c->size);
	c->len = 0;
	if (!c->bytes)
		return fail(-ENOMEM);
	if (!add_dots(c))
		return 0;
	if (c->ino != FUSE_ROOT_ID)
		return readdir_bucket(c, wait);
	add_attached(c);
	return 0;
}

static void readdir_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r == AT_MISSING ? -ESTALE : r);
	else
		fuse_reply_buf(req, (char *)c->bytes, c->len);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct at_call *c = at_call_new(req, ino, readdir_fn, readdir_answer);

	if (!c)
		return;
	c->size = size;
	c->off = (uint64_t)off;
	c->plus = plus;
	at_run(req, c);
}

void at_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

void at_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

bool at_top_entries(struct mountfs *fs, fuse_req_t req, char *buf, size_t size, bool plus,
		    uint64_t off, size_t *ret_len)
{
	struct at_call c = { .fs = fs,
			     .req = req,
			     .bytes = (uint8_t *)buf,
			     .size = size,
			     .plus = plus,
			     .off = off };

	const bool all = add_attached(&c);

	*ret_len = c.len;
	return all;
}

uint64_t at_top_last(struct mountfs *fs, uint64_t root)
{
	const struct attached *a = NULL, *last = NULL;

	while (root == ROOT_INO && (a = attach_next(attach_in(fs), a ? a->number : 0)))
		last = a;
	return CURSOR_DOTDOT + (last ? last->number : 0);
}

void at_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

/* extended attributes: what the store says of the object */

static int getxattr_fn(struct at_call *c, bool wait)
{
	int r = at_get_entry(c->fs, c->ino, wait, &c->entry);
	const char *value = NULL;

	if (r)
		return r;
	if (!strcmp(c->name, "user.mangrove.key"))
		value = c->entry.key;
	if (!strcmp(c->name, "user.mangrove.version"))
		for (unsigned i = 0; i < MIRRORS_MAX && (!value || !*value); i++)
			value = c->entry.version[i];
	if (!value)
		return -ENODATA;
	c->bytes = (uint8_t *)strdup(value);
	c->len = strlen(value);
	return c->bytes ? 0 : fail(-ENOMEM);
}

static void getxattr_answer(struct at_call *c, fuse_req_t req, int r)
{
	if (r)
		reply_err(req, r == AT_MISSING ? -ESTALE : r);
	else if (c->size == 0)
		fuse_reply_xattr(req, c->len);
	else if (c->len > c->size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (char *)c->bytes, c->len);
}

void at_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct at_call *c;

	if (strncmp(name, "user.", 5) != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	c = at_call_new(req, ino, getxattr_fn, getxattr_answer);
	if (!c)
		return;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->size = size;
	at_run(req, c);
}

void at_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}
