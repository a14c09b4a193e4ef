/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Questions to the namespace. All: 0; NS_MISSING; or the machine's negative errno. The caller holds
 * the view's lock. Callbacks: 0 go on, 1 stop, negative: ends the walk and is returned. Their spans
 * are borrowed for the call; they must not write to the view.
 */
#include "cache/view.h"
#include "fs/ns/rows.h"

enum ns_cond { NS_MISSING = 1 };

/*
 * An inode with its row's bytes (the row borrows from them). Orphans are inodes too: row.nlink is
 * 0.
 */
struct inode_view {
	struct inode_row row;
	struct buf bytes; /* buf_release */
};
must_check int ns_inode(struct view *v, uint64_t ino, struct inode_view *ret);
/* By name in a directory (not "." or ".."). ret_type: S_IFMT bits; both may be NULL. */
must_check int ns_lookup(struct view *v, uint64_t parent, struct span name, uint64_t *ret_ino,
			 uint32_t *ret_type);
/*
 * From a path to its inode, one name after the other; symbolic links are not followed. -ENOENT,
 * -ENOTDIR. ret: as of ns_inode, to be released.
 */
must_check int ns_path(struct view *v, const char *path, struct inode_view *ret,
		       uint64_t *ret_ino);
/*
 * The entries of a directory after the cursor `after` (0: from the start), in cursor order. A
 * cursor stays valid while the directory changes: entries present throughout are seen exactly once.
 * fn: 0 go on, 1 stop.
 */
typedef int ns_entry_fn(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg);
must_check int ns_readdir(struct view *v, uint64_t dir, uint64_t after, ns_entry_fn *fn, void *arg);
/*
 * Extents that touch [off, off + len), in order; row.bytes borrowed for the call. Holes are not
 * reported.
 */
typedef int ns_extent_fn(uint64_t offset, const struct extent_row *row, void *arg);
must_check int ns_extents(struct view *v, uint64_t ino, uint64_t off, uint64_t len,
			  ns_extent_fn *fn, void *arg);
must_check int ns_chunk(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret);
must_check int ns_getxattr(struct view *v, uint64_t ino, struct span name, struct buf *ret);
typedef int ns_xattr_fn(struct span name, void *arg);
must_check int ns_listxattr(struct view *v, uint64_t ino, ns_xattr_fn *fn, void *arg);
/* The row borrows from *ret_bytes, as below. */
must_check int ns_volume(struct view *v, struct volume_row *ret, struct buf *ret_bytes);
must_check int ns_totals(struct view *v, struct totals_row *ret);
/* NS_MISSING: none was announced yet. */
must_check int ns_checkpoint(struct view *v, struct checkpoint_row *ret);
/* How long what is dead stays in the stores. */
must_check int ns_grace(struct view *v, struct grace_row *ret);
/* Who wrote a chunk, without its name; NS_MISSING: its number was never given. */
must_check int ns_chunk_author(struct view *v, const uint8_t id[CHUNK_ID_SIZE],
			       struct mount_row *ret);
must_check int ns_mount(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			struct mount_row *ret, struct buf *ret_bytes);
/*
 * The recorded result of one operation; NS_MISSING: not evaluated yet, or not among the last
 * MOUNT_RESULTS.
 */
must_check int ns_result(struct view *v, const uint8_t incarnation[INCARNATION_SIZE],
			 uint64_t number, struct result_row *ret);
typedef int ns_mount_fn(const uint8_t incarnation[INCARNATION_SIZE], const struct mount_row *row,
			void *arg);
must_check int ns_mounts(struct view *v, ns_mount_fn *fn, void *arg);
typedef int ns_store_fn(unsigned number, const struct store_row *row, void *arg);
must_check int ns_stores(struct view *v, ns_store_fn *fn, void *arg);
typedef int ns_keyslot_fn(unsigned number, struct span slot, void *arg);
must_check int ns_keyslots(struct view *v, ns_keyslot_fn *fn, void *arg);
/* All chunks with id >= from (or NULL), in order. */
typedef int ns_chunk_fn(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row, void *arg);
must_check int ns_chunks(struct view *v, const uint8_t *from, ns_chunk_fn *fn, void *arg);
/* Chunks that lack a copy, after (id, store) (or NULL: from the start): fn(id, store). */
typedef int ns_deficit_fn(const uint8_t id[CHUNK_ID_SIZE], unsigned store, void *arg);
must_check int ns_deficits(struct view *v, const uint8_t *after_id, unsigned after_store,
			   ns_deficit_fn *fn, void *arg);
/* The URL of a source of foreign extents (foreign.h); appends. */
must_check int ns_source(struct view *v, uint32_t number, struct buf *ret_url);
/* Inodes without a name, after `after`. */
typedef int ns_orphan_fn(uint64_t ino, const struct orphan_row *row, void *arg);
must_check int ns_orphans(struct view *v, uint64_t after, ns_orphan_fn *fn, void *arg);
/* The root's attached buckets, in the order of their names. */
typedef int ns_attach_fn(struct span name, const struct attach_row *row, void *arg);
must_check int ns_attached(struct view *v, ns_attach_fn *fn, void *arg);
/*
 * Names of a file are not kept in it; the path of a directory is found by its parents (reads them
 * whole). "/a/b"; appends. NS_MISSING: it has no name.
 */
must_check int ns_dir_path(struct view *v, uint64_t dir, struct buf *ret);
