/* SPDX-License-Identifier: Apache-2.0 */
/* Open objects, and reads of them. */
#define HASH_NONFATAL_OOM 1 /* what found no memory has hh.tbl == NULL */
#include "fs/attach/object_i.h"

#include "base/sodium.h"

#include <stdio.h>

#define AHEAD_WORKERS 32 /* each has one request under way */
#define WINDOW_MAX    (32 * MiB)
#define WINDOW_MIN    (4 * MiB)
#define PATIENCE_NS   NS_PER_S

/* ---- the service ---- */

static int start(struct objects *s)
{
	const uint64_t memory = s->o.memory_bytes;

	s->max_window = MAX(MIN(memory / 16, WINDOW_MAX), WINDOW_MIN);
	s->ahead_budget = budget_new("attach-ahead", memory / 10 * 3);
	s->ahead_pool = pool_new("attach-ahead", AHEAD_WORKERS, 1024);
	return s->ahead_budget && s->ahead_pool ? 0 : fail(-ENOMEM);
}

int objects_new(const struct objects_options *o, struct objects **ret)
{
	_cleanup_(objects_freep) struct objects *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fail(-ENOMEM);
	s->o = *o;
	if (!s->o.patience_ns)
		s->o.patience_ns = PATIENCE_NS;
	lock_init(&s->sync.lock, RANK_LEAF);
	cond_init(&s->sync.idle);
	s->m_corrupt = metric_get("mangrove_corrupt_frames_total", "Frames that did not verify",
				  METRIC_COUNTER, "");
	s->m_read = metric_get("mangrove_read_bytes_total", "Bytes read by programs",
			       METRIC_COUNTER, "");
	r = start(s);
	if (r < 0)
		return r;
	*ret = take_ptr(&s);
	return 0;
}

struct objects *objects_free(struct objects *s)
{
	if (!s)
		return NULL;
	pool_free(s->ahead_pool);
	lock_take(&s->sync.lock);
	while (s->sync.heads)
		(void)cond_wait(&s->sync.idle, &s->sync.lock, NEVER);
	lock_give(&s->sync.lock);
	assert(!s->sync.objects);
	budget_free(s->ahead_budget);
	cond_release(&s->sync.idle);
	lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

/* ---- open objects ---- */

static void add_text(struct blake2b_state *st, const char *s)
{
	blake2b_add(st, span_of(s, strlen(s) + 1));
}

/* The version under which it was listed; where there is none, the time stands in for it. */
static void add_version(struct blake2b_state *st, const struct bucket_entry *e)
{
	char time[32];

	for (unsigned i = 0; i < MIRRORS_MAX; i++) {
		if (e->version[i][0]) {
			add_text(st, e->version[i]);
			return;
		}
	}
	snprintf(time, sizeof(time), "time %llu", (unsigned long long)e->modified_s);
	add_text(st, time);
}

/* (O2) */
static void make_id(const char *identity, const struct bucket_entry *e, uint8_t ret[32])
{
	struct blake2b_state st;
	char size[32];

	snprintf(size, sizeof(size), "%llu", (unsigned long long)e->size);
	blake2b_begin(&st, 32);
	add_text(&st, "mangrove object");
	add_text(&st, identity);
	add_text(&st, e->key);
	add_text(&st, size);
	add_version(&st, e);
	blake2b_end(&st, ret, 32);
}

static struct object *object_new(struct objects *s, const char *identity, struct replicas *replicas,
				 const struct bucket_entry *e)
{
	const size_t key_size = strlen(e->key) + 1;
	struct object *o = calloc(1, sizeof(*o) + key_size);

	if (!o)
		return NULL;
	o->service = s;
	o->replicas = replicas;
	o->size = e->size;
	o->refs = o->users = 1;
	make_id(identity, e, o->id);
	memcpy(o->key, e->key, key_size);
	lock_init(&o->sync.lock, RANK_FILE);
	cond_init(&o->sync.wake);
	mirrors_begin(o, e);
	return o;
}

static void object_free(struct object *o)
{
	cond_release(&o->sync.wake);
	lock_release(&o->sync.lock);
	free(o);
}

int object_open(struct objects *s, const char *identity, struct replicas *replicas,
		const struct bucket_entry *e, struct object **ret)
{
	struct object *o = object_new(s, identity, replicas, e), *open;

	if (!o)
		return fail(-ENOMEM);
	lock_take(&s->sync.lock);
	HASH_FIND(hh, s->sync.objects, o->id, sizeof(o->id), open);
	if (open) {
		open->refs++;
		open->users++;
	} else {
		HASH_ADD(hh, s->sync.objects, id, sizeof(o->id), o);
		o->shared = o->hh.tbl != NULL; /* without memory for the table: its own */
	}
	lock_give(&s->sync.lock);
	if (open)
		object_free(o);
	*ret = open ?: o;
	return 0;
}

struct object *object_hold(struct object *o)
{
	LOCK_SCOPE(&o->service->sync.lock);
	o->refs++;
	return o;
}

static void unshare_locked(struct object *o)
{
	if (o->shared)
		HASH_DEL(o->service->sync.objects, o);
	o->shared = false;
}

static void drop(struct object *o, unsigned users)
{
	struct objects *s = o->service;
	bool last;

	lock_take(&s->sync.lock);
	o->users -= users;
	last = --o->refs == 0;
	if (last)
		unshare_locked(o);
	lock_give(&s->sync.lock);
	if (last)
		object_free(o);
}

void object_drop(struct object *o)
{
	drop(o, 0);
}

struct object *object_ref(struct object *o)
{
	LOCK_SCOPE(&o->service->sync.lock);
	o->refs++;
	o->users++;
	return o;
}

void object_close(struct object *o)
{
	drop(o, 1);
}

bool object_in_use(struct object *o)
{
	LOCK_SCOPE(&o->service->sync.lock);
	return o->users > 0;
}

int object_stale(struct object *o)
{
	lock_take(&o->sync.lock);
	o->sync.lost = o->sync.stale = true;
	lock_give(&o->sync.lock);
	LOCK_SCOPE(&o->service->sync.lock);
	unshare_locked(o);
	return fail(-ESTALE);
}

uint64_t object_size(const struct object *o)
{
	return o->size;
}

bool object_changed(const struct object *o)
{
	struct object *lockable = (struct object *)o;

	LOCK_SCOPE(&lockable->sync.lock);
	return lockable->sync.lost;
}

/* ---- reading ---- */

static void bring(struct object *o, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / PIECE_SIZE; i * PIECE_SIZE < to; i++)
		if (!object_bring_piece(o, (uint32_t)i))
			return;
}

