/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings of operations: one form each, and nothing else is accepted. */
#include "fs/ns/op.h"

#include "tests/lib/cm.h"
#include "tests/lib/ns_samples.h"

#define LIMIT (256 * KiB)

static uint64_t seed = 7;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void encode(const struct op *op, struct buf *ret)
{
	buf_clear(ret);
	assert_int_equal(op_encode(op, ret), 0);
}

/* Accepted bytes are the form of what they say. */
static int check_form(struct span s)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	struct op op;
	const int r = op_decode(s, &op);

	if (r) {
		assert_true(r == -EBADMSG || r == OP_UNKNOWN_KIND);
		return r;
	}
	assert_true(op_valid(&op));
	assert_int_equal(op_encode(&op, &again), 0);
	op_release(&op);
	assert_true(span_equal(s, buf_span(&again)));
	return 0;
}

static void test_round_trip(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	for (size_t i = 0; i < ARRAY_SIZE(sample_ops); i++) {
		encode(&sample_ops[i], &b);
		assert_int_equal(check_form(buf_span(&b)), 0);
		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(check_form(span_sub(buf_span(&b), 0, n)), -EBADMSG);
		assert_int_equal(buf_add_byte(&b, 0), 0);
		assert_int_equal(check_form(buf_span(&b)), -EBADMSG);
	}
}

#define SAME(field) assert_int_equal(in->field, out->field)

static void same_places(const struct op *in, const struct op *out)
{
	SAME(kind);
	SAME(number);
	SAME(time_ns);
	SAME(uid);
	SAME(gid);
	SAME(ino);
	SAME(parent);
	SAME(to_parent);
	SAME(saw);
	SAME(saw_to);
	assert_true(span_equal(in->name, out->name));
	assert_true(span_equal(in->to_name, out->to_name));
}

static void same_contents(const struct op *in, const struct op *out)
{
	SAME(mode);
	SAME(rdev);
	SAME(set);
	SAME(flags);
	SAME(size);
	SAME(off);
	SAME(len);
	SAME(to);
	SAME(to_off);
	SAME(mtime_ns);
	SAME(atime_ns);
	assert_true(span_equal(in->value, out->value));
}

static void same_extent(const struct op_extent *in, const struct op_extent *out)
{
	SAME(offset);
	SAME(row.kind);
	SAME(row.length);
	SAME(row.chunk_offset);
	SAME(row.foreign_offset);
	assert_memory_equal(in->row.chunk, out->row.chunk, CHUNK_ID_SIZE);
	assert_true(span_equal(in->row.bytes, out->row.bytes));
}

static void same_chunk(enum op_kind kind, const struct op_chunk *in, const struct op_chunk *out)
{
	assert_memory_equal(in->id, out->id, CHUNK_ID_SIZE);
	SAME(stores);
	if (kind != OP_WRITE)
		return;
	SAME(length);
	SAME(key_epoch);
	SAME(want);
	SAME(policy);
	assert_memory_equal(in->salt, out->salt, sizeof(out->salt));
}

static void test_fields(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);
	struct op op;

	for (size_t i = 0; i < ARRAY_SIZE(sample_ops); i++) {
		const struct op *in = &sample_ops[i];

		encode(in, &b);
		assert_int_equal(op_decode(buf_span(&b), &op), 0);
		same_places(in, &op);
		same_contents(in, &op);
		assert_int_equal(op.n_extents, in->n_extents);
		assert_int_equal(op.n_chunks, in->n_chunks);
		for (size_t k = 0; k < op.n_extents; k++)
			same_extent(&in->extents[k], &op.extents[k]);
		for (size_t k = 0; k < op.n_chunks; k++)
			same_chunk(in->kind, &in->chunks[k], &op.chunks[k]);
		op_release(&op);
	}
}

/* What a kind does not have does not reach its bytes. */
static void test_other_fields_left_out(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT), c = BUF_INIT(LIMIT);
	struct op op = { .kind = OP_HOLD, .number = 1, .ino = 5 };

	encode(&op, &b);
	op.name = SPAN_LITERAL("name");
	op.flags = op.set = op.mode = UINT32_MAX;
	op.size = op.off = op.saw = UINT64_MAX;
	op.chunks = sample_chunks;
	op.n_chunks = 1;
	encode(&op, &c);
	assert_true(span_equal(buf_span(&b), buf_span(&c)));
}

static void test_damage(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT);

	for (size_t i = 0; i < ARRAY_SIZE(sample_ops); i++)
		for (int n = 0; n < 5000; n++) {
			encode(&sample_ops[i], &b);
			for (uint32_t changes = 1 + draw(3); changes > 0; changes--)
				b.data[draw((uint32_t)b.len)] = (uint8_t)draw(256);
			check_form(buf_span(&b));
		}
}

static void check_refused(struct op op)
{
	_cleanup_buf_ struct buf b = BUF_INIT(2 * LIMIT);

	assert_false(op_valid(&op));
	assert_int_equal(op_encode(&op, &b), -EINVAL);
	assert_int_equal(b.len, 0);
}

