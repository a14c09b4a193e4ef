/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of stores, addresses of servers, and what a request is made of. */
#include "tests/lib/cm.h"

#include "backends/open.h"
#include "backends/request.h"
#include "backends/uri.h"

#include <stdio.h>

static void test_parts(void **state)
{
	_cleanup_uri_ struct uri u = {};
	char err[256];
	bool b = false;

	assert_int_equal(
		uri_parse(
			"s3://bucket/a/b%20c//?region=eu-west-1&path_style=yes&"
			"endpoint=http://h:1/x",
			&u, err, sizeof(err)),
		0);
	assert_string_equal(u.scheme, "s3");
	assert_string_equal(u.authority, "bucket");
	assert_string_equal(u.path, "a/b c");
	assert_string_equal(uri_param(&u, "region"), "eu-west-1");
	assert_string_equal(uri_param(&u, "endpoint"), "http://h:1/x");
	assert_null(uri_param(&u, "anonymous"));
	assert_int_equal(uri_param_bool(&u, "path_style", false, &b, err, sizeof(err)), 0);
	assert_true(b);
	assert_int_equal(uri_param_bool(&u, "anonymous", false, &b, err, sizeof(err)), 0);
	assert_false(b);
	assert_int_equal(uri_param_bool(&u, "region", false, &b, err, sizeof(err)), -EINVAL);
}

static void test_plain_ones(void **state)
{
	_cleanup_uri_ struct uri bucket = {}, folder = {};
	char err[256];

	assert_int_equal(uri_parse("gs://bucket", &bucket, err, sizeof(err)), 0);
	assert_string_equal(bucket.path, "");
	assert_int_equal(uri_parse("file:///srv/data/", &folder, err, sizeof(err)), 0);
	assert_string_equal(folder.authority, "");
	assert_string_equal(folder.path, "srv/data");
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "",
					   "bucket",
					   "s3:/b",
					   "S3://b",
					   "://b",
					   "s3://b%0",
					   "s3://b/p%00q",
					   "s3://b?x=%g1",
					   "s3://id:secret@bucket" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_uri_ struct uri u = {};
		char err[256] = "";

		assert_int_equal(uri_parse(bad[i], &u, err, sizeof(err)), -EINVAL);
		assert_true(err[0]);
		assert_null(strstr(err, "secret"));
	}
}

static int opened(const char *url, char *err, size_t size)
{
	struct store *s = NULL;
	int r = store_open(&(struct store_config){ .name = "x", .url = url }, &s, err, size);

	store_free(s);
	return r;
}

static void test_words_of_the_factory(void **state)
{
	char err[512] = "";

	assert_int_equal(opened("s3://bucket?regon=eu-west-1", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(
		err,
		"unknown parameter 'regon' in s3://bucket?regon=eu-west-1 (did you mean "
		"'region'?)"));
	assert_non_null(strstr(err, "known are endpoint, region, path_style, ca_file, anonymous"));
	assert_int_equal(opened("ftp://bucket", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "s3://, azblob://, gs:// and file://"));
	assert_int_equal(opened("azblob://account", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "azblob://ACCOUNT/CONTAINER"));
	assert_int_equal(opened("s3://b", err, sizeof(err)), -EINVAL);
	assert_int_equal(opened("gs://Bucket", err, sizeof(err)), -EINVAL);
	assert_int_equal(opened("s3://bucket?endpoint=ftp://x", err, sizeof(err)), -EINVAL);
	assert_int_equal(opened("s3://bucket?anonymous=perhaps", err, sizeof(err)), -EINVAL);
	assert_int_equal(opened("s3://bucket?anonymous=true", err, sizeof(err)), 0);
	assert_true(store_url_is("azblob://a/b"));
	assert_false(store_url_is("demo"));
	assert_false(store_url_is("s3:/b"));
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text, *origin, *host, *path;
		bool tls, bare;
	} good[] = {
		{ "http://127.0.0.1:9000", "http://127.0.0.1:9000", "127.0.0.1:9000", "", false,
		  true },
		{ "https://minio.example:443/base/", "https://minio.example", "minio.example",
		  "/base", true, false },
		{ "http://minio.example:443", "http://minio.example:443", "minio.example:443", "",
		  false, false },
		{ "localhost:4443", "http://localhost:4443", "localhost:4443", "", false, true },
		{ "http://[::1]:80", "http://[::1]", "[::1]", "", false, true },
	};
	static const char *const bad[] = { "",           "http://",    "ftp://h", "http://h/p?q",
					   "http://h h", "https://u@h" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_endpoint_ struct endpoint e = {};

		assert_int_equal(endpoint_parse(good[i].text, "http", &e), 0);
		assert_string_equal(e.origin, good[i].origin);
		assert_string_equal(e.host, good[i].host);
		assert_string_equal(e.path, good[i].path);
		assert_int_equal(e.tls, good[i].tls);
		assert_int_equal(endpoint_is_bare(&e), good[i].bare);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_endpoint_ struct endpoint e = {};

		assert_int_equal(endpoint_parse(bad[i], "http", &e), -EINVAL);
	}
}

