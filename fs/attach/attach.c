/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/attach.h"

#include "base/codec.h"
#include "base/log.h"
#include "fs/attach/mirror.h"
#include "fs/attach/unfinished.h"

#include <stdio.h>

#define LOCAL_MEMORY (16 * MiB)
#define NAME_KEY_MAX 320

struct attach {
	struct attach_options o;
	struct kv *local;
	struct objects *objects;
	struct mirrors *mirrors;
	struct unfinished *unfinished;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct attached **all; /* those that were removed as well (A2) */
		size_t n;
	} sync;
	unsigned _Atomic n_shown; /* for those who hold no lock */
};

static void attached_free(struct attached *one)
{
	bucket_free(one->bucket);
	replicas_free(one->replicas);
	free(one->identity);
	free(one->refused);
	free(one->name);
	free(one);
}

struct attach *attach_free(struct attach *a)
{
	if (!a)
		return NULL;
	unfinished_free(a->unfinished);
	mirrors_free(a->mirrors);
	objects_free(a->objects);
	for (size_t i = 0; i < a->sync.n; i++)
		attached_free(a->sync.all[i]);
	free(a->sync.all);
	if (a->local)
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
		if (a->sync.all[i]->number == number && !a->sync.all[i]->removed)
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

static int open_unfinished(struct attach *a)
{
	const struct unfinished_options o = { .local = a->local, .find = find_number, .arg = a };

	return unfinished_new(&o, &a->unfinished);
}

int attach_new(const struct attach_options *o, struct attach **ret)
{
	struct attach *a = calloc(1, sizeof(*a));

	if (!a)
		return fail(-ENOMEM);
	a->o = *o;
	lock_init(&a->sync.lock, RANK_LEAF);
	*ret = a;
	return 0;
}

/* What all share costs a database and tasks: only where there is something to attach. */
static int open_shared(struct attach *a)
{
	const struct objects_options oo = { .pieces = a->o.pieces,
					    .sealer = a->o.sealer,
					    .memory_bytes = a->o.memory_bytes,
					    .deadline_ns = a->o.deadline_ns };
	int r = a->local ? 0 : open_local(a);

	if (!r && !a->objects)
		r = objects_new(&oo, &a->objects);
	if (!r && !a->unfinished)
		r = open_unfinished(a);
	if (!r && !a->mirrors)
		r = open_mirrors(a);
	return r;
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

static bool number_used(struct attach *a, unsigned number)
{
	LOCK_SCOPE(&a->sync.lock);
	for (size_t i = 0; i < a->sync.n; i++)
		if (a->sync.all[i]->number == number)
			return true;
	return false;
}

/* The next one, from now on the name's. */
static int number_draw(struct kv *kv, struct span key, unsigned *ret)
{
	static const char next_key[] = "attach-next";
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(kv);
	uint64_t next = 1;
	int r = number_read(kv, span_str(next_key), &next);

	if (r < 0)
		return r;
	if (!b)
		return fail(-ENOMEM);
	r = number_put(b, key, next);
	if (!r)
		r = number_put(b, span_str(next_key), next + 1);
	if (!r)
		r = kv_write(kv, b, true);
	if (!r)
		*ret = (unsigned)next;
	return r;
}

/* (A1) That of one that was removed is still the kernel's: another one has another (A2). */
static int number_of(struct attach *a, const char *name, unsigned *ret)
{
	char key[NAME_KEY_MAX];
	uint64_t number;
	int r;

	snprintf(key, sizeof(key), "attach/%s", name);
	r = number_read(a->local, span_str(key), &number);
	if (r < 0)
		return r;
	if (r == KV_MISSING || number_used(a, (unsigned)number))
		return number_draw(a->local, span_str(key), ret);
	*ret = (unsigned)number;
	return 0;
}

static int add_stores(struct attached *one, struct store *const *takes, size_t n)
{
	const struct replicas_options opts = { .late_budget_bytes = 0 };
	const struct replica_options plain = { .read_price = 0 };
	int r = replicas_new(&opts, &one->replicas);

	for (size_t i = 0; i < n; i++) {
		if (r) {
			store_free(takes[i]);
			continue;
		}
		r = replicas_add(one->replicas, takes[i], &plain);
		r = MIN(r, 0);
	}
	return r;
}

/* The URLs, joined by commas. */
static int identity_of(const struct attach_spec *spec, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; !r && i < spec->n_urls; i++)
		r = buf_addf(ret, "%s%s", i ? "," : "", spec->urls[i]);
	return r;
}

static int open_bucket(struct attach *a, struct attached *one)
{
	struct bucket_options o = { .identity = one->identity,
				    .replicas = one->replicas,
				    .local = a->local,
				    .ttl_ns = one->ttl_ns,
				    .deadline_ns = a->o.deadline_ns,
				    .refused = one->refused != NULL };
	int r = number_of(a, one->name, &one->number);

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
	a->n_shown++;
	return 0;
}

static int attached_new(struct attach *a, const struct attach_spec *spec, struct attached **ret)
{
	_cleanup_buf_ struct buf identity = BUF_INIT(64 * KiB);
	struct attached *one;
	int r = identity_of(spec, &identity);

	if (r)
		return r;
	one = calloc(1, sizeof(*one));
	if (!one)
		return fail(-ENOMEM);
	*one = (struct attached){ .owner = a,
				  .name = strdup(spec->name),
				  .identity = strdup(buf_str(&identity)),
				  .refused = spec->refused ? strdup(spec->refused) : NULL,
				  .of_volume = spec->of_volume,
				  .read_only = spec->read_only,
				  .ttl_ns = spec->ttl_ns };
	if (!one->name || !one->identity || (spec->refused && !one->refused)) {
		attached_free(one);
		return fail(-ENOMEM);
	}
	*ret = one;
	return 0;
}

bool attached_is(const struct attached *one, const struct attach_spec *spec)
{
	_cleanup_buf_ struct buf identity = BUF_INIT(64 * KiB);

	return !strcmp(one->name, spec->name) && one->of_volume == spec->of_volume &&
	       one->read_only == spec->read_only && one->ttl_ns == spec->ttl_ns &&
	       !identity_of(spec, &identity) && !strcmp(one->identity, buf_str(&identity));
}

/* (A2) */
static bool show_again(struct attach *a, const struct attach_spec *spec)
{
	LOCK_SCOPE(&a->sync.lock);
	for (size_t i = 0; i < a->sync.n; i++) {
		struct attached *one = a->sync.all[i];

		if (!one->removed || one->refused || spec->refused || !attached_is(one, spec))
			continue;
		one->removed = false;
		a->n_shown++;
		return true;
	}
	return false;
}

static void drop_stores(const struct attach_spec *spec, struct store *const *takes)
{
	for (size_t i = 0; !spec->refused && i < spec->n_urls; i++)
		store_free(takes[i]);
}

int attach_add(struct attach *a, const struct attach_spec *spec, struct store *const *takes)
{
	struct attached *one = NULL;
	int r = attach_find(a, span_str(spec->name)) ? fail(-EEXIST) : open_shared(a);

	if (!r && show_again(a, spec)) {
		drop_stores(spec, takes);
		return 0;
	}
	if (!r)
		r = attached_new(a, spec, &one);
	if (r) {
		drop_stores(spec, takes);
		return r;
	}
	r = add_stores(one, takes, spec->refused ? 0 : spec->n_urls);
	if (!r)
		r = open_bucket(a, one);
	if (!r)
		r = list_add(a, one);
	if (r)
		attached_free(one);
	return r;
}

void attach_remove(struct attach *a, struct attached *one)
{
	LOCK_SCOPE(&a->sync.lock);
	a->n_shown -= !one->removed;
	one->removed = true;
}

bool attach_any(const struct attach *a)
{
	return a->n_shown > 0;
}

struct attached *attach_next(struct attach *a, unsigned number)
{
	struct attached *best = NULL;

