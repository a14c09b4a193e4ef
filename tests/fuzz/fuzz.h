/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What fuzz targets share. A target is one function, LLVMFuzzerTestOneInput, for libFuzzer and for
 * replay.c alike; a broken promise ends the process.
 */
#include "base/buf.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert(), but always there. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- an input of several parts: past its end there are zeros and nothing ---- */

static inline uint8_t take_byte(struct span *in)
{
	const uint8_t v = in->len ? in->data[0] : 0;

	*in = span_sub(*in, 1, SIZE_MAX);
	return v;
}

/* Big-endian. */
static inline uint64_t take_number(struct span *in, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | take_byte(in);
	return v;
}

/* A be16 length and so many bytes, or what there is. */
static inline struct span take_part(struct span *in)
{
	const uint64_t len = take_number(in, 2);
	const struct span part = span_sub(*in, 0, len);

	*in = span_sub(*in, part.len, SIZE_MAX);
	return part;
}

/* A line without its end, or what there is. */
static inline struct span take_line(struct span *in)
{
	const uint8_t *end = in->len ? memchr(in->data, '\n', in->len) : NULL;
	const struct span line = span_sub(*in, 0, end ? (size_t)(end - in->data) : in->len);

	*in = span_sub(*in, line.len + 1, SIZE_MAX);
	return line;
}

/* An owned copy up to its first zero byte, of exactly that size, so that a read beyond is seen. */
static inline char *text_of(struct span s)
{
	char *text = strndup(s.len ? (const char *)s.data : "", s.len);

	MUST(text);
	return text;
}
