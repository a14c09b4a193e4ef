/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints of a big namespace on three stores that are folders:
 *
 *   bench_checkpoint [--keep DIR] [FILES]     1,000,000 unless told; --keep: where, and it stays
 *
 * Files of 32 KiB, a thousand in a directory, whose contents share chunks of 8 MiB, are made
 * through the state machine. Then: the first checkpoint, its size and the time to write it; the
 * time and memory of a process that loads it into an empty database; and what the next
 * checkpoint uploads after a thousand changes of several kinds. Yardsticks: the size of the
 * database, and the time that a copy of it takes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "backends/open.h"
#include "base/log.h"
#include "fs/checkpoint.h"
#include "fs/ns/lookup.h"
#include "tests/lib/tmpdir.h"

#define STORES	   3
#define RECORD_OPS 1000
#define DIR_FILES  1000u
#define FILE_BYTES (32 * KiB)
#define CHANGES	   1000u

static const uint8_t volume_id[16] = "bench's volume..";
static const uint8_t volume_key[32] = "the key of the volume of benches";
static const _Atomic bool go_on;
static char top[TMPDIR_MAX];

struct bench {
	struct kv *kv;
	struct view *view;
	struct apply_context ctx;
	struct commit_mark mark;
	uint64_t number, time_ns, next_ino;
	unsigned pending;
	uint8_t chunk[CHUNK_ID_SIZE];
	uint32_t chunk_used;
};

static void check(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "bench_checkpoint: %s: %d\n", what, r);
	abort();
}

static double seconds_since(uint64_t begun)
{
	return (double)(clock_now() - begun) / NS_PER_S;
}

static char *path_of(const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", top, name) < 0 ? abort(), NULL : path;
}

static struct kv *open_database(const char *name)
{
	_cleanup_free_ char *path = path_of(name);
	struct kv *kv;

	check(kv_open(path, column_names, &(struct kv_options){ .cache_bytes = 200 * MiB }, &kv),
	      "kv_open");
	return kv;
}

/* ---- the stores ---- */

static void open_store(struct replicas *r, unsigned i)
{
	_cleanup_free_ char *url = NULL;
	char name[16], err[256];
	struct store *store;

	snprintf(name, sizeof(name), "store%u", i);
	if (asprintf(&url, "file://%s/%s", top, name) < 0)
		abort();
	mkdir(url + strlen("file://"), 0700);
	check(store_open(&(struct store_config){ .name = name, .url = url }, &store, err,
			 sizeof(err)),
	      url);
	check(replicas_add(r, store, &(struct replica_options){ 0 }) < 0, "replicas_add");
}

static void stores_open(struct checkpoint_stores *ret)
{
	*ret = (struct checkpoint_stores){ .stores = (1u << STORES) - 1, .enough = 2 };
	check(sodium_start(), "sodium_start");
	check(replicas_new(&(struct replicas_options){ 0 }, &ret->replicas), "replicas_new");
	for (unsigned i = 0; i < STORES; i++)
		open_store(ret->replicas, i);
	check(sealer_new(volume_id, &ret->sealer), "sealer_new");
	check(sealer_add_key(ret->sealer, 1, volume_key), "sealer_add_key");
}

static void stores_close(struct checkpoint_stores *s)
{
	replicas_free(s->replicas);
	sealer_free(s->sealer);
}

/* ---- the namespace ---- */

static void commit(struct bench *b)
{
	view_cut(b->view);
	check(state_hash_update(&b->mark.hash, b->view), "state_hash_update");
	check(view_commit(b->view, NULL, 0, false), "view_commit");
	b->mark.slot = b->ctx.slot++;
	b->pending = 0;
}

static void run(struct bench *b, struct op op)
{
	struct result res;

	op.number = ++b->number;
	op.time_ns = b->time_ns += 1000003;
	op.uid = op.gid = 1000;
	op.saw = op.saw_to = SAW_ANYTHING;
	check(apply(b->view, &b->ctx, &op, &res), "apply");
	check(res.error, op_kind_name(op.kind));
	if (++b->pending == RECORD_OPS)
		commit(b);
}

