/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/seal_i.h"

#include "base/text.h"

#include <stdio.h>

#include "base/wait.h"

struct chunk_opener {
	struct sealing sealing;
};

static struct seal_header chunk_header(const struct chunk_seal *c)
{
	struct seal_header h = { .type = SEAL_CHUNK, .epoch = c->epoch, .length = c->length };

	memcpy(h.id, c->id, sizeof(h.id));
	memcpy(h.salt, c->salt, sizeof(h.salt));
	return h;
}

int seal_chunk(struct sealer *s, const uint8_t id[OBJECT_ID_SIZE], struct span plain,
	       struct chunk_seal *ret_seal, struct blob **ret)
{
	struct chunk_seal c = { .epoch = sealer_epoch(s), .length = (uint32_t)plain.len };
	struct seal_header h;
	int r;

	assert(plain.len >= 1 && plain.len <= CHUNK_MAX);
	memcpy(c.id, id, sizeof(c.id));
	random_fill(c.salt, sizeof(c.salt));
	h = chunk_header(&c);
	r = seal_under(s, &h, plain, ret);
	if (!r)
		*ret_seal = c;
	return r;
}

uint64_t chunk_sealed_length(const struct chunk_seal *c)
{
	return seal_object_length(c->length);
}

void chunk_frame_range(const struct chunk_seal *c, uint32_t first, uint32_t count,
		       uint64_t *ret_offset, uint64_t *ret_length)
{
	uint64_t end = chunk_sealed_length(c);
	uint64_t from = SEAL_HEADER_SIZE + (uint64_t)first * SEAL_FRAME_SEALED;
	uint64_t to = from + (uint64_t)count * SEAL_FRAME_SEALED;

	*ret_offset = MIN(from, end);
	*ret_length = MIN(to, end) - *ret_offset;
}

int chunk_opener_new(struct sealer *s, const struct chunk_seal *c, struct chunk_opener **ret)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *o = calloc(1, sizeof(*o));
	struct seal_header h = chunk_header(c);
	int r;

	if (!o)
		return fail(-ENOMEM);
	r = sealing_begin(s, &h, &o->sealing);
	if (r)
		return r;
	*ret = take_ptr(&o);
	return 0;
}

struct chunk_opener *chunk_opener_free(struct chunk_opener *o)
{
	if (!o)
		return NULL;
	sealing_end(&o->sealing);
	free(o);
	return NULL;
}

int chunk_open_frame(struct chunk_opener *o, uint32_t frame, struct span sealed, uint8_t *ret,
		     uint32_t *ret_len)
{
	uint64_t length = o->sealing.header.length;
	uint32_t len;
	int r;

	if (frame >= seal_frames(length))
		return SEAL_BROKEN;
	len = seal_frame_length(length, frame);
	if (sealed.len != len + SEAL_TAG_SIZE)
		return SEAL_BROKEN;
	r = sealing_open_frame(&o->sealing, frame, sealed, ret);
	if (!r)
		*ret_len = len;
	return r;
}

int chunk_open_range(struct chunk_opener *o, uint32_t first, struct span sealed_frames,
		     uint32_t from, uint32_t to, uint8_t *ret)
{
	_cleanup_free_ uint8_t *frame = NULL;
	const uint64_t length = o->sealing.header.length;

	assert(from / SEAL_FRAME_SIZE >= first);
	if (to > length)
		return SEAL_BROKEN;
	for (uint32_t n = from / SEAL_FRAME_SIZE; n * (uint64_t)SEAL_FRAME_SIZE < to; n++) {
		const uint32_t begin = n * SEAL_FRAME_SIZE, plain = seal_frame_length(length, n);
		const uint32_t lo = MAX(from, begin), hi = MIN(to, begin + plain);
		const bool whole = lo == begin && hi == begin + plain;
		const struct span one = span_sub(sealed_frames,
						 (size_t)(n - first) * SEAL_FRAME_SEALED,
						 plain + SEAL_TAG_SIZE);
		uint32_t len;

		if (!whole && !frame) {
			frame = malloc(SEAL_FRAME_SIZE);
			if (!frame)
				return fail(-ENOMEM);
		}
		if (chunk_open_frame(o, n, one, whole ? ret + (lo - from) : frame, &len) != 0)
			return SEAL_BROKEN;
		if (!whole)
			memcpy(ret + (lo - from), frame + (lo - begin), hi - lo);
	}
	return 0;
}

int chunk_verify(struct chunk_opener *o, uint32_t first, struct span sealed_frames)
{
	_cleanup_free_ uint8_t *unwanted = malloc(SEAL_FRAME_SIZE);

	if (!unwanted)
		return fail(-ENOMEM);
	do {
		struct span one = span_sub(sealed_frames, 0, SEAL_FRAME_SEALED);
		uint32_t len;
		int r = chunk_open_frame(o, first++, one, unwanted, &len);

		if (r)
			return r;
		sealed_frames = span_sub(sealed_frames, one.len, SIZE_MAX);
	} while (sealed_frames.len);
	return 0;
}

int chunk_header_open(struct sealer *s, struct span header, struct chunk_seal *ret)
{
	_cleanup_(sealing_end) struct sealing g = { 0 };
	struct seal_header h;
	int r = seal_header_parse(header, &h);

	if (r)
		return r;
	if (h.type != SEAL_CHUNK || !h.length || h.length > CHUNK_MAX)
		return SEAL_BROKEN;
	r = sealing_begin(s, &h, &g);
	if (r)
		return r;
	/* The checksum was right, so a difference is the commitment: another key. */
	if (!equal_in_constant_time(g.bytes, header.data, SEAL_HEADER_SIZE))
		return SEAL_WRONG_KEY;
	*ret = (struct chunk_seal){ .epoch = h.epoch, .length = (uint32_t)h.length };
	memcpy(ret->id, h.id, sizeof(ret->id));
	memcpy(ret->salt, h.salt, sizeof(ret->salt));
	return 0;
}

void chunk_object_name(const uint8_t id[OBJECT_ID_SIZE], char ret[CHUNK_NAME_SIZE])
{
	char hex[2 * OBJECT_ID_SIZE + 1];

	hex_encode(span_of(id, OBJECT_ID_SIZE), hex);
	snprintf(ret, CHUNK_NAME_SIZE, "c/%s/%s", hex + 2 * OBJECT_ID_SIZE - 2, hex);
}
