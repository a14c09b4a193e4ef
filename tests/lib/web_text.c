/* SPDX-License-Identifier: Apache-2.0 */
#include "web_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void *web_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);
	if (!p)
		abort();
	return p;
}

char *web_strdup(const char *s)
{
	if (!s)
		return NULL;
	size_t n = strlen(s) + 1;
	return memcpy(web_alloc(n), s, n);
}

static void text_reserve(struct web_text *t, size_t more)
{
	size_t need = t->len + more + 1;
	if (need <= t->size)
		return;
	t->size = need < 256 ? 256 : need + need / 2;
	t->s = realloc(t->s, t->size);
	if (!t->s)
		abort();
}

void web_text_put(struct web_text *t, const void *bytes, size_t n)
{
	text_reserve(t, n);
	if (n)
		memcpy(t->s + t->len, bytes, n);
	t->len += n;
	t->s[t->len] = '\0';
}

void web_text_puts(struct web_text *t, const char *s)
{
	web_text_put(t, s, strlen(s));
}

void web_text_putc(struct web_text *t, char c)
{
	web_text_put(t, &c, 1);
}

void web_text_vprintf(struct web_text *t, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	if (n < 0)
		abort();
	text_reserve(t, (size_t)n);
	vsnprintf(t->s + t->len, (size_t)n + 1, format, again);
	va_end(again);
	t->len += (size_t)n;
}

void web_text_printf(struct web_text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	web_text_vprintf(t, format, args);
	va_end(args);
}

void web_text_release(struct web_text *t)
{
	free(t->s);
	*t = (struct web_text){ 0 };
}

const char *web_text_str(const struct web_text *t)
{
	return t->s ? t->s : "";
}

static bool is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void web_text_percent(struct web_text *t, const char *s, bool keep_slash)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (is_unreserved(c) || (c == '/' && keep_slash))
			web_text_putc(t, *s);
		else
			web_text_printf(t, "%%%02X", c);
	}
}

void web_text_percent_plus(struct web_text *t, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (is_unreserved(c) || c == '/')
			web_text_putc(t, *s);
		else if (c == ' ')
			web_text_putc(t, '+');
		else
			web_text_printf(t, "%%%02X", c);
	}
}

void web_text_xml(struct web_text *t, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '&')
			web_text_puts(t, "&amp;");
		else if (c == '<')
			web_text_puts(t, "&lt;");
		else if (c == '>')
			web_text_puts(t, "&gt;");
		else if (c == '"')
			web_text_puts(t, "&quot;");
		else if (c < 0x20)
			web_text_printf(t, "&#x%x;", c);
		else
			web_text_putc(t, *s);
	}
}

void web_text_base64(struct web_text *t, const void *bytes, size_t n)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;
		if (i + 1 < n)
			v |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		char out[4] = { digit[v >> 18], digit[v >> 12 & 63],
				i + 1 < n ? digit[v >> 6 & 63] : '=',
				i + 2 < n ? digit[v & 63] : '=' };
		web_text_put(t, out, 4);
	}
}

void web_text_hex(struct web_text *t, const void *bytes, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++) {
		char out[2] = { digit[p[i] >> 4], digit[p[i] & 15] };
		web_text_put(t, out, 2);
	}
}

void web_text_http_date(struct web_text *t, int64_t seconds)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	time_t when = seconds;
	gmtime_r(&when, &tm);
	web_text_printf(t, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
			months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void web_text_iso_date(struct web_text *t, int64_t ns)
{
	struct tm tm;
	time_t when = ns / 1000000000;
	gmtime_r(&when, &tm);
	web_text_printf(t, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			(int)(ns % 1000000000 / 1000000));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool web_percent_decode(char *s, bool plus_is_space)
{
	char *out = s;
	while (*s) {
		if (*s == '+' && plus_is_space) {
			*out++ = ' ';
			s++;
		} else if (*s != '%') {
			*out++ = *s++;
		} else {
			int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
			if (low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char)(high << 4 | low);
			s += 3;
		}
	}
	*out = '\0';
	return true;
}

static int base64_digit(char c)
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

/* Digits only; the caller has dealt with padding and with the two alphabets. */
static ssize_t base64_digits(const char *s, size_t n, unsigned char *ret, size_t max)
{
	size_t len = 0;
	uint32_t bits = 0;
	for (size_t i = 0; i < n; i++) {
		int d = base64_digit(s[i]);
		if (d < 0)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 == 0)
			continue;
		if (len == max)
			return -1;
		ret[len++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	/* The bits that are left over say nothing, and must be zero. */
	unsigned left = n % 4 == 2 ? bits & 15 : n % 4 == 3 ? bits & 3 : 0;
	return n % 4 == 1 || left ? -1 : (ssize_t)len;
}

ssize_t web_base64_decode(const char *s, void *ret, size_t max)
{
	size_t n = strlen(s);
	if (n % 4 || strpbrk(s, "-_"))
		return -1;
	for (int pad = 0; pad < 2 && n && s[n - 1] == '='; pad++)
		n--;
	return base64_digits(s, n, ret, max);
}

ssize_t web_base64url_decode(const char *s, size_t n, void *ret, size_t max)
{
	if (memchr(s, '+', n) || memchr(s, '/', n))
		return -1;
	return base64_digits(s, n, ret, max);
}

bool web_hex_decode(const char *s, void *ret, size_t n)
{
	unsigned char *out = ret;
	if (strlen(s) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static int64_t parse_date(const char *s, const char *format)
{
	struct tm tm = { 0 };
	const char *end = strptime(s, format, &tm);
	if (!end || *end)
		return -1;
	return timegm(&tm);
}

int64_t web_parse_http_date(const char *s)
{
	return parse_date(s, "%a, %d %b %Y %H:%M:%S GMT");
}

int64_t web_parse_basic_date(const char *s)
{
	return strlen(s) == 16 ? parse_date(s, "%Y%m%dT%H%M%SZ") : -1;
}

int64_t web_parse_iso_date(const char *s)
{
	int64_t when = parse_date(s, "%Y-%m-%dT%H:%M:%SZ");
	return when >= 0 ? when : parse_date(s, "%Y-%m-%d");
}

bool web_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		uint64_t digit = (uint64_t)(*s - '0');
		if (v > (max - digit) / 10 || digit > max)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}
