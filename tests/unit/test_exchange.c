/* SPDX-License-Identifier: Apache-2.0 */
/* One operation against a server that misbehaves, in three dialects: what does the caller learn? */
#include "tests/lib/standin.h"

#include "backends/open.h"
#include "base/json.h"

struct rig {
	struct standin server;
	struct store *store;
	const char *dialect;
};

static void set_environment(void)
{
	setenv("AWS_ACCESS_KEY_ID", "test-access-key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key", 1);
	setenv("AZURE_STORAGE_ACCOUNT", "mangrovetest", 1);
	setenv("AZURE_STORAGE_KEY", "dGVzdC1hY2NvdW50LWtleQ==", 1);
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_PROFILE");
	unsetenv("STORAGE_EMULATOR_HOST");
	unsetenv("AZURE_STORAGE_CONNECTION_STRING");
}

static struct store *open_url(const char *url)
{
	struct store *s = NULL;
	char err[512] = "";
	int r = store_open(&(struct store_config){ .name = "t", .url = url }, &s, err, sizeof(err));

	if (r < 0)
		print_error("%s\n", err);
	assert_int_equal(r, 0);
	return s;
}

static struct store *open_on(struct standin *server, const char *dialect, const char *more)
{
	const char *head = strcmp(dialect, "s3") == 0      ? "s3://testbucket/p"
			   : strcmp(dialect, "azure") == 0 ? "azblob://mangrovetest/testbucket/p"
							   : "gs://testbucket/p";
	char url[512];

	snprintf(url, sizeof(url), "%s?endpoint=%s%s%s", head, server->origin,
		 strcmp(dialect, "gcs") == 0 ? "&anonymous=true" : "", more);
	return open_url(url);
}

static int rig_up(void **state, const char *dialect)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->dialect = dialect;
	if (!standin_start(&r->server, dialect, NULL))
		return -1;
	r->store = open_on(&r->server, dialect, "");
	*state = r;
	return 0;
}

static int s3_up(void **state)
{
	return rig_up(state, "s3");
}
static int azure_up(void **state)
{
	return rig_up(state, "azure");
}
static int gcs_up(void **state)
{
	return rig_up(state, "gcs");
}
static int rig_down(void **state)
{
	struct rig *r = *state;

	store_free(r->store);
	standin_stop(&r->server);
	free(r);
	return 0;
}
static int rig_heal(void **state)
{
	standin_heal(&((struct rig *)*state)->server);
	return 0;
}

static uint64_t in_ms(uint64_t ms)
{
	return clock_now() + ms * NS_PER_MS;
}

struct outcome {
	int result;
	bool executed_not;
	char detail[256];
	uint64_t retry_after_ms;
	char version[STORE_VERSION_MAX];
	uint64_t size;
};

static struct outcome outcome_of(int result, struct store_call *c)
{
	struct outcome o = { .result = result };

	if (c) {
		o.executed_not = c->executed_not;
		o.retry_after_ms = c->retry_after_ms;
		o.size = c->size;
		snprintf(o.detail, sizeof(o.detail), "%s", c->detail);
		snprintf(o.version, sizeof(o.version), "%s", c->version);
		store_call_unref(c);
	}
	return o;
}

static struct outcome put_len(struct rig *r, const char *name, size_t len, enum put_cond cond,
			      uint64_t ms)
{
	struct blob *b = blob_new(len);
	struct store_call *c = NULL;
	int result;

	memset(blob_bytes(b), 'x', len);
	result = store_put_wait(
		r->store,
		&(struct put_req){
			.name = span_str(name), .body = b, .cond = cond, .deadline_ns = in_ms(ms) },
		&c);
	blob_unref(b);
	return outcome_of(result, c);
}

static struct outcome put(struct rig *r, const char *name)
{
	return put_len(r, name, 100, PUT_IF_ABSENT, 20000);
}

