/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1 /* what found no memory has hh.tbl == NULL */
#include "fs/attach/source.h"

#include "base/log.h"

#include <stdio.h>
#include <uthash.h>
#include <utlist.h>

#define HELD_MAX 256u            /* open objects (G3) */
#define TRY_AGAIN_NS (10 * NS_PER_S) /* (G2) */

/* A bucket. Found or made under the lock, and never freed before the end. */
struct source {
	uint32_t number;
	struct replicas *replicas; /* NULL: not open */
	char *url;
	int error;                 /* why it could not be opened */
	char why[256];
	uint64_t retry_ns;
	UT_hash_handle hh;
};

/* An open object, by its reference. */
struct held {
	struct held *prev, *next; /* the one last read comes first */
	struct object *object;
	int error;                /* of the last read, until retry_ns */
	uint64_t retry_ns;
	UT_hash_handle hh;
	size_t reference_len;
	uint8_t reference[];
};

struct sources {
	struct sources_options o;
	struct objects *objects;
	struct lock opening; /* RANK_VOLUME: buckets are opened one after the other */
	struct {
		struct lock lock; /* RANK_FILE: an object's reference is taken under it */
		struct source *all;
		struct held *by_reference, *by_age;
		unsigned n_held;
	} sync;
};

int sources_new(const struct sources_options *o, struct sources **ret)
{
	const struct objects_options oo = { .pieces = o->pieces,
					    .sealer = o->sealer,
					    .memory_bytes = o->memory_bytes,
					    .deadline_ns = o->deadline_ns };
	struct sources *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fail(-ENOMEM);
	s->o = *o;
	r = objects_new(&oo, &s->objects);
	if (r) {
		free(s);
		return r;
	}
	lock_init(&s->opening, RANK_VOLUME);
	lock_init(&s->sync.lock, RANK_FILE);
	*ret = s;
	return 0;
}

static struct held *held_free(struct held *h)
{
	if (h)
		object_close(h->object);
	free(h);
	return NULL;
}

struct sources *sources_free(struct sources *s)
{
	struct source *one, *next_source;
	struct held *h, *next;

	if (!s)
		return NULL;
	HASH_CLEAR(hh, s->sync.by_reference);
	DL_FOREACH_SAFE(s->sync.by_age, h, next)
		held_free(h);
	objects_free(s->objects);
	HASH_ITER(hh, s->sync.all, one, next_source) {
		HASH_DEL(s->sync.all, one);
		replicas_free(one->replicas);
		free(one->url);
		free(one);
	}
	lock_release(&s->sync.lock);
	lock_release(&s->opening);
	free(s);
	return NULL;
}

/* ---- buckets ---- */

/* NULL: no memory. */
static struct source *source_get(struct sources *s, uint32_t number)
{
	struct source *one;

	LOCK_SCOPE(&s->sync.lock);
	HASH_FIND(hh, s->sync.all, &number, sizeof(number), one);
	if (one)
		return one;
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	one->number = number;
	HASH_ADD(hh, s->sync.all, number, sizeof(one->number), one);
	if (one->hh.tbl)
		return one;
	free(one);
	return NULL;
}

/* Fills what `one` lacks; nobody else does meanwhile. */
static int open_bucket(struct sources *s, struct source *one, char **ret_url,
		       struct replicas **ret, char *err, size_t err_size)
{
	const struct replicas_options none = { .late_budget_bytes = 0 };
	const struct replica_options free_of_charge = { .read_price = 0 };
	_cleanup_(replicas_freep) struct replicas *replicas = NULL;
	_cleanup_buf_ struct buf url = BUF_INIT(SOURCE_URL_MAX + 1);
	struct store *store;
	int r = s->o.url(one->number, &url, s->o.arg);

	if (r > 0)
		snprintf(err, err_size, "the volume knows no source %u", one->number);
	if (r)
		return r > 0 ? fail(-EIO) : r;
	r = s->o.open(buf_str(&url), &store, err, err_size, s->o.arg);
	if (r)
		return r;
	r = replicas_new(&none, &replicas);
	if (r) {
		store_free(store);
		return r;
	}
	r = replicas_add(replicas, store, &free_of_charge);
	if (r < 0)
		return r;
	*ret_url = strdup(buf_str(&url));
	if (!*ret_url)
		return fail(-ENOMEM);
	*ret = take_ptr(&replicas);
	return 0;
}

