/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "tests/lib/cm.h"

static void test_there_and_back(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000);
	struct writer w = WRITER(&b);
	struct reader r;
	uint8_t copy[3];

	write_u8(&w, 0xab);
	write_be16(&w, 0x0102);
	write_be32(&w, 0x03040506);
	write_be64(&w, 0x0708090a0b0c0d0e);
	write_varint(&w, 300);
	write_bytes(&w, span_str("name"));
	write_raw(&w, span_str("raw"));
	write_bytes(&w, SPAN_NULL);
	assert_int_equal(w.error, 0);
	assert_memory_equal(
		b.data,
		"\xab\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xac\x02\x04name", 22);

	r = READER(buf_span(&b));
	assert_int_equal(read_u8(&r), 0xab);
	assert_int_equal(read_be16(&r), 0x0102);
	assert_int_equal(read_be32(&r), 0x03040506);
	assert_true(read_be64(&r) == 0x0708090a0b0c0d0e);
	assert_int_equal(read_varint(&r), 300);
	assert_span_str(read_bytes(&r, 4), "name");
	assert_int_equal(read_end(&r), -EBADMSG);
	read_copy(&r, copy, 3);
	assert_memory_equal(copy, "raw", 3);
	assert_int_equal(read_bytes(&r, 0).len, 0);
	assert_int_equal(read_end(&r), 0);
}

static void test_varint_borders(void **state)
{
	static const struct {
		uint64_t v;
		size_t len;
	} cases[] = { { 0, 1 }, { 127, 1 }, { 128, 2 }, { 16383, 2 }, { 16384, 3 },
		      { UINT32_MAX, 5 }, { UINT64_MAX >> 1, 9 }, { UINT64_MAX, 10 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(20);
		struct writer w = WRITER(&b);
		struct reader r;

		write_varint(&w, cases[i].v);
		assert_int_equal(b.len, cases[i].len);
		for (size_t cut = 0; cut < b.len; cut++) {
			r = READER(span_of(b.data, cut));
			assert_int_equal(read_varint(&r), 0);
			assert_int_equal(read_end(&r), -EBADMSG);
		}
		r = READER(buf_span(&b));
		assert_true(read_varint(&r) == cases[i].v);
		assert_int_equal(read_end(&r), 0);
	}
}

/* (C1): one number, one form. */
static void test_other_forms_are_refused(void **state)
{
	static const char *const bad[] = {
		"\x80",					    /* cut */
		"\x81\x80",				    /* cut later */
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", /* 65 bits */
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01",
	};
	static const uint8_t zero_in_two[] = { 0x80, 0x00 }, one_in_three[] = { 0x81, 0x80, 0x00 };
	struct reader r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r = READER(span_str(bad[i]));
		assert_int_equal(read_varint(&r), 0);
		assert_int_equal(r.error, -EBADMSG);
	}
	r = READER(span_of(zero_in_two, 2));
	assert_int_equal(read_varint(&r), 0);
	assert_int_equal(r.error, -EBADMSG);
	r = READER(span_of(one_in_three, 3));
	assert_int_equal(read_varint(&r), 0);
	assert_int_equal(r.error, -EBADMSG);
}

/* (C4) */
static void test_failure_stays(void **state)
{
	struct reader r = READER(span_str("\x05" "abcd" "efgh"));
	uint8_t copy[4] = { 1, 2, 3, 4 };

	assert_int_equal(read_bytes(&r, 4).len, 0);
	assert_int_equal(read_error(&r), -EBADMSG);
	assert_int_equal(read_u8(&r), 0);
	assert_true(read_be64(&r) == 0);
	assert_int_equal(read_varint(&r), 0);
	assert_null(read_raw(&r, 0).data);
	read_copy(&r, copy, 4);
	assert_memory_equal(copy, "\0\0\0\0", 4);
	assert_int_equal(read_end(&r), -EBADMSG);
}

static void test_cut_fields(void **state)
{
	struct reader r = READER(span_str("abc"));

	assert_int_equal(read_be32(&r), 0);
	assert_int_equal(r.error, -EBADMSG);
	r = READER(span_str("\x7f" "abc"));
	assert_int_equal(read_bytes(&r, SIZE_MAX).len, 0);
	assert_int_equal(r.error, -EBADMSG);
}

static void test_writer_keeps_the_first_error(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4);
	struct writer w = WRITER(&b);

	write_be64(&w, 1);
	assert_int_equal(w.error, -EMSGSIZE);
	write_u8(&w, 1);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_varint_borders),
		cmocka_unit_test(test_other_forms_are_refused),
		cmocka_unit_test(test_failure_stays),
		cmocka_unit_test(test_cut_fields),
		cmocka_unit_test(test_writer_keeps_the_first_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
