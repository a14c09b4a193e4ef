/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of checkpoints: rows come out in their order, and cut into parts again they are the same
 * rows. The first byte of the input: 0, the rest is a part; 1, it is frames before compression,
 * each with its length, and the rest of the part is made right around them.
 */
#include "tests/fuzz/fuzz.h"

#include <zstd.h>

#include "base/sodium.h"
#include "fs/checkpoint_part.h"

#define LIMIT (4 * MiB)

/* ---- a part around frames ---- */

static struct span first_place(struct span frame)
{
	struct reader r = READER(frame);

	(void)read_varint(&r);
	return read_bytes(&r, PART_PLACE_MAX);
}

/* How many rows there are, as far as the frame can be read. */
static uint32_t count_rows(struct span frame)
{
	struct reader r = READER(frame);
	uint32_t n = 0;

	while (!read_error(&r) && r.rest.len) {
		(void)read_varint(&r);
		(void)read_bytes(&r, PART_PLACE_MAX);
		(void)read_bytes(&r, ROW_MAX);
		n++;
	}
	return n;
}

static void add_frame(struct span frame, struct buf *part, struct writer *index)
{
	const size_t room = ZSTD_compressBound(frame.len);
	size_t n;

	MUST(buf_reserve(part, room) == 0);
	n = ZSTD_compress(part->data + part->len, room, frame.data ? frame.data : part->data,
			  frame.len, 1);
	MUST(!ZSTD_isError(n));
	part->len += n;
	write_varint(index, n);
	write_varint(index, frame.len);
	write_bytes(index, first_place(frame));
}

static void make_part(struct span in, struct buf *ret)
{
	_cleanup_buf_ struct buf index = BUF_INIT(LIMIT);
	struct writer iw = WRITER(&index), w = WRITER(ret);
	uint32_t frames = 0, rows = 0;

	while (in.len) {
		const struct span frame = take_part(&in);

		add_frame(frame, ret, &iw);
		rows += count_rows(frame);
		frames++;
	}
	write_raw(&w, buf_span(&index));
	write_raw(&w, SPAN_LITERAL("mangrprt"));
	write_be32(&w, 1);
	write_be32(&w, frames);
	write_be32(&w, (uint32_t)index.len);
	write_be32(&w, rows);
	MUST(iw.error == 0 && w.error == 0);
}

/* ---- what comes out ---- */

struct rows {
	struct buf text; /* of all: column, key, value */
	struct buf last; /* column and key of the last one */
	struct part_cutter *cutter;
};
#define ROWS_INIT ((struct rows){ .text = BUF_INIT(LIMIT), .last = BUF_INIT(PART_PLACE_MAX + 1) })

static void rows_release(struct rows *r)
{
	buf_release(&r->text);
	buf_release(&r->last);
}

static int on_row(unsigned column, struct span key, struct span value, void *arg)
{
	_cleanup_buf_ struct buf place = BUF_INIT(PART_PLACE_MAX + 1);
	struct rows *rows = arg;
	struct writer w = WRITER(&rows->text);

	MUST(column > COL_META && column < COL_COUNT);
	MUST(buf_add_byte(&place, (uint8_t)column) == 0 && buf_add_span(&place, key) == 0);
	MUST(rows->last.len == 0 || span_compare(buf_span(&rows->last), buf_span(&place)) < 0);
	buf_clear(&rows->last);
	MUST(buf_move(&rows->last, &place) == 0);
	write_u8(&w, (uint8_t)column);
	write_bytes(&w, key);
	write_bytes(&w, value);
	if (w.error)
		return w.error; /* more than is looked at here */
	return rows->cutter ? part_cutter_add(rows->cutter, column, key, value) : 0;
}

static int on_part(struct part *takes, void *arg)
{
	_cleanup_(part_freep) struct part *p = takes;
	_cleanup_buf_ struct buf plain = BUF_INIT(LIMIT);
	uint8_t hash[PART_HASH_SIZE];

	MUST(part_pack(p, &plain) == 0);
	MUST(part_walk(buf_span(&plain), on_row, arg, hash) == 0);
	MUST(memcmp(hash, p->hash, sizeof(hash)) == 0);
	return 0;
}

static void check(struct span part)
{
	_cleanup_(rows_release) struct rows first = ROWS_INIT, second = ROWS_INIT;
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	uint8_t hash[PART_HASH_SIZE];
	struct part_totals totals;
	int r;

	MUST(part_cutter_new(on_part, &second, &cutter) == 0);
	first.cutter = cutter;
	r = part_walk(part, on_row, &first, hash);
	MUST(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
	if (r)
		return;
	MUST(part_cutter_end(cutter, &totals) == 0);
	MUST(span_equal(buf_span(&first.text), buf_span(&second.text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf part = BUF_INIT(LIMIT);
	struct span in = span_of(data, size);

	if (take_byte(&in) % 2 == 0) {
		check(in);
		return 0;
	}
	make_part(in, &part);
	check(buf_span(&part));
	return 0;
}
