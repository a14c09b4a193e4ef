/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the state machine does in a second, as a mount uses it: each operation is applied early for
 * its answer, and again in its record with its state hash, which is then committed (not synced).
 *
 *   bench_ns [operations]   each phase on memory and on RocksDB
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/wait.h"
#include "fs/ns/apply.h"
#include "fs/ns/lookup.h"
#include "tests/lib/tmpdir.h"

#define RECORD_OPS  500
#define CHUNK_BYTES 4096

struct bench {
	struct kv *kv;
	struct view *view;
	struct apply_context ctx;
	struct state_hash hash;
	uint64_t number;
	struct op record[RECORD_OPS];
	struct op_extent extents[RECORD_OPS];
	struct op_chunk chunks[RECORD_OPS];
	char names[RECORD_OPS][32];
	unsigned n; /* of the record */
	uint64_t early_ns, record_ns, commit_ns;
};

static void check(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "bench_ns: %s: %d\n", what, r);
	abort();
}

static void run(struct bench *b, const struct op *op)
{
	struct result res;

	check(apply(b->view, &b->ctx, op, &res), "apply");
	check(res.error, "result");
}

static void commit(struct bench *b)
{
	view_cut(b->view);
	check(state_hash_update(&b->hash, b->view), "state_hash_update");
	check(view_commit(b->view, NULL, 0, false), "view_commit");
	b->ctx.slot++;
}

static void flush(struct bench *b)
{
	const uint64_t begin = clock_now();
	uint64_t middle;

	view_drop_open(b->view);
	b->ctx.early = false;
	for (unsigned i = 0; i < b->n; i++)
		run(b, &b->record[i]);
	middle = clock_now();
	commit(b);
	b->record_ns += middle - begin;
	b->commit_ns += clock_now() - middle;
	b->ctx.early = true;
	b->n = 0;
}

/* The op borrows from the slots of b->n. */
static void submit(struct bench *b, struct op op)
{
	const uint64_t begin = clock_now();

	op.number = ++b->number;
	op.time_ns = b->number;
	b->record[b->n] = op;
	run(b, &b->record[b->n++]);
	b->early_ns += clock_now() - begin;
	if (b->n == RECORD_OPS)
		flush(b);
}

static void format(struct bench *b)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	const struct volume_format f = {
		.level = 1, .epoch = 1, .key_epoch = 1, .name = SPAN_LITERAL("bench")
	};
	struct op op = { .kind = OP_FORMAT, .mode = 0755 };

	check(volume_format_encode(&f, &value), "volume_format_encode");
	op.value = buf_span(&value);
	run(b, &op);
	op = (struct op){ .kind = OP_MOUNT,
			  .number = ++b->number,
			  .name = SPAN_LITERAL("bench"),
			  .value = span_of(b->ctx.incarnation, INCARNATION_SIZE) };
	b->ctx.slot = 1;
	run(b, &op);
	commit(b);
	b->ctx.early = true;
}

static struct span name_of(struct bench *b, uint64_t i)
{
	snprintf(b->names[b->n], sizeof(b->names[0]), "file-%08llu", (unsigned long long)i);
	return span_str(b->names[b->n]);
}

static void do_create(struct bench *b, uint64_t i)
{
	submit(b, (struct op){ .kind = OP_CREATE,
			       .parent = ROOT_INO,
			       .name = name_of(b, i),
			       .mode = S_IFREG | 0644,
			       .ino = (1ull << INO_BLOCK_BITS) + 1 + i });
}

static void do_lookup(struct bench *b, uint64_t i)
{
	struct inode_view iv;
	uint64_t ino;

	check(ns_lookup(b->view, ROOT_INO, name_of(b, i), &ino, NULL), "ns_lookup");
	check(ns_inode(b->view, ino, &iv), "ns_inode");
	buf_release(&iv.bytes);
}

static void do_miss(struct bench *b, uint64_t i)
{
	check(ns_lookup(b->view, ROOT_INO, name_of(b, i + (1u << 30)), NULL, NULL) - NS_MISSING,
	      "ns_lookup");
}

static void do_write(struct bench *b, uint64_t i)
{
	struct op_extent *e = &b->extents[b->n];
	struct op_chunk *c = &b->chunks[b->n];

	*c = (struct op_chunk){ .length = CHUNK_BYTES, .stores = 7, .want = 7 };
	memcpy(c->id + 4, &i, sizeof(i));
	*e = (struct op_extent){ .row = { .kind = EXTENT_CHUNK, .length = CHUNK_BYTES } };
	memcpy(e->row.chunk, c->id, CHUNK_ID_SIZE);
	submit(b, (struct op){ .kind = OP_WRITE,
			       .ino = (1ull << INO_BLOCK_BITS) + 1 + i,
			       .extents = e,
			       .n_extents = 1,
			       .chunks = c,
			       .n_chunks = 1 });
}

