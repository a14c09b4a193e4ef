/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

int apply_setattr(struct apply *a)
{
	const struct op *op = a->op;
	struct node *n;
	int r;

	r = node_get(a, op->ino, &n);
	if (r)
		return r;
	if (op->set & OP_SET_MODE)
		n->row.mode = (n->row.mode & S_IFMT) | (op->mode & 07777);
	if (op->set & OP_SET_UID)
		n->row.uid = op->uid;
	if (op->set & OP_SET_GID)
		n->row.gid = op->gid;
	if (op->set & OP_SET_MTIME)
		n->row.mtime_ns = op->mtime_ns;
	if (op->set & OP_SET_ATIME)
		n->row.atime_ns = op->atime_ns;
	node_touch(a, n);
	a->value = op->ino;
	return 0;
}

static int xattr_key(struct apply *a, struct buf *ret)
{
	uint8_t ino[8];
	int r;

	key_ino(a->op->ino, ino);
	r = buf_add(ret, ino, sizeof(ino));
	return r ? r : buf_add_span(ret, a->op->name);
}

/*
 * The inode, the key of its attribute, and whether it is there. ESTALE, ERANGE (no such name is
 * possible).
 */
static int xattr_find(struct apply *a, struct node **ret, struct buf *ret_key, bool *ret_exists)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	const struct span name = a->op->name;
	int r;

	r = node_get(a, a->op->ino, ret);
	if (r)
		return r;
	if (name.len == 0 || name.len > NAME_MAX_BYTES || memchr(name.data, 0, name.len))
		return ERANGE;
	r = xattr_key(a, ret_key);
	if (r)
		return r;
	r = view_get(a->view, COL_XATTR, buf_span(ret_key), &value);
	if (r < 0)
		return r;
	*ret_exists = r == 0;
	return 0;
}

int apply_setxattr(struct apply *a)
{
	_cleanup_buf_ struct buf key = BUF_INIT(8 + NAME_MAX_BYTES);
	const struct op *op = a->op;
	struct node *n;
	bool exists;
	int r;

	r = xattr_find(a, &n, &key, &exists);
	if (r)
		return r;
	if (op->value.len > XATTR_VALUE_MAX)
		return E2BIG;
	if (op->flags == (OP_XATTR_CREATE | OP_XATTR_REPLACE))
		return EINVAL;
	if (exists && (op->flags & OP_XATTR_CREATE))
		return EEXIST;
	if (!exists && (op->flags & OP_XATTR_REPLACE))
		return ENODATA;
	node_touch(a, n);
	return view_put(a->view, COL_XATTR, buf_span(&key), op->value);
}

int apply_removexattr(struct apply *a)
{
	_cleanup_buf_ struct buf key = BUF_INIT(8 + NAME_MAX_BYTES);
	struct node *n;
	bool exists;
	int r;

	r = xattr_find(a, &n, &key, &exists);
	if (r)
		return r;
	if (!exists)
		return ENODATA;
	node_touch(a, n);
	return view_delete(a->view, COL_XATTR, buf_span(&key));
}
