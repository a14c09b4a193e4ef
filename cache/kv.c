/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of RocksDB.
 *
 * (K1) Write-ahead log on, synced only when asked; it is replayed up to the first damage, so
 *      what survives a power cut is a prefix of the batches.
 * (K2) Memory is bounded: one block cache holds index, filter and data blocks; the memtables
 *      of all columns share one limit; few files are open.
 * (K3) RocksDB tells errors as sentences. They become an errno here and the sentence is
 *      logged, because nobody above sees it.
 * (K4) RocksDB is never let run into a full disk: builds with assertions (Debian's) abort the
 *      process when a file is used again after a failed write. Room for what is in memory, for the
 *      log and for a compaction is asked for before.
 * (K5) Reads of single rows go through the rows that were read lately (kv_rows.h), so every change
 *      of rows tells them.
 */
#include "base/log.h"
#include "cache/kv_rocks_i.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ROOM_PLENTY (4 * GiB)  /* no need to count */
#define ROOM_LEAST  (16 * MiB) /* beside what must be written out in any case */

struct rocks_batch {
	struct kv_batch batch;
	rocksdb_writebatch_t *rows;
	struct kv_rows_changes changes; /* (K5) */
};

struct rocks_iter {
	struct kv_iter iter;
	rocksdb_readoptions_t *read;
	rocksdb_iterator_t *rows;
	struct buf bound; /* the first key behind the prefix; borrowed by `read` */
};

static struct rocks_batch *batch_of(struct kv_batch *b)
{
	return container_of(b, struct rocks_batch, batch);
}

static struct rocks_iter *iter_of(const struct kv_iter *it)
{
	return container_of((struct kv_iter *)it, struct rocks_iter, iter);
}

int rocks_error(char *sentence, const char *doing, bool opening)
{
	_cleanup_free_ char *s = sentence;
	int r = -EIO;

	if (!s)
		return 0;
	if (strstr(s, "lock hold by current process") ||
	    (strstr(s, "While lock file") && strstr(s, "temporarily unavailable")))
		return fail(-EBUSY);
	if (strstr(s, "No space left"))
		r = -ENOSPC;
	else if (opening && (strstr(s, "Corruption") || strstr(s, "No such file") ||
			     strstr(s, "Invalid argument")))
		r = -EBADMSG;
	log_warn("kv", "the local database failed", "doing=%s error=\"%s\"", doing, s);
	return fail(r);
}

static uint64_t room(const char *dir)
{
	struct statvfs fs;

	return statvfs(dir, &fs) < 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
}

int rocks_ask_room(const char *dir, uint64_t bytes)
{
	return room(dir) < bytes + ROOM_LEAST ? fail(-ENOSPC) : 0;
}

/* What the opening will write out once more: the logs. */
static uint64_t log_bytes(const char *dir)
{
	uint64_t total = 0;
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)) != NULL) {
		const size_t n = strlen(e->d_name);

		if (n > 4 && !strcmp(e->d_name + n - 4, ".log") &&
		    fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			total += (uint64_t)st.st_blocks * 512;
	}
	if (d)
		closedir(d);
	return total;
}

static uint64_t memory_bytes(struct rocks *k)
{
	uint64_t total = 0, bytes;

	for (size_t i = 0; i < k->n_handles; i++)
		if (rocksdb_property_int_cf(k->db, k->handles[i], "rocksdb.cur-size-all-mem-tables",
					    &bytes) == 0)
			total += bytes;
	return total;
}

static struct kv *rocks_close(struct kv *kv)
{
	struct rocks *k = rocks_of(kv);

	for (size_t i = 0; i < k->n_handles; i++)
		rocksdb_column_family_handle_destroy(k->handles[i]);
	if (k->db)
		rocksdb_close(k->db);
	if (k->read)
		rocksdb_readoptions_destroy(k->read);
	if (k->write)
		rocksdb_writeoptions_destroy(k->write);
	if (k->write_sync)
		rocksdb_writeoptions_destroy(k->write_sync);
	if (k->table)
		rocksdb_block_based_options_destroy(k->table);
	if (k->options)
		rocksdb_options_destroy(k->options);
	if (k->cache)
		rocksdb_cache_destroy(k->cache);
	kv_rows_free(k->rows);
	free(k->columns);
	free(k->handles);
	free(k->dir);
	free(k);
	return NULL;
}

