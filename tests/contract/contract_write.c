/* SPDX-License-Identifier: Apache-2.0 */
/* Objects come into being, change and go, on conditions. */
#include "tests/contract/contract.h"

#include <stdio.h>

static void create_once(void **state)
{
	struct target *t = *state;

	want(t, put_seed(t, "once/a", 1, 100, PUT_IF_ABSENT, NULL), 0);
	assert_true(t->last->version[0]);
	want(t, put_seed(t, "once/a", 2, 100, PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want_content(t, "once/a", 1, 100);
	want(t, put_seed(t, "once/empty", 1, 0, PUT_IF_ABSENT, NULL), 0);
	want(t, put_seed(t, "once/empty", 2, 10, PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want_content(t, "once/empty", 1, 0);
}

static void replace(void **state)
{
	struct target *t = *state;

	want(t, put_seed(t, "replace/a", 1, 1000, PUT_ALWAYS, NULL), 0);
	want(t, put_seed(t, "replace/a", 2, 10, PUT_ALWAYS, NULL), 0);
	want_content(t, "replace/a", 2, 10);
}

static void replace_if_match(void **state)
{
	struct target *t = *state;
	char first[STORE_VERSION_MAX], second[STORE_VERSION_MAX];

	want(t, put_seed(t, "match/a", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(first, t->last->version, sizeof(first));
	want(t, put_seed(t, "match/a", 2, 101, PUT_IF_MATCH, first), 0);
	memcpy(second, t->last->version, sizeof(second));
	assert_string_not_equal(first, second);
	want(t, put_seed(t, "match/a", 3, 102, PUT_IF_MATCH, first), STORE_CHANGED);
	want_content(t, "match/a", 2, 101);
	assert_string_equal(t->last->version, second);
	want(t, put_seed(t, "match/none", 3, 102, PUT_IF_MATCH, first), STORE_CHANGED);
	want(t, head(t, "match/none"), STORE_MISSING);
}

static void versions_agree(void **state)
{
	struct target *t = *state;
	char version[STORE_VERSION_MAX];

	want(t, put_seed(t, "version/a", 1, 5000, PUT_IF_ABSENT, NULL), 0);
	memcpy(version, t->last->version, sizeof(version));
	want(t, get(t, "version/a"), 0);
	assert_string_equal(t->last->version, version);
	want(t, get_range(t, "version/a", 10, 10), 0);
	assert_string_equal(t->last->version, version);
	want(t, head(t, "version/a"), 0);
	assert_string_equal(t->last->version, version);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("version/") }), 0);
	assert_int_equal(t->last->n_entries, 1);
	assert_string_equal(t->last->entries[0].version, version);
	want(t, put_seed(t, "version/a", 2, 5000, PUT_ALWAYS, NULL), 0);
	assert_string_not_equal(t->last->version, version);
}

static void remove_and_missing(void **state)
{
	struct target *t = *state;

	want(t, put_seed(t, "remove/a", 1, 100, PUT_IF_ABSENT, NULL), 0);
	want(t, remove_it(t, "remove/a", NULL), 0);
	want(t, get(t, "remove/a"), STORE_MISSING);
	want(t, head(t, "remove/a"), STORE_MISSING);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("remove/") }), 0);
	assert_int_equal(t->last->n_entries, 0);
	want(t, remove_it(t, "remove/a", NULL), 0); /* gone is gone */
	want(t, remove_it(t, "remove/never", NULL), 0);
	want(t, put_seed(t, "remove/a", 2, 50, PUT_IF_ABSENT, NULL), 0);
	want_content(t, "remove/a", 2, 50);
}

static void remove_if_match(void **state)
{
	struct target *t = *state;
	char first[STORE_VERSION_MAX], second[STORE_VERSION_MAX];

	want(t, put_seed(t, "rmatch/a", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(first, t->last->version, sizeof(first));
	want(t, put_seed(t, "rmatch/a", 2, 100, PUT_ALWAYS, NULL), 0);
	memcpy(second, t->last->version, sizeof(second));
	if (lacks(t, MATCH_ON_REMOVE)) {
		want(t, remove_it(t, "rmatch/a", first), 0);
		want(t, head(t, "rmatch/a"), STORE_MISSING);
		return;
	}
	want(t, remove_it(t, "rmatch/a", first), STORE_CHANGED);
	want_content(t, "rmatch/a", 2, 100);
	want(t, remove_it(t, "rmatch/a", second), 0);
	want(t, head(t, "rmatch/a"), STORE_MISSING);
	want(t, remove_it(t, "rmatch/a", second), lacks(t, MISSING_ON_REMOVE) ? 0 : STORE_CHANGED);
}

static void sizes(void **state)
{
	static const size_t lens[] = {
		0, 1, 4096, 64 * KiB, 64 * KiB + 1, MiB, 8 * MiB, 8 * MiB + 4321,
	};
	struct target *t = *state;
	char name[32];

	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		snprintf(name, sizeof(name), "size/%zu", lens[i]);
		want(t, put_seed(t, name, i, lens[i], PUT_IF_ABSENT, NULL), 0);
		want_content(t, name, i, lens[i]);
		want(t, head(t, name), 0);
		assert_int_equal(t->last->size, lens[i]);
	}
}

/* Stored, read, listed and removed under this very name. */
static void use_name(struct target *t, const char *name)
{
	want(t, put_seed(t, name, 7, 77, PUT_IF_ABSENT, NULL), 0);
	want(t, put_seed(t, name, 8, 77, PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want_content(t, name, 7, 77);
	want(t, head(t, name), 0);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str(name) }), 0);
	assert_int_equal(t->last->n_entries, 1);
	assert_string_equal(t->last->entries[0].name, name);
	want(t, remove_it(t, name, NULL), 0);
	want(t, get(t, name), STORE_MISSING);
}

