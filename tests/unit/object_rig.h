/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two stores in memory behind one set of replicas, whose requests meet the fate that a test sets,
 * and the reading service upon them.
 */
#include "fs/attach/object.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_mem.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>

/* Long enough for the slowest machine; nothing in a test that passes takes it. */
#define PATIENCE (60 * NS_PER_S)
#define IDENTITY "mem://a mem://b"

enum { STORES = 2 };

/* Waits for what another task brings about. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t until_ = clock_now() + PATIENCE;                                          \
		while (!(condition) && clock_now() < until_)                                       \
			sleep_for(2 * NS_PER_MS);                                                  \
		assert_true(condition);                                                            \
	} while (0)

struct rig_store {
	struct mem_bucket *bucket;
	struct store *look; /* owned: not among the replicas, so that no request of it counts */
	struct {
		struct lock lock;
		struct mem_fate get, head, part, finish;
		unsigned n_get_fates; /* how many gets meet it; 0: all */
		unsigned n_part_fates; /* how many parts meet it */
		unsigned gets, heads;
	} sync;
};

struct rig {
	struct rig_store of[STORES];
	struct replicas *replicas;
	struct sealer *sealer;
	struct pieces *pieces;
	struct objects *objects;
	uint64_t patience_ns; /* for objects_new: set before rig_start */
	char tmp[TMPDIR_MAX], dir[TMPDIR_MAX + 8];
};

static inline void rig_plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	struct rig_store *s = arg;

	LOCK_SCOPE(&s->sync.lock);
	if (op == STORE_GET && !span_starts(name, SPAN_LITERAL("probe/"))) {
		s->sync.gets++;
		*fate = s->sync.get;
		if (s->sync.n_get_fates && --s->sync.n_get_fates == 0)
			s->sync.get = (struct mem_fate){ 0 };
	} else if (op == STORE_HEAD) {
		s->sync.heads++;
		*fate = s->sync.head;
	} else if (op == STORE_UPLOAD_PART && s->sync.n_part_fates) {
		s->sync.n_part_fates--;
		*fate = s->sync.part;
	} else if (op == STORE_UPLOAD_FINISH) {
		*fate = s->sync.finish;
	}
}

/* From now on, for so many gets (0: all). */
static inline void rig_get(struct rig *rig, unsigned i, struct mem_fate fate, unsigned n)
{
	LOCK_SCOPE(&rig->of[i].sync.lock);
	rig->of[i].sync.get = fate;
	rig->of[i].sync.n_get_fates = n;
}

static inline void rig_head(struct rig *rig, unsigned i, struct mem_fate fate)
{
	LOCK_SCOPE(&rig->of[i].sync.lock);
	rig->of[i].sync.head = fate;
}

static inline unsigned rig_gets(struct rig *rig, unsigned i)
{
	LOCK_SCOPE(&rig->of[i].sync.lock);
	return rig->of[i].sync.gets;
}

static inline unsigned rig_heads(struct rig *rig, unsigned i)
{
	LOCK_SCOPE(&rig->of[i].sync.lock);
	return rig->of[i].sync.heads;
}

/* The daemon starts: with what lies on the disk, if there is one. */
static inline void rig_start(struct rig *rig, uint64_t deadline_ns)
{
	const struct pieces_options po = { .dir = rig->dir[0] ? rig->dir : NULL,
					   .disk_bytes = 256 * MiB,
					   .memory_bytes = 64 * MiB };

	assert_int_equal(pieces_new(&po, &rig->pieces), 0);

	const struct objects_options oo = { .pieces = rig->pieces,
					    .sealer = rig->sealer,
					    .memory_bytes = 256 * MiB,
					    .deadline_ns = deadline_ns,
					    .patience_ns = rig->patience_ns };

	assert_int_equal(objects_new(&oo, &rig->objects), 0);
}

static inline void rig_stop(struct rig *rig)
{
	rig->objects = objects_free(rig->objects);
	rig->pieces = pieces_free(rig->pieces);
}

static inline void rig_key(struct rig *rig, uint8_t byte)
{
	uint8_t volume[16] = { 1 }, key[32];

	memset(key, byte, sizeof(key));
	sealer_free(rig->sealer);
	assert_int_equal(sealer_new(volume, &rig->sealer), 0);
	assert_int_equal(sealer_add_key(rig->sealer, 1, key), 0);
}

