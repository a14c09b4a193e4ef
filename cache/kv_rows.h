/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small rows that were read lately, before the door of RocksDB: an operation on names reads the
 * same few rows a dozen times, early, in its record, and for the hash of the state, and finding one
 * in a memtable costs a microsecond and more each time. "No such row" is remembered, too.
 *
 * (H1) What is answered here is what the database would answer: what a write changed is replaced
 *      here before the write returns.
 * (H2) Who reads while somebody writes may have the old row in its hands when the new one stands.
 *      So a reader notes the moment before it asks the database, and what it learned counts only
 *      if nothing of the same stripe was replaced since.
 * (H3) Two who write at the same time may come here in another order than to the database: who
 *      finds that the other one was here in between forgets the row.
 */
#include "base/buf.h"

#define KV_ROWS_STRIPES 64

struct kv_rows;
/* bytes: an eighth of them, at most, is used. NULL: no memory. */
struct kv_rows *kv_rows_new(uint64_t bytes);
struct kv_rows *kv_rows_free(struct kv_rows *rows); /* takes NULL, answers NULL */
uint32_t kv_rows_hash(unsigned column, struct span key);

enum kv_rows_cond { KV_ROWS_UNKNOWN = 2 };
/* As kv_get(); or KV_ROWS_UNKNOWN with the moment (H2). */
must_check int kv_rows_get(struct kv_rows *rows, uint32_t hash, unsigned column, struct span key,
			   struct buf *ret, uint64_t *ret_moment);
/* The database answered it, asked after that moment. missing: that there is no such row. */
void kv_rows_learn(struct kv_rows *rows, uint32_t hash, uint64_t moment, unsigned column,
		   struct span key, struct span value, bool missing);
/* Every row may be another one now. */
void kv_rows_forget_all(struct kv_rows *rows);

/* What one write will change. Empty: all zeros. */
struct kv_rows_changes {
	struct kv_rows_change *v;
	size_t n, cap;
	uint64_t moments[KV_ROWS_STRIPES]; /* (H3) */
};
void kv_rows_changes_release(struct kv_rows_changes *c);
/* gone: the row is deleted. 0, -ENOMEM. */
must_check int kv_rows_note(struct kv_rows_changes *c, unsigned column, struct span key,
			    struct span value, bool gone);
/* Right before the write, and right behind it; done: it was written. */
void kv_rows_begin(struct kv_rows *rows, struct kv_rows_changes *c);
void kv_rows_end(struct kv_rows *rows, struct kv_rows_changes *c, bool done);
