/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include <sys/stat.h>

#include "fs/ns/lookup.h"
#include "fs/ns/chunk.h"
#include "fs/ns/row_io.h"

static int format_tables(struct apply *a, const struct volume_format *f)
{
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	int r = 0;

	for (uint8_t i = 0; i < f->n_stores && r == 0; i++) {
		buf_clear(&row);
		r = store_row_encode(&f->stores[i], &row);
		if (r == 0)
			r = view_put(a->view, COL_STORE, span_of(&i, 1), buf_span(&row));
	}
	for (uint8_t i = 0; i < f->n_keyslots && r == 0; i++)
		r = view_put(a->view, COL_KEYSLOT, span_of(&i, 1), f->keyslots[i]);
	return r;
}

static void format_root(struct apply *a)
{
	const struct op *op = a->op;
	struct node *root = node_new(a, ROOT_INO);

	root->row = (struct inode_row){
		.mode = S_IFDIR | (op->mode & 07777),
		.uid = op->uid,
		.gid = op->gid,
		.nlink = 2,
		.mtime_ns = op->time_ns,
		.ctime_ns = op->time_ns,
		.btime_ns = op->time_ns,
		.parent = ROOT_INO,
	};
}

int apply_format(struct apply *a)
{
	struct volume_format f;
	struct volume_row row;
	int r;

	r = volume_format_decode(a->op->value, &f);
	if (r)
		return r == -EBADMSG ? EINVAL : r;
	row = (struct volume_row){
		.level = f.level,
		.epoch = f.epoch,
		.key_epoch = f.key_epoch,
		.next_mount = 1, /* block 0 is the root's */
		.created_ns = a->op->time_ns,
		.name = f.name,
	};
	memcpy(row.id, f.id, sizeof(row.id));
	memcpy(row.name_key, f.name_key, sizeof(row.name_key));
	r = volume_store(a->view, &row);
	if (r)
		return r;
	r = format_tables(a, &f);
	if (r)
		return r;
	format_root(a);
	a->totals = (struct totals_row){ .directories = 1 };
	a->totals_dirty = true;
	return 0;
}

/* The next block of inode numbers goes to whoever submitted this. ENOSPC: there are no more. */
static int give_block(struct apply *a)
{
	uint8_t key[8];
	int r;

	r = apply_volume_load(a);
	if (r)
		return r;
	if (a->volume.next_mount == UINT32_MAX)
		return ENOSPC;
	a->value = a->volume.next_mount++;
	r = volume_store(a->view, &a->volume);
	if (r)
		return r;
	key_ino(a->value, key);
	return view_put(a->view, COL_BLOCK, span_of(key + 4, 4),
			span_of(a->ctx->incarnation, INCARNATION_SIZE));
}

int apply_mount(struct apply *a)
{
	const struct op *op = a->op;
	struct mount_row row = {
		.status = MOUNT_MOUNTED,
		.slot = a->ctx->slot,
		.name = op->name,
	};
	int r;

	if (!span_equal(op->value, span_of(a->ctx->incarnation, INCARNATION_SIZE)))
		return EINVAL;
	if (op->name.len > NAME_MAX_BYTES)
		return ENAMETOOLONG;
	r = give_block(a);
	if (r)
		return r;
	row.number = (uint32_t)a->value;
	return mount_store(a->view, a->ctx->incarnation, &row);
}

int apply_more_inodes(struct apply *a)
{
	return give_block(a);
}

static int mount_end(struct apply *a, const uint8_t *incarnation, enum mount_status status,
		     uint64_t *ret_last)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row = {};
	int r;

	r = mount_load(a->view, incarnation, &row, &bytes);
	if (r < 0)
		return r;
	*ret_last = row.last;
	if (r == 0 && row.status != MOUNT_MOUNTED)
		return 0; /* it has ended already, and how it did stays */
	row.status = status;
	row.slot = a->ctx->slot;
	return mount_store(a->view, incarnation, &row);
}

/* Who ends cleanly asks for no result any more, but for the one of this operation. */
int apply_unmount(struct apply *a)
{
	uint64_t last;
	const int r = mount_end(a, a->ctx->incarnation, MOUNT_UNMOUNTED, &last);

	return r ? r
		 : rows_remove(a->view, COL_RESULT, span_of(a->ctx->incarnation, INCARNATION_SIZE));
}

