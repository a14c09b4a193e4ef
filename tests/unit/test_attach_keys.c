/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/keys.h"
#include "tests/lib/cm.h"

static void check_name(struct span component, enum key_kind kind, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KEY_NAME_MAX);

	assert_int_equal(key_to_name(component, kind, &b), 0);
	assert_span_str(buf_span(&b), name);
	assert_int_equal(key_is_odd(component, kind), !span_equal(component, span_str(name)));
}

/* There and back (N2). */
static void check_both(const char *component, enum key_kind kind, const char *name,
		       enum key_kind back)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1024);
	enum key_kind got;

	check_name(span_str(component), kind, name);
	assert_int_equal(key_from_name(span_str(name), &b, &got), 0);
	assert_span_str(buf_span(&b), component);
	assert_int_equal(got, back);
}

static void test_plain(void **state)
{
	static const char *const plain[] = { "a", "a b", "...", ".hidden", "%", "%e", "~", "x%~e",
					     "dir_$folder$", "\xff\xfe", "na\xc3\xafve" };

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		check_both(plain[i], KEY_IS_FILE, plain[i], KEY_IS_FILE);
		check_name(span_str(plain[i]), KEY_IS_DIRECTORY, plain[i]);
	}
}

static void test_odd(void **state)
{
	check_both("", KEY_IS_DIRECTORY, "%~e", KEY_IS_DIRECTORY);
	check_both(".", KEY_IS_DIRECTORY, "%~.", KEY_IS_FILE);
	check_both("..", KEY_IS_FILE, "%~..", KEY_IS_FILE);
	check_both("%~", KEY_IS_FILE, "%~%%~", KEY_IS_FILE);
	check_both("%~e", KEY_IS_FILE, "%~%%~e", KEY_IS_FILE);
	check_both("%~%%~e", KEY_IS_DIRECTORY, "%~%%~%%~e", KEY_IS_FILE);
	check_both("a", KEY_IS_BESIDE, "%~fa", KEY_IS_BESIDE);
	check_both("%~e", KEY_IS_BESIDE, "%~f%~e", KEY_IS_BESIDE);
	check_both(".", KEY_IS_BESIDE, "%~f.", KEY_IS_BESIDE);
	check_both("", KEY_IS_MARKER, "%~m", KEY_IS_MARKER);
}

static void test_no_names(void **state)
{
	static const char *const none[] = { "",     ".",     "..",    "a/b", "%~",
					    "%~ee", "%~mm",  "%~f",   "%~%", "%~%a",
					    "%~...", "%~q",  "%~E" };
	_cleanup_buf_ struct buf b = BUF_INIT(1024);
	enum key_kind kind = KEY_IS_MARKER;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(key_from_name(span_str(none[i]), &b, &kind), KEY_NO_NAME);
	assert_int_equal(key_from_name(span_of("a\0b", 3), &b, &kind), KEY_NO_NAME);
	assert_int_equal(key_from_name(span_str("%~xabc~00"), &b, &kind), KEY_ASK_LISTING);
	assert_int_equal(b.len, 0);
	assert_int_equal(kind, KEY_IS_MARKER);
}

static void name_of(struct span component, enum key_kind kind, struct buf *ret)
{
	buf_clear(ret);
	assert_int_equal(key_to_name(component, kind, ret), 0);
	assert_true(ret->len <= KEY_NAME_MAX);
	assert_true(key_is_odd(component, kind));
	assert_true(span_starts(buf_span(ret), SPAN_LITERAL("%~x")));
}

static void test_long(void **state)
{
	_cleanup_buf_ struct buf a = BUF_INIT(KEY_NAME_MAX), b = BUF_INIT(KEY_NAME_MAX);
	char text[901];

	memset(text, 'k', 900);
	text[900] = '\0';
	check_name(span_sub(span_str(text), 0, KEY_NAME_MAX), KEY_IS_FILE,
		   text + 900 - KEY_NAME_MAX);
	name_of(span_str(text), KEY_IS_FILE, &a);
	assert_int_equal(a.len, 3 + 180 + 1 + 32);
	/* (N1): the file beside the directory, and a component that differs at its end only */
	name_of(span_str(text), KEY_IS_DIRECTORY, &b);
	assert_false(span_equal(buf_span(&a), buf_span(&b)));
	text[899] = 'l';
	name_of(span_str(text), KEY_IS_FILE, &b);
	assert_false(span_equal(buf_span(&a), buf_span(&b)));
	assert_int_equal(b.len, a.len);
}

/* A name that fits by itself, but not with what must stand before it. */
static void test_long_with_lead(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KEY_NAME_MAX);
	char text[254];

	memset(text, 'k', 253);
	text[253] = '\0';
	check_name(span_str(text), KEY_IS_FILE, text);
	name_of(span_str(text), KEY_IS_BESIDE, &b);
}

static void test_zero_byte(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KEY_NAME_MAX);

	name_of(span_of("a\0b", 3), KEY_IS_FILE, &b);
	assert_true(span_starts(buf_span(&b), SPAN_LITERAL("%~xa?b~")));
	assert_int_equal(b.len, 3 + 3 + 1 + 32);
}

/* Whole characters; bytes that are no UTF-8 are cut all the same. */
static void test_characters(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KEY_NAME_MAX);
	uint8_t text[300];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 3 == 0 ? 0xe2 : 0x82;
	text[0] = 'a';
	text[1] = 'b'; /* characters begin at 3, 6, ...: 180 is a beginning */
	name_of(span_of(text, sizeof(text)), KEY_IS_FILE, &b);
	assert_int_equal(b.len, 3 + 180 + 1 + 32);
	name_of(span_of(text + 1, sizeof(text) - 1), KEY_IS_FILE, &b);
	assert_int_equal(b.len, 3 + 179 + 1 + 32);
	memset(text, 0x80, sizeof(text));
	name_of(span_of(text, sizeof(text)), KEY_IS_FILE, &b);
	assert_int_equal(b.len, 3 + 177 + 1 + 32);
}

static void test_limit(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4);
	enum key_kind kind;

	assert_int_equal(key_to_name(SPAN_LITERAL("abc"), KEY_IS_BESIDE, &b), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	assert_int_equal(key_from_name(SPAN_LITERAL("abcde"), &b, &kind), -EMSGSIZE);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),          cmocka_unit_test(test_odd),
		cmocka_unit_test(test_no_names),       cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_with_lead), cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_characters),     cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
