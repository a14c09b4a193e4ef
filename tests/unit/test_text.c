/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "tests/lib/cm.h"

static void test_hex(void **state)
{
	char text[513];
	uint8_t all[256], back[256];

	for (int i = 0; i < 256; i++)
		all[i] = i;
	hex_encode(span_of(all, 256), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f1011", 36);
	assert_memory_equal(text + 500, "fafbfcfdfeff", 12);
	assert_int_equal(hex_decode(text, 512, back, 256), 0);
	assert_memory_equal(all, back, 256);
	assert_int_equal(hex_decode("ABCDEF", 6, back, 3), 0);
	assert_memory_equal(back, "\xab\xcd\xef", 3);
	assert_int_equal(hex_decode("", 0, back, 0), 0);
}

static void cleaned(const char *text, size_t len, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000);

	assert_int_equal(utf8_clean(span_of(text, len), &b), 0);
	assert_string_equal(buf_str(&b) ? buf_str(&b) : "", want);
}

static void test_utf8(void **state)
{
	static const char *const good[] = {
		"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\xb3", "\xed\x9f\xbf",
		"\xf4\x8f\xbf\xbf",
	};
	/* cut, too long, a surrogate, beyond the end, a stray continuation */
	static const char *const bad[] = {
		"\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		cleaned(good[i], strlen(good[i]), good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char want[32] = "";

		for (size_t n = 0; n < strlen(bad[i]); n++)
			strcat(want, "\xef\xbf\xbd");
		cleaned(bad[i], strlen(bad[i]), want);
	}
	cleaned("a\xff\xc3\xa9z", 5, "a\xef\xbf\xbd\xc3\xa9z");
}

static void test_iso_date_shown(void **state)
{
	char text[25];

	iso_date(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	iso_date(1767323045678999999, text);
	assert_string_equal(text, "2026-01-02T03:04:05.678Z");
}

static void test_hex_refuses(void **state)
{
	static const char *const bad[] = {
		"abc", "ab", "abcdefab", "ag12cd", "12:4cd", "12@4cd", "12`4cd", " 12cd4",
	};
	uint8_t back[3] = { 1, 2, 3 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(hex_decode(bad[i], strlen(bad[i]), back, 3), -EINVAL);
	assert_memory_equal(back, "\1\2\3", 3);
}

static const struct {
	const char *plain, *padded, *url;
} base64_cases[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+", "-__-" },
	{ "\xe3\x06\x92\x83", "4waSgw==", "4waSgw" },
};

static void test_base64(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(base64_cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(100);

		assert_int_equal(base64_encode(span_str(base64_cases[i].plain), &b), 0);
		assert_string_equal(buf_str(&b), base64_cases[i].padded);
		buf_clear(&b);
		assert_int_equal(base64url_encode(span_str(base64_cases[i].plain), &b), 0);
		assert_string_equal(buf_str(&b), base64_cases[i].url);
		buf_clear(&b);
		assert_int_equal(base64_decode(span_str(base64_cases[i].padded), &b), 0);
		assert_int_equal(base64_decode(span_str(base64_cases[i].url), &b), 0);
		assert_int_equal(b.len, 2 * strlen(base64_cases[i].plain));
		assert_memory_equal(buf_str(&b), base64_cases[i].plain, b.len / 2);
	}
}

static void test_base64_refuses(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm9v=", "Z g=", "Zm\n9v",
		"Zg==Zg==",
	};
	_cleanup_buf_ struct buf b = BUF_INIT(100);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(base64_decode(span_str(bad[i]), &b), -EINVAL);
		assert_int_equal(b.len, 0);
	}
}

static void test_base64_at_the_limit(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4), exact = BUF_INIT(8);

	assert_int_equal(base64_decode(span_str("4waSgw=="), &b), 0);
	assert_int_equal(b.len, 4);
	assert_int_equal(base64_decode(span_str("Zg=="), &b), -EMSGSIZE);
	assert_int_equal(base64_encode(span_str("1234"), &exact), 0);
	assert_int_equal(base64_encode(span_str("1"), &exact), -EMSGSIZE);
}

