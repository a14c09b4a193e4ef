/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical encoding: what is read, written back, is the bytes that were read. The first part
 * of the input says what is read of the second.
 */
#include "tests/fuzz/fuzz.h"

#include "base/codec.h"

#define LIMIT	  (256 * KiB)
#define BYTES_MAX 300

/* Reads one thing and writes it. */
static void copy_one(uint8_t what, struct reader *r, struct writer *w)
{
	uint8_t space[4];
	struct span s;

	switch (what % 8) {
	case 0:
		write_u8(w, read_u8(r));
		break;
	case 1:
		write_be16(w, read_be16(r));
		break;
	case 2:
		write_be32(w, read_be32(r));
		break;
	case 3:
		write_be64(w, read_be64(r));
		break;
	case 4:
		write_varint(w, read_varint(r));
		break;
	case 5:
		s = read_bytes(r, BYTES_MAX);
		MUST(s.len <= BYTES_MAX);
		write_bytes(w, s);
		break;
	case 6:
		write_raw(w, read_raw(r, what / 8));
		break;
	default:
		read_copy(r, space, sizeof(space));
		write_raw(w, span_of(space, sizeof(space)));
	}
}

/* (C4) */
static void must_stay_failed(struct reader *r)
{
	MUST(read_error(r) == -EBADMSG && read_end(r) == -EBADMSG);
	MUST(read_u8(r) == 0 && read_be64(r) == 0 && read_varint(r) == 0);
	MUST(read_bytes(r, BYTES_MAX).len == 0 && read_error(r) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), script = take_part(&in);
	_cleanup_buf_ struct buf again = BUF_INIT(LIMIT);
	struct writer w = WRITER(&again);
	struct reader r = READER(in);

	while (script.len) {
		const size_t before = again.len;

		copy_one(take_byte(&script), &r, &w);
		MUST(w.error == 0);
		if (read_error(&r)) {
			must_stay_failed(&r);
			again.len = before;
			break;
		}
		MUST(again.len + r.rest.len == in.len);
	}
	MUST(span_equal(buf_span(&again), span_sub(in, 0, again.len)));
	if (!read_error(&r))
		MUST((read_end(&r) == 0) == (again.len == in.len));
	return 0;
}
