/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in parts: they come into being whole, on conditions, or not at all. */
#include "tests/contract/contract.h"

#include <stdio.h>

#define TAIL 1234

/* Parts of the seeds 1, 2, ... and a tail: is this what is there? */
static void want_parts(struct target *t, const char *name, unsigned whole, size_t tail)
{
	size_t size = part_size(t);

	want(t, head(t, name), 0);
	assert_int_equal(t->last->size, whole * size + tail);
	for (unsigned i = 0; i <= whole; i++) {
		size_t len = i < whole ? size : tail;
		_cleanup_(blob_unrefp) struct blob *body = pattern(i + 1, len);

		if (len == 0)
			continue;
		want(t, get_range(t, name, i * size, len), 0);
		assert_true(span_equal(buf_span(&t->last->body), blob_span(body)));
	}
}

static void send_parts(struct target *t, struct store_upload *u, unsigned whole, size_t tail)
{
	for (unsigned i = 0; i < whole; i++)
		want(t, upload_part(t, u, i, i + 1, part_size(t)), 0);
	if (tail)
		want(t, upload_part(t, u, whole, whole + 1, tail), 0);
}

static void none_left(struct target *t, const char *name)
{
	assert_true(uploads_left(t, name) <= 0);
}

/* Begun, filled with a part and a tail. */
static struct store_upload *upload_filled(struct target *t, const char *name, enum put_cond cond,
					  const char *match)
{
	struct store_upload *u = NULL;

	want(t, upload_begin(t, name, cond, match, NULL, &u), 0);
	send_parts(t, u, 1, TAIL);
	return u;
}

static void upload_appears_whole(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = upload_filled(t, "up/whole",
									      PUT_IF_ABSENT, NULL);
	char version[STORE_VERSION_MAX];

	want(t, head(t, "up/whole"), STORE_MISSING);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("up/whole") }), 0);
	assert_int_equal(t->last->n_entries, 0);
	assert_true(uploads_left(t, "up/whole") != 0 || !t->dialect);
	want(t, upload_finish(t, u), 0);
	memcpy(version, t->last->version, sizeof(version));
	assert_true(version[0]);
	want_parts(t, "up/whole", 1, TAIL);
	assert_string_equal(t->last->version, version);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("up/whole") }), 0);
	assert_int_equal(t->last->n_entries, 1);
	assert_string_equal(t->last->entries[0].version, version);
	none_left(t, "up/whole");
}

static void upload_sizes(void **state)
{
	static const struct {
		unsigned whole;
		size_t tail;
	} all[] = { { 0, 1 }, { 0, 256 * KiB }, { 1, 0 }, { 2, 0 }, { 2, 1 }, { 3, 100000 } };
	struct target *t = *state;
	char name[32];

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
		size_t tail = MIN(all[i].tail, part_size(t) - 1);

		snprintf(name, sizeof(name), "upsize/%u", i);
		want(t, upload_begin(t, name, PUT_ALWAYS, NULL, NULL, &u), 0);
		send_parts(t, u, all[i].whole, tail);
		want(t, upload_finish(t, u), 0);
		want_parts(t, name, all[i].whole, tail);
	}
	none_left(t, "upsize/");
}

#define AT_ONCE 4

/* All under way together, the last one first. */
static void upload_parts_at_once(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	struct store_call *calls[AT_ONCE];

	want(t, upload_begin(t, "uponce/a", PUT_ALWAYS, NULL, NULL, &u), 0);
	for (unsigned n = AT_ONCE; n > 0; n--) {
		unsigned i = n - 1;
		_cleanup_(blob_unrefp) struct blob *body = pattern(
			i + 1, i + 1 < AT_ONCE ? part_size(t) : TAIL);

		assert_int_equal(store_upload_part(u, i, body, in_ms(LONG_MS), &calls[i]), 0);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		int result = call_wait(&calls[i]->call, in_ms(LONG_MS));

		want(t, ended(t, result, calls[i]), 0);
	}
	want(t, upload_finish(t, u), 0);
	want_parts(t, "uponce/a", AT_ONCE - 1, TAIL);
}

