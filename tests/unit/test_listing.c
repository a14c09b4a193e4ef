/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of names and words of error in three dialects, also those of servers that mean no good. */
#include "tests/lib/cm.h"

#include "backends/faults.h"
#include "backends/listing.h"

#include <stdio.h>

typedef int parse_fn(struct span, struct listing *);

static const struct list_entry *named(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->entries[i].name, name) == 0)
			return &l->entries[i];
	return NULL;
}

/* ---- S3 ---- */

static void test_s3_page(void **state)
{
	static const char page[] =
		"<?xml version=\"1.0\"?><ListBucketResult "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		"<Name>b</Name><Prefix>a+b/</Prefix><KeyCount>3</KeyCount>"
		"<IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>1ue+/=</NextContinuationToken>"
		"<Contents><Key>a+b/%C3%A9%2B%0A</Key>"
		"<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
		"<ETag>&quot;abc&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>"
		"</Contents>"
		"<Contents><Key>a%20b/z</Key><ETag>abc</ETag><Size>18446744073709551615</Size>"
		"</Contents>"
		"<CommonPrefixes><Prefix>a+b/dir/</Prefix></CommonPrefixes>"
		"<EncodingType>url</EncodingType></ListBucketResult>";
	_cleanup_listing_ struct listing l = {};
	const struct list_entry *e;

	assert_int_equal(listing_parse_s3(SPAN_LITERAL(page), &l), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.token, "1ue+/=");
	e = named(&l, "a b/\u00e9+\n");
	assert_non_null(e);
	assert_int_equal(e->size, 5);
	assert_string_equal(e->version, "\"abc\"");
	assert_int_equal(e->modified_s, 1767323045);
	assert_string_equal(named(&l, "a b/z")->version, "\"abc\"");
	assert_true(named(&l, "a b/dir/")->is_prefix);
}

static void test_s3_without_encoding(void **state)
{
	static const char page[] =
		"<ListBucketResult><IsTruncated>false</IsTruncated>"
		"<NextContinuationToken>left over</NextContinuationToken>"
		"<Contents><Key>a+b%20</Key><Size>0</Size></Contents></ListBucketResult>";
	_cleanup_listing_ struct listing l = {};

	assert_int_equal(listing_parse_s3(SPAN_LITERAL(page), &l), 0);
	assert_non_null(named(&l, "a+b%20"));
	assert_null(l.token);
}

/* ---- Azure ---- */

static void test_azure_page(void **state)
{
	static const char page[] =
		"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>"
		"<EnumerationResults ContainerName=\"c\">"
		"<Blobs><BlobPrefix><Name>dir/</Name></BlobPrefix>"
		"<Blob><Name>b</Name><Properties><Last-Modified>Fri, "
		"24 May 2013 00:00:00 GMT</Last-Modified>"
		"<Etag>0x8D1</Etag><Content-Length>7</Content-Length></Properties>"
		"<Metadata><Name>not this</Name></Metadata></Blob>"
		"<Blob><Name Encoded=\"true\">a%EF%BF%BE+</Name><Properties>"
		"<Content-Length>0</Content-Length>"
		"</Properties></Blob>"
		"<Blob><Name>f1</Name><Properties><ResourceType>directory</ResourceType>"
		"</Properties></Blob><Blob><Name>f2</Name><Metadata><hdi_isfolder>true"
		"</hdi_isfolder></Metadata></Blob></Blobs><NextMarker>2!abc</NextMarker>"
		"</EnumerationResults>";
	_cleanup_listing_ struct listing l = {};

	assert_int_equal(listing_parse_azure(SPAN_LITERAL(page), &l), 0);
	assert_int_equal(l.n, 5);
	assert_string_equal(l.token, "2!abc");
	assert_true(named(&l, "f1")->is_folder && named(&l, "f2")->is_folder);
	assert_false(named(&l, "b")->is_folder || named(&l, "f1")->is_prefix);
	assert_int_equal(named(&l, "b")->size, 7);
	assert_string_equal(named(&l, "b")->version, "\"0x8D1\"");
	assert_int_equal(named(&l, "b")->modified_s, 1369353600);
	assert_non_null(named(&l, "a\xef\xbf\xbe+"));
	assert_true(named(&l, "dir/")->is_prefix);
}

