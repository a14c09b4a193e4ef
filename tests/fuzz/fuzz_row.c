/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the namespace: what decodes is the one form of what it says. The first byte of the input
 * is the column.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "fs/ns/dentry.h"
#include "fs/ns/foreign.h"

/* Decodes and encodes as one kind of row. */
#define SAME_ROW(kind, in)                                                                         \
	do {                                                                                       \
		_cleanup_buf_ struct buf again_ = BUF_INIT(ROW_MAX);                               \
		struct kind row_;                                                                  \
		const int r_ = kind##_decode(in, &row_);                                           \
                                                                                                   \
		MUST(r_ == 0 || r_ == -EBADMSG);                                                   \
		if (r_ == 0) {                                                                     \
			MUST(kind##_encode(&row_, &again_) == 0);                                  \
			MUST(span_equal(in, buf_span(&again_)));                                   \
		}                                                                                  \
	} while (0)

/* The reference of an extent, which is no row of its own. */
#define SAME_FOREIGN(in)                                                                           \
	do {                                                                                       \
		_cleanup_buf_ struct buf again_ = BUF_INIT(ROW_MAX);                               \
		struct foreign f_;                                                                 \
                                                                                                   \
		if (foreign_decode(in, &f_) == 0) {                                                \
			MUST(foreign_encode(&f_, &again_) == 0);                                   \
			MUST(span_equal(in, buf_span(&again_)));                                   \
		}                                                                                  \
	} while (0)

static unsigned count(struct span bucket, int *ret_end)
{
	struct reader rd = READER(bucket);
	struct dentry d;
	unsigned n = 0;

	while (dentry_next(&rd, &d)) {
		MUST(d.tie < DENTRY_TIES && d.ino && d.name.len && d.name.len <= NAME_MAX_BYTES);
		n++;
	}
	*ret_end = read_end(&rd);
	return n;
}

/* An entry that is put in is there; taken out again, there is one less. */
static void bucket(struct span in, unsigned tie)
{
	const struct dentry d = {
		.name = SPAN_LITERAL("n"), .ino = 7, .type = S_IFREG, .tie = tie
	};
	_cleanup_buf_ struct buf with = BUF_INIT(ROW_MAX), without = BUF_INIT(ROW_MAX);
	int end;
	unsigned n = count(in, &end), n_with, n_without;

	if (bucket_edit(in, tie, &d, &with) < 0) {
		MUST(end == -EBADMSG);
		return;
	}
	MUST(end == 0);
	MUST(bucket_edit(buf_span(&with), tie, NULL, &without) == 0);
	n_with = count(buf_span(&with), &end);
	MUST(end == 0 && n_with >= 1 && n_with <= n + 1);
	n_without = count(buf_span(&without), &end);
	MUST(end == 0 && n_without == n_with - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	const uint8_t column = take_byte(&in);

	switch (column % COL_COUNT) {
	case COL_INODE:
		SAME_ROW(inode_row, in);
		break;
	case COL_DENTRY:
		bucket(in, column / COL_COUNT % DENTRY_TIES);
		break;
	case COL_EXTENT:
		SAME_ROW(extent_row, in);
		SAME_FOREIGN(in);
		break;
	case COL_CHUNK:
		SAME_ROW(chunk_row, in);
		break;
	case COL_ORPHAN:
		SAME_ROW(orphan_row, in);
		break;
	case COL_MOUNT:
		SAME_ROW(mount_row, in);
		break;
	case COL_STORE:
		SAME_ROW(store_row, in);
		break;
	case COL_ATTACH:
		SAME_ROW(attach_row, in);
		break;
	case COL_VOLUME:
		SAME_ROW(volume_row, in);
		SAME_ROW(totals_row, in);
		SAME_ROW(checkpoint_row, in);
		SAME_ROW(grace_row, in);
		break;
	case COL_SOURCE:
		SAME_ROW(source_row, in);
		break;
	case COL_RESULT:
		SAME_ROW(result_row, in);
		break;
	}
	return 0;
}
