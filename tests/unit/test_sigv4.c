/* SPDX-License-Identifier: Apache-2.0 */
/* Amazon's published examples, and more of the same kind for the names that a filesystem makes. */
#include "tests/lib/cm.h"

#include "backends/sigv4.h"
#include "base/crypto.h"
#include "base/text.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct sigv4_key docs = {
	.id = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};
static const struct sigv4_key suite = {
	.id = "AKIDEXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "service",
};

struct vector {
	const char *name;
	const struct sigv4_key *key;
	const char *method, *path;
	const char *query[8][2]; /* raw, in no order */
	const char *headers[10][2];
	const char *hash;
	const char *canonical_hash; /* or NULL */
	const char *signature;
};

#define S3_HOST                                                                                    \
	{                                                                                          \
		"Host", "examplebucket.s3.amazonaws.com"                                           \
	}
#define S3_DATE                                                                                    \
	{                                                                                          \
		"x-amz-date", "20130524T000000Z"                                                   \
	}
#define HASH(h)                                                                                    \
	{                                                                                          \
		"x-amz-content-sha256", h                                                          \
	}
#define SUITE_HOST                                                                                 \
	{                                                                                          \
		"Host", "example.amazonaws.com"                                                    \
	}
#define SUITE_DATE                                                                                 \
	{                                                                                          \
		"X-Amz-Date", "20150830T123600Z"                                                   \
	}

