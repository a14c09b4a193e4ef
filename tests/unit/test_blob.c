/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"
#include "tests/lib/cm.h"

static void test_share(void **state)
{
	struct blob *b = blob_copy(span_str("123456789")), *other;

	assert_non_null(b);
	other = blob_ref(b);
	assert_ptr_equal(other, b);
	assert_null(blob_unref(b));
	assert_span_str(blob_span(other), "123456789");
	assert_null(blob_unref(other));
	assert_null(blob_unref(NULL));
}

static void test_checksums_follow_the_content(void **state)
{
	_cleanup_(blob_unrefp) struct blob *b = blob_copy(span_str("123456789x"));

	assert_non_null(b);
	assert_int_not_equal(blob_crc32c(b), 0xe3069283);
	blob_shrink(b, 9);
	assert_int_equal(blob_crc32c(b), 0xe3069283);
	assert_true(blob_crc64(b) == 0xae8b14860a799888);
	blob_bytes(b)[0] = '2';
	assert_int_not_equal(blob_crc32c(b), 0xe3069283);
	blob_bytes(b)[0] = '1';
	assert_int_equal(blob_crc32c(b), 0xe3069283);
}

static void test_from_takes(void **state)
{
	uint8_t *data = malloc(3);
	_cleanup_(blob_unrefp) struct blob *b = NULL;

	assert_non_null(data);
	memcpy(data, "abc", 3);
	b = blob_from(data, 3);
	assert_non_null(b);
	assert_ptr_equal(blob_span(b).data, data);
	assert_null(blob_new(SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_checksums_follow_the_content),
		cmocka_unit_test(test_from_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