static void note_opened(struct sources *s, struct source *one, int error, const char *why)
{
	LOCK_SCOPE(&s->sync.lock);
	one->error = error;
	one->retry_ns = clock_now() + TRY_AGAIN_NS;
	snprintf(one->why, sizeof(one->why), "%s", *why ? why : strerror(-error));
}

/* Opened, or known to fail just now: 0, -errno. Else it has to be opened. */
enum { SOURCE_CLOSED = 1 };
static int source_state(struct sources *s, const struct source *one, struct replicas **ret,
			char *err, size_t err_size)
{
	LOCK_SCOPE(&s->sync.lock);
	*ret = one->replicas;
	if (one->replicas)
		return 0;
	if (!one->error || clock_now() >= one->retry_ns)
		return SOURCE_CLOSED;
	snprintf(err, err_size, "%s", one->why);
	return one->error;
}

/* 0, SOURCE_CLOSED (with OBJECT_NO_WAIT), -errno with a sentence. */
static int source_open(struct sources *s, uint32_t number, enum object_wait wait,
		       struct source **ret, char *err, size_t err_size)
{
	struct source *one = source_get(s, number);
	struct replicas *replicas = NULL;
	char *url = NULL;
	int r;

	*err = '\0';
	if (!one)
		return fail(-ENOMEM);
	*ret = one;
	r = source_state(s, one, &replicas, err, err_size);
	if (r != SOURCE_CLOSED || wait == OBJECT_NO_WAIT)
		return r;
	LOCK_SCOPE(&s->opening);
	r = source_state(s, one, &replicas, err, err_size);
	if (r != SOURCE_CLOSED)
		return r;
	r = open_bucket(s, one, &url, &replicas, err, err_size);
	if (r) {
		note_opened(s, one, r, err);
		log_warn("source", "a bucket that files are in cannot be opened",
			 "source=%u error=%s why=\"%s\"", number, strerror(-r), err);
		return r;
	}
	lock_take(&s->sync.lock);
	one->url = url;
	one->replicas = replicas;
	lock_give(&s->sync.lock);
	return 0;
}

int sources_store(struct sources *s, uint32_t number, struct store **ret, char *err,
		  size_t err_size)
{
	struct source *one;
	int r = source_open(s, number, OBJECT_WAIT, &one, err, err_size);

	if (r == 0)
		*ret = replicas_store(one->replicas, 0);
	return r;
}

/* ---- objects ---- */

static int open_object(struct sources *s, const struct source *one, const struct foreign *f,
		       struct object **ret)
{
	struct bucket_entry e = { .size = f->size, .modified_s = f->modified_s };

	if (f->key.len > STORE_NAME_MAX || f->version.len >= STORE_VERSION_MAX ||
	    memchr(f->key.data, 0, f->key.len))
		return fail(-EIO);
	memcpy(e.key, f->key.data, f->key.len);
	memcpy(e.version[0], f->version.data ? (const void *)f->version.data : "", f->version.len);
	return object_open(s->objects, one->url, one->replicas, &e, ret);
}

static struct held *held_find_locked(struct sources *s, struct span reference)
{
	struct held *h;

	HASH_FIND(hh, s->sync.by_reference, reference.data, reference.len, h);
	if (!h)
		return NULL;
	DL_DELETE(s->sync.by_age, h);
	DL_PREPEND(s->sync.by_age, h);
	return h;
}

static void held_remove_locked(struct sources *s, struct held *h)
{
	HASH_DEL(s->sync.by_reference, h);
	DL_DELETE(s->sync.by_age, h);
	s->sync.n_held--;
}

