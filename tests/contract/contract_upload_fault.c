/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload whose requests fail one after the other: what does the caller learn, what is there in
 * the end, and is anything left behind?
 */
#include "tests/contract/contract.h"

#define TAIL 999

static const struct object_meta mine = { .writer = "mine" };

static struct store_upload *begun(struct target *t, const char *name)
{
	struct store_upload *u = NULL;

	want(t, upload_begin(t, name, PUT_IF_ABSENT, NULL, &mine, &u), 0);
	return u;
}

static struct store_upload *filled(struct target *t, const char *name)
{
	struct store_upload *u = begun(t, name);

	want(t, upload_part(t, u, 0, 1, part_size(t)), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	return u;
}

static void want_all(struct target *t, const char *name)
{
	size_t size = part_size(t);
	_cleanup_(blob_unrefp) struct blob *first = pattern(1, size), *last = pattern(2, TAIL);

	want(t, get(t, name), 0);
	assert_int_equal(t->last->size, size + TAIL);
	assert_true(span_equal(span_sub(buf_span(&t->last->body), 0, size), blob_span(first)));
	assert_true(span_equal(span_sub(buf_span(&t->last->body), size, TAIL), blob_span(last)));
}

static const char *const losses[] = { "refuse", "reset_before", "reset_after" };

/* A beginning that is not heard of: nothing that has bytes. */
static void upload_begin_lost(void **state)
{
	struct target *t = *state;

	if (t->dialect == DIALECT_AZURE)
		return; /* there is no such request */
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		struct store_upload *u = NULL;

		fault(t, "{\"fault\":\"%s\",\"match\":\"fbegin\"}", losses[i]);
		want(t, upload_begin(t, "fbegin/a", PUT_IF_ABSENT, NULL, &mine, &u), -EAGAIN);
		assert_null(u);
	}
	want(t, head(t, "fbegin/a"), STORE_MISSING);
}

/* Each part is lost once in each way, and sent again. */
static void upload_part_lost(void **state)
{
	struct target *t = *state;
	size_t size = part_size(t);

	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		_cleanup_(store_upload_unrefp) struct store_upload *u = begun(t, "fpart/a");

		for (unsigned part = 0; part < 2; part++) {
			fault(t, "{\"fault\":\"%s\",\"op\":\"put\",\"match\":\"fpart\"}",
			      losses[i]);
			want(t, upload_part(t, u, part, part + 1, size), -EAGAIN);
			assert_false(t->last->executed_not);
			want(t, upload_part(t, u, part, part + 1, size), 0);
		}
		want(t, upload_part(t, u, 2, 3, TAIL), 0);
		want(t, upload_finish(t, u), 0);
		want(t, head(t, "fpart/a"), 0);
		assert_int_equal(t->last->size, 2 * size + TAIL);
		want(t, remove_it(t, "fpart/a", NULL), 0);
	}
	assert_true(uploads_left(t, "fpart/") <= 0);
}

/* A part that was lost on the way is looked for before an abort is believed. */
static void upload_aborted_after_loss(void **state)
{
	struct target *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		_cleanup_(store_upload_unrefp) struct store_upload *u = begun(t, "fabort/a");

		fault(t, "{\"fault\":\"%s\",\"op\":\"put\",\"match\":\"fabort\"}", losses[i]);
		want(t, upload_part(t, u, 0, 1, part_size(t)), -EAGAIN);
		want(t, upload_abort(t, u), 0);
		assert_true(uploads_left(t, "fabort/") <= 0);
	}
	want(t, head(t, "fabort/a"), STORE_MISSING);
}

/* The parts stay until somebody hears that the upload is gone. */
static void upload_abort_lost(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = filled(t, "fabort/b");

	if (t->dialect != DIALECT_AZURE) {
		fault(t, "{\"fault\":\"reset_before\",\"match\":\"fabort\"}");
		want(t, upload_abort(t, u), -EAGAIN);
		fault(t, "{\"fault\":\"reset_after\",\"match\":\"fabort\"}");
		want(t, upload_abort(t, u), -EAGAIN);
	}
	want(t, upload_abort(t, u), 0);
	assert_true(uploads_left(t, "fabort/") <= 0);
}

/* It was not executed: finishing again is what publishes. */
static void upload_finish_lost_before(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = filled(t, "ffinish/a");

	fault(t, "{\"fault\":\"reset_before\",\"op\":\"put\",\"match\":\"ffinish\"}");
	want(t, upload_finish(t, u), STORE_UNKNOWN);
	assert_false(t->last->executed_not);
	want(t, head(t, "ffinish/a"), STORE_MISSING);
	want(t, upload_finish(t, u), 0);
	want_all(t, "ffinish/a");
	assert_true(uploads_left(t, "ffinish/") <= 0);
}

/* It was executed: finishing again says so in its way, and the object tells whose it is. */
static void upload_finish_lost_after(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = filled(t, "ffinish/b");
	char version[STORE_VERSION_MAX];
	int result;

	fault(t, "{\"fault\":\"reset_after\",\"op\":\"put\",\"match\":\"ffinish\"}");
	want(t, upload_finish(t, u), STORE_UNKNOWN);
	want(t, head(t, "ffinish/b"), 0);
	assert_string_equal(t->last->meta.writer, "mine");
	memcpy(version, t->last->version, sizeof(version));
	result = upload_finish(t, u);
	assert_true(result == 0 || result == STORE_GONE || result == STORE_EXISTS);
	want(t, upload_abort(t, u), 0);
	want_all(t, "ffinish/b");
	assert_string_equal(t->last->version, version);
	assert_true(uploads_left(t, "ffinish/") <= 0);
}