static struct outcome get_within(struct rig *r, const char *name, uint64_t ms)
{
	struct store_call *c = NULL;
	int result = store_get_wait(
		r->store,
		&(struct get_req){ .name = span_str(name), .limit = MiB, .deadline_ns = in_ms(ms) },
		&c);

	if (result == 0)
		for (size_t i = 0; i < c->body.len; i++)
			assert_int_equal(c->body.data[i], 'x');
	return outcome_of(result, c);
}

static struct outcome get(struct rig *r, const char *name)
{
	return get_within(r, name, 20000);
}

static struct outcome remove_it(struct rig *r, const char *name)
{
	struct store_call *c = NULL;
	int result = store_remove_wait(
		r->store,
		&(struct remove_req){ .name = span_str(name), .deadline_ns = in_ms(20000) }, &c);

	return outcome_of(result, c);
}

static struct outcome list(struct rig *r)
{
	struct store_call *c = NULL;
	int result = store_list_wait(r->store, &(struct list_req){ .deadline_ns = in_ms(20000) },
				     &c);

	return outcome_of(result, c);
}

/* A counter of /-/stats: requests of an operation. */
static uint64_t count(struct rig *r, const char *op)
{
	char text[8192];
	struct json *j = NULL;
	uint64_t n = 0;

	standin_stats(&r->server, text, sizeof(text));
	assert_int_equal(json_parse(span_str(text), &j), 0);
	if (json_uint(json_get(json_get(j, "ops"), op), "requests", &n) < 0)
		n = 0;
	json_free(j);
	return n;
}

/* ---- what a write's caller learns ---- */

static void test_cut_after_execution_is_unknown(void **state)
{
	struct rig *r = *state;

	standin_fault(&r->server, "{\"fault\":\"reset_after\",\"op\":\"put\"}");
	assert_int_equal(put(r, "cut").result, STORE_UNKNOWN);
	assert_int_equal(get(r, "cut").result, 0); /* it was executed */
	assert_int_equal(put(r, "cut").result, STORE_EXISTS);
}

static void test_cut_before_execution_is_unknown_too(void **state)
{
	struct rig *r = *state;
	struct outcome o;

	standin_fault(&r->server, "{\"fault\":\"reset_before\",\"op\":\"put\"}");
	o = put(r, "cut0");
	assert_int_equal(o.result, STORE_UNKNOWN);
	assert_false(o.executed_not);
	assert_int_equal(get(r, "cut0").result, STORE_MISSING);
}

/* On a kept connection the library would send again by itself. */
static void test_no_silent_second_sending(void **state)
{
	struct rig *r = *state;
	uint64_t before;

	assert_int_equal(put(r, "warm").result, 0);
	before = count(r, "put");
	standin_fault(&r->server, "{\"fault\":\"reset_after\",\"op\":\"put\",\"count\":1}");
	assert_int_equal(put(r, "once").result, STORE_UNKNOWN);
	assert_int_equal(count(r, "put"), before + 1);
	standin_fault(&r->server, "{\"fault\":\"refuse\",\"op\":\"put\",\"count\":1}");
	assert_int_equal(put_len(r, "once2", 3 * MiB, PUT_IF_ABSENT, 20000).result, STORE_UNKNOWN);
	assert_int_equal(get(r, "once2").result, STORE_MISSING);
}

static void test_removal_that_was_cut_is_unknown(void **state)
{
	struct rig *r = *state;

	assert_int_equal(put(r, "gone").result, 0);
	standin_fault(&r->server, "{\"fault\":\"reset_after\",\"op\":\"delete\"}");
	assert_int_equal(remove_it(r, "gone").result, STORE_UNKNOWN);
	assert_int_equal(remove_it(r, "gone").result, 0);
}

