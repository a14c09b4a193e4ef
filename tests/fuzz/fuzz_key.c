/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots and recovery keys: what a slot says has one form and is authenticated. */
#include "tests/fuzz/fuzz.h"

#include "fs/keys.h"

#include <ctype.h>

static const uint8_t volume_id[16] = "fuzzed-volume..";
static const uint8_t volume_key[32] = "the key of all fuzzed volumes..";

static struct secret *strong_secret(void)
{
	struct secret *s = secret_copy(span_of(volume_key, sizeof(volume_key)));

	MUST(s);
	return s;
}

/* Argon2id is not for a fuzzer: slots that ask for it are only looked at. */
static int unwrap(const struct key_slot *k)
{
	_cleanup_(secret_freep) struct secret *secret = strong_secret();
	uint8_t key[32];
	int r;

	if (k->memory >= KDF_MEMORY_MIN && k->memory <= KDF_MEMORY_MAX)
		return KEY_WRONG;
	r = key_slot_unwrap(k, volume_id, secret, key);
	MUST(r == 0 || r == KEY_WRONG || r == KEY_DAMAGED || r == KEY_WEAK);
	MUST(r || memcmp(key, volume_key, sizeof(key)) == 0);
	return r;
}

static void raw(struct span in)
{
	_cleanup_buf_ struct buf again = BUF_INIT(KEY_SLOT_SIZE_MAX);
	struct key_slot k;
	const int r = key_slot_decode(in, &k);

	MUST(r == 0 || r == KEY_DAMAGED);
	if (r)
		return;
	MUST(strcmp(key_type_name(k.type), "unknown") != 0 && k.type != KEY_NONE);
	MUST(key_slot_encode(&k, &again) == 0);
	MUST(span_equal(in, buf_span(&again)));
	(void)unwrap(&k);
}

/* A good slot opens, and does not with one changed byte. */
static void changed(struct span in)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(KEY_SLOT_SIZE_MAX);
	_cleanup_(secret_freep) struct secret *secret = strong_secret();
	const size_t at = take_byte(&in);
	const uint8_t by = take_byte(&in), number = take_byte(&in);
	struct key_slot k;

	MUST(key_slot_wrap(volume_id, (uint32_t)take_number(&in, 4), volume_key, number, KEY_FILE,
			   secret, NULL, &k) == 0);
	MUST(key_slot_encode(&k, &bytes) == 0);
	bytes.data[at % bytes.len] ^= by;
	if (key_slot_decode(buf_span(&bytes), &k) != 0) {
		MUST(by);
		return;
	}
	MUST((unwrap(&k) != 0) == (by != 0));
}

/* Dashes, blanks and the case do not matter. */
static void recovery(struct span in)
{
	_cleanup_(secret_freep) struct secret *key = NULL, *again = NULL;
	_cleanup_buf_ struct buf other = BUF_INIT(64 * KiB);
	const int r = recovery_key_parse(in, &key);

	MUST(r == 0 || r == -EINVAL);
	if (r)
		return;
	MUST(secret_span(key).len == 32);
	for (size_t i = 0; i < in.len; i++) {
		const uint8_t c = in.data[i];

		if (c != '-')
			MUST(buf_add_byte(&other,
					  (uint8_t)(islower(c) ? toupper(c) : tolower(c))) == 0);
	}
	MUST(recovery_key_parse(buf_span(&other), &again) == 0);
	MUST(span_equal(secret_span(key), secret_span(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)4096));

	MUST(sodium_start() == 0);
	raw(in);
	changed(in);
	recovery(in);
	return 0;
}
