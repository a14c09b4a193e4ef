/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An attached bucket upon stores in memory, whose LIST and HEAD are counted and can be spoiled. */
#include <stdio.h>

#include "fs/attach/bucket.h"
#include "fs/attach/keys.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_mem.h"

#define PATIENCE (30 * NS_PER_S)
#define LONG_TTL (3600 * NS_PER_S)

struct side {
	struct rig *rig;
	struct mem_bucket *bucket;
	unsigned _Atomic lists, heads;
	unsigned _Atomic fail_after; /* LISTs from this one on fail, once each ... */
	unsigned _Atomic fail_times; /* ... for so many times */
	int _Atomic fail_result;
	bool _Atomic mute;           /* nobody answers */
	uint64_t _Atomic delay_ns;
};
struct rig {
	struct side side[2];
	struct replicas *replicas;
	struct kv *local;
	struct bucket *bucket;
	uint64_t ttl_ns, deadline_ns;
	const char *identity;
	unsigned sides;
	bool starts_nowhere; /* its stores cannot start after a name */
};

static inline void rig_plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	struct side *s = arg;

	if (op == STORE_HEAD)
		s->heads++;
	if (op == STORE_LIST)
		s->lists++;
	fate->mute = fate->lost = s->mute;
	fate->answer_ns = s->delay_ns;
	if (op == STORE_LIST && s->fail_times && s->lists > s->fail_after) {
		s->fail_times--;
		fate->result = s->fail_result;
	}
}

static inline void rig_open(struct rig *rig)
{
	static const char *const names[] = { "one", "two" };
	struct bucket_options o = { .number = 3, .identity = rig->identity, .local = rig->local,
				    .ttl_ns = rig->ttl_ns, .deadline_ns = rig->deadline_ns };

	assert_int_equal(replicas_new(NULL, &rig->replicas), 0);
	for (unsigned i = 0; i < rig->sides; i++) {
		struct store *s = store_mem(rig->side[i].bucket, names[i], rig_plan,
					    &rig->side[i]);

		s->starts_after &= !rig->starts_nowhere;
		assert_int_equal(replicas_add(rig->replicas, s, NULL), (int)i);
	}
	o.replicas = rig->replicas;
	assert_int_equal(bucket_new(&o, &rig->bucket), 0);
}

static inline void rig_close(struct rig *rig)
{
	rig->bucket = bucket_free(rig->bucket);
	rig->replicas = replicas_free(rig->replicas);
}

static inline struct rig *rig_new(unsigned sides)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->sides = sides;
	rig->ttl_ns = LONG_TTL;
	rig->deadline_ns = PATIENCE;
	rig->identity = "mem://one";
	rig->local = kv_memory(LOCAL_COUNT);
	for (unsigned i = 0; i < sides; i++)
		rig->side[i].bucket = mem_bucket_new();
	rig_open(rig);
	return rig;
}

static inline struct rig *rig_free(struct rig *rig)
{
	rig_close(rig);
	kv_close(rig->local);
	for (unsigned i = 0; i < rig->sides; i++)
		mem_bucket_free(rig->side[i].bucket);
	free(rig);
	return NULL;
}

static inline void rig_put(struct rig *rig, const char *key, const char *content)
{
	for (unsigned i = 0; i < rig->sides; i++)
		assert_int_equal(mem_bucket_put(rig->side[i].bucket, key, span_str(content)), 0);
}

static inline void rig_remove(struct rig *rig, const char *key)
{
	for (unsigned i = 0; i < rig->sides; i++)
		assert_true(mem_bucket_remove(rig->side[i].bucket, key));
}

static inline unsigned rig_requests(const struct rig *rig)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rig->sides; i++)
		n += rig->side[i].lists + rig->side[i].heads;
	return n;
}

/* ---- reading as a program does: some entries at a time ---- */

struct listed {
	struct bucket_entry *e;
	char (*name)[KEY_NAME_MAX + 1];
	size_t n, room;
	size_t batch; /* how many are left of this call */
};

static inline int rig_entry(struct span name, const struct bucket_entry *e, void *arg)
{
	struct listed *l = arg;

	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->e = reallocarray(l->e, l->room, sizeof(*l->e));
		l->name = reallocarray(l->name, l->room, sizeof(*l->name));
	}
	assert_true(name.len <= KEY_NAME_MAX);
	memcpy(l->name[l->n], name.data, name.len);
	l->name[l->n][name.len] = '\0';
	l->e[l->n++] = *e;
	return --l->batch == 0;
}

static inline void listed_release(struct listed *l)
{
	free(l->e);
	free(l->name);
	*l = (struct listed){ 0 };
}
#define _cleanup_listed_ _cleanup_(listed_release)

static inline int rig_read(struct rig *rig, uint64_t dir, struct listed *l)
{
	bool end = false;
	int r = 0;

	while (!end && !r) {
		l->batch = 100;
		r = bucket_readdir(rig->bucket, dir, l->n ? l->e[l->n - 1].ino : 0, BUCKET_WAIT,
				   rig_entry, l, &end);
	}
	return r;
}

/* The names of a directory, each with '/' or its size, as one text. */
static inline const char *rig_ls(struct rig *rig, uint64_t dir)
{
	static char text[8192];
	_cleanup_listed_ struct listed l = { 0 };
	int at = 0, r = rig_read(rig, dir, &l);

	if (r)
		at = snprintf(text, sizeof(text), "error %d ", r);
	text[at] = '\0';
	for (size_t i = 0; i < l.n; i++)
		at += l.e[i].is_dir ? snprintf(text + at, sizeof(text) - at, "%s/ ", l.name[i])
				    : snprintf(text + at, sizeof(text) - at, "%s=%d ", l.name[i],
					       (int)l.e[i].size);
	return text;
}

static inline int rig_lookup(struct rig *rig, uint64_t dir, const char *name,
			     struct bucket_entry *ret)
{
	return bucket_lookup(rig->bucket, dir, span_str(name), BUCKET_WAIT, ret);
}

/* A path's inode number; 0: not there. */
static inline uint64_t rig_walk(struct rig *rig, const char *path)
{
	uint64_t dir = bucket_root(rig->bucket);
	struct bucket_entry e = { .ino = dir };
	char copy[4096], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		if (*name && rig_lookup(rig, e.ino, name, &e))
			return 0;
	return e.ino;
}

/* find(1): a directory is read to its end, then what is in it. */
static inline size_t rig_find(struct rig *rig, uint64_t dir)
{
	_cleanup_listed_ struct listed l = { 0 };
	size_t files = 0;

	assert_int_equal(rig_read(rig, dir, &l), 0);
	for (size_t i = 0; i < l.n; i++)
		files += l.e[i].is_dir ? rig_find(rig, l.e[i].ino) : 1;
	return files;
}

static inline void rig_put_many(struct rig *rig, const char *fmt, unsigned n)
{
	char key[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), fmt, i);
		rig_put(rig, key, "1");
	}
}

/* Each name once, in the order of keys. */
static inline void check_order(const struct listed *l, size_t n)
{
	assert_int_equal(l->n, n);
	for (size_t i = 1; i < l->n; i++)
		assert_true(strcmp(l->e[i - 1].key, l->e[i].key) < 0);
}

static inline int rig_setup(void **state)
{
	*state = rig_new(1);
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static inline uint64_t root(struct rig *rig)
{
	return bucket_root(rig->bucket);
}
