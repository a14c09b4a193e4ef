/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/crc.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "base/wait.h"
#include "fs/seal_i.h"
#include "tests/lib/cm.h"

static const uint8_t volume_id[16] = "a volume of test";
static const uint8_t epoch_key[32] = "0123456789abcdef0123456789abcdef";
static const uint8_t object_id[16] = "an object's name";

static struct sealer *sealer_of(const uint8_t volume[16], uint32_t epoch, const uint8_t key[32])
{
	struct sealer *s;

	assert_int_equal(sealer_new(volume, &s), 0);
	assert_int_equal(sealer_add_key(s, epoch, key), 0);
	return s;
}

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	return p;
}

/* --- the vectors, made by another implementation --- */

static void hex_field(const struct json *of, const char *key, uint8_t *ret, size_t len)
{
	const char *text = json_str(of, key);

	assert_non_null(text);
	assert_int_equal(hex_decode(text, strlen(text), ret, len), 0);
}

static enum seal_type type_of(const char *word)
{
	static const char *const words[] = { "",     "chunk", "record", "link",
					     "lane", "ckpt",  "super",	"piece" };

	for (unsigned i = 1; i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i], word))
			return i;
	return 0; /* no such type: nothing will match */
}

static void check_case(struct sealer *s, uint32_t epoch, const struct json *c)
{
	struct seal_header h = { .type = type_of(json_str(c, "type")), .epoch = epoch };
	uint8_t header[SEAL_HEADER_SIZE], sum[32], expect[32];
	struct blob *sealed;
	uint8_t *plain;

	assert_int_equal(json_uint(c, "length", &h.length), 0);
	hex_field(c, "object_id", h.id, 16);
	hex_field(c, "salt", h.salt, 16);
	hex_field(c, "header", header, sizeof(header));
	hex_field(c, "sealed_sha256", expect, 32);
	plain = pattern(h.length);
	assert_int_equal(seal_under(s, &h, span_of(plain, h.length), &sealed), 0);
	assert_memory_equal(blob_span(sealed).data, header, sizeof(header));
	sha256(blob_span(sealed), sum);
	assert_memory_equal(sum, expect, 32);
	blob_unref(sealed);
	free(plain);
}

static void test_vectors(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(MiB);
	_cleanup_(json_freep) struct json *doc = NULL;
	_cleanup_(sealer_freep) struct sealer *s = NULL;
	uint8_t volume[16], key[32], part[4096];
	const struct json *cases;
	uint64_t epoch;
	size_t n;
	FILE *f = fopen(VECTORS_DIR "/seal.json", "r");

	assert_non_null(f);
	while ((n = fread(part, 1, sizeof(part), f)))
		assert_int_equal(buf_add(&text, part, n), 0);
	fclose(f);
	assert_int_equal(json_parse(buf_span(&text), &doc), 0);
	hex_field(doc, "volume_id", volume, 16);
	hex_field(doc, "epoch_key", key, 32);
	assert_int_equal(json_uint(doc, "epoch", &epoch), 0);
	s = sealer_of(volume, (uint32_t)epoch, key);
	cases = json_get(doc, "cases");
	assert_true(json_count(cases) >= 9);
	for (size_t i = 0; i < json_count(cases); i++)
		check_case(s, (uint32_t)epoch, json_at(cases, i));
}

/* --- whole objects --- */

static void test_objects_come_back(void **state)
{
	static const size_t lengths[] = { 0, 1, 65535, 65536, 65537, 131072, 300000 };
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_free_ uint8_t *plain = pattern(lengths[i]);
		_cleanup_buf_ struct buf back = BUF_INIT(lengths[i] + 3);
		struct blob *sealed;
		uint8_t id[16];

		assert_int_equal(buf_add_str(&back, "abc"), 0);
		assert_int_equal(seal_object(s, SEAL_LINK, object_id, span_of(plain, lengths[i]),
					     &sealed),
				 0);
		assert_int_equal(blob_span(sealed).len, seal_object_length(lengths[i]));
		assert_int_equal(seal_object_open(s, SEAL_LINK, NULL, blob_span(sealed), &back, id),
				 0);
		assert_memory_equal(id, object_id, 16);
		assert_int_equal(back.len, lengths[i] + 3);
		assert_memory_equal(back.data + 3, plain, lengths[i]);
		assert_int_equal(blob_crc32c(sealed), crc32c(0, blob_span(sealed)));
		blob_unref(sealed);
	}
}

