/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (P1) `names` has, by inode number, where an inode was named last, as far as was seen: its parent
 *      and its name. An entry that is "gone" is wanted and not known.
 * (P2) `folders` has the paths of directories that were asked for: they are asked for once.
 */
#include "fs/history.h"

#include "base/map.h"
#include "fs/ns/dentry.h"
#include "fs/ns/lookup.h"

#define PATH_MAX_BYTES (64 * KiB)
#define DEPTH_MAX 256u

struct history_paths {
	struct volume *v;
	struct map *names;   /* (P1) be64 inode -> be64 parent, name */
	struct map *folders; /* (P2) be64 inode -> path; gone: it has none */
	bool wanted;
};

struct history_paths *history_paths_free(struct history_paths *p)
{
	if (!p)
		return NULL;
	map_free(p->names);
	map_free(p->folders);
	free(p);
	return NULL;
}

struct history_paths *history_paths_new(struct volume *v)
{
	_cleanup_(history_paths_freep) struct history_paths *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->v = v;
	p->names = map_new();
	p->folders = map_new();
	return p->names && p->folders ? take_ptr(&p) : NULL;
}

static uint64_t number_at(struct span s)
{
	struct reader rd = READER(s);

	return read_be64(&rd);
}

static int set_name(struct history_paths *p, uint64_t ino, uint64_t parent, struct span name)
{
	uint8_t key[8], value[8 + NAME_MAX_BYTES];

	if (name.len > NAME_MAX_BYTES)
		return 0; /* such an operation has failed */
	key_ino(ino, key);
	key_ino(parent, value);
	memcpy(value + 8, name.data, name.len);
	return map_put(p->names, span_of(key, 8), span_of(value, 8 + name.len), false);
}

static bool name_of(const struct history_paths *p, uint64_t ino, uint64_t *ret_parent,
		    struct span *ret_name)
{
	uint8_t key[8];
	struct span value;
	bool gone;

	key_ino(ino, key);
	if (!map_get(p->names, span_of(key, 8), &value, &gone) || gone)
		return false;
	*ret_parent = number_at(value);
	*ret_name = span_sub(value, 8, SIZE_MAX);
	return true;
}

static void forget_name(struct history_paths *p, uint64_t ino, uint64_t parent, struct span name)
{
	uint8_t key[8];
	struct span known;
	uint64_t in;

	key_ino(ino, key);
	if (name_of(p, ino, &in, &known) && in == parent && span_equal(known, name))
		map_erase(p->names, span_of(key, 8));
}

int history_paths_note(struct history_paths *p, const struct op *op)
{
	struct span name;
	uint64_t parent;

	switch (op->kind) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_SYMLINK:
		return set_name(p, op->ino, op->parent, op->name);
	case OP_LINK: /* one more: it keeps the one that it is known by */
		return name_of(p, op->ino, &parent, &name) ?
			       0 :
			       set_name(p, op->ino, op->parent, op->name);
	case OP_UNLINK:
		forget_name(p, op->saw, op->parent, op->name);
		return 0;
	case OP_RENAME:
		if (op->saw == SAW_ANYTHING)
			return 0;
		return set_name(p, op->saw, op->to_parent, op->to_name);
	default:
		return 0;
	}
}

/* As it is now. */
static int folder_now(struct history_paths *p, uint64_t dir, struct buf *ret)
{
	_cleanup_buf_ struct buf path = BUF_INIT(PATH_MAX_BYTES);
	uint8_t key[8];
	struct span known;
	bool gone;
	int r, kept;

	key_ino(dir, key);
	if (map_get(p->folders, span_of(key, 8), &known, &gone))
		return gone ? NS_MISSING : buf_add_span(ret, known);
	r = ns_dir_path(commit_lock(p->v->commit), dir, &path);
	commit_unlock(p->v->commit);
	if (r < 0)
		return r;
	kept = map_put(p->folders, span_of(key, 8), buf_span(&path), r == NS_MISSING);
	if (kept)
		return kept;
	return r ? r : buf_add_span(ret, buf_span(&path));
}

static int add_name(struct span name, struct buf *ret)
{
	bool root = ret->len && ret->data[ret->len - 1] == '/';
	int r = root ? 0 : buf_add_byte(ret, '/');

	return r ? r : buf_add_span(ret, name);
}

/* Of a directory that is gone, by the names that were seen of it and those above. */
static int folder_path(struct history_paths *p, uint64_t dir, unsigned depth, struct buf *ret)
{
	struct span name;
	uint64_t parent;
	int r = folder_now(p, dir, ret);

	if (r != NS_MISSING || !depth || !name_of(p, dir, &parent, &name))
		return r;
	r = folder_path(p, parent, depth - 1, ret);
	return r ? r : add_name(name, ret);
}

int history_path(struct history_paths *p, uint64_t parent, struct span name, struct buf *ret)
{
	const size_t begin = ret->len;
	int r = folder_path(p, parent, DEPTH_MAX, ret);

	if (!r)
		r = add_name(name, ret);
	if (r)
		ret->len = begin;
	return r;
}

int history_path_of(struct history_paths *p, uint64_t ino, struct buf *ret)
{
	struct span name;
	uint64_t parent;

	if (name_of(p, ino, &parent, &name))
		return history_path(p, parent, name, ret);
	return folder_now(p, ino, ret);
}

static bool has_name(struct history_paths *p, uint64_t ino)
{
	struct inode_view at = { 0 };
	int r = ns_inode(commit_lock(p->v->commit), ino, &at);
	bool yes = !r && at.row.nlink;

	commit_unlock(p->v->commit);
	buf_release(&at.bytes);
	return yes;
}

int history_paths_want(struct history_paths *p, uint64_t ino)
{
	uint8_t key[8];
	struct span value;
	bool gone;

	key_ino(ino, key);
	if (map_get(p->names, span_of(key, 8), &value, &gone) || !has_name(p, ino))
		return 0;
	p->wanted = true;
	return map_put(p->names, span_of(key, 8), SPAN_NULL, true);
}

/* The entries of one bucket: be64 parent, be64 hash. */
static int take_bucket(struct history_paths *p, struct span key, struct span bucket)
{
	struct reader rd = READER(bucket);
	struct dentry d;
	int r = 0;

	while (!r && key.len >= 8 && dentry_next(&rd, &d)) {
		uint8_t ino[8];
		struct span value;
		bool wanted;

		key_ino(d.ino, ino);
		if (map_get(p->names, span_of(ino, 8), &value, &wanted) && wanted)
			r = set_name(p, d.ino, number_at(key), d.name);
	}
	return r;
}

int history_paths_find(struct history_paths *p)
{
	_cleanup_(kv_iter_freep) struct kv_iter *it = NULL;
	int r = 0;

	if (!p->wanted)
		return 0;
	it = kv_iter_new_once(p->v->ns, COL_DENTRY);
	if (!it)
		return fail(-ENOMEM);
	for (kv_iter_seek(it, SPAN_NULL); !r && kv_iter_valid(it); kv_iter_next(it))
		r = take_bucket(p, kv_iter_key(it), kv_iter_value(it));
	p->wanted = false;
	return r ? r : kv_iter_error(it);
}
