/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/mirror.h"

#include "backends/upload.h"
#include "base/codec.h"
#include "base/log.h"
#include "fs/attach/attach.h"
#include "fs/attach/unfinished.h"

#include <stdio.h>

#define LOOK_NS (2 * NS_PER_S)
#define PART (8 * MiB)
#define NOTE_PREFIX "missed/"
#define BATCH 64

struct mirrors {
	struct mirrors_options o;
	struct task *task;
	struct event wake;
	bool stopping;
	struct lock lock; /* RANK_DISK: held over the local database alone */
};

struct note {
	unsigned number;
	uint64_t stores;
	char key[STORE_NAME_MAX + 1];
};

static int note_key(unsigned number, const char *key, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, SPAN_LITERAL(NOTE_PREFIX));
	write_be32(&w, number);
	write_raw(&w, span_str(key));
	return w.error;
}

static int note_write(struct mirrors *m, const struct note *n, bool sync)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(m->o.local);
	_cleanup_buf_ struct buf key = BUF_INIT(2 * STORE_NAME_MAX), value = BUF_INIT(16);
	struct writer w = WRITER(&value);
	int r = b ? note_key(n->number, n->key, &key) : fail(-ENOMEM);

	write_be64(&w, n->stores);
	if (!r)
		r = w.error;
	if (!r && n->stores)
		r = kv_batch_put(b, LOCAL_META, buf_span(&key), buf_span(&value));
	if (!r && !n->stores)
		r = kv_batch_delete(b, LOCAL_META, buf_span(&key));
	return r ? r : kv_write(m->o.local, b, sync);
}

static int note_read(struct mirrors *m, struct note *n)
{
	_cleanup_buf_ struct buf key = BUF_INIT(2 * STORE_NAME_MAX), value = BUF_INIT(16);
	struct reader in;
	int r = note_key(n->number, n->key, &key);

	n->stores = 0;
	if (!r)
		r = kv_get(m->o.local, LOCAL_META, buf_span(&key), &value);
	if (r)
		return r == KV_MISSING ? 0 : r;
	in = READER(buf_span(&value));
	n->stores = read_be64(&in);
	return read_end(&in);
}

int mirrors_note(struct mirrors *m, unsigned number, const char *key, uint64_t stores)
{
	struct note n = { .number = number };
	int r;

	snprintf(n.key, sizeof(n.key), "%s", key);
	LOCK_SCOPE(&m->lock);
	r = note_read(m, &n);
	n.stores |= stores;
	if (!r)
		r = note_write(m, &n, true);
	event_set(&m->wake);
	return r;
}

struct gather {
	struct note *v;
	size_t n, max;
};

static int on_note(struct span key, struct span value, void *arg)
{
	const size_t head = strlen(NOTE_PREFIX);
	struct gather *g = arg;
	struct note *n = &g->v[g->n];
	struct reader in = READER(key), of = READER(value);
	struct span name;

	read_raw(&in, head);
	n->number = read_be32(&in);
	name = in.rest;
	n->stores = read_be64(&of);
	if (read_error(&in) || read_end(&of) || name.len > STORE_NAME_MAX)
		return 0; /* damaged: the mirror stays as it is */
	memcpy(n->key, name.data, name.len);
	n->key[name.len] = '\0';
	return ++g->n == g->max;
}

static int count_note(struct span key, struct span value, void *arg)
{
	++*(uint64_t *)arg;
	return 0;
}

uint64_t mirrors_left(struct mirrors *m, unsigned number)
{
	_cleanup_buf_ struct buf prefix = BUF_INIT(64);
	uint64_t n = 0;

	if (note_key(number, "", &prefix) ||
	    kv_walk(m->o.local, LOCAL_META, buf_span(&prefix), SPAN_NULL, count_note, &n))
		return 0;
	return n;
}

/* making equal */

struct heal {
	struct mirrors *m;
	struct attached *a;
	unsigned i; /* of `to` */
	const char *key;
	struct store *from, *to;
};

static uint64_t deadline_of(const struct heal *h)
{
	return clock_now() + h->m->o.deadline_ns;
}

static int get_range(const struct heal *h, const char *version, uint64_t offset, uint64_t length,
		     struct blob **ret)
{
	const struct get_req req = { .name = span_str(h->key),
				     .offset = offset,
				     .length = length,
				     .limit = length,
				     .if_match = *version ? version : NULL,
				     .deadline_ns = deadline_of(h) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_get_wait(h->from, &req, &call);

	if (r)
		return r;
	if (call->body.len != length)
		return -EIO;
	*ret = blob_copy(buf_span(&call->body));
	return *ret ? 0 : fail(-ENOMEM);
}

static int put_small(const struct heal *h, const struct store_call *head)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	struct put_req req = { .name = span_str(h->key), .meta = &head->meta };
	int r = 0;

	if (head->size)
		r = get_range(h, head->version, 0, head->size, &body);
	else
		body = blob_new(0);
	if (r || !body)
		return r ? r : fail(-ENOMEM);
	req.body = body;
	req.deadline_ns = deadline_of(h);
	return store_put_wait(h->to, &req, &call);
}