static void test_two_sealings_share_nothing(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);
	struct blob *a, *b;

	assert_int_equal(seal_object(s, SEAL_LINK, object_id, SPAN_LITERAL("same"), &a), 0);
	assert_int_equal(seal_object(s, SEAL_LINK, object_id, SPAN_LITERAL("same"), &b), 0);
	assert_memory_not_equal(blob_span(a).data + SEAL_HEADER_SIZE,
				blob_span(b).data + SEAL_HEADER_SIZE, 4);
	blob_unref(a);
	blob_unref(b);
}

/* Any bit of a sealed object that differs is found; nothing is added to the buffer. */
static void test_every_bit_counts(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);
	_cleanup_buf_ struct buf back = BUF_INIT(100000);
	struct blob *sealed, *bad;

	assert_int_equal(seal_object(s, SEAL_RECORD, object_id, SPAN_LITERAL("a short one"),
				     &sealed),
			 0);
	for (size_t bit = 0; bit < blob_span(sealed).len * 8; bit++) {
		bad = blob_copy(blob_span(sealed));
		blob_bytes(bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_object_open(s, SEAL_RECORD, NULL, blob_span(bad), &back,
						  NULL),
				 SEAL_BROKEN);
		assert_int_equal(back.len, 0);
		blob_unref(bad);
	}
	for (size_t len = 0; len < blob_span(sealed).len; len++)
		assert_int_equal(seal_object_open(s, SEAL_RECORD, NULL,
						  span_sub(blob_span(sealed), 0, len), &back, NULL),
				 SEAL_BROKEN);
	blob_unref(sealed);
}

static void test_bound_to_its_place(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);
	_cleanup_(sealer_freep) struct sealer *other =
		sealer_of((const uint8_t *)"another volume..", 1, epoch_key);
	_cleanup_buf_ struct buf back = BUF_INIT(1000);
	struct blob *sealed;

	assert_int_equal(seal_object(s, SEAL_LINK, object_id, SPAN_LITERAL("mine"), &sealed), 0);
	assert_int_equal(seal_object_open(s, SEAL_RECORD, object_id, blob_span(sealed), &back,
					  NULL),
			 SEAL_BROKEN);
	assert_int_equal(seal_object_open(s, SEAL_LINK, (const uint8_t *)"another object..",
					  blob_span(sealed), &back, NULL),
			 SEAL_BROKEN);
	assert_int_equal(seal_object_open(other, SEAL_LINK, object_id, blob_span(sealed), &back,
					  NULL),
			 SEAL_BROKEN);
	assert_int_equal(back.len, 0);
	assert_int_equal(seal_object_open(s, SEAL_LINK, object_id, blob_span(sealed), &back, NULL),
			 0);
	blob_unref(sealed);
}

static void test_wrong_key_is_told_from_damage(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);
	_cleanup_(sealer_freep) struct sealer *wrong =
		sealer_of(volume_id, 1, (const uint8_t *)"another key of 32 bytes, truly..");
	_cleanup_(sealer_freep) struct sealer *later = sealer_of(volume_id, 2, epoch_key);
	_cleanup_buf_ struct buf back = BUF_INIT(1000);
	struct chunk_seal c;
	struct blob *sealed;

	assert_int_equal(seal_chunk(s, object_id, SPAN_LITERAL("mine"), &c, &sealed), 0);
	assert_int_equal(seal_object_open(wrong, SEAL_CHUNK, NULL, blob_span(sealed), &back, NULL),
			 SEAL_WRONG_KEY);
	assert_int_equal(seal_object_open(later, SEAL_CHUNK, NULL, blob_span(sealed), &back, NULL),
			 SEAL_WRONG_KEY);
	assert_int_equal(chunk_header_open(wrong, blob_span(sealed), &c), SEAL_WRONG_KEY);
	assert_int_equal(chunk_header_open(later, blob_span(sealed), &c), SEAL_WRONG_KEY);
	blob_unref(sealed);
}

static void test_newer_format(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 1, epoch_key);
	_cleanup_buf_ struct buf back = BUF_INIT(1000);
	struct blob *sealed;

	assert_int_equal(seal_object(s, SEAL_LINK, object_id, SPAN_LITERAL("mine"), &sealed), 0);
	blob_bytes(sealed)[9] = 2;
	blake2b(SPAN_NULL, span_sub(blob_span(sealed), 0, 112), blob_bytes(sealed) + 112, 16);
	assert_int_equal(seal_object_open(s, SEAL_LINK, NULL, blob_span(sealed), &back, NULL),
			 SEAL_NEW_FORMAT);
	blob_unref(sealed);
}

