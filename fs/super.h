/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The superblock, `volume.<slot>` in each store: a copy of the journal's truth as of that slot,
 * enough to unwrap the keys and to find the other stores. Created once, never overwritten.
 *
 * (U1) The clear part holds what is needed before the key is known. Its checksum tells
 *      damage; its truth is proved by the sealed part, which holds the hash of the clear one.
 * (U2) Each store's copy says which store it is for.
 */
#include "base/blob.h"
#include "fs/keys.h"
#include "fs/ns/rows.h"
#include "fs/seal.h"

#define SUPER_LEVEL 1u     /* the highest level of operations this program knows */
#define SUPER_STORES_MAX 16
#define SUPER_SIZE_MAX (256 * 1024)
#define SUPER_NAME_SIZE 24

enum super_cond {
	SUPER_DAMAGED = 1, /* cut, changed, or its two parts do not belong together */
	SUPER_NEW_FORMAT,  /* written by a later program */
	SUPER_WRONG_KEY,   /* no slot opens with this secret */
	SUPER_WEAK,        /* the slot for this kind of secret has weak parameters */
};

struct super_store {
	uint8_t id[16];
	uint32_t roles; /* STORE_ROLE_* */
	char *name, *url;
};
struct super {
	/* in the clear */
	uint64_t slot;
	uint8_t volume_id[16];
	uint32_t level;
	struct key_slot slots[KEYSLOTS_MAX];
	size_t n_slots;
	/* sealed; zero until super_open() */
	char *name;
	uint32_t epoch; /* of the journal */
	struct super_store stores[SUPER_STORES_MAX];
	size_t n_stores;
	unsigned self; /* (U2) */
	/* of the clear part */
	uint8_t hash[32];
};
struct super *super_new(void);
struct super *super_free(struct super *s);
DEFINE_CLEANUP(struct super *, super_free)

#define SUPER_PREFIX "volume."
/* "volume.0000000000000000" */
void super_object_name(uint64_t slot, char ret[SUPER_NAME_SIZE]);
/* true: it is such a name. */
bool super_object_parse(struct span name, uint64_t *ret_slot);
/* The copy for store `self`. The sealer has the volume's key. 0, -ENOMEM, -EIO. */
must_check int super_encode(const struct super *s, struct sealer *sealer, unsigned self,
			    struct blob **ret);
/* The clear part. 0, SUPER_DAMAGED, SUPER_NEW_FORMAT, -ENOMEM. */
must_check int super_parse(struct span object, struct super **ret);
/* Tries the secret at the slots of its kind (files and commands are one kind; KEY_NONE: all). 0
 * with a sealer that has the keys; SUPER_*; -ENOMEM. */
must_check int super_unlock(const struct super *s, enum key_type type, const struct secret *secret,
			    struct sealer **ret);
/* The sealed part of the same object. 0, SUPER_DAMAGED, SUPER_NEW_FORMAT, -ENOMEM. */
must_check int super_open(struct super *s, struct sealer *sealer, struct span object);
/* A hash of the key slots alone: has what opens the volume changed? 0, -ENOMEM. */
#define SUPER_KEYS_HASH_SIZE 32
must_check int super_keys_hash(const struct super *s, uint8_t ret[SUPER_KEYS_HASH_SIZE]);
/* Is a secret of that kind (KEY_NONE: of any) tried at a slot of this one? */
bool super_may_open(enum key_type slot, enum key_type secret);
