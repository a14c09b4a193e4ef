/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ns_model.h"

#include <sys/stat.h>

#include "tests/lib/cm.h"

static void *grow(void *items, size_t n, size_t size)
{
	void *more = reallocarray(items, n + 1, size);

	assert_non_null(more);
	memset((char *)more + n * size, 0, size);
	return more;
}

static struct model_node *add_node(struct model *m, uint64_t ino, uint32_t mode, uint64_t time_ns)
{
	struct model_node *n;

	m->nodes = grow(m->nodes, m->n_nodes, sizeof(*m->nodes));
	n = &m->nodes[m->n_nodes++];
	n->ino = ino;
	n->mode = mode;
	n->mtime = n->ctime = n->btime = time_ns;
	return n;
}

void model_init(struct model *m, uint64_t time_ns)
{
	struct model_node *root;

	*m = (struct model){ .next_block = 1, .keyslots = { "wrapped" } };
	root = add_node(m, ROOT_INO, S_IFDIR | 0755, time_ns);
	root->uid = 7;
	root->gid = 8;
}

static void *copy(const void *from, size_t n, size_t size)
{
	void *to = n ? malloc(n * size) : NULL;

	assert_true(!n || to);
	return n ? memcpy(to, from, n * size) : NULL;
}

void model_copy(const struct model *from, struct model *ret)
{
	*ret = *from;
	ret->nodes = copy(from->nodes, from->n_nodes, sizeof(*from->nodes));
	ret->entries = copy(from->entries, from->n_entries, sizeof(*from->entries));
	ret->chunks = copy(from->chunks, from->n_chunks, sizeof(*from->chunks));
	for (size_t i = 0; i < ret->n_nodes; i++)
		ret->nodes[i].cells =
			copy(from->nodes[i].cells, from->nodes[i].size, sizeof(struct model_cell));
}

void model_release(struct model *m)
{
	for (size_t i = 0; i < m->n_nodes; i++)
		free(m->nodes[i].cells);
	free(m->nodes);
	free(m->entries);
	free(m->chunks);
}

struct model_node *model_node(const struct model *m, uint64_t ino)
{
	for (size_t i = 0; i < m->n_nodes; i++)
		if (m->nodes[i].ino == ino && ino)
			return &m->nodes[i];
	return NULL;
}

struct model_entry *model_find(const struct model *m, uint64_t parent, struct span name)
{
	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].parent == parent &&
		    span_equal(span_str(m->entries[i].name), name))
			return &m->entries[i];
	return NULL;
}

struct model_mount *model_mount(struct model *m, const uint8_t *incarnation)
{
	for (unsigned i = 0; i < m->n_mounts; i++)
		if (!memcmp(m->mounts[i].incarnation, incarnation, INCARNATION_SIZE))
			return &m->mounts[i];
	return NULL;
}

struct model_attached *model_attached(struct model *m, struct span name)
{
	for (unsigned i = 0; i < MODEL_ATTACHED; i++)
		if (span_equal(span_str(m->attached[i].name), name))
			return &m->attached[i];
	return NULL;
}

static bool is_attached(struct model *m, uint64_t dir, struct span name)
{
	return dir == ROOT_INO && model_attached(m, name);
}

static bool is_dir(const struct model *m, uint64_t ino)
{
	const struct model_node *n = model_node(m, ino);

	return n && S_ISDIR(n->mode);
}

unsigned model_children(const struct model *m, uint64_t dir)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_entries; i++)
		n += m->entries[i].parent == dir;
	return n;
}

static unsigned names(const struct model *m, uint64_t ino)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_entries; i++)
		n += m->entries[i].ino == ino;
	return n;
}

unsigned model_links(const struct model *m, const struct model_node *n)
{
	unsigned links = 2;

	if (!S_ISDIR(n->mode))
		return names(m, n->ino);
	if (n->orphan)
		return 0;
	for (size_t i = 0; i < m->n_entries; i++)
		links += m->entries[i].parent == n->ino && is_dir(m, m->entries[i].ino);
	return links;
}

uint64_t model_parent(const struct model *m, uint64_t ino)
{
	if (ino == ROOT_INO)
		return ROOT_INO;
	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].ino == ino)
			return m->entries[i].parent;
	return 0;
}

static void touch(struct model_node *n, const struct op *op)
{
	n->ctime = MAX(op->time_ns, n->ctime + 1);
}