	LOCK_SCOPE(&a->sync.lock);
	for (size_t i = 0; i < a->sync.n; i++) {
		struct attached *one = a->sync.all[i];

		if (!one->removed && one->number > number &&
		    (!best || one->number < best->number))
			best = one;
	}
	return best;
}

struct attached *attach_find(struct attach *a, struct span name)
{
	if (!attach_any(a))
		return NULL;
	LOCK_SCOPE(&a->sync.lock);
	for (size_t i = 0; i < a->sync.n; i++)
		if (!a->sync.all[i]->removed && span_equal(span_str(a->sync.all[i]->name), name))
			return a->sync.all[i];
	return NULL;
}

struct attached *attach_of(struct attach *a, uint64_t ino)
{
	return ino & ATTACHED_BIT && attach_any(a) ?
		       find_number((unsigned)((ino & ~ATTACHED_BIT) >> ATTACHED_SHIFT), a) :
		       NULL;
}

struct objects *attach_objects(const struct attach *a)
{
	return a->objects;
}

struct unfinished *attach_unfinished(const struct attach *a)
{
	return a->unfinished;
}

/* The next name of a path; moves behind it. Empty at the end. */
static struct span next_name(const char **path)
{
	const char *at = *path + strspn(*path, "/");
	const size_t len = strcspn(at, "/");

	*path = at + len;
	return span_of(at, len);
}

int attach_path(struct attach *a, const char *path, struct attached **ret,
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
