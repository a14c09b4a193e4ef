/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include <stdlib.h>

/*
 * The contents of a draft (F3): a block that was written, else the object that was opened, up to
 * base_len, else zeros. A block is filled from below when it is first written to.
 */

static uint64_t block_of(uint64_t off)
{
	return off / SCRATCH_BLOCK;
}

static uint64_t end_of_block(uint64_t off)
{
	return (block_of(off) + 1) * SCRATCH_BLOCK;
}

/* ---- reading ---- */

static int open_base(struct draft *d)
{
	return d->object ? 0 : object_open(d->o.objects, d->o.identity, d->o.replicas, &d->base,
					   &d->object);
}

static int read_base(struct draft *d, uint64_t off, size_t len, uint8_t *dst, enum draft_wait wait)
{
	int r = len ? open_base(d) : 0;

	while (!r && len) {
		size_t n = 0;

		r = object_read(d->object, off, len,
				wait == DRAFT_WAIT ? OBJECT_WAIT : OBJECT_NO_WAIT, dst, &n);
		if (r == OBJECT_WOULD_WAIT)
			return DRAFT_WOULD_WAIT;
		if (!r && !n)
			r = fail(-ESTALE);
		off += n;
		dst += n;
		len -= n;
	}
	return r;
}

/* Where nothing was written. */
static int read_below(struct draft *d, uint64_t off, size_t len, uint8_t *dst,
		      enum draft_wait wait)
{
	const size_t old = off < d->base_len ? MIN(len, (size_t)(d->base_len - off)) : 0;

	memset(dst + old, 0, len - old);
	return read_base(d, off, old, dst, wait);
}

/* How much from off on is alike: written, or not. */
static size_t run_length(const struct draft *d, uint64_t off, size_t len)
{
	const bool written = scratch_has(d->scratch, block_of(off));
	uint64_t end = end_of_block(off);

	while (!written && end < off + len && !scratch_has(d->scratch, block_of(end)))
		end += SCRATCH_BLOCK;
	return MIN(len, (size_t)(end - off));
}

int draft_bytes_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst, enum draft_wait wait)
{
	int r = 0;

	if (off < d->gone && off + len > d->base_len)
		return -EOPNOTSUPP;
	while (!r && len) {
		const size_t n = run_length(d, off, len);

		r = scratch_has(d->scratch, block_of(off)) ?
			    scratch_read(d->scratch, block_of(off), off % SCRATCH_BLOCK, n, dst) :
			    read_below(d, off, n, dst, wait);
		off += n;
		dst += n;
		len -= n;
	}
	return r;
}

bool draft_bytes_are_base(const struct draft *d, uint64_t off, uint64_t len)
{
	return off + len <= d->base_len && run_length(d, off, len) == len &&
	       !scratch_has(d->scratch, block_of(off));
}

/* ---- writing ---- */

void draft_bytes_let_go(struct draft *d)
{
	scratch_forget(d->scratch, 0, block_of(d->sent));
	d->gone = d->sent;
}

/* Only who writes at the end, and nobody's bytes have to be moved for it. */
static bool may_stream(const struct draft *d)
{
	bool copies = true;

	for (unsigned i = 0; i < d->n; i++)
		copies &= store_upload_limits(d->copies[i].store)->copies_parts;
	return d->sequential && (copies || !d->base_len);
}

/* The disk is full: what can leave for the stores makes room. */
static int make_room(struct draft *d)
{
	int r = d->streaming ? 0 : d->sequential ? draft_stream_begin(d) : -ENOSPC;

	if (!r)
		r = draft_stream_advance(d, false);
	if (r)
		return r;
	if (d->gone == d->sent)
		return -ENOSPC;
	draft_bytes_let_go(d);
	return 0;
}

static int get_block(struct draft *d, uint64_t block, enum draft_wait wait, uint8_t **ret,
		     bool *ret_new)
{
	int r = 0;

	if (wait == DRAFT_WAIT && !d->streaming && scratch_is_full(d->scratch) &&
	    d->size >= DRAFT_PART && may_stream(d)) {
		r = draft_stream_begin(d);
		if (!r)
			r = draft_stream_advance(d, false);
	}
	if (!r)
		r = scratch_block(d->scratch, block, wait == DRAFT_WAIT, ret, ret_new);
	if (r == -ENOSPC && wait == DRAFT_WAIT && d->size >= DRAFT_PART) {
		r = make_room(d);
		if (!r)
			r = scratch_block(d->scratch, block, true, ret, ret_new);
	}
	return r == SCRATCH_WOULD_WAIT ? DRAFT_WOULD_WAIT : r;
}

