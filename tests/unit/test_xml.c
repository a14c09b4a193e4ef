/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/xml.h"
#include "tests/lib/cm.h"

static int on_begin(const char *path, void *arg)
{
	return buf_addf(arg, "+%s;", path);
}

static int on_attribute(const char *path, const char *name, const char *value, void *arg)
{
	return buf_addf(arg, "%s@%s=%s;", path, name, value);
}

static int on_end(const char *path, struct span text, void *arg)
{
	return buf_addf(arg, "%s=%.*s;", path, SPAN_FMT(text));
}

static const struct xml_handler all = { on_begin, on_attribute, on_end };

static void assert_events(const char *text, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT(10000);

	assert_int_equal(xml_parse(span_str(text), &all, &b), 0);
	assert_string_equal(buf_str(&b), want);
}

static void test_events(void **state)
{
	assert_events("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<L xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><K>a&amp;b&#x20;c</K>"
		      "<Empty/></L>",
		      "+/L;+/L/K;/L/K=a&b c;+/L/Empty;/L/Empty=;/L=;");
	assert_events("\xef\xbb\xbf<a><x:b xmlns:x=\"u\" x:t=\"1\" n=\"2\">\xc3\xa4</x:b></a>",
		      "+/a;+/a/b;/a/b@t=1;/a/b@n=2;/a/b=\xc3\xa4;/a=;");
}

/* An element's text is its own, also around its children. */
static void test_mixed_text(void **state)
{
	assert_events("<a>1<b>2<c>3</c>4</b>5</a>", "+/a;+/a/b;+/a/b/c;/a/b/c=3;/a/b=24;/a=15;");
	assert_events("<a><![CDATA[<x>]]></a>", "+/a;/a=<x>;");
}

static void test_refuses(void **state)
{
	static const char *const bad[] = {
		"", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<a>\xff</a>",
		"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
		"<!DOCTYPE a SYSTEM \"http://x/y\"><a/>", "<a b=1/>",
	};
	const struct xml_handler none = { NULL };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(xml_parse(span_str(bad[i]), &none, NULL), -EBADMSG);
	assert_int_equal(xml_parse(span_str("<a b='1'>x</a>"), &none, NULL), 0);
}

static int parse_nested(unsigned depth, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000000);
	const struct xml_handler none = { NULL };

	for (unsigned i = 0; i < depth; i++)
		assert_int_equal(buf_addf(&b, "<%s>", name), 0);
	for (unsigned i = 0; i < depth; i++)
		assert_int_equal(buf_addf(&b, "</%s>", name), 0);
	return xml_parse(buf_span(&b), &none, NULL);
}

static void test_limits(void **state)
{
	char name[600];

	assert_int_equal(parse_nested(32, "e"), 0);
	assert_int_equal(parse_nested(33, "e"), -EBADMSG);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(parse_nested(1, name), 0);
	assert_int_equal(parse_nested(2, name), -EBADMSG);
}

static unsigned calls;

static int refuse_second(const char *path, void *arg)
{
	return ++calls == 2 ? 42 : 0;
}

static int refuse(const char *path, struct span text, void *arg)
{
	calls++;
	return -EIO;
}

static void test_a_handler_ends_the_parse(void **state)
{
	const struct xml_handler begin = { .begin = refuse_second }, end = { .end = refuse };

	calls = 0;
	assert_int_equal(xml_parse(span_str("<a><b/><c/><d/></a>"), &begin, NULL), 42);
	assert_int_equal(calls, 2);
	calls = 0;
	assert_int_equal(xml_parse(span_str("<a><b/><c/><d/></a>"), &end, NULL), -EIO);
	assert_int_equal(calls, 1);
}

static void test_escape(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(100), small = BUF_INIT(4);

	assert_int_equal(xml_escape(span_str("a<b>&\"'\x01\xc3\xa4"), &b), 0);
	assert_string_equal(buf_str(&b), "a&lt;b&gt;&amp;&quot;&apos;&#x1;\xc3\xa4");
	assert_int_equal(xml_escape(span_str("abc<"), &small), -EMSGSIZE);
	assert_int_equal(small.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_mixed_text),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_a_handler_ends_the_parse),
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