static void test_epochs(void **state)
{
	_cleanup_(sealer_freep) struct sealer *s = sealer_of(volume_id, 5, epoch_key);
	_cleanup_buf_ struct buf back = BUF_INIT(1000);
	struct chunk_seal old, new;
	struct blob *a, *b;

	assert_int_equal(seal_chunk(s, object_id, SPAN_LITERAL("old"), &old, &a), 0);
	assert_int_equal(sealer_add_key(s, 7, (const uint8_t *)"another key of 32 bytes, truly.."),
			 0);
	assert_int_equal(sealer_add_key(s, 2, (const uint8_t *)"an older key of 32 bytes, truly."),
			 0);
	assert_int_equal(seal_chunk(s, object_id, SPAN_LITERAL("new"), &new, &b), 0);
	assert_int_equal(old.epoch, 5);
	assert_int_equal(new.epoch, 7);
	assert_int_equal(seal_object_open(s, SEAL_CHUNK, NULL, blob_span(a), &back, NULL), 0);
	assert_int_equal(seal_object_open(s, SEAL_CHUNK, NULL, blob_span(b), &back, NULL), 0);
	assert_memory_equal(back.data, "oldnew", 6);
	blob_unref(a);
	blob_unref(b);
}

/* --- chunks --- */

struct chunk {
	struct sealer *s;
	uint8_t *plain;
	struct chunk_seal c;
	struct blob *sealed;
};

static void chunk_make(struct chunk *k, size_t len)
{
	k->s = sealer_of(volume_id, 1, epoch_key);
	k->plain = pattern(len);
	assert_int_equal(seal_chunk(k->s, object_id, span_of(k->plain, len), &k->c, &k->sealed), 0);
	assert_int_equal(blob_span(k->sealed).len, chunk_sealed_length(&k->c));
}

static void chunk_release(struct chunk *k)
{
	blob_unref(k->sealed);
	free(k->plain);
	sealer_free(k->s);
}

static struct span frames_of(const struct chunk *k, uint32_t first, uint32_t count)
{
	uint64_t off, len;

	chunk_frame_range(&k->c, first, count, &off, &len);
	return span_sub(blob_span(k->sealed), off, len);
}

static void test_any_frame_opens(void **state)
{
	_cleanup_(chunk_release) struct chunk k;
	_cleanup_free_ uint8_t *out = malloc(SEAL_FRAME_SIZE);
	struct chunk_opener *o;
	struct chunk_seal again;
	uint32_t len;

	chunk_make(&k, 5 * SEAL_FRAME_SIZE + 100);
	assert_int_equal(chunk_frames(&k.c), 6);
	assert_int_equal(chunk_header_open(k.s, span_sub(blob_span(k.sealed), 0, SEAL_HEADER_SIZE),
					   &again),
			 0);
	assert_memory_equal(again.salt, k.c.salt, 16);
	assert_int_equal(again.length, k.c.length);
	assert_int_equal(chunk_opener_new(k.s, &again, &o), 0);
	for (uint32_t i = 6; i-- > 0;) {
		assert_int_equal(chunk_open_frame(o, i, frames_of(&k, i, 1), out, &len), 0);
		assert_int_equal(len, i == 5 ? 100 : SEAL_FRAME_SIZE);
		assert_memory_equal(out, k.plain + (size_t)i * SEAL_FRAME_SIZE, len);
	}
	assert_int_equal(chunk_verify(o, 0, frames_of(&k, 0, 99)), 0);
	assert_int_equal(chunk_verify(o, 4, frames_of(&k, 4, 2)), 0);
	chunk_opener_free(o);
}

