/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vectors in fs/ns/FORMAT.md are what the code writes, every one of them: lines of four blanks,
 * a label, a colon and hexadecimal digits.
 */
#include <ctype.h>
#include <stdio.h>

#include "base/text.h"
#include "fs/ns/dentry.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"
#include "tests/lib/ns_samples.h"

#define FORMAT_FILE VECTORS_DIR "/../../fs/ns/FORMAT.md"
#define LABEL_MAX   64

static char *page;

static int read_page(void **state)
{
	FILE *f = fopen(FORMAT_FILE, "r");
	size_t len = 0;

	if (!f)
		return -1;
	if (getdelim(&page, &len, 0, f) < 0) {
		fclose(f);
		return -1;
	}
	return fclose(f);
}

static int free_page(void **state)
{
	free(page);
	return 0;
}

/* The digits of a vector, blanks taken out; NULL: the page has none of that label. */
static char *vector_of(const char *label)
{
	char line[LABEL_MAX + 16], *at, *ret;
	size_t n = 0;

	snprintf(line, sizeof(line), "\n    %s: ", label);
	at = strstr(page, line);
	if (!at)
		return NULL;
	at += strlen(line);
	ret = calloc(1, strcspn(at, "\n") + 1);
	assert_non_null(ret);
	for (; *at && *at != '\n'; at++)
		if (!isspace((unsigned char)*at))
			ret[n++] = *at;
	return ret;
}

static unsigned checked;

static void check_vector(const char *label, struct span bytes)
{
	_cleanup_free_ char *expected = vector_of(label);
	_cleanup_free_ char *got = calloc(1, 2 * bytes.len + 1);

	assert_non_null(got);
	for (size_t i = 0; i < bytes.len; i++)
		snprintf(got + 2 * i, 3, "%02x", bytes.data[i]);
	if (!expected || strcmp(got, expected))
		fprintf(stderr, "    %s: %s\n", label, got);
	assert_non_null(expected);
	assert_string_equal(got, expected);
	checked++;
}

static void test_operations(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sample_ops); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);

		assert_int_equal(op_encode(&sample_ops[i], &b), 0);
		check_vector(op_kind_name(sample_ops[i].kind), buf_span(&b));
	}
}

/* What a column's only row is, or its first. */
static int first_row(struct span key, struct span value, void *arg)
{
	struct buf *b = arg;

	assert_int_equal(buf_add_span(b, key), 0);
	assert_int_equal(buf_add_span(b, value), 0);
	return 1;
}

static void check_first_row(struct view *v, unsigned column)
{
	_cleanup_buf_ struct buf b = BUF_INIT(ROW_MAX);
	char label[LABEL_MAX];

	assert_int_equal(view_walk(v, column, SPAN_NULL, SPAN_NULL, first_row, &b), 0);
	snprintf(label, sizeof(label), "%s-row", column_names[column]);
	check_vector(label, buf_span(&b));
}

static const uint8_t name_key[DENTRY_NAME_KEY_SIZE] = { 0xe0, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0,
							0xe0, 0xe0, 0xe0, 0xe0, 0xe0, 0xe0,
							0xe0, 0xe0, 0xe0, 0xe0 };

static void test_hashes(void **state)
{
	const struct state_hash empty = {};
	struct state_hash h;
	struct rig r;
	uint8_t bytes[16];

	key_ino(dentry_hash(name_key, SPAN_LITERAL("name")), bytes);
	check_vector("name-hash", span_of(bytes, 8));
	rig_open(&r);
	rig_commit(&r);
	assert_int_equal(state_hash_of(r.kv, &h), 0);
	assert_false(state_hash_equal(h, empty));
	key_ino_u64(h.hi, h.lo, bytes);
	check_vector("state-hash", span_of(bytes, 16));
	rig_close(&r);
}

static void make_rows(struct rig *r)
{
	const uint64_t f = rig_create(r, ROOT_INO, "name"), g = rig_create(r, ROOT_INO, "gone");
	struct op_chunk lacking = sample_chunks[0];
	const struct op_extent e = { .offset = 4096, .row = sample_extents[1].row };

	assert_int_equal(rig_apply(r, (struct op){ .kind = OP_WRITE,
						   .ino = f,
						   .extents = &e,
						   .n_extents = 1,
						   .chunks = sample_chunks,
						   .n_chunks = 1 }),
			 0);
	lacking.stores = 2;
	assert_int_equal(
		rig_apply(r, (struct op){ .kind = OP_DEFICIT, .chunks = &lacking, .n_chunks = 1 }),
		0);
	assert_int_equal(rig_apply(r, (struct op){ .kind = OP_SETXATTR,
						   .ino = f,
						   .name = SPAN_LITERAL("user.a"),
						   .value = SPAN_LITERAL("v") }),
			 0);
	assert_int_equal(rig_apply(r, (struct op){ .kind = OP_ATTACH,
						   .name = SPAN_LITERAL("raw"),
						   .value = SPAN_LITERAL(SAMPLE_ATTACH) }),
			 0);
	assert_int_equal(rig_apply(r, op_at(OP_UNLINK, ROOT_INO, "gone")), 0);
	assert_int_equal(
		rig_apply(r, (struct op){ .kind = OP_SOURCE, .value = SPAN_LITERAL("s3://raw") }),
		0);
	assert_int_equal(rig_inode(r, g).nlink, 0);
}

static void test_rows(void **state)
{
	static const enum column columns[] = { COL_INODE,   COL_DENTRY, COL_EXTENT,  COL_CHUNK,
					       COL_ORPHAN,  COL_MOUNT,	COL_XATTR,   COL_STORE,
					       COL_KEYSLOT, COL_VOLUME, COL_DEFICIT, COL_RESULT,
					       COL_BLOCK,   COL_ATTACH, COL_SOURCE };
	struct rig r;

	rig_open(&r);
	make_rows(&r);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		check_first_row(r.view, columns[i]);
	rig_close(&r);
}

/* The page has no vector that nothing checks. */
static void test_all_checked(void **state)
{
	unsigned lines = 0;

	for (const char *at = page; (at = strstr(at, "\n    ")); at++) {
		const char *c = at + 5;

		while (islower((unsigned char)*c) || *c == '-')
			c++;
		lines += c > at + 5 && c[0] == ':' && c[1] == ' ' && isxdigit((unsigned char)c[2]);
	}
	assert_int_equal(lines, checked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_all_checked),
	};

	return cmocka_run_group_tests(tests, read_page, free_page);
}
