/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Borrowed bytes, by value: a pointer and a length. Never owns, never ends in NUL
 * by promise. A span of length 0 may have a NULL pointer.
 */
#include "base/defs.h"

struct span {
	const uint8_t *data;
	size_t len;
};

#define SPAN_NULL ((struct span){ NULL, 0 })
/* The bytes of a string literal or of a `char` array that is one. */
#define SPAN_LITERAL(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })
/* printf("%.*s", SPAN_FMT(span)) */
#define SPAN_FMT(s) (int)(s).len, (const char *)(s).data

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){ data, len };
}
static inline struct span span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, s ? strlen(s) : 0 };
}
static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* memcmp order, the shorter first among equals: the order of keys everywhere. */
static inline int span_compare(struct span a, struct span b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.data, b.data, n) : 0;

	return c ? c : a.len < b.len ? -1 : a.len > b.len;
}
static inline bool span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}
/* The part from `from` (clamped) of at most `len` bytes. */
static inline struct span span_sub(struct span s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct span){ s.data ? s.data + from : NULL, len };
}
