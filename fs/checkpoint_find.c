/* SPDX-License-Identifier: Apache-2.0 */
/* Which checkpoints there are, and one of their objects. */
#include "fs/checkpoint_i.h"

#include "base/log.h"

#define GET_NS	    (60 * NS_PER_S)
#define LIST_NS	    (10 * NS_PER_S)
#define SEALED_MORE (2 * MiB) /* what sealing adds, at most */

static int open_object(const struct checkpoint_stores *s, const struct checkpoint_place *p,
		       struct span sealed, unsigned store, struct buf *ret)
{
	char name[PLACE_NAME_MAX];
	uint8_t id[OBJECT_ID_SIZE];
	int r;

	checkpoint_place_id(p, id);
	r = seal_object_open(s->sealer, SEAL_CKPT, id, sealed, ret, NULL);
	if (r <= 0)
		return r;
	checkpoint_place_name(p, name);
	log_error("checkpoint", "an object of a checkpoint does not open",
		  "object=%s store=%s why=%s", name, replicas_store(s->replicas, store)->name,
		  r == SEAL_BROKEN	? "damaged"
		  : r == SEAL_WRONG_KEY ? "wrong key"
					: "newer format");
	return r;
}

int checkpoint_object_get(const struct checkpoint_stores *s, const struct checkpoint_place *p,
			  struct buf *ret)
{
	_cleanup_buf_ struct buf sealed = BUF_INIT(ret->limit + SEALED_MORE);
	struct get_req req = { .limit = sealed.limit };
	char name[PLACE_NAME_MAX];
	uint64_t avoid = 0;

	checkpoint_place_name(p, name);
	req.name = span_str(name);
	while (s->stores & ~avoid) {
		unsigned store = 0;
		int r;

		buf_clear(&sealed);
		req.deadline_ns = clock_now() + GET_NS;
		r = replicas_get(s->replicas, &req, s->stores, avoid, &sealed, &store, NULL);
		if (r)
			return r == -ENOMEM ? r : CHECKPOINT_LOST;
		r = open_object(s, p, buf_span(&sealed), store, ret);
		if (r <= 0)
			return r;
		avoid |= 1ull << store;
	}
	return CHECKPOINT_LOST;
}

int checkpoint_manifest_get(const struct checkpoint_stores *s, const struct checkpoint_place *p,
			    struct manifest *ret, uint8_t *ret_hash)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(MANIFEST_MAX);
	struct manifest m;
	int r = checkpoint_object_get(s, p, &plain);

	if (r)
		return r;
	r = manifest_decode(buf_span(&plain), &m);
	if (!r && m.mark.slot != p->slot) {
		manifest_release(&m);
		r = -EBADMSG;
	}
	if (r == -EBADMSG) {
		log_error("checkpoint", "a manifest is none", "slot=%llu",
			  (unsigned long long)p->slot);
		return CHECKPOINT_LOST;
	}
	if (r)
		return r;
	manifest_hash(buf_span(&plain), ret_hash);
	*ret = m;
	return 0;
}

/* ---- listing ---- */

static int list_add(struct checkpoint_list *l, const struct checkpoint_place *p)
{
	struct checkpoint_place *all;

	for (size_t i = 0; i < l->n; i++)
		if (l->all[i].slot == p->slot && l->all[i].mount == p->mount)
			return 0;
	all = reallocarray(l->all, l->n + 1, sizeof(*all));
	if (!all)
		return fail(-ENOMEM);
	l->all = all;
	l->all[l->n++] = *p;
	return 0;
}

static int list_add_page(struct checkpoint_list *l, const struct store_call *c)
{
	for (size_t i = 0; i < c->n_entries; i++) {
		struct checkpoint_place p;
		int r;

		if (!checkpoint_place_parse(span_str(c->entries[i].name), &p))
			continue;
		r = list_add(l, &p);
		if (r)
			return r;
	}
	return 0;
}

static struct list_req request(const char *token, uint64_t deadline_ns)
{
	return (struct list_req){ .prefix = SPAN_LITERAL(CHECKPOINT_PREFIX),
				  .delimiter = '/',
				  .token = token,
				  .deadline_ns = deadline_ns };
}

/* The pages after the first one, as far as they come. */
static int list_rest(struct store *store, const char *first_token, uint64_t deadline_ns,
		     struct checkpoint_list *l)
{
	_cleanup_free_ char *token = first_token ? strdup(first_token) : NULL;

	while (token) {
		_cleanup_(store_call_unrefp) struct store_call *c = NULL;
		const struct list_req req = request(token, deadline_ns);
		int r = store_list_wait(store, &req, &c);

		if (r)
			return r == -ENOMEM ? r : 0;
		r = list_add_page(l, c);
		if (r)
			return r;
		free(token);
		token = take_ptr(&c->next_token);
	}
	return 0;
}

static int by_slot_down(const void *a, const void *b)
{
	const struct checkpoint_place *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? 1 : -1;
	return x->mount < y->mount ? -1 : x->mount > y->mount;
}

static int list_take(const struct checkpoint_stores *s, struct store_call **calls,
		     uint64_t deadline_ns, struct checkpoint_list *l)
{
	int r = 0;

	for (unsigned i = 0; i < REPLICAS_MAX && !r; i++) {
		if (!calls[i] || !call_finished(&calls[i]->call) || calls[i]->call.result)
			continue;
		r = list_add_page(l, calls[i]);
		if (!r)
			r = list_rest(replicas_store(s->replicas, i), calls[i]->next_token,
				      deadline_ns, l);
	}
	return r;
}

static unsigned n_listed(struct store_call *const *calls)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		n += calls[i] && call_finished(&calls[i]->call) && !calls[i]->call.result;
	return n;
}

/* Until so many have listed, or nobody is left that might. */
static void wait_listed(struct store_call *const *calls, unsigned enough, uint64_t deadline_ns)
{
	struct call *waits[REPLICAS_MAX] = { NULL };
	unsigned n = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (calls[i])
			waits[n++] = &calls[i]->call;
	for (unsigned ended = MIN(enough, n); ended <= n && n_listed(calls) < enough; ended++)
		if (calls_wait(waits, n, ended, deadline_ns) < 0)
			return;
}

/* All stores are asked at once; a majority suffices, for that is where a checkpoint stands. */
int checkpoint_list_get(const struct checkpoint_stores *s, struct checkpoint_list *ret)
{
	const uint64_t deadline_ns = clock_now() + LIST_NS;
	const struct list_req req = request(NULL, deadline_ns);
	struct store_call *calls[REPLICAS_MAX] = { NULL };
	struct checkpoint_list l = { .n = 0 };
	int r;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if ((s->stores >> i & 1) &&
		    store_list(replicas_store(s->replicas, i), &req, &calls[i]))
			calls[i] = NULL;
	wait_listed(calls, (unsigned)__builtin_popcountll(s->stores) / 2 + 1, deadline_ns);
	if (!n_listed(calls))
		log_warn("checkpoint", "no store lists its checkpoints", "stores=%u",
			 (unsigned)__builtin_popcountll(s->stores));
	r = list_take(s, calls, deadline_ns, &l);
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (!calls[i])
			continue;
		call_cancel(&calls[i]->call);
		store_call_unref(calls[i]);
	}
	if (r) {
		checkpoint_list_release(&l);
		return r;
	}
	if (l.n)
		qsort(l.all, l.n, sizeof(*l.all), by_slot_down);
	*ret = l;
	return 0;
}

void checkpoint_list_release(struct checkpoint_list *l)
{
	free(l->all);
	*l = (struct checkpoint_list){ .n = 0 };
}
