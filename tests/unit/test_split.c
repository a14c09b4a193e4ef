/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "fs/attach/split.h"
#include "tests/lib/cm.h"

static void learn(struct key_space *s, const char *fmt, unsigned from, unsigned to)
{
	char key[64];

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), fmt, i);
		key_space_add(s, span_str(key));
	}
}

/* Cuts between lo and hi, checks that it is between, and answers it. */
static const char *cut(const struct key_space *s, const char *lo, const char *hi)
{
	static char text[65];
	const struct span end = span_str(hi);
	size_t n = key_space_cut(s, span_str(lo), hi ? &end : NULL, 0, (uint8_t *)text, 64);

	text[n] = '\0';
	if (n) {
		assert_true(strcmp(lo, text) < 0);
		assert_true(!hi || strcmp(text, hi) < 0);
	}
	return text;
}

/* A part of the numbers tells where the others are. */
static void test_numbers(void **state)
{
	struct key_space s = { 0 };

	learn(&s, "img%06u.jpg", 0, 1000);
	assert_string_equal(cut(&s, "img000999.jpg", NULL), "img5");
	assert_string_equal(cut(&s, "img000999.jpg", "img5"), "img25");
	assert_string_equal(cut(&s, "img4", "img5"), "img45");
	assert_true(key_space_value(&s, SPAN_LITERAL("img25")) > 0.24);
	assert_true(key_space_value(&s, SPAN_LITERAL("img25")) < 0.26);
}

static void test_hex(void **state)
{
	struct key_space s = { 0 };

	learn(&s, "%08x", 0x01000000, 0x01000100);
	key_space_add(&s, SPAN_LITERAL("1a2b3c4d"));
	assert_string_equal(cut(&s, "0100", NULL), "5"); /* a letter was not seen there */
	key_space_add(&s, SPAN_LITERAL("aa2b3c4d"));
	assert_string_equal(cut(&s, "0100", NULL), "8");
}

static void test_values_rise(void **state)
{
	static const char *const keys[] = { "", "a", "a/b", "ab", "b", "b/9", "ba", "c", "zz" };
	struct key_space s = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		key_space_add(&s, span_str(keys[i]));
	for (size_t i = 1; i < ARRAY_SIZE(keys); i++)
		assert_true(key_space_value(&s, span_str(keys[i - 1])) <=
			    key_space_value(&s, span_str(keys[i])));
}

static void test_without_slash(void **state)
{
	struct key_space s = { 0 };
	const struct span hi = SPAN_LITERAL("c");
	uint8_t text[64];
	size_t n;

	learn(&s, "a/%u", 0, 10);
	learn(&s, "c/%u", 0, 10);
	n = key_space_cut(&s, SPAN_LITERAL("a/9"), &hi, '/', text, sizeof(text));
	assert_null(memchr(text, '/', n));
}

static void test_nothing_to_see(void **state)
{
	struct key_space s = { 0 };

	assert_string_equal(cut(&s, "a", NULL), "");
	key_space_add(&s, SPAN_LITERAL("same"));
	assert_string_equal(cut(&s, "same", NULL), "");
	assert_string_equal(cut(&s, "same", "samf"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_hex),
		cmocka_unit_test(test_values_rise),   cmocka_unit_test(test_without_slash),
		cmocka_unit_test(test_nothing_to_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
