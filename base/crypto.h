/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The door of OpenSSL: hashes and signatures of the providers' protocols, and AES-256-GCM. */
#include "base/buf.h"

#define SHA256_LEN 32
#define MD5_LEN 16
#define GCM_KEY_LEN 32
#define GCM_NONCE_LEN 12
#define GCM_TAG_LEN 16

void sha256(struct span s, uint8_t ret[SHA256_LEN]);
void hmac_sha256(struct span key, struct span data, uint8_t ret[SHA256_LEN]);
void md5(struct span s, uint8_t ret[MD5_LEN]);

struct sha256; /* a running hash */
struct sha256 *sha256_new(void);
void sha256_update(struct sha256 *h, struct span s);
void sha256_final(struct sha256 *h, uint8_t ret[SHA256_LEN]);
struct sha256 *sha256_free(struct sha256 *h);
DEFINE_CLEANUP(struct sha256 *, sha256_free)

struct md5; /* a running hash */
struct md5 *md5_new(void);
void md5_update(struct md5 *h, struct span s);
void md5_final(struct md5 *h, uint8_t ret[MD5_LEN]);
struct md5 *md5_free(struct md5 *h);
DEFINE_CLEANUP(struct md5 *, md5_free)

/* One key, many frames: a context that is set up once. Not for two threads at once. */
struct gcm;
struct gcm *gcm_new(const uint8_t key[GCM_KEY_LEN]);
struct gcm *gcm_free(struct gcm *g);
DEFINE_CLEANUP(struct gcm *, gcm_free)
/* ret gets plain.len bytes and then the 16-byte tag. In place is allowed. 0, -EIO. */
must_check int gcm_seal(struct gcm *g, const uint8_t nonce[GCM_NONCE_LEN], struct span ad,
			struct span plain, uint8_t *ret);
/*
 * sealed = ciphertext and tag. 0, or -EBADMSG when it is not authentic (then ret holds no
 * plaintext).
 */
must_check int gcm_open(struct gcm *g, const uint8_t nonce[GCM_NONCE_LEN], struct span ad,
			struct span sealed, uint8_t *ret);

/*
 * RSASSA-PKCS1-v1_5 with SHA-256 by a PEM private key (GCS service accounts); appends. 0, -EINVAL
 * (bad key), -EIO.
 */
must_check int rsa_sha256_sign(struct span pem, struct span data, struct buf *ret);

bool equal_in_constant_time(const void *a, const void *b, size_t len);
