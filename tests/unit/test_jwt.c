/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens are verified with the library's own verifier, with a key made for the test. */
#include "tests/lib/cm.h"

#include "backends/jwt.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static EVP_PKEY *key_make(char *ret_pem, size_t size)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_read(bio, ret_pem, (int)size - 1);
	assert_true(n > 0);
	ret_pem[n] = '\0';
	BIO_free(bio);
	return key;
}

static bool verifies(EVP_PKEY *key, struct span text, struct span signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, signature.data, signature.len, text.data, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static void test_signature_holds(void **state)
{
	static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
			  claims[] = "{\"iss\":\"a@b\",\"n\":\"\u00ff?>\"}";
	_cleanup_buf_ struct buf token = BUF_INIT(4 * KiB), signature = BUF_INIT(KiB),
				 part = BUF_INIT(KiB);
	char pem[4096], *first, *second;
	EVP_PKEY *key = key_make(pem, sizeof(pem));
	struct span signed_part;

	assert_int_equal(
		jwt_sign(SPAN_LITERAL(header), SPAN_LITERAL(claims), span_str(pem), &token), 0);
	first = strchr(buf_str(&token), '.');
	second = strrchr(buf_str(&token), '.');
	assert_true(first && second > first);
	assert_null(strpbrk(buf_str(&token), "+/="));
	signed_part = span_of(token.data, (size_t)(second - (char *)token.data));
	assert_int_equal(base64_decode(span_str(second + 1), &signature), 0);
	assert_true(verifies(key, signed_part, buf_span(&signature)));
	((uint8_t *)signature.data)[10] ^= 1;
	assert_false(verifies(key, signed_part, buf_span(&signature)));
	assert_int_equal(base64_decode(span_of(first + 1, (size_t)(second - first - 1)), &part), 0);
	assert_span_str(buf_span(&part), claims);
	EVP_PKEY_free(key);
}

static void test_a_key_that_is_none(void **state)
{
	_cleanup_buf_ struct buf token = BUF_INIT(4 * KiB);

	assert_int_equal(
		jwt_sign(SPAN_LITERAL("{}"), SPAN_LITERAL("{}"), SPAN_LITERAL("no PEM"), &token),
		-EINVAL);
	assert_int_equal(token.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signature_holds),
		cmocka_unit_test(test_a_key_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
