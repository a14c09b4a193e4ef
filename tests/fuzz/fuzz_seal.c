/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope: what was not sealed never opens, what was opens to itself, and one changed bit
 * closes it. The first byte of the input says which of four ways it takes.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/seal_i.h"

#define LIMIT	  (1 * MiB)
#define PLAIN_MAX (256 * KiB)

static const uint8_t volume_id[16] = "fuzzed-volume..";
static const uint8_t volume_key[32] = "the key of all fuzzed volumes..";

static struct sealer *open_sealer(void)
{
	struct sealer *s;

	MUST(sealer_new(volume_id, &s) == 0);
	MUST(sealer_add_key(s, 1, volume_key) == 0);
	return s;
}

/* Bytes from anywhere; what does open was sealed under the key, and then it is the only form. */
static void raw(struct sealer *s, struct span in)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT);
	_cleanup_(blob_unrefp) struct blob *again = NULL;
	struct chunk_seal c;
	struct seal_header h;
	int r = seal_header_parse(in, &h);

	MUST(r == 0 || r == SEAL_BROKEN || r == SEAL_NEW_FORMAT);
	MUST(chunk_header_open(s, in, &c) >= 0);
	if (r)
		return;
	r = seal_object_open(s, h.type, NULL, in, &plain, NULL);
	MUST(r >= 0);
	if (r)
		return;
	MUST(seal_under(s, &h, buf_span(&plain), &again) == 0);
	MUST(span_equal(in, blob_span(again)));
}

/* A header that is right in itself, over frames that are not. */
static void forged(struct sealer *s, struct span in)
{
	struct seal_header h = { .type = take_byte(&in) % 8, .epoch = take_byte(&in) % 2 };
	_cleanup_buf_ struct buf object = BUF_INIT(LIMIT), plain = BUF_INIT(LIMIT);
	struct sealing g = {};
	struct chunk_seal c;
	int r;

	h.length = take_number(&in, 8);
	if (h.length < UINT64_MAX / 2 && h.length % 2)
		h.length = in.len - seal_frames(in.len) * SEAL_TAG_SIZE; /* fits what follows */
	memcpy(h.salt, volume_key, sizeof(h.salt));
	r = sealing_begin(s, &h, &g);
	MUST(r == (h.epoch == 1 ? 0 : SEAL_WRONG_KEY));
	if (r)
		return;
	MUST(buf_add(&object, g.bytes, sizeof(g.bytes)) == 0 && buf_add_span(&object, in) == 0);
	sealing_end(&g);
	MUST(seal_object_open(s, h.type, NULL, buf_span(&object), &plain, NULL) == SEAL_BROKEN);
	MUST(plain.len == 0);
	r = chunk_header_open(s, buf_span(&object), &c);
	MUST(r == (h.type == SEAL_CHUNK && h.length && h.length <= CHUNK_MAX ? 0 : SEAL_BROKEN));
}

/* The rest of the input, so many times. */
static struct span repeated(struct span in, struct buf *ret)
{
	for (unsigned n = 1 + take_byte(&in) % 8; n; n--)
		if (ret->len + in.len <= PLAIN_MAX)
			MUST(buf_add_span(ret, in) == 0);
	return buf_span(ret);
}

static void change(struct blob *b, struct span *in, bool *ret_changed)
{
	const uint64_t at = take_number(in, 3) % blob_span(b).len;
	const uint8_t by = take_byte(in);

	blob_bytes(b)[at] ^= by;
	*ret_changed = by != 0;
}

static void object(struct sealer *s, struct span in)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(PLAIN_MAX), opened = BUF_INIT(LIMIT);
	_cleanup_(blob_unrefp) struct blob *sealed = NULL, *copy = NULL;
	const enum seal_type type = 1 + take_byte(&in) % SEAL_PIECE;
	struct span marks = span_sub(in, 0, 4), text;
	uint8_t id[OBJECT_ID_SIZE];
	bool changed;
	int r;

	in = span_sub(in, 4, SIZE_MAX);
	text = repeated(in, &plain);
	MUST(seal_object(s, type, volume_id, text, &sealed) == 0);
	copy = blob_copy(blob_span(sealed));
	MUST(copy);
	change(copy, &marks, &changed);
	r = seal_object_open(s, type, volume_id, blob_span(copy), &opened, id);
	MUST(changed ? r > 0 && opened.len == 0 : r == 0);
	if (r == 0)
		MUST(span_equal(text, buf_span(&opened)) && memcmp(id, volume_id, 16) == 0);
	blob_shrink(copy, blob_span(copy).len - 1);
	MUST(seal_object_open(s, type, volume_id, blob_span(copy), &opened, NULL) > 0);
}

