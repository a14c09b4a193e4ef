/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblocks: as they come, and with the checksum and the seal made right around parts that are
 * not: a clear part and a sealed one, each with its length.
 */
#include "tests/fuzz/fuzz.h"

#include "base/codec.h"
#include "fs/super.h"

#define HASH_SIZE  32
#define FRONT_SIZE 14 /* magic, version, length */

static const uint8_t volume_key[32] = "the key of all fuzzed volumes..";

static void raw(struct span in)
{
	_cleanup_(super_freep) struct super *s = NULL;
	const int r = super_parse(in, &s);

	MUST(r == 0 ? s != NULL : (r == SUPER_DAMAGED || r == SUPER_NEW_FORMAT) && !s);
}

static struct sealer *sealer_for(const uint8_t id[16])
{
	struct sealer *s;

	MUST(sealer_new(id, &s) == 0);
	MUST(sealer_add_key(s, 1, volume_key) == 0);
	return s;
}

static void build(struct span clear, struct span plain, struct sealer *sealer, const uint8_t id[16],
		  struct buf *ret)
{
	_cleanup_buf_ struct buf whole = BUF_INIT(SUPER_SIZE_MAX);
	_cleanup_(blob_unrefp) struct blob *sealed = NULL;
	struct writer w = WRITER(ret);
	uint8_t hash[HASH_SIZE];

	write_raw(&w, SPAN_LITERAL("mangrsup"));
	write_be16(&w, 1);
	write_be32(&w, (uint32_t)clear.len);
	write_raw(&w, clear);
	MUST(w.error == 0);
	blake2b(SPAN_NULL, buf_span(ret), hash, HASH_SIZE);
	MUST(buf_add(&whole, hash, HASH_SIZE) == 0 && buf_add_span(&whole, plain) == 0);
	MUST(seal_object(sealer, SEAL_SUPER, id, buf_span(&whole), &sealed) == 0);
	write_raw(&w, span_of(hash, HASH_SIZE));
	write_raw(&w, blob_span(sealed));
	MUST(w.error == 0);
}

/* What was opened, encoded, has the same two parts. */
static void check_form(const struct super *s, struct sealer *sealer, struct span clear,
		       struct span plain)
{
	_cleanup_(blob_unrefp) struct blob *again = NULL;
	_cleanup_buf_ struct buf opened = BUF_INIT(SUPER_SIZE_MAX);
	struct span object;

	MUST(super_encode(s, sealer, s->self, &again) == 0);
	object = span_sub(blob_span(again), FRONT_SIZE, SIZE_MAX);
	if (!span_starts(object, clear))
		return; /* a key slot of a later kind is passed over, and so not written */
	object = span_sub(object, clear.len + HASH_SIZE, SIZE_MAX);
	MUST(seal_object_open(sealer, SEAL_SUPER, s->volume_id, object, &opened, NULL) == 0);
	MUST(span_equal(plain, span_sub(buf_span(&opened), HASH_SIZE, SIZE_MAX)));
}

static void made_right(struct span in)
{
	const struct span clear = take_part(&in), plain = take_part(&in);
	_cleanup_buf_ struct buf object = BUF_INIT(SUPER_SIZE_MAX);
	_cleanup_(sealer_freep) struct sealer *sealer = NULL;
	_cleanup_(super_freep) struct super *s = NULL;
	uint8_t id[16] = { 0 };
	int r;

	if (clear.len >= sizeof(id))
		memcpy(id, clear.data, sizeof(id));
	sealer = sealer_for(id);
	build(clear, plain, sealer, id, &object);
	r = super_parse(buf_span(&object), &s);
	MUST(r == 0 || r == SUPER_DAMAGED || r == SUPER_NEW_FORMAT);
	if (r)
		return;
	MUST(s->n_slots <= KEYSLOTS_MAX && memcmp(s->volume_id, id, sizeof(id)) == 0);
	r = super_open(s, sealer, buf_span(&object));
	MUST(r == 0 || r == SUPER_DAMAGED);
	if (r)
		return;
	MUST(s->n_stores && s->self < s->n_stores && s->name && s->name[0]);
	check_form(s, sealer, clear, plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, size);

	MUST(sodium_start() == 0);
	raw(in);
	made_right(in);
	return 0;
}
