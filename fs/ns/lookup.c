/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/lookup.h"

#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "fs/ns/extent.h"
#include "fs/ns/row_io.h"

/* The view's condition is ours. */
static int answer(int r)
{
	return r == VIEW_MISSING ? NS_MISSING : r;
}

int ns_inode(struct view *v, uint64_t ino, struct inode_view *ret)
{
	struct inode_view iv = { .bytes = BUF_INIT(ROW_MAX) };
	const int r = inode_load(v, ino, &iv.row, &iv.bytes);

	if (r) {
		buf_release(&iv.bytes);
		return answer(r);
	}
	*ret = iv;
	return 0;
}

int ns_lookup(struct view *v, uint64_t parent, struct span name, uint64_t *ret_ino,
	      uint32_t *ret_type)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct volume_row volume;
	int r;

	r = volume_load(v, &volume, &bytes);
	if (r)
		return answer(r);
	r = dentry_find(v, volume.name_key, parent, name, &slot);
	if (r)
		return r;
	if (!slot.found)
		return NS_MISSING;
	if (ret_ino)
		*ret_ino = slot.ino;
	if (ret_type)
		*ret_type = slot.type;
	return 0;
}

int ns_path(struct view *v, const char *path, struct inode_view *ret, uint64_t *ret_ino)
{
	struct inode_view at = { 0 };
	uint64_t ino = ROOT_INO;
	int r = ns_inode(v, ino, &at);

	while (!r && *path) {
		const size_t len = strcspn(path, "/");

		if (len) {
			r = S_ISDIR(at.row.mode)
				    ? ns_lookup(v, ino, span_of(path, len), &ino, NULL)
				    : -ENOTDIR;
			buf_release(&at.bytes); /* of the one before */
			if (!r)
				r = ns_inode(v, ino, &at);
		}
		path += len + (path[len] == '/');
	}
	if (r) {
		buf_release(&at.bytes);
		return r == NS_MISSING ? -ENOENT : r;
	}
	*ret = at;
	*ret_ino = ino;
	return 0;
}

struct readdir {
	uint64_t after;
	ns_entry_fn *fn;
	void *arg;
};

static int readdir_bucket(struct span key, struct span value, void *arg)
{
	const struct readdir *d = arg;
	struct reader rd = READER(value);
	struct dentry e;
	uint64_t hash;

	if (key.len != 16)
		return -EBADMSG;
	hash = key_u64(key.data + 8);
	while (dentry_next(&rd, &e)) {
		const uint64_t cursor = dentry_cursor(hash, e.tie);
		const int r = cursor > d->after ? d->fn(e.name, e.ino, e.type, cursor, d->arg) : 0;

		if (r)
			return r;
	}
	return read_end(&rd);
}

int ns_readdir(struct view *v, uint64_t dir, uint64_t after, ns_entry_fn *fn, void *arg)
{
	struct readdir d = { .after = after, .fn = fn, .arg = arg };
	uint8_t prefix[8], from[16];

	key_ino(dir, prefix);
	key_ino_u64(dir, after >> 3, from);
	return view_walk(v, COL_DENTRY, span_of(prefix, sizeof(prefix)),
			 span_of(from, sizeof(from)), readdir_bucket, &d);
}

int ns_extents(struct view *v, uint64_t ino, uint64_t off, uint64_t len, ns_extent_fn *fn,
	       void *arg)
{
	return extents_walk(v, ino, off, len > UINT64_MAX - off ? UINT64_MAX : off + len, fn, arg);
}

int ns_chunk(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret)
{
	return answer(chunk_load(v, id, ret));
}

int ns_getxattr(struct view *v, uint64_t ino, struct span name, struct buf *ret)
{
	uint8_t key[8 + NAME_MAX_BYTES];

	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return NS_MISSING;
	key_ino(ino, key);
	memcpy(key + 8, name.data, name.len);
	return answer(view_get(v, COL_XATTR, span_of(key, 8 + name.len), ret));
}

struct listxattr {
	ns_xattr_fn *fn;
	void *arg;
};

static int listxattr_one(struct span key, struct span value, void *arg)
{
	const struct listxattr *l = arg;

	return key.len <= 8 ? -EBADMSG : l->fn(span_sub(key, 8, SIZE_MAX), l->arg);
}

int ns_listxattr(struct view *v, uint64_t ino, ns_xattr_fn *fn, void *arg)
{
	struct listxattr l = { .fn = fn, .arg = arg };
	uint8_t prefix[8];

	key_ino(ino, prefix);
	return view_walk(v, COL_XATTR, span_of(prefix, sizeof(prefix)), SPAN_NULL, listxattr_one,
			 &l);
}

struct find_name {
	uint64_t ino;
	struct buf *path; /* gets the name, reversed: the path is built from its end */
	bool found;
};

static int add_reversed(struct buf *b, struct span s)
{
	uint8_t *to = buf_extend(b, s.len);

	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < s.len; i++)
		to[i] = s.data[s.len - 1 - i];
	return 0;
}

static int find_name(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	struct find_name *f = arg;
	int r;

	if (ino != f->ino || type != S_IFDIR)
		return 0;
	f->found = true;
	r = add_reversed(f->path, name);
	return r ? r : 1;
}

/* Adds a directory's name and a slash, both reversed, and answers its parent. */
static int path_step(struct view *v, uint64_t dir, struct buf *path, uint64_t *ret_parent)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct find_name f = { .ino = dir, .path = path };
	struct inode_row row;
	int r;

	r = inode_load(v, dir, &row, &bytes);
	if (r)
		return answer(r);
	if (!S_ISDIR(row.mode) || row.parent == 0)
		return NS_MISSING;
	r = ns_readdir(v, row.parent, 0, find_name, &f);
	if (r)
		return r;
	if (!f.found)
		return -EBADMSG;
	r = buf_add_byte(path, '/');
	if (r)
		return r;
	*ret_parent = row.parent;
	return 0;
}

#define PATH_BYTES_MAX (1024 * 1024)

int ns_dir_path(struct view *v, uint64_t dir, struct buf *ret)
{
	_cleanup_buf_ struct buf path = BUF_INIT(PATH_BYTES_MAX);

	if (dir == ROOT_INO)
		return buf_add_byte(ret, '/');
	while (dir != ROOT_INO) {
		const int r = path_step(v, dir, &path, &dir);

		if (r)
			return r;
	}
	return add_reversed(ret, buf_span(&path));
}
