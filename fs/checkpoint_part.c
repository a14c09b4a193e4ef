/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a part: compressed frames, an index with the place of each one's first row, a
 * trailer of 24 bytes. So one row is found with two ranged reads, and all rows without the index.
 */
#include "fs/checkpoint_part.h"

#include "base/sodium.h"

#include <zstd.h>

#define TRAILER_SIZE 24
#define VERSION	     1
#define LEVEL	     3 /* of zstd: higher ones cost more than the transfer that they save */
/* One row alone. */
#define FRAME_MOST (ROW_MAX + 2 * PART_PLACE_MAX)

static const char magic[8] = { 'm', 'a', 'n', 'g', 'r', 'p', 'r', 't' };

/* ---- writing ---- */

/* The frame's place of its first row, as it stands in its first row. */
static struct span first_place(struct span frame)
{
	struct reader r = READER(frame);

	read_varint(&r); /* nothing is shared */
	return read_bytes(&r, PART_PLACE_MAX);
}

static int pack_frame(ZSTD_CCtx *z, struct span raw, struct writer *index, struct buf *ret)
{
	const size_t room = ZSTD_compressBound(raw.len);
	size_t n;
	int r = buf_reserve(ret, room);

	if (r)
		return r;
	n = ZSTD_compressCCtx(z, ret->data + ret->len, room, raw.data, raw.len, LEVEL);
	if (ZSTD_isError(n))
		return fail(-EIO);
	ret->len += n;
	write_varint(index, n);
	write_varint(index, raw.len);
	write_bytes(index, first_place(raw));
	return index->error;
}

static int pack_frames(const struct part *p, ZSTD_CCtx *z, struct writer *index, struct buf *ret)
{
	const uint32_t *lengths = (const void *)p->frames.data;
	size_t at = 0;

	for (size_t i = 0; i < p->frames.len / sizeof(*lengths); i++) {
		const int r =
		    pack_frame(z, span_sub(buf_span(&p->raw), at, lengths[i]), index, ret);

		if (r)
			return r;
		at += lengths[i];
	}
	return 0;
}

static void write_trailer(struct writer *w, const struct part *p, size_t index)
{
	write_raw(w, span_of(magic, sizeof(magic)));
	write_be32(w, VERSION);
	write_be32(w, (uint32_t)(p->frames.len / sizeof(uint32_t)));
	write_be32(w, (uint32_t)index);
	write_be32(w, (uint32_t)p->rows);
}

int part_pack(const struct part *p, struct buf *ret)
{
	_cleanup_buf_ struct buf index = BUF_INIT(PART_RAW_MAX);
	struct writer iw = WRITER(&index), w = WRITER(ret);
	const size_t before = ret->len;
	ZSTD_CCtx *z = ZSTD_createCCtx();
	int r = z ? pack_frames(p, z, &iw, ret) : fail(-ENOMEM);

	ZSTD_freeCCtx(z);
	if (!r) {
		write_raw(&w, buf_span(&index));
		write_trailer(&w, p, index.len);
		r = w.error;
	}
	if (r)
		ret->len = before;
	return r;
}

/* ---- reading ---- */

struct walk {
	part_row_fn *fn;
	void *arg;
	ZSTD_DCtx *z;
	struct blake2b_state hash;
	struct buf frame; /* the present one, unpacked */
	struct buf place; /* of the last row */
	uint64_t rows;
};

static void walk_release(struct walk *w)
{
	ZSTD_freeDCtx(w->z);
	buf_release(&w->frame);
	buf_release(&w->place);
}

/* The next row's place; it stands behind the last one, and `shared` is as long as can be. */
static int next_place(struct walk *w, size_t shared, struct span rest, bool first)
{
	struct buf *p = &w->place;
	int r;

	if (shared > p->len || rest.len == 0 || (first && shared))
		return fail(-EBADMSG);
	if (first ? p->len && span_compare(rest, buf_span(p)) <= 0
		  : shared < p->len && rest.data[0] <= p->data[shared])
		return fail(-EBADMSG);
	p->len = shared;
	r = buf_add_span(p, rest);
	if (r)
		return r == -EMSGSIZE ? fail(-EBADMSG) : r;
	return p->data[0] > COL_META && p->data[0] < COL_COUNT ? 0 : fail(-EBADMSG);
}

