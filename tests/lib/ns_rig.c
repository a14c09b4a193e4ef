/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ns_rig.h"

#include <sys/stat.h>

#include "tests/lib/cm.h"

#define BEGIN_NS (1700000000 * NS_PER_S)

struct sum {
	struct state_hash hash;
	unsigned column;
};

/* A hash of our own: order does not matter, every byte does. */
static int sum_row(struct span key, struct span value, void *arg)
{
	struct sum *s = arg;
	uint64_t h[2] = { 0xcbf29ce484222325u ^ s->column, 0x9e3779b97f4a7c15u + s->column };
	const struct span parts[2] = { key, value };

	for (int p = 0; p < 2; p++) {
		h[0] = (h[0] ^ parts[p].len) * 0x100000001b3u;
		for (size_t i = 0; i < parts[p].len; i++) {
			h[0] = (h[0] ^ parts[p].data[i]) * 0x100000001b3u;
			h[1] = (h[1] + h[0]) * 0xd6e8feb86659fd93u;
			h[1] ^= h[1] >> 29;
		}
	}
	s->hash.lo += h[0];
	s->hash.hi += h[1];
	return 0;
}

struct state_hash view_hash(struct view *v, bool with_mounts)
{
	struct sum s = {};

	for (s.column = COL_META + 1; s.column < COL_COUNT; s.column++) {
		if (!with_mounts && (s.column == COL_MOUNT || s.column == COL_RESULT))
			continue;
		assert_int_equal(view_walk(v, s.column, SPAN_NULL, SPAN_NULL, sum_row, &s), 0);
	}
	return s.hash;
}

int rig_apply_as(struct rig *r, const uint8_t incarnation[INCARNATION_SIZE], struct op op)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(4 * MiB);
	struct apply_context ctx = { .slot = r->slot };
	const struct state_hash before = view_hash(r->view, false);
	struct op decoded;

	memcpy(ctx.incarnation, incarnation, INCARNATION_SIZE);
	if (!op.time_ns)
		op.time_ns = r->time_ns += NS_PER_S;
	assert_int_equal(op_encode(&op, &bytes), 0);
	assert_int_equal(op_decode(buf_span(&bytes), &decoded), 0);
	assert_int_equal(apply(r->view, &ctx, &decoded, &r->res), 0);
	op_release(&decoded);
	if (r->res.error)
		assert_true(state_hash_equal(before, view_hash(r->view, false)));
	return r->res.error;
}

int rig_apply(struct rig *r, struct op op)
{
	if (!op.number)
		op.number = ++r->number;
	return rig_apply_as(r, r->incarnation, op);
}

void rig_format_value(struct buf *ret)
{
	struct volume_format f = {
		.level = 1,
		.epoch = 1,
		.key_epoch = 1,
		.name = SPAN_LITERAL("demo"),
		.n_stores = 2,
		.n_keyslots = 1,
		.stores = { { .roles = STORE_ROLE_DATA | STORE_ROLE_JOURNAL,
			      .name = SPAN_LITERAL("one"),
			      .url = SPAN_LITERAL("file:///one") },
			    { .roles = STORE_ROLE_DATA,
			      .name = SPAN_LITERAL("two"),
			      .url = SPAN_LITERAL("file:///two") } },
		.keyslots = { SPAN_LITERAL("wrapped") },
	};

	memset(f.id, 0xd0, sizeof(f.id));
	memset(f.name_key, 0xe0, sizeof(f.name_key));
	memset(f.stores[0].id, 0xf0, 16);
	memset(f.stores[1].id, 0xf1, 16);
	assert_int_equal(volume_format_encode(&f, ret), 0);
}

static void format(struct rig *r)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);

	rig_format_value(&value);
	assert_int_equal(rig_apply_as(r, r->incarnation,
				      (struct op){ .kind = OP_FORMAT,
						   .number = 1,
						   .mode = 0755,
						   .uid = 7,
						   .gid = 8,
						   .value = buf_span(&value) }),
			 0);
}

void rig_open_on(struct rig *r, struct kv *kv)
{
	struct volume_row volume;
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);

	*r = (struct rig){ .kv = kv, .time_ns = BEGIN_NS };
	assert_non_null(kv);
	r->view = view_new(kv, COL_COUNT);
	assert_non_null(r->view);
	memset(r->incarnation, 0x11, INCARNATION_SIZE);
	if (ns_volume(r->view, &volume, &bytes) == NS_MISSING) {
		format(r);
		volume.next_mount = 1;
	}
	r->slot = volume.next_mount;
	r->incarnation[0] = (uint8_t)volume.next_mount;
	assert_int_equal(
		rig_apply(r, (struct op){ .kind = OP_MOUNT,
					  .name = SPAN_LITERAL("host"),
					  .value = span_of(r->incarnation, INCARNATION_SIZE) }),
		0);
	r->next_ino = (r->res.value << INO_BLOCK_BITS) + 1;
}

void rig_open(struct rig *r)
{
	rig_open_on(r, kv_memory(COL_COUNT));
}

void rig_close(struct rig *r)
{
	r->view = view_free(r->view);
	r->kv = kv_close(r->kv);
}

void rig_commit(struct rig *r)
{
	view_cut(r->view);
	assert_int_equal(view_commit(r->view, NULL, 0, false), 0);
	r->slot++;
}

struct op op_at(enum op_kind kind, uint64_t parent, const char *name)
{
	return (struct op){
		.kind = kind, .parent = parent, .name = span_str(name), .saw = SAW_ANYTHING
	};
}

struct op op_rename(uint64_t parent, const char *name, uint64_t to_parent, const char *to_name)
{
	struct op op = op_at(OP_RENAME, parent, name);

	op.to_parent = to_parent;
	op.to_name = span_str(to_name);
	op.saw_to = SAW_ANYTHING;
	return op;
}

uint64_t rig_create(struct rig *r, uint64_t parent, const char *name)
{
	struct op op = op_at(OP_CREATE, parent, name);

	op.ino = r->next_ino++;
	op.mode = S_IFREG | 0644;
	op.uid = 1000;
	op.gid = 100;
	assert_int_equal(rig_apply(r, op), 0);
	assert_int_equal(r->res.value, op.ino);
	return op.ino;
}

uint64_t rig_mkdir(struct rig *r, uint64_t parent, const char *name)
{
	struct op op = op_at(OP_MKDIR, parent, name);

	op.ino = r->next_ino++;
	op.mode = 0755;
	op.uid = 1000;
	op.gid = 100;
	assert_int_equal(rig_apply(r, op), 0);
	return op.ino;
}

uint64_t rig_lookup(struct rig *r, uint64_t parent, const char *name)
{
	uint64_t ino = 0;
	const int error = ns_lookup(r->view, parent, span_str(name), &ino, NULL);

	assert_in_range(error, 0, NS_MISSING);
	return ino;
}

bool rig_exists(struct rig *r, uint64_t ino)
{
	struct inode_view iv;
	const int error = ns_inode(r->view, ino, &iv);

	assert_in_range(error, 0, NS_MISSING);
	if (error == 0)
		buf_release(&iv.bytes);
	return error == 0;
}

struct inode_row rig_inode(struct rig *r, uint64_t ino)
{
	struct inode_view iv;

	assert_int_equal(ns_inode(r->view, ino, &iv), 0);
	buf_release(&iv.bytes);
	iv.row.target = SPAN_NULL;
	return iv.row;
}

struct totals_row rig_totals(struct rig *r)
{
	struct totals_row t;

	assert_int_equal(ns_totals(r->view, &t), 0);
	return t;
}