static inline struct rig *rig_new(unsigned n, bool disk)
{
	static const char *const names[STORES] = { "a", "b" };
	struct rig *rig = calloc(1, sizeof(*rig));

	if (disk) {
		tmpdir_make(rig->tmp);
		snprintf(rig->dir, sizeof(rig->dir), "%s/pieces", rig->tmp);
	}
	rig_key(rig, 7);
	assert_int_equal(replicas_new(NULL, &rig->replicas), 0);
	for (unsigned i = 0; i < n; i++) {
		struct rig_store *s = &rig->of[i];

		lock_init(&s->sync.lock, RANK_LEAF);
		s->bucket = mem_bucket_new();
		s->look = store_mem(s->bucket, "look", NULL, NULL);
		assert_int_equal(replicas_add(rig->replicas,
					      store_mem(s->bucket, names[i], rig_plan, s),
					      &(struct replica_options){ .read_price = i }),
				 (int)i);
		/* Known and equally fast: the first is the cheapest. */
		for (int k = 0; k < 3; k++)
			replicas_observe(rig->replicas, i, 0, 10 * NS_PER_MS, 0);
	}
	rig_start(rig, PATIENCE);
	return rig;
}

static inline int rig_free(void **state)
{
	struct rig *rig = *state;

	rig_stop(rig);
	replicas_free(rig->replicas);
	sealer_free(rig->sealer);
	for (unsigned i = 0; i < STORES && rig->of[i].bucket; i++) {
		store_free(rig->of[i].look);
		mem_bucket_free(rig->of[i].bucket);
		lock_release(&rig->of[i].sync.lock);
	}
	if (rig->tmp[0])
		tmpdir_remove(rig->tmp);
	free(rig);
	return 0;
}

/* The content number `which`: no two places of it, and no two contents, look alike. */
static inline uint8_t *content(unsigned which, size_t len)
{
	uint8_t *bytes = malloc(len + 1);
	uint64_t x = which * 0x9e3779b97f4a7c15ull + 1;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (uint8_t)(x >> 56);
	}
	return bytes;
}

static inline void rig_put(struct rig *rig, unsigned i, const char *key, unsigned which, size_t len)
{
	_cleanup_free_ uint8_t *bytes = content(which, len);

	assert_int_equal(mem_bucket_put(rig->of[i].bucket, key, span_of(bytes, len)), 0);
}

/* As a listing at store i would say it. */
static inline struct bucket_entry rig_list(struct rig *rig, unsigned i, const char *key)
{
	const struct head_req req = { .name = span_str(key),
				      .deadline_ns = clock_now() + PATIENCE };
	struct store_call *c = NULL;
	struct bucket_entry e = { .ino = 2 };

	assert_int_equal(store_head_wait(rig->of[i].look, &req, &c), 0);
	e.size = c->size;
	e.modified_s = c->modified_s;
	snprintf(e.version[i], sizeof(e.version[i]), "%s", c->version);
	snprintf(e.key, sizeof(e.key), "%s", key);
	store_call_unref(c);
	return e;
}

static inline struct object *rig_open(struct rig *rig, const struct bucket_entry *e)
{
	struct object *o = NULL;

	assert_int_equal(object_open(rig->objects, IDENTITY, rig->replicas, e, &o), 0);
	return o;
}

/* Reads [off, off + len) and compares it with the content. */
static inline void assert_reads(struct object *o, uint64_t off, size_t len, unsigned which)
{
	_cleanup_free_ uint8_t *want = content(which, object_size(o));
	_cleanup_free_ uint8_t *got = malloc(len + 1);
	size_t n = 0;

	assert_int_equal(object_read(o, off, len, OBJECT_WAIT, got, &n), 0);
	assert_int_equal(n, off >= object_size(o) ? 0 : MIN(len, object_size(o) - off));
	if (n)
		assert_memory_equal(got, want + off, n);
}

static inline int read_result(struct object *o, uint64_t off, enum object_wait wait)
{
	uint8_t byte;
	size_t n = 99;
	int r = object_read(o, off, 1, wait, &byte, &n);

	assert_int_equal(n, r == 0 ? 1 : 99);
	return r;
}
