/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/seal_i.h"

#include "base/crc.h"
#include "base/wait.h"

/*
 * The header, 128 bytes; all numbers big-endian:
 *     0  "mangrove"         24  plaintext length, 8
 *     8  version, 2         32  object id, 16
 *    10  type, 1            48  sealing id, 16
 *    11  cipher, 1          64  key commitment, 32
 *    12  compression, 1     96  zeros, 16
 *    13  zeros, 3          112  BLAKE2b-128 of bytes 0..111
 *    16  key epoch, 4
 *    20  frame table, 4 (0: none)
 * The checksum needs no key: a damaged header is told from a wrong key (E4). Magic, version and
 * checksum stand at the same place in every version.
 */
#define AT_VERSION 8
#define AT_TYPE 10
#define AT_CIPHER 11
#define AT_COMPRESSION 12
#define AT_EPOCH 16
#define AT_LENGTH 24
#define AT_ID 32
#define AT_SALT 48
#define AT_COMMITMENT 64
#define AT_CHECKSUM 112
#define CHECKSUM_SIZE 16
#define AD_AT_FRAME 12

static const char magic[8] = { 'm', 'a', 'n', 'g', 'r', 'o', 'v', 'e' };
static const char commitment_text[] = "mangrove key commitment";

struct epoch_key {
	uint32_t epoch;
	struct secret *key;
};

struct sealer {
	uint8_t volume_id[16];
	struct {
		struct lock lock;
		struct epoch_key *
			/* few, rising epochs; a secret never moves or goes before the sealer */
			keys;
		size_t n;
	} sync;
};

int sealer_new(const uint8_t volume_id[16], struct sealer **ret)
{
	struct sealer *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM);
	memcpy(s->volume_id, volume_id, sizeof(s->volume_id));
	lock_init(&s->sync.lock, RANK_LEAF);
	*ret = s;
	return 0;
}

struct sealer *sealer_free(struct sealer *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->sync.n; i++)
		secret_free(s->sync.keys[i].key);
	free(s->sync.keys);
	lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

int sealer_add_key(struct sealer *s, uint32_t epoch, const uint8_t key[32])
{
	_cleanup_(secret_freep) struct secret *copy = secret_copy(span_of(key, 32));
	LOCK_SCOPE(&s->sync.lock);
	struct epoch_key *keys;
	size_t at = s->sync.n;

	if (!copy)
		return fail(-ENOMEM);
	keys = realloc(s->sync.keys, (s->sync.n + 1) * sizeof(*keys));
	if (!keys)
		return fail(-ENOMEM);
	s->sync.keys = keys;
	while (at && keys[at - 1].epoch > epoch)
		at--;
	memmove(keys + at + 1, keys + at, (s->sync.n - at) * sizeof(*keys));
	keys[at] = (struct epoch_key){ .epoch = epoch, .key = take_ptr(&copy) };
	s->sync.n++;
	return 0;
}

uint32_t sealer_epoch(struct sealer *s)
{
	LOCK_SCOPE(&s->sync.lock);

	return s->sync.n ? s->sync.keys[s->sync.n - 1].epoch : 0;
}

const uint8_t *sealer_key(struct sealer *s, uint32_t epoch)
{
	LOCK_SCOPE(&s->sync.lock);

	for (size_t i = 0; i < s->sync.n; i++)
		if (s->sync.keys[i].epoch == epoch)
			return secret_bytes(s->sync.keys[i].key);
	return NULL;
}

static const char *type_word(enum seal_type type)
{
	switch (type) {
	case SEAL_CHUNK:
		return "chunk";
	case SEAL_RECORD:
		return "record";
	case SEAL_LINK:
		return "link";
	case SEAL_LANE:
		return "lane";
	case SEAL_CKPT:
		return "ckpt";
	case SEAL_SUPER:
		return "super";
	case SEAL_PIECE:
		return "piece";
	}
	return "";
}

/* (E1) */
static void derive_key(const uint8_t epoch_key[32], const struct seal_header *h, uint8_t ret[32])
{
	uint8_t personal[16] = { 0 };
	const char *word = type_word(h->type);

	memcpy(personal, magic, sizeof(magic));
	memcpy(personal + sizeof(magic), word, strlen(word));
	blake2b_derive(epoch_key, h->salt, personal, ret);
}

