/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that a live Azurite accepted, made with the emulator's published key. */
#include "tests/lib/cm.h"

#include "backends/sharedkey.h"

#define ACCOUNT "devstoreaccount1"
#define KEY                                                                                        \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define DATE                                                                                       \
	{                                                                                          \
		"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"                                       \
	}
#define VERSION                                                                                    \
	{                                                                                          \
		"x-ms-version", "2021-12-02"                                                       \
	}

struct vector {
	const char *method, *path;
	const char *query[6][2], *headers[9][2];
	uint64_t body_len;
	const char *signature;
};

static const struct vector vectors[] = {
	{ "GET",
	  "/devstoreaccount1/mycontainer/dir/blob%20one.bin",
	  {},
	  { { "If-Match", "\"0x8D1\"" }, { "x-ms-range", "bytes=0-1023" }, DATE, VERSION },
	  0,
	  "IhU5+i5QDnuCDfRGeVcL2y1OtGVdZkDbUuZQ/6YB+W0=" },
	{ "PUT",
	  "/devstoreaccount1/mycontainer/hello.txt",
	  {},
	  { VERSION,
	    { "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==" },
	    { "Content-Type", "application/octet-stream" },
	    { "If-None-Match", "*" },
	    { "x-ms-blob-type", "BlockBlob" },
	    { "x-ms-meta-uuid", "42" },
	    DATE },
	  5,
	  "ViE6Xnjv+/oAP1V0Odx9bkTeS9O3YNxGInFLkFaEVII=" },
	{ "GET",
	  "/devstoreaccount1/mycontainer",
	  { { "restype", "container" },
	    { "comp", "list" },
	    { "prefix", "a/b c" },
	    { "delimiter", "/" },
	    { "maxresults", "10" },
	    { "include", "metadata" } },
	  { DATE, VERSION },
	  0,
	  "4ey7CgBXyUkP3rg/80oARWhZyIR8jC3fXvctBsOneVg=" },
	{ "PUT",
	  "/devstoreaccount1/mycontainer/big",
	  { { "comp", "blocklist" } },
	  { { "Content-Type", "application/xml" },
	    { "If-Match", "\"0x8D1\"" },
	    { "x-ms-blob-content-type", "application/octet-stream" },
	    DATE,
	    VERSION },
	  100,
	  "mW2/uattF3v7d6dGXPpL7kmuDofp3OFlAA/sZ6jjtGE=" },
};

static void fill(struct pairs *p, const char *const (*from)[2], size_t n)
{
	for (size_t i = 0; i < n && from[i][0]; i++)
		pairs_add(p, from[i][0], from[i][1]);
	assert_int_equal(pairs_error(p), 0);
}

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		_cleanup_pairs_ struct pairs query = {}, headers = {};
		_cleanup_buf_ struct buf value = BUF_INIT(KiB);
		const struct sharedkey_request r = { ACCOUNT, v->method, v->path,
						     &query,  &headers,  v->body_len };

		fill(&query, v->query, ARRAY_SIZE(v->query));
		fill(&headers, v->headers, ARRAY_SIZE(v->headers));
		assert_int_equal(sharedkey_sign(KEY, &r, &value), 0);
		assert_true(span_starts(buf_span(&value), SPAN_LITERAL("SharedKey " ACCOUNT ":")));
		assert_string_equal(buf_str(&value) + strlen("SharedKey " ACCOUNT ":"),
				    v->signature);
	}
}

static void test_signed_text(void **state)
{
	_cleanup_pairs_ struct pairs query = {}, headers = {};
	_cleanup_buf_ struct buf text = BUF_INIT(KiB);
	struct sharedkey_request r = { "contosorest", "GET", "/", &query, &headers, 0 };

	pairs_add(&query, "comp", "list");
	pairs_add(&headers, "x-ms-version", "2017-07-29");
	pairs_add(&headers, "x-ms-date", "Fri, 17 Nov 2017 01:07:37 GMT");
	assert_int_equal(sharedkey_text(&r, &text), 0);
	assert_string_equal(buf_str(&text),
			    "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 17 Nov 2017 01:07:37 GMT\n"
			    "x-ms-version:2017-07-29\n/contosorest/\ncomp:list");
	buf_clear(&text);
	pairs_add(&query, "Comp", "again");
	pairs_add(&headers, "Date", "not used beside x-ms-date");
	assert_int_equal(sharedkey_text(&r, &text), 0);
	assert_non_null(strstr(buf_str(&text), "\ncomp:again,list"));
	assert_null(strstr(buf_str(&text), "not used"));
}

static void test_shared_access_signatures(void **state)
{
	_cleanup_buf_ struct buf service = BUF_INIT(KiB), account = BUF_INIT(KiB);

	assert_int_equal(
		sharedkey_hmac(
			KEY,
			SPAN_LITERAL("rwdlc\n2024-01-01T00:00:00Z\n2030-01-01T00:00:00Z\n"
				     "/blob/devstoreaccount1/mycontainer\n\n\n\n2021-12-02\nc\n"
				     "\n\n\n\n\n\n"),
			&service),
		0);
	assert_string_equal(buf_str(&service), "eIMMfOzQRuj6he0G7W3PpU7SXJrEqVC7LpVdGYfJqpU=");
	assert_int_equal(
		sharedkey_hmac(
			KEY,
			SPAN_LITERAL("devstoreaccount1\nrwdlac\nb\nsco\n2024-01-01T00:00:00Z\n"
				     "2030-01-01T00:00:00Z\n\n\n2021-12-02\n\n"),
			&account),
		0);
	assert_string_equal(buf_str(&account), "C/3vhVCpSI7wKJbSumECA3g2djFAFF5HQ7HCOr3pAyE=");
}

static void test_a_key_that_is_none(void **state)
{
	_cleanup_pairs_ struct pairs none = {};
	_cleanup_buf_ struct buf value = BUF_INIT(KiB);
	const struct sharedkey_request r = { ACCOUNT, "GET", "/", &none, &none, 0 };

	assert_int_equal(sharedkey_sign("not base64!", &r, &value), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_signed_text),
		cmocka_unit_test(test_shared_access_signatures),
		cmocka_unit_test(test_a_key_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