static void test_no_frame_moves(void **state)
{
	_cleanup_(chunk_release) struct chunk k;
	_cleanup_free_ uint8_t *out = malloc(SEAL_FRAME_SIZE);
	struct chunk_opener *o;
	uint32_t len;

	chunk_make(&k, 3 * SEAL_FRAME_SIZE);
	assert_int_equal(chunk_opener_new(k.s, &k.c, &o), 0);
	assert_int_equal(chunk_open_frame(o, 1, frames_of(&k, 0, 1), out, &len),
			 SEAL_BROKEN); /* swapped */
	assert_int_equal(chunk_open_frame(o, 3, frames_of(&k, 2, 1), out, &len),
			 SEAL_BROKEN); /* extended */
	assert_int_equal(chunk_verify(o, 0, frames_of(&k, 1, 2)), SEAL_BROKEN);
	assert_int_equal(chunk_verify(o, 0,
				      span_sub(frames_of(&k, 0, 3), 0, 2 * SEAL_FRAME_SEALED + 5)),
			 SEAL_BROKEN);
	assert_int_equal(chunk_verify(o, 0, SPAN_NULL), SEAL_BROKEN);
	chunk_opener_free(o);
	k.c.length = 2 * SEAL_FRAME_SIZE; /* cut: the row says less than the object */
	assert_int_equal(chunk_opener_new(k.s, &k.c, &o), 0);
	assert_int_equal(chunk_open_frame(o, 1, frames_of(&k, 1, 1), out, &len), SEAL_BROKEN);
	chunk_opener_free(o);
}

static void test_ranges_of_plaintext(void **state)
{
	static const struct {
		uint32_t from, to;
	} good[] = { { 0, 1 }, { 65535, 65537 }, { 65536, 131072 }, { 5, 131172 },
		     { 131171, 131172 }, { 0, 131172 } };
	_cleanup_(chunk_release) struct chunk k;
	_cleanup_free_ uint8_t *out = malloc(131172);
	struct chunk_opener *o;

	chunk_make(&k, 2 * SEAL_FRAME_SIZE + 100);
	assert_int_equal(chunk_opener_new(k.s, &k.c, &o), 0);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(chunk_open_range(o, 0, frames_of(&k, 0, 3), good[i].from,
						  good[i].to, out), 0);
		assert_memory_equal(out, k.plain + good[i].from, good[i].to - good[i].from);
	}
	assert_int_equal(chunk_open_range(o, 1, frames_of(&k, 1, 2), 65540, 131170, out), 0);
	assert_memory_equal(out, k.plain + 65540, 131170 - 65540);
	assert_int_equal(chunk_open_range(o, 0, frames_of(&k, 0, 3), 0, 131173, out), SEAL_BROKEN);
	assert_int_equal(chunk_open_range(o, 0, frames_of(&k, 0, 1), 0, 65537, out), SEAL_BROKEN);
	assert_int_equal(chunk_open_range(o, 0, frames_of(&k, 1, 2), 0, 65537, out), SEAL_BROKEN);
	chunk_opener_free(o);
}

static void test_ranges_end_with_the_object(void **state)
{
	const struct chunk_seal c = { .length = 2 * SEAL_FRAME_SIZE + 1 };
	uint64_t off, len;

	chunk_frame_range(&c, 2, 16, &off, &len);
	assert_int_equal(off, SEAL_HEADER_SIZE + 2 * SEAL_FRAME_SEALED);
	assert_int_equal(len, 1 + SEAL_TAG_SIZE);
	chunk_frame_range(&c, 9, 1, &off, &len);
	assert_int_equal(off, chunk_sealed_length(&c));
	assert_int_equal(len, 0);
}

/* Not a test of speed (machines differ): prints what it is, so that a change is seen. */
static void test_speed_is_printed(void **state)
{
	_cleanup_(chunk_release) struct chunk k;
	uint64_t start, ns;

	chunk_make(&k, CHUNK_MAX);
	start = clock_now();
	for (int i = 0; i < 10; i++) {
		struct blob *b;

		assert_int_equal(seal_chunk(k.s, object_id, span_of(k.plain, CHUNK_MAX), &k.c, &b),
				 0);
		assert_true(blob_crc32c(b) != 0);
		blob_unref(b);
	}
	ns = clock_now() - start;
	print_message("sealing with CRC-32C: %.2f GB/s\n", 10.0 * CHUNK_MAX / (double)ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_objects_come_back),
		cmocka_unit_test(test_two_sealings_share_nothing),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_bound_to_its_place),
		cmocka_unit_test(test_wrong_key_is_told_from_damage),
		cmocka_unit_test(test_newer_format),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_any_frame_opens),
		cmocka_unit_test(test_no_frame_moves),
		cmocka_unit_test(test_ranges_of_plaintext),
		cmocka_unit_test(test_ranges_end_with_the_object),
		cmocka_unit_test(test_speed_is_printed),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
