/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the two files behind the door of RocksDB share: kv.c, and kv_run.c (runs). */
#include "cache/kv_i.h"
#include "cache/kv_rows.h"

#include <rocksdb/c.h>

struct rocks {
	struct kv kv;
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync;
	struct kv_rows *rows; /* (K5) */
	rocksdb_column_family_handle_t **columns; /* the asked ones, in their order */
	rocksdb_column_family_handle_t **handles; /* all that the database has */
	size_t n_handles;
	char *dir;
	_Atomic unsigned n_runs; /* names of files */
};

static inline struct rocks *rocks_of(struct kv *kv)
{
	return container_of(kv, struct rocks, kv);
}

/* (K3) Takes the sentence. NULL: 0. `opening`: a missing file means that the folder is damaged. */
int rocks_error(char *sentence, const char *doing, bool opening);
/* (K4) May so much be written? 0, -ENOSPC. */
int rocks_ask_room(const char *dir, uint64_t bytes);

/* kv_run.c */
int rocks_run_new(struct kv *kv, unsigned column, struct kv_run **ret);
int rocks_run_put(struct kv_run *run, struct span key, struct span value);
int rocks_run_end(struct kv_run *run);
void rocks_run_free(struct kv_run *run);
int rocks_ingest(struct kv *kv, struct kv_run *const *runs, size_t n);
/* What a crash left of them. */
void rocks_runs_remove(const char *dir);
