/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

#include "fs/ns/row_io.h"

/* Both names of a RENAME, their directories, and what they lead to. */
struct rename {
	struct dentry_slot from, to;
	struct node *from_dir, *to_dir;
	struct node *moved;
	struct node *other; /* under the new name: replaced or exchanged; NULL: nothing is there */
	bool exchange;
};

static void rename_release(struct rename *m)
{
	dentry_slot_release(&m->from);
	dentry_slot_release(&m->to);
}

static int find_names(struct apply *a, struct rename *m)
{
	const struct op *op = a->op;
	bool attached;
	int r;

	r = node_get_parent(a, op->parent, &m->from_dir);
	if (r)
		return r;
	r = node_get_parent(a, op->to_parent, &m->to_dir);
	if (r)
		return r;
	r = apply_find(a, m->from_dir, op->name, &m->from);
	if (r)
		return r;
	r = apply_find(a, m->to_dir, op->to_name, &m->to);
	if (r)
		return r;
	if (!m->from.found)
		return ENOENT;
	r = apply_is_attached(a, op->to_parent, op->to_name, &attached);
	if (r)
		return r;
	if (attached)
		return op->flags & OP_RENAME_NOREPLACE ? EEXIST : EBUSY;
	if (m->exchange && !m->to.found)
		return ENOENT;
	if (m->to.found && (op->flags & OP_RENAME_NOREPLACE))
		return EEXIST;
	if (!saw_right(op->saw, &m->from) || !saw_right(op->saw_to, &m->to))
		return ESTALE;
	r = node_get_named(a, m->from.ino, &m->moved);
	if (r)
		return r;
	return m->to.found ? node_get_named(a, m->to.ino, &m->other) : 0;
}

/* Is `dir` the directory `top` or beneath it? Answers 0 with the truth, or negative. */
static int is_beneath(struct apply *a, uint64_t dir, uint64_t top, bool *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);

	while (dir != top && dir != ROOT_INO) {
		struct inode_row row;
		const int r = inode_load(a->view, dir, &row, &bytes);

		if (r)
			return r == VIEW_MISSING ? -EBADMSG : r;
		if (!S_ISDIR(row.mode) || row.parent == 0)
			return -EBADMSG;
		dir = row.parent;
	}
	*ret = dir == top;
	return 0;
}

/* A directory may not move into itself. 0, EINVAL. */
static int move_check(struct apply *a, const struct node *moved, const struct node *into)
{
	bool beneath;
	int r;

	if (!S_ISDIR(moved->row.mode))
		return 0;
	r = is_beneath(a, into->ino, moved->ino, &beneath);
	return r ? r : beneath ? EINVAL : 0;
}

static int replace_check(const struct rename *m)
{
	const bool moves_dir = S_ISDIR(m->moved->row.mode);
	const bool onto_dir = S_ISDIR(m->other->row.mode);

	if (onto_dir && !moves_dir)
		return EISDIR;
	if (moves_dir && !onto_dir)
		return ENOTDIR;
	return onto_dir && m->other->row.children > 0 ? ENOTEMPTY : 0;
}

static bool one_bucket(const struct rename *m)
{
	return m->from.parent == m->to.parent && m->from.hash == m->to.hash;
}

static int rename_check(struct apply *a, const struct rename *m)
{
	const bool gains_dir = m->from_dir != m->to_dir && S_ISDIR(m->moved->row.mode);
	int r;

	if (m->from_dir != m->to_dir) {
		r = move_check(a, m->moved, m->to_dir);
		if (r)
			return r;
	}
	if (m->exchange)
		return m->from_dir == m->to_dir ? 0 : move_check(a, m->other, m->from_dir);
	if (m->other)
		return replace_check(m);
	if (gains_dir && m->to_dir->row.subdirs == UINT32_MAX - 2)
		return EMLINK;
	return m->to.tie == DENTRY_TIES && !one_bucket(m) ? ENOSPC : 0;
}

/* The first change may have changed the bucket of the second name. */
static int find_to_again(struct apply *a, struct rename *m)
{
	return one_bucket(m) ? apply_find(a, m->to_dir, a->op->to_name, &m->to) : 0;
}

/* A directory that is now in `to` and was in `from`. */
static void move_subdir(struct node *n, struct node *from, struct node *to)
{
	if (!S_ISDIR(n->row.mode))
		return;
	node_count_subdirs(from, -1);
	node_count_subdirs(to, 1);
	n->row.parent = to->ino;
}

static int exchange(struct apply *a, struct rename *m)
{
	int r;

	r = dentry_set(a->view, &m->from, m->other->ino, m->other->row.mode & S_IFMT);
	if (r)
		return r;
	r = find_to_again(a, m);
	if (r)
		return r;
	r = dentry_set(a->view, &m->to, m->moved->ino, m->moved->row.mode & S_IFMT);
	if (r)
		return r;
	move_subdir(m->moved, m->from_dir, m->to_dir);
	move_subdir(m->other, m->to_dir, m->from_dir);
	node_touch(a, m->other);
	return 0;
}

static int move(struct apply *a, struct rename *m)
{
	int r;

	r = dentry_clear(a->view, &m->from);
	if (r)
		return r;
	r = find_to_again(a, m);
	if (r)
		return r;
	r = dentry_set(a->view, &m->to, m->moved->ino, m->moved->row.mode & S_IFMT);
	if (r)
		return r;
	m->from_dir->row.children--;
	m->to_dir->row.children++;
	move_subdir(m->moved, m->from_dir, m->to_dir);
	if (!m->other)
		return 0;
	m->to_dir->row.children--;
	if (S_ISDIR(m->other->row.mode))
		node_count_subdirs(m->to_dir, -1);
	return node_lose_name(a, m->other);
}

static int rename_run(struct apply *a, struct rename *m)
{
	int r;

	r = find_names(a, m);
	if (r)
		return r;
	a->value = m->moved->ino;
	if (m->moved == m->other)
		return 0; /* two names of one file, or one name: POSIX says that nothing happens */
	r = rename_check(a, m);
	if (r)
		return r;
	r = m->exchange ? exchange(a, m) : move(a, m);
	if (r)
		return r;
	node_touch(a, m->moved);
	node_changed(a, m->from_dir);
	if (m->to_dir != m->from_dir)
		node_changed(a, m->to_dir);
	return 0;
}

int apply_rename(struct apply *a)
{
	const uint32_t flags = a->op->flags;
	_cleanup_(rename_release) struct rename m = {
		.from = DENTRY_SLOT_INIT,
		.to = DENTRY_SLOT_INIT,
		.exchange = flags & OP_RENAME_EXCHANGE,
	};

	return flags == (OP_RENAME_EXCHANGE | OP_RENAME_NOREPLACE) ? EINVAL : rename_run(a, &m);
}