static void test_server_errors(void **state)
{
	struct rig *r = *state;
	struct outcome o;

	standin_fault(&r->server, "{\"fault\":\"status\",\"op\":\"put\",\"status\":500}");
	o = put(r, "e500");
	assert_int_equal(o.result, STORE_UNKNOWN);
	assert_non_null(strstr(o.detail, "500"));
	standin_fault(&r->server,
		      "{\"fault\":\"status\",\"op\":\"put\",\"status\":500,\"apply\":true}");
	assert_int_equal(put(r, "e500a").result, STORE_UNKNOWN);
	assert_int_equal(get(r, "e500a").result, 0);
	standin_fault(&r->server, "{\"fault\":\"status\",\"op\":\"get\",\"status\":500}");
	assert_int_equal(get(r, "e500a").result, -EAGAIN);
	assert_int_equal(get(r, "e500a").result, 0);
}

static void test_throttles_prove_that_nothing_happened(void **state)
{
	struct rig *r = *state;
	bool gcs = strcmp(r->dialect, "gcs") == 0;
	struct outcome o;

	standin_fault(
		&r->server,
		gcs ? "{\"fault\":\"status\",\"op\":\"put\",\"status\":429,\"retry_after\":7}"
		    : "{\"fault\":\"status\",\"op\":\"put\",\"status\":503,\"retry_after\":7}");
	o = put(r, "busy");
	assert_int_equal(o.result, -EAGAIN);
	assert_true(o.executed_not);
	assert_int_equal(o.retry_after_ms, 7000);
	standin_fault(&r->server, "{\"fault\":\"status\",\"op\":\"get\",\"status\":503}");
	assert_int_equal(get(r, "busy").result, -EAGAIN);
	assert_int_equal(put(r, "busy").result, 0);
}

static void test_refused_rights(void **state)
{
	struct rig *r = *state;
	struct outcome o;

	standin_fault(
		&r->server,
		"{\"fault\":\"status\",\"op\":\"put\",\"status\":403,\"code\":\"AccessDenied\"}");
	o = put(r, "no");
	assert_int_equal(o.result, -EACCES);
	assert_true(o.executed_not);
	assert_non_null(strstr(o.detail, "403 AccessDenied on put of "));
}

/* ---- reads ---- */

static void test_damaged_answers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(put(r, "whole").result, 0);
	standin_fault(&r->server, "{\"fault\":\"short_body\",\"op\":\"get\"}");
	assert_int_equal(get(r, "whole").result, -EAGAIN);
	standin_fault(&r->server, "{\"fault\":\"wrong_length\",\"op\":\"get\"}");
	assert_int_equal(get(r, "whole").result, -EAGAIN);
	standin_fault(&r->server, "{\"fault\":\"reset_before\",\"op\":\"get\"}");
	assert_int_not_equal(get(r, "whole").result, STORE_MISSING);
	assert_int_equal(get(r, "whole").result, 0);
}

static struct outcome get_limited(struct rig *r, const char *name, size_t limit)
{
	struct store_call *c = NULL;
	int result = store_get_wait(r->store,
				    &(struct get_req){ .name = span_str(name),
						       .limit = limit,
						       .deadline_ns = in_ms(9000) },
				    &c);

	return outcome_of(result, c);
}

static void test_more_than_the_limit(void **state)
{
	struct rig *r = *state;
	struct outcome o;

	assert_int_equal(put(r, "long").result, 0);
	assert_int_equal(get_limited(r, "long", 99).result, -EIO);
	o = get_limited(r, "long", 100);
	assert_int_equal(o.result, 0);
	assert_int_equal(o.size, 100);
}

/* ---- time ---- */

static void test_deadlines(void **state)
{
	struct rig *r = *state;
	uint64_t begun = clock_now();

	standin_fault(&r->server, "{\"fault\":\"stall\",\"op\":\"any\",\"count\":0}");
	assert_int_equal(get_within(r, "x", 200).result, -ETIMEDOUT);
	assert_int_equal(put_len(r, "x", 100, PUT_ALWAYS, 200).result, STORE_UNKNOWN);
	assert_true(clock_now() - begun < 5 * NS_PER_S);
}