static void test_azure_empty_page_goes_on(void **state)
{
	static const char page[] =
		"<EnumerationResults><Blobs/><NextMarker>m</NextMarker></EnumerationResults>";
	static const char end[] =
		"<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>";
	_cleanup_listing_ struct listing l = {}, last = {};

	assert_int_equal(listing_parse_azure(SPAN_LITERAL(page), &l), 0);
	assert_int_equal(l.n, 0);
	assert_string_equal(l.token, "m");
	assert_int_equal(listing_parse_azure(SPAN_LITERAL(end), &last), 0);
	assert_null(last.token);
}

/* ---- GCS ---- */

static void test_gcs_page(void **state)
{
	static const char page[] =
		"{\"kind\":\"storage#objects\",\"nextPageToken\":\"T\",\"prefixes\":[\"d/\"],"
		"\"items\":[{\"name\":\"a\\u00e9\",\"size\":\"5\","
		"\"generation\":\"1712345678901234\","
		"\"updated\":\"2026-01-02T03:04:05.678Z\"}]}";
	_cleanup_listing_ struct listing l = {}, empty = {};

	assert_int_equal(listing_parse_gcs(SPAN_LITERAL(page), &l), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.token, "T");
	assert_string_equal(named(&l, "a\u00e9")->version, "1712345678901234");
	assert_int_equal(named(&l, "a\u00e9")->size, 5);
	assert_int_equal(named(&l, "a\u00e9")->modified_s, 1767323045);
	assert_true(named(&l, "d/")->is_prefix);
	assert_int_equal(listing_parse_gcs(SPAN_LITERAL("{\"kind\":\"storage#objects\"}"), &empty),
			 0);
	assert_int_equal(empty.n, 0);
	assert_null(empty.token);
}

/* ---- nonsense ---- */

static void test_hostile_pages(void **state)
{
	static const struct {
		parse_fn *parse;
		const char *page;
	} bad[] = {
		{ listing_parse_s3, "" },
		{ listing_parse_s3, "<html><body>Captive portal</body></html>" },
		{ listing_parse_s3, "<Error><Code>SlowDown</Code></Error>" },
		{ listing_parse_s3, "<ListBucketResult><Contents></Contents></ListBucketResult>" },
		{ listing_parse_s3,
		  "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>"
		  "</ListBucketResult>" },
		{ listing_parse_s3,
		  "<ListBucketResult><Contents><Key>a</Key><Size>99999999999999999999</Size>"
		  "</Contents></ListBucketResult>" },
		{ listing_parse_s3,
		  "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>" },
		{ listing_parse_s3,
		  "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key>"
		  "</Contents></ListBucketResult>" },
		{ listing_parse_s3,
		  "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%00b</Key>"
		  "</Contents></ListBucketResult>" },
		{ listing_parse_s3, "<ListBucketResult><Contents><Key>a</Key>" },
		{ listing_parse_azure,
		  "<EnumerationResults><Blobs><Blob><Name Encoded=\"true\">%</Name></Blob></Blobs>"
		  "</EnumerationResults>" },
		{ listing_parse_azure,
		  "<EnumerationResults><Blobs><Blob/></Blobs></EnumerationResults>" },
		{ listing_parse_azure, "<ListBucketResult/>" },
		{ listing_parse_gcs, "" },
		{ listing_parse_gcs, "<html/>" },
		{ listing_parse_gcs, "{\"error\":{\"code\":500}}" },
		{ listing_parse_gcs, "{\"items\":[{\"size\":\"5\"}]}" },
		{ listing_parse_gcs, "{\"items\":[{\"name\":\"a\",\"size\":\"x\"}]}" },
		{ listing_parse_gcs, "{\"items\":[{\"name\":\"a\"}]}" },
		{ listing_parse_gcs, "{\"prefixes\":[7]}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct listing l = {};
		int r = bad[i].parse(span_str(bad[i].page), &l);

		if (r != -EBADMSG)
			print_error("%s\n", bad[i].page);
		assert_int_equal(r, -EBADMSG);
		assert_null(l.entries);
	}
}

/* ---- what makes pages alike ---- */

static void test_finish(void **state)
{
	static const char page[] =
		"{\"items\":[{\"name\":\"p/z\",\"size\":\"1\"},{\"name\":\"p/b\",\"size\":\"2\"},"
		"{\"name\":\"p/a\",\"size\":\"3\"},{\"name\":\"other\",\"size\":\"4\"},"
		"{\"name\":\"p/\",\"size\":\"0\"}],\"prefixes\":[\"p/c/\",\"p/aa/\",\"p/y/\"]}";
	_cleanup_listing_ struct listing l = {};
	const struct listing_state state_ = { .after = (char *)"p/a",
					      .last_prefix = (char *)"p/c/" };

	assert_int_equal(listing_parse_gcs(SPAN_LITERAL(page), &l), 0);
	listing_finish(&l, "p/", &state_);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.entries[0].name, "b");
	assert_string_equal(l.entries[1].name, "y/");
	assert_true(l.entries[1].is_prefix);
	assert_string_equal(l.entries[2].name, "z");
	assert_int_equal(l.entries[2].size, 1);
}

