/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/unfinished.h"

#include "base/codec.h"
#include "base/crc.h"
#include "base/log.h"
#include "fs/attach/attach.h"

#include <stdio.h>

#define LOOK_NS (5 * NS_PER_S)
#define ABORT_NS (20 * NS_PER_S)
#define NOTE_PREFIX "upload/"
#define ID_MAX 4096
#define VALUE_MAX (ID_MAX + STORE_NAME_MAX + 64)
#define BATCH 16

struct unfinished {
	struct unfinished_options o;
	uint64_t run; /* of this process: what others have noted is over */
	struct task *task;
	struct event wake;
	bool stopping;
	struct lock lock; /* RANK_DISK: held over the local database alone */
};

struct note {
	uint64_t number, run;
	uint32_t attachment, store, identity; /* identity: a sum of the stores' URLs */
	char name[STORE_NAME_MAX + 1];
	char id[ID_MAX + 1];
};

static int note_key(uint64_t number, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_raw(&w, SPAN_LITERAL(NOTE_PREFIX));
	write_be64(&w, number);
	return w.error;
}

static int note_value(const struct note *n, struct buf *ret)
{
	struct writer w = WRITER(ret);

	write_be64(&w, n->run);
	write_be32(&w, n->attachment);
	write_be32(&w, n->store);
	write_be32(&w, n->identity);
	write_bytes(&w, span_str(n->name));
	write_bytes(&w, span_str(n->id));
	return w.error;
}

static void read_text(struct reader *in, size_t max, char *ret)
{
	const struct span s = read_bytes(in, max);

	memcpy(ret, s.len ? (const void *)s.data : "", s.len);
	ret[s.len] = '\0';
}

static int note_parse(struct span key, struct span value, struct note *ret)
{
	struct reader in = READER(key), of = READER(value);

	read_raw(&in, strlen(NOTE_PREFIX));
	ret->number = read_be64(&in);
	ret->run = read_be64(&of);
	ret->attachment = read_be32(&of);
	ret->store = read_be32(&of);
	ret->identity = read_be32(&of);
	read_text(&of, STORE_NAME_MAX, ret->name);
	read_text(&of, ID_MAX, ret->id);
	return read_end(&in) ? read_end(&in) : read_end(&of);
}

/* n: written; NULL: removed. */
static int note_write(struct unfinished *u, uint64_t number, const struct note *n)
{
	_cleanup_(kv_batch_freep) struct kv_batch *b = kv_batch_new(u->o.local);
	_cleanup_buf_ struct buf key = BUF_INIT(64), value = BUF_INIT(VALUE_MAX);
	int r = b ? note_key(number, &key) : fail(-ENOMEM);

	if (!r && n)
		r = note_value(n, &value);
	if (!r)
		r = n ? kv_batch_put(b, LOCAL_META, buf_span(&key), buf_span(&value))
		      : kv_batch_delete(b, LOCAL_META, buf_span(&key));
	LOCK_SCOPE(&u->lock);
	return r ? r : kv_write(u->o.local, b, n != NULL);
}

static uint32_t identity_of(const struct attached *a)
{
	return crc32c(0, span_str(a->identity));
}

void unfinished_begun(struct unfinished *u, const struct attached *a, unsigned store,
		      const struct store_upload *upload, uint64_t *ret)
{
	_cleanup_free_ struct note *n = calloc(1, sizeof(*n));
	const char *id = store_upload_id(upload);
	int r = n ? 0 : fail(-ENOMEM);

	*ret = 0;
	if (!id) /* (L3) */
		return;
	if (!r && strlen(id) > ID_MAX)
		r = fail(-EMSGSIZE);
	if (!r) {
		n->run = u->run;
		n->attachment = a->number;
		n->store = store;
		n->identity = identity_of(a);
		snprintf(n->name, sizeof(n->name), "%s", store_upload_name(upload));
		snprintf(n->id, sizeof(n->id), "%s", id);
		n->number = random_u64() | 1;
		r = note_write(u, n->number, n);
	}
	if (r)
		log_warn("attach", "parts of this object would stay if the program were killed",
			 "key=%s error=%s", store_upload_name(upload), strerror(-r));
	else
		*ret = n->number;
}