static void test_refused(void **state)
{
	static const char long_name[OP_NAME_MAX + 1], long_value[OP_VALUE_MAX + 1];
	struct op_chunk empty_chunk = { .length = 0 };

	check_refused((struct op){ .kind = 0 });
	check_refused((struct op){ .kind = 99 });
	check_refused((struct op){ .kind = OP_RENAME, .flags = 4 });
	check_refused((struct op){ .kind = OP_SETXATTR, .flags = 4 });
	check_refused((struct op){ .kind = OP_WRITE, .flags = 32 });
	check_refused((struct op){ .kind = OP_WRITE, .flags = OP_WRITE_APPEND | OP_WRITE_SIZE });
	check_refused((struct op){ .kind = OP_TRUNCATE, .flags = OP_WRITE_REPLACE });
	check_refused((struct op){ .kind = OP_PUNCH, .flags = 2 });
	check_refused((struct op){ .kind = OP_SETATTR, .set = 32 });
	check_refused((struct op){ .kind = OP_MKDIR, .mode = 1 << 16 });
	check_refused(
		(struct op){ .kind = OP_UNLINK, .name = span_of(long_name, sizeof(long_name)) });
	check_refused(
		(struct op){ .kind = OP_RENAME, .to_name = span_of(long_name, sizeof(long_name)) });
	check_refused((struct op){ .kind = OP_SYMLINK,
				   .value = span_of(long_value, sizeof(long_value)) });
	check_refused((struct op){ .kind = OP_WRITE, .chunks = &empty_chunk, .n_chunks = 1 });
}

static void test_extents_refused(void **state)
{
	struct op_extent e[2] = { sample_extents[0], sample_extents[1] };
	struct op op = { .kind = OP_WRITE, .extents = e, .n_extents = 2 };

	assert_true(op_valid(&op));
	e[1].offset = 5;
	assert_true(op_valid(&op));
	e[1].offset = 4; /* overlaps */
	check_refused(op);
	e[1].offset = 1;
	e[0].offset = 301; /* out of order */
	check_refused(op);
	e[0].offset = 0;
	e[1].offset = FILE_SIZE_MAX - 299;
	check_refused(op);
	e[1].offset--;
	assert_true(op_valid(&op));
	e[1].row.length = 0;
	check_refused(op);
}

/* Kinds of a later level are told from damage, whatever follows. */
static void test_unknown_kind(void **state)
{
	struct op op;

	assert_int_equal(op_decode(SPAN_LITERAL("\x7f\x01\x02"), &op), OP_UNKNOWN_KIND);
	assert_int_equal(op_decode(SPAN_LITERAL("\x6f"), &op), OP_UNKNOWN_KIND);
	assert_int_equal(op_decode(SPAN_NULL, &op), -EBADMSG);
	assert_int_equal(op_decode(SPAN_LITERAL("\x80\x00"), &op), -EBADMSG);
}

/* A count is believed as far as there are bytes for it, not to the end of the memory. */
static void test_counts(void **state)
{
	static const char counts[] = "\x28\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
	struct op op;

	assert_int_equal(op_decode(SPAN_LITERAL(counts), &op), -EBADMSG);
	assert_int_equal(op_decode(SPAN_LITERAL("\x28\x01\x01\x01"), &op), -EBADMSG);
	assert_int_equal(op_decode(SPAN_LITERAL("\x28\x01\x01\x00"), &op), 0);
	op_release(&op);
}

/* "Anything" as the slot of an orphan has one form. */
static void test_saw_of_reap(void **state)
{
	_cleanup_buf_ struct buf a = BUF_INIT(LIMIT), b = BUF_INIT(LIMIT);
	struct op op = { .kind = OP_REAP, .number = 1, .ino = 5, .saw = SAW_ANYTHING };

	encode(&op, &a);
	op.saw = 0;
	encode(&op, &b);
	assert_true(span_equal(buf_span(&a), buf_span(&b)));
	assert_int_equal(
		op_decode(SPAN_LITERAL("\x2a\1\1\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), &op),
		-EBADMSG);
}

static void test_no_room(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(12);

	assert_int_equal(buf_add_str(&b, "abc"), 0);
	assert_int_equal(op_encode(&sample_ops[5], &b), -EMSGSIZE);
	assert_span_str(buf_span(&b), "abc");
}

static void test_names(void **state)
{
	assert_string_equal(op_kind_name(OP_RENAME), "rename");
	assert_string_equal(op_kind_name(99), "unknown");
}

static void test_format_value(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(LIMIT), again = BUF_INIT(LIMIT);
	struct volume_format f = { .id = "volume-volume-i",
				   .level = 1,
				   .epoch = 1,
				   .key_epoch = 1,
				   .name = SPAN_LITERAL("demo"),
				   .n_stores = 1,
				   .n_keyslots = 2 },
			     g;

	f.stores[0] = (struct store_row){ .id = "store-store-sto",
					  .roles = 3,
					  .name = SPAN_LITERAL("aws"),
					  .url = SPAN_LITERAL("s3://b") };
	f.keyslots[1] = SPAN_LITERAL("slot");
	assert_int_equal(volume_format_encode(&f, &b), 0);
	assert_int_equal(volume_format_decode(buf_span(&b), &g), 0);
	assert_int_equal(g.n_stores, 1);
	assert_span_str(g.stores[0].url, "s3://b");
	assert_span_str(g.keyslots[1], "slot");
	assert_int_equal(volume_format_encode(&g, &again), 0);
	assert_true(span_equal(buf_span(&b), buf_span(&again)));
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(volume_format_decode(span_sub(buf_span(&b), 0, n), &g), -EBADMSG);
	f.n_stores = STORES_MAX + 1;
	assert_int_equal(volume_format_encode(&f, &again), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_other_fields_left_out),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_extents_refused),
		cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_saw_of_reap),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_format_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
