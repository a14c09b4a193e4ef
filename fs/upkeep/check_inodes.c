/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes, a window at a time, and all that names them: entries, extents, attributes, orphans. */
#include <inttypes.h>
#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "fs/ns/extent.h"
#include "fs/upkeep/check_i.h"

/* One inode: what its row says, and what was counted. */
struct inode_tally {
	uint64_t ino, parent, size, bytes, children;
	uint32_t mode, nlink, subdirs;
	uint32_t names, entered_dirs;
	uint64_t entries, extent_bytes;
	bool orphan;
};

/* Inodes from `first` on, and none at or above `end` is anybody else's to judge. */
struct window {
	struct inode_tally *all;
	size_t n, max;
	uint64_t first, end;
	/* the last extent of the walk */
	struct inode_tally *file;
	struct extent_row last;
	uint64_t last_end;
	uint8_t last_reference[FOREIGN_REFERENCE_MAX];
};

static int by_ino(const void *a, const void *b)
{
	const struct inode_tally *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct inode_tally *find(const struct window *w, uint64_t ino)
{
	const struct inode_tally key = { .ino = ino };

	return bsearch(&key, w->all, w->n, sizeof(key), by_ino);
}

static bool is_in(const struct window *w, uint64_t ino)
{
	return ino >= w->first && (ino < w->end || w->end == UINT64_MAX);
}

static int note_dir(struct check *c, uint64_t ino, uint64_t parent)
{
	if (c->n_dirs == c->cap_dirs) {
		const size_t cap = MAX(2 * c->cap_dirs, (size_t)1024);
		struct check_dir *all = reallocarray(c->dirs, cap, sizeof(*all));

		if (!all)
			return fail(-ENOMEM);
		c->dirs = all;
		c->cap_dirs = cap;
	}
	c->dirs[c->n_dirs++] = (struct check_dir){ ino, parent };
	return 0;
}

static int inode_one(struct check *c, struct span key, struct span value, void *arg)
{
	struct window *w = arg;
	struct inode_row row;

	if (key.len != 8 || inode_row_decode(value, &row))
		return 0;
	if (w->n == w->max) {
		w->end = key_u64(key.data);
		return 1;
	}
	w->all[w->n++] = (struct inode_tally){ .ino = key_u64(key.data),
					       .parent = row.parent,
					       .size = row.size,
					       .bytes = row.bytes,
					       .children = row.children,
					       .mode = row.mode,
					       .nlink = row.nlink,
					       .subdirs = row.subdirs };
	c->counted.bytes += row.bytes;
	if (!row.nlink)
		return 0;
	if (!S_ISDIR(row.mode)) {
		c->counted.files++;
		return 0;
	}
	c->counted.directories++;
	return note_dir(c, key_u64(key.data), row.parent);
}

/* What the name leads to. */
static void entry_target(struct check *c, const struct window *w, uint64_t parent,
			 const struct dentry *d)
{
	struct inode_tally *t = find(w, d->ino);

	if (!t || (t->mode & S_IFMT) != d->type) {
		check_found(c, CHECK_ENTRY, "directory %" PRIu64 ", '%.*s': inode %" PRIu64 " %s",
			    parent, SPAN_FMT(d->name), d->ino,
			    t ? "is of another type" : "does not exist");
		return;
	}
	t->names++;
	if (S_ISDIR(t->mode) && t->parent != parent)
		check_found(c, CHECK_ONE_NAME, "directory %" PRIu64 ": named in %" PRIu64
			    ", its parent is %" PRIu64, t->ino, parent, t->parent);
}

static int bucket_one(struct check *c, struct span key, struct span value, void *arg)
{
	const struct window *w = arg;
	struct reader rd = READER(value);
	struct inode_tally *dir = NULL;
	uint64_t parent;
	struct dentry d;

	if (key.len != 16)
		return 0;
	parent = key_u64(key.data);
	if (is_in(w, parent)) {
		dir = find(w, parent);
		if (!dir || !S_ISDIR(dir->mode))
			check_found(c, CHECK_PARENT, "directory %" PRIu64, parent);
	}
	while (dentry_next(&rd, &d)) {
		if (dir) {
			dir->entries++;
			dir->entered_dirs += S_ISDIR(d.type);
		}
		if (is_in(w, d.ino))
			entry_target(c, w, parent, &d);
	}
	return 0;
}

static int orphan_one(struct check *c, struct span key, struct span value, void *arg)
{
	struct window *w = arg;
	struct inode_tally *t;
	uint64_t ino;

	if (key.len != 8)
		return 0;
	ino = key_u64(key.data);
	if (!is_in(w, ino))
		return 1;
	t = find(w, ino);
	if (t)
		t->orphan = true;
	if (!t || t->nlink)
		check_found(c, CHECK_ORPHAN, "inode %" PRIu64 " %s", ino,
			    t ? "has a name" : "does not exist");
	return 0;
}

static int xattr_one(struct check *c, struct span key, struct span value, void *arg)
{
	const struct window *w = arg;
	uint64_t ino;

	if (key.len < 8)
		return 0;
	ino = key_u64(key.data);
	if (!is_in(w, ino))
		return 1;
	if (!find(w, ino))
		check_found(c, CHECK_XATTR, "inode %" PRIu64 ", %.*s", ino,
			    SPAN_FMT(span_sub(key, 8, SIZE_MAX)));
	return 0;
}

/* Remembers an extent beyond the life of its row. */
static void remember(struct window *w, const struct extent_row *row, uint64_t end)
{
	w->last = *row;
	w->last_end = end;
	if (row->kind != EXTENT_FOREIGN || row->bytes.len > sizeof(w->last_reference))
		return;
	memcpy(w->last_reference, row->bytes.data, row->bytes.len);
	w->last.bytes = span_of(w->last_reference, row->bytes.len);
}

/* With the one before it in the same file. */
static void neighbours(struct check *c, const struct window *w, const struct extent_row *row,
		       uint64_t ino, uint64_t begin)
{
	if (begin < w->last_end)
		check_found(c, CHECK_EXTENT, "inode %" PRIu64 ", offset %" PRIu64 ": overlaps", ino,
			    begin);
	else if (begin == w->last_end && extent_continues(&w->last, row))
		check_found(c, CHECK_JOINED, "inode %" PRIu64 ", offset %" PRIu64, ino, begin);
}

static int extent_one(struct check *c, struct span key, struct span value, void *arg)
{
	struct window *w = arg;
	struct inode_tally *t;
	struct extent_row row;
	uint64_t ino, end;

	if (key.len != 16 || extent_row_decode(value, &row))
		return 0;
	ino = key_u64(key.data);
	end = key_u64(key.data + 8) + 1;
	if (!is_in(w, ino))
		return 1;
	t = find(w, ino);
	if (!t || !S_ISREG(t->mode) || end > t->size || row.length > end) {
		check_found(c, CHECK_EXTENT, "inode %" PRIu64 ", end %" PRIu64 ": %s", ino, end,
			    !t || !S_ISREG(t->mode) ? "no file" : "not within the file");
		if (!t)
			return 0;
	}
	if (t == w->file)
		neighbours(c, w, &row, ino, end - row.length);
	w->file = t;
	remember(w, &row, end);
	t->extent_bytes += row.length;
	return 0;
}

static void judge_dir(struct check *c, const struct inode_tally *t)
{
	if (t->entries != t->children || t->entered_dirs != t->subdirs)
		check_found(c, CHECK_CHILDREN, "directory %" PRIu64 ": says %" PRIu64 " and %u, "
			    "has %" PRIu64 " and %u", t->ino, t->children, t->subdirs, t->entries,
			    t->entered_dirs);
	if (t->nlink && t->nlink != 2 + t->subdirs)
		check_found(c, CHECK_LINKS, "directory %" PRIu64 ": %u, not %u", t->ino, t->nlink,
			    2 + t->subdirs);
	if (t->names != (t->nlink && t->ino != ROOT_INO))
		check_found(c, CHECK_ONE_NAME, "directory %" PRIu64 ": %u names", t->ino, t->names);
}

static void judge(struct check *c, const struct inode_tally *t)
{
	if (S_ISDIR(t->mode))
		judge_dir(c, t);
	else if (t->names != t->nlink)
		check_found(c, CHECK_LINKS, "inode %" PRIu64 ": %u, has %u names", t->ino, t->nlink,
			    t->names);
	if (!t->nlink && !t->orphan)
		check_found(c, CHECK_ORPHAN, "inode %" PRIu64 " has no name", t->ino);
	if (t->extent_bytes != t->bytes)
		check_found(c, CHECK_BYTES, "inode %" PRIu64 ": %" PRIu64 ", has %" PRIu64, t->ino,
			    t->bytes, t->extent_bytes);
}

/* One window, from w->first on. */
static int one_window(struct check *c, struct window *w)
{
	uint8_t from[8];
	const struct span key = span_of(from, sizeof(from));
	int r;

	key_ino(w->first, from);
	w->n = 0;
	w->end = UINT64_MAX;
	w->file = NULL;
	r = check_walk(c, COL_INODE, key, inode_one, w);
	if (!r)
		r = check_walk(c, COL_DENTRY, SPAN_NULL, bucket_one, w);
	if (!r)
		r = check_walk(c, COL_ORPHAN, key, orphan_one, w);
	if (!r)
		r = check_walk(c, COL_XATTR, key, xattr_one, w);
	if (!r)
		r = check_walk(c, COL_EXTENT, key, extent_one, w);
	for (size_t i = 0; i < w->n && !r; i++)
		judge(c, &w->all[i]);
	return r;
}

int check_inodes(struct check *c)
{
	struct window *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return fail(-ENOMEM);
	w->max = MAX(MIN(c->o->window, (size_t)c->rep.inodes), (size_t)1);
	w->all = calloc(w->max, sizeof(*w->all));
	if (!w->all)
		r = fail(-ENOMEM);
	while (!r) {
		r = one_window(c, w);
		if (w->end == UINT64_MAX)
			break;
		w->first = w->end;
	}
	free(w->all);
	free(w);
	return r;
}