static void test_cancelling(void **state)
{
	struct rig *r = *state;
	struct store_call *c = NULL;
	uint64_t begun = clock_now();

	standin_fault(&r->server, "{\"fault\":\"stall\",\"op\":\"get\",\"count\":0}");
	assert_int_equal(store_get(r->store,
				   &(struct get_req){ .name = span_str("x"),
						      .limit = 10,
						      .deadline_ns = in_ms(60000) },
				   &c),
			 0);
	sleep_for(20 * NS_PER_MS);
	assert_false(call_finished(&c->call));
	call_cancel(&c->call);
	assert_int_equal(call_wait(&c->call, in_ms(20000)), -ECANCELED);
	assert_true(clock_now() - begun < 10 * NS_PER_S);
	store_call_unref(c);
}

static void test_nobody_listens(void **state)
{
	struct rig *r = *state;
	struct standin other;
	struct rig dead = { .dialect = r->dialect };
	struct outcome o;

	assert_true(standin_start(&other, r->dialect, NULL));
	dead.store = open_on(&other, r->dialect, "");
	assert_int_equal(put(&dead, "x").result, 0);
	standin_stop(&other);
	o = put(&dead, "y");
	assert_int_equal(o.result, -EAGAIN);
	assert_true(o.executed_not);
	assert_int_equal(get(&dead, "x").result, -EAGAIN);
	store_free(dead.store);
}

/* Many at once, of which each answers for itself. */
static void test_many_at_once(void **state)
{
	enum { N = 100 };
	struct rig *r = *state;
	struct store_call *calls[N];
	struct blob *b = blob_new(4096);
	unsigned won = 0;

	memset(blob_bytes(b), 'x', 4096);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(store_put(r->store,
					   &(struct put_req){ .name = span_str("race"),
							      .body = b,
							      .cond = PUT_IF_ABSENT,
							      .deadline_ns = in_ms(30000) },
					   &calls[i]),
				 0);
	for (unsigned i = 0; i < N; i++) {
		int result = call_wait(&calls[i]->call, in_ms(30000));

		assert_true(result == 0 || result == STORE_EXISTS);
		won += result == 0;
		store_call_unref(calls[i]);
	}
	assert_int_equal(won, 1);
	blob_unref(b);
}

/* ---- S3's own ---- */

static void test_error_with_status_200(void **state)
{
	struct rig *r = *state;

	standin_fault(&r->server,
		      "{\"fault\":\"error_200\",\"op\":\"put\",\"code\":\"InternalError\"}");
	assert_int_equal(put(r, "e200").result, STORE_UNKNOWN);
	standin_fault(&r->server,
		      "{\"fault\":\"error_200\",\"op\":\"list\",\"code\":\"InternalError\"}");
	assert_int_equal(list(r).result, -EIO);
	assert_int_equal(list(r).result, 0);
}

static void test_conflict_says_nothing(void **state)
{
	struct rig *r = *state;

	standin_fault(&r->server, "{\"fault\":\"status\",\"op\":\"put\",\"status\":409,"
				  "\"code\":\"ConditionalRequestConflict\"}");
	assert_int_equal(put(r, "c409").result, STORE_UNKNOWN);
}

static void test_expired_token_is_renewed_once(void **state)
{
	struct rig *r = *state;
	uint64_t before = count(r, "put");

	standin_fault(
		&r->server,
		"{\"fault\":\"status\",\"op\":\"put\",\"status\":400,\"code\":\"ExpiredToken\"}");
	assert_int_equal(put(r, "renewed").result, 0);
	assert_int_equal(count(r, "put"), before + 2);
	standin_fault(
		&r->server,
		"{\"fault\":\"status\",\"op\":\"put\",\"status\":400,\"code\":\"ExpiredToken\","
		"\"count\":0}");
	assert_int_equal(put(r, "renewed2").result, -EACCES);
}

