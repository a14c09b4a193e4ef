/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that were read lately: what they answer is what the database would. */
#include "cache/kv.h"
#include "cache/kv_rows.h"
#include "tests/lib/cm.h"

static int setup(void **state)
{
	*state = kv_rows_new(MiB);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	kv_rows_free(*state);
	return 0;
}

static int get(struct kv_rows *rows, const char *key, struct buf *ret, uint64_t *ret_moment)
{
	return kv_rows_get(rows, kv_rows_hash(1, span_str(key)), 1, span_str(key), ret, ret_moment);
}

/* NULL: that there is no such row. */
static void learn(struct kv_rows *rows, const char *key, const char *value, uint64_t moment)
{
	kv_rows_learn(rows, kv_rows_hash(1, span_str(key)), moment, 1, span_str(key),
		      value ? span_str(value) : SPAN_NULL, !value);
}

static uint64_t moment_of(struct kv_rows *rows, const char *key)
{
	_cleanup_buf_ struct buf value = BUF_INIT(100);
	uint64_t moment = UINT64_MAX;

	assert_int_equal(get(rows, key, &value, &moment), KV_ROWS_UNKNOWN);
	return moment;
}

static void check(struct kv_rows *rows, const char *key, const char *expected)
{
	_cleanup_buf_ struct buf value = BUF_INIT(100);
	uint64_t moment;

	assert_int_equal(buf_add_str(&value, "what was there before"), 0);
	assert_int_equal(get(rows, key, &value, &moment), expected ? 0 : KV_MISSING);
	if (expected)
		assert_string_equal(buf_str(&value), expected);
}

static void note(struct kv_rows_changes *c, const char *key, const char *value)
{
	assert_int_equal(kv_rows_note(c, 1, span_str(key), value ? span_str(value) : SPAN_NULL,
				      !value), 0);
}

static void answers_what_it_learned(void **state)
{
	struct kv_rows *rows = *state;
	_cleanup_buf_ struct buf value = BUF_INIT(100);
	uint64_t moment;

	learn(rows, "a", "1", moment_of(rows, "a"));
	learn(rows, "none", NULL, moment_of(rows, "none"));
	learn(rows, "", "", moment_of(rows, ""));
	check(rows, "a", "1");
	check(rows, "none", NULL);
	check(rows, "", "");
	assert_int_equal(kv_rows_get(rows, kv_rows_hash(0, span_str("a")), 0, span_str("a"), &value,
				     &moment), KV_ROWS_UNKNOWN); /* another column */
	kv_rows_forget_all(rows);
	moment_of(rows, "a");
	moment_of(rows, "none");
}

static void large_rows_are_not_kept(void **state)
{
	struct kv_rows *rows = *state;
	char large[600];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = 0;
	learn(rows, "a", large, moment_of(rows, "a"));
	moment_of(rows, "a");
}

/* (H1) */
static void a_write_replaces_what_it_changed(void **state)
{
	struct kv_rows *rows = *state;
	struct kv_rows_changes c = { 0 };

	learn(rows, "a", "1", moment_of(rows, "a"));
	learn(rows, "b", "1", moment_of(rows, "b"));
	note(&c, "a", "2");
	note(&c, "b", "2");
	note(&c, "b", NULL);
	note(&c, "new", "2");
	kv_rows_begin(rows, &c);
	check(rows, "a", "1");
	kv_rows_end(rows, &c, true);
	check(rows, "a", "2");
	check(rows, "b", NULL);
	check(rows, "new", "2");
	kv_rows_changes_release(&c);
}

static void a_write_that_failed_leaves_nothing(void **state)
{
	struct kv_rows *rows = *state;
	struct kv_rows_changes c = { 0 };

	learn(rows, "a", "1", moment_of(rows, "a"));
	note(&c, "a", "2");
	kv_rows_begin(rows, &c);
	kv_rows_end(rows, &c, false);
	moment_of(rows, "a");
	kv_rows_changes_release(&c);
}

/* (H2) */
static void what_was_read_before_a_write_does_not_count(void **state)
{
	struct kv_rows *rows = *state;
	struct kv_rows_changes c = { 0 };
	const uint64_t before = moment_of(rows, "a");

	note(&c, "a", "2");
	kv_rows_begin(rows, &c);
	kv_rows_end(rows, &c, false); /* nothing stands in its place, so that it could be learned */
	learn(rows, "a", "1", before);
	moment_of(rows, "a");
	kv_rows_changes_release(&c);
}

/* (H3) */
static void of_two_who_write_at_once_none_is_believed(void **state)
{
	struct kv_rows *rows = *state;
	struct kv_rows_changes c = { 0 }, d = { 0 };

	note(&c, "a", "2");
	note(&d, "a", "3");
	kv_rows_begin(rows, &c);
	kv_rows_begin(rows, &d);
	kv_rows_end(rows, &d, true);
	kv_rows_end(rows, &c, true);
	moment_of(rows, "a");
	kv_rows_changes_release(&c);
	kv_rows_changes_release(&d);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers_what_it_learned),
		T(large_rows_are_not_kept),
		T(a_write_replaces_what_it_changed),
		T(a_write_that_failed_leaves_nothing),
		T(what_was_read_before_a_write_does_not_count),
		T(of_two_who_write_at_once_none_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
