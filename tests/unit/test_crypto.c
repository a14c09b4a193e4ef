/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"
#include "base/text.h"
#include "tests/lib/cm.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
	char text[200];

	assert_true(2 * len < sizeof(text));
	hex_encode(span_of(bytes, len), text);
	assert_string_equal(text, want);
}

static void test_hashes(void **state)
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	uint8_t hash[SHA256_LEN];

	sha256(SPAN_NULL, hash);
	assert_hex(hash, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256(span_str("abc"), hash);
	assert_hex(hash, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_non_null(h);
	sha256_update(h, span_str("a"));
	sha256_update(h, SPAN_NULL);
	sha256_update(h, span_str("bc"));
	sha256_final(h, hash);
	assert_hex(hash, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	md5(SPAN_NULL, hash);
	assert_hex(hash, MD5_LEN, "d41d8cd98f00b204e9800998ecf8427e");
	md5(span_str("123456789"), hash);
	assert_hex(hash, MD5_LEN, "25f9e794323b453885f5181f1b624d0b");
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void **state)
{
	uint8_t key[131], hash[SHA256_LEN];

	memset(key, 0x0b, 20);
	hmac_sha256(span_of(key, 20), span_str("Hi There"), hash);
	assert_hex(hash, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(span_str("Jefe"), span_str("what do ya want for nothing?"), hash);
	assert_hex(hash, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	hmac_sha256(span_of(key, 131),
		    span_str("Test Using Larger Than Block-Size Key - Hash Key First"), hash);
	assert_hex(hash, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac_sha256(SPAN_NULL, SPAN_NULL, hash);
	assert_hex(hash, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void decode(const char *hex, uint8_t *ret)
{
	assert_int_equal(hex_decode(hex, strlen(hex), ret, strlen(hex) / 2), 0);
}

/* Test case 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega). */
static void test_gcm_vector(void **state)
{
	uint8_t key[32], nonce[12], ad[20], plain[60], out[76], want[76], back[60];
	_cleanup_(gcm_freep) struct gcm *g = NULL;

	decode("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key);
	decode("cafebabefacedbaddecaf888", nonce);
	decode("feedfacedeadbeeffeedfacedeadbeefabaddad2", ad);
	decode("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	       "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39", plain);
	decode("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	       "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	       "76fc6ece0f4e1768cddf8853bb2d551b", want);
	g = gcm_new(key);
	assert_non_null(g);
	assert_int_equal(gcm_seal(g, nonce, span_of(ad, 20), span_of(plain, 60), out), 0);
	assert_memory_equal(out, want, 76);
	assert_int_equal(gcm_open(g, nonce, span_of(ad, 20), span_of(out, 76), back), 0);
	assert_memory_equal(back, plain, 60);
	assert_int_equal(gcm_seal(g, nonce, span_of(ad, 20), span_of(back, 60), out), 0);
	assert_memory_equal(out, want, 76);
}

static void test_gcm_refuses(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 }, sealed[116], back[100];
	static const uint8_t zeros[100];
	_cleanup_(gcm_freep) struct gcm *g = gcm_new(key);

	memset(back, 'x', sizeof(back));
	assert_int_equal(gcm_seal(g, nonce, span_str("ad"), span_of(back, 100), sealed), 0);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		memset(back, 'y', sizeof(back));
		assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(sealed, 116), back),
				 -EBADMSG);
		assert_memory_equal(back, zeros, 100);
		sealed[i] ^= 1;
	}
	assert_int_equal(gcm_open(g, nonce, span_str("AD"), span_of(sealed, 116), back), -EBADMSG);
	assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(sealed, 115), back), -EBADMSG);
	assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(sealed, 15), back), -EBADMSG);
	nonce[11] = 1;
	assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(sealed, 116), back), -EBADMSG);
	nonce[11] = 0;
	assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(sealed, 116), back), 0);
}

static void test_gcm_in_place_and_empty(void **state)
{
	uint8_t key[32] = { 1 }, nonce[12] = { 2 }, frame[32] = "sixteen bytes ..", empty[16];
	_cleanup_(gcm_freep) struct gcm *g = gcm_new(key);

	assert_int_equal(gcm_seal(g, nonce, SPAN_NULL, span_of(frame, 16), frame), 0);
	assert_memory_not_equal(frame, "sixteen bytes ..", 16);
	assert_int_equal(gcm_open(g, nonce, SPAN_NULL, span_of(frame, 32), frame), 0);
	assert_memory_equal(frame, "sixteen bytes ..", 16);
	assert_int_equal(gcm_seal(g, nonce, span_str("ad"), SPAN_NULL, empty), 0);
	assert_int_equal(gcm_open(g, nonce, span_str("ad"), span_of(empty, 16), frame), 0);
	assert_int_equal(gcm_open(g, nonce, SPAN_NULL, span_of(empty, 16), frame), -EBADMSG);
}

static void pem_of(EVP_PKEY *key, struct buf *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &data);
	assert_int_equal(buf_add(ret, data, len), 0);
	BIO_free(bio);
}

static void test_rsa(void **state)
{
	_cleanup_buf_ struct buf pem = BUF_INIT(10000), out = BUF_INIT(1000), small = BUF_INIT(100);
	EVP_PKEY *key = EVP_RSA_gen(2048);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	pem_of(key, &pem);
	assert_int_equal(rsa_sha256_sign(buf_span(&pem), span_str("head.claims"), &out), 0);
	assert_int_equal(out.len, 256);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(
		EVP_DigestVerify(ctx, out.data, out.len, (const uint8_t *)"head.claims", 11), 1);
	assert_int_equal(rsa_sha256_sign(buf_span(&pem), span_str("x"), &small), -EMSGSIZE);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void test_rsa_refuses(void **state)
{
	_cleanup_buf_ struct buf pem = BUF_INIT(10000), out = BUF_INIT(1000);
	EVP_PKEY *key = EVP_EC_gen("P-256");

	assert_int_equal(rsa_sha256_sign(SPAN_NULL, span_str("x"), &out), -EINVAL);
	assert_int_equal(
		rsa_sha256_sign(span_str("-----BEGIN PRIVATE KEY-----\n"), span_str("x"), &out),
		-EINVAL);
	pem_of(key, &pem);
	assert_int_equal(rsa_sha256_sign(buf_span(&pem), span_str("x"), &out), -EINVAL);
	assert_int_equal(out.len, 0);
	EVP_PKEY_free(key);
}

static void test_compare(void **state)
{
	assert_true(equal_in_constant_time("abc", "abd", 2));
	assert_false(equal_in_constant_time("abc", "abd", 3));
	assert_true(equal_in_constant_time("", "x", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_gcm_vector),
		cmocka_unit_test(test_gcm_refuses),
		cmocka_unit_test(test_gcm_in_place_and_empty),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_rsa_refuses),
		cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
