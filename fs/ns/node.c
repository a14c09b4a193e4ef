/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

#include "fs/ns/row_io.h"

static struct node *node_find(struct apply *a, uint64_t ino)
{
	for (unsigned i = 0; i < a->n_nodes; i++)
		if (a->nodes[i].ino == ino)
			return &a->nodes[i];
	return NULL;
}

struct node *node_new(struct apply *a, uint64_t ino)
{
	struct node *n = &a->nodes[a->n_nodes];

	assert(a->n_nodes < NODES_MAX && !node_find(a, ino));
	*n = (struct node){ .ino = ino, .bytes = BUF_INIT(ROW_MAX), .dirty = true };
	a->n_nodes++;
	return n;
}

int node_get(struct apply *a, uint64_t ino, struct node **ret)
{
	struct node *n = node_find(a, ino);
	int r;

	if (n) {
		*ret = n;
		return 0;
	}
	n = node_new(a, ino);
	n->dirty = false;
	r = inode_load(a->view, ino, &n->row, &n->bytes);
	if (r) {
		buf_release(&n->bytes);
		a->n_nodes--;
		return r == VIEW_MISSING ? ESTALE : r;
	}
	*ret = n;
	return 0;
}

int node_get_parent(struct apply *a, uint64_t ino, struct node **ret)
{
	struct node *n;
	int r;

	r = node_get(a, ino, &n);
	if (r)
		return r == ESTALE ? ENOENT : r;
	if (!S_ISDIR(n->row.mode))
		return ENOTDIR;
	if (n->row.nlink == 0)
		return ENOENT;
	*ret = n;
	return 0;
}

int node_get_named(struct apply *a, uint64_t ino, struct node **ret)
{
	const int r = node_get(a, ino, ret);

	return r == ESTALE ? -EBADMSG : r;
}

int node_get_file(struct apply *a, uint64_t ino, struct node **ret)
{
	struct node *n;
	int r;

	r = node_get(a, ino, &n);
	if (r)
		return r;
	if (S_ISDIR(n->row.mode))
		return EISDIR;
	if (!S_ISREG(n->row.mode))
		return EINVAL;
	*ret = n;
	return 0;
}

/* max(time, old + 1), without wrapping around. */
static uint64_t later(uint64_t time_ns, uint64_t old_ns)
{
	if (time_ns > old_ns)
		return time_ns;
	return old_ns == UINT64_MAX ? old_ns : old_ns + 1;
}

uint64_t node_touch(struct apply *a, struct node *n)
{
	n->row.ctime_ns = later(a->op->time_ns, n->row.ctime_ns);
	n->dirty = true;
	return n->row.ctime_ns;
}

void node_changed(struct apply *a, struct node *n)
{
	n->row.mtime_ns = node_touch(a, n);
	n->row.version++;
}

/*
 * A flush comes after the write(2) whose time this mount has shown since; so that time stays. Only
 * when it is just the one that the file has already, another one is needed for other contents.
 */
void node_written(struct apply *a, struct node *n)
{
	const struct op *op = a->op;
	struct inode_row *row = &n->row;
	const uint64_t when = op->mtime_ns ? op->mtime_ns : op->time_ns;

	row->ctime_ns = later(when, row->ctime_ns);
	row->version++;
	n->dirty = true;
	if (!(op->kind == OP_WRITE && (op->flags & OP_WRITE_KEEP_MTIME))) {
		if (op->mtime_ns && op->mtime_ns != row->mtime_ns)
			row->mtime_ns = op->mtime_ns;
		else
			row->mtime_ns = row->ctime_ns;
	}
	if (op->kind != OP_CLONE && (op->flags & OP_WRITE_KILLPRIV)) {
		row->mode &= ~(uint32_t)S_ISUID;
		if (row->mode & S_IXGRP)
			row->mode &= ~(uint32_t)S_ISGID;
	}
}

void node_count_subdirs(struct node *dir, int change)
{
	dir->row.subdirs += (uint32_t)change;
	dir->row.nlink = 2 + dir->row.subdirs;
	dir->dirty = true;
}

int node_lose_name(struct apply *a, struct node *n)
{
	const struct orphan_row row = { .slot = a->ctx->slot, .time_ns = a->op->time_ns };
	int r;

	r = apply_totals_load(a);
	if (r)
		return r;
	node_touch(a, n);
	if (S_ISDIR(n->row.mode)) {
		n->row.nlink = 0;
		n->row.parent = 0;
		a->totals.directories--;
	} else if (--n->row.nlink == 0) {
		a->totals.files--;
	} else {
		return 0;
	}
	a->totals_dirty = true;
	return orphan_store(a->view, n->ino, &row);
}

int apply_volume_load(struct apply *a)
{
	int r;

	if (a->volume_loaded)
		return 0;
	a->volume_bytes = BUF_INIT(ROW_MAX);
	r = volume_load(a->view, &a->volume, &a->volume_bytes);
	a->volume_loaded = r == 0;
	return r == VIEW_MISSING ? -EBADMSG : r;
}

int apply_totals_load(struct apply *a)
{
	int r;

	if (a->totals_loaded)
		return 0;
	r = totals_load(a->view, &a->totals);
	a->totals_loaded = r == 0;
	return r == VIEW_MISSING ? -EBADMSG : r;
}

int apply_store(struct apply *a)
{
	for (unsigned i = 0; i < a->n_nodes; i++) {
		const struct node *n = &a->nodes[i];
		int r = 0;

		if (n->gone) {
			uint8_t key[8];

			key_ino(n->ino, key);
			r = view_delete(a->view, COL_INODE, span_of(key, sizeof(key)));
		} else if (n->dirty) {
			r = inode_store(a->view, n->ino, &n->row);
		}
		if (r)
			return r;
	}
	return a->totals_dirty ? totals_store(a->view, &a->totals) : 0;
}

void apply_release(struct apply *a)
{
	for (unsigned i = 0; i < a->n_nodes; i++)
		buf_release(&a->nodes[i].bytes);
	buf_release(&a->volume_bytes);
}

int name_check(struct span name)
{
	if (name.len > NAME_MAX_BYTES)
		return ENAMETOOLONG;
	if (name.len == 0 || span_equal(name, SPAN_LITERAL(".")) ||
	    span_equal(name, SPAN_LITERAL("..")))
		return EINVAL;
	if (memchr(name.data, '/', name.len) || memchr(name.data, 0, name.len))
		return EINVAL;
	return 0;
}

int apply_find(struct apply *a, const struct node *dir, struct span name, struct dentry_slot *ret)
{
	int r;

	r = name_check(name);
	if (r)
		return r;
	r = apply_volume_load(a);
	return r ? r : dentry_find(a->view, a->volume.name_key, dir->ino, name, ret);
}
