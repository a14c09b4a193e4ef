/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"
#include "base/crc_i.h"
#include "tests/lib/cm.h"

static void test_published_values(void **state)
{
	static const struct {
		const char *text;
		uint32_t crc32c;
		uint64_t crc64;
	} cases[] = {
		{ "", 0, 0 },
		{ "123456789", 0xe3069283, 0xae8b14860a799888 },
		{ "hello", 0x9a71bb4c, 0x3377857006524257 },
		{ "hello world", 0xc99465aa, 0x8d29d5c3f6ea8ebe },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span s = span_str(cases[i].text);

		assert_int_equal(crc32c(0, s), cases[i].crc32c);
		assert_int_equal(crc32c_by_table(0, s), cases[i].crc32c);
		assert_true(crc64nvme(0, s) == cases[i].crc64);
		assert_true(crc64nvme_by_table(0, s) == cases[i].crc64);
	}
}

/* A bit at a time: the definition. */
static uint64_t by_bits(uint64_t crc, uint64_t polynomial, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
	}
	return crc;
}

static void check(const uint8_t *p, size_t len, uint32_t before32, uint64_t before64)
{
	struct span s = span_of(p, len);
	uint32_t want32 = ~(uint32_t)by_bits((uint32_t)~before32, 0x82F63B78, p, len);
	uint64_t want64 = ~by_bits(~before64, 0x9A6C9329AC4BC9B5, p, len);

	assert_int_equal(crc32c(before32, s), want32);
	assert_int_equal(crc32c_by_table(before32, s), want32);
	assert_true(crc64nvme(before64, s) == want64);
	assert_true(crc64nvme_by_table(before64, s) == want64);
}

/* Every length around the block sizes, every alignment, with and without a value so far. */
static void test_against_the_definition(void **state)
{
	enum { SIZE = 40000 };
	_cleanup_free_ uint8_t *p = malloc(SIZE);
	uint64_t seed = 1;

	assert_non_null(p);
	for (size_t i = 0; i < SIZE; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		p[i] = seed >> 56;
	}
	for (size_t len = 0; len < 1100; len++)
		check(p + len % 16, len, len % 3 ? (uint32_t)seed : 0, len % 3 ? seed : 0);
	for (size_t len = 1100; len < SIZE - 16; len += 971)
		check(p + len % 16, len, (uint32_t)seed, seed);
}

static void test_in_parts(void **state)
{
	uint8_t p[5000];
	struct span all = span_of(p, sizeof(p));
	uint32_t want32;
	uint64_t want64;

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = i * 7 + i / 256;
	want32 = crc32c(0, all);
	want64 = crc64nvme(0, all);
	for (size_t cut = 0; cut <= sizeof(p); cut += 333) {
		struct span a = span_sub(all, 0, cut), b = span_sub(all, cut, SIZE_MAX);

		assert_int_equal(crc32c(crc32c(0, a), b), want32);
		assert_true(crc64nvme(crc64nvme(0, a), b) == want64);
		assert_int_equal(crc32c_join(crc32c(0, a), crc32c(0, b), b.len), want32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_values),
		cmocka_unit_test(test_against_the_definition),
		cmocka_unit_test(test_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
