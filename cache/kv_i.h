/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a key-value database implements behind kv.h. The wrappers (kv_any.c) check the
 * column and keep an iterator inside its prefix, so that implementers need not.
 */
#include "cache/kv.h"

struct kv_ops {
	struct kv *(*close)(struct kv *kv);
	int (*get)(struct kv *kv, unsigned column, struct span key, struct buf *ret);
	struct kv_batch *(*batch_new)(struct kv *kv);
	struct kv_batch *(*batch_free)(struct kv_batch *b);
	int (*batch_put)(struct kv_batch *b, unsigned column, struct span key, struct span value);
	int (*batch_delete)(struct kv_batch *b, unsigned column, struct span key);
	int (*write)(struct kv *kv, struct kv_batch *b, bool sync);
	/* prefix is the iterator's own copy and lives as long as the iterator. */
	struct kv_iter *(*iter_new)(struct kv *kv, unsigned column, struct span prefix, bool once);
	void (*iter_free)(struct kv_iter *it);
	void (*iter_seek)(struct kv_iter *it, struct span from); /* from >= prefix */
	void (*iter_next)(struct kv_iter *it);
	bool (*iter_valid)(const struct kv_iter *it);
	struct span (*iter_key)(const struct kv_iter *it);
	struct span (*iter_value)(const struct kv_iter *it);
	int (*iter_error)(const struct kv_iter *it);
	uint64_t (*disk_bytes)(struct kv *kv);
	int (*run_new)(struct kv *kv, unsigned column, struct kv_run **ret);
	int (*run_put)(struct kv_run *r, struct span key, struct span value);
	int (*run_end)(struct kv_run *r);
	void (*run_free)(struct kv_run *r);
	int (*ingest)(struct kv *kv, struct kv_run *const *runs, size_t n);
};

struct kv {
	const struct kv_ops *ops;
	unsigned n_columns;
};
struct kv_batch {
	struct kv *kv;
};
struct kv_iter {
	const struct kv_ops *ops;
	struct buf prefix;
};
struct kv_run {
	struct kv *kv;
	unsigned column;
	struct buf last; /* key */
	bool ended;
};