/* A read happens: what is to be near soon is asked for. Once for each read. */
static void read_ahead(struct object *o, uint64_t off, size_t len)
{
	const uint64_t second = (off / PIECE_SIZE + 1) * PIECE_SIZE;
	uint64_t from, to;
	bool go;

	if (second < off + len)
		bring(o, second, off + len); /* its own pieces, at one time */
	lock_take(&o->sync.lock);
	go = ahead_note(&o->sync.ahead, off, len, o->size, o->service->max_window, &from, &to);
	lock_give(&o->sync.lock);
	if (go)
		bring(o, from, to);
}

static int read_pieces(struct object *o, uint64_t off, size_t len, enum object_wait wait,
		       uint8_t *dst)
{
	const uint64_t deadline = clock_now() + o->service->o.deadline_ns, end = off + len;
	int r = 0;

	while (r == 0 && off < end) {
		const uint32_t from = (uint32_t)(off % PIECE_SIZE);
		const struct share s = { .index = (uint32_t)(off / PIECE_SIZE),
					 .from = from,
					 .to = (uint32_t)MIN(from + (end - off), PIECE_SIZE),
					 .dst = dst };

		r = object_read_piece(o, &s, wait, deadline);
		off += s.to - s.from;
		dst += s.to - s.from;
	}
	return r;
}

int object_read(struct object *o, uint64_t off, size_t len, enum object_wait wait, uint8_t *dst,
		size_t *ret_len)
{
	int r;

	if (off >= o->size) {
		*ret_len = 0;
		return 0;
	}
	len = MIN((uint64_t)len, o->size - off);
	if (wait == OBJECT_WAIT)
		read_ahead(o, off, len);
	r = read_pieces(o, off, len, wait, dst);
	if (r != 0)
		return r;
	if (wait == OBJECT_NO_WAIT) /* if it had to wait, it will be asked again */
		read_ahead(o, off, len);
	metric_add(o->service->m_read, (double)len);
	*ret_len = len;
	return 0;
}

int object_fetch(struct object *o, uint64_t off, size_t len, struct buf *ret)
{
	if (off > o->size || len > o->size - off)
		return fail(-EIO);
	return mirrors_get(o, off, len, clock_now() + o->service->o.deadline_ns, ret);
}