/* An incarnation that never mounted is fenced all the same: its MOUNT may still be on the way. */
int apply_fence(struct apply *a)
{
	if (a->op->value.len != INCARNATION_SIZE)
		return EINVAL;
	return mount_end(a, a->op->value.data, MOUNT_FENCED, &a->value);
}

static int note_grace(struct apply *a)
{
	const struct grace_row row = { .seconds = a->op->size, .since_ns = a->op->time_ns };
	struct grace_row last;
	const int r = ns_grace(a->view, &last);

	return r || last.seconds == row.seconds ? r : grace_row_store(a->view, &row);
}

/* Whoever collects says how long it has waited; from then on all mounts go by that. */
int apply_collect(struct apply *a)
{
	const struct op *op = a->op;
	int r;

	if (op->size < GRACE_LEAST_S || op->saw >= a->ctx->slot)
		return EINVAL;
	r = note_grace(a);
	for (size_t i = 0; i < op->n_chunks && !r; i++) {
		bool done;

		r = chunk_collect(a->view, op->chunks[i].id, op->saw, &done);
		a->value += !r && done;
	}
	return r;
}

/* The state keeps the newest one; which others are there still is nothing of its business. */
int apply_checkpoint(struct apply *a)
{
	struct checkpoint_row row, last;
	int r = checkpoint_row_decode(a->op->value, &row);

	if (r)
		return r == -EBADMSG ? EINVAL : r;
	if (row.slot >= a->ctx->slot)
		return EINVAL;
	r = checkpoint_row_load(a->view, &last);
	if (r < 0)
		return r;
	if (r == 0 && last.slot >= row.slot)
		return ESTALE;
	return view_put(a->view, COL_VOLUME, CHECKPOINT_KEY, a->op->value);
}

int apply_is_attached(struct apply *a, uint64_t dir, struct span name, bool *ret)
{
	_cleanup_buf_ struct buf row = BUF_INIT(ROW_MAX);
	const int r = dir == ROOT_INO ? view_get(a->view, COL_ATTACH, name, &row) : VIEW_MISSING;

	if (r < 0)
		return r;
	*ret = r != VIEW_MISSING;
	return 0;
}

/* No inode stands for it: its numbers are each mount's own, and the root does not count it. */
int apply_attach(struct apply *a)
{
	_cleanup_dentry_slot_ struct dentry_slot slot = DENTRY_SLOT_INIT;
	const struct op *op = a->op;
	struct attach_row row;
	struct node *root;
	bool taken;
	int r = attach_row_decode(op->value, &row);

	if (r)
		return r == -EBADMSG ? EINVAL : r;
	r = node_get(a, ROOT_INO, &root);
	if (r)
		return r;
	r = apply_find(a, root, op->name, &slot);
	if (r)
		return r;
	r = apply_is_attached(a, ROOT_INO, op->name, &taken);
	if (r)
		return r;
	if (slot.found || taken)
		return EEXIST;
	node_changed(a, root);
	return view_put(a->view, COL_ATTACH, op->name, op->value);
}

int apply_detach(struct apply *a)
{
	struct node *root;
	bool there;
	int r = name_check(a->op->name);

	if (r)
		return r;
	r = apply_is_attached(a, ROOT_INO, a->op->name, &there);
	if (r)
		return r;
	if (!there)
		return ENOENT;
	r = node_get(a, ROOT_INO, &root);
	if (r)
		return r;
	node_changed(a, root);
	return view_delete(a->view, COL_ATTACH, a->op->name);
}

static int count_keyslot(unsigned number, struct span slot, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

/* The slot itself is sealed to whoever has its secret: there is nothing to judge in it here. */
int apply_keyslot(struct apply *a)
{
	_cleanup_buf_ struct buf there = BUF_INIT(ROW_MAX);
	const struct op *op = a->op;
	const uint8_t number = (uint8_t)op->off;
	const struct span key = span_of(&number, 1);
	unsigned n = 0;
	int r;

	if (op->off >= KEYSLOTS_MAX || op->value.len > KEYSLOT_SIZE_MAX)
		return EINVAL;
	r = view_get(a->view, COL_KEYSLOT, key, &there);
	if (r < 0)
		return r;
	if (op->value.len)
		return r == 0 ? EEXIST : view_put(a->view, COL_KEYSLOT, key, op->value);
	if (r == VIEW_MISSING)
		return ENOENT;
	r = ns_keyslots(a->view, count_keyslot, &n);
	if (r)
		return r;
	return n == 1 ? EBUSY : view_delete(a->view, COL_KEYSLOT, key);
}
