/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/attach.h"

#include "base/codec.h"
#include "base/log.h"
#include "fs/attach/mirror.h"

#include <stdio.h>

#define LOCAL_MEMORY (16 * MiB)
#define NAME_KEY_MAX 128

struct attach {
	struct attach_options o;
	struct kv *local;
	struct objects *objects;
	struct mirrors *mirrors;
	struct {
		struct lock lock; /* RANK_LEAF: the mirrors' task looks while more are added */
		struct attached **all;
		size_t n;
	} sync;
};

static void attached_free(struct attached *one)
{
	bucket_free(one->bucket);
	replicas_free(one->replicas);
	free(one->identity);
	free(one->name);
	free(one);
}

struct attach *attach_free(struct attach *a)
{
	if (!a)
		return NULL;
	mirrors_free(a->mirrors);
	objects_free(a->objects);
	for (size_t i = 0; i < a->sync.n; i++)
		attached_free(a->sync.all[i]);
	free(a->sync.all);
	kv_close(a->local);
	lock_release(&a->sync.lock);
	free(a);
	return NULL;
}

/* It is a cache like the namespace's: damaged, it is built anew. */
static int open_local(struct attach *a)
{
	const struct kv_options opts = { .cache_bytes = LOCAL_MEMORY, .compact_on_deletion = true };
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/local", a->o.dir) < 0)
		return fail(-ENOMEM);
	r = kv_open(dir, local_columns, &opts, &a->local);
	if (r != -EBADMSG)
		return r;
	log_warn("attach", "what was remembered of the buckets is damaged; it is listed anew",
		 "dir=%s", dir);
	r = kv_destroy(dir);
	return r ? r : kv_open(dir, local_columns, &opts, &a->local);
}

static struct attached *find_number(unsigned number, void *arg)
{
	struct attach *a = arg;

	LOCK_SCOPE(&a->sync.lock);
	for (size_t i = 0; i < a->sync.n; i++)
		if (a->sync.all[i]->number == number)
			return a->sync.all[i];
	return NULL;
}

static int open_mirrors(struct attach *a)
{
	const struct mirrors_options o = { .local = a->local,
					   .find = find_number,
					   .arg = a,
					   .deadline_ns = a->o.deadline_ns };

	return mirrors_new(&o, &a->mirrors);
}

int attach_new(const struct attach_options *o, struct attach **ret)
{
	_cleanup_(attach_freep) struct attach *a = calloc(1, sizeof(*a));
	const struct objects_options oo = { .pieces = o->pieces,
					    .sealer = o->sealer,
					    .memory_bytes = o->memory_bytes,
					    .deadline_ns = o->deadline_ns };
	int r;

	if (!a)
		return fail(-ENOMEM);
	a->o = *o;
	lock_init(&a->sync.lock, RANK_LEAF);
	r = open_local(a);
	if (!r)
		r = objects_new(&oo, &a->objects);
	if (!r)
		r = open_mirrors(a);
	if (r)
		return r;
	*ret = take_ptr(&a);
	return 0;
}

static int number_read(struct kv *kv, struct span key, uint64_t *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(NAME_KEY_MAX);
	int r = kv_get(kv, LOCAL_META, key, &value);
	struct reader in = READER(buf_span(&value));
	uint64_t n;

	if (r)
		return r;
	n = read_be64(&in);
	if (read_end(&in))
		return fail(-EIO);
	*ret = n;
	return 0;
}

static int number_put(struct kv_batch *b, struct span key, uint64_t n)
{
	_cleanup_buf_ struct buf value = BUF_INIT(8);
	struct writer out = WRITER(&value);

	write_be64(&out, n);
	return out.error ? out.error : kv_batch_put(b, LOCAL_META, key, buf_span(&value));
}

/* (A1) */
static int number_of(struct kv *kv, const char *name, unsigned *ret)
{
	static const char next_key[] = "attach-next";
	_cleanup_(kv_batch_freep) struct kv_batch *b = NULL;
	char key[NAME_KEY_MAX];
	uint64_t number, next = 1;
	int r;

	snprintf(key, sizeof(key), "attach/%s", name);
	r = number_read(kv, span_str(key), &number);
	if (r != KV_MISSING) {
		if (!r)
			*ret = (unsigned)number;
		return r;
	}
	r = number_read(kv, span_str(next_key), &next);
	if (r < 0)
		return r;
	b = kv_batch_new(kv);
	if (!b)
		return fail(-ENOMEM);
	r = number_put(b, span_str(key), next);
	if (!r)
		r = number_put(b, span_str(next_key), next + 1);
	if (!r)
		r = kv_write(kv, b, true);
	if (!r)
		*ret = (unsigned)next;
	return r;
}

