/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "tests/lib/cm.h"

static struct json *parsed(const char *text)
{
	struct json *j = NULL;

	assert_int_equal(json_parse(span_str(text), &j), 0);
	assert_non_null(j);
	return j;
}

static void test_lookups(void **state)
{
	_cleanup_(json_freep) struct json *j = parsed(
		"{\"name\":\"a/b\",\"size\":\"12345678901\",\"n\":7,\"r\":1.5,\"b\":true,"
		"\"o\":{\"x\":null},"
		"\"list\":[\"p\",{\"q\":1}],\"neg\":-1,\"text\":\"12x\"}");
	uint64_t v = 0;

	assert_string_equal(json_str(j, "name"), "a/b");
	assert_int_equal(json_uint(j, "size", &v), 0);
	assert_true(v == 12345678901);
	assert_int_equal(json_uint(j, "n", &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(json_uint(j, "none", &v), -ENOENT);
	assert_int_equal(json_uint(j, "neg", &v), -EBADMSG);
	assert_int_equal(json_uint(j, "text", &v), -EBADMSG);
	assert_int_equal(json_uint(j, "r", &v), -EBADMSG);
	assert_int_equal(v, 7);
	assert_true(json_number(j, "r", 0) == 1.5);
	assert_true(json_number(j, "name", 3) == 3);
	assert_true(json_bool(j, "b", false));
	assert_true(json_bool(j, "name", true));
	assert_int_equal(json_count(json_get(j, "list")), 2);
	assert_string_equal(json_text(json_at(json_get(j, "list"), 0)), "p");
	assert_null(json_at(json_get(j, "list"), 2));
}

static void test_what_is_not_there(void **state)
{
	_cleanup_(json_freep) struct json *j = parsed("[1]");

	assert_null(json_get(j, "x"));
	assert_null(json_get(NULL, "x"));
	assert_null(json_str(json_get(j, "x"), "y"));
	assert_null(json_at(NULL, 0));
	assert_int_equal(json_count(NULL), 0);
	assert_null(json_text(j));
	assert_null(json_free(NULL));
}

static void test_refuses(void **state)
{
	static const char *const bad[] = {
		"", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "nul", "\"\\ud800\"", "[1,]",
		"\"\x80\"", "{'a':1}",
	};
	struct json *j = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(json_parse(span_str(bad[i]), &j), -EBADMSG);
	assert_null(j);
}

static void test_depth(void **state)
{
	char text[200000];
	struct json *j = NULL;

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	assert_int_equal(json_parse(span_of(text, 128), &j), 0);
	j = json_free(j);
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	assert_int_equal(json_parse(span_of(text, 130), &j), -EBADMSG);
	memset(text, '[', sizeof(text));
	assert_int_equal(json_parse(span_of(text, sizeof(text)), &j), -EBADMSG);
	/* Brackets in strings are none. */
	text[0] = '"';
	memcpy(text + 100, "\\\"", 2);
	text[1000] = '"';
	assert_int_equal(json_parse(span_of(text, 1001), &j), 0);
	json_free(j);
}

static void collect(const char *key, const struct json *value, void *arg)
{
	assert_int_equal(buf_addf(arg, "%s=%s;", key, json_text(value)), 0);
}

static void test_each_in_order(void **state)
{
	_cleanup_(json_freep) struct json *j = parsed("{\"z\":\"1\",\"a\":\"2\",\"m\":\"3\"}");
	_cleanup_buf_ struct buf b = BUF_INIT(100);

	json_each(j, collect, &b);
	json_each(NULL, collect, &b);
	assert_string_equal(buf_str(&b), "z=1;a=2;m=3;");
}

static void test_build(void **state)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	struct json *list = json_array_new(), *inner = json_object_new();
	_cleanup_buf_ struct buf b = BUF_INIT(1000);

	json_set_str(j, "s", "a\"\n\xc3\xa4");
	json_set_str(j, "none", NULL);
	json_set_uint(j, "u", 7);
	json_set_uint(j, "big", UINT64_MAX);
	json_set_int(j, "i", -7);
	json_set_real(j, "r", 0.1);
	json_set_bool(j, "b", false);
	json_append_str(list, "x");
	json_set_uint(inner, "k", 1);
	json_append(list, inner);
	json_set(j, "list", list);
	assert_int_equal(json_write(j, 0, &b), 0);
	assert_string_equal(buf_str(&b),
			    "{\"s\": \"a\\\"\\n\xc3\xa4\", \"none\": null, \"u\": 7, "
			    "\"big\": \"18446744073709551615\", "
			    "\"i\": -7, \"r\": 0.1, \"b\": false, \"list\": [\"x\", {\"k\": 1}]}");
	buf_clear(&b);
	assert_int_equal(json_write(list, 2, &b), 0);
	assert_string_equal(buf_str(&b), "[\n  \"x\",\n  {\n    \"k\": 1\n  }\n]");
}

/* A document with a hole is not written. */
static void test_failures_are_remembered(void **state)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	_cleanup_buf_ struct buf b = BUF_INIT(100), small = BUF_INIT(3);

	json_set_str(j, "bad", "\xff");
	assert_int_equal(json_write(j, 0, &b), -EINVAL);
	assert_int_equal(json_write(j, 0, &b), 0);
	assert_string_equal(buf_str(&b), "{}");
	json_set_real(j, "r", 0.0 / 0.0);
	assert_int_equal(json_write(j, 0, &b), -EINVAL);
	json_set_bool(NULL, "b", true);
	assert_int_equal(json_write(j, 0, &b), -ENOMEM);
	json_set_uint(j, "n", 100);
	assert_int_equal(json_write(j, 0, &small), -EMSGSIZE);
	assert_int_equal(small.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_each_in_order),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_failures_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