/* ---- requests ---- */

static void test_body_in_three_parts(void **state)
{
	_cleanup_(request_freep) struct request *r = request_new(HTTP_POST, "http://h", "/p");
	char got[32];

	assert_int_equal(buf_add_str(&r->head, "head|"), 0);
	r->body = blob_copy(SPAN_LITERAL("the body"));
	assert_int_equal(buf_add_str(&r->tail, "|tail"), 0);
	assert_int_equal(request_body_len(r), 18);
	for (size_t room = 1; room <= 20; room++) {
		size_t at = 0, n;

		while ((n = request_body_read(r, at, got + at, MIN(room, sizeof(got) - at))))
			at += n;
		assert_int_equal(at, 18);
		assert_memory_equal(got, "head|the body|tail", 18);
	}
}

static void test_url(void **state)
{
	_cleanup_(request_freep) struct request *r = request_new(HTTP_GET, "http://h:1", "/p%20q");
	_cleanup_buf_ struct buf url = BUF_INIT(KiB);

	pairs_add(&r->query, "prefix", "a/b c+d");
	pairs_add(&r->query, "delimiter", "/");
	r->raw_query = strdup("sig=a%2Fb");
	assert_int_equal(request_url(r, &url), 0);
	assert_span_str(buf_span(&url),
			"http://h:1/p%20q?delimiter=%2F&prefix=a%2Fb%20c%2Bd&sig=a%2Fb");
}

static struct request *answered(const char *headers)
{
	struct request *r = request_new(HTTP_GET, "http://h", "/");

	assert_int_equal(buf_add_str(&r->http.answer_headers, headers), 0);
	return r;
}

static void test_headers_of_an_answer(void **state)
{
	_cleanup_(request_freep) struct request *r = answered(
		"ETag:  \"abc\" \r\nContent-Length: 12\r\nX-Content-Length: 13\r\n"
		"Retry-After: 9999\r\n"
		"Date: Fri, 24 May 2013 00:00:00 GMT\r\n");
	struct span v;
	uint64_t n;
	char text[32];

	assert_true(request_header(r, "etag", &v));
	assert_span_str(v, "\"abc\"");
	assert_int_equal(request_header_uint(r, "content-length", &n), 0);
	assert_int_equal(n, 12);
	assert_int_equal(request_header_uint(r, "etag", &n), -EBADMSG);
	assert_int_equal(request_header_uint(r, "age", &n), -ENOENT);
	assert_string_equal(request_header_copy(r, "nothing", text, sizeof(text)), "");
	assert_int_equal(request_header_date(r, "date"), 1369353600);
	assert_int_equal(request_retry_after_ms(r), 120000);
}

static void test_content_ranges(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t first, last, total;
	} cases[] = {
		{ "bytes 2-5/10", 0, 2, 5, 10 },
		{ "bytes */10", 0, 0, 0, 10 },
		{ "bytes 5-2/10", -EBADMSG, 0, 0, 0 },
		{ "bytes 2-5/*", -EBADMSG, 0, 0, 0 },
		{ "bytes 2-5", -EBADMSG, 0, 0, 0 },
		{ "lines 2-5/10", -EBADMSG, 0, 0, 0 },
		{ "bytes 99999999999999999999-5/10", -EBADMSG, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char line[128];
		_cleanup_(request_freep) struct request *r = NULL;
		uint64_t first = 0, last = 0, total = 0;

		snprintf(line, sizeof(line), "Content-Range: %s\r\n", cases[i].text);
		r = answered(line);
		assert_int_equal(request_content_range(r, &first, &last, &total), cases[i].result);
		assert_int_equal(first, cases[i].first);
		assert_int_equal(last, cases[i].last);
		assert_int_equal(total, cases[i].total);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_plain_ones),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_words_of_the_factory),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_body_in_three_parts),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_headers_of_an_answer),
		cmocka_unit_test(test_content_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
