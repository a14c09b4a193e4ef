/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/keys.h"

#include "base/codec.h"
#include "base/crypto.h"
#include "base/wait.h"

#define SLOT_VERSION 1u
#define SLOT_AD_MAX 128
#define STRONG_SECRET 32u /* bytes; what is shorter goes through Argon2id (K1) */

static const uint8_t personal_slot[16] = "mangrovekeyslot";
static const char check_text[] = "mangrove key check";

const char *key_type_name(enum key_type t)
{
	switch (t) {
	case KEY_NONE:
		return "none";
	case KEY_PASSPHRASE:
		return "passphrase";
	case KEY_FILE:
		return "key file";
	case KEY_COMMAND:
		return "key command";
	case KEY_RECOVERY:
		return "recovery key";
	}
	return "unknown";
}

static const char *const type_words[] = { [KEY_NONE] = "none",
					  [KEY_PASSPHRASE] = "passphrase",
					  [KEY_FILE] = "file",
					  [KEY_COMMAND] = "command",
					  [KEY_RECOVERY] = "recovery" };

const char *key_type_word(enum key_type t)
{
	return t < ARRAY_SIZE(type_words) ? type_words[t] : "unknown";
}

int key_type_parse(const char *word, enum key_type *ret)
{
	for (enum key_type t = KEY_PASSPHRASE; t < ARRAY_SIZE(type_words); t++) {
		if (strcmp(word, type_words[t]) != 0)
			continue;
		*ret = t;
		return 0;
	}
	return -EINVAL;
}

/* What the slot says in the clear: also the associated data of its wrapping (K2). */
static void write_parameters(struct writer *w, const struct key_slot *k)
{
	write_u8(w, SLOT_VERSION);
	write_u8(w, k->number);
	write_u8(w, (uint8_t)k->type);
	write_be32(w, k->epoch);
	write_be64(w, k->memory);
	write_be64(w, k->passes);
	write_raw(w, span_of(k->salt, sizeof(k->salt)));
	write_raw(w, span_of(k->check, sizeof(k->check)));
}

int key_slot_encode(const struct key_slot *k, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_parameters(&w, k);
	write_raw(&w, span_of(k->wrapped, sizeof(k->wrapped)));
	return w.error;
}

int key_slot_decode(struct span s, struct key_slot *ret)
{
	struct reader r = READER(s);
	struct key_slot k = { 0 };

	if (read_u8(&r) != SLOT_VERSION)
		return KEY_DAMAGED;
	k.number = read_u8(&r);
	k.type = read_u8(&r);
	k.epoch = read_be32(&r);
	k.memory = read_be64(&r);
	k.passes = read_be64(&r);
	read_copy(&r, k.salt, sizeof(k.salt));
	read_copy(&r, k.check, sizeof(k.check));
	read_copy(&r, k.wrapped, sizeof(k.wrapped));
	if (read_end(&r) || k.type < KEY_PASSPHRASE || k.type > KEY_RECOVERY)
		return KEY_DAMAGED;
	*ret = k;
	return 0;
}

static bool needs_argon(enum key_type type, const struct secret *secret)
{
	return type == KEY_PASSPHRASE || secret_span(secret).len < STRONG_SECRET;
}

/* (K1) */
static bool parameters_weak(const struct key_slot *k, const struct secret *secret)
{
	if (!k->memory && !k->passes)
		return needs_argon(k->type, secret);
	return k->memory < KDF_MEMORY_MIN || k->memory > KDF_MEMORY_MAX ||
	       k->passes < KDF_PASSES_MIN || k->passes > KDF_PASSES_MAX;
}

/* The key-encryption key: the secret, stretched or hashed to 32 bytes, then bound to the slot's
 * salt. */
static int derive(const struct key_slot *k, const struct secret *secret, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *flat = secret_new(32), *kek = secret_new(32);
	int r = 0;

	if (!flat || !kek)
		return fail(-ENOMEM);
	if (k->memory)
		r = argon2id(secret_span(secret), k->salt, k->memory, k->passes,
			     secret_bytes(flat));
	else
		blake2b(SPAN_NULL, secret_span(secret), secret_bytes(flat), 32);
	if (r)
		return r == -EINVAL ? KEY_WEAK : r;
	blake2b_derive(secret_bytes(flat), k->salt, personal_slot, secret_bytes(kek));
	*ret = take_ptr(&kek);
	return 0;
}

static void key_check(const struct secret *kek, uint8_t ret[16])
{
	blake2b(secret_span(kek), SPAN_LITERAL(check_text), ret, 16);
}

static int slot_ad(const struct key_slot *k, const uint8_t volume_id[16], struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, span_of(volume_id, 16));
	write_parameters(&w, k);
	return w.error;
}

/* The salt is fresh and so is the key-encryption key: it seals once, and the nonce may be zero. */
static const uint8_t zero_nonce[GCM_NONCE_LEN];

int key_slot_wrap(const uint8_t volume_id[16], uint32_t epoch, const uint8_t volume_key[32],
		  uint8_t number, enum key_type type, const struct secret *secret,
		  const struct kdf_options *kdf, struct key_slot *ret)
{
	struct key_slot k = { .number = number, .type = type, .epoch = epoch };
	_cleanup_(secret_freep) struct secret *kek = NULL;
	_cleanup_(gcm_freep) struct gcm *gcm = NULL;
	_cleanup_buf_ struct buf ad = BUF_INIT(SLOT_AD_MAX);
	int r;

	if (needs_argon(type, secret)) {
		k.memory = kdf && kdf->memory ? kdf->memory : KDF_MEMORY_DEFAULT;
		k.passes = kdf && kdf->passes ? kdf->passes : KDF_PASSES_DEFAULT;
	}
	if (parameters_weak(&k, secret))
		return KEY_WEAK;
	random_fill(k.salt, sizeof(k.salt));
	r = derive(&k, secret, &kek);
	if (r)
		return r;
	key_check(kek, k.check);
	gcm = gcm_new(secret_bytes(kek));
	if (!gcm)
		return fail(-ENOMEM);
	r = slot_ad(&k, volume_id, &ad);
	if (!r)
		r = gcm_seal(gcm, zero_nonce, buf_span(&ad), span_of(volume_key, 32), k.wrapped);
	if (!r)
		*ret = k;
	return r;
}

int key_slot_unwrap(const struct key_slot *k, const uint8_t volume_id[16],
		    const struct secret *secret, uint8_t ret_volume_key[32])
{
	_cleanup_(secret_freep) struct secret *kek = NULL;
	_cleanup_(gcm_freep) struct gcm *gcm = NULL;
	_cleanup_buf_ struct buf ad = BUF_INIT(SLOT_AD_MAX);
	uint8_t check[16];
	int r;

	if (parameters_weak(k, secret))
		return k->memory || k->passes || k->type == KEY_PASSPHRASE ? KEY_WEAK : KEY_WRONG;
	r = derive(k, secret, &kek);
	if (r)
		return r;
	key_check(kek, check);
	if (!equal_in_constant_time(check, k->check, sizeof(check)))
		return KEY_WRONG;
	gcm = gcm_new(secret_bytes(kek));
	if (!gcm)
		return fail(-ENOMEM);
	r = slot_ad(k, volume_id, &ad);
	if (r)
		return r;
	r = gcm_open(gcm, zero_nonce, buf_span(&ad), span_of(k->wrapped, sizeof(k->wrapped)),
		     ret_volume_key);
	return r ? KEY_DAMAGED : 0;
}
