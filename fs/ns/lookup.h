/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Questions to the namespace. All: 0; NS_MISSING; or the machine's negative errno. The caller holds the view's lock. */
#include "cache/view.h"
#include "fs/ns/rows.h"

enum ns_cond { NS_MISSING = 1 };

/* An inode with its row's bytes (the row borrows from them). */
struct inode_view {
	struct inode_row row;
	struct buf bytes; /* buf_release */
};
must_check int ns_inode(struct view *v, uint64_t ino, struct inode_view *ret);
/* By name in a directory; ret_type: S_IFMT bits or 0. */
must_check int ns_lookup(struct view *v, uint64_t parent, struct span name, uint64_t *ret_ino, uint32_t *ret_type);
/*
 * The entries of a directory after the cursor `after` (0: from the start), in cursor order. A cursor stays valid
 * while the directory changes: entries present throughout are seen exactly once. fn: 0 go on, 1 stop.
 */
typedef int ns_entry_fn(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg);
must_check int ns_readdir(struct view *v, uint64_t dir, uint64_t after, ns_entry_fn *fn, void *arg);
/* Extents that touch [off, off + len), in order; row.bytes borrowed for the call. Holes are not reported. */
typedef int ns_extent_fn(uint64_t offset, const struct extent_row *row, void *arg);
must_check int ns_extents(struct view *v, uint64_t ino, uint64_t off, uint64_t len, ns_extent_fn *fn, void *arg);
must_check int ns_chunk(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret);
must_check int ns_getxattr(struct view *v, uint64_t ino, struct span name, struct buf *ret);
typedef int ns_xattr_fn(struct span name, void *arg);
must_check int ns_listxattr(struct view *v, uint64_t ino, ns_xattr_fn *fn, void *arg);
must_check int ns_volume(struct view *v, struct volume_row *ret, struct buf *ret_bytes);
must_check int ns_mount(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], struct mount_row *ret, struct buf *ret_bytes);
typedef int ns_store_fn(unsigned number, const struct store_row *row, void *arg);
must_check int ns_stores(struct view *v, ns_store_fn *fn, void *arg);
/* Chunks that lack a copy: fn(id, store). */
typedef int ns_deficit_fn(const uint8_t id[CHUNK_ID_SIZE], unsigned store, void *arg);
must_check int ns_deficits(struct view *v, const uint8_t *after_key, size_t after_len, ns_deficit_fn *fn, void *arg);
/* All names of a file are not kept; a path of a directory is found by its parents. Writes "/a/b" . */
must_check int ns_dir_path(struct view *v, uint64_t dir, struct buf *ret);