/* 0, KV_MISSING, or an error; 0: with what the caller destroys. */
static int ask(struct rocks *k, unsigned column, struct span key, rocksdb_pinnableslice_t **ret)
{
	char *error = NULL;

	*ret = rocksdb_get_pinned_cf(k->db, k->read, k->columns[column], (const char *)key.data,
				     key.len, &error);
	if (error)
		return rocks_error(error, "get", false);
	return *ret ? 0 : KV_MISSING;
}

static int rocks_get(struct kv *kv, unsigned column, struct span key, struct buf *ret)
{
	struct rocks *k = rocks_of(kv);
	const uint32_t hash = kv_rows_hash(column, key);
	rocksdb_pinnableslice_t *slice;
	uint64_t moment;
	const char *value;
	size_t len;
	int r = kv_rows_get(k->rows, hash, column, key, ret, &moment);

	if (r != KV_ROWS_UNKNOWN)
		return r;
	r = ask(k, column, key, &slice);
	if (r == KV_MISSING)
		kv_rows_learn(k->rows, hash, moment, column, key, SPAN_NULL, true);
	if (r)
		return r;
	value = rocksdb_pinnableslice_value(slice, &len);
	kv_rows_learn(k->rows, hash, moment, column, key, span_of(value, len), false);
	buf_clear(ret);
	r = buf_add(ret, value, len);
	rocksdb_pinnableslice_destroy(slice);
	return r;
}

static struct kv_batch *rocks_batch_new(struct kv *kv)
{
	struct rocks_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->rows = rocksdb_writebatch_create();
	return &b->batch;
}

static struct kv_batch *rocks_batch_free(struct kv_batch *batch)
{
	struct rocks_batch *b = batch_of(batch);

	rocksdb_writebatch_destroy(b->rows);
	kv_rows_changes_release(&b->changes);
	free(b);
	return NULL;
}

static int rocks_batch_put(struct kv_batch *batch, unsigned column, struct span key,
			   struct span value)
{
	rocksdb_writebatch_put_cf(batch_of(batch)->rows, rocks_of(batch->kv)->columns[column],
				  (const char *)key.data, key.len, (const char *)value.data,
				  value.len);
	return kv_rows_note(&batch_of(batch)->changes, column, key, value, false);
}

static int rocks_batch_delete(struct kv_batch *batch, unsigned column, struct span key)
{
	rocksdb_writebatch_delete_cf(batch_of(batch)->rows, rocks_of(batch->kv)->columns[column],
				     (const char *)key.data, key.len);
	return kv_rows_note(&batch_of(batch)->changes, column, key, SPAN_NULL, true);
}

static int rocks_write(struct kv *kv, struct kv_batch *batch, bool sync)
{
	struct rocks *k = rocks_of(kv);
	struct rocks_batch *b = batch_of(batch);
	char *error = NULL;

	if (room(k->dir) < ROOM_PLENTY) { /* (K4) */
		int r = rocks_ask_room(k->dir, memory_bytes(k));

		if (r)
			return r;
	}
	kv_rows_begin(k->rows, &b->changes);
	rocksdb_write(k->db, sync ? k->write_sync : k->write, b->rows, &error);
	kv_rows_end(k->rows, &b->changes, !error);
	return rocks_error(error, "write", false);
}

/* The first key behind all that begin with prefix; stays empty when there is none (ff ff ...). */
static int prefix_bound(struct span prefix, struct buf *ret)
{
	int r;

	while (prefix.len && prefix.data[prefix.len - 1] == 0xff)
		prefix.len--;
	if (prefix.len == 0)
		return 0;
	r = buf_add_span(ret, prefix);
	if (r < 0)
		return r;
	ret->data[ret->len - 1]++;
	return 0;
}

static struct kv_iter *rocks_iter_new(struct kv *kv, unsigned column, struct span prefix, bool once)
{
	struct rocks *k = rocks_of(kv);
	struct rocks_iter *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	buf_init(&it->bound, prefix.len + 1);
	if (prefix_bound(prefix, &it->bound) < 0) {
		free(it);
		return NULL;
	}
	it->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(it->read, !once);
	if (it->bound.len)
		rocksdb_readoptions_set_iterate_upper_bound(
			it->read, (const char *)it->bound.data, it->bound.len);
	it->rows = rocksdb_create_iterator_cf(k->db, it->read, k->columns[column]);
	return &it->iter;
}

static void rocks_iter_free(struct kv_iter *iter)
{
	struct rocks_iter *it = iter_of(iter);

	rocksdb_iter_destroy(it->rows);
	rocksdb_readoptions_destroy(it->read);
	buf_release(&it->bound);
	free(it);
}