static void change_dir(struct model *m, uint64_t ino, const struct op *op)
{
	struct model_node *n = model_node(m, ino);

	touch(n, op);
	n->mtime = n->ctime;
	n->version++;
}

static int check_name(struct span name)
{
	if (name.len > 255)
		return ENAMETOOLONG;
	if (name.len == 0 || span_equal(name, span_str(".")) || span_equal(name, span_str("..")))
		return EINVAL;
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] == '/' || name.data[i] == 0)
			return EINVAL;
	return 0;
}

static int check_parent(const struct model *m, uint64_t ino)
{
	const struct model_node *n = model_node(m, ino);

	if (!n)
		return ENOENT;
	if (!S_ISDIR(n->mode))
		return ENOTDIR;
	return n->orphan ? ENOENT : 0;
}

static void add_entry(struct model *m, uint64_t parent, struct span name, uint64_t ino)
{
	struct model_entry *e;

	m->entries = grow(m->entries, m->n_entries, sizeof(*m->entries));
	e = &m->entries[m->n_entries++];
	e->parent = parent;
	e->ino = ino;
	memcpy(e->name, name.data, name.len);
}

static void drop_entry(struct model *m, struct model_entry *e)
{
	*e = m->entries[--m->n_entries];
}

/* After a name of it went. */
static void lose_name(struct model *m, uint64_t ino, const struct apply_context *ctx,
		      const struct op *op)
{
	struct model_node *n = model_node(m, ino);

	touch(n, op);
	if (names(m, ino))
		return;
	n->orphan = true;
	n->orphan_slot = ctx->slot;
	n->orphan_time = op->time_ns;
}

static int check_new_ino(struct model *m, const struct apply_context *ctx, uint64_t ino)
{
	const struct model_mount *x = model_mount(m, ctx->incarnation);
	const uint64_t block = ino >> 24;

	if (!x || block >= ARRAY_SIZE(m->block_owner) || !m->block_owner[block])
		return EINVAL;
	if (&m->mounts[m->block_owner[block] - 1] != x)
		return EINVAL;
	return model_node(m, ino) ? EINVAL : 0;
}

static int check_free_name(struct model *m, const struct op *op, uint64_t *ret_value)
{
	const struct model_entry *e;
	int r = check_parent(m, op->parent);

	r = r ? r : check_name(op->name);
	if (r)
		return r;
	e = model_find(m, op->parent, op->name);
	if (!e)
		return is_attached(m, op->parent, op->name) ? EEXIST : 0;
	*ret_value = e->ino;
	return EEXIST;
}

static int make(struct model *m, const struct apply_context *ctx, const struct op *op,
		uint32_t mode, uint64_t *ret_value)
{
	struct model_node *n, *dir;
	int r = check_free_name(m, op, ret_value);

	r = r ? r : check_new_ino(m, ctx, op->ino);
	if (r)
		return r;
	n = add_node(m, op->ino, mode, op->time_ns);
	dir = model_node(m, op->parent);
	n->uid = op->uid;
	n->gid = dir->mode & S_ISGID ? dir->gid : op->gid;
	if ((dir->mode & S_ISGID) && S_ISDIR(mode))
		n->mode |= S_ISGID;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		n->rdev = op->rdev;
	if (S_ISLNK(mode))
		memcpy(n->target, op->value.data, op->value.len);
	add_entry(m, op->parent, op->name, op->ino);
	change_dir(m, op->parent, op);
	*ret_value = op->ino;
	return 0;
}

static int link_name(struct model *m, const struct op *op, uint64_t *ret_value)
{
	struct model_node *n;
	const int r = check_free_name(m, op, ret_value);

	if (r)
		return r;
	n = model_node(m, op->ino);
	if (!n)
		return ESTALE;
	if (S_ISDIR(n->mode))
		return EPERM;
	if (n->orphan)
		return ENOENT;
	add_entry(m, op->parent, op->name, op->ino);
	touch(n, op);
	change_dir(m, op->parent, op);
	*ret_value = op->ino;
	return 0;
}

static int remove_name(struct model *m, const struct apply_context *ctx, const struct op *op,
		       bool dir, uint64_t *ret_value)
{
	struct model_entry *e;
	uint64_t ino;
	int r = check_parent(m, op->parent);

	r = r ? r : check_name(op->name);
	if (r)
		return r;
	e = model_find(m, op->parent, op->name);
	if (!e)
		return ENOENT;
	if (op->saw != SAW_ANYTHING && op->saw != e->ino)
		return ESTALE;
	ino = e->ino;
	if (is_dir(m, ino) != dir)
		return dir ? ENOTDIR : EISDIR;
	if (dir && model_children(m, ino))
		return ENOTEMPTY;
	drop_entry(m, e);
	change_dir(m, op->parent, op);
	lose_name(m, ino, ctx, op);
	*ret_value = ino;
	return 0;
}