static int walk_rows(struct walk *w)
{
	struct reader rd = READER(buf_span(&w->frame));
	bool first = true;

	while (rd.rest.len) {
		const uint64_t shared = read_varint(&rd);
		const struct span rest = read_bytes(&rd, PART_PLACE_MAX);
		const struct span value = read_bytes(&rd, ROW_MAX);
		int r = read_error(&rd);

		if (!r)
			r = next_place(w, shared, rest, first);
		if (!r)
			r = w->fn(w->place.data[0], span_sub(buf_span(&w->place), 1, SIZE_MAX),
				  value, w->arg);
		if (r)
			return r;
		w->rows++;
		first = false;
	}
	return 0;
}

static int unpack(struct walk *w, struct span packed, size_t length)
{
	uint8_t *to;
	size_t n;

	buf_clear(&w->frame);
	to = buf_extend(&w->frame, length);
	if (!to)
		return fail(-ENOMEM);
	n = ZSTD_decompressDCtx(w->z, to, length, packed.data, packed.len);
	if (ZSTD_isError(n) || n != length)
		return fail(-EBADMSG);
	blake2b_add(&w->hash, buf_span(&w->frame));
	return 0;
}

static int walk_frame(struct walk *w, struct span packed, size_t length, struct span first)
{
	int r;

	if (length == 0 || length > FRAME_MOST)
		return fail(-EBADMSG);
	r = unpack(w, packed, length);
	if (r)
		return r;
	if (!span_equal(first_place(buf_span(&w->frame)), first))
		return fail(-EBADMSG);
	return walk_rows(w);
}

struct trailer {
	uint32_t frames, index, rows;
};

static int read_trailer(struct span plain, struct trailer *ret)
{
	const size_t begin = plain.len - MIN(plain.len, (size_t)TRAILER_SIZE);
	struct reader r = READER(span_sub(plain, begin, SIZE_MAX));
	const struct span word = read_raw(&r, sizeof(magic));
	const uint32_t version = read_be32(&r);

	ret->frames = read_be32(&r);
	ret->index = read_be32(&r);
	ret->rows = read_be32(&r);
	if (read_end(&r) || !span_equal(word, span_of(magic, sizeof(magic))) || version != VERSION)
		return fail(-EBADMSG);
	return ret->index > begin ? fail(-EBADMSG) : 0;
}

/* All frames by the index, which must name every byte before it. */
static int walk_frames(struct walk *w, struct span frames, struct span index, uint32_t n)
{
	struct reader rd = READER(index);
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint64_t packed = read_varint(&rd), length = read_varint(&rd);
		const struct span first = read_bytes(&rd, PART_PLACE_MAX);
		int r = read_error(&rd);

		if (!r && packed > frames.len - at)
			r = fail(-EBADMSG);
		if (!r)
			r = walk_frame(w, span_sub(frames, at, packed), length, first);
		if (r)
			return r;
		at += packed;
	}
	return at == frames.len ? read_end(&rd) : fail(-EBADMSG);
}

int part_walk(struct span plain, part_row_fn *fn, void *arg, uint8_t ret_hash[PART_HASH_SIZE])
{
	_cleanup_(walk_release) struct walk w = { .fn = fn,
						  .arg = arg,
						  .frame = BUF_INIT(FRAME_MOST),
						  .place = BUF_INIT(PART_PLACE_MAX) };
	struct span frames, index;
	struct trailer t;
	int r = read_trailer(plain, &t);

	if (r)
		return r;
	w.z = ZSTD_createDCtx();
	if (!w.z)
		return fail(-ENOMEM);
	blake2b_begin(&w.hash, PART_HASH_SIZE);
	frames = span_sub(plain, 0, plain.len - TRAILER_SIZE - t.index);
	index = span_sub(plain, frames.len, t.index);
	r = walk_frames(&w, frames, index, t.frames);
	if (!r && w.rows != t.rows)
		r = fail(-EBADMSG);
	if (!r)
		blake2b_end(&w.hash, ret_hash, PART_HASH_SIZE);
	return r;
}