static void rocks_iter_seek(struct kv_iter *iter, struct span from)
{
	rocksdb_iter_seek(iter_of(iter)->rows, (const char *)from.data, from.len);
}

static void rocks_iter_next(struct kv_iter *iter)
{
	rocksdb_iter_next(iter_of(iter)->rows);
}

static bool rocks_iter_valid(const struct kv_iter *iter)
{
	return rocksdb_iter_valid(iter_of(iter)->rows);
}

static struct span rocks_iter_key(const struct kv_iter *iter)
{
	size_t len;
	const char *key = rocksdb_iter_key(iter_of(iter)->rows, &len);

	return span_of(key, len);
}

static struct span rocks_iter_value(const struct kv_iter *iter)
{
	size_t len;
	const char *value = rocksdb_iter_value(iter_of(iter)->rows, &len);

	return span_of(value, len);
}

static int rocks_iter_error(const struct kv_iter *iter)
{
	char *error = NULL;

	rocksdb_iter_get_error(iter_of(iter)->rows, &error);
	return rocks_error(error, "walk", false);
}

static uint64_t rocks_disk_bytes(struct kv *kv)
{
	struct rocks *k = rocks_of(kv);
	uint64_t total = 0, bytes;

	for (size_t i = 0; i < k->n_handles; i++)
		if (rocksdb_property_int_cf(k->db, k->handles[i], "rocksdb.total-sst-files-size",
					    &bytes) == 0)
			total += bytes;
	return total;
}

static const struct kv_ops rocks_ops = {
	.close = rocks_close,
	.get = rocks_get,
	.batch_new = rocks_batch_new,
	.batch_free = rocks_batch_free,
	.batch_put = rocks_batch_put,
	.batch_delete = rocks_batch_delete,
	.write = rocks_write,
	.iter_new = rocks_iter_new,
	.iter_free = rocks_iter_free,
	.iter_seek = rocks_iter_seek,
	.iter_next = rocks_iter_next,
	.iter_valid = rocks_iter_valid,
	.iter_key = rocks_iter_key,
	.iter_value = rocks_iter_value,
	.iter_error = rocks_iter_error,
	.disk_bytes = rocks_disk_bytes,
	.run_new = rocks_run_new,
	.run_put = rocks_run_put,
	.run_end = rocks_run_end,
	.run_free = rocks_run_free,
	.ingest = rocks_ingest,
};

/* (K2) */
static void set_memory(struct rocks *k, uint64_t bytes)
{
	uint64_t buffers = bytes / 4;

	k->cache = rocksdb_cache_create_lru(bytes - buffers);
	k->table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(k->table, k->cache);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(k->table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(k->table, 1);
	rocksdb_block_based_options_set_filter_policy(k->table,
						      rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(k->options, k->table);
	rocksdb_options_set_db_write_buffer_size(k->options, buffers);
	rocksdb_options_set_write_buffer_size(k->options, buffers / 2);
	rocksdb_options_set_max_write_buffer_number(k->options, 3);
	rocksdb_options_set_max_total_wal_size(k->options, 4 * buffers);
	rocksdb_options_set_max_open_files(k->options, 256);
}

static uint64_t cache_bytes(const struct kv_options *opts)
{
	return opts && opts->cache_bytes ? opts->cache_bytes : 64 * MiB;
}

static void set_options(struct rocks *k, const struct kv_options *opts)
{
	enum { POINT_IN_TIME = 2, INFO_LOG_ERROR = 3 };

	k->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(k->options, 1);
	rocksdb_options_set_create_missing_column_families(k->options, 1);
	rocksdb_options_set_wal_recovery_mode(k->options, POINT_IN_TIME); /* (K1) */
	/* New rows are rewritten soon and stay as they are; what sinks to the bottom is packed. */
	rocksdb_options_set_compression(k->options, rocksdb_no_compression);
	rocksdb_options_set_bottommost_compression(k->options, rocksdb_zstd_compression);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(k->options, 1);
	rocksdb_options_set_max_background_jobs(k->options, 2);
	/* A checkpoint that is loaded must not cost the page cache one long burst of writing. */
	rocksdb_options_set_bytes_per_sync(k->options, MiB);
	rocksdb_options_set_info_log_level(k->options, INFO_LOG_ERROR);
	rocksdb_options_set_max_log_file_size(k->options, MiB);
	rocksdb_options_set_keep_log_file_num(k->options, 2);
	rocksdb_options_set_stats_dump_period_sec(k->options, 0);
	rocksdb_options_set_stats_persist_period_sec(k->options, 0);
	/* Emptied directories leave deletions that every later walk would step over. */
	if (opts && opts->compact_on_deletion)
		rocksdb_options_add_compact_on_deletion_collector_factory(k->options, 1024, 512);
	set_memory(k, cache_bytes(opts));
	k->read = rocksdb_readoptions_create();
	k->write = rocksdb_writeoptions_create();
	k->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(k->write_sync, 1);
}

/*
 * All columns of the database, which must be opened together: the asked ones, then what else is
 * there.
 */
struct family_names {
	const char **names;
	size_t n;
	char **listed;
	size_t n_listed;
};

static void family_names_release(struct family_names *f)
{
	if (f->listed)
		rocksdb_list_column_families_destroy(f->listed, f->n_listed);
	free(f->names);
}

static void family_names_add(struct family_names *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->names[i], name) == 0)
			return;
	f->names[f->n++] = name;
}

