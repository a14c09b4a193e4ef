/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An ordered key-value database on this machine, in columns: the door of RocksDB, and the same in
 * memory for tests and the simulator. It is a cache: losing it loses nothing.
 */
#include "base/buf.h"

enum kv_cond { KV_MISSING = 1 };

struct kv;
struct kv_options {
	uint64_t cache_bytes; /* block cache and write buffers together; 0: 64 MiB */
	bool compact_on_deletion; /* columns with many deletions: directories */
};
/*
 * columns: names, NULL-terminated; a column is its index. Creates what is missing. Locks the folder
 * (a second opener: -EBUSY). 0, -EBUSY, -EIO, -ENOSPC, -EBADMSG (damaged: may be deleted), -ENOMEM.
 */
must_check int kv_open(const char *dir, const char *const *columns, const struct kv_options *opts,
		       struct kv **ret);
struct kv *kv_memory(unsigned n_columns); /* NULL: no memory */
/* Of one in memory, for simulated power cuts: whoever had iterators on it is gone. */
void kv_memory_cut(struct kv *kv);
struct kv *kv_close(struct kv *kv);
DEFINE_CLEANUP(struct kv *, kv_close)
/* Removes a database folder that nobody has open. */
must_check int kv_destroy(const char *dir);

/* Replaces *ret's content. 0, KV_MISSING, -EIO, -ENOMEM. */
must_check int kv_get(struct kv *kv, unsigned column, struct span key, struct buf *ret);

struct kv_batch;
struct kv_batch *kv_batch_new(struct kv *kv);
struct kv_batch *kv_batch_free(struct kv_batch *b);
DEFINE_CLEANUP(struct kv_batch *, kv_batch_free)
must_check int kv_batch_put(struct kv_batch *b, unsigned column, struct span key,
			    struct span value);
must_check int kv_batch_delete(struct kv_batch *b, unsigned column, struct span key);
/*
 * Atomically. sync: on disk when it returns; without it a crash may lose the newest batches, in
 * order, never a part of one. 0; -ENOSPC: nothing was done, and it may be tried again when there
 * is room; -EIO, -ENOMEM.
 */
must_check int kv_write(struct kv *kv, struct kv_batch *b, bool sync);

/*
 * Walks keys that begin with prefix, from `from` on, in order. fn: 0 go on, 1 stop, negative:
 * error, returned.
 */
typedef int kv_walk_fn(struct span key, struct span value, void *arg);
must_check int kv_walk(struct kv *kv, unsigned column, struct span prefix, struct span from,
		       kv_walk_fn *fn, void *arg);

/* An iterator, for merging (view.c). Bounded to the prefix. Sees the state at its creation. */
struct kv_iter;
struct kv_iter *kv_iter_new(struct kv *kv, unsigned column, struct span prefix);
/* Over a whole column, by who passes once and leaves what others have in memory there. */
struct kv_iter *kv_iter_new_once(struct kv *kv, unsigned column);
struct kv_iter *kv_iter_free(struct kv_iter *it);
DEFINE_CLEANUP(struct kv_iter *, kv_iter_free)
void kv_iter_seek(struct kv_iter *it, struct span from); /* to the first key >= from */
void kv_iter_next(struct kv_iter *it);
bool kv_iter_valid(const struct kv_iter *it);
struct span kv_iter_key(const struct kv_iter *it);   /* borrowed until the next move */
struct span kv_iter_value(const struct kv_iter *it);
must_check int kv_iter_error(const struct kv_iter *it);

/*
 * A sorted run: rows of one column on their way into an empty one, written beside the database.
 * Many may grow at the same time, each on one thread.
 */
struct kv_run;
/* 0, -ENOSPC, -EIO, -ENOMEM, as all that follow. */
must_check int kv_run_new(struct kv *kv, unsigned column, struct kv_run **ret);
/* A row behind the last one, else -EINVAL. */
must_check int kv_run_put(struct kv_run *r, struct span key, struct span value);
/* No more rows. A run has at least one. */
must_check int kv_run_end(struct kv_run *r);
/* Forgets the rows, unless they were taken in. */
struct kv_run *kv_run_free(struct kv_run *r);
DEFINE_CLEANUP(struct kv_run *, kv_run_free)
/*
 * Takes in runs that have ended, of any columns; those of one column don't overlap. Not atomic: who
 * finds it half done after a crash begins with an empty database.
 */
must_check int kv_ingest(struct kv *kv, struct kv_run *const *runs, size_t n);

uint64_t kv_disk_bytes(struct kv *kv);
