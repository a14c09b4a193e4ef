/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rows by their keys, read from and written to a view. Reading: 0, VIEW_MISSING, or negative. What
 * a row borrows lies in *ret_bytes.
 */
#include "cache/view.h"
#include "fs/ns/rows.h"

must_check int inode_load(struct view *v, uint64_t ino, struct inode_row *ret,
			  struct buf *ret_bytes);
must_check int inode_store(struct view *v, uint64_t ino, const struct inode_row *row);
must_check int chunk_load(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret);
must_check int chunk_store(struct view *v, const uint8_t id[CHUNK_ID_SIZE],
			   const struct chunk_row *row);
must_check int orphan_load(struct view *v, uint64_t ino, struct orphan_row *ret);
must_check int orphan_store(struct view *v, uint64_t ino, const struct orphan_row *row);
must_check int mount_load(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			  struct mount_row *ret, struct buf *ret_bytes);
must_check int mount_store(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			   const struct mount_row *row);
must_check int result_load(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			   uint64_t number, struct result_row *ret);
must_check int result_store(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			    uint64_t number, const struct result_row *row);
must_check int volume_load(struct view *v, struct volume_row *ret, struct buf *ret_bytes);
must_check int volume_store(struct view *v, const struct volume_row *row);
must_check int totals_load(struct view *v, struct totals_row *ret);
must_check int totals_store(struct view *v, const struct totals_row *row);
must_check int checkpoint_row_load(struct view *v, struct checkpoint_row *ret);
must_check int grace_row_load(struct view *v, struct grace_row *ret);
must_check int grace_row_store(struct view *v, const struct grace_row *row);
/* Deletes every row of a column whose key begins with prefix. */
must_check int rows_remove(struct view *v, enum column column, struct span prefix);
