/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stand-in server misbehaves as it is told: what does a caller learn, and what is stored?
 *
 * Bits that flip in an answer's body are delivered by all dialects (the bodies are sealed, and
 * their seals are checked above); a body that was damaged on its way to the server is refused there
 * (contract_write.c).
 */
#include "tests/contract/contract.h"

#include "tests/lib/standin.h"

#include "base/json.h"

static struct standin control_of(const struct target *t)
{
	struct standin s = {};

	snprintf(s.origin, sizeof(s.origin), "%s", t->control);
	return s;
}

void fault(const struct target *t, const char *fmt, ...)
{
	struct standin s = control_of(t);
	char json[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(json, sizeof(json), fmt, ap);
	va_end(ap);
	standin_fault(&s, json);
}

int heal(void **state)
{
	struct standin s = control_of(*state);

	standin_heal(&s);
	return 0;
}

/* How many requests of this kind have come. */
static uint64_t count(const struct target *t, const char *op)
{
	struct standin s = control_of(t);
	_cleanup_(json_freep) struct json *j = NULL;
	char text[16 * KiB];
	uint64_t n = 0;

	standin_stats(&s, text, sizeof(text));
	assert_int_equal(json_parse(span_str(text), &j), 0);
	if (json_uint(json_get(json_get(j, "ops"), op), "requests", &n) < 0)
		return 0; /* none yet */
	return n;
}

static int put_new(struct target *t, const char *name)
{
	return put_seed(t, name, 1, 500, PUT_IF_ABSENT, NULL);
}

/*
 * The put ended without a clear answer; asking again tells whose object is there (ours, in any
 * case).
 */
static void settle(struct target *t, const char *name, int wanted)
{
	want(t, put_new(t, name), wanted);
	want_content(t, name, 1, 500);
}

static void fault_refused_connection(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"refuse\",\"op\":\"put\"}");
	want(t, put_new(t, "refuse/a"), STORE_UNKNOWN);
	settle(t, "refuse/a", 0);
	fault(t, "{\"fault\":\"refuse\",\"op\":\"get\",\"count\":0}");
	want(t, get(t, "refuse/a"), -EAGAIN);
}

static void fault_reset_before(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"reset_before\",\"op\":\"put\"}");
	want(t, put_new(t, "before/a"), STORE_UNKNOWN);
	assert_false(t->last->executed_not);
	settle(t, "before/a", 0);
}

static void fault_reset_after(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"reset_after\",\"op\":\"put\"}");
	want(t, put_new(t, "after/a"), STORE_UNKNOWN);
	settle(t, "after/a", STORE_EXISTS);
	fault(t, "{\"fault\":\"reset_after\",\"op\":\"delete\"}");
	want(t, remove_it(t, "after/a", NULL), STORE_UNKNOWN);
	want(t, head(t, "after/a"), STORE_MISSING);
}

static void fault_stall(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 500);
	struct store_call *c = NULL;

	want(t, put_new(t, "stall/a"), 0);
	fault(t, "{\"fault\":\"stall\",\"op\":\"any\",\"count\":0}");
	want(t,
	     get_req(t, &(struct get_req){ .name = span_str("stall/a"),
					   .limit = 500,
					   .deadline_ns = in_ms(300) }),
	     -ETIMEDOUT);
	assert_int_equal(store_put_wait(t->store,
					&(struct put_req){ .name = span_str("stall/b"),
							   .body = body,
							   .deadline_ns = in_ms(300) },
					&c),
			 STORE_UNKNOWN);
	store_call_unref(c);
	heal(state);
	want(t, get(t, "stall/a"), 0);
}

/* (S6) */
static void fault_short_body(void **state)
{
	struct target *t = *state;

	want(t, put_new(t, "short/a"), 0);
	for (int bytes = 0; bytes < 500; bytes += 166) {
		fault(t, "{\"fault\":\"short_body\",\"op\":\"get\",\"bytes\":%d}", bytes);
		want(t, get(t, "short/a"), -EAGAIN);
		assert_int_equal(t->last->body.len, 0);
	}
	fault(t, "{\"fault\":\"short_body\",\"op\":\"get\",\"bytes\":20}");
	want(t, get_range(t, "short/a", 100, 100), -EAGAIN);
	fault(t, "{\"fault\":\"short_body\",\"op\":\"list\"}");
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("short/") }), -EAGAIN);
	want_content(t, "short/a", 1, 500);
}

