/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What seal.c (keys and whole objects) and seal_chunk.c (chunks, frame by frame) share. */
#include "base/crypto.h"
#include "fs/seal.h"

#define SEAL_VERSION 1u
#define SEAL_CIPHER_AES256_GCM 1u
#define SEAL_AD_SIZE 88u

/* A header's fields; everything else in it follows from these and the keys. */
struct seal_header {
	enum seal_type type;
	uint32_t epoch;
	uint64_t length; /* of the plaintext, bytes */
	uint8_t id[OBJECT_ID_SIZE];
	uint8_t salt[16];
};

/* One sealing under way in either direction: its key, and what all its frames are bound to. */
struct sealing {
	struct seal_header header;
	struct gcm *gcm;
	uint8_t bytes[SEAL_HEADER_SIZE]; /* the header as it stands in the object */
	/* associated data; the frame number is filled in per frame */
	uint8_t ad[SEAL_AD_SIZE];
};
/* 0, SEAL_WRONG_KEY: no key of that epoch; -ENOMEM. */
must_check int sealing_begin(struct sealer *s, const struct seal_header *h, struct sealing *ret);
void sealing_end(struct sealing *g);
/* ret gets the ciphertext and the tag. 0, -EIO. */
must_check int sealing_seal_frame(struct sealing *g, uint32_t frame, struct span plain,
				  uint8_t *ret);
/* 0, SEAL_BROKEN. */
must_check int sealing_open_frame(struct sealing *g, uint32_t frame, struct span sealed,
				  uint8_t *ret);

/* Number of frames of so much plaintext; an empty object has one, of nothing but its tag. */
static inline uint64_t seal_frames(uint64_t length)
{
	return length ? (length + SEAL_FRAME_SIZE - 1) / SEAL_FRAME_SIZE : 1;
}
/* Plaintext bytes in one frame. */
static inline uint32_t seal_frame_length(uint64_t length, uint64_t frame)
{
	uint64_t left = length - frame * SEAL_FRAME_SIZE;

	return left < SEAL_FRAME_SIZE ? (uint32_t)left : SEAL_FRAME_SIZE;
}
static inline uint64_t seal_object_length(uint64_t length)
{
	return SEAL_HEADER_SIZE + length + seal_frames(length) * SEAL_TAG_SIZE;
}

uint32_t sealer_epoch(struct sealer *s); /* of new sealings; 0: no key yet */
/* Reads a header as far as it goes without a key. 0, SEAL_BROKEN, SEAL_NEW_FORMAT. */
must_check int seal_header_parse(struct span sealed, struct seal_header *ret);
/* Seals header and frames under a given sealing id. Only test vectors give one that is not fresh
 * (E2). */
must_check int seal_under(struct sealer *s, const struct seal_header *h, struct span plain,
			  struct blob **ret);