static void test_other_region(void **state)
{
	struct rig *r = *state;
	static const char *const args[] = { "--region", "eu-north-1", NULL };
	struct standin there;
	struct rig moved = { .dialect = "s3" };

	assert_true(standin_start(&there, "s3", args));
	moved.store = open_on(&there, "s3", "&region=us-west-2");
	assert_int_equal(put(&moved, "x").result, 0);
	assert_int_equal(get(&moved, "x").result, 0);
	store_free(moved.store);
	standin_stop(&there);
	assert_non_null(r);
}

static void test_clock_is_corrected(void **state)
{
	struct rig *r = *state;
	static const char *const args[] = { "--now", "20300101T000000Z", NULL };
	struct standin later;
	struct rig skewed = { .dialect = r->dialect };

	assert_true(standin_start(&later, r->dialect, args));
	skewed.store = open_on(&later, r->dialect, "");
	assert_int_equal(put(&skewed, "x").result, 0);
	assert_int_equal(get(&skewed, "x").result, 0);
	store_free(skewed.store);
	standin_stop(&later);
}

/* ---- drills ---- */

static void test_drills(void **state)
{
	struct rig *r = *state;
	struct outcome o;
	struct store_stats before, after;

	store_stats_get(r->store, &before);
	store_drill(r->store, DRILL_DOWN, in_ms(60000));
	o = put(r, "drilled");
	assert_int_equal(o.result, -EAGAIN);
	assert_true(o.executed_not);
	store_drill(r->store, DRILL_ERRORS, in_ms(60000));
	assert_int_equal(put(r, "drilled").result, STORE_UNKNOWN);
	assert_int_equal(get(r, "drilled").result, -EAGAIN);
	store_drill(r->store, DRILL_SLOW, in_ms(60000));
	assert_int_equal(get_within(r, "drilled", 100).result, -ETIMEDOUT);
	assert_int_equal(get(r, "drilled").result, STORE_MISSING);
	assert_int_equal(store_drill_get(r->store), DRILL_SLOW);
	store_drill(r->store, DRILL_NONE, 0);
	assert_int_equal(put(r, "drilled").result, 0);
	for (unsigned i = 0; i < 1000; i++) { /* counted just after the result is visible */
		store_stats_get(r->store, &after);
		if (after.bytes_written > before.bytes_written)
			break;
		sleep_for(10 * NS_PER_MS);
	}
	assert_int_equal(after.requests - before.requests, 6);
	assert_int_equal(after.errors - before.errors, 4);
	assert_int_equal(after.bytes_written - before.bytes_written, 100);
}

#define COMMON(t) cmocka_unit_test_teardown(t, rig_heal)
#define COMMON_TESTS                                                                               \
	COMMON(test_cut_after_execution_is_unknown),                                               \
		COMMON(test_cut_before_execution_is_unknown_too),                                  \
		COMMON(test_no_silent_second_sending),                                             \
		COMMON(test_removal_that_was_cut_is_unknown), COMMON(test_server_errors),          \
		COMMON(test_throttles_prove_that_nothing_happened), COMMON(test_refused_rights),   \
		COMMON(test_damaged_answers), COMMON(test_more_than_the_limit),                    \
		COMMON(test_deadlines), COMMON(test_cancelling), COMMON(test_nobody_listens),      \
		COMMON(test_many_at_once)

int main(void)
{
	const struct CMUnitTest s3[] = {
		COMMON_TESTS,
		COMMON(test_error_with_status_200),
		COMMON(test_conflict_says_nothing),
		COMMON(test_expired_token_is_renewed_once),
		COMMON(test_other_region),
		COMMON(test_clock_is_corrected),
		COMMON(test_drills),
	};
	const struct CMUnitTest azure[] = { COMMON_TESTS, COMMON(test_clock_is_corrected) };
	const struct CMUnitTest gcs[] = { COMMON_TESTS };
	int failed;

	set_environment();
	failed = cmocka_run_group_tests(s3, s3_up, rig_down) +
		 cmocka_run_group_tests(azure, azure_up, rig_down) +
		 cmocka_run_group_tests(gcs, gcs_up, rig_down);
	http_stop();
	return failed;
}
