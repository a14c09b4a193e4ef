/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs: tables of RocksDB that are written outside of it, in the folder `runs` inside of the
 * database's, and then moved in. A column that is filled so was never in memory as a whole, and is
 * not compacted.
 */
#include "cache/kv_rocks_i.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNS	  "runs"
#define ROOM_STEP (4 * MiB) /* rows between two looks at the disk (K4) */

struct rocks_run {
	struct kv_run run;
	rocksdb_sstfilewriter_t *writer;
	rocksdb_envoptions_t *env;
	char *path;
	uint64_t unasked; /* bytes since the last look */
};

static struct rocks_run *run_of(struct kv_run *run)
{
	return container_of(run, struct rocks_run, run);
}

static void writer_free(struct rocks_run *r)
{
	if (r->writer)
		rocksdb_sstfilewriter_destroy(r->writer);
	if (r->env)
		rocksdb_envoptions_destroy(r->env);
	r->writer = NULL;
	r->env = NULL;
}

void rocks_run_free(struct kv_run *run)
{
	struct rocks_run *r = run_of(run);

	writer_free(r);
	if (r->path)
		unlink(r->path);
	free(r->path);
	free(r);
}

static int run_open(struct rocks *k, unsigned column, struct rocks_run *r)
{
	_cleanup_free_ char *dir = NULL;
	char *error = NULL;

	if (asprintf(&dir, "%s/" RUNS, k->dir) < 0 ||
	    asprintf(&r->path, "%s/%u-%u", dir, column, k->n_runs++) < 0)
		return fail(-ENOMEM);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail(errno == ENOSPC ? -ENOSPC : -EIO);
	r->env = rocksdb_envoptions_create();
	r->writer = rocksdb_sstfilewriter_create(r->env, k->options);
	rocksdb_sstfilewriter_open(r->writer, r->path, &error);
	return rocks_error(error, "run", false);
}

int rocks_run_new(struct kv *kv, unsigned column, struct kv_run **ret)
{
	struct rocks_run *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return fail(-ENOMEM);
	error = rocks_ask_room(rocks_of(kv)->dir, ROOM_STEP);
	if (!error)
		error = run_open(rocks_of(kv), column, r);
	if (error)
		rocks_run_free(&r->run);
	else
		*ret = &r->run;
	return error;
}

int rocks_run_put(struct kv_run *run, struct span key, struct span value)
{
	struct rocks_run *r = run_of(run);
	char *error = NULL;

	r->unasked += key.len + value.len;
	if (r->unasked > ROOM_STEP) {
		const int full = rocks_ask_room(rocks_of(run->kv)->dir, ROOM_STEP);

		if (full)
			return full;
		r->unasked = 0;
	}
	rocksdb_sstfilewriter_put(r->writer, (const char *)key.data, key.len,
				  (const char *)value.data, value.len, &error);
	return rocks_error(error, "run", false);
}

int rocks_run_end(struct kv_run *run)
{
	struct rocks_run *r = run_of(run);
	char *error = NULL;

	rocksdb_sstfilewriter_finish(r->writer, &error);
	writer_free(r);
	return rocks_error(error, "run", false);
}

/* All runs of one column. */
static int ingest_column(struct rocks *k, unsigned column, const char *const *paths, size_t n)
{
	rocksdb_ingestexternalfileoptions_t *o = rocksdb_ingestexternalfileoptions_create();
	char *error = NULL;

	rocksdb_ingestexternalfileoptions_set_move_files(o, 1);
	rocksdb_ingest_external_file_cf(k->db, k->columns[column], paths, n, o, &error);
	kv_rows_forget_all(k->rows); /* (K5) */
	rocksdb_ingestexternalfileoptions_destroy(o);
	return rocks_error(error, "ingest", false);
}

int rocks_ingest(struct kv *kv, struct kv_run *const *runs, size_t n)
{
	_cleanup_free_ const char **paths = calloc(n + 1, sizeof(*paths));

	if (!paths)
		return fail(-ENOMEM);
	for (unsigned column = 0; column < kv->n_columns; column++) {
		size_t found = 0;
		int r;

		for (size_t i = 0; i < n; i++)
			if (runs[i]->column == column)
				paths[found++] = run_of(runs[i])->path;
		r = found ? ingest_column(rocks_of(kv), column, paths, found) : 0;
		if (r)
			return r;
	}
	return 0;
}

void rocks_runs_remove(const char *dir)
{
	_cleanup_free_ char *path = NULL;
	struct dirent *e;
	DIR *d;

	if (asprintf(&path, "%s/" RUNS, dir) < 0)
		return;
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
}
