/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, ids and tables of contents; and the vectors in fs/FORMAT.md, lines of four blanks, a
 * label, a colon and hexadecimal digits.
 */
#include <stdio.h>

#include "base/text.h"
#include "fs/checkpoint_manifest.h"
#include "tests/lib/cm.h"

#define FORMAT_FILE VECTORS_DIR "/../../fs/FORMAT.md"

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

static void check_vector(const char *label, struct span bytes)
{
	_cleanup_free_ char *line = malloc(2 * bytes.len + strlen(label) + 16);
	int n;

	assert_non_null(line);
	n = sprintf(line, "\n    %s: ", label);
	hex_encode(bytes, line + n);
	strcat(line, "\n");
	if (!strstr(page, line))
		fprintf(stderr, "%s", line);
	assert_non_null(strstr(page, line));
}

static int take(struct part *takes, void *arg)
{
	struct part **p = arg;

	assert_null(*p);
	*p = takes;
	return 0;
}

/* Three rows; each of the numbers and texts is told from the others. */
static void sample(struct part **ret_part, struct manifest *ret)
{
	_cleanup_(part_cutter_freep) struct part_cutter *c = NULL;
	struct manifest_part mp = { .place = { .slot = 0x1000, .mount = 7, .number = 2 },
				    .length = 300,
				    .stores = 5,
				    .first = BUF_INIT(PART_PLACE_MAX) };

	*ret_part = NULL;
	*ret = (struct manifest){};
	assert_int_equal(part_cutter_new(take, ret_part, &c), 0);
	assert_int_equal(
	    part_cutter_add(c, COL_INODE, SPAN_LITERAL("inode--1"), SPAN_LITERAL("first")), 0);
	assert_int_equal(
	    part_cutter_add(c, COL_INODE, SPAN_LITERAL("inode--2"), SPAN_LITERAL("second")), 0);
	assert_int_equal(part_cutter_add(c, COL_VOLUME, SPAN_NULL, SPAN_LITERAL("volume")), 0);
	assert_int_equal(part_cutter_end(c, &ret->totals), 0);
	ret->mark = (struct commit_mark){
		.slot = 0x1234, .hash = ret->totals.hash, .time_ns = 1000, .hold_ns = 2000
	};
	memset(ret->mark.record, 0xaa, sizeof(ret->mark.record));
	memset(ret->mark.owner, 0xbb, sizeof(ret->mark.owner));
	memcpy(mp.hash, (*ret_part)->hash, sizeof(mp.hash));
	mp.rows = (*ret_part)->rows;
	mp.size = (*ret_part)->size;
	assert_int_equal(buf_add_span(&mp.first, buf_span(&(*ret_part)->first)), 0);
	assert_int_equal(manifest_add(ret, &mp), 0);
}

static void vectors(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(MANIFEST_MAX);
	_cleanup_(part_freep) struct part *p = NULL;
	struct manifest m;
	uint8_t hash[32], id[OBJECT_ID_SIZE];

	sample(&p, &m);
	assert_int_equal(p->frames.len, sizeof(uint32_t));
	check_vector("part-frame", buf_span(&p->raw));
	check_vector("part-hash", span_of(p->hash, sizeof(p->hash)));
	checkpoint_place_id(&m.parts[0].place, id);
	check_vector("part-id", span_of(id, sizeof(id)));
	assert_int_equal(manifest_encode(&m, &bytes), 0);
	check_vector("manifest", buf_span(&bytes));
	manifest_hash(buf_span(&bytes), hash);
	check_vector("manifest-hash", span_of(hash, sizeof(hash)));
	manifest_release(&m);
}

