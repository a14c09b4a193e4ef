/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/ini.h"
#include "tests/lib/cm.h"

#include <unistd.h>

static int collect(const char *section, const char *name, const char *value, int line, void *arg)
{
	return buf_addf(arg, "%d:%s|%s|%s;", line, section, name ? name : "-", value ? value : "-");
}

static void assert_keys(const char *text, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10000);
	int line = -1;

	assert_int_equal(ini_parse(span_str(text), collect, &b, &line), 0);
	assert_string_equal(buf_str(&b), want);
}

static void test_keys(void **state)
{
	assert_keys("", "");
	assert_keys("[a]\nx = 1\n\n[ b c ]\ny=2", "2:a|x|1;5:b c|y|2;");
	assert_keys("early = 1\n", "1:|early|1;");
	assert_keys("\xef\xbb\xbf[a]\r\n x\t=\t1 2 \r\n", "2:a|x|1 2;");
	assert_keys("[a]\nempty =\nurl = s3://b/p?a=1&b=2\n",
		    "2:a|empty|;3:a|url|s3://b/p?a=1&b=2;");
}

static void test_comments(void **state)
{
	assert_keys("; c\n# c\n  ; c\n[a] ; c\nx = 1 ; c\ny = 2\t# c\nz = a;b#c\nw = ; c\n",
		    "5:a|x|1;6:a|y|2;7:a|z|a;b#c;8:a|w|;");
	assert_keys("[a]\nx = \"1 ; # 2 \" ; c\ny = \"\"\n", "2:a|x|1 ; # 2 ;3:a|y|;");
}

static void test_sections_without_keys(void **state)
{
	assert_keys("[a]\n[b]\nx=1\n[c]\n", "1:a|-|-;3:b|x|1;4:c|-|-;");
}

static void test_long_lines(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(10000), got = BUF_INIT(10000);
	char value[5000];
	int line;

	memset(value, 'v', sizeof(value));
	assert_int_equal(buf_addf(&text, "[s]\nk = %.*s\n", (int)sizeof(value), value), 0);
	assert_int_equal(ini_parse(buf_span(&text), collect, &got, &line), 0);
	assert_int_equal(got.len, strlen("2:s|k|;") + sizeof(value));
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text;
		int line;
	} bad[] = {
		{ "[a]\nnonsense\n", 2 }, { "[a\n", 1 }, { "\n\n[]\n", 3 }, { "[a] b\n", 1 },
		{ " = 1\n", 1 },	  { "x = \"open\n", 1 }, { "x = \"a\" b\n", 1 },
	};
	_cleanup_buf_ struct buf b = BUF_INIT(1000);
	int line;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		line = -1;
		assert_int_equal(ini_parse(span_str(bad[i].text), collect, &b, &line), -EBADMSG);
		assert_int_equal(line, bad[i].line);
	}
	assert_int_equal(ini_parse(span_of("x=1\n\0=2\n", 8), collect, &b, &line), -EBADMSG);
	assert_int_equal(line, 2);
}

static int refuse(const char *section, const char *name, const char *value, int line, void *arg)
{
	return line == 3 ? -EINVAL : 0;
}

static void test_refused_by_the_reader(void **state)
{
	int line = 0;

	assert_int_equal(ini_parse(span_str("[a]\nx=1\ny=2\nz=3\n"), refuse, NULL, &line), -EINVAL);
	assert_int_equal(line, 3);
}

static void test_file(void **state)
{
	char path[] = "/tmp/mangrove-ini-XXXXXX";
	_cleanup_buf_ struct buf b = BUF_INIT(1000);
	int line = -1, fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "[a]\nx=1\n", 8), 8);
	close(fd);
	assert_int_equal(ini_read(path, collect, &b, &line), 0);
	assert_string_equal(buf_str(&b), "2:a|x|1;");
	unlink(path);
	assert_int_equal(ini_read(path, collect, &b, &line), -ENOENT);
	assert_int_equal(line, 0);
	assert_int_equal(ini_read("/", collect, &b, &line), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_sections_without_keys),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_refused_by_the_reader),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