static void format(struct bench *b)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	struct volume_format f = {
		.level = 1, .epoch = 1, .key_epoch = 1, .name = SPAN_LITERAL("bench")
	};
	struct op op = { .kind = OP_FORMAT, .mode = 0755 };
	struct result res;

	memcpy(f.id, volume_id, sizeof(f.id));
	memset(b->ctx.incarnation, 0x5a, INCARNATION_SIZE);
	check(volume_format_encode(&f, &value), "volume_format_encode");
	op.value = buf_span(&value);
	check(apply(b->view, &b->ctx, &op, &res), "format");
	commit(b);
	run(b, (struct op){ .kind = OP_MOUNT,
			    .name = SPAN_LITERAL("bench"),
			    .value = span_of(b->ctx.incarnation, INCARNATION_SIZE) });
	b->next_ino = (1ull << INO_BLOCK_BITS) + 1;
}

static uint64_t make_dir(struct bench *b, uint64_t n)
{
	const uint64_t ino = b->next_ino++;
	char name[32];

	snprintf(name, sizeof(name), "directory-%06" PRIu64, n);
	run(b, (struct op){ .kind = OP_MKDIR,
			    .parent = ROOT_INO,
			    .name = span_str(name),
			    .mode = 0755,
			    .ino = ino });
	return ino;
}

/* The next place in a chunk that small files share. */
static void place(struct bench *b, struct op_extent *e, struct op_chunk *c)
{
	if (b->chunk_used % CHUNK_MAX == 0) {
		b->chunk_used = 0;
		random_fill(b->chunk + 4, sizeof(b->chunk) - 4);
		b->chunk[3] = 1; /* the mount's number comes first */
	}
	*c = (struct op_chunk){ .length = CHUNK_MAX, .key_epoch = 1, .stores = 7, .want = 7 };
	memcpy(c->id, b->chunk, sizeof(c->id));
	memcpy(c->salt, b->chunk, sizeof(c->salt));
	*e = (struct op_extent){
		.row = { .kind = EXTENT_CHUNK, .length = FILE_BYTES, .chunk_offset = b->chunk_used }
	};
	memcpy(e->row.chunk, b->chunk, sizeof(e->row.chunk));
	b->chunk_used += FILE_BYTES;
}

static void make_file(struct bench *b, uint64_t parent, uint64_t n)
{
	const uint64_t ino = b->next_ino++;
	struct op_extent e;
	struct op_chunk c;
	char name[40];

	snprintf(name, sizeof(name), "sample-%09" PRIu64 ".jpeg", n);
	run(b, (struct op){ .kind = OP_CREATE,
			    .parent = parent,
			    .name = span_str(name),
			    .mode = S_IFREG | 0644,
			    .ino = ino });
	place(b, &e, &c);
	run(b, (struct op){ .kind = OP_WRITE,
			    .ino = ino,
			    .extents = &e,
			    .n_extents = 1,
			    .chunks = &c,
			    .n_chunks = 1 });
}

/* Directory d's inode: it was made right before its files. */
static uint64_t dir_of(uint64_t d)
{
	return (1ull << INO_BLOCK_BITS) + 1 + d * (DIR_FILES + 1);
}

static void make_all(struct bench *b, uint64_t files)
{
	const uint64_t begun = clock_now();
	uint64_t dir = 0;

	format(b);
	for (uint64_t i = 0; i < files; i++) {
		if (i % DIR_FILES == 0)
			dir = make_dir(b, i / DIR_FILES);
		make_file(b, dir, i);
	}
	commit(b);
	check(commit_mark_store(b->kv, &b->mark), "commit_mark_store");
	printf("made                 %" PRIu64 " files in %.0f s, database %.0f MB\n", files,
	       seconds_since(begun), (double)kv_disk_bytes(b->kv) / 1e6);
}

/* ---- measurements ---- */

static void write_one(struct bench *b, const struct checkpoint_stores *s,
		      const struct checkpoint_row *base, struct checkpoint_row *ret,
		      struct checkpoint_report *ret_report)
{
	struct commit_snapshot snap;

	commit(b);
	check(commit_mark_store(b->kv, &b->mark), "commit_mark_store");
	check(commit_snapshot_of(b->kv, &snap), "commit_snapshot_of");
	check(checkpoint_write(s, &snap, 1, base, &go_on, ret, ret_report), "checkpoint_write");
}