static void manifests_come_back(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(MANIFEST_MAX), again = BUF_INIT(MANIFEST_MAX);
	_cleanup_(part_freep) struct part *p = NULL;
	struct manifest m, got;

	sample(&p, &m);
	assert_int_equal(manifest_encode(&m, &bytes), 0);
	assert_int_equal(manifest_decode(buf_span(&bytes), &got), 0);
	assert_int_equal(got.n_parts, 1);
	assert_int_equal(got.parts[0].place.number, 2);
	assert_int_equal(got.mark.slot, 0x1234);
	assert_true(part_totals_equal(&got.totals, &m.totals));
	assert_int_equal(manifest_encode(&got, &again), 0);
	assert_true(span_equal(buf_span(&bytes), buf_span(&again)));
	manifest_release(&got);
	for (size_t i = 0; i < bytes.len; i++)
		assert_int_equal(manifest_decode(span_sub(buf_span(&bytes), 0, i), &got), -EBADMSG);
	assert_int_equal(buf_add_byte(&bytes, 0), 0);
	assert_int_equal(manifest_decode(buf_span(&bytes), &got), -EBADMSG);
	manifest_release(&m);
}

static int recode(const struct manifest *m)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct manifest got;
	int r;

	assert_int_equal(manifest_encode(m, &bytes), 0);
	r = manifest_decode(buf_span(&bytes), &got);
	if (!r)
		manifest_release(&got);
	return r;
}

static void nonsense_is_refused(void **state)
{
	struct manifest_part again = { .rows = 1, .first = BUF_INIT(PART_PLACE_MAX) };
	_cleanup_(part_freep) struct part *p = NULL;
	struct manifest m;

	sample(&p, &m);
	assert_int_equal(recode(&m), 0);
	m.parts[0].rows++; /* more than the columns have */
	assert_int_equal(recode(&m), -EBADMSG);
	m.parts[0].rows--;
	m.parts[0].length = PART_PLAIN_MAX + 1;
	assert_int_equal(recode(&m), -EBADMSG);
	m.parts[0].length = 1;
	m.parts[0].place.number = PLACE_MANIFEST;
	assert_int_equal(recode(&m), -EBADMSG);
	m.parts[0].place.number = 1;
	assert_int_equal(buf_add_span(&again.first, buf_span(&m.parts[0].first)), 0);
	assert_int_equal(manifest_add(&m, &again), 0);
	m.totals.columns[COL_XATTR].rows++;
	assert_int_equal(recode(&m), -EBADMSG); /* the same place twice */
	m.parts[1].first.data[2]++;
	assert_int_equal(recode(&m), 0);
	manifest_release(&m);
}

static void names(void **state)
{
	struct checkpoint_place p = { .slot = 0xabc, .mount = 0x12, .number = 3 }, got;
	char name[PLACE_NAME_MAX];
	uint8_t a[OBJECT_ID_SIZE], b[OBJECT_ID_SIZE];

	checkpoint_place_name(&p, name);
	assert_string_equal(name, "k/0000000000000abc-0000000000000012/0000000000000003");
	checkpoint_place_id(&p, a);
	p.number = PLACE_MANIFEST;
	checkpoint_place_name(&p, name);
	assert_string_equal(name, "k/0000000000000abc-0000000000000012/manifest");
	checkpoint_place_id(&p, b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_true(checkpoint_place_parse(span_str(name), &got));
	assert_int_equal(got.slot, p.slot);
	assert_int_equal(got.mount, p.mount);
	assert_int_equal(got.number, PLACE_MANIFEST);
	assert_true(
	    checkpoint_place_parse(SPAN_LITERAL("k/0000000000000abc-0000000000000012/"), &got));
	assert_false(
	    checkpoint_place_parse(SPAN_LITERAL("k/0000000000000abc-0000000000000012"), &got));
	assert_false(
	    checkpoint_place_parse(SPAN_LITERAL("k/0000000000000abc-0000001000000012/"), &got));
	assert_false(
	    checkpoint_place_parse(SPAN_LITERAL("k/0000000000000abx-0000000000000012/"), &got));
	assert_false(checkpoint_place_parse(SPAN_LITERAL("k/"), &got));
	assert_false(checkpoint_place_parse(SPAN_NULL, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(manifests_come_back),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, read_page, free_page);
}