static void fault_wrong_length(void **state)
{
	struct target *t = *state;
	int result;

	want(t, put_new(t, "length/a"), 0);
	fault(t, "{\"fault\":\"wrong_length\",\"op\":\"get\",\"delta\":9}");
	want(t, get(t, "length/a"), -EAGAIN);
	fault(t, "{\"fault\":\"wrong_length\",\"op\":\"get\",\"delta\":9}");
	result = get_range(t, "length/a", 100, 100);
	assert_true(result == -EAGAIN || result == -EIO);
	fault(t, "{\"fault\":\"wrong_length\",\"op\":\"get\",\"delta\":-9}");
	want(t, get_range(t, "length/a", 100, 100), -EAGAIN);
	want_content(t, "length/a", 1, 500);
}

/*
 * 429 proves that nothing happened. 503 does when the provider has a code that says so; Google has
 * none.
 */
static void fault_throttled(void **state)
{
	struct target *t = *state;
	bool says = t->dialect != DIALECT_GCS;

	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":429,\"retry_after\":7}");
	want(t, put_new(t, "busy/a"), -EAGAIN);
	assert_true(t->last->executed_not);
	assert_int_equal(t->last->retry_after_ms, 7000);
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":503,\"retry_after\":2}");
	want(t, put_new(t, "busy/a"), says ? -EAGAIN : STORE_UNKNOWN);
	assert_int_equal(t->last->executed_not, says);
	assert_int_equal(t->last->retry_after_ms, 2000);
	want(t, put_new(t, "busy/a"), 0);
	for (int status = 429; status <= 503; status += 503 - 429) {
		fault(t, "{\"fault\":\"status\",\"op\":\"get\",\"status\":%d,\"retry_after\":3}",
		      status);
		want(t, get(t, "busy/a"), -EAGAIN);
		assert_int_equal(t->last->retry_after_ms, 3000);
	}
	fault(t, "{\"fault\":\"status\",\"op\":\"list\",\"status\":503}");
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("busy/") }), -EAGAIN);
}

static void fault_server_errors(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":500}");
	want(t, put_new(t, "error/a"), STORE_UNKNOWN);
	settle(t, "error/a", 0);
	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":500,\"apply\":true}");
	want(t, put_new(t, "error/b"), STORE_UNKNOWN);
	settle(t, "error/b", STORE_EXISTS);
	fault(t, "{\"fault\":\"status\",\"op\":\"delete\",\"status\":500}");
	want(t, remove_it(t, "error/b", NULL), STORE_UNKNOWN);
	fault(t, "{\"fault\":\"status\",\"op\":\"head\",\"status\":500,\"count\":2}");
	want(t, head(t, "error/b"), -EAGAIN);
}

/*
 * "Done", and then the words of an error. A get's are taken for contents only if a version came
 * with them.
 */
static void fault_error_with_200(void **state)
{
	struct target *t = *state;
	int result;

	fault(t, "{\"fault\":\"error_200\",\"op\":\"put\",\"code\":\"InternalError\"}");
	want(t, put_new(t, "e200/a"), STORE_UNKNOWN);
	settle(t, "e200/a", 0);
	fault(t, "{\"fault\":\"error_200\",\"op\":\"get\",\"code\":\"InternalError\"}");
	want(t, get(t, "e200/a"), -EIO);
	fault(t, "{\"fault\":\"error_200\",\"op\":\"list\",\"code\":\"InternalError\"}");
	result = list_req(t, &(struct list_req){ .prefix = span_str("e200/") });
	assert_true(result == -EIO || result == -EAGAIN); /* nonsense, or an error that may pass */
}

/* Executed after its caller has gone: never over what came into being meanwhile. */
static void fault_delayed(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(2, 500);
	struct store_call *c = NULL;

	fault(t, "{\"fault\":\"delay_apply\",\"op\":\"put\",\"ms\":900}");
	assert_int_equal(store_put_wait(t->store,
					&(struct put_req){ .name = span_str("delay/a"),
							   .body = body,
							   .cond = PUT_IF_ABSENT,
							   .deadline_ns = in_ms(200) },
					&c),
			 STORE_UNKNOWN);
	store_call_unref(c);
	want(t, put_new(t, "delay/a"), 0);
	sleep_for(1500 * NS_PER_MS);
	want_content(t, "delay/a", 1, 500);
}

static void fault_delayed_and_found(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 500);
	struct store_call *c = NULL;
	uint64_t end = in_ms(LONG_MS);

	fault(t, "{\"fault\":\"delay_apply\",\"op\":\"put\",\"ms\":600}");
	assert_int_equal(store_put_wait(t->store,
					&(struct put_req){ .name = span_str("delay/b"),
							   .body = body,
							   .cond = PUT_IF_ABSENT,
							   .deadline_ns = in_ms(200) },
					&c),
			 STORE_UNKNOWN);
	store_call_unref(c);
	while (head(t, "delay/b") == STORE_MISSING && clock_now() < end)
		sleep_for(20 * NS_PER_MS);
	settle(t, "delay/b", STORE_EXISTS);
}

