/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text: whatever is encoded decodes to itself, and what decodes has one canonical form. */
#include "tests/fuzz/fuzz.h"

#include "base/text.h"

#include <ctype.h>

#define LIMIT (64 * KiB)

static void hex(struct span in)
{
	_cleanup_free_ char *text = malloc(2 * in.len + 1);
	_cleanup_free_ uint8_t *bytes = malloc(in.len + 1);

	MUST(text && bytes);
	hex_encode(in, text);
	MUST(hex_decode(text, 2 * in.len, bytes, in.len) == 0);
	MUST(span_equal(in, span_of(bytes, in.len)));
	if (hex_decode((const char *)in.data, in.len, bytes, in.len / 2) < 0)
		return;
	hex_encode(span_of(bytes, in.len / 2), text);
	for (size_t i = 0; i < in.len; i++)
		MUST(tolower(in.data[i]) == text[i]);
}

/* Decoded text, encoded again, is the text itself but for the alphabet and the padding. */
static void base64_form(struct span text, struct span bytes)
{
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);

	MUST(base64url_encode(bytes, &again) == 0);
	while (text.len && text.data[text.len - 1] == '=')
		text.len--;
	MUST(text.len == again.len);
	for (size_t i = 0; i < text.len; i++) {
		const uint8_t c = text.data[i];

		MUST(again.data[i] == (c == '+' ? '-' : c == '/' ? '_' : c));
	}
}

static void base64(struct span in)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT), text = BUF_INIT(LIMIT);

	MUST(base64_encode(in, &text) == 0);
	MUST(base64_decode(buf_span(&text), &plain) == 0);
	MUST(span_equal(in, buf_span(&plain)));
	buf_clear(&plain);
	if (base64_decode(in, &plain) == 0)
		base64_form(in, buf_span(&plain));
	else
		MUST(plain.len == 0);
}

static void percent(struct span in, bool keep_slash, bool plus_is_space)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT), text = BUF_INIT(LIMIT);

	MUST(percent_encode(in, keep_slash, &text) == 0);
	MUST(percent_decode(buf_span(&text), plus_is_space, &plain) == 0);
	MUST(span_equal(in, buf_span(&plain)));
	buf_clear(&plain);
	if (percent_decode(in, plus_is_space, &plain) < 0)
		MUST(plain.len == 0);
	MUST(plain.len <= in.len);
}

static void nearest(struct span in)
{
	static const char *const known[] = { "region", "endpoint", "anonymous", "", NULL };
	_cleanup_free_ char *word = text_of(in);
	const char *near = nearest_word(word, known);

	for (size_t i = 0; near && known[i] != near; i++)
		MUST(known[i]);
	for (size_t i = 0; known[i]; i++)
		if (strcmp(word, known[i]) == 0)
			MUST(near == known[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)4096));

	hex(in);
	base64(in);
	for (unsigned i = 0; i < 4; i++)
		percent(in, i & 1, i & 2);
	nearest(in);
	return 0;
}
