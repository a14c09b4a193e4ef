/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that decode, whoever made them, applied to a small namespace. None may end in a
 * failure of this machine; results and state do not depend on how often the overlays are committed;
 * and what is counted is what is there. The input is a row of operations, each with its length.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/ns/dentry.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"
#include "tests/lib/ns_samples.h"

#define OPS_MAX 24

static void open_small(struct rig *r)
{
	uint64_t dir, file;

	rig_open(r);
	file = rig_create(r, ROOT_INO, "file");
	dir = rig_mkdir(r, ROOT_INO, "dir");
	rig_create(r, dir, "inner");
	MUST(rig_apply(r, (struct op){ .kind = OP_WRITE,
				       .ino = file,
				       .extents = sample_extents,
				       .n_extents = ARRAY_SIZE(sample_extents),
				       .chunks = sample_chunks,
				       .n_chunks = ARRAY_SIZE(sample_chunks) }) == 0);
	rig_commit(r);
}

/* ---- what is counted is what is there ---- */

struct counted {
	struct totals_row totals;
	struct view *view;
	const uint8_t *chunk; /* whose live bytes are counted, or NULL: all extents */
	uint64_t live;
};

static int count_inode(struct span key, struct span value, void *arg)
{
	struct counted *c = arg;
	struct inode_row row;

	MUST(key.len == 8 && inode_row_decode(value, &row) == 0);
	c->totals.directories += row.nlink && S_ISDIR(row.mode);
	c->totals.files += row.nlink && !S_ISDIR(row.mode);
	return 0;
}

static int check_bucket(struct span key, struct span value, void *arg)
{
	struct counted *c = arg;
	struct reader rd = READER(value);
	struct inode_view iv;
	struct dentry d;

	while (dentry_next(&rd, &d)) {
		MUST(ns_inode(c->view, d.ino, &iv) == 0);
		MUST(iv.row.nlink > 0 && (iv.row.mode & S_IFMT) == d.type);
		buf_release(&iv.bytes);
	}
	MUST(read_end(&rd) == 0);
	return 0;
}

static int count_extent(struct span key, struct span value, void *arg)
{
	struct counted *c = arg;
	struct extent_row row;
	struct chunk_row chunk;

	MUST(key.len == 16 && extent_row_decode(value, &row) == 0);
	if (c->chunk) {
		if (row.kind == EXTENT_CHUNK && memcmp(row.chunk, c->chunk, CHUNK_ID_SIZE) == 0)
			c->live += row.length;
		return 0;
	}
	c->totals.bytes += row.length;
	if (row.kind == EXTENT_CHUNK) {
		MUST(ns_chunk(c->view, row.chunk, &chunk) == 0 && chunk.dead == 0);
		MUST(row.chunk_offset + row.length <= chunk.length);
	}
	return 0;
}

static int check_chunk(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row, void *arg)
{
	struct counted c = { .chunk = id };

	MUST(view_walk(arg, COL_EXTENT, SPAN_NULL, SPAN_NULL, count_extent, &c) == 0);
	MUST(c.live == row->live);
	return 0;
}

static void check_counts(struct rig *r)
{
	struct counted c = { .view = r->view };
	const struct totals_row kept = rig_totals(r);

	MUST(view_walk(r->view, COL_INODE, SPAN_NULL, SPAN_NULL, count_inode, &c) == 0);
	MUST(view_walk(r->view, COL_DENTRY, SPAN_NULL, SPAN_NULL, check_bucket, &c) == 0);
	MUST(view_walk(r->view, COL_EXTENT, SPAN_NULL, SPAN_NULL, count_extent, &c) == 0);
	MUST(c.totals.files == kept.files && c.totals.directories == kept.directories);
	MUST(c.totals.bytes == kept.bytes);
	MUST(ns_chunks(r->view, NULL, check_chunk, r->view) == 0);
}

/* ---- two ways to the same state ---- */

static struct result apply_to(struct rig *r, const struct op *op)
{
	struct apply_context ctx = { .slot = 9 };
	const struct state_hash before = view_hash(r->view, false);
	struct result res;

	memcpy(ctx.incarnation, r->incarnation, INCARNATION_SIZE);
	MUST(apply(r->view, &ctx, op, &res) == 0);
	MUST(res.error <= 0 || res.error == APPLY_IGNORED);
	if (res.error)
		MUST(state_hash_equal(before, view_hash(r->view, false)));
	return res;
}

static void both(struct rig *often, struct rig *never, struct span in)
{
	uint64_t number = often->number;

	for (unsigned i = 0; i < OPS_MAX && in.len; i++) {
		struct result a, b;
		struct op op;

		if (op_decode(take_part(&in), &op))
			continue;
		op.number = number + 1;
		a = apply_to(often, &op);
		b = apply_to(never, &op);
		op_release(&op);
		MUST(a.error == b.error && (a.error || a.value == b.value));
		number += a.error != APPLY_IGNORED && op.kind != OP_FORMAT;
		rig_commit(often);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig often, never;

	open_small(&often);
	open_small(&never);
	both(&often, &never, span_of(data, size));
	MUST(state_hash_equal(view_hash(often.view, true), view_hash(never.view, true)));
	check_counts(&often);
	rig_close(&often);
	rig_close(&never);
	return 0;
}