/* Is `ino` the directory `top`, or below it? */
static bool below(const struct model *m, uint64_t ino, uint64_t top)
{
	while (ino != top && ino != ROOT_INO)
		ino = model_parent(m, ino);
	return ino == top;
}

static int check_rename(struct model *m, const struct op *op, const struct model_entry *from,
			const struct model_entry *to)
{
	const bool exchange = op->flags & OP_RENAME_EXCHANGE;

	if (!from)
		return ENOENT;
	if (is_attached(m, op->to_parent, op->to_name))
		return op->flags & OP_RENAME_NOREPLACE ? EEXIST : EBUSY;
	if (exchange && !to)
		return ENOENT;
	if (to && (op->flags & OP_RENAME_NOREPLACE))
		return EEXIST;
	if (op->saw != SAW_ANYTHING && op->saw != from->ino)
		return ESTALE;
	if (op->saw_to != SAW_ANYTHING && op->saw_to != (to ? to->ino : 0))
		return ESTALE;
	if (to && to->ino == from->ino)
		return 0;
	if (is_dir(m, from->ino) && below(m, op->to_parent, from->ino))
		return EINVAL;
	if (exchange)
		return is_dir(m, to->ino) && below(m, op->parent, to->ino) ? EINVAL : 0;
	if (!to)
		return 0;
	if (is_dir(m, to->ino) != is_dir(m, from->ino))
		return is_dir(m, to->ino) ? EISDIR : ENOTDIR;
	return is_dir(m, to->ino) && model_children(m, to->ino) ? ENOTEMPTY : 0;
}

static int rename_name(struct model *m, const struct apply_context *ctx, const struct op *op,
		       uint64_t *ret_value)
{
	struct model_entry *from, *to;
	uint64_t moved, other;
	int r;

	if (op->flags == (OP_RENAME_EXCHANGE | OP_RENAME_NOREPLACE))
		return EINVAL;
	r = check_parent(m, op->parent);
	r = r ? r : check_parent(m, op->to_parent);
	r = r ? r : check_name(op->name);
	r = r ? r : check_name(op->to_name);
	if (r)
		return r;
	from = model_find(m, op->parent, op->name);
	to = model_find(m, op->to_parent, op->to_name);
	r = check_rename(m, op, from, to);
	if (r)
		return r;
	moved = from->ino;
	other = to ? to->ino : 0;
	*ret_value = moved;
	if (moved == other)
		return 0;
	if (op->flags & OP_RENAME_EXCHANGE) {
		from->ino = other;
		to->ino = moved;
		touch(model_node(m, other), op);
	} else {
		if (to)
			to->ino = moved;
		else
			add_entry(m, op->to_parent, op->to_name, moved);
		drop_entry(m, model_find(m, op->parent, op->name));
		if (other)
			lose_name(m, other, ctx, op);
	}
	touch(model_node(m, moved), op);
	change_dir(m, op->parent, op);
	if (op->to_parent != op->parent)
		change_dir(m, op->to_parent, op);
	return 0;
}

static int set_attributes(struct model *m, const struct op *op, uint64_t *ret_value)
{
	struct model_node *n = model_node(m, op->ino);

	if (!n)
		return ESTALE;
	if (op->set & OP_SET_MODE)
		n->mode = (n->mode & S_IFMT) | (op->mode & 07777);
	n->uid = op->set & OP_SET_UID ? op->uid : n->uid;
	n->gid = op->set & OP_SET_GID ? op->gid : n->gid;
	n->mtime = op->set & OP_SET_MTIME ? op->mtime_ns : n->mtime;
	n->atime = op->set & OP_SET_ATIME ? op->atime_ns : n->atime;
	touch(n, op);
	*ret_value = op->ino;
	return 0;
}

static struct model_xattr *find_xattr(struct model_node *n, struct span name)
{
	for (unsigned i = 0; i < n->n_xattrs; i++)
		if (span_equal(span_str(n->xattrs[i].name), name))
			return &n->xattrs[i];
	return NULL;
}