/* The third in the middle: of one frame, or over several. */
static void open_range(struct chunk_opener *o, const struct chunk_seal *c, struct span sealed,
		       struct span text, bool broken)
{
	const uint32_t from = c->length / 3, to = c->length - from, first = from / SEAL_FRAME_SIZE;
	_cleanup_free_ uint8_t *plain = malloc(to - from + 1);
	uint64_t offset, length;
	int r;

	MUST(plain);
	chunk_frame_range(c, first, UINT32_MAX / SEAL_FRAME_SEALED, &offset, &length);
	r = chunk_open_range(o, first, span_sub(sealed, offset, length), from, to, plain);
	MUST(r == 0 || (r == SEAL_BROKEN && broken));
	if (r == 0)
		MUST(span_equal(span_of(plain, to - from), span_sub(text, from, to - from)));
	MUST(chunk_open_range(o, first, SPAN_NULL, from, to, plain) ==
	     (to > from ? SEAL_BROKEN : 0));
	MUST(chunk_open_range(o, first, sealed, from, c->length + 1, plain) == SEAL_BROKEN);
}

/* Frame by frame, as a read does it. */
static void open_chunk(struct chunk_opener *o, const struct chunk_seal *c, struct span sealed,
		       struct span text, bool changed)
{
	_cleanup_free_ uint8_t *frame = malloc(SEAL_FRAME_SIZE);
	uint64_t offset, length;
	bool broken = false;
	uint32_t n;

	MUST(frame);
	for (uint32_t i = 0; i < chunk_frames(c); i++) {
		chunk_frame_range(c, i, 1, &offset, &length);
		if (chunk_open_frame(o, i, span_sub(sealed, offset, length), frame, &n)) {
			broken = true;
			continue;
		}
		MUST(span_equal(span_of(frame, n), span_sub(text, i * SEAL_FRAME_SIZE, n)));
	}
	MUST(!broken || changed);
	open_range(o, c, sealed, text, broken);
	chunk_frame_range(c, 0, UINT32_MAX, &offset, &length);
	MUST((chunk_verify(o, 0, span_sub(sealed, offset, length)) != 0) == broken);
}

static void chunk(struct sealer *s, struct span in)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(PLAIN_MAX);
	_cleanup_(blob_unrefp) struct blob *sealed = NULL, *copy = NULL;
	_cleanup_(chunk_opener_freep) struct chunk_opener *o = NULL;
	struct span marks = span_sub(in, 0, 4), text;
	struct chunk_seal c, read;
	bool changed;
	int r;

	in = span_sub(in, 4, SIZE_MAX);
	text = repeated(in, &plain);
	if (text.len == 0)
		return;
	MUST(seal_chunk(s, volume_id, text, &c, &sealed) == 0);
	MUST(chunk_sealed_length(&c) == blob_span(sealed).len);
	copy = blob_copy(blob_span(sealed));
	MUST(copy);
	change(copy, &marks, &changed);
	MUST(chunk_opener_new(s, &c, &o) == 0);
	open_chunk(o, &c, blob_span(copy), text, changed);
	r = chunk_header_open(s, blob_span(copy), &read);
	MUST(r >= 0);
	if (r == 0)
		MUST(read.length == c.length && read.epoch == c.epoch &&
		     memcmp(read.id, c.id, 16) == 0 && memcmp(read.salt, c.salt, 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ways[])(struct sealer * s, struct span in) = { raw, forged, object,
									   chunk };
	_cleanup_(sealer_freep) struct sealer *s = NULL;
	struct span in = span_of(data, size);

	MUST(sodium_start() == 0);
	s = open_sealer();
	ways[take_byte(&in) % ARRAY_SIZE(ways)](s, in);
	return 0;
}
