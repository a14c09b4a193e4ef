/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside the state machine: what one operation has read and is about to write.
 *
 * Every apply_KIND() first checks, then changes. Its answers: 0, done; a positive value, the POSIX
 * errno that is the operation's result, and nothing was written; a negative one, this machine's
 * failure. Both go up unchanged to apply().
 *
 * (I1) Rows of inodes and the totals are changed here, in memory, and written once, by
 *      apply_store(); an inode is loaded once, so that two names of it in one operation are one
 *      row.
 * (I2) After the first write to the view only this machine can fail.
 */
#include "fs/ns/apply.h"
#include "fs/ns/dentry.h"
#include "fs/ns/extent.h"

struct node {
	uint64_t ino;
	struct inode_row row;
	struct buf bytes; /* what row.target borrows from */
	bool dirty, gone;
};

/* RENAME touches most: two parents, what is moved, and what it replaces. */
#define NODES_MAX 4

struct apply {
	struct view *view;
	const struct apply_context *ctx;
	const struct op *op;
	uint64_t value; /* of the result */
	struct node nodes[NODES_MAX];
	unsigned n_nodes;
	bool volume_loaded, totals_dirty, totals_loaded;
	struct volume_row volume;
	struct buf volume_bytes;
	struct totals_row totals;
};

/* node.c */
/* An inode by number, orphans included. ESTALE: there is none. Borrowed until apply_release(). */
must_check int node_get(struct apply *a, uint64_t ino, struct node **ret);
/* A directory in which names are looked up. ENOENT: gone; ENOTDIR. */
must_check int node_get_parent(struct apply *a, uint64_t ino, struct node **ret);
/* What a name leads to: that it is there is an invariant, so its absence is damage. */
must_check int node_get_named(struct apply *a, uint64_t ino, struct node **ret);
/* A regular file. ESTALE; EISDIR; EINVAL. */
must_check int node_get_file(struct apply *a, uint64_t ino, struct node **ret);
/* A new one, not in the view yet: written by apply_store(). */
struct node *node_new(struct apply *a, uint64_t ino);
/*
 * System-set times: later than what was there (A1), so that no two states of an inode have equal
 * ones.
 */
uint64_t node_touch(struct apply *a, struct node *n); /* ctime; answers it */
/* ctime, mtime and version: the contents changed. */
void node_changed(struct apply *a, struct node *n);
/* The same by op.mtime_ns and OP_WRITE_* flags. */
void node_written(struct apply *a, struct node *n);
/* It loses a name; with the last one it becomes an orphan. */
must_check int node_lose_name(struct apply *a, struct node *n);
void node_count_subdirs(struct node *dir, int change);
must_check int apply_volume_load(struct apply *a);
must_check int apply_totals_load(struct apply *a);
must_check int apply_store(struct apply *a);
void apply_release(struct apply *a);

/*
 * Finds a name in a directory. 0 (found or not), or what is wrong with the name: ENAMETOOLONG;
 * EINVAL.
 */
must_check int apply_find(struct apply *a, const struct node *dir, struct span name,
			  struct dentry_slot *ret);
/* (O2): is what stands under the name what an early answer saw there? */
static inline bool saw_right(uint64_t saw, const struct dentry_slot *slot)
{
	return saw == SAW_ANYTHING || saw == slot->ino;
}
/* Is the name one of the root's attached buckets? 0 with the truth, or negative. */
must_check int apply_is_attached(struct apply *a, uint64_t dir, struct span name, bool *ret);
/* 0; ENAMETOOLONG; EINVAL (empty, "." or "..", a slash or NUL in it). */
must_check int name_check(struct span name);

/* apply_name.c */
/*
 * The new inode op.ino under op.name, with the fields that all types share; its row is still the
 * caller's to complete. Nothing is written but when it answers 0. EEXIST, with the inode in
 * a->value; ENOENT, ENOTDIR, ENAMETOOLONG, EINVAL, ENOSPC, EMLINK.
 */
must_check int apply_make(struct apply *a, uint32_t mode, struct node **ret);

/* apply_file.c */
struct extents file_extents(const struct apply *a, const struct node *n);
/* Takes over what the extents have become. */
must_check int file_extents_done(struct apply *a, const struct extents *x, struct node *n);
/* May the operation's chunks and extents be written, from `base` on? EFBIG; EINVAL. */
must_check int file_write_check(struct apply *a, uint64_t base);
/* The operation's chunks get their rows, before anything is held or released. */
must_check int file_chunks_define(struct apply *a);
/* Those that are not in use after all are dead. */
must_check int file_chunks_settle(struct apply *a);

/* One per kind. */
int apply_create(struct apply *a);
int apply_mkdir(struct apply *a);
int apply_symlink(struct apply *a);
int apply_link(struct apply *a);
int apply_unlink(struct apply *a);
int apply_rmdir(struct apply *a);
int apply_rename(struct apply *a);
int apply_setattr(struct apply *a);
int apply_setxattr(struct apply *a);
int apply_removexattr(struct apply *a);
int apply_write(struct apply *a);
int apply_truncate(struct apply *a);
int apply_punch(struct apply *a);
int apply_clone(struct apply *a);
int apply_stored(struct apply *a);
int apply_deficit(struct apply *a);
int apply_reap(struct apply *a);
int apply_hold(struct apply *a);
int apply_format(struct apply *a);
int apply_mount(struct apply *a);
int apply_unmount(struct apply *a);
int apply_fence(struct apply *a);
int apply_more_inodes(struct apply *a);
int apply_checkpoint(struct apply *a);
int apply_collect(struct apply *a);
int apply_attach(struct apply *a);
int apply_detach(struct apply *a);
int apply_keyslot(struct apply *a);
int apply_source(struct apply *a);
int apply_adopt(struct apply *a);
int apply_repack(struct apply *a);
