/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdatomic.h>

/*
 * What OpenSSL implicitly looks up for each hash is looked up once here. Two threads
 * at the same time may do it twice; the loser frees its own.
 */
static const EVP_MD *fetch(EVP_MD *_Atomic *known, const char *name)
{
	EVP_MD *md = atomic_load(known), *none = NULL;

	if (md)
		return md;
	md = EVP_MD_fetch(NULL, name, NULL);
	if (md && !atomic_compare_exchange_strong(known, &none, md)) {
		EVP_MD_free(md);
		md = none;
	}
	return md;
}

static const EVP_MD *sha256_algorithm(void)
{
	static EVP_MD *_Atomic known;

	return fetch(&known, "SHA256");
}

static const EVP_MD *md5_algorithm(void)
{
	static EVP_MD *_Atomic known;

	return fetch(&known, "MD5");
}

/* A hash without an answer has no use: only a broken installation or no memory at all gets here. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void sha256(struct span s, uint8_t ret[SHA256_LEN])
{
	must(EVP_Digest(s.data, s.len, ret, NULL, sha256_algorithm(), NULL));
}

void md5(struct span s, uint8_t ret[MD5_LEN])
{
	must(EVP_Digest(s.data, s.len, ret, NULL, md5_algorithm(), NULL));
}

void hmac_sha256(struct span key, struct span data, uint8_t ret[SHA256_LEN])
{
	unsigned len = 0;

	assert(key.len <= INT_MAX);
	/* A NULL key would mean "as before" to OpenSSL. */
	must(HMAC(sha256_algorithm(), key.len ? key.data : (const uint8_t *)"", key.len, data.data,
		  data.len, ret, &len) != NULL);
	must(len == SHA256_LEN);
}

struct sha256 {
	EVP_MD_CTX *ctx;
};

/* NULL: no memory. */
static EVP_MD_CTX *running(const EVP_MD *algorithm)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && EVP_DigestInit_ex2(ctx, algorithm, NULL) == 1)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

struct sha256 *sha256_new(void)
{
	_cleanup_(sha256_freep) struct sha256 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ctx = running(sha256_algorithm());
	return h->ctx ? take_ptr(&h) : NULL;
}

void sha256_update(struct sha256 *h, struct span s)
{
	must(EVP_DigestUpdate(h->ctx, s.data, s.len));
}

void sha256_final(struct sha256 *h, uint8_t ret[SHA256_LEN])
{
	must(EVP_DigestFinal_ex(h->ctx, ret, NULL));
}

struct sha256 *sha256_free(struct sha256 *h)
{
	if (h)
		EVP_MD_CTX_free(h->ctx);
	return free_null(h);
}

struct md5 {
	EVP_MD_CTX *ctx;
};

struct md5 *md5_new(void)
{
	_cleanup_(md5_freep) struct md5 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ctx = running(md5_algorithm());
	return h->ctx ? take_ptr(&h) : NULL;
}

void md5_update(struct md5 *h, struct span s)
{
	must(EVP_DigestUpdate(h->ctx, s.data, s.len));
}

void md5_final(struct md5 *h, uint8_t ret[MD5_LEN])
{
	must(EVP_DigestFinal_ex(h->ctx, ret, NULL));
}

struct md5 *md5_free(struct md5 *h)
{
	if (h)
		EVP_MD_CTX_free(h->ctx);
	return free_null(h);
}

struct gcm {
	EVP_CIPHER_CTX *ctx; /* has the key; each frame sets direction and nonce */
};

struct gcm *gcm_new(const uint8_t key[GCM_KEY_LEN])
{
	_cleanup_(gcm_freep) struct gcm *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->ctx = EVP_CIPHER_CTX_new();
	if (!g->ctx || EVP_EncryptInit_ex(g->ctx, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
		return NULL;
	return take_ptr(&g);
}

struct gcm *gcm_free(struct gcm *g)
{
	if (g)
		EVP_CIPHER_CTX_free(g->ctx); /* wipes the key */
	return free_null(g);
}

/* Nonce, associated data and the bytes themselves, in either direction. */
static bool run(struct gcm *g, bool seal, const uint8_t *nonce, struct span ad, struct span in,
		uint8_t *ret)
{
	int n;

	if (ad.len > INT_MAX || in.len > INT_MAX)
		return false;
	if (EVP_CipherInit_ex(g->ctx, NULL, NULL, NULL, nonce, seal) != 1)
		return false;
	if (ad.len && EVP_CipherUpdate(g->ctx, NULL, &n, ad.data, ad.len) != 1)
		return false;
	return !in.len || EVP_CipherUpdate(g->ctx, ret, &n, in.data, in.len) == 1;
}

int gcm_seal(struct gcm *g, const uint8_t nonce[GCM_NONCE_LEN], struct span ad, struct span plain,
	     uint8_t *ret)
{
	int n;

	if (!run(g, true, nonce, ad, plain, ret) ||
	    EVP_CipherFinal_ex(g->ctx, ret + plain.len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, ret + plain.len) != 1) {
		ERR_clear_error();
		return fail(-EIO);
	}
	return 0;
}

int gcm_open(struct gcm *g, const uint8_t nonce[GCM_NONCE_LEN], struct span ad, struct span sealed,
	     uint8_t *ret)
{
	uint8_t tag[GCM_TAG_LEN], rest[GCM_TAG_LEN];
	struct span cipher;
	int n;

	if (sealed.len < GCM_TAG_LEN)
		return fail(-EBADMSG);
	cipher = span_sub(sealed, 0, sealed.len - GCM_TAG_LEN);
	memcpy(tag, sealed.data + cipher.len, GCM_TAG_LEN);
	if (!run(g, false, nonce, ad, cipher, ret) ||
	    EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) != 1 ||
	    EVP_CipherFinal_ex(g->ctx, rest, &n) != 1) {
		OPENSSL_cleanse(ret, cipher.len);
		ERR_clear_error();
		return fail(-EBADMSG);
	}
	return 0;
}

static void free_bio(BIO **b)
{
	BIO_free(*b);
}

static void free_key(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void free_ctx(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

/* A key behind a password is refused; OpenSSL would ask for it at the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	return -1;
}

static EVP_PKEY *read_rsa_key(struct span pem)
{
	_cleanup_(free_bio) BIO *bio = NULL;
	EVP_PKEY *key;

	if (pem.len > INT_MAX)
		return NULL;
	bio = BIO_new_mem_buf(pem.data, pem.len);
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static int sign(EVP_PKEY *key, struct span data, struct buf *ret)
{
	_cleanup_(free_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = EVP_PKEY_get_size(key);
	int r;

	r = buf_reserve(ret, len);
	if (r)
		return r;
	if (!ctx || EVP_DigestSignInit(ctx, NULL, sha256_algorithm(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, ret->data + ret->len, &len, data.data, data.len) != 1)
		return fail(-EIO);
	ret->len += len;
	return 0;
}

int rsa_sha256_sign(struct span pem, struct span data, struct buf *ret)
{
	_cleanup_(free_key) EVP_PKEY *key = read_rsa_key(pem);
	int r;

	r = key ? sign(key, data, ret) : fail(-EINVAL);
	ERR_clear_error();
	return r;
}

bool equal_in_constant_time(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
