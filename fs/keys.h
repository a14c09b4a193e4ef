/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How the volume's keys are kept: each epoch's key is wrapped in key slots, and any one slot
 * opens it.
 *
 * (K1) A slot's key-encryption key depends on the secret, the slot's fresh salt and, below
 *      32 bytes of secret or for a passphrase, on Argon2id with at least 64 MiB and 2 passes.
 *      Less is refused, whoever wrote it: a store must not be able to weaken a volume.
 * (K2) What a slot says is authenticated by its wrapping (associated data: all parameters
 *      and the volume id).
 * (K3) A slot commits to its key-encryption key, so that a wrong key is told from damage.
 */
#include "base/buf.h"
#include "base/sodium.h"

enum key_type { /* numbers are part of the format */
	KEY_NONE = 0,
	KEY_PASSPHRASE = 1, /* a person's words: always through Argon2id */
	KEY_FILE = 2,
	KEY_COMMAND = 3,    /* what a command prints: a vault, a KMS client */
	KEY_RECOVERY = 4,   /* printed once by format */
};
const char *key_type_name(enum key_type t);
/* "passphrase", "file", "command", "recovery": one word, for requests. 0, -EINVAL. */
const char *key_type_word(enum key_type t);
must_check int key_type_parse(const char *word, enum key_type *ret);

#define KDF_MEMORY_MIN (64 * MiB)
#define KDF_PASSES_MIN 2u
#define KDF_MEMORY_MAX (4 * GiB)
#define KDF_PASSES_MAX 64u
#define KDF_MEMORY_DEFAULT (256 * MiB)
#define KDF_PASSES_DEFAULT 3u
#define KEY_SLOT_SIZE_MAX 512

enum key_cond {
	KEY_WRONG = 1, /* the slot is whole, but of another secret */
	KEY_DAMAGED,   /* not a slot, or its wrapping is not authentic */
	KEY_WEAK,      /* parameters below the minimum, or beyond reason */
};

/* Where a secret comes from. */
struct key_source {
	enum key_type type;
	const char *where; /* a file, or a shell command; borrowed */
};
/* Reads it; a trailing newline is no part of a secret. 0; -errno with a sentence in err. */
must_check int key_source_read(const struct key_source *src, struct secret **ret, char *err,
			       size_t err_size);
/* Creates a key file (mode 0600) with 32 random bytes as hex. 0, -EEXIST, -errno. */
must_check int key_file_create(const char *path);

struct key_slot {
	uint8_t number;
	enum key_type type;
	uint32_t epoch;         /* of the wrapped volume key */
	/* of Argon2id; 0, 0: BLAKE2b, for secrets of 32 random bytes and more */
	uint64_t memory, passes;
	uint8_t salt[16];
	uint8_t check[16];      /* (K3) */
	uint8_t wrapped[48];    /* the volume key and its tag */
};
must_check int key_slot_encode(const struct key_slot *k, struct buf *ret);
/* 0, KEY_DAMAGED. */
must_check int key_slot_decode(struct span s, struct key_slot *ret);

struct kdf_options {
	uint64_t memory, passes; /* 0: the default */
};
/* Wraps a volume key under a secret. 0, KEY_WEAK, -ENOMEM, -EIO. */
must_check int key_slot_wrap(const uint8_t volume_id[16], uint32_t epoch,
			     const uint8_t volume_key[32], uint8_t number, enum key_type type,
			     const struct secret *secret, const struct kdf_options *kdf,
			     struct key_slot *ret);
/* 0 with the volume key, KEY_WRONG, KEY_DAMAGED, KEY_WEAK, -ENOMEM. */
must_check int key_slot_unwrap(const struct key_slot *k, const uint8_t volume_id[16],
			       const struct secret *secret, uint8_t ret_volume_key[32]);

/* A recovery key: 32 random bytes, for people 56 letters and digits in groups, the last ones a
 * checksum. */
must_check int recovery_key_new(struct secret **ret_secret, struct secret **ret_text);
/* Blanks, dashes and letter case do not matter; O is 0, I and L are 1. 0, -EINVAL (a typing
 * mistake), -ENOMEM. */
must_check int recovery_key_parse(struct span text, struct secret **ret);