static const struct vector vectors[] = {
	{ .name = "get a range",
	  .key = &docs,
	  .method = "GET",
	  .path = "/test.txt",
	  .headers = { S3_HOST, { "Range", "bytes=0-9" }, HASH(EMPTY), S3_DATE },
	  .hash = EMPTY,
	  .canonical_hash = "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
	  .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ .name = "put",
	  .key = &docs,
	  .method = "PUT",
	  .path = "/test%24file.text",
	  .headers = { S3_HOST,
		       S3_DATE,
		       { "Date", "Fri, 24 May 2013 00:00:00 GMT" },
		       { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
		       { "User-Agent", "never signed" },
		       HASH("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072") },
	  .hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
	  .canonical_hash = "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
	  .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ .name = "a flag in the query",
	  .key = &docs,
	  .method = "GET",
	  .path = "/",
	  .query = { { "lifecycle", "" } },
	  .headers = { S3_HOST, HASH(EMPTY), S3_DATE },
	  .hash = EMPTY,
	  .canonical_hash = "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
	  .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ .name = "list",
	  .key = &docs,
	  .method = "GET",
	  .path = "/",
	  .query = { { "prefix", "J" }, { "max-keys", "2" } },
	  .headers = { S3_HOST, HASH(EMPTY), S3_DATE },
	  .hash = EMPTY,
	  .canonical_hash = "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
	  .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },

	{ .name = "suite: plain",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .headers = { SUITE_HOST, SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "suite: sorting of the query",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .query = { { "Param2", "value2" }, { "Param1", "value1" } },
	  .headers = { SUITE_HOST, SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ .name = "suite: UTF-8 in the query",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .query = { { "\u1234", "bar" } },
	  .headers = { SUITE_HOST, SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
	{ .name = "suite: UTF-8 in the path",
	  .key = &suite,
	  .method = "GET",
	  .path = "/%E1%88%B4",
	  .headers = { SUITE_HOST, SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
	{ .name = "suite: token of a session",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .headers = { SUITE_HOST,
		       SUITE_DATE,
		       { "x-amz-security-token",
			 "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267" } },
	  .hash = EMPTY,
	  .signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8" },
	{ .name = "suite: blanks in values",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .headers = { SUITE_HOST,
		       { "My-Header1", "  value1" },
		       { "My-Header2", " \"a   b   c\"" },
		       SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ .name = "suite: a header three times",
	  .key = &suite,
	  .method = "GET",
	  .path = "/",
	  .headers = { SUITE_HOST,
		       { "My-Header1", "value2" },
		       { "My-Header1", "value2" },
		       { "My-Header1", "value1" },
		       SUITE_DATE },
	  .hash = EMPTY,
	  .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },

	{ .name = "odd name, headers that are prefixes of others",
	  .key = &docs,
	  .method = "PUT",
	  .path = "/a%20b/k%C3%A9%2By%3D1~%27%28x%29%2A%21.bin",
	  .headers = { S3_HOST,
		       { "If-None-Match", "*" },
		       HASH(SIGV4_UNSIGNED),
		       S3_DATE,
		       { "x-amz-meta-a-b", "2" },
		       { "x-amz-meta-a", "1" },
		       { "x-amz-security-token", "TOKEN/+=" } },
	  .hash = SIGV4_UNSIGNED,
	  .canonical_hash = "5f725d25c0bad4a19155dfe87e9322b8d7953e57aeebde5af78b25db664d90bb",
	  .signature = "218a7c0ec4210b5f2bf668d42f05bef7ebbb98c97093b8cb17671f2eff8c7c6d" },
	{ .name = "a long listing",
	  .key = &docs,
	  .method = "GET",
	  .path = "/",
	  .query = { { "list-type", "2" },
		     { "prefix", "a b/\u00e9" },
		     { "start-after", "a b/z" },
		     { "delimiter", "/" },
		     { "max-keys", "1000" },
		     { "encoding-type", "url" },
		     { "continuation-token", "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=" } },
	  .headers = { S3_HOST, HASH(EMPTY), S3_DATE },
	  .hash = EMPTY,
	  .canonical_hash = "6b4d78490157bde94fb594f8df30126f38ed03335e495e70d883980779841be9",
	  .signature = "b916dff3f9fff7b6cd2995cff055fbcad53947ffc08fac9b4554ff694164c72f" },
};

static void fill(struct pairs *p, const char *const (*from)[2], size_t n)
{
	for (size_t i = 0; i < n && from[i][0]; i++)
		pairs_add(p, from[i][0], from[i][1]);
	assert_int_equal(pairs_error(p), 0);
}

static void sign(const struct vector *v, struct buf *ret_canonical, struct buf *ret_value)
{
	_cleanup_pairs_ struct pairs query = {}, headers = {};
	_cleanup_buf_ struct buf text = BUF_INIT(KiB), names = BUF_INIT(KiB);
	struct sigv4_request r = {
		.method = v->method, .path = v->path, .headers = &headers, .payload_hash = v->hash
	};

	fill(&query, v->query, ARRAY_SIZE(v->query));
	fill(&headers, v->headers, ARRAY_SIZE(v->headers));
	assert_int_equal(pairs_query(&query, &text), 0);
	r.query = buf_str(&text);
	r.date = pairs_get(&headers, "x-amz-date");
	assert_int_equal(sigv4_canonical(&r, ret_canonical, &names), 0);
	assert_int_equal(sigv4_sign(v->key, &r, ret_value), 0);
}

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		_cleanup_buf_ struct buf canonical = BUF_INIT(4 * KiB), value = BUF_INIT(4 * KiB);
		uint8_t hash[SHA256_LEN];
		char hex[65];
		const char *signature;

		sign(v, &canonical, &value);
		sha256(buf_span(&canonical), hash);
		hex_encode(span_of(hash, sizeof(hash)), hex);
		signature = strstr(buf_str(&value), "Signature=") + strlen("Signature=");
		if ((v->canonical_hash && strcmp(hex, v->canonical_hash) != 0) ||
		    strcmp(signature, v->signature) != 0)
			print_error("%s:\n%s\n%s\n", v->name, buf_str(&canonical), buf_str(&value));
		if (v->canonical_hash)
			assert_string_equal(hex, v->canonical_hash);
		assert_string_equal(signature, v->signature);
	}
}

static void test_whole_header(void **state)
{
	_cleanup_buf_ struct buf canonical = BUF_INIT(4 * KiB), value = BUF_INIT(4 * KiB);

	sign(&vectors[0], &canonical, &value);
	assert_string_equal(
		buf_str(&value),
		"AWS4-HMAC-SHA256 "
		"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	assert_string_equal(buf_str(&canonical),
			    "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\n"
			    "range:bytes=0-9\nx-amz-content-sha256:" EMPTY "\n"
			    "x-amz-date:20130524T000000Z\n\n"
			    "host;range;x-amz-content-sha256;x-amz-date\n" EMPTY);
}

static void test_signing_keys(void **state)
{
	static const struct {
		const char *secret, *date, *region, *service, *key;
	} keys[] = {
		{ "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3",
		  "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378" },
		{ "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam",
		  "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9" },
		{ "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam",
		  "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct sigv4_key k = { .secret = keys[i].secret,
					     .region = keys[i].region,
					     .service = keys[i].service };
		uint8_t key[32];
		char hex[65];

		sigv4_signing_key(&k, keys[i].date, key);
		hex_encode(span_of(key, sizeof(key)), hex);
		assert_string_equal(hex, keys[i].key);
	}
}

/* A presigned URL is the same algorithm with the signature's own words in the query. */
static void test_presigned(void **state)
{
	static const struct vector v = {
		.key = &docs,
		.method = "GET",
		.path = "/test.txt",
		.query = { { "X-Amz-Algorithm", "AWS4-HMAC-SHA256" },
			   { "X-Amz-Credential",
			     "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" },
			   { "X-Amz-Date", "20130524T000000Z" },
			   { "X-Amz-Expires", "86400" },
			   { "X-Amz-SignedHeaders", "host" } },
		.headers = { S3_HOST },
		.hash = SIGV4_UNSIGNED,
	};
	_cleanup_pairs_ struct pairs query = {}, headers = {};
	_cleanup_buf_ struct buf text = BUF_INIT(KiB), value = BUF_INIT(KiB);
	struct sigv4_request r = { "GET", v.path, NULL, &headers, v.hash, "20130524T000000Z" };

	fill(&query, v.query, ARRAY_SIZE(v.query));
	fill(&headers, v.headers, ARRAY_SIZE(v.headers));
	assert_int_equal(pairs_query(&query, &text), 0);
	r.query = buf_str(&text);
	assert_int_equal(sigv4_sign(&docs, &r, &value), 0);
	assert_non_null(strstr(
		buf_str(&value),
		"Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_whole_header),
		cmocka_unit_test(test_signing_keys),
		cmocka_unit_test(test_presigned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