static void test_tokens_come_back(void **state)
{
	const struct listing_state out = { .after = (char *)"a!b/\u00e9",
					   .last_prefix = NULL,
					   .token = (char *)"1%+/=!" };
	_cleanup_listing_state_ struct listing_state in = {};
	_cleanup_free_ char *text = listing_state_write(&out);
	static const char *const bad[] = { "", "a", "a!b", "a!b!c!d", "%!!", "a!b!%0" };

	assert_non_null(text);
	assert_int_equal(listing_state_read(text, &in), 0);
	assert_string_equal(in.after, out.after);
	assert_null(in.last_prefix);
	assert_string_equal(in.token, out.token);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct listing_state none = {};

		assert_int_equal(listing_state_read(bad[i], &none), -EINVAL);
	}
}

static void test_etags(void **state)
{
	char v[STORE_VERSION_MAX], longest[200];

	etag_copy(SPAN_LITERAL("\"a\""), v);
	assert_string_equal(v, "\"a\"");
	etag_copy(SPAN_LITERAL("0x8D"), v);
	assert_string_equal(v, "\"0x8D\"");
	etag_copy(SPAN_LITERAL("W/\"a\""), v);
	assert_string_equal(v, "W/\"a\"");
	etag_copy(SPAN_NULL, v);
	assert_string_equal(v, "");
	memset(longest, 'x', sizeof(longest));
	etag_copy(span_of(longest, sizeof(longest)), v);
	assert_string_equal(v, "");
}

/* ---- errors ---- */

static void test_faults(void **state)
{
	struct fault f;

	assert_true(fault_parse_xml(
		SPAN_LITERAL(
			"\xef\xbb\xbf<Error><Code>NoSuchKey</Code><Message>Not\nthere</Message>"
			"<Region>eu-west-1</Region></Error>"),
		&f));
	assert_string_equal(f.code, "NoSuchKey");
	assert_string_equal(f.message, "Not there");
	assert_string_equal(f.region, "eu-west-1");
	assert_false(fault_parse_xml(SPAN_LITERAL("<CopyObjectResult/>"), &f));
	assert_false(fault_parse_xml(SPAN_NULL, &f));
	assert_true(fault_parse_json(
		SPAN_LITERAL("{\"error\":{\"code\":412,\"message\":\"M\",\"errors\":"
			     "[{\"reason\":\"conditionNotMet\"}]}}"),
		&f));
	assert_string_equal(f.code, "conditionNotMet");
	assert_string_equal(f.message, "M");
	assert_true(fault_parse_json(
		SPAN_LITERAL("{\"error\":\"invalid_grant\",\"error_description\":\"D\"}"), &f));
	assert_string_equal(f.code, "invalid_grant");
	assert_string_equal(f.message, "D");
	assert_false(fault_parse_json(SPAN_LITERAL("No such object: b/k\x1b[31m"), &f));
	assert_string_equal(f.message, "No such object: b/k [31m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_page),    cmocka_unit_test(test_s3_without_encoding),
		cmocka_unit_test(test_azure_page), cmocka_unit_test(test_azure_empty_page_goes_on),
		cmocka_unit_test(test_gcs_page),   cmocka_unit_test(test_hostile_pages),
		cmocka_unit_test(test_finish),     cmocka_unit_test(test_tokens_come_back),
		cmocka_unit_test(test_etags),      cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