static void load_into(const char *name)
{
	struct kv *kv = open_database(name);
	struct checkpoint_stores s;
	struct checkpoint_report rep;
	struct rusage use;

	stores_open(&s);
	check(checkpoint_load(&s, UINT64_MAX, kv, &rep), "checkpoint_load");
	getrusage(RUSAGE_SELF, &use);
	printf("loaded               in %.1f s (%.1f s of processor), RSS %.0f MiB, "
	       "%" PRIu64 " rows\n",
	       rep.seconds, (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec,
	       (double)use.ru_maxrss / 1024, rep.rows);
	fflush(stdout);
	kv_close(kv);
	stores_close(&s);
}

/* In a process of its own, whose memory is its own. */
static void load_apart(const char *program)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		execl(program, program, "--load", top, (char *)NULL);
		_exit(127);
	}
	check(child < 0 || waitpid(child, &status, 0) < 0 || status, "a process that loads");
}

static void change_new_files(struct bench *b, uint64_t files)
{
	for (uint64_t i = 0; i < CHANGES; i++)
		make_file(b, dir_of(files / DIR_FILES / 2), files + i);
}

static void change_ten_dirs(struct bench *b, uint64_t files)
{
	const uint64_t dirs = MAX(files / DIR_FILES, 1u);

	for (uint64_t i = 0; i < CHANGES; i++)
		make_file(b, dir_of((i % 10) * dirs / 10), files + CHANGES + i);
}

static void change_neighbours(struct bench *b, uint64_t files)
{
	for (uint64_t i = 0; i < CHANGES; i++)
		run(b, (struct op){ .kind = OP_SETATTR,
				    .ino = dir_of(files / DIR_FILES / 3) + 1 + i % DIR_FILES,
				    .set = OP_SET_MODE,
				    .mode = 0600 });
}

static void change_anywhere(struct bench *b, uint64_t files)
{
	for (uint64_t i = 0; i < CHANGES; i++)
		run(b, (struct op){ .kind = OP_SETATTR,
				    .ino = dir_of(random_u64() % (files / DIR_FILES)) + 1 +
					   random_u64() % DIR_FILES,
				    .set = OP_SET_MODE,
				    .mode = 0600 });
}

static void measure_changes(struct bench *b, const struct checkpoint_stores *s, uint64_t files,
			    struct checkpoint_row *last)
{
	static const struct {
		const char *what;
		void (*change)(struct bench *b, uint64_t files);
	} kinds[] = { { "files in one directory", change_new_files },
		      { "files in ten directories", change_ten_dirs },
		      { "neighbours' modes", change_neighbours },
		      { "anybody's modes", change_anywhere } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct checkpoint_report rep;

		kinds[i].change(b, files);
		write_one(b, s, last, last, &rep);
		printf("after 1,000 changes  %5.1f %% of %" PRIu64
		       " parts, %.1f MB, in %.1f s: %s\n",
		       100.0 * (double)rep.parts_written / (double)rep.parts, rep.parts,
		       (double)rep.bytes_written / 1e6, rep.seconds, kinds[i].what);
	}
}

static void bench(const char *program, uint64_t files)
{
	struct bench b = { .kv = open_database("ns") };
	struct checkpoint_report rep;
	struct checkpoint_stores s;
	struct checkpoint_row row;

	b.view = view_new(b.kv, COL_COUNT);
	b.time_ns = 1700000000000000000ull;
	if (!b.view)
		abort();
	make_all(&b, files);
	stores_open(&s);
	write_one(&b, &s, NULL, &row, &rep);
	printf("written              in %.1f s, %.1f MB in %" PRIu64 " parts, %.1f bytes a file\n",
	       rep.seconds, (double)rep.bytes / 1e6, rep.parts, (double)rep.bytes / (double)files);
	fflush(stdout);
	load_apart(program);
	measure_changes(&b, &s, files, &row);
	stores_close(&s);
	view_free(b.view);
	kv_close(b.kv);
}

int main(int argc, char **argv)
{
	const bool keep = argc > 2 && !strcmp(argv[1], "--keep");
	const char *files = argc > (keep ? 3 : 1) ? argv[keep ? 3 : 1] : "1000000";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "--load")) {
		snprintf(top, sizeof(top), "%s", argv[2]);
		load_into("loaded");
		return 0;
	}
	if (keep) {
		snprintf(top, sizeof(top), "%s", argv[2]);
		mkdir(top, 0700);
	} else {
		tmpdir_make(top);
	}
	bench(argv[0], strtoull(files, NULL, 10));
	if (!keep)
		tmpdir_remove(top);
	return 0;
}
