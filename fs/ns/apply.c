/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/apply_i.h"

#include "base/plant.h"
#include "fs/ns/row_io.h"

typedef int apply_fn(struct apply *a);

static apply_fn *apply_of(enum op_kind kind)
{
	switch (kind) {
	case OP_FORMAT:
		return apply_format;
	case OP_MOUNT:
		return apply_mount;
	case OP_UNMOUNT:
		return apply_unmount;
	case OP_FENCE:
		return apply_fence;
	case OP_MORE_INODES:
		return apply_more_inodes;
	case OP_CHECKPOINT:
		return apply_checkpoint;
	case OP_ATTACH:
		return apply_attach;
	case OP_DETACH:
		return apply_detach;
	case OP_SOURCE:
		return apply_source;
	case OP_CREATE:
		return apply_create;
	case OP_MKDIR:
		return apply_mkdir;
	case OP_SYMLINK:
		return apply_symlink;
	case OP_LINK:
		return apply_link;
	case OP_UNLINK:
		return apply_unlink;
	case OP_RMDIR:
		return apply_rmdir;
	case OP_RENAME:
		return apply_rename;
	case OP_SETATTR:
		return apply_setattr;
	case OP_SETXATTR:
		return apply_setxattr;
	case OP_REMOVEXATTR:
		return apply_removexattr;
	case OP_WRITE:
		return apply_write;
	case OP_TRUNCATE:
		return apply_truncate;
	case OP_PUNCH:
		return apply_punch;
	case OP_CLONE:
		return apply_clone;
	case OP_ADOPT:
		return apply_adopt;
	case OP_STORED:
		return apply_stored;
	case OP_DEFICIT:
		return apply_deficit;
	case OP_REAP:
		return apply_reap;
	case OP_HOLD:
		return apply_hold;
	case OP_COLLECT:
		return apply_collect;
	case OP_REPACK:
		return apply_repack;
	case OP_KEYSLOT:
		return apply_keyslot;
	}
	return NULL;
}

/* 0 with the result, or this machine's failure. */
static int run(struct view *v, const struct apply_context *ctx, const struct op *op,
	       struct result *ret)
{
	_cleanup_(apply_release) struct apply a = { .view = v, .ctx = ctx, .op = op };
	int r;

	r = op_valid(op) ? apply_of(op->kind)(&a) : EINVAL;
	if (r == 0)
		r = apply_store(&a);
	if (r < 0)
		return r;
	ret->error = -r;
	ret->value = r == 0 || r == EEXIST ? a.value : 0;
	return 0;
}

/* At most once: is this operation evaluated here and now? 0 with the answer, or negative. */
static int is_due(struct view *v, const struct apply_context *ctx, const struct op *op, bool *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct volume_row volume;
	struct mount_row row;
	int r;

	if (op->kind == OP_FORMAT) {
		r = volume_load(v, &volume, &bytes);
		if (r >= 0)
			*ret = r == VIEW_MISSING;
		return r < 0 ? r : 0;
	}
	r = mount_load(v, ctx->incarnation, &row, &bytes);
	if (r < 0)
		return r;
	if (op->kind != OP_MOUNT) {
		*ret = r == 0 && row.status == MOUNT_MOUNTED && op->number == row.last + 1;
		if (plant(PLANT_HIGH_WATER_SET))
			*ret = r == 0 && row.status == MOUNT_MOUNTED && op->number > row.last;
		return 0;
	}
	*ret = false;
	if (r != VIEW_MISSING)
		return 0;
	r = volume_load(v, &volume, &bytes);
	if (r >= 0)
		*ret = r == 0;
	return r < 0 ? r : 0;
}

/*
 * Uses the operation's number up and keeps its result. A MOUNT that failed has no mount to keep it
 * for.
 */
static int record_result(struct view *v, const struct apply_context *ctx, const struct op *op,
			 const struct result *res)
{
	const struct result_row result = { .error = res->error, .value = res->value };
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row;
	int r;

	r = mount_load(v, ctx->incarnation, &row, &bytes);
	if (r)
		return r == VIEW_MISSING ? 0 : r;
	row.last = op->number;
	r = mount_store(v, ctx->incarnation, &row);
	return r ? r : result_store(v, ctx->incarnation, op->number, &result);
}

int apply(struct view *v, const struct apply_context *ctx, const struct op *op, struct result *ret)
{
	struct result res = { .error = APPLY_IGNORED };
	bool due = op->kind >= OP_CREATE;
	int r;

	if (!ctx->early) {
		r = is_due(v, ctx, op, &due);
		if (r)
			return r;
	}
	if (due) {
		r = run(v, ctx, op, &res);
		if (r)
			return r;
	}
	if (due && !ctx->early && op->kind != OP_FORMAT) {
		r = record_result(v, ctx, op, &res);
		if (r)
			return r;
	}
	*ret = res;
	return 0;
}