/* In the order of their indices, one at a time. */
static void upload_parts_in_turn(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, part_size(t));
	struct store_call *first = NULL, *c = NULL;

	want(t, upload_begin(t, "upturn/a", PUT_ALWAYS, NULL, NULL, &u), 0);
	assert_int_equal(store_upload_part(u, 1, body, in_ms(LONG_MS), &c), -EINVAL);
	assert_int_equal(store_upload_part(u, 0, body, in_ms(LONG_MS), &first), 0);
	want(t, ended(t, call_wait(&first->call, in_ms(LONG_MS)), first), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	assert_int_equal(store_upload_part(u, 2, body, in_ms(LONG_MS), &c), -EINVAL);
	want(t, upload_finish(t, u), 0);
	want_parts(t, "upturn/a", 1, TAIL);
}

static void upload_part_again(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;

	want(t, upload_begin(t, "upagain/a", PUT_ALWAYS, NULL, NULL, &u), 0);
	want(t, upload_part(t, u, 0, 1, part_size(t)), 0);
	want(t, upload_part(t, u, 0, 1, part_size(t)), 0);
	want(t, upload_part(t, u, 1, 7, TAIL), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	if (lacks(t, PART_AGAIN)) { /* it has the first part twice, and we notice */
		want(t, upload_finish(t, u), -EIO);
		return;
	}
	want(t, upload_finish(t, u), 0);
	want_parts(t, "upagain/a", 1, TAIL);
}

/* Told at the beginning (GCS) or at the end. */
static int finish_or_begin(struct target *t, const char *name, enum put_cond cond,
			   const char *match)
{
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	int result = upload_begin(t, name, cond, match, NULL, &u), answer;

	if (result != 0)
		return result;
	send_parts(t, u, 1, TAIL);
	answer = upload_finish(t, u);
	if (answer != 0)
		want(t, upload_abort(t, u), 0);
	return answer;
}

static void upload_conditions(void **state)
{
	struct target *t = *state;
	char first[STORE_VERSION_MAX], second[STORE_VERSION_MAX];

	want(t, put_seed(t, "upcond/a", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(first, t->last->version, sizeof(first));
	want(t, finish_or_begin(t, "upcond/a", PUT_IF_ABSENT, NULL), STORE_EXISTS);
	want_content(t, "upcond/a", 1, 100);
	want(t, finish_or_begin(t, "upcond/a", PUT_IF_MATCH, first), 0);
	memcpy(second, t->last->version, sizeof(second));
	assert_string_not_equal(first, second);
	want(t, finish_or_begin(t, "upcond/a", PUT_IF_MATCH, first), STORE_CHANGED);
	want_parts(t, "upcond/a", 1, TAIL);
	assert_string_equal(t->last->version, second);
	want(t, finish_or_begin(t, "upcond/none", PUT_IF_MATCH, first), STORE_CHANGED);
	want(t, head(t, "upcond/none"), STORE_MISSING);
	want(t, finish_or_begin(t, "upcond/a", PUT_ALWAYS, NULL), 0);
	none_left(t, "upcond/");
}

/* Somebody writes the name while the upload is under way. At Azure that drops the blocks as well.
 */
static void want_lost(struct target *t, struct store_upload *u, int wanted)
{
	int result = upload_finish(t, u);

	if (!(result == STORE_GONE && t->dialect == DIALECT_AZURE))
		want(t, result, wanted);
	want(t, upload_abort(t, u), 0);
}

static void upload_loses(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *creates = NULL, *replaces = NULL;

	creates = upload_filled(t, "uplose/a", PUT_IF_ABSENT, NULL);
	want(t, put_seed(t, "uplose/a", 5, 50, PUT_ALWAYS, NULL), 0);
	want_lost(t, creates, STORE_EXISTS);
	want_content(t, "uplose/a", 5, 50);
	replaces = upload_filled(t, "uplose/a", PUT_IF_MATCH, t->last->version);
	want(t, put_seed(t, "uplose/a", 6, 60, PUT_ALWAYS, NULL), 0);
	want_lost(t, replaces, STORE_CHANGED);
	want_content(t, "uplose/a", 6, 60);
	none_left(t, "uplose/");
}

static void upload_aborted(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = upload_filled(t, "upabort/a",
									      PUT_IF_ABSENT, NULL);

	want(t, upload_abort(t, u), 0);
	want(t, head(t, "upabort/a"), STORE_MISSING);
	none_left(t, "upabort/");
	want(t, upload_abort(t, u), 0); /* gone is gone */
	if (lacks(t, ABORTS)) {
		want(t, upload_finish(t, u), 0);
		return;
	}
	if (t->dialect != DIALECT_AZURE)
		want(t, upload_finish(t, u), STORE_GONE);
	want(t, head(t, "upabort/a"), STORE_MISSING);
	if (lacks(t, ABORTED_IS_ABSENT)) {
		want(t, put_seed(t, "upabort/a", 1, 10, PUT_IF_ABSENT, NULL), STORE_EXISTS);
		return;
	}
	want(t, put_seed(t, "upabort/a", 1, 10, PUT_IF_ABSENT, NULL), 0);
	want_content(t, "upabort/a", 1, 10);
}

/* The same again after a success: never a second time. */
static void upload_finished_twice(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = upload_filled(t, "uptwice/a",
									      PUT_ALWAYS, NULL);
	char version[STORE_VERSION_MAX];
	int result;

	want(t, upload_finish(t, u), 0);
	memcpy(version, t->last->version, sizeof(version));
	result = upload_finish(t, u);
	assert_true(result == STORE_GONE || result == 0);
	if (result == 0)
		assert_string_equal(t->last->version, version);
	want(t, head(t, "uptwice/a"), 0);
	assert_string_equal(t->last->version, version);
	want(t, upload_abort(t, u), 0);
	want_parts(t, "uptwice/a", 1, TAIL);
}

static void upload_impossible(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	_cleanup_(blob_unrefp) struct blob *empty = pattern(1, 0), *small = pattern(1, 10),
					   *large = pattern(1, part_size(t) + 1);
	struct store_call *c = NULL;
	struct upload_req r = { .name = span_str("upbad/a"),
				.part_size = part_size(t),
				.deadline_ns = in_ms(LONG_MS) };

	r.cond = PUT_IF_MATCH;
	assert_int_equal(store_upload_begin(t->store, &r, &c), -EINVAL);
	r.cond = PUT_ALWAYS;
	r.part_size = store_upload_limits(t->store)->part_max + 1;
	assert_int_equal(store_upload_begin(t->store, &r, &c), -EINVAL);
	want(t, upload_begin(t, "upbad/a", PUT_ALWAYS, NULL, NULL, &u), 0);
	assert_int_equal(store_upload_part(u, 0, empty, in_ms(LONG_MS), &c), -EINVAL);
	assert_int_equal(store_upload_part(u, 0, large, in_ms(LONG_MS), &c), -EINVAL);
	assert_int_equal(store_upload_finish(u, in_ms(LONG_MS), &c), -EINVAL);
	if (store_upload_limits(t->store)->parts_at_once >
	    1) { /* a hole, then a short part inside */
		want(t, upload_part(t, u, 1, 2, TAIL), 0);
		assert_int_equal(store_upload_finish(u, in_ms(LONG_MS), &c), -EINVAL);
		want(t, upload_part(t, u, 0, 1, 10), 0);
		assert_int_equal(store_upload_finish(u, in_ms(LONG_MS), &c), -EINVAL);
	}
	assert_null(c);
	want(t, upload_abort(t, u), 0);
	none_left(t, "upbad/");
}

#define RACERS 8

static void upload_race(void **state)
{
	struct target *t = *state;
	struct store_upload *u[RACERS] = { 0 };
	struct store_call *calls[RACERS];
	unsigned won = 0;

	for (unsigned i = 0; i < RACERS; i++) {
		want(t, upload_begin(t, "uprace/a", PUT_IF_ABSENT, NULL, NULL, &u[i]), 0);
		want(t, upload_part(t, u[i], 0, i, 64 * KiB - 1), 0);
	}
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(store_upload_finish(u[i], in_ms(LONG_MS), &calls[i]), 0);
	for (unsigned i = 0, winner = 0; i <= RACERS; i++) {
		int result = i < RACERS ? call_wait(&calls[i]->call, in_ms(LONG_MS)) : 0;

		if (i == RACERS) {
			assert_int_equal(won, 1);
			want_content(t, "uprace/a", winner, 64 * KiB - 1);
			break;
		}
		if (result == 0) {
			won++;
			winner = i;
		} else if (result != STORE_GONE || t->dialect != DIALECT_AZURE) {
			want(t, ended(t, result, calls[i]), STORE_EXISTS);
			calls[i] = NULL;
		}
		store_call_unref(calls[i]);
	}
	for (unsigned i = 0; i < RACERS; i++) {
		want(t, upload_abort(t, u[i]), 0);
		store_upload_unref(u[i]);
	}
	none_left(t, "uprace/");
}

/* What was damaged on its way never becomes an object. */
static void upload_damaged(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 1000), *same = pattern(1, 1000);
	struct store_call *c = NULL;
	int result;

	want(t, upload_begin(t, "updamaged/a", PUT_IF_ABSENT, NULL, NULL, &u), 0);
	blob_crc32c_known(body, blob_crc32c(same) ^ 1);
	result = store_upload_part_wait(u, 0, body, in_ms(LONG_MS), &c);
	if (ended(t, result, c) == 0) /* only the sum of the whole is looked at */
		result = upload_finish(t, u);
	if (lacks(t, UPLOAD_SUMS)) { /* it has stored something, and we notice what */
		want(t, result, -EIO);
		return;
	}
	want(t, result, -EAGAIN);
	assert_true(t->last->executed_not);
	want(t, head(t, "updamaged/a"), STORE_MISSING);
	want(t, upload_abort(t, u), 0);
	none_left(t, "updamaged/");
}

/* The end of another object is appended to without reading it. */
static void upload_of_copied_parts(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	size_t size = part_size(t);
	char version[STORE_VERSION_MAX];
	struct store_call *c = NULL;
	int r;

	want(t, put_seed(t, "upcopy/from", 1, size, PUT_ALWAYS, NULL), 0);
	memcpy(version, t->last->version, sizeof(version));
	want(t, upload_begin(t, "upcopy/a", PUT_IF_ABSENT, NULL, NULL, &u), 0);
	assert_int_equal(store_upload_copy_part(u, 0, span_str("upcopy/from"), version, 0, size,
						in_ms(LONG_MS), &c),
			 0);
	r = call_wait(&c->call, in_ms(LONG_MS));
	if (lacks(t, COPIED_PARTS)) { /* not into an upload with sums: it must be sent */
		want(t, ended(t, r, c), -EIO);
		want(t, upload_abort(t, u), 0);
		return;
	}
	want(t, ended(t, r, c), 0);
	want(t, upload_part(t, u, 1, 2, TAIL), 0);
	want(t, upload_finish(t, u), 0);
	want_parts(t, "upcopy/a", 1, TAIL);
}

static void upload_of_parts_that_changed(void **state)
{
	struct target *t = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	char version[STORE_VERSION_MAX];
	struct store_call *c = NULL;
	int r;

	want(t, put_seed(t, "upcopy/from", 1, 100, PUT_ALWAYS, NULL), 0);
	memcpy(version, t->last->version, sizeof(version));
	want(t, put_seed(t, "upcopy/from", 2, 100, PUT_ALWAYS, NULL), 0);
	want(t, upload_begin(t, "upcopy/b", PUT_IF_ABSENT, NULL, NULL, &u), 0);
	assert_int_equal(store_upload_copy_part(u, 0, span_str("upcopy/from"), version, 0, 100,
						in_ms(LONG_MS), &c),
			 0);
	r = call_wait(&c->call, in_ms(LONG_MS));
	want(t, ended(t, r, c), STORE_CHANGED);
	assert_int_equal(store_upload_copy_part(u, 0, span_str("upcopy/none"), NULL, 0, 100,
						in_ms(LONG_MS), &c),
			 0);
	r = call_wait(&c->call, in_ms(LONG_MS));
	want(t, ended(t, r, c), STORE_MISSING);
	want(t, upload_abort(t, u), 0);
	none_left(t, "upcopy/");
}

size_t checks_upload(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	ADD(to, n, upload_appears_whole);
	ADD(to, n, upload_sizes);
	if (t->dialect == DIALECT_GCS)
		ADD(to, n, upload_parts_in_turn);
	else
		ADD(to, n, upload_parts_at_once);
	ADD(to, n, upload_part_again);
	ADD(to, n, upload_conditions);
	ADD(to, n, upload_loses);
	ADD(to, n, upload_aborted);
	ADD(to, n, upload_finished_twice);
	ADD(to, n, upload_impossible);
	ADD(to, n, upload_race);
	if (t->dialect == DIALECT_S3 || t->dialect == DIALECT_GCS)
		ADD(to, n, upload_damaged);
	if (t->dialect != DIALECT_GCS) {
		ADD(to, n, upload_of_copied_parts);
		ADD(to, n, upload_of_parts_that_changed);
	}
	return n;
}