static int set_xattr(struct model *m, const struct op *op)
{
	struct model_node *n = model_node(m, op->ino);
	struct model_xattr *x;

	if (!n)
		return ESTALE;
	if (op->name.len == 0 || op->name.len > 255)
		return ERANGE;
	if (op->flags == (OP_XATTR_CREATE | OP_XATTR_REPLACE))
		return EINVAL;
	x = find_xattr(n, op->name);
	if (x && (op->flags & OP_XATTR_CREATE))
		return EEXIST;
	if (!x && (op->flags & OP_XATTR_REPLACE))
		return ENODATA;
	if (!x) {
		assert_true(n->n_xattrs < MODEL_XATTRS);
		x = &n->xattrs[n->n_xattrs++];
	}
	memset(x, 0, sizeof(*x));
	memcpy(x->name, op->name.data, op->name.len);
	memcpy(x->value, op->value.data, op->value.len);
	touch(n, op);
	return 0;
}

static int remove_xattr(struct model *m, const struct op *op)
{
	struct model_node *n = model_node(m, op->ino);
	struct model_xattr *x;

	if (!n)
		return ESTALE;
	if (op->name.len == 0 || op->name.len > 255)
		return ERANGE;
	x = find_xattr(n, op->name);
	if (!x)
		return ENODATA;
	*x = n->xattrs[--n->n_xattrs];
	touch(n, op);
	return 0;
}

static int reap(struct model *m, const struct op *op, uint64_t *ret_value)
{
	struct model_node *n = model_node(m, op->ino);

	if (!n)
		return ESTALE;
	if (!n->orphan)
		return EBUSY;
	if (op->saw && op->saw != SAW_ANYTHING && op->saw != n->orphan_slot)
		return EBUSY;
	free(n->cells);
	*n = m->nodes[--m->n_nodes];
	*ret_value = op->ino;
	return 0;
}

static int hold(struct model *m, const struct apply_context *ctx, const struct op *op)
{
	struct model_node *n = model_node(m, op->ino);

	if (!n)
		return ESTALE;
	if (!n->orphan)
		return EBUSY;
	n->orphan_slot = ctx->slot;
	n->orphan_time = op->time_ns;
	return 0;
}

static uint64_t give_block(struct model *m, const struct model_mount *x)
{
	assert_true(m->next_block < ARRAY_SIZE(m->block_owner));
	m->block_owner[m->next_block] = (unsigned)(x - m->mounts) + 1;
	return m->next_block++;
}

static int fence(struct model *m, const struct apply_context *ctx, const struct op *op,
		 uint64_t *ret_value)
{
	struct model_mount *x = model_mount(m, op->value.data);

	assert_non_null(x); /* the generator fences those that mounted */
	*ret_value = x->last;
	if (x->status == MOUNT_MOUNTED) {
		x->status = MOUNT_FENCED;
		x->slot = ctx->slot;
	}
	return 0;
}

static int attach(struct model *m, const struct op *op)
{
	struct model_attached *a;
	struct attach_row row;
	int r = check_name(op->name);

	r = attach_row_decode(op->value, &row) ? EINVAL : r;
	if (r)
		return r;
	if (model_find(m, ROOT_INO, op->name) || model_attached(m, op->name))
		return EEXIST;
	a = model_attached(m, SPAN_NULL);
	assert_non_null(a);
	memcpy(a->name, op->name.data, op->name.len);
	a->ttl_ns = row.ttl_ns;
	change_dir(m, ROOT_INO, op);
	return 0;
}

static int detach(struct model *m, const struct op *op)
{
	struct model_attached *a = model_attached(m, op->name);
	const int r = check_name(op->name);

	if (r)
		return r;
	if (!a)
		return ENOENT;
	*a = (struct model_attached){ .name = "" };
	change_dir(m, ROOT_INO, op);
	return 0;
}

static int adopt(struct model *m, const struct apply_context *ctx, const struct op *op,
		 uint64_t *ret_value)
{
	const int r = make(m, ctx, op, S_IFREG | op->mode, ret_value);

	if (r == 0)
		model_adopted(m, model_node(m, op->ino), op);
	return r;
}

static uint64_t source(struct model *m, struct span url)
{
	for (unsigned i = 0; i < m->n_sources; i++)
		if (span_equal(span_str(m->sources[i]), url))
			return i + 1;
	assert_true(m->n_sources < MODEL_REFERENCES && url.len < sizeof(m->sources[0]));
	memcpy(m->sources[m->n_sources], url.data, url.len);
	return ++m->n_sources;
}