static void put_be(uint8_t *at, uint64_t v, unsigned bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t get_be(const uint8_t *at, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

static void header_write(const struct seal_header *h, const uint8_t commitment[32],
			 uint8_t ret[SEAL_HEADER_SIZE])
{
	memset(ret, 0, SEAL_HEADER_SIZE);
	memcpy(ret, magic, sizeof(magic));
	put_be(ret + AT_VERSION, SEAL_VERSION, 2);
	ret[AT_TYPE] = (uint8_t)h->type;
	ret[AT_CIPHER] = SEAL_CIPHER_AES256_GCM;
	put_be(ret + AT_EPOCH, h->epoch, 4);
	put_be(ret + AT_LENGTH, h->length, 8);
	memcpy(ret + AT_ID, h->id, sizeof(h->id));
	memcpy(ret + AT_SALT, h->salt, sizeof(h->salt));
	memcpy(ret + AT_COMMITMENT, commitment, 32);
	blake2b(SPAN_NULL, span_of(ret, AT_CHECKSUM), ret + AT_CHECKSUM, CHECKSUM_SIZE);
}

/* (E3): version, type, cipher, compression, zeros, epoch, frame, length, volume, object, header
 * hash. */
static void ad_write(const struct sealer *s, struct sealing *g)
{
	const struct seal_header *h = &g->header;
	uint8_t *ad = g->ad;

	memset(ad, 0, SEAL_AD_SIZE);
	put_be(ad, SEAL_VERSION, 2);
	ad[2] = (uint8_t)h->type;
	ad[3] = SEAL_CIPHER_AES256_GCM;
	put_be(ad + 8, h->epoch, 4);
	put_be(ad + 16, h->length, 8);
	memcpy(ad + 24, s->volume_id, 16);
	memcpy(ad + 40, h->id, 16);
	blake2b(SPAN_NULL, span_of(g->bytes, SEAL_HEADER_SIZE), ad + 56, 32);
}

int sealing_begin(struct sealer *s, const struct seal_header *h, struct sealing *ret)
{
	const uint8_t *epoch_key = sealer_key(s, h->epoch);
	uint8_t key[32], commitment[32];

	if (!epoch_key)
		return SEAL_WRONG_KEY;
	ret->header = *h;
	derive_key(epoch_key, h, key);
	blake2b(span_of(key, sizeof(key)), SPAN_LITERAL(commitment_text), commitment, 32);
	ret->gcm = gcm_new(key);
	wipe(key, sizeof(key));
	if (!ret->gcm)
		return fail(-ENOMEM);
	header_write(h, commitment, ret->bytes);
	ad_write(s, ret);
	return 0;
}

void sealing_end(struct sealing *g)
{
	g->gcm = gcm_free(g->gcm);
}

/* (E2); also sets the frame's number in the associated data. */
static void frame_bind(struct sealing *g, uint32_t frame, uint8_t nonce[GCM_NONCE_LEN])
{
	memset(nonce, 0, GCM_NONCE_LEN);
	put_be(nonce, frame, 4);
	nonce[4] = frame + 1 == seal_frames(g->header.length);
	put_be(g->ad + AD_AT_FRAME, frame, 4);
}

int sealing_seal_frame(struct sealing *g, uint32_t frame, struct span plain, uint8_t *ret)
{
	uint8_t nonce[GCM_NONCE_LEN];

	frame_bind(g, frame, nonce);
	return gcm_seal(g->gcm, nonce, span_of(g->ad, SEAL_AD_SIZE), plain, ret);
}

int sealing_open_frame(struct sealing *g, uint32_t frame, struct span sealed, uint8_t *ret)
{
	uint8_t nonce[GCM_NONCE_LEN];

	frame_bind(g, frame, nonce);
	return gcm_open(g->gcm, nonce, span_of(g->ad, SEAL_AD_SIZE), sealed, ret) ? SEAL_BROKEN : 0;
}

int seal_header_parse(struct span sealed, struct seal_header *ret)
{
	const uint8_t *p = sealed.data;
	uint8_t checksum[CHECKSUM_SIZE];

	if (sealed.len < SEAL_HEADER_SIZE || memcmp(p, magic, sizeof(magic)))
		return SEAL_BROKEN;
	blake2b(SPAN_NULL, span_of(p, AT_CHECKSUM), checksum, CHECKSUM_SIZE);
	if (memcmp(checksum, p + AT_CHECKSUM, CHECKSUM_SIZE))
		return SEAL_BROKEN;
	if (get_be(p + AT_VERSION, 2) != SEAL_VERSION || p[AT_CIPHER] != SEAL_CIPHER_AES256_GCM ||
	    p[AT_COMPRESSION])
		return SEAL_NEW_FORMAT;
	ret->type = p[AT_TYPE];
	ret->epoch = (uint32_t)get_be(p + AT_EPOCH, 4);
	ret->length = get_be(p + AT_LENGTH, 8);
	memcpy(ret->id, p + AT_ID, sizeof(ret->id));
	memcpy(ret->salt, p + AT_SALT, sizeof(ret->salt));
	return 0;
}

int seal_under(struct sealer *s, const struct seal_header *h, struct span plain, struct blob **ret)
{
	_cleanup_(blob_unrefp) struct blob *blob = blob_new(seal_object_length(plain.len));
	_cleanup_(sealing_end) struct sealing g = { 0 };
	uint32_t crc;
	uint8_t *out;
	int r;

	if (!blob)
		return fail(-ENOMEM);
	r = sealing_begin(s, h, &g);
	if (r)
		return r > 0 ? fail(-EIO) : r; /* a sealer without that key is our own mistake */
	out = blob_bytes(blob);
	memcpy(out, g.bytes, SEAL_HEADER_SIZE);
	crc = crc32c(0, span_of(out, SEAL_HEADER_SIZE));
	out += SEAL_HEADER_SIZE;
	for (uint64_t i = 0; i < seal_frames(plain.len); i++) {
		uint32_t len = seal_frame_length(plain.len, i);
		const uint8_t *from = len ? plain.data + i * SEAL_FRAME_SIZE : NULL;

		r = sealing_seal_frame(&g, (uint32_t)i, span_of(from, len), out);
		if (r)
			return r;
		crc = crc32c(crc, span_of(out, len + SEAL_TAG_SIZE)); /* while it is warm */
		out += len + SEAL_TAG_SIZE;
	}
	blob_crc32c_known(blob, crc);
	*ret = take_ptr(&blob);
	return 0;
}

int seal_object(struct sealer *s, enum seal_type type, const uint8_t id[OBJECT_ID_SIZE],
		struct span plain, struct blob **ret)
{
	struct seal_header h = { .type = type, .epoch = sealer_epoch(s), .length = plain.len };

	memcpy(h.id, id, sizeof(h.id));
	random_fill(h.salt, sizeof(h.salt));
	return seal_under(s, &h, plain, ret);
}

static int open_frames(struct sealing *g, struct span frames, uint8_t *ret)
{
	uint64_t length = g->header.length;

	for (uint64_t i = 0; i < seal_frames(length); i++) {
		uint32_t len = seal_frame_length(length, i);
		struct span sealed = span_sub(frames, i * SEAL_FRAME_SEALED, len + SEAL_TAG_SIZE);
		int r = sealing_open_frame(g, (uint32_t)i, sealed, ret + i * SEAL_FRAME_SIZE);

		if (r)
			return r;
	}
	return 0;
}

int seal_object_open(struct sealer *s, enum seal_type type, const uint8_t *expect_id,
		     struct span sealed, struct buf *ret, uint8_t *ret_id)
{
	_cleanup_(sealing_end) struct sealing g = { 0 };
	struct seal_header h;
	size_t before = ret->len;
	uint8_t nothing, *plain;
	int r = seal_header_parse(sealed, &h);

	if (r)
		return r;
	if (h.type != type || (expect_id && memcmp(h.id, expect_id, sizeof(h.id))))
		return SEAL_BROKEN;
	if (h.length > sealed.len || sealed.len != seal_object_length(h.length))
		return SEAL_BROKEN;
	r = sealing_begin(s, &h, &g);
	if (r)
		return r;
	if (!equal_in_constant_time(g.bytes + AT_COMMITMENT, sealed.data + AT_COMMITMENT, 32))
		return SEAL_WRONG_KEY;
	if (memcmp(g.bytes, sealed.data, SEAL_HEADER_SIZE))
		return SEAL_BROKEN; /* something in it that we would not have written */
	plain = h.length ? buf_extend(ret, h.length) : &nothing;
	if (!plain)
		return fail(-ENOMEM);
	r = open_frames(&g, span_sub(sealed, SEAL_HEADER_SIZE, SIZE_MAX), plain);
	if (r)
		ret->len = before;
	if (!r && ret_id)
		memcpy(ret_id, h.id, sizeof(h.id));
	return r;
}