static void test_percent(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(100);

	assert_int_equal(percent_encode(span_str("a-Z_0.~/ +%\xc3\xa4"), true, &b), 0);
	assert_string_equal(buf_str(&b), "a-Z_0.~/%20%2B%25%C3%A4");
	buf_clear(&b);
	assert_int_equal(percent_encode(span_str("a/b"), false, &b), 0);
	assert_string_equal(buf_str(&b), "a%2Fb");
	buf_clear(&b);
	assert_int_equal(percent_decode(span_str("a%2fb+c%2B%00"), true, &b), 0);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data, "a/b c+", 7);
	buf_clear(&b);
	assert_int_equal(percent_decode(span_str("+"), false, &b), 0);
	assert_string_equal(buf_str(&b), "+");
}

static void test_percent_refuses(void **state)
{
	static const char *const bad[] = { "a%", "a%2", "%g0", "%%20" };
	_cleanup_buf_ struct buf b = BUF_INIT(4);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(percent_decode(span_str(bad[i]), false, &b), -EINVAL);
		assert_int_equal(b.len, 0);
	}
	assert_int_equal(percent_encode(span_str("ab//"), false, &b), -EMSGSIZE);
	assert_int_equal(b.len, 0);
}

static void test_http_date(void **state)
{
	char text[30];
	time_t t;

	http_date(1369353600, text);
	assert_string_equal(text, "Fri, 24 May 2013 00:00:00 GMT");
	assert_int_equal(http_date_parse(text, &t), 0);
	assert_int_equal(t, 1369353600);
	http_date(0, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	http_date(951782399, text);
	assert_string_equal(text, "Mon, 28 Feb 2000 23:59:59 GMT");
	http_date(INT64_MAX, text);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
	http_date(-1, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void test_dates_refused(void **state)
{
	static const char *const http[] = {
		"", "Fri", "Fri, 24 May 2013 00:00:00", "Fri, 24 May 2013 00:00:00 GMT ",
		"Xri, 24 May 2013 00:00:00 GMT", "Fri, 24 Mai 2013 00:00:00 GMT",
		"Fri, 31 Jun 2013 00:00:00 GMT", "Fri, 24 May 2013 24:00:00 GMT",
		"Fri, 24 May 2013 00:00:61 GMT", "Fri, 4 May 2013 00:00:00 GMT",
	};
	static const char *const iso[] = {
		"", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05+1:00", "2026-00-02T03:04:05Z", "2026-01-02 03:04:05Z",
		"2026-01-02T03:04:05ZZ",
	};
	time_t t = 42;

	for (size_t i = 0; i < ARRAY_SIZE(http); i++)
		assert_int_equal(http_date_parse(http[i], &t), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(iso); i++)
		assert_int_equal(iso_date_parse(iso[i], &t), -EINVAL);
	assert_int_equal(t, 42);
}

static void test_iso_date(void **state)
{
	static const struct {
		const char *text;
		time_t t;
	} cases[] = {
		{ "2026-01-02T03:04:05Z", 1767323045 },
		{ "2026-01-02T03:04:05.678Z", 1767323045 },
		{ "2026-01-02t03:04:05.123456789z", 1767323045 },
		{ "2026-01-02T05:04:05+02:00", 1767323045 },
		{ "2026-01-01T21:34:05-05:30", 1767323045 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
	};
	char text[17];
	time_t t;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(iso_date_parse(cases[i].text, &t), 0);
		assert_int_equal(t, cases[i].t);
	}
	iso_basic_date(1369353600, text);
	assert_string_equal(text, "20130524T000000Z");
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t v;
	} cases[] = {
		{ "0", 0, 0 }, { "200G", 0, 200 * GiB }, { "64KiB", 0, 64 * KiB },
		{ "64 kb", 0, 64 * KiB },
		{ "1T", 0, 1024 * GiB }, { "7b", 0, 7 }, { "12m", 0, 12 * MiB },
		{ "80%", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "G", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1GX", -EINVAL, 0 }, { "1.5G", -EINVAL, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 }, { "99999999T", -ERANGE, 0 },
	};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v = 0;
		assert_int_equal(size_parse(cases[i].text, &v), cases[i].r);
		assert_true(v == cases[i].v);
	}
}

static void test_durations(void **state)
{
	uint64_t v = 1;

	assert_int_equal(duration_parse("10s", &v), 0);
	assert_true(v == 10 * NS_PER_S);
	assert_int_equal(duration_parse("500ms", &v), 0);
	assert_true(v == 500 * NS_PER_MS);
	assert_int_equal(duration_parse("2m", &v), 0);
	assert_true(v == 120 * NS_PER_S);
	assert_int_equal(duration_parse("24h", &v), 0);
	assert_true(v == 86400 * NS_PER_S);
	assert_int_equal(duration_parse("7d", &v), 0);
	assert_true(v == 7 * 86400 * NS_PER_S);
	assert_int_equal(duration_parse("3", &v), 0);
	assert_true(v == 3 * NS_PER_S);
	assert_int_equal(duration_parse("3 weeks", &v), -EINVAL);
	assert_int_equal(duration_parse("-3s", &v), -EINVAL);
	assert_int_equal(duration_parse("99999999999d", &v), -ERANGE);
	assert_true(v == 3 * NS_PER_S);
}

static void assert_size(uint64_t v, const char *want)
{
	char text[16];

	size_format(v, text);
	assert_string_equal(text, want);
}

static void assert_duration(uint64_t v, const char *want)
{
	char text[16];

	duration_format(v, text);
	assert_string_equal(text, want);
}

static void test_formats(void **state)
{
	assert_size(0, "0 B");
	assert_size(312, "312 B");
	assert_size(1023, "1023 B");
	assert_size(1024, "1.0 KiB");
	assert_size(1536 * MiB, "1.5 GiB");
	assert_size(MiB - 1, "1.0 MiB");
	assert_size(UINT64_MAX, "16.0 EiB");
	assert_duration(0, "0 ns");
	assert_duration(7 * NS_PER_US, "7 us");
	assert_duration(300 * NS_PER_MS, "300 ms");
	assert_duration(1200 * NS_PER_MS, "1.2 s");
	assert_duration(61 * NS_PER_S, "1 m 1 s");
	assert_duration(11100 * NS_PER_S, "3 h 5 m");
	assert_duration(UINT64_MAX, "213503 d 23 h");
}

static void test_numbers(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1e3" };
	uint64_t v = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(uint_parse(bad[i], &v), -EINVAL);
	assert_int_equal(uint_parse("18446744073709551616", &v), -ERANGE);
	assert_true(v == 7);
	assert_int_equal(uint_parse("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
}

static void test_nearest_word(void **state)
{
	static const char *const known[] = {
		"format", "mount", "umount", "status", "endpoint", NULL,
	};
	static const char *const none[] = { NULL };

	assert_string_equal(nearest_word("fromat", known), "format");
	assert_string_equal(nearest_word("mont", known), "mount");
	assert_string_equal(nearest_word("unmount", known), "umount");
	assert_string_equal(nearest_word("staus", known), "status");
	assert_string_equal(nearest_word("end_point", known), "endpoint");
	assert_null(nearest_word("gc", known));
	assert_null(nearest_word("", known));
	assert_null(nearest_word("format", none));
	assert_null(nearest_word(
		"a-very-long-word-that-does-not-fit-into-the-table-of-the-distances-at-all",
		known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_hex_refuses),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_refuses),
		cmocka_unit_test(test_base64_at_the_limit),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_percent_refuses),
		cmocka_unit_test(test_http_date),
		cmocka_unit_test(test_dates_refused),
		cmocka_unit_test(test_iso_date),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_iso_date_shown),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_nearest_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
