/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: whole, in ranges, within limits, on conditions; and what is not there. */
#include "tests/contract/contract.h"

static void missing(void **state)
{
	struct target *t = *state;

	want(t, get(t, "missing/a"), STORE_MISSING);
	assert_int_equal(t->last->body.len, 0);
	want(t, head(t, "missing/a"), STORE_MISSING);
	want(t, get_range(t, "missing/a", 10, 10), STORE_MISSING);
}

/* However little the caller has room for, and however many words the server makes. */
static void missing_with_small_limit(void **state)
{
	struct target *t = *state;
	struct get_req r = { .name = span_str("missing/small"),
			     .limit = 0,
			     .deadline_ns = in_ms(LONG_MS) };

	/* a listing has something to say */
	want(t, put_seed(t, "missing/there", 1, 10, PUT_ALWAYS, NULL), 0);
	want(t, get_req(t, &r), STORE_MISSING);
	r.limit = 1;
	r.length = 1;
	want(t, get_req(t, &r), STORE_MISSING);
	want(t, get(t, "missing/there"), 0);
}

struct range_case {
	uint64_t offset, length;
	int result;
	uint64_t got;
};

static void read_ranges(struct target *t, const char *name, size_t size,
			const struct range_case *cases, size_t n)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(5, size);

	want(t, put_seed(t, name, 5, size, PUT_IF_ABSENT, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		const struct range_case *r = &cases[i];
		struct span part = span_sub(blob_span(body), r->offset, r->got);

		want(t, get_range(t, name, r->offset, r->length), r->result);
		assert_int_equal(t->last->body.len, r->result == 0 ? r->got : 0);
		if (r->result == 0) {
			assert_int_equal(t->last->size, size);
			assert_true(span_equal(buf_span(&t->last->body), part));
		}
	}
}

static void ranges(void **state)
{
	static const struct range_case cases[] = {
		{ 0, 0, 0, 1000 },   { 0, 1, 0, 1 },	  { 0, 1000, 0, 1000 }, { 10, 20, 0, 20 },
		{ 999, 1, 0, 1 },    { 500, 0, 0, 500 },  { 999, 0, 0, 1 },	/* inside */
		{ 990, 100, 0, 10 }, { 0, 5000, 0, 1000 },			/* over the end */
		{ 1000, 1, STORE_RANGE, 0 }, { 1000, 0, STORE_RANGE, 0 },
		{ 5000, 10, STORE_RANGE, 0 },
	};

	read_ranges(*state, "range/a", 1000, cases, ARRAY_SIZE(cases));
}

static void ranges_of_nothing(void **state)
{
	static const struct range_case cases[] = {
		{ 0, 0, 0, 0 }, { 0, 10, STORE_RANGE, 0 }, { 1, 0, STORE_RANGE, 0 },
		{ 5, 5, STORE_RANGE, 0 },
	};

	read_ranges(*state, "range/empty", 0, cases, ARRAY_SIZE(cases));
}

static void ranges_of_a_chunk(void **state)
{
	static const struct range_case cases[] = {
		{ 0, 64 * KiB, 0, 64 * KiB },
		{ 4 * MiB - 7, 64 * KiB + 14, 0, 64 * KiB + 14 },
		{ 8 * MiB - 10, 64 * KiB, 0, 10 + 5 },
		{ 8 * MiB + 5, 1, STORE_RANGE, 0 },
	};

	read_ranges(*state, "range/chunk", 8 * MiB + 5, cases, ARRAY_SIZE(cases));
}

static void limits(void **state)
{
	struct target *t = *state;
	struct get_req r = { .name = span_str("limit/a"),
			     .limit = 1000,
			     .deadline_ns = in_ms(LONG_MS) };

	want(t, put_seed(t, "limit/a", 1, 1000, PUT_IF_ABSENT, NULL), 0);
	want(t, get_req(t, &r), 0);
	assert_int_equal(t->last->body.len, 1000);
	r.limit = 999;
	want(t, get_req(t, &r), -EIO);
	assert_int_equal(t->last->body.len, 0);
	r.limit = 100;
	r.offset = 850;
	r.length = 100;
	want(t, get_req(t, &r), 0);
	assert_int_equal(t->last->body.len, 100);
}

static void get_if_match(void **state)
{
	struct target *t = *state;
	char first[STORE_VERSION_MAX];
	struct get_req r = { .name = span_str("gmatch/a"),
			     .limit = 1000,
			     .if_match = first,
			     .deadline_ns = in_ms(LONG_MS) };

	want(t, put_seed(t, "gmatch/a", 1, 100, PUT_IF_ABSENT, NULL), 0);
	memcpy(first, t->last->version, sizeof(first));
	want(t, get_req(t, &r), 0);
	r.offset = 10;
	r.length = 10;
	want(t, get_req(t, &r), 0);
	want(t, put_seed(t, "gmatch/a", 2, 100, PUT_ALWAYS, NULL), 0);
	want(t, get_req(t, &r), STORE_CHANGED);
	assert_int_equal(t->last->body.len, 0);
	r.offset = r.length = 0;
	want(t, get_req(t, &r), STORE_CHANGED);
	r.name = span_str("gmatch/none");
	want(t, get_req(t, &r), lacks(t, MATCH_SEES_MISSING) ? STORE_CHANGED : STORE_MISSING);
}

/* Not every store tells it of every object; who does tells the truth. */
static void md5_of_head(void **state)
{
	static const uint8_t md5_of_hello[] = { 0x5d, 0x41, 0x40, 0x2a, 0xbc, 0x4b, 0x2a, 0x76,
						0xb9, 0x71, 0x9d, 0x91, 0x10, 0x17, 0xc5, 0x92 };
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(SPAN_LITERAL("hello"));
	struct target *t = *state;

	want(t, put_blob(t, "md5/a", body, PUT_ALWAYS, NULL), 0);
	want(t, head(t, "md5/a"), 0);
	if (t->last->has_md5)
		assert_memory_equal(t->last->md5, md5_of_hello, sizeof(md5_of_hello));
	else
		print_message("no MD5 is told\n");
}

size_t checks_read(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	ADD(to, n, missing);
	ADD(to, n, missing_with_small_limit);
	ADD(to, n, ranges);
	ADD(to, n, ranges_of_nothing);
	ADD(to, n, ranges_of_a_chunk);
	ADD(to, n, limits);
	ADD(to, n, get_if_match);
	ADD(to, n, md5_of_head);
	return n;
}
