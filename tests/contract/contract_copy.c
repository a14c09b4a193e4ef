/* SPDX-License-Identifier: Apache-2.0 */
/* Copies inside the store, and what is kept of a file besides its bytes. */
#include "tests/contract/contract.h"

#include <stdio.h>

static const struct object_meta some = {
	.has = META_MTIME | META_MODE | META_OWNER,
	.mtime_ns = 1234567890123456789,
	.mode = 0640,
	.uid = 1000,
	.gid = 100,
	.content_type = "text/plain",
	.writer = "0123456789abcdef",
};
static const struct object_meta other = {
	.has = META_MTIME | META_MODE,
	.mtime_ns = -1500000000,
	.mode = 04755,
	.symlink = "../a b/gr\xc3\xbc\xc3\x9f%20",
	.content_type = "application/x-thing",
};

static void want_meta(struct target *t, const struct object_meta *m)
{
	const struct object_meta *got = &t->last->meta;

	assert_int_equal(got->has, m->has);
	assert_int_equal(got->mtime_ns, m->mtime_ns);
	assert_int_equal(got->mode, m->mode);
	assert_int_equal(got->uid, m->uid);
	assert_int_equal(got->gid, m->gid);
	assert_string_equal(got->symlink, m->symlink);
	assert_string_equal(got->writer, m->writer);
	if (m->content_type[0])
		assert_string_equal(got->content_type, m->content_type);
}

static int put_meta(struct target *t, const char *name, unsigned seed, const struct object_meta *m)
{
	_cleanup_(blob_unrefp) struct blob *body = pattern(seed, 100);
	const struct put_req r = {
		.name = span_str(name), .body = body, .meta = m, .deadline_ns = in_ms(LONG_MS)
	};
	struct store_call *c = NULL;
	int result = store_put_wait(t->store, &r, &c);

	return ended(t, result, c);
}

static void meta_of_puts(void **state)
{
	struct target *t = *state;

	want(t, put_meta(t, "meta/a", 1, &some), 0);
	want(t, head(t, "meta/a"), 0);
	want_meta(t, &some);
	want(t, get(t, "meta/a"), 0);
	if (t->dialect != DIALECT_GCS)
		want_meta(t, &some);
	want(t, put_meta(t, "meta/a", 1, &other), 0); /* nothing of the one before */
	want(t, head(t, "meta/a"), 0);
	want_meta(t, &other);
	want(t, put_meta(t, "meta/a", 1, NULL), 0);
	want(t, head(t, "meta/a"), 0);
	want_meta(t, &(struct object_meta){});
}

static void meta_of_uploads(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;

	want(t, upload_begin(t, "meta/up", PUT_ALWAYS, NULL, &other, &u), 0);
	want(t, upload_part(t, u, 0, 1, 100), 0);
	want(t, upload_finish(t, u), 0);
	want_content(t, "meta/up", 1, 100);
	want(t, head(t, "meta/up"), 0);
	want_meta(t, &other);
}

/* ---- copies ---- */

static int copy_to(struct target *t, const char *from, const char *from_match, const char *to,
		   enum put_cond cond, const char *match)
{
	return copy_req(t, &(struct copy_req){ .from = span_str(from),
					       .from_match = from_match,
					       .to = span_str(to),
					       .cond = cond,
					       .if_match = match });
}

static void copy_keeps_all(void **state)
{
	struct target *t = *state;
	char version[STORE_VERSION_MAX];

	want(t, put_meta(t, "copy/from", 1, &some), 0);
	want(t, copy_to(t, "copy/from", NULL, "copy/b c/to+", PUT_ALWAYS, NULL), 0);
	memcpy(version, t->last->version, sizeof(version));
	assert_true(version[0]);
	want_content(t, "copy/b c/to+", 1, 100);
	assert_string_equal(t->last->version, version);
	want(t, head(t, "copy/b c/to+"), 0);
	want_meta(t, &some);
	want(t, head(t, "copy/from"), 0);
	want(t, copy_to(t, "copy/b c/to+", NULL, "copy/again", PUT_IF_ABSENT, NULL), 0);
	want_content(t, "copy/again", 1, 100);
}

