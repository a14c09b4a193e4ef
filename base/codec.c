/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

/* A number of 64 bits in groups of 7. */
#define VARINT_MAX 10

void write_raw(struct writer *w, struct span s)
{
	if (!w->error)
		w->error = buf_add_span(w->buf, s);
}

void write_u8(struct writer *w, uint8_t v)
{
	write_raw(w, span_of(&v, 1));
}

/* The lowest `len` bytes of v, big-endian (C2). */
static void write_be(struct writer *w, uint64_t v, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = v >> 8 * (len - 1 - i);
	write_raw(w, span_of(bytes, len));
}

void write_be16(struct writer *w, uint16_t v)
{
	write_be(w, v, 2);
}

void write_be32(struct writer *w, uint32_t v)
{
	write_be(w, v, 4);
}

void write_be64(struct writer *w, uint64_t v)
{
	write_be(w, v, 8);
}

void write_varint(struct writer *w, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[n++] = v | 0x80;
	bytes[n++] = v;
	write_raw(w, span_of(bytes, n));
}

void write_bytes(struct writer *w, struct span s)
{
	write_varint(w, s.len);
	write_raw(w, s);
}

struct span read_raw(struct reader *r, size_t len)
{
	struct span taken;

	if (r->error || len > r->rest.len) {
		read_fail(r);
		return SPAN_NULL;
	}
	taken = span_sub(r->rest, 0, len);
	r->rest = span_sub(r->rest, len, SIZE_MAX);
	return taken;
}

void read_copy(struct reader *r, void *ret, size_t len)
{
	struct span s = read_raw(r, len);

	if (s.len)
		memcpy(ret, s.data, s.len);
	else if (len)
		memset(ret, 0, len); /* (C4) */
}

static uint64_t read_be(struct reader *r, size_t len)
{
	struct span s = read_raw(r, len);
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		v = v << 8 | s.data[i];
	return v;
}

uint8_t read_u8(struct reader *r)
{
	return read_be(r, 1);
}

uint16_t read_be16(struct reader *r)
{
	return read_be(r, 2);
}

uint32_t read_be32(struct reader *r)
{
	return read_be(r, 4);
}

uint64_t read_be64(struct reader *r)
{
	return read_be(r, 8);
}

uint64_t read_varint(struct reader *r)
{
	uint64_t v = 0;
	uint8_t byte;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		byte = read_u8(r);
		if (i == VARINT_MAX - 1 && byte > 1)
			break; /* does not fit in 64 bits */
		v |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (byte & 0x80)
			continue;
		if (byte == 0 && i > 0)
			break; /* (C1) not the shortest form */
		return r->error ? 0 : v;
	}
	read_fail(r);
	return 0;
}

struct span read_bytes(struct reader *r, size_t max)
{
	uint64_t len = read_varint(r);

	if (len > max) {
		read_fail(r);
		return SPAN_NULL;
	}
	return read_raw(r, len);
}

int read_end(const struct reader *r)
{
	return r->error || r->rest.len ? -EBADMSG : 0;
}
