/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "tests/lib/cm.h"

static void test_grows(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000000);

	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_add_byte(&b, i), 0);
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (uint8_t)i);
}

static void test_limit_adds_nothing(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10);

	assert_int_equal(buf_add_str(&b, "12345678"), 0);
	assert_int_equal(buf_add_str(&b, "abc"), -EMSGSIZE);
	assert_int_equal(buf_addf(&b, "%d", 123), -EMSGSIZE);
	assert_null(buf_extend(&b, 3));
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_span_str(buf_span(&b), "12345678");
	assert_int_equal(buf_addf(&b, "%d", 90), 0);
	assert_string_equal(buf_str(&b), "1234567890");
	assert_int_equal(b.len, 10);
}

static void test_no_limit_no_memory(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(SIZE_MAX);

	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
	assert_int_equal(buf_add_str(&b, "x"), 0);
}

static void test_printf(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10000);
	char blanks[2000];

	memset(blanks, ' ', sizeof(blanks));
	assert_int_equal(buf_addf(&b, "%s-%04d", "a", 7), 0);
	assert_string_equal(buf_str(&b), "a-0007");
	assert_int_equal(buf_addf(&b, "%.*s.", (int)sizeof(blanks), blanks), 0);
	assert_int_equal(b.len, 6 + sizeof(blanks) + 1);
	assert_int_equal(b.data[b.len - 1], '.');
}

static void test_empty(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10);
	_cleanup_buf_ struct buf none = BUF_INIT(0);
	size_t len;

	assert_int_equal(buf_add_span(&b, SPAN_NULL), 0);
	assert_string_equal(buf_str(&b), "");
	assert_string_equal(buf_str(&none), "");
	assert_int_equal(buf_add_byte(&none, 1), -EMSGSIZE);
	buf_release(&b);
	assert_null(buf_take(&b, &len));
	assert_int_equal(len, 0);
}

static void test_take_hands_over(void **state)
{
	struct buf b;
	size_t len;
	uint8_t *data;

	buf_init(&b, 100);
	assert_int_equal(buf_add_str(&b, "mine"), 0);
	data = buf_take(&b, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "mine", 4);
	free(data);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_add_str(&b, "again"), 0);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void test_move(void **state)
{
	struct buf a, b;
	const uint8_t *memory;

	buf_init(&a, 100);
	buf_init(&b, 1000);
	assert_int_equal(buf_add_str(&a, "content"), 0);
	memory = a.data;
	assert_int_equal(buf_move(&b, &a), 0); /* into an empty one: the memory itself goes */
	assert_ptr_equal(b.data, memory);
	assert_string_equal(buf_str(&b), "content");
	assert_int_equal(a.len, 0);
	assert_int_equal(buf_add_str(&a, "+more"), 0);
	assert_int_equal(buf_move(&b, &a), 0); /* into a used one: appended */
	assert_string_equal(buf_str(&b), "content+more");
	assert_int_equal(a.len, 0);
	assert_int_equal(buf_move(&a, &b), 0);
	buf_release(&a);
	buf_release(&b);
	buf_init(&a, 100);
	buf_init(&b, 3);
	assert_int_equal(buf_add_str(&a, "too long"), 0);
	assert_int_equal(buf_move(&b, &a), -EMSGSIZE); /* nothing has changed */
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_str(&a), "too long");
	buf_release(&a);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_limit_adds_nothing),
		cmocka_unit_test(test_no_limit_no_memory),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_take_hands_over),
		cmocka_unit_test(test_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
