/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door of libsodium: BLAKE2b with key, salt and personalisation; Argon2id; and
 * memory for secrets (locked, not in core dumps, wiped).
 */
#include "base/span.h"

/* Call once at program start (crypto_init also hardens the process: no core dumps). 0, -EIO. */
must_check int sodium_start(void);

/* BLAKE2b of `len` bytes (16..64); key may be empty. */
void blake2b(struct span key, struct span data, uint8_t *ret, size_t len);
/*
 * BLAKE2b-256 keyed with `key` (32 bytes), salt 16 bytes, personal 16 bytes, of no data: key
 * derivation.
 */
void blake2b_derive(const uint8_t key[32], const uint8_t salt[16], const uint8_t personal[16],
		    uint8_t ret[32]);

/* A running BLAKE2b without key. */
struct blake2b_state {
	_Alignas(64) uint8_t space[384];
};
void blake2b_begin(struct blake2b_state *st, size_t len);
void blake2b_add(struct blake2b_state *st, struct span s);
void blake2b_end(struct blake2b_state *st, uint8_t *ret, size_t len);

/* Argon2id v1.3 with parallelism 1. 0, -ENOMEM, -EINVAL. */
must_check int argon2id(struct span passphrase, const uint8_t salt[16], uint64_t memory_bytes,
			uint64_t passes, uint8_t ret[32]);

/*
 * Bytes that are locked in memory, left out of core dumps, and wiped when freed. NULL: no memory.
 */
struct secret;
struct secret *secret_new(size_t len);
struct secret *secret_copy(struct span s);
struct secret *secret_free(struct secret *s);
DEFINE_CLEANUP(struct secret *, secret_free)
uint8_t *secret_bytes(struct secret *s);
struct span secret_span(const struct secret *s);
void wipe(void *p, size_t len);
