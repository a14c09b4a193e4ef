/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text for the stand-in server: a growable builder, and the encodings that the three protocols use.
 *
 * On purpose nothing here is shared with base/text.c: the server checks what the product encodes,
 * so both must not make the same mistake. Running out of memory ends the process.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A string under construction; zero-initialised is empty. Always NUL-terminated once written to. */
struct web_text {
	char *s;
	size_t len, size;
};

void web_text_put(struct web_text *, const void *bytes, size_t n);
void web_text_puts(struct web_text *, const char *s);
void web_text_putc(struct web_text *, char c);
void web_text_printf(struct web_text *, const char *format, ...)
	__attribute__((format(printf, 2, 3), nonnull));
void web_text_vprintf(struct web_text *, const char *format, va_list)
	__attribute__((format(printf, 2, 0), nonnull(1, 2)));
void web_text_release(struct web_text *);
/* The string, "" when nothing was written. Borrowed until the next change. */
const char *web_text_str(const struct web_text *);

/* Percent-encodes all but the unreserved characters; '/' stays when keep_slash. */
void web_text_percent(struct web_text *, const char *s, bool keep_slash);
/* The answer form of S3's encoding-type=url: a space becomes '+', '/' stays. */
void web_text_percent_plus(struct web_text *, const char *s);
/* Escapes for XML content; what XML 1.0 cannot carry becomes a (malformed) numeric reference. */
void web_text_xml(struct web_text *, const char *s);
void web_text_base64(struct web_text *, const void *bytes, size_t n);
void web_text_hex(struct web_text *, const void *bytes, size_t n);
/* RFC 1123, as in "Fri, 24 May 2013 00:00:00 GMT". */
void web_text_http_date(struct web_text *, int64_t seconds);
/* RFC 3339 with milliseconds, as in "2013-05-24T00:00:00.000Z". */
void web_text_iso_date(struct web_text *, int64_t ns);

void *web_alloc(size_t n);          /* zeroed; never NULL */
char *web_strdup(const char *s);    /* NULL stays NULL */

/* Decodes %XX in place; false for a broken escape or a NUL. */
bool web_percent_decode(char *s, bool plus_is_space);
/* Strict base64 with padding. Returns the length, or -1 when malformed or longer than max. */
ssize_t web_base64_decode(const char *s, void *ret, size_t max);
/* base64url without padding, as in JWT. */
ssize_t web_base64url_decode(const char *s, size_t n, void *ret, size_t max);
bool web_hex_decode(const char *s, void *ret, size_t n);
/* Both return -1 when the text is not of that form. */
int64_t web_parse_http_date(const char *s);
int64_t web_parse_basic_date(const char *s);     /* 20130524T000000Z */
int64_t web_parse_iso_date(const char *s);       /* 2013-05-24T00:00:00Z */
/* Digits only, no sign, at most max; false otherwise. */
bool web_parse_u64(const char *s, uint64_t max, uint64_t *ret);