/* Keeps the object for the next read; it is not kept where there is no memory. */
static void hold(struct sources *s, struct span reference, struct object *o)
{
	struct held *h = calloc(1, sizeof(*h) + reference.len), *old = NULL;

	if (!h)
		return;
	h->object = object_ref(o);
	h->reference_len = reference.len;
	memcpy(h->reference, reference.data, reference.len);
	lock_take(&s->sync.lock);
	if (held_find_locked(s, reference)) {
		old = h; /* somebody was faster */
	} else {
		HASH_ADD(hh, s->sync.by_reference, reference, reference.len, h);
		if (h->hh.tbl) {
			DL_PREPEND(s->sync.by_age, h);
			s->sync.n_held++;
		} else {
			old = h;
		}
	}
	if (s->sync.n_held > HELD_MAX) {
		old = s->sync.by_age->prev; /* the last one */
		held_remove_locked(s, old);
	}
	lock_give(&s->sync.lock);
	held_free(old);
}

/* One that is open: 0; SOURCE_CLOSED; or the error of its last read, for a while. */
static int take_held(struct sources *s, struct span reference, struct object **ret)
{
	const struct held *h;

	LOCK_SCOPE(&s->sync.lock);
	h = held_find_locked(s, reference);
	if (!h)
		return SOURCE_CLOSED;
	if (h->error && clock_now() < h->retry_ns)
		return h->error;
	*ret = object_ref(h->object);
	return 0;
}

/* Opened for this read: object_close. */
static int get_object(struct sources *s, struct span reference, enum object_wait wait,
		      struct object **ret)
{
	struct source *one;
	struct foreign f;
	char err[256];
	int r = take_held(s, reference, ret);

	if (r != SOURCE_CLOSED)
		return r;
	if (foreign_decode(reference, &f)) {
		log_warn("source", "an extent's reference is not understood", "bytes=%zu",
			 reference.len);
		return fail(-EIO);
	}
	r = source_open(s, f.source, wait, &one, err, sizeof(err));
	if (r == SOURCE_CLOSED)
		return OBJECT_WOULD_WAIT;
	if (r == 0)
		r = open_object(s, one, &f, ret);
	if (r == 0)
		hold(s, reference, *ret);
	return r;
}

/* The next readers need not ask again. Answers whether nobody has said so just before. */
static bool note_failed(struct sources *s, struct span reference, int error)
{
	struct held *h;
	bool first;

	LOCK_SCOPE(&s->sync.lock);
	h = held_find_locked(s, reference);
	if (!h)
		return true;
	first = clock_now() >= h->retry_ns;
	h->error = error;
	h->retry_ns = clock_now() + TRY_AGAIN_NS;
	return first;
}

/* (G1), for people. Answers the error. */
static int failed(struct sources *s, struct span reference, int r)
{
	const bool changed = r == -ESTALE;
	struct source *one;
	struct foreign f;

	r = changed ? -EIO : r;
	if (r == -ENOMEM || foreign_decode(reference, &f) || !note_failed(s, reference, r))
		return r;
	one = source_get(s, f.source);
	log_warn("source",
		 changed ? "an object that a file is made of was changed or removed in its bucket"
			 : "an object that a file is made of cannot be read",
		 "key=%.*s source=%s error=%s", SPAN_FMT(f.key), one && one->url ? one->url : "?",
		 strerror(-r));
	return r;
}

int sources_read(struct sources *s, struct span reference, uint64_t off, size_t len,
		 enum object_wait wait, uint8_t *dst)
{
	struct object *o;
	size_t got = 0;
	int r = get_object(s, reference, wait, &o);

	if (r)
		return r;
	r = object_read(o, off, len, wait, dst, &got);
	object_close(o);
	if (r == 0 && got != len)
		return failed(s, reference, fail(-EIO));
	return r < 0 ? failed(s, reference, r) : r;
}

int sources_fetch(struct sources *s, struct span reference, uint64_t off, size_t len,
		  struct buf *ret)
{
	struct object *o;
	int r = get_object(s, reference, OBJECT_WAIT, &o);

	if (r)
		return r;
	r = object_fetch(o, off, len, ret);
	object_close(o);
	return r < 0 ? failed(s, reference, r) : r;
}