static int put_parts(const struct heal *h, const struct store_call *head, struct store_upload *u,
		     uint64_t part_size)
{
	unsigned index = 0;

	for (uint64_t at = 0; at < head->size; at += part_size, index++) {
		_cleanup_(store_call_unrefp) struct store_call *call = NULL;
		_cleanup_(blob_unrefp) struct blob *body = NULL;
		int r = get_range(h, head->version, at, MIN(part_size, head->size - at), &body);

		if (!r)
			r = store_upload_part_wait(u, index, body, deadline_of(h), &call);
		if (r)
			return r;
	}
	return 0;
}

static int put_large(const struct heal *h, const struct store_call *head)
{
	_cleanup_(store_call_unrefp) struct store_call *begun = NULL, *ended = NULL;
	struct upload_req req = { .name = span_str(h->key), .meta = &head->meta };
	struct unfinished *u = attach_unfinished(h->a->owner);
	uint64_t note;
	int r;

	req.part_size = store_upload_part_size(h->to, head->size, PART);
	if (!req.part_size)
		return -EFBIG;
	req.deadline_ns = deadline_of(h);
	r = store_upload_begin_wait(h->to, &req, &begun);
	if (r)
		return r;
	unfinished_begun(u, h->a, h->i, begun->upload, &note);
	r = put_parts(h, head, begun->upload, req.part_size);
	if (!r)
		r = store_upload_finish_wait(begun->upload, deadline_of(h), &ended);
	store_call_unrefp(&ended);
	if (r && store_upload_abort_wait(begun->upload, deadline_of(h), &ended))
		unfinished_left(u, note);
	else
		unfinished_ended(u, note);
	return r;
}

static int remove_there(const struct heal *h)
{
	const struct remove_req req = { .name = span_str(h->key), .deadline_ns = deadline_of(h) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_remove_wait(h->to, &req, &call);

	return r == STORE_MISSING ? 0 : r;
}

/* (M2) */
static int heal_one(const struct heal *h)
{
	const struct head_req req = { .name = span_str(h->key), .deadline_ns = deadline_of(h) };
	_cleanup_(store_call_unrefp) struct store_call *head = NULL;
	int r = store_head_wait(h->from, &req, &head);

	if (r == STORE_MISSING)
		return remove_there(h);
	if (r)
		return r;
	return head->size <= PART ? put_small(h, head) : put_large(h, head);
}

/* A mirror that did not miss it, and answers; -1: none. */
static int source_of(const struct attached *a, uint64_t missed)
{
	const uint64_t up = replicas_up(a->replicas) & ~missed;

	return up ? __builtin_ctzll(up) : -1;
}

static void heal_note(struct mirrors *m, const struct note *found)
{
	struct attached *a = m->o.find(found->number, m->o.arg);
	struct note n = *found;
	const int from = a ? source_of(a, n.stores) : -1;
	uint64_t healed = 0;

	if (from < 0)
		return;
	for (unsigned i = 0; i < replicas_count(a->replicas); i++) {
		const struct heal h = { .m = m,
					.a = a,
					.i = i,
					.key = n.key,
					.from = replicas_store(a->replicas, (unsigned)from),
					.to = replicas_store(a->replicas, i) };
		const uint64_t begin = clock_now();
		int r;

		if (!(n.stores >> i & 1) || !replicas_allows(a->replicas, i)) /* (M3) */
			continue;
		r = heal_one(&h);
		replicas_observe(a->replicas, i, r, clock_now() - begin, 0);
		if (r == 0)
			healed |= 1ull << i;
	}
	if (!healed)
		return;
	LOCK_SCOPE(&m->lock);
	if (note_read(m, &n) == 0) { /* what was missed meanwhile stays noted */
		n.stores &= ~healed;
		if (note_write(m, &n, false) == 0 && !n.stores)
			log_info("mirror", "what a mirror had missed was made up", "key=%s", n.key);
	}
}

static void mirrors_task(void *arg)
{
	_cleanup_free_ struct note *notes = calloc(BATCH, sizeof(*notes));
	struct mirrors *m = arg;

	while (notes && !__atomic_load_n(&m->stopping, __ATOMIC_ACQUIRE)) {
		struct gather g = { .v = notes, .max = BATCH };

		if (kv_walk(m->o.local, LOCAL_META, SPAN_LITERAL(NOTE_PREFIX), SPAN_NULL, on_note,
			    &g) < 0)
			g.n = 0;
		for (size_t i = 0; i < g.n && !__atomic_load_n(&m->stopping, __ATOMIC_ACQUIRE); i++)
			heal_note(m, &notes[i]);
		event_take(&m->wake, clock_now() + LOOK_NS);
	}
}

struct mirrors *mirrors_free(struct mirrors *m)
{
	if (!m)
		return NULL;
	__atomic_store_n(&m->stopping, true, __ATOMIC_RELEASE);
	event_set(&m->wake);
	if (m->task)
		task_join(m->task);
	lock_release(&m->lock);
	free(m);
	return NULL;
}

int mirrors_new(const struct mirrors_options *o, struct mirrors **ret)
{
	struct mirrors *m = calloc(1, sizeof(*m));

	if (!m)
		return fail(-ENOMEM);
	m->o = *o;
	lock_init(&m->lock, RANK_DISK);
	event_init(&m->wake);
	m->task = task_start("mirrors", mirrors_task, m);
	if (!m->task) {
		mirrors_free(m);
		return fail(-ENOMEM);
	}
	*ret = m;
	return 0;
}