static void names(void **state)
{
	static const char *const all[] = {
		/* as Mangrove makes them */
		"c/ab/ab3f00112233445566778899aabbccddeeff0011",
		"j/00000001/0000000000000000042.1",
		"volume.0",
		"probe/00112233445566778899aabbccddeeff",
		/* and as it does not */
		"n/with blank", "n/plus+plus", "n/per%cent", "n/%2F%20", "n/tilde~",
		"n/gr\xc3\xbc\xc3\x9f",
		"n/\xe6\xa0\x91", "n/a&b=c", "n/a?b#c", "n/semi;colon:at@", "n/(brackets)[x]{y}",
		"n/quo'te\"s",
		"n/<less>&amp;", "n/comma,dollar$", "n/star*bang!", "n/UPPER",
	};
	struct target *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		use_name(t, all[i]);
	/* takes a back slash for a slash, and no dots at the end */
	if (t->dialect == DIALECT_AZURE)
		return;
	use_name(t, "n/back\\slash");
	use_name(t, "n/..dots..");
}

/* 880 bytes, in parts that a file system can hold as well. */
static void long_name(void **state)
{
	struct target *t = *state;
	char name[881];

	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 100 == 99 ? '/' : (char)('a' + i % 26);
	name[sizeof(name) - 1] = '\0';
	use_name(t, name);
}

/* What cannot be a name, or a version, is refused before anything is sent. */
static void impossible_requests(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 10);
	struct store_call *c = NULL;
	static const char nul[] = "a\0b";
	char longer[STORE_NAME_MAX + 2];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(
		store_put(t->store, &(struct put_req){ .name = SPAN_NULL, .body = body }, &c),
		-EINVAL);
	assert_int_equal(
		store_put(t->store, &(struct put_req){ .name = span_of(nul, 3), .body = body }, &c),
		-EINVAL);
	assert_int_equal(store_put(t->store,
				   &(struct put_req){ .name = span_str(longer), .body = body }, &c),
			 -EINVAL);
	assert_int_equal(store_get(t->store,
				   &(struct get_req){ .name = span_str("a"), .if_match = "a\r\nb" },
				   &c),
			 -EINVAL);
	assert_null(c);
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void dates(void **state)
{
	struct target *t = *state;
	uint64_t now = clock_wall() / NS_PER_S, modified;

	want(t, put_seed(t, "date/a", 1, 100, PUT_IF_ABSENT, NULL), 0);
	assert_int_not_equal(t->last->date_s, 0);
	if (lacks(t, CLOCK))
		assert_true(apart(t->last->date_s, now) > 3600);
	else
		assert_true(apart(t->last->date_s, now) < 600);
	want(t, head(t, "date/a"), 0);
	modified = t->last->modified_s;
	assert_true(apart(modified, t->last->date_s) < 600);
	want(t, get(t, "date/a"), 0);
	/* some round, some do not say */
	assert_true(!t->last->modified_s || apart(modified, t->last->modified_s) < 2);
	want(t, get(t, "date/none"), STORE_MISSING);
	assert_int_not_equal(t->last->date_s, 0);
}

/* The checksum sent with the body is looked at: what was damaged on the way is not stored. */
static void damaged_upload(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 1000);
	_cleanup_(blob_unrefp) struct blob *same = pattern(1, 1000);

	blob_crc32c_known(body, blob_crc32c(same) ^ 1);
	want(t, put_blob(t, "damaged/a", body, PUT_IF_ABSENT, NULL), -EAGAIN);
	assert_true(t->last->executed_not);
	want(t, head(t, "damaged/a"), STORE_MISSING);
	want(t, put_blob(t, "damaged/a", same, PUT_IF_ABSENT, NULL), 0);
}

size_t checks_write(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	ADD(to, n, create_once);
	ADD(to, n, replace);
	ADD(to, n, replace_if_match);
	ADD(to, n, versions_agree);
	ADD(to, n, remove_and_missing);
	ADD(to, n, remove_if_match);
	ADD(to, n, sizes);
	ADD(to, n, names);
	ADD(to, n, long_name);
	ADD(to, n, impossible_requests);
	ADD(to, n, dates);
	if (t->dialect == DIALECT_S3 || t->dialect == DIALECT_GCS)
		ADD(to, n, damaged_upload);
	return n;
}