static void fault_twice(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"twice\",\"op\":\"put\"}");
	/* by itself: an answer that one's own bytes explain */
	want(t, put_new(t, "twice/a"), STORE_EXISTS);
	want_content(t, "twice/a", 1, 500);
	fault(t, "{\"fault\":\"twice\",\"op\":\"delete\"}");
	want(t, remove_it(t, "twice/a", NULL), 0);
}

static unsigned bits_apart(struct span a, struct span b)
{
	unsigned n = 0;

	assert_int_equal(a.len, b.len);
	for (size_t i = 0; i < a.len; i++)
		n += (unsigned)__builtin_popcount(a.data[i] ^ b.data[i]);
	return n;
}

static void fault_bit_flips(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(1, 500);

	want(t, put_new(t, "flip/a"), 0);
	fault(t, "{\"fault\":\"bit_flip\",\"op\":\"get\",\"count\":2}");
	want(t, get(t, "flip/a"), 0);
	assert_int_equal(bits_apart(buf_span(&t->last->body), blob_span(body)), 1);
	want(t, get_range(t, "flip/a", 50, 50), 0);
	assert_int_equal(bits_apart(buf_span(&t->last->body), span_sub(blob_span(body), 50, 50)),
			 1);
	want_content(t, "flip/a", 1, 500);
}

/* Whatever a listing has become, it is read or refused. */
static void fault_bit_flips_in_listings(void **state)
{
	struct target *t = *state;

	want(t, put_new(t, "flip/b"), 0);
	for (unsigned seed = 0; seed < 100; seed++) {
		int result;

		fault(t, "{\"fault\":\"bit_flip\",\"op\":\"list\",\"seed\":%u}", seed);
		result = list_req(t, &(struct list_req){ .prefix = span_str("flip/"), .max = 1 });
		assert_true(result == 0 || result == -EIO);
	}
}

static void fault_expired_token(void **state)
{
	struct target *t = *state;
	int status = t->dialect == DIALECT_S3 ? 400 : 401;
	uint64_t before = count(t, "put");

	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":%d,\"code\":\"ExpiredToken\"}",
	      status);
	want(t, put_new(t, "token/a"), 0);
	assert_int_equal(count(t, "put"), before + 2);
	fault(t,
	      "{\"fault\":\"status\",\"op\":\"put\",\"status\":%d,\"code\":\"ExpiredToken\","
	      "\"count\":0}",
	      status);
	want(t, put_new(t, "token/b"), -EACCES); /* once only */
	assert_int_equal(count(t, "put"), before + 4);
	assert_true(t->last->executed_not);
}

static void fault_refused_rights(void **state)
{
	struct target *t = *state;

	fault(t, "{\"fault\":\"status\",\"op\":\"put\",\"status\":403,\"code\":\"AccessDenied\"}");
	want(t, put_new(t, "rights/a"), -EACCES);
	assert_true(t->last->executed_not);
	want_sentence(t, "403 AccessDenied on put of ");
}

static void fault_probe_cannot_tell(void **state)
{
	struct target *t = *state;

	fault(t,
	      "{\"fault\":\"status\",\"op\":\"head\",\"status\":404,\"code\":\"Strange\","
	      "\"count\":2}");
	want(t, head(t, "strange/a"), t->dialect == DIALECT_AZURE ? -EIO : STORE_MISSING);
}

size_t checks_fault(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	if (!t->control)
		return 0;
	ADD(to, n, fault_refused_connection);
	ADD(to, n, fault_reset_before);
	ADD(to, n, fault_reset_after);
	ADD(to, n, fault_stall);
	ADD(to, n, fault_short_body);
	ADD(to, n, fault_wrong_length);
	ADD(to, n, fault_throttled);
	ADD(to, n, fault_server_errors);
	ADD(to, n, fault_error_with_200);
	ADD(to, n, fault_delayed);
	ADD(to, n, fault_delayed_and_found);
	ADD(to, n, fault_twice);
	ADD(to, n, fault_bit_flips);
	ADD(to, n, fault_bit_flips_in_listings);
	ADD(to, n, fault_expired_token);
	ADD(to, n, fault_refused_rights);
	ADD(to, n, fault_probe_cannot_tell);
	for (size_t i = 0; i < n; i++)
		to[i].teardown_func = heal;
	return n;
}
