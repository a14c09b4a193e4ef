/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The canonical encoding of everything that is hashed, sealed or stored: fixed order
 * of fields, one form only.
 *
 * (C1) An unsigned integer ("varint") is LEB128 in its shortest form; a longer form
 *      of the same number is refused by the reader.
 * (C2) Fixed integers are big-endian, so that keys sort as numbers.
 * (C3) Bytes are a varint length and the bytes.
 * (C4) A reader that failed once stays failed and yields zeros; so a sequence of
 *      reads needs one check at its end.
 */
#include "base/buf.h"

struct writer {
	struct buf *buf;
	int error; /* first failure; writes after it do nothing */
};
#define WRITER(b) ((struct writer){ .buf = (b) })

void write_u8(struct writer *w, uint8_t v);
void write_be16(struct writer *w, uint16_t v);
void write_be32(struct writer *w, uint32_t v);
void write_be64(struct writer *w, uint64_t v);
void write_varint(struct writer *w, uint64_t v);
void write_raw(struct writer *w, struct span s);   /* no length: fixed-size fields */
void write_bytes(struct writer *w, struct span s); /* varint length, then bytes */

struct reader {
	struct span rest;
	int error; /* 0 or -EBADMSG */
};
#define READER(s) ((struct reader){ .rest = (s) })

uint8_t read_u8(struct reader *r);
uint16_t read_be16(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_be64(struct reader *r);
uint64_t read_varint(struct reader *r);
struct span read_raw(struct reader *r, size_t len);          /* borrowed from the input */
void read_copy(struct reader *r, void *ret, size_t len);     /* zeros on failure */
struct span read_bytes(struct reader *r, size_t max);        /* borrowed; longer than max fails */
/* 0 when nothing failed and nothing is left; else -EBADMSG. */
must_check int read_end(const struct reader *r);
static inline void read_fail(struct reader *r)
{
	r->error = -EBADMSG;
	r->rest = SPAN_NULL;
}
/* -EBADMSG where it failed so far. */
static inline int read_error(const struct reader *r)
{
	return r->error;
}
