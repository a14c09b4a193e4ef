/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories. Cursors: 0 begins, 1 is after ".", 2 after "..", in the root those after it are of
 * the attached buckets, the rest are the namespace's own, which stay valid while the directory
 * changes.
 */
#include "fs/fuse_i.h"

#include <sys/stat.h>

#define CURSOR_DOT 1
#define CURSOR_DOTDOT 2

struct entry {
	char name[NAME_MAX_BYTES + 1];
	uint64_t ino, cursor;
	uint32_t type;
	bool known; /* row is filled (readdirplus) */
	struct inode_row row;
};

/* What one readdir collects under the view's lock, to be sent after it. */
struct listing {
	struct view *view;
	struct entry *v;
	size_t n, max;
	bool plus;
};

static int on_entry(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	struct listing *l = arg;
	struct entry *e = &l->v[l->n];

	if (name.len > NAME_MAX_BYTES)
		return fail(-EIO);
	memcpy(e->name, name.data, name.len);
	e->name[name.len] = 0;
	e->ino = ino;
	e->type = type;
	e->cursor = cursor;
	return ++l->n == l->max;
}

/* Rows of the entries, while the view stands still: an entry's inode cannot vanish in between. */
static int add_rows(struct listing *l)
{
	for (size_t i = 0; l->plus && i < l->n; i++) {
		struct inode_view iv = { 0 };
		int r;

		buf_init(&iv.bytes, ROW_MAX);
		r = ns_inode(l->view, l->v[i].ino, &iv);
		if (r == 0) {
			l->v[i].row = iv.row;
			l->v[i].known = true;
		}
		buf_release(&iv.bytes);
		if (r < 0)
			return r;
	}
	return 0;
}

static int collect(struct mountfs *fs, uint64_t dir, uint64_t after, struct listing *l)
{
	int r;

	l->view = commit_lock(commit_of(fs));
	r = ns_readdir(l->view, dir, after, on_entry, l);
	if (r == 0)
		r = add_rows(l);
	commit_unlock(commit_of(fs));
	return r;
}

struct out {
	fuse_req_t req;
	char *buf;
	size_t len, size;
	bool plus;
};

/* False: no room for it. */
static bool add(struct out *o, const char *name, const struct fuse_entry_param *e, uint64_t cursor)
{
	const size_t left = o->size - o->len;
	const size_t need = o->plus ? fuse_add_direntry_plus(o->req, o->buf + o->len, left, name, e,
							     (off_t)cursor)
				    : fuse_add_direntry(o->req, o->buf + o->len, left, name,
							&e->attr, (off_t)cursor);

	if (need > left)
		return false;
	o->len += need;
	return true;
}

/* "." and "..": an entry without a node id is a name only. */
static bool add_dots(struct out *o, uint64_t off)
{
	const struct fuse_entry_param dir = { .attr = { .st_ino = FUSE_ROOT_ID,
							.st_mode = S_IFDIR } };

	if (off < CURSOR_DOT && !add(o, ".", &dir, CURSOR_DOT))
		return false;
	return off >= CURSOR_DOTDOT || add(o, "..", &dir, CURSOR_DOTDOT);
}

/* The attached buckets, in the root. */
static bool add_attached(struct mountfs *fs, struct out *o, uint64_t off, uint64_t last)
{
	size_t len;
	bool all;

	if (off >= last || last == CURSOR_DOTDOT)
		return true;
	all = at_top_entries(fs, o->req, o->buf + o->len, o->size - o->len, o->plus, off, &len);
	o->len += len;
	return all;
}

static void add_entries(struct mountfs *fs, struct out *o, struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct entry *e = &l->v[i];
		struct fuse_entry_param p = { .attr = { .st_ino = shown_ino(fs, e->ino),
							.st_mode = e->type } };

		if (e->known) {
			p.ino = shown_ino(fs, e->ino);
			p.attr_timeout = p.entry_timeout = cache_seconds(fs);
			if (S_ISREG(e->row.mode))
				data_overlay(fs->v->data, e->ino, &e->row);
			stat_fill(fs, e->ino, &e->row, &p.attr);
		}
		if (!add(o, e->name, &p, e->cursor))
			return;
	}
}

/*
 * At least 24 bytes an entry (152 with attributes): as many as can fit, and no more than is worth
 * the memory.
 */
static size_t entries_that_fit(size_t size, bool plus)
{
	return MAX((size_t)1, MIN(size / (plus ? 160 : 32), (size_t)1024));
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct mountfs *fs = fs_of(req);
	struct listing l = { .max = entries_that_fit(size, plus), .plus = plus };
	struct out o = { .req = req, .size = size, .plus = plus };
	const uint64_t dir = real_ino(fs, ino), last = at_top_last(fs, dir);
	int r;

	o.buf = malloc(size);
	l.v = malloc(l.max * sizeof(*l.v));
	r = o.buf && l.v ? collect(fs, dir, (uint64_t)off > last ? (uint64_t)off : 0, &l) : -ENOMEM;
	if (r == 0) {
		if (add_dots(&o, (uint64_t)off) && add_attached(fs, &o, (uint64_t)off, last))
			add_entries(fs, &o, &l);
		fuse_reply_buf(req, o.buf, o.len);
	} else {
		reply_err(req, r == NS_MISSING ? -ESTALE : r);
	}
	free(o.buf);
	free(l.v);
}

void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

/* strict_fn */
static void opendir_now(fuse_req_t req, fuse_ino_t ino, const char *name, struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);

	/*
	 * The kernel may keep the listing: it is told when another mount changes the directory
	 * (K4).
	 */
	fi->cache_readdir = !fs->o->strict;
	fi->keep_cache = !fs->o->strict;
	fuse_reply_open(req, fi);
}

void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	answer_strictly(req, opendir_now, ino, NULL, fi);
}

void do_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* commit_done_fn */
static void sync_done(const struct result *res, void *arg)
{
	later_reply_err(arg, res->error);
}

void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mountfs *fs = fs_of(req);
	struct later *l = later_new(req);

	if (!l)
		reply_err(req, -ENOMEM);
	else
		commit_sync(commit_of(fs), real_ino(fs, ino), sync_done, l);
}
