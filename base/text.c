/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text and back: hex, base64, percent-encoding. */
#include "base/text.h"

/* Without a branch or a table, so that the compiler makes vectors of it. */
static char hex_digit(uint8_t v)
{
	return v + '0' + ((9 - v) >> 8 & ('a' - '0' - 10));
}

void hex_encode(struct span s, char *ret)
{
	for (size_t i = 0; i < s.len; i++) {
		ret[2 * i] = hex_digit(s.data[i] >> 4);
		ret[2 * i + 1] = hex_digit(s.data[i] & 15);
	}
	ret[2 * s.len] = '\0';
}

/* 0..15, or more when it is no digit. */
static unsigned hex_value(uint8_t c)
{
	unsigned digit = c - '0', letter = (c | 0x20) - 'a';

	return digit < 10 ? digit : letter < 6 ? letter + 10 : 255;
}

int hex_decode(const char *text, size_t text_len, uint8_t *ret, size_t len)
{
	unsigned bad = 0;

	if (text_len % 2 || text_len / 2 != len)
		return fail(-EINVAL);
	for (size_t i = 0; i < text_len; i++)
		bad |= hex_value(text[i]);
	if (bad > 15)
		return fail(-EINVAL);
	for (size_t i = 0; i < len; i++)
		ret[i] = hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]);
	return 0;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t base64_groups(struct span s, const char *digits, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i + 3 <= s.len; i += 3) {
		uint32_t v = s.data[i] << 16 | s.data[i + 1] << 8 | s.data[i + 2];

		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = digits[v >> 6 & 63];
		out[n++] = digits[v & 63];
	}
	return n;
}

static int base64_with(struct span s, const char *digits, bool pad, struct buf *ret)
{
	size_t rest = s.len % 3, len = s.len / 3 * 4 + (rest ? pad ? 4 : rest + 1 : 0);
	size_t n;
	uint8_t *out;
	uint32_t v;
	int r;

	r = buf_reserve(ret, len);
	if (r)
		return r;
	out = ret->data + ret->len;
	n = base64_groups(s, digits, out);
	if (rest) {
		v = s.data[s.len - rest] << 16 | (rest == 2 ? s.data[s.len - 1] << 8 : 0);
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		if (rest == 2)
			out[n++] = digits[v >> 6 & 63];
		while (n < len)
			out[n++] = '=';
	}
	ret->len += len;
	return 0;
}

int base64_encode(struct span s, struct buf *ret)
{
	return base64_with(s, base64_digits, true, ret);
}

int base64url_encode(struct span s, struct buf *ret)
{
	return base64_with(s, base64url_digits, false, ret);
}

/* 0..63, or -1. */
static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Without the padding, which must fill the last group of four when it is there. -EINVAL. */
static int base64_unpad(struct span *text)
{
	size_t pad = 0, len = text->len;

	while (pad < 2 && len && text->data[len - 1] == '=') {
		pad++;
		len--;
	}
	if ((pad && (len + pad) % 4) || len % 4 == 1)
		return fail(-EINVAL);
	text->len = len;
	return 0;
}

int base64_decode(struct span text, struct buf *ret)
{
	uint32_t bits = 0;
	uint8_t *out;
	size_t n = 0;
	int r, v;

	r = base64_unpad(&text);
	if (r)
		return r;
	r = buf_reserve(ret, text.len / 4 * 3 + 2);
	if (r == -EMSGSIZE) /* the estimate is up to two bytes too big */
		r = buf_reserve(ret, text.len * 3 / 4);
	if (r)
		return r;
	out = ret->data + ret->len;
	for (size_t i = 0; i < text.len; i++) {
		v = base64_value(text.data[i]);
		if (v < 0)
			return fail(-EINVAL);
		bits = bits << 6 | v;
		if (i % 4)
			out[n++] = bits >> (6 - 2 * (i % 4));
	}
	/* What the last digit says beyond the last byte must be zero: one form only. */
	if ((text.len % 4 == 2 && bits & 15) || (text.len % 4 == 3 && bits & 3))
		return fail(-EINVAL);
	ret->len += n;
	return 0;
}

static bool is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

int percent_encode(struct span s, bool keep_slash, struct buf *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	const size_t start = ret->len;
	int r = 0;

	for (size_t i = 0; i < s.len && !r; i++) {
		uint8_t c = s.data[i];
		const char escape[3] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_unreserved(c) || (keep_slash && c == '/'))
			r = buf_add_byte(ret, c);
		else
			r = buf_add(ret, escape, sizeof(escape));
	}
	if (r)
		ret->len = start;
	return r;
}

/* The byte at s.data[*i], which moves to its last character; -EINVAL. */
static int percent_value(struct span s, bool plus_is_space, size_t *i)
{
	uint8_t c = s.data[*i];

	if (c == '+' && plus_is_space)
		return ' ';
	if (c != '%')
		return c;
	if (s.len - *i < 3 || hex_decode((const char *)s.data + *i + 1, 2, &c, 1))
		return fail(-EINVAL);
	*i += 2;
	return c;
}

int percent_decode(struct span s, bool plus_is_space, struct buf *ret)
{
	const size_t start = ret->len;
	int r = 0, c;

	for (size_t i = 0; i < s.len && !r; i++) {
		c = percent_value(s, plus_is_space, &i);
		r = c < 0 ? c : buf_add_byte(ret, c);
	}
	if (r)
		ret->len = start;
	return r;
}
