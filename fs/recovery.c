/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "base/wait.h"
#include "fs/keys.h"

/*
 * A recovery key as people write it down: 32 random bytes and 3 bytes of checksum (the first of
 * BLAKE2b-256 of the 32), 280 bits, as 56 letters and digits of Crockford's base 32 in 8 groups
 * of 7.
 */
#define RAW 32u
#define SUM 3u
#define LETTERS 56u
#define GROUP 7u

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void checksum(const uint8_t *raw, uint8_t ret[SUM])
{
	uint8_t hash[32];

	blake2b(SPAN_NULL, span_of(raw, RAW), hash, sizeof(hash));
	memcpy(ret, hash, SUM);
}

static unsigned bits_at(const uint8_t *bytes, unsigned at)
{
	unsigned v = 0;

	for (unsigned i = at; i < at + 5; i++)
		v = v << 1 | (bytes[i / 8] >> (7 - i % 8) & 1);
	return v;
}

int recovery_key_new(struct secret **ret_secret, struct secret **ret_text)
{
	_cleanup_(secret_freep) struct secret *raw = secret_new(RAW);
	_cleanup_(secret_freep) struct secret *text = secret_new(LETTERS + LETTERS / GROUP);
	uint8_t all[RAW + SUM];
	char *out;

	if (!raw || !text)
		return fail(-ENOMEM);
	random_fill(secret_bytes(raw), RAW);
	memcpy(all, secret_bytes(raw), RAW);
	checksum(all, all + RAW);
	out = (char *)secret_bytes(text);
	for (unsigned i = 0; i < LETTERS; i++) {
		if (i && i % GROUP == 0)
			*out++ = '-';
		*out++ = alphabet[bits_at(all, i * 5)];
	}
	*out = '\0'; /* the room of the eighth dash */
	wipe(all, sizeof(all));
	*ret_secret = take_ptr(&raw);
	*ret_text = take_ptr(&text);
	return 0;
}

/* 0..31; -1: to be skipped; -2: no such letter. */
static int letter_value(uint8_t c)
{
	const char *at;
	int up = toupper(c);

	if (c == '-' || isspace(c))
		return -1;
	up = up == 'O' ? '0' : up == 'I' || up == 'L' ? '1' : up;
	at = up ? strchr(alphabet, up) : NULL;
	return at ? (int)(at - alphabet) : -2;
}

static int letters_read(struct span text, uint8_t ret[RAW + SUM])
{
	unsigned n = 0;

	memset(ret, 0, RAW + SUM);
	for (size_t i = 0; i < text.len; i++) {
		int v = letter_value(text.data[i]);

		if (v == -1)
			continue;
		if (v < 0 || n == LETTERS)
			return -EINVAL;
		for (unsigned b = 0; b < 5; b++)
			if (v >> (4 - b) & 1)
				ret[(n * 5 + b) / 8] |= (uint8_t)(0x80 >> (n * 5 + b) % 8);
		n++;
	}
	return n == LETTERS ? 0 : -EINVAL;
}

int recovery_key_parse(struct span text, struct secret **ret)
{
	uint8_t all[RAW + SUM], sum[SUM];
	int r = letters_read(text, all);

	if (!r) {
		checksum(all, sum);
		r = memcmp(sum, all + RAW, SUM) ? -EINVAL : 0;
	}
	if (!r) {
		*ret = secret_copy(span_of(all, RAW));
		r = *ret ? 0 : fail(-ENOMEM);
	}
	wipe(all, sizeof(all));
	return r;
}
