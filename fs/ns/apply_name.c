/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

/* May this mount use that number for a new inode? 0, EINVAL. */
static int new_ino_check(struct apply *a, uint64_t ino)
{
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	const uint64_t block = ino >> INO_BLOCK_BITS;
	uint8_t key[8];
	int r;

	key_ino(block, key);
	if (block > UINT32_MAX)
		return EINVAL;
	r = view_get(a->view, COL_BLOCK, span_of(key + 4, 4), &row);
	if (r)
		return r == VIEW_MISSING ? EINVAL : r;
	if (!span_equal(buf_span(&row), span_of(a->ctx->incarnation, INCARNATION_SIZE)))
		return EINVAL;
	key_ino(ino, key);
	r = view_get(a->view, COL_INODE, span_of(key, sizeof(key)), &row);
	return r == VIEW_MISSING ? 0 : r ? r : EINVAL;
}

/* A directory in which op.name is free. */
static int free_name_check(struct apply *a, struct node **ret_dir, struct dentry_slot *ret)
{
	struct node *dir;
	bool attached;
	int r;

	r = node_get_parent(a, a->op->parent, &dir);
	if (r)
		return r;
	r = apply_find(a, dir, a->op->name, ret);
	if (r)
		return r;
	if (ret->found) {
		a->value = ret->ino;
		return EEXIST;
	}
	r = apply_is_attached(a, dir->ino, a->op->name, &attached);
	if (r)
		return r;
	if (attached)
		return EEXIST;
	if (ret->tie == DENTRY_TIES)
		return ENOSPC;
	*ret_dir = dir;
	return 0;
}

/* A setgid directory hands down its group, and to directories the bit itself. */
static void inherit(const struct apply *a, const struct node *dir, uint32_t mode,
		    struct inode_row *ret)
{
	const bool setgid = dir->row.mode & S_ISGID;

	ret->mode = mode | (setgid && S_ISDIR(mode) ? (uint32_t)S_ISGID : 0);
	ret->uid = a->op->uid;
	ret->gid = setgid ? dir->row.gid : a->op->gid;
	ret->policy = dir->row.policy;
	ret->project = dir->row.project;
}

int apply_make(struct apply *a, uint32_t mode, struct node **ret)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	const struct op *op = a->op;
	struct node *dir, *n;
	int r;

	r = free_name_check(a, &dir, &slot);
	if (r)
		return r;
	if (S_ISDIR(mode) && dir->row.subdirs == UINT32_MAX - 2)
		return EMLINK;
	r = new_ino_check(a, op->ino);
	if (r)
		return r;
	r = apply_totals_load(a);
	if (r)
		return r;
	r = dentry_set(a->view, &slot, op->ino, mode & S_IFMT);
	if (r)
		return r;
	dir->row.children++;
	node_changed(a, dir);
	if (S_ISDIR(mode)) {
		node_count_subdirs(dir, 1);
		a->totals.directories++;
	} else {
		a->totals.files++;
	}
	a->totals_dirty = true;
	n = node_new(a, op->ino);
	inherit(a, dir, mode, &n->row);
	n->row.nlink = S_ISDIR(mode) ? 2 : 1;
	n->row.mtime_ns = n->row.ctime_ns = n->row.btime_ns = op->time_ns;
	a->value = op->ino;
	*ret = n;
	return 0;
}

int apply_create(struct apply *a)
{
	const uint32_t mode = a->op->mode;
	struct node *n;
	int r;

	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode) &&
	    !S_ISBLK(mode))
		return EINVAL;
	r = apply_make(a, mode, &n);
	if (r)
		return r;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		n->row.rdev = a->op->rdev;
	return 0;
}

int apply_mkdir(struct apply *a)
{
	struct node *n;
	int r;

	r = apply_make(a, S_IFDIR | (a->op->mode & 07777), &n);
	if (r)
		return r;
	n->row.parent = a->op->parent;
	return 0;
}

int apply_symlink(struct apply *a)
{
	const struct span target = a->op->value;
	struct node *n;
	int r;

	if (target.len == 0)
		return ENOENT;
	if (target.len > TARGET_MAX_BYTES)
		return ENAMETOOLONG;
	if (memchr(target.data, 0, target.len))
		return EINVAL;
	r = apply_make(a, S_IFLNK | 0777, &n);
	if (r)
		return r;
	n->row.target = target;
	n->row.size = target.len;
	return 0;
}

int apply_link(struct apply *a)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	struct node *dir, *n;
	int r;

	r = free_name_check(a, &dir, &slot);
	if (r)
		return r;
	r = node_get(a, a->op->ino, &n);
	if (r)
		return r;
	if (S_ISDIR(n->row.mode))
		return EPERM;
	if (n->row.nlink == 0)
		return ENOENT;
	if (n->row.nlink >= LINKS_MAX)
		return EMLINK;
	r = dentry_set(a->view, &slot, n->ino, n->row.mode & S_IFMT);
	if (r)
		return r;
	n->row.nlink++;
	node_touch(a, n);
	dir->row.children++;
	node_changed(a, dir);
	a->value = n->ino;
	return 0;
}

/* A name that is there, and what it leads to. */
static int name_taken_check(struct apply *a, struct dentry_slot *slot, struct node **ret_dir,
			    struct node **ret)
{
	struct node *dir;
	int r;

	r = node_get_parent(a, a->op->parent, &dir);
	if (r)
		return r;
	r = apply_find(a, dir, a->op->name, slot);
	if (r)
		return r;
	if (!slot->found)
		return ENOENT;
	if (!saw_right(a->op->saw, slot))
		return ESTALE;
	r = node_get_named(a, slot->ino, ret);
	if (r)
		return r;
	*ret_dir = dir;
	return 0;
}

int apply_unlink(struct apply *a)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	struct node *dir, *n;
	int r;

	r = name_taken_check(a, &slot, &dir, &n);
	if (r)
		return r;
	if (S_ISDIR(n->row.mode))
		return EISDIR;
	r = dentry_clear(a->view, &slot);
	if (r)
		return r;
	dir->row.children--;
	node_changed(a, dir);
	a->value = n->ino;
	return node_lose_name(a, n);
}

int apply_rmdir(struct apply *a)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	struct node *dir, *n;
	int r;

	r = name_taken_check(a, &slot, &dir, &n);
	if (r)
		return r;
	if (!S_ISDIR(n->row.mode))
		return ENOTDIR;
	if (n->row.children > 0)
		return ENOTEMPTY;
	r = dentry_clear(a->view, &slot);
	if (r)
		return r;
	dir->row.children--;
	node_count_subdirs(dir, -1);
	node_changed(a, dir);
	a->value = n->ino;
	return node_lose_name(a, n);
}
