/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes as text and back: hex, base64, percent-encoding, dates, sizes, durations. Pure. */
#include "base/buf.h"

#include <time.h>

/* Lower-case hex; ret has 2 * len + 1 bytes. */
void hex_encode(struct span s, char *ret);
/* 0; -EINVAL: odd length, not hex, or not exactly `len` bytes. */
must_check int hex_decode(const char *text, size_t text_len, uint8_t *ret, size_t len);

must_check int base64_encode(struct span s, struct buf *ret);     /* RFC 4648, padded; appends */
/* URL alphabet, no padding (JWT) */
must_check int base64url_encode(struct span s, struct buf *ret);
/* either alphabet, padding optional; canonical bits; -EINVAL; appends */
must_check int base64_decode(struct span text, struct buf *ret);

/*
 * Percent-encodes all but A-Z a-z 0-9 - . _ ~ and, with keep_slash, '/'; upper-case hex. Appends.
 */
must_check int percent_encode(struct span s, bool keep_slash, struct buf *ret);
/*
 * plus_is_space: '+' decodes to a blank (S3 listings in url mode). -EINVAL on a cut escape.
 * Appends.
 */
must_check int percent_decode(struct span s, bool plus_is_space, struct buf *ret);

/* Seconds since 1970. "Fri, 24 May 2013 00:00:00 GMT": ret has 30 bytes. */
void http_date(time_t t, char ret[30]);
must_check int http_date_parse(const char *s, time_t *ret);
/* "20130524T000000Z" (ret: 17 bytes) */
void iso_basic_date(time_t t, char ret[17]);
/* Of ns since 1970: "2026-01-02T03:04:05.678Z" (ret: 25 bytes) */
void iso_date(uint64_t ns, char ret[25]);
/* RFC 3339 "2026-01-02T03:04:05.678Z", fraction and offset accepted. */
must_check int iso_date_parse(const char *s, time_t *ret);

/*
 * Text of any origin as UTF-8: what is none becomes U+FFFD, a byte at a time. Appends.
 */
must_check int utf8_clean(struct span s, struct buf *ret);

/*
 * "200G", "64KiB" or "64 kb", "80%" is not one; units K M G T are powers of 1024. -EINVAL, -ERANGE.
 */
must_check int size_parse(const char *s, uint64_t *ret);
/* "10s", "500ms", "2m", "24h", "7d", bare number = seconds -> ns. */
must_check int duration_parse(const char *s, uint64_t *ret_ns);
/* "1.5 GiB", "312 B"; ret has 16 bytes. */
void size_format(uint64_t bytes, char ret[16]);
/* "1.2 s", "300 ms", "3 h 5 m"; ret has 16 bytes. */
void duration_format(uint64_t ns, char ret[16]);

/* strtoull for decimal text that is nothing but digits. 0, -EINVAL, -ERANGE. */
must_check int uint_parse(const char *s, uint64_t *ret);

/*
 * The nearest of `known` (NULL-terminated) to a mistyped word, or NULL when none is near (edit
 * distance > 1/3).
 */
const char *nearest_word(const char *word, const char *const *known);