static void upload_finish_fails(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = filled(t, "ffail/a");

	fault(t, "{\"fault\":\"error_200\",\"op\":\"put\",\"match\":\"ffail\",\"code\":"
		 "\"InternalError\"}");
	want(t, upload_finish(t, u), STORE_UNKNOWN);
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"ffail\",\"status\":500}");
	want(t, upload_finish(t, u), STORE_UNKNOWN);
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"ffail\",\"status\":429}");
	want(t, upload_finish(t, u), -EAGAIN);
	assert_true(t->last->executed_not);
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"ffail\",\"status\":403}");
	want(t, upload_finish(t, u), -EACCES);
	want(t, head(t, "ffail/a"), STORE_MISSING);
	want(t, upload_finish(t, u), 0);
	want_all(t, "ffail/a");
}

static void upload_part_fails(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begun(t, "fsick/a");
	size_t size = part_size(t);

	for (int status = 429; status <= 503; status += 503 - 429) {
		fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"fsick\",\"status\":%d}",
		      status);
		want(t, upload_part(t, u, 0, 1, size), -EAGAIN);
	}
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"fsick\",\"status\":500,"
		 "\"apply\":true}");
	want(t, upload_part(t, u, 0, 1, size), -EAGAIN);
	want(t, upload_part(t, u, 0, 1, size), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	want(t, upload_finish(t, u), 0);
	want_all(t, "fsick/a");
}

static void upload_stalls(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = filled(t, "fstall/a");
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, part_size(t));
	struct store_call *c = NULL;
	int r;

	fault(t, "{\"fault\":\"stall\",\"op\":\"put\",\"match\":\"fstall\",\"count\":0}");
	r = store_upload_finish_wait(u, in_ms(300), &c);
	want(t, ended(t, r, c), STORE_UNKNOWN);
	if (t->dialect != DIALECT_GCS) {
		r = store_upload_part_wait(u, 0, body, in_ms(300), &c);
		want(t, ended(t, r, c), -ETIMEDOUT);
		assert_int_equal(store_upload_part(u, 0, body, in_ms(LONG_MS), &c), 0);
		/* not while a part is under way */
		assert_int_equal(store_upload_abort(u, in_ms(LONG_MS), &(struct store_call *){ 0 }),
				 -EINVAL);
		call_cancel(&c->call);
		r = call_wait(&c->call, in_ms(LONG_MS));
		want(t, ended(t, r, c), -ECANCELED);
	}
	heal(state);
	want(t, upload_abort(t, u), 0);
	want(t, head(t, "fstall/a"), STORE_MISSING);
	assert_true(uploads_left(t, "fstall/") <= 0);
}

/* Credentials that expire in the middle of it all. */
static void upload_outlives_a_token(void **state)
{
	struct target *t = *state;
	int status = t->dialect == DIALECT_S3 ? 400 : 401;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begun(t, "ftoken/a");

	if (t->dialect == DIALECT_GCS)
		return; /* a session needs none */
	fault(t,
	      "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"ftoken\",\"status\":%d,"
	      "\"code\":\"ExpiredToken\"}",
	      status);
	want(t, upload_part(t, u, 0, 1, part_size(t)), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	fault(t,
	      "{\"fault\":\"status\",\"op\":\"put\",\"match\":\"ftoken\",\"status\":%d,"
	      "\"code\":\"ExpiredToken\"}",
	      status);
	want(t, upload_finish(t, u), 0);
	want_all(t, "ftoken/a");
}

static void copy_lost(void **state)
{
	struct target *t = *state;
	const struct copy_req r = { .from = span_str("fcopy/from"),
				    .to = span_str("fcopy/to"),
				    .cond = PUT_IF_ABSENT };

	want(t, put_seed(t, "fcopy/from", 1, 100, PUT_ALWAYS, NULL), 0);
	fault(t, "{\"fault\":\"reset_before\",\"op\":\"put\",\"match\":\"fcopy\"}");
	want(t, copy_req(t, &r), STORE_UNKNOWN);
	want(t, head(t, "fcopy/to"), STORE_MISSING);
	fault(t, "{\"fault\":\"error_200\",\"op\":\"put\",\"match\":\"fcopy\",\"code\":"
		 "\"InternalError\"}");
	want(t, copy_req(t, &r), STORE_UNKNOWN);
	fault(t, "{\"fault\":\"reset_after\",\"op\":\"put\",\"match\":\"fcopy\"}");
	want(t, copy_req(t, &r), STORE_UNKNOWN);
	want(t, copy_req(t, &r), STORE_EXISTS);
	want_content(t, "fcopy/to", 1, 100);
}

size_t checks_upload_fault(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	if (!t->control)
		return 0;
	ADD(to, n, upload_begin_lost);
	ADD(to, n, upload_part_lost);
	ADD(to, n, upload_aborted_after_loss);
	ADD(to, n, upload_abort_lost);
	ADD(to, n, upload_finish_lost_before);
	ADD(to, n, upload_finish_lost_after);
	ADD(to, n, upload_finish_fails);
	ADD(to, n, upload_part_fails);
	ADD(to, n, upload_stalls);
	ADD(to, n, upload_outlives_a_token);
	ADD(to, n, copy_lost);
	for (size_t i = 0; i < n; i++)
		to[i].teardown_func = heal;
	return n;
}
