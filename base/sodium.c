/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sodium.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

/*
 * Both ways to a core dump are closed: the limit for files, the flag for piped handlers,
 * which ignore the limit. The leak checker of AddressSanitizer must be able to trace the
 * program, so the flag stays there.
 */
static int forbid_core_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return fail(-EIO);
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return fail(-EIO);
#endif
	return 0;
}

int sodium_start(void)
{
	if (sodium_init() < 0)
		return fail(-EIO);
	return forbid_core_dumps();
}

/* libsodium refuses only sizes, and those are the caller's. */
static void must(int r)
{
	if (r != 0)
		abort();
}

void blake2b(struct span key, struct span data, uint8_t *ret, size_t len)
{
	must(crypto_generichash_blake2b(ret, len, data.data, data.len, key.data, key.len));
}

void blake2b_derive(const uint8_t key[32], const uint8_t salt[16], const uint8_t personal[16],
		    uint8_t ret[32])
{
	must(crypto_generichash_blake2b_salt_personal(ret, 32, NULL, 0, key, 32, salt, personal));
}

static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof(struct blake2b_state), "blake2b");
static_assert(_Alignof(crypto_generichash_blake2b_state) <= _Alignof(struct blake2b_state),
	      "blake2b");

static crypto_generichash_blake2b_state *state_of(struct blake2b_state *st)
{
	return (crypto_generichash_blake2b_state *)st->space;
}

void blake2b_begin(struct blake2b_state *st, size_t len)
{
	must(crypto_generichash_blake2b_init(state_of(st), NULL, 0, len));
}

void blake2b_add(struct blake2b_state *st, struct span s)
{
	must(crypto_generichash_blake2b_update(state_of(st), s.data, s.len));
}

void blake2b_end(struct blake2b_state *st, uint8_t *ret, size_t len)
{
	must(crypto_generichash_blake2b_final(state_of(st), ret, len));
}

int argon2id(struct span passphrase, const uint8_t salt[16], uint64_t memory_bytes, uint64_t passes,
	     uint8_t ret[32])
{
	static_assert(crypto_pwhash_argon2id_SALTBYTES == 16, "salt");

	if (passphrase.len > crypto_pwhash_argon2id_PASSWD_MAX ||
	    memory_bytes < crypto_pwhash_argon2id_MEMLIMIT_MIN ||
	    memory_bytes > crypto_pwhash_argon2id_MEMLIMIT_MAX ||
	    passes < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
	    passes > crypto_pwhash_argon2id_OPSLIMIT_MAX)
		return fail(-EINVAL);
	if (crypto_pwhash_argon2id(ret, 32, passphrase.len ? (const char *)passphrase.data : "",
				   passphrase.len, salt, passes, memory_bytes,
				   crypto_pwhash_argon2id_ALG_ARGON2ID13))
		return fail(-ENOMEM);
	return 0;
}

struct secret {
	uint8_t *bytes; /* between guard pages, of their own */
	size_t len;
};

struct secret *secret_new(size_t len)
{
	struct secret *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->bytes = sodium_malloc(len);
	s->len = len;
	return s->bytes ? s : free_null(s);
}

struct secret *secret_copy(struct span from)
{
	struct secret *s = secret_new(from.len);

	if (s && from.len)
		memcpy(s->bytes, from.data, from.len);
	return s;
}

struct secret *secret_free(struct secret *s)
{
	if (s)
		sodium_free(s->bytes); /* wipes */
	return free_null(s);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->bytes;
}

struct span secret_span(const struct secret *s)
{
	return span_of(s->bytes, s->len);
}

void wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}
