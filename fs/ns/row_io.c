/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/row_io.h"

static struct span ino_key(uint64_t ino, uint8_t space[8])
{
	key_ino(ino, space);
	return span_of(space, 8);
}

#define RESULT_KEY_SIZE (INCARNATION_SIZE + 1)

static struct span result_key(const uint8_t incarnation[INCARNATION_SIZE], uint64_t number,
			      uint8_t space[RESULT_KEY_SIZE])
{
	memcpy(space, incarnation, INCARNATION_SIZE);
	space[INCARNATION_SIZE] = (uint8_t)(number % MOUNT_RESULTS);
	return span_of(space, RESULT_KEY_SIZE);
}

int inode_load(struct view *v, uint64_t ino, struct inode_row *ret, struct buf *ret_bytes)
{
	uint8_t space[8];
	const int r = view_get(v, COL_INODE, ino_key(ino, space), ret_bytes);

	return r ? r : inode_row_decode(buf_span(ret_bytes), ret);
}

int inode_store(struct view *v, uint64_t ino, const struct inode_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t space[8];
	const int r = inode_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_INODE, ino_key(ino, space), buf_span(&bytes));
}

int chunk_load(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = view_get(v, COL_CHUNK, span_of(id, CHUNK_ID_SIZE), &bytes);

	return r ? r : chunk_row_decode(buf_span(&bytes), ret);
}

int chunk_store(struct view *v, const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = chunk_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_CHUNK, span_of(id, CHUNK_ID_SIZE), buf_span(&bytes));
}

int orphan_load(struct view *v, uint64_t ino, struct orphan_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t space[8];
	const int r = view_get(v, COL_ORPHAN, ino_key(ino, space), &bytes);

	return r ? r : orphan_row_decode(buf_span(&bytes), ret);
}

int orphan_store(struct view *v, uint64_t ino, const struct orphan_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t space[8];
	const int r = orphan_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_ORPHAN, ino_key(ino, space), buf_span(&bytes));
}

int mount_load(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], struct mount_row *ret,
	       struct buf *ret_bytes)
{
	const int r = view_get(v, COL_MOUNT, span_of(incarnation, INCARNATION_SIZE), ret_bytes);

	return r ? r : mount_row_decode(buf_span(ret_bytes), ret);
}

int mount_store(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
		const struct mount_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = mount_row_encode(row, &bytes);

	return r ? r
		 : view_put(v, COL_MOUNT, span_of(incarnation, INCARNATION_SIZE), buf_span(&bytes));
}

int result_load(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], uint64_t number,
		struct result_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t space[RESULT_KEY_SIZE];
	const int r = view_get(v, COL_RESULT, result_key(incarnation, number, space), &bytes);

	return r ? r : result_row_decode(buf_span(&bytes), ret);
}

int result_store(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], uint64_t number,
		 const struct result_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	uint8_t space[RESULT_KEY_SIZE];
	const int r = result_row_encode(row, &bytes);

	return r ? r
		 : view_put(v, COL_RESULT, result_key(incarnation, number, space),
			    buf_span(&bytes));
}

int volume_load(struct view *v, struct volume_row *ret, struct buf *ret_bytes)
{
	const int r = view_get(v, COL_VOLUME, VOLUME_KEY, ret_bytes);

	return r ? r : volume_row_decode(buf_span(ret_bytes), ret);
}

int volume_store(struct view *v, const struct volume_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = volume_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_VOLUME, VOLUME_KEY, buf_span(&bytes));
}

int totals_load(struct view *v, struct totals_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = view_get(v, COL_VOLUME, TOTALS_KEY, &bytes);

	return r ? r : totals_row_decode(buf_span(&bytes), ret);
}

int totals_store(struct view *v, const struct totals_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = totals_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_VOLUME, TOTALS_KEY, buf_span(&bytes));
}

int checkpoint_row_load(struct view *v, struct checkpoint_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = view_get(v, COL_VOLUME, CHECKPOINT_KEY, &bytes);

	return r ? r : checkpoint_row_decode(buf_span(&bytes), ret);
}

int grace_row_load(struct view *v, struct grace_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = view_get(v, COL_VOLUME, GRACE_KEY, &bytes);

	return r ? r : grace_row_decode(buf_span(&bytes), ret);
}

int grace_row_store(struct view *v, const struct grace_row *row)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	const int r = grace_row_encode(row, &bytes);

	return r ? r : view_put(v, COL_VOLUME, GRACE_KEY, buf_span(&bytes));
}

static int first_key(struct span key, struct span value, void *arg)
{
	const int r = buf_add_span(arg, key);

	return r ? r : 1;
}

/* One at a time: a walk must be over before the view is written. */
int rows_remove(struct view *v, enum column column, struct span prefix)
{
	_cleanup_buf_ struct buf key = BUF_INIT(ROW_MAX);

	for (;;) {
		int r;

		buf_clear(&key);
		r = view_walk(v, column, prefix, SPAN_NULL, first_key, &key);
		if (r < 0 || key.len == 0)
			return r;
		r = view_delete(v, column, buf_span(&key));
		if (r)
			return r;
	}
}