static int keyslot(struct model *m, const struct op *op)
{
	unsigned n = 0;

	if (op->off >= KEYSLOTS_MAX || op->value.len > KEYSLOT_SIZE_MAX)
		return EINVAL;
	for (unsigned i = 0; i < KEYSLOTS_MAX; i++)
		n += *m->keyslots[i] != '\0';
	if (op->value.len && *m->keyslots[op->off])
		return EEXIST;
	if (!op->value.len && !*m->keyslots[op->off])
		return ENOENT;
	if (!op->value.len && n == 1)
		return EBUSY;
	memset(m->keyslots[op->off], 0, sizeof(m->keyslots[0]));
	memcpy(m->keyslots[op->off], op->value.data, op->value.len);
	return 0;
}

static int run(struct model *m, const struct apply_context *ctx, const struct op *op,
	       uint64_t *ret_value)
{
	switch (op->kind) {
	case OP_CREATE:
		return make(m, ctx, op, op->mode, ret_value);
	case OP_MKDIR:
		return make(m, ctx, op, S_IFDIR | (op->mode & 07777), ret_value);
	case OP_SYMLINK:
		return make(m, ctx, op, S_IFLNK | 0777, ret_value);
	case OP_LINK:
		return link_name(m, op, ret_value);
	case OP_UNLINK:
	case OP_RMDIR:
		return remove_name(m, ctx, op, op->kind == OP_RMDIR, ret_value);
	case OP_RENAME:
		return rename_name(m, ctx, op, ret_value);
	case OP_SETATTR:
		return set_attributes(m, op, ret_value);
	case OP_SETXATTR:
		return set_xattr(m, op);
	case OP_REMOVEXATTR:
		return remove_xattr(m, op);
	case OP_WRITE:
		return model_write(m, ctx, op, ret_value);
	case OP_TRUNCATE:
		return model_truncate(m, op);
	case OP_PUNCH:
		return model_punch(m, op);
	case OP_CLONE:
		return model_clone(m, op, ret_value);
	case OP_STORED:
	case OP_DEFICIT:
		return model_copies(m, op);
	case OP_COLLECT:
		return model_collect(m, ctx, op, ret_value);
	case OP_REAP:
		return reap(m, op, ret_value);
	case OP_HOLD:
		return hold(m, ctx, op);
	case OP_ATTACH:
		return attach(m, op);
	case OP_DETACH:
		return detach(m, op);
	case OP_ADOPT:
		return adopt(m, ctx, op, ret_value);
	case OP_REPACK:
		return model_repack(m, ctx, op, ret_value);
	case OP_SOURCE:
		*ret_value = source(m, op->value);
		return 0;
	case OP_KEYSLOT:
		return keyslot(m, op);
	case OP_FENCE:
		return fence(m, ctx, op, ret_value);
	case OP_MORE_INODES:
		*ret_value = give_block(m, model_mount(m, ctx->incarnation));
		return 0;
	default:
		assert_true(false);
		return 0;
	}
}

static void mount_new(struct model *m, const struct apply_context *ctx, const struct op *op,
		      struct result *ret)
{
	struct model_mount *x = &m->mounts[m->n_mounts++];

	assert_true(m->n_mounts <= MODEL_MOUNTS);
	*x = (struct model_mount){ .status = MOUNT_MOUNTED, .last = op->number, .slot = ctx->slot };
	memcpy(x->incarnation, ctx->incarnation, INCARNATION_SIZE);
	x->number = (uint32_t)give_block(m, x);
	ret->value = x->number;
	x->results[op->number % MOUNT_RESULTS] = *ret;
}

void model_apply(struct model *m, const struct apply_context *ctx, const struct op *op,
		 struct result *ret)
{
	struct model_mount *x = model_mount(m, ctx->incarnation);
	uint64_t value = 0;
	int error;

	*ret = (struct result){ .error = APPLY_IGNORED };
	if (op->kind == OP_MOUNT) {
		if (x)
			return;
		ret->error = 0;
		mount_new(m, ctx, op, ret);
		return;
	}
	if (!ctx->early && (!x || x->status != MOUNT_MOUNTED || op->number != x->last + 1))
		return;
	error = run(m, ctx, op, &value);
	ret->error = -error;
	ret->value = error && error != EEXIST ? 0 : value;
	model_bury(m, ctx->slot);
	if (ctx->early)
		return;
	x->last = op->number;
	x->results[op->number % MOUNT_RESULTS] = *ret;
}