static int add_stores(struct attached *one, struct store *const *takes, size_t n)
{
	const struct replicas_options opts = { .late_budget_bytes = 0 };
	const struct replica_options plain = { .read_price = 0 };
	_cleanup_buf_ struct buf identity = BUF_INIT(64 * KiB);
	int r = replicas_new(&opts, &one->replicas);

	for (size_t i = 0; i < n; i++) {
		int x;

		if (!r)
			r = buf_addf(&identity, "%s%s", i ? "," : "", takes[i]->url);
		if (r) {
			store_free(takes[i]);
			continue;
		}
		x = replicas_add(one->replicas, takes[i], &plain);
		r = x < 0 ? x : 0;
	}
	if (r)
		return r;
	one->identity = strdup(buf_str(&identity));
	return one->identity ? 0 : fail(-ENOMEM);
}

static int open_bucket(const struct attach *a, struct attached *one)
{
	struct bucket_options o = { .identity = one->identity,
				    .replicas = one->replicas,
				    .local = a->local,
				    .ttl_ns = one->ttl_ns,
				    .deadline_ns = a->o.deadline_ns };
	int r = number_of(a->local, one->name, &one->number);

	o.number = one->number;
	return r ? r : bucket_new(&o, &one->bucket);
}

/* Takes it. */
static int list_add(struct attach *a, struct attached *takes)
{
	struct attached **all;

	LOCK_SCOPE(&a->sync.lock);
	all = realloc(a->sync.all, (a->sync.n + 1) * sizeof(*all));
	if (!all)
		return fail(-ENOMEM);
	a->sync.all = all;
	a->sync.all[a->sync.n++] = takes;
	return 0;
}

int attach_add(struct attach *a, const char *name, struct store *const *takes, size_t n,
	       bool read_only, uint64_t ttl_ns)
{
	struct attached *one = calloc(1, sizeof(*one));
	int r;

	if (!one) {
		for (size_t i = 0; i < n; i++)
			store_free(takes[i]);
		return fail(-ENOMEM);
	}
	one->owner = a;
	one->name = strdup(name);
	one->read_only = read_only;
	one->ttl_ns = ttl_ns;
	r = add_stores(one, takes, n);
	if (!r && !one->name)
		r = fail(-ENOMEM);
	if (!r)
		r = open_bucket(a, one);
	if (!r)
		r = list_add(a, one);
	if (r)
		attached_free(one);
	return r;
}

size_t attach_count(const struct attach *a)
{
	return a->sync.n;
}

struct attached *attach_at(const struct attach *a, size_t i)
{
	return a->sync.all[i];
}

struct attached *attach_find(const struct attach *a, struct span name)
{
	for (size_t i = 0; i < a->sync.n; i++)
		if (span_equal(span_str(a->sync.all[i]->name), name))
			return a->sync.all[i];
	return NULL;
}

struct attached *attach_of(const struct attach *a, uint64_t ino)
{
	const uint64_t number = (ino & ~ATTACHED_BIT) >> ATTACHED_SHIFT;

	for (size_t i = 0; ino & ATTACHED_BIT && i < a->sync.n; i++)
		if (a->sync.all[i]->number == number)
			return a->sync.all[i];
	return NULL;
}

struct objects *attach_objects(const struct attach *a)
{
	return a->objects;
}

/* The next name of a path; moves behind it. Empty at the end. */
static struct span next_name(const char **path)
{
	const char *at = *path + strspn(*path, "/");
	const size_t len = strcspn(at, "/");

	*path = at + len;
	return span_of(at, len);
}

int attach_path(const struct attach *a, const char *path, struct attached **ret,
		struct bucket_entry *ret_entry)
{
	struct attached *one = attach_find(a, next_name(&path));
	struct span name;

	if (!one)
		return -ENOENT;
	*ret_entry = (struct bucket_entry){ .ino = bucket_root(one->bucket), .is_dir = true };
	while ((name = next_name(&path)).len) {
		int r = ret_entry->is_dir ? bucket_lookup(one->bucket, ret_entry->ino, name,
							  BUCKET_WAIT, ret_entry) :
					    -ENOTDIR;

		if (r)
			return r == BUCKET_MISSING ? -ENOENT : r;
	}
	*ret = one;
	return 0;
}

int attach_missed(struct attached *one, const char *key, uint64_t stores)
{
	return stores ? mirrors_note(one->owner->mirrors, one->number, key, stores) : 0;
}

uint64_t attach_missing(const struct attached *one)
{
	return mirrors_left(one->owner->mirrors, one->number);
}