static void copy_with_other_meta(void **state)
{
	struct target *t = *state;
	struct object_meta m = other;

	/* a copy there keeps it */
	if (t->dialect == DIALECT_AZURE)
		memcpy(m.content_type, some.content_type, sizeof(m.content_type));
	want(t, put_meta(t, "copymeta/from", 1, &some), 0);
	want(t,
	     copy_req(t, &(struct copy_req){ .from = span_str("copymeta/from"),
					     .to = span_str("copymeta/to"),
					     .meta = &m }),
	     0);
	want_content(t, "copymeta/to", 1, 100);
	want(t, head(t, "copymeta/to"), 0);
	want_meta(t, &m);
	want(t, head(t, "copymeta/from"), 0);
	want_meta(t, &some);
}

static void copy_of_nothing(void **state)
{
	struct target *t = *state;

	want(t, copy_to(t, "copynone/a", NULL, "copynone/b", PUT_ALWAYS, NULL), STORE_MISSING);
	want(t, copy_to(t, "copynone/a", NULL, "copynone/b", PUT_IF_ABSENT, NULL), STORE_MISSING);
	want(t, head(t, "copynone/b"), STORE_MISSING);
}

static void copy_of_a_version(void **state)
{
	struct target *t = *state;
	char from[STORE_VERSION_MAX], old[STORE_VERSION_MAX];

	want(t, put_seed(t, "copyof/from", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(old, t->last->version, sizeof(old));
	want(t, put_seed(t, "copyof/from", 2, 100, PUT_ALWAYS, NULL), 0);
	memcpy(from, t->last->version, sizeof(from));
	if (lacks(t, COPY_SOURCE)) {
		want(t, copy_to(t, "copyof/from", old, "copyof/to", PUT_ALWAYS, NULL), 0);
		return;
	}
	want(t, copy_to(t, "copyof/from", old, "copyof/to", PUT_ALWAYS, NULL), STORE_CHANGED);
	want(t, copy_to(t, "copyof/from", old, "copyof/to", PUT_IF_ABSENT, NULL), STORE_CHANGED);
	want(t, head(t, "copyof/to"), STORE_MISSING);
	want(t, copy_to(t, "copyof/from", from, "copyof/to", PUT_ALWAYS, NULL), 0);
	want_content(t, "copyof/to", 2, 100);
}

static void copy_on_conditions(void **state)
{
	struct target *t = *state;
	char from[STORE_VERSION_MAX], old[STORE_VERSION_MAX], to[STORE_VERSION_MAX];

	want(t, put_seed(t, "copyif/from", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(old, t->last->version, sizeof(old));
	want(t, put_seed(t, "copyif/from", 2, 100, PUT_ALWAYS, NULL), 0);
	memcpy(from, t->last->version, sizeof(from));
	want(t, copy_to(t, "copyif/from", from, "copyif/to", PUT_IF_ABSENT, NULL), 0);
	memcpy(to, t->last->version, sizeof(to));
	if (lacks(t, COPY_TARGET)) {
		want(t, copy_to(t, "copyif/from", NULL, "copyif/to", PUT_IF_ABSENT, NULL), 0);
		return;
	}
	want(t, copy_to(t, "copyif/from", from, "copyif/to", PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want(t, copy_to(t, "copyif/from", NULL, "copyif/to", PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want(t, copy_to(t, "copyif/from", old, "copyif/to", PUT_IF_MATCH, to), STORE_CHANGED);
	want(t, put_seed(t, "copyif/to", 3, 30, PUT_IF_MATCH, to), 0);
	want(t, copy_to(t, "copyif/from", from, "copyif/to", PUT_IF_MATCH, to), STORE_CHANGED);
	want_content(t, "copyif/to", 3, 30);
	want(t, copy_to(t, "copyif/from", from, "copyif/to", PUT_IF_MATCH, t->last->version), 0);
	want_content(t, "copyif/to", 2, 100);
	want(t, copy_to(t, "copyif/none", NULL, "copyif/to", PUT_IF_MATCH, t->last->version),
	     STORE_MISSING);
	want(t, copy_to(t, "copyif/from", NULL, "copyif/gone", PUT_IF_MATCH, to), STORE_CHANGED);
}

static int describe(struct target *t, const char *name, const char *match,
		    const struct object_meta *m)
{
	const struct describe_req r = { .name = span_str(name),
					.if_match = match,
					.meta = m,
					.deadline_ns = in_ms(LONG_MS) };
	struct store_call *c = NULL;
	int result = store_describe_wait(t->store, &r, &c);

	return ended(t, result, c);
}

/* What is named changes, the rest stays. */
static void described_anew(void **state)
{
	const struct object_meta mode = { .has = META_MODE, .mode = 0600 };
	const struct object_meta link = { .has = META_MTIME, .mtime_ns = 5, .symlink = "to" };
	struct target *t = *state;
	struct object_meta m = some;
	char version[STORE_VERSION_MAX];

	want(t, put_meta(t, "describe/a b+", 1, &some), 0);
	memcpy(version, t->last->version, sizeof(version));
	want(t, describe(t, "describe/a b+", version, &mode), 0);
	memcpy(version, t->last->version, sizeof(version));
	assert_true(version[0]);
	m.mode = 0600;
	want(t, head(t, "describe/a b+"), 0);
	assert_string_equal(t->last->version, version);
	want_meta(t, &m);
	want_content(t, "describe/a b+", 1, 100);
	want(t, describe(t, "describe/a b+", NULL, &link), 0);
	m.mtime_ns = 5;
	strcpy(m.symlink, "to");
	want(t, head(t, "describe/a b+"), 0);
	want_meta(t, &m);
}

static void described_on_condition(void **state)
{
	const struct object_meta mode = { .has = META_MODE, .mode = 0600 };
	struct target *t = *state;
	char old[STORE_VERSION_MAX];

	want(t, describe(t, "describeif/none", NULL, &mode), STORE_MISSING);
	want(t, put_seed(t, "describeif/a", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(old, t->last->version, sizeof(old));
	want(t, put_seed(t, "describeif/a", 2, 100, PUT_ALWAYS, NULL), 0);
	want(t, describe(t, "describeif/a", old, &mode), STORE_CHANGED);
	want(t, head(t, "describeif/a"), 0);
	want_meta(t, &(struct object_meta){});
}

static void copy_impossible(void **state)
{
	struct target *t = *state;
	struct store_call *c = NULL;
	struct object_meta bad = { .content_type = "a\r\nb: c" };

	assert_int_equal(
		store_copy(t->store,
			   &(struct copy_req){ .from = span_str("a"), .to = span_str("a") }, &c),
		-EINVAL);
	assert_int_equal(store_copy(t->store,
				    &(struct copy_req){ .from = span_str("a"),
							.to = span_str("b"),
							.meta = &bad },
				    &c),
			 -EINVAL);
	assert_int_equal(store_copy(t->store,
				    &(struct copy_req){ .from = span_str("a"),
							.to = span_str("b"),
							.cond = PUT_IF_MATCH },
				    &c),
			 -EINVAL);
	assert_null(c);
}

static void copy_of_an_upload(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;

	want(t, upload_begin(t, "copyup/from", PUT_ALWAYS, NULL, &some, &u), 0);
	want(t, upload_part(t, u, 0, 5, part_size(t)), 0);
	want(t, upload_finish(t, u), 0);
	want(t, copy_to(t, "copyup/from", t->last->version, "copyup/to", PUT_IF_ABSENT, NULL), 0);
	want_content(t, "copyup/to", 5, part_size(t));
}

size_t checks_copy(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	(void)t;
	ADD(to, n, meta_of_puts);
	ADD(to, n, meta_of_uploads);
	ADD(to, n, copy_keeps_all);
	ADD(to, n, copy_with_other_meta);
	ADD(to, n, copy_of_nothing);
	ADD(to, n, copy_of_a_version);
	ADD(to, n, copy_on_conditions);
	ADD(to, n, copy_impossible);
	ADD(to, n, described_anew);
	if (!lacks(t, PATCH_CONDITION))
		ADD(to, n, described_on_condition);
	ADD(to, n, copy_of_an_upload);
	return n;
}