static bool database_exists(const char *dir)
{
	_cleanup_buf_ struct buf path = BUF_INIT(4096);
	struct stat st;

	return buf_addf(&path, "%s/CURRENT", dir) == 0 && stat(buf_str(&path), &st) == 0;
}

static int family_names_find(struct family_names *f, struct rocks *k, const char *dir,
			     const char *const *columns)
{
	char *error = NULL;

	if (database_exists(dir))
		f->listed = rocksdb_list_column_families(k->options, dir, &f->n_listed, &error);
	if (error)
		return rocks_error(error, "open", true);
	f->names = calloc(k->kv.n_columns + f->n_listed + 1, sizeof(*f->names));
	if (!f->names)
		return fail(-ENOMEM);
	for (unsigned i = 0; i < k->kv.n_columns; i++)
		family_names_add(f, columns[i]);
	assert(f->n == k->kv.n_columns);
	family_names_add(f, "default");
	for (size_t i = 0; i < f->n_listed; i++)
		family_names_add(f, f->listed[i]);
	return 0;
}

static int open_families(struct rocks *k, const char *dir, const struct family_names *f)
{
	_cleanup_free_ const rocksdb_options_t **options = calloc(f->n, sizeof(*options));
	char *error = NULL;

	k->columns = calloc(k->kv.n_columns + 1, sizeof(*k->columns));
	k->handles = calloc(f->n, sizeof(*k->handles));
	if (!options || !k->handles || !k->columns)
		return fail(-ENOMEM);
	for (size_t i = 0; i < f->n; i++)
		options[i] = k->options;
	k->db = rocksdb_open_column_families(k->options, dir, (int)f->n, f->names, options,
					     k->handles, &error);
	if (error)
		return rocks_error(error, "open", true);
	k->n_handles = f->n;
	memcpy(k->columns, k->handles, k->kv.n_columns * sizeof(*k->columns));
	return 0;
}

int kv_open(const char *dir, const char *const *columns, const struct kv_options *opts,
	    struct kv **ret)
{
	_cleanup_(family_names_release) struct family_names names = { 0 };
	_cleanup_(kv_closep) struct kv *kv = NULL;
	struct rocks *k;
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail(errno == ENOSPC ? -ENOSPC : -EIO);
	r = rocks_ask_room(dir, log_bytes(dir));
	if (r)
		return r;
	k = calloc(1, sizeof(*k));
	if (!k)
		return fail(-ENOMEM);
	kv = &k->kv;
	kv->ops = &rocks_ops;
	k->dir = strdup(dir);
	if (!k->dir)
		return fail(-ENOMEM);
	while (columns[kv->n_columns])
		kv->n_columns++;
	k->rows = kv_rows_new(cache_bytes(opts));
	if (!k->rows)
		return fail(-ENOMEM);
	set_options(k, opts);
	r = family_names_find(&names, k, dir, columns);
	if (!r)
		r = open_families(k, dir, &names);
	if (r < 0)
		return r;
	rocks_runs_remove(dir);
	*ret = take_ptr(&kv);
	return 0;
}

int kv_destroy(const char *dir)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *error = NULL;

	rocks_runs_remove(dir);
	rocksdb_destroy_db(options, dir, &error);
	rocksdb_options_destroy(options);
	return rocks_error(error, "destroy", false);
}
