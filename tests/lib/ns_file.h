/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files of the rig: extents and chunks in one line, and maps of files as text. */
#include "tests/lib/cm.h"
#include "tests/lib/ns_rig.h"

static inline struct op_chunk chunk(uint8_t id, uint32_t length)
{
	struct op_chunk c = { .length = length, .key_epoch = 1, .stores = 1, .want = 7 };

	memset(c.id, id, CHUNK_ID_SIZE);
	memset(c.salt, 0x80 | id, sizeof(c.salt));
	return c;
}

static inline struct op_extent in_chunk(uint64_t offset, uint64_t length, uint8_t id,
					uint32_t chunk_offset)
{
	struct op_extent e = {
		.offset = offset,
		.row = { .kind = EXTENT_CHUNK, .length = length, .chunk_offset = chunk_offset }
	};

	memset(e.row.chunk, id, CHUNK_ID_SIZE);
	return e;
}

static inline struct op_extent in_line(uint64_t offset, const char *text)
{
	return (struct op_extent){
		.offset = offset,
		.row = { .kind = EXTENT_INLINE, .length = strlen(text), .bytes = span_str(text) }
	};
}

/* One extent of a new chunk of the same length. */
static inline int write_chunk(struct rig *r, uint64_t ino, uint32_t flags, uint64_t offset,
			      uint32_t length, uint8_t id)
{
	const struct op_extent e = in_chunk(offset, length, id, 0);
	const struct op_chunk c = chunk(id, length);

	return rig_apply(r, (struct op){ .kind = OP_WRITE,
					 .ino = ino,
					 .flags = flags,
					 .extents = &e,
					 .n_extents = 1,
					 .chunks = &c,
					 .n_chunks = 1 });
}

static inline int write_text(struct rig *r, uint64_t ino, uint32_t flags, uint64_t offset,
			     const char *text)
{
	const struct op_extent e = in_line(offset, text);

	return rig_apply(r, (struct op){ .kind = OP_WRITE,
					 .ino = ino,
					 .flags = flags,
					 .extents = &e,
					 .n_extents = 1 });
}

/* "0-100:a+0 100-150:a+200 150-155:hello": the whole map of a file, in order. */
static inline int describe(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct buf *b = arg;

	assert_int_equal(buf_addf(b, "%s%lu-%lu:", b->len ? " " : "", (unsigned long)offset,
				  (unsigned long)(offset + row->length)),
			 0);
	if (row->kind == EXTENT_INLINE)
		return buf_addf(b, "%.*s", SPAN_FMT(row->bytes));
	if (row->kind == EXTENT_FOREIGN)
		return buf_addf(b, "%.*s+%lu", SPAN_FMT(row->bytes),
				(unsigned long)row->foreign_offset);
	return buf_addf(b, "%c+%u", row->chunk[0], row->chunk_offset);
}

static inline void check_map(struct rig *r, uint64_t ino, const char *expected)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MiB);

	assert_int_equal(ns_extents(r->view, ino, 0, UINT64_MAX, describe, &b), 0);
	assert_string_equal(buf_str(&b), expected);
}

static inline struct chunk_row chunk_of(struct rig *r, uint8_t id)
{
	uint8_t key[CHUNK_ID_SIZE];
	struct chunk_row row;

	memset(key, id, sizeof(key));
	assert_int_equal(ns_chunk(r->view, key, &row), 0);
	return row;
}
