/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (B1) The memory has one byte more than `cap`, so that buf_str() always has room
 *      for its NUL, also at the limit.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t limit)
{
	*b = BUF_INIT(limit);
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->limit);
}

/* Half as much again at least, so that n small additions copy O(n) bytes. */
static size_t grown_cap(const struct buf *b, size_t need)
{
	size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;

	if (cap <= SIZE_MAX / 2)
		cap += cap / 2;
	return MIN(MAX(cap, need), b->limit);
}

static int set_cap(struct buf *b, size_t cap)
{
	uint8_t *data;

	if (cap == SIZE_MAX)
		return fail(-ENOMEM);
	data = realloc(b->data, cap + 1); /* (B1) */
	if (!data)
		return fail(-ENOMEM);
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t extra)
{
	assert(b->len <= b->limit);
	if (extra > b->limit - b->len)
		return fail(-EMSGSIZE);
	if (b->data && extra <= b->cap - b->len)
		return 0;
	return set_cap(b, grown_cap(b, b->len + extra));
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return 0;
	r = buf_reserve(b, len);
	if (r)
		return r;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int buf_add_span(struct buf *b, struct span s)
{
	return buf_add(b, s.data, s.len);
}

int buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_add_byte(struct buf *b, uint8_t byte)
{
	return buf_add(b, &byte, 1);
}

/* Prints behind the end without counting it; answers the length that it needs, or -EINVAL. */
static int print_behind(struct buf *b, const char *fmt, va_list args)
{
	size_t room = b->cap - b->len + 1; /* (B1) */
	int n = vsnprintf((char *)b->data + b->len, room, fmt, args);

	return n < 0 ? fail(-EINVAL) : n;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	int n, r;

	r = buf_reserve(b, 0);
	if (r)
		return r;
	va_start(args, fmt);
	n = print_behind(b, fmt, args);
	va_end(args);
	if (n < 0)
		return n;
	if ((size_t)n > b->cap - b->len) {
		r = buf_reserve(b, n);
		if (r)
			return r;
		va_start(args, fmt);
		n = print_behind(b, fmt, args);
		va_end(args);
		if (n < 0)
			return n;
	}
	b->len += n;
	return 0;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
	if (buf_reserve(b, len))
		return NULL;
	b->len += len;
	return b->data + b->len - len;
}

const char *buf_str(struct buf *b)
{
	if (buf_reserve(b, 0))
		return NULL;
	b->data[b->len] = '\0'; /* (B1) */
	return (const char *)b->data;
}

uint8_t *buf_take(struct buf *b, size_t *ret_len)
{
	uint8_t *data = b->data;

	*ret_len = b->len;
	*b = BUF_INIT(b->limit);
	return data;
}

int buf_move(struct buf *b, struct buf *from)
{
	int r = 0;

	if (b->len == 0 && from->len <= b->limit && from->cap <= b->limit) {
		const struct buf old = *b;

		*b = (struct buf){ from->data, from->len, from->cap, old.limit };
		*from = (struct buf){ old.data, 0, old.cap, from->limit };
		return 0;
	}
	r = buf_add_span(b, buf_span(from));
	if (r == 0)
		buf_clear(from);
	return r;
}