/* Within one block. */
static int write_block(struct draft *d, uint64_t off, struct span bytes, enum draft_wait wait)
{
	const uint64_t block = block_of(off), begin = block * SCRATCH_BLOCK;
	const uint64_t old = begin < d->base_len ? MIN((uint64_t)SCRATCH_BLOCK, d->base_len - begin)
						 : 0;
	uint8_t *p;
	bool is_new;
	int r = get_block(d, block, wait, &p, &is_new);

	if (r)
		return r;
	if (is_new && old && !(off == begin && bytes.len >= old)) {
		r = read_base(d, begin, (size_t)old, p, wait);
		if (r) {
			scratch_forget(d->scratch, block, block + 1);
			return r;
		}
	}
	memcpy(p + off % SCRATCH_BLOCK, bytes.data, bytes.len);
	return 0;
}

/* Nothing shows beyond the size when it grows again. */
static int clear_tail(struct draft *d, enum draft_wait wait)
{
	const uint64_t block = block_of(d->size);
	bool is_new;
	uint8_t *p;
	int r;

	if (d->size % SCRATCH_BLOCK == 0 || !scratch_has(d->scratch, block))
		return 0;
	r = scratch_block(d->scratch, block, wait == DRAFT_WAIT, &p, &is_new);
	if (!r)
		memset(p + d->size % SCRATCH_BLOCK, 0, SCRATCH_BLOCK - d->size % SCRATCH_BLOCK);
	return r == SCRATCH_WOULD_WAIT ? DRAFT_WOULD_WAIT : r;
}

static int cut(struct draft *d, enum draft_wait wait)
{
	int r = clear_tail(d, wait);

	if (!r)
		scratch_forget(d->scratch, block_of(d->size + SCRATCH_BLOCK - 1), UINT64_MAX);
	return r;
}

static int check_end(const struct draft *d, uint64_t off, uint64_t end)
{
	if (off > INT64_MAX / 2 || (off > d->size && off - d->size > DRAFT_HOLE))
		return -EFBIG;
	if (d->streaming)
		return end > draft_size_max(d) ? -EFBIG : 0;
	return end > DRAFT_WHOLE && !draft_part_size(d, end) ? -EFBIG : 0;
}

/* What would have to wait is told at once, without a trace. */
static int write_now(struct draft *d, uint64_t off, struct span bytes)
{
	const uint64_t end = off + bytes.len;
	int r = 0;

	if (d->streaming && (off < d->sent || end - d->sent >= d->part_size))
		return DRAFT_WOULD_WAIT;
	while (!r && bytes.len) {
		const size_t n = MIN(bytes.len, (size_t)(end_of_block(off) - off));

		r = write_block(d, off, span_sub(bytes, 0, n), DRAFT_NO_WAIT);
		off += n;
		bytes = span_sub(bytes, n, bytes.len - n);
	}
	if (!r)
		d->size = MAX(d->size, end);
	else if (cut(d, DRAFT_NO_WAIT))
		r = DRAFT_WOULD_WAIT;
	return r;
}

static int write_waiting(struct draft *d, uint64_t off, struct span bytes)
{
	int r = d->streaming && off < d->sent ? draft_stream_undo(d) : 0;

	while (!r && bytes.len) {
		const size_t n = MIN(bytes.len, (size_t)(end_of_block(off) - off));

		r = write_block(d, off, span_sub(bytes, 0, n), DRAFT_WAIT);
		if (r)
			break;
		off += n;
		bytes = span_sub(bytes, n, bytes.len - n);
		d->size = MAX(d->size, off);
		if (d->streaming)
			r = draft_stream_advance(d, false);
	}
	return r;
}

int draft_bytes_write(struct draft *d, uint64_t off, struct span bytes, enum draft_wait wait)
{
	int r = check_end(d, off, off + bytes.len);

	if (!r && off < d->size)
		d->sequential = false;
	if (!r)
		r = wait == DRAFT_WAIT ? write_waiting(d, off, bytes) : write_now(d, off, bytes);
	return r;
}

int draft_bytes_resize(struct draft *d, uint64_t size, enum draft_wait wait)
{
	const uint64_t old = d->size;
	int r = check_end(d, size, size);

	if (!r && d->streaming && size < d->sent)
		r = wait == DRAFT_WAIT ? draft_stream_undo(d) : DRAFT_WOULD_WAIT;
	if (r)
		return r;
	d->size = size;
	r = size < old ? cut(d, wait) : 0;
	if (r) {
		d->size = old;
		return r;
	}
	d->base_len = MIN(d->base_len, size);
	return d->streaming && wait == DRAFT_WAIT ? draft_stream_advance(d, false) : 0;
}
