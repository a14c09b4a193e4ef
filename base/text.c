/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text and back: hex, base64, percent-encoding. */
#include "base/text.h"

#include <endian.h>

/* Eight digits at a time: each byte of four is spread to two, and all become text at once. */
static uint64_t eight_digits(const uint8_t *four)
{
	const uint64_t ones = 0x0101010101010101;
	uint32_t bytes;
	uint64_t v, letters;

	memcpy(&bytes, four, sizeof(bytes));
	v = le32toh(bytes);
	v = (v | v << 16) & 0x0000ffff0000ffff;
	v = (v | v << 8) & 0x00ff00ff00ff00ff;
	v = (v >> 4 | v << 8) & 0x0f0f0f0f0f0f0f0f;
	letters = (v + 6 * ones) >> 4 & ones; /* 1 where the digit is above 9 */
	return htole64(v + '0' * ones + ('a' - '0' - 10) * letters);
}

void hex_encode(struct span s, char *ret)
{
	uint8_t last[4] = { 0 };
	uint64_t digits;
	size_t i = 0;

	for (; s.len - i >= 4; i += 4) {
		digits = eight_digits(s.data + i);
		memcpy(ret + 2 * i, &digits, sizeof(digits));
	}
	if (i < s.len) {
		memcpy(last, s.data + i, s.len - i);
		digits = eight_digits(last);
		memcpy(ret + 2 * i, &digits, 2 * (s.len - i));
	}
	ret[2 * s.len] = '\0';
}

/* One more than the digit's value; 0: no digit. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static uint8_t hex_value(char c)
{
	return hex_values[(uint8_t)c] - 1;
}

int hex_decode(const char *text, size_t text_len, uint8_t *ret, size_t len)
{
	uint8_t seen = 0;

	if (text_len % 2 || text_len / 2 != len)
		return fail(-EINVAL);
	for (size_t i = 0; i < text_len; i++)
		seen |= hex_value(text[i]);
	if (seen > 15)
		return fail(-EINVAL);
	for (size_t i = 0; i < len; i++)
		ret[i] = hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]);
	return 0;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
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

/* Bytes of the character that begins here, by the table of RFC 3629; 0: none does. */
static size_t utf8_length(struct span s)
{
	const uint8_t *b = s.data;
	size_t n = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 :
		   b[0] < 0xf5 ? 4 : 0;

	if (n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	/* longer than it must be, a surrogate, beyond the last character */
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
	    (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	return n;
}

int utf8_clean(struct span s, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < s.len && !r;) {
		size_t n = utf8_length(span_sub(s, i, SIZE_MAX));

		r = n ? buf_add(ret, s.data + i, n) : buf_add_str(ret, "\xef\xbf\xbd");
		i += MAX(n, (size_t)1);
	}
	return r;
}