void unfinished_ended(struct unfinished *u, uint64_t note)
{
	int r = note ? note_write(u, note, NULL) : 0;

	if (r) /* it is looked for once more, and not found: no harm */
		log_debug("attach", "a note could not be removed", "error=%s", strerror(-r));
}

static int get_note(struct unfinished *u, uint64_t number, struct note *ret)
{
	_cleanup_buf_ struct buf key = BUF_INIT(64), value = BUF_INIT(VALUE_MAX);
	int r = note_key(number, &key);

	LOCK_SCOPE(&u->lock);
	if (!r)
		r = kv_get(u->o.local, LOCAL_META, buf_span(&key), &value);
	return r ? r : note_parse(buf_span(&key), buf_span(&value), ret);
}

void unfinished_left(struct unfinished *u, uint64_t note)
{
	_cleanup_free_ struct note *n = calloc(1, sizeof(*n));

	if (!note || !n || get_note(u, note, n))
		return;
	n->run = 0;
	if (note_write(u, note, n) == 0)
		event_set(&u->wake);
}

/* ---- (L2) ---- */

struct gather {
	struct note *v;
	size_t n;
	uint64_t run;
};

static int on_note(struct span key, struct span value, void *arg)
{
	struct gather *g = arg;
	struct note *n = &g->v[g->n];

	/* damaged: the provider's own rule has to do it */
	if (note_parse(key, value, n) == 0 && n->run != g->run)
		g->n++;
	return g->n == BATCH;
}

static void abort_one(struct unfinished *u, const struct note *n)
{
	_cleanup_(store_upload_unrefp) struct store_upload *upload = NULL;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct attached *a = u->o.find(n->attachment, u->o.arg);

	if (!a || identity_of(a) != n->identity || n->store >= replicas_count(a->replicas) ||
	    !replicas_allows(a->replicas, n->store))
		return;
	if (store_upload_recall(replicas_store(a->replicas, n->store), span_str(n->name), n->id,
				&upload) ||
	    store_upload_abort_wait(upload, clock_now() + ABORT_NS, &call))
		return; /* the next time */
	log_info("attach", "an upload that was left unfinished is dropped", "key=%s", n->name);
	unfinished_ended(u, n->number);
}

static void unfinished_task(void *arg)
{
	_cleanup_free_ struct note *notes = calloc(BATCH, sizeof(*notes));
	struct unfinished *u = arg;

	while (notes && !__atomic_load_n(&u->stopping, __ATOMIC_ACQUIRE)) {
		struct gather g = { .v = notes, .run = u->run };

		if (kv_walk(u->o.local, LOCAL_META, SPAN_LITERAL(NOTE_PREFIX), SPAN_NULL, on_note,
			    &g) < 0)
			g.n = 0;
		for (size_t i = 0; i < g.n && !__atomic_load_n(&u->stopping, __ATOMIC_ACQUIRE); i++)
			abort_one(u, &notes[i]);
		event_take(&u->wake, clock_now() + LOOK_NS);
	}
}

struct unfinished *unfinished_free(struct unfinished *u)
{
	if (!u)
		return NULL;
	__atomic_store_n(&u->stopping, true, __ATOMIC_RELEASE);
	event_set(&u->wake);
	if (u->task)
		task_join(u->task);
	event_release(&u->wake);
	lock_release(&u->lock);
	free(u);
	return NULL;
}

int unfinished_new(const struct unfinished_options *o, struct unfinished **ret)
{
	struct unfinished *u = calloc(1, sizeof(*u));

	if (!u)
		return fail(-ENOMEM);
	u->o = *o;
	u->run = random_u64() | 1;
	lock_init(&u->lock, RANK_DISK);
	event_init(&u->wake);
	u->task = task_start("unfinished", unfinished_task, u);
	if (!u->task) {
		unfinished_free(u);
		return fail(-ENOMEM);
	}
	*ret = u;
	return 0;
}
