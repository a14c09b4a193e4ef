/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The envelope of everything that leaves this machine: AES-256-GCM in 64 KiB frames under a key
 * that is drawn for this one sealing.
 *
 * (E1) K = BLAKE2b-256(key = epoch key, salt = a fresh random 16-byte sealing id, personal =
 *      "mangrove" + type).
 * (E2) Nonce = frame number, last-frame flag, zeros. The sealing id is never used for other
 *      plaintext.
 * (E3) Associated data of every frame: format version, volume id, type, object id, key epoch,
 *      cipher, compression, plaintext length, frame number, hash of the header. So no frame can be
 *      moved, swapped, cut or extended.
 * (E4) The header commits to the key (a wrong key is told from damage). Byte by byte: FORMAT.md.
 */
#include "base/blob.h"
#include "base/buf.h"
#include "base/sodium.h"

enum seal_cond {
	SEAL_BROKEN = 1,  /* not authentic, cut, or not of this volume, type or object */
	SEAL_WRONG_KEY,   /* the key commitment differs */
	SEAL_NEW_FORMAT,  /* a version this program does not know */
};
enum seal_type {
	SEAL_CHUNK = 1,
	SEAL_RECORD,
	SEAL_LINK,
	SEAL_LANE,
	SEAL_CKPT,
	SEAL_SUPER,
	SEAL_PIECE
};

#define SEAL_FRAME_SIZE 65536u
#define SEAL_TAG_SIZE 16u
#define SEAL_FRAME_SEALED (SEAL_FRAME_SIZE + SEAL_TAG_SIZE)
#define SEAL_HEADER_SIZE 128u
#define PIECE_FRAMES 16u
#define PIECE_SIZE (PIECE_FRAMES * SEAL_FRAME_SIZE)          /* 1 MiB of plaintext */
#define PIECE_SEALED (PIECE_FRAMES * SEAL_FRAME_SEALED)
#define CHUNK_MAX (8u * 1024 * 1024)
#define OBJECT_ID_SIZE 16

/* The keys of a volume by epoch, and its id. Safe for many threads once filled. */
struct sealer;
must_check int sealer_new(const uint8_t volume_id[16], struct sealer **ret);
struct sealer *sealer_free(struct sealer *s);
DEFINE_CLEANUP(struct sealer *, sealer_free)
/* New sealings use the highest epoch. */
must_check int sealer_add_key(struct sealer *s, uint32_t epoch, const uint8_t key[32]);
/* Its 32 bytes, for as long as the sealer lives; NULL: no such epoch. Never to be copied. */
const uint8_t *sealer_key(struct sealer *s, uint32_t epoch);

/*
 * What a chunk's row in the namespace keeps of its header, so that any frame opens without reading
 * the header first.
 */
struct chunk_seal {
	uint8_t id[OBJECT_ID_SIZE]; /* the chunk's id */
	uint8_t salt[16];           /* its sealing id */
	uint32_t epoch;
	uint32_t length;            /* plaintext bytes */
};

/* Seals a whole small object (links, superblocks, ...): header and frames. 0, -ENOMEM, -EIO. */
must_check int seal_object(struct sealer *s, enum seal_type type, const uint8_t id[OBJECT_ID_SIZE],
			   struct span plain, struct blob **ret);
/*
 * Opens one; expect_id may be NULL (then *ret_id, or NULL, gets what the header names:
 * authenticated). Appends to *ret. 0, SEAL_*, -ENOMEM.
 */
must_check int seal_object_open(struct sealer *s, enum seal_type type, const uint8_t *expect_id,
				struct span sealed, struct buf *ret, uint8_t *ret_id);

/* A chunk: fills *ret_seal for its row. plain.len is 1..CHUNK_MAX. */
must_check int seal_chunk(struct sealer *s, const uint8_t id[OBJECT_ID_SIZE], struct span plain,
			  struct chunk_seal *ret_seal, struct blob **ret);
/*
 * Where frames lie in the object: the byte range that holds frames [first, first + count), clamped
 * to the object's end.
 */
void chunk_frame_range(const struct chunk_seal *c, uint32_t first, uint32_t count,
		       uint64_t *ret_offset, uint64_t *ret_length);
/* A chunk's name in every store: "c/<last byte of id>/<id>". */
#define CHUNK_NAME_SIZE 40
void chunk_object_name(const uint8_t id[OBJECT_ID_SIZE], char ret[CHUNK_NAME_SIZE]);
/* Length of the whole sealed object. */
uint64_t chunk_sealed_length(const struct chunk_seal *c);
static inline uint32_t chunk_frames(const struct chunk_seal *c)
{
	return (c->length + SEAL_FRAME_SIZE - 1) / SEAL_FRAME_SIZE;
}

/* Opens frames of one chunk; a context that keeps the derived key. Not for two threads at once. */
struct chunk_opener;
/* 0, SEAL_WRONG_KEY (no such epoch), -ENOMEM. */
must_check int chunk_opener_new(struct sealer *s, const struct chunk_seal *c,
				struct chunk_opener **ret);
struct chunk_opener *chunk_opener_free(struct chunk_opener *o);
DEFINE_CLEANUP(struct chunk_opener *, chunk_opener_free)
/*
 * One sealed frame (ciphertext and tag) -> its plaintext at ret (frame-size room). 0, SEAL_BROKEN.
 * *ret_len: plaintext bytes.
 */
must_check int chunk_open_frame(struct chunk_opener *o, uint32_t frame, struct span sealed,
				uint8_t *ret, uint32_t *ret_len);
/*
 * Plaintext bytes [from, to) of the chunk, which lie in the sealed frames that begin with `first`.
 * 0, SEAL_BROKEN, -ENOMEM.
 */
must_check int chunk_open_range(struct chunk_opener *o, uint32_t first, struct span sealed_frames,
				uint32_t from, uint32_t to, uint8_t *ret);
/* Verifies all frames of a range without keeping the plaintext. 0, SEAL_BROKEN, -ENOMEM. */
must_check int chunk_verify(struct chunk_opener *o, uint32_t first, struct span sealed_frames);
/* Reads and checks a chunk's header (for scrub, adoption from a bare store): 0, SEAL_*. */
must_check int chunk_header_open(struct sealer *s, struct span header, struct chunk_seal *ret);