/* One file grows chunk by chunk. */
static void do_append(struct bench *b, uint64_t i)
{
	struct op_extent *e = &b->extents[b->n];
	struct op_chunk *c = &b->chunks[b->n];

	*c = (struct op_chunk){ .length = CHUNK_BYTES, .stores = 7, .want = 7 };
	c->id[0] = 1;
	memcpy(c->id + 4, &i, sizeof(i));
	*e = (struct op_extent){ .row = { .kind = EXTENT_CHUNK, .length = CHUNK_BYTES } };
	memcpy(e->row.chunk, c->id, CHUNK_ID_SIZE);
	submit(b, (struct op){ .kind = OP_WRITE,
			       .flags = OP_WRITE_APPEND,
			       .ino = (1ull << INO_BLOCK_BITS) + 1,
			       .extents = e,
			       .n_extents = 1,
			       .chunks = c,
			       .n_chunks = 1 });
}

/* The new name stands behind the old one, in the same slot's space. */
static void do_rename(struct bench *b, uint64_t i)
{
	struct op op = { .kind = OP_RENAME,
			 .parent = ROOT_INO,
			 .to_parent = ROOT_INO,
			 .saw = SAW_ANYTHING,
			 .saw_to = SAW_ANYTHING,
			 .name = name_of(b, i) };
	char *to = b->names[b->n] + sizeof(b->names[0]) / 2;

	snprintf(to, sizeof(b->names[0]) / 2, "f%llu", (unsigned long long)i);
	op.to_name = span_str(to);
	submit(b, op);
}

static void do_unlink(struct bench *b, uint64_t i)
{
	snprintf(b->names[b->n], sizeof(b->names[0]), "f%llu", (unsigned long long)i);
	submit(b, (struct op){ .kind = OP_UNLINK,
			       .parent = ROOT_INO,
			       .name = span_str(b->names[b->n]),
			       .saw = SAW_ANYTHING });
}

static int count_entry(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	++*(uint64_t *)arg;
	return 0;
}

static void phase(struct bench *b, const char *name, uint64_t n,
		  void (*one)(struct bench *, uint64_t))
{
	const uint64_t begin = clock_now();
	double seconds;

	b->early_ns = b->record_ns = b->commit_ns = 0;
	for (uint64_t i = 0; i < n; i++)
		one(b, i);
	if (b->n)
		flush(b);
	seconds = (double)(clock_now() - begin) / NS_PER_S;
	printf("  %-14s %9.0f /s   early %5.1f us, in the record %5.1f us, hash and commit %5.1f "
	       "us\n",
	       name, (double)n / seconds, (double)b->early_ns / 1e3 / (double)n,
	       (double)b->record_ns / 1e3 / (double)n, (double)b->commit_ns / 1e3 / (double)n);
}

static void bench(const char *name, struct kv *kv, uint64_t n)
{
	struct bench *b = calloc(1, sizeof(*b));
	uint64_t begin, entries = 0;

	if (!b || !kv)
		abort();
	b->kv = kv;
	b->view = view_new(kv, COL_COUNT);
	if (!b->view)
		abort();
	printf("%s, %llu operations each\n", name, (unsigned long long)n);
	format(b);
	phase(b, "create", n, do_create);
	phase(b, "lookup + stat", n, do_lookup);
	phase(b, "lookup, none", n, do_miss);
	begin = clock_now();
	check(ns_readdir(b->view, ROOT_INO, 0, count_entry, &entries), "ns_readdir");
	printf("  %-14s %9.0f /s   entries\n", "readdir",
	       (double)entries * NS_PER_S / (double)(clock_now() - begin));
	phase(b, "write", n, do_write);
	phase(b, "append", n, do_append);
	phase(b, "rename", n, do_rename);
	phase(b, "unlink", n, do_unlink);
	view_free(b->view);
	kv_close(kv);
	free(b);
}

int main(int argc, char **argv)
{
	const uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000;
	char dir[TMPDIR_MAX], db[TMPDIR_MAX + 8];
	struct kv *kv;

	bench("memory", kv_memory(COL_COUNT), n);
	tmpdir_make(dir);
	snprintf(db, sizeof(db), "%s/ns", dir);
	check(kv_open(db, column_names, NULL, &kv), "kv_open");
	bench("RocksDB", kv, n);
	tmpdir_remove(dir);
	return 0;
}
