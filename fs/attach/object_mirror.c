/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stores may be read for an object, and as what.
 *
 * (M1) The listing knows the object at the store that was listed. The others are asked for theirs
 *      (HEAD) when bytes are first needed, beside the first read, and at once when that fails. So
 *      is a single store that lists no versions.
 * (M2) A mirror is trusted once the listed version was read after the mirror's own was known: they
 *      stood there together. Until then it is read only when no trusted one answers in time; and
 *      not at all once the listed object is known to be replaced or gone, for it may have got the
 *      replacement already. While the store that was listed is away from the start, equal size is
 *      all that is known of a mirror.
 * (M3) match, and the version that it points to, are set before a mirror is good and never change
 *      then, so that requests may borrow them without the lock.
 * (M4) Where the store that was listed and a mirror both tell an MD5 of their object, and the two
 *      differ, the mirror is left alone: the contents are others, though the size is equal. The
 *      store that was listed is asked for it (HEAD) when its mirrors are asked for theirs, and none
 *      of them is trusted before it has answered. Where one tells no MD5, size is all that is
 *      compared, and `mangrove where` says so.
 */
#include "backends/retry.h"
#include "base/log.h"
#include "fs/attach/object_i.h"

#include <stdio.h>

#define HEAD_NS     (3 * NS_PER_S)
#define HEADS_MAX   64u
#define PATIENCES   8                 /* times as long, while a store that is down may come up */
#define LOOK_NS     (250 * NS_PER_MS) /* between looks whether a store is up again */

static void set_good_locked(struct object *o, unsigned i, const char *version)
{
	struct mirror *m = &o->sync.mirrors[i];

	snprintf(m->version, sizeof(m->version), "%s", version);
	o->match[i].version = m->version;
	m->state = MIRROR_GOOD;
	m->since_ns = clock_now();
}

void mirrors_begin(struct object *o, const struct bucket_entry *e)
{
	o->n = MIN(replicas_count(o->replicas), (unsigned)MIRRORS_MAX);
	o->listed = -1;
	for (unsigned i = 0; i < o->n; i++) {
		struct mirror *m = &o->sync.mirrors[i];

		m->object = o;
		o->match[i].size = o->size;
		if (e->version[i][0]) {
			set_good_locked(o, i, e->version[i]);
			m->trusted = true;
			o->listed = (int)i;
		} else if (o->n == 1) {
			o->match[i].modified_s = e->modified_s;
		}
	}
}

/* ---- asking a mirror what it has ---- */

/* Does the answer to a HEAD describe what was listed? As far as anything is known of it. */
static bool is_same(const struct object *o, unsigned i, const struct store_call *c)
{
	const uint64_t modified_s = o->match[i].modified_s;

	return c->size == o->size &&
	       (!modified_s || !c->modified_s || c->modified_s == modified_s);
}

/* (M4) */
static void learn_sum_locked(struct mirror *m, int result, const struct store_call *call)
{
	const bool other = m->state == MIRROR_GOOD && result == 0 &&
			   strcmp(m->version, call->version) != 0;

	m->sum = result == 0 && call->has_md5 && !other ? SUM_KNOWN : SUM_NONE;
	if (m->sum == SUM_KNOWN)
		memcpy(m->md5, call->md5, sizeof(m->md5));
}

/* The first mirror that is good by its size and has other contents is off now; or -1. */
static int compare_sums_locked(struct object *o)
{
	const struct mirror *listed = o->listed < 0 ? NULL : &o->sync.mirrors[o->listed];

	for (unsigned i = 0; i < o->n && listed && listed->sum == SUM_KNOWN; i++) {
		struct mirror *m = &o->sync.mirrors[i];

		if (m == listed || m->state != MIRROR_GOOD || m->sum != SUM_KNOWN ||
		    !memcmp(m->md5, listed->md5, sizeof(m->md5)))
			continue;
		m->state = MIRROR_OFF;
		return (int)i;
	}
	return -1;
}

static void compare_sums(struct object *o)
{
	int off;

	do {
		lock_take(&o->sync.lock);
		off = compare_sums_locked(o);
		lock_give(&o->sync.lock);
		if (off >= 0)
			log_warn("attach",
				 "a mirror has other contents than was listed, it is left alone",
				 "store=%s key=%s",
				 replicas_store(o->replicas, (unsigned)off)->name, o->key);
	} while (off >= 0);
}

static void put_off_locked(struct mirror *m)
{
	m->state = MIRROR_UNKNOWN;
	m->failures++;
	m->retry_ns = clock_now() + retry_delay_ns(m->failures, 0, random_u64());
}

/* The end of a HEAD: what the mirror is from now on. call: NULL when it could not be sent. */
static void learn_locked(struct object *o, unsigned i, int result, const struct store_call *call)
{
	struct mirror *m = &o->sync.mirrors[i];

	if (result == 0 || m->sum == SUM_ASKED)
		learn_sum_locked(m, result, call);
	if ((int)i == o->listed)
		return; /* that was all the question */
	if (o->sync.lost) {
		m->state = MIRROR_OFF; /* (M2) */
	} else if (result == 0 && is_same(o, i, call)) {
		o->match[i].modified_s = call->modified_s;
		set_good_locked(o, i, call->version);
		m->trusted = o->n == 1;
	} else if (retry_get_class(result) == RETRY_LATER) {
		put_off_locked(m);
	} else {
		m->state = MIRROR_OFF;
		m->error = MIN(result, 0);
	}
}

/* For people, once for an object: it is not asked again. */
static void tell_off(const struct object *o, unsigned i, int result, const struct store_call *call)
{
	const char *store = replicas_store(o->replicas, i)->name;

	if (result == 0)
		log_warn("attach", "a store has another object than was listed, it is left alone",
			 "store=%s key=%s size=%llu listed=%llu modified=%llu", store, o->key,
			 (unsigned long long)call->size, (unsigned long long)o->size,
			 (unsigned long long)call->modified_s);
	else
		log_warn("attach", "a store does not give what was listed, it is left alone",
			 "store=%s key=%s answer=%s listed=%llu", store, o->key,
			 store_condition_name(result), (unsigned long long)o->size);
}

static void learn(struct object *o, unsigned i, int result, const struct store_call *call)
{
	bool off;

	lock_take(&o->sync.lock);
	learn_locked(o, i, result, call);
	off = o->sync.mirrors[i].state == MIRROR_OFF && !o->sync.lost && (int)i != o->listed;
	cond_broadcast(&o->sync.wake);
	lock_give(&o->sync.lock);
	if (off)
		tell_off(o, i, result, call);
	compare_sums(o);
}

/* Counts a HEAD, which holds the object. */
static bool head_begin(struct object *o)
{
	struct objects *s = o->service;

	LOCK_SCOPE(&s->sync.lock);
	if (s->sync.heads >= HEADS_MAX)
		return false;
	s->sync.heads++;
	o->refs++;
	return true;
}

static void head_end(struct object *o)
{
	struct objects *s = o->service;

	object_drop(o);
	LOCK_SCOPE(&s->sync.lock);
	s->sync.heads--;
	cond_broadcast(&s->sync.idle);
}

/* On the store's thread. */
static void answered(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);
	struct mirror *m = call->done_arg;
	struct object *o = m->object;
	const unsigned i = (unsigned)(m - o->sync.mirrors);

	replicas_observe(o->replicas, i, call->result, clock_now() - call->started_ns, 0);
	learn(o, i, call->result, c);
	head_end(o);
}

static void ask(struct object *o, unsigned i)
{
	const struct head_req req = { .name = span_str(o->key),
				      .deadline_ns = clock_now() + HEAD_NS };
	struct store_call *call = NULL;
	int r = store_head_then(replicas_store(o->replicas, i), &req, answered,
				&o->sync.mirrors[i], &call);

	if (r < 0) {
		learn(o, i, r, NULL);
		head_end(o);
	}
	store_call_unref(call);
}

/* ---- the choice ---- */

struct sets {
	uint64_t up;
	uint64_t trusted, good; /* good: those that are trusted too */
	uint64_t open;          /* may become good */
	bool lost, stale;
	int error;              /* of one that refused for good, or 0 */
};

static void sets_locked(const struct object *o, struct sets *ret)
{
	ret->lost = o->sync.lost;
	ret->stale = o->sync.stale;
	for (unsigned i = 0; i < o->n; i++) {
		const struct mirror *m = &o->sync.mirrors[i];

		if (m->state == MIRROR_GOOD) {
			ret->good |= 1ull << i;
			ret->trusted |= (uint64_t)m->trusted << i;
		} else if (m->state == MIRROR_OFF) {
			ret->error = m->error ?: ret->error;
		} else if (!ret->lost) {
			ret->open |= 1ull << i;
		}
	}
}

/* (M4) */
static bool wants_sum_locked(const struct object *o, uint64_t up)
{
	bool any = false;

	for (unsigned i = 0; i < o->n; i++)
		any |= o->sync.mirrors[i].state == MIRROR_UNKNOWN;
	return any && o->sync.mirrors[o->listed].sum == SUM_UNKNOWN && (up >> o->listed & 1);
}

/* What is known of the stores; asks those of which it is not, and that may be asked. */
static struct sets look(struct object *o)
{
	struct sets s = { .up = replicas_up(o->replicas) };
	const uint64_t now = clock_now();
	uint64_t due = 0;

	lock_take(&o->sync.lock);
	for (unsigned i = 0; i < o->n && !o->sync.lost; i++) {
		struct mirror *m = &o->sync.mirrors[i];

		if ((int)i == o->listed && wants_sum_locked(o, s.up) && head_begin(o)) {
			m->sum = SUM_ASKED;
			due |= 1ull << i;
			continue;
		}
		if (m->state != MIRROR_UNKNOWN || !(s.up >> i & 1) || now < m->retry_ns ||
		    !head_begin(o))
			continue;
		m->state = MIRROR_ASKING;
		due |= 1ull << i;
	}
	sets_locked(o, &s);
	lock_give(&o->sync.lock);
	for (unsigned i = 0; i < o->n; i++)
		if (due >> i & 1)
			ask(o, i);
	return s;
}

/* These stores said that it is another object now, or gone. */
static void lose(struct object *o, uint64_t stores)
{
	lock_take(&o->sync.lock);
	o->sync.lost = true;
	for (unsigned i = 0; i < o->n; i++) {
		struct mirror *m = &o->sync.mirrors[i];

		if ((stores >> i & 1) || (m->state != MIRROR_ASKING && !m->trusted))
			m->state = MIRROR_OFF; /* (M2) */
	}
	lock_give(&o->sync.lock);
	log_debug("attach", "an object was replaced or removed", "key=%s stores=%llx", o->key,
		  (unsigned long long)stores);
}

static bool awaits_sum_locked(const struct object *o)
{
	return o->listed >= 0 && o->sync.mirrors[o->listed].sum == SUM_ASKED;
}

/* A store has answered a request of began_ns. Does its answer count (M2)? */
static bool count_answer(struct object *o, unsigned store, uint64_t began_ns)
{
	const struct mirror *from = &o->sync.mirrors[store];

	LOCK_SCOPE(&o->sync.lock);
	if (from->state != MIRROR_GOOD)
		return false;
	for (unsigned i = 0; i < o->n && from->trusted; i++) {
		struct mirror *m = &o->sync.mirrors[i];

		if (m->state == MIRROR_GOOD && m->since_ns <= began_ns && !awaits_sum_locked(o))
			m->trusted = true;
	}
	return true;
}

/* ---- reading ---- */

struct search {
	struct object *o;
	uint64_t off;
	size_t len;
	uint64_t deadline_ns;
	uint64_t avoid;       /* failed for good in this search */
	int error;            /* of those, or 0 */
	bool impatient;       /* trusted ones failed, or did not answer in time */
	uint64_t patience_ns;
};
enum { SEARCH_ON = 1 };

static bool any_good_locked(const struct object *o)
{
	struct sets s = { 0 };

	sets_locked(o, &s);
	return s.good != 0;
}

/* No store can be read now. */
static int wait_for_one(struct search *g, const struct sets *s)
{
	struct object *o = g->o;
	const uint64_t now = clock_now();
	const int error = g->error ?: s->error;

	if (s->lost || (!s->open && !error))
		return object_stale(o);
	if (!s->open)
		return error;
	if (now >= g->deadline_ns)
		return error ?: fail(-ETIMEDOUT);
	LOCK_SCOPE(&o->sync.lock);
	if (g->avoid || !any_good_locked(o))
		(void)cond_wait(&o->sync.wake, &o->sync.lock, MIN(now + LOOK_NS, g->deadline_ns));
	return SEARCH_ON;
}

/* A store has given bytes. */
static int take(struct search *g, unsigned store, uint64_t began_ns, struct buf *ret)
{
	if (ret->len == g->len && count_answer(g->o, store, began_ns))
		return 0;
	if (ret->len != g->len) {
		log_warn("attach", "a store's answer has another length than was asked for",
			 "store=%s bytes=%zu asked=%zu",
			 replicas_store(g->o->replicas, store)->name, ret->len, g->len);
		g->avoid |= 1ull << store;
		g->error = fail(-EIO);
	}
	buf_clear(ret);
	return SEARCH_ON;
}

static int read_from(struct search *g, uint64_t from, uint64_t patience_ns, struct buf *ret)
{
	const uint64_t now = clock_now();
	const uint64_t until = patience_ns ? MIN(now + patience_ns, g->deadline_ns)
					   : g->deadline_ns;
	const struct get_req req = { .name = span_str(g->o->key),
				     .offset = g->off,
				     .length = g->len,
				     .limit = g->len,
				     .if_match_at = g->o->match,
				     .deadline_ns = until };
	uint64_t missing = 0;
	unsigned store = 0;
	int r = replicas_get(g->o->replicas, &req, from, 0, ret, &store, &missing);

	if (missing)
		lose(g->o, missing);
	if (r == 0)
		return take(g, store, now, ret);
	if (r > 0)
		return missing ? SEARCH_ON : fail(-EIO);
	if (r == -ETIMEDOUT && until < g->deadline_ns) {
		g->patience_ns *= 2;
		g->impatient = true;
		return SEARCH_ON;
	}
	if (r != -EIO && r != -EACCES)
		return r;
	g->avoid |= from;
	g->error = r;
	return SEARCH_ON;
}

static int step(struct search *g, struct buf *ret)
{
	const struct sets s = look(g->o);
	const uint64_t good = s.good & ~g->avoid, trusted = s.trusted & ~g->avoid;
	const uint64_t from = !g->impatient && (trusted & s.up) ? trusted : good;

	if (s.stale)
		return fail(-ESTALE);
	if (!from)
		return wait_for_one(g, &s);
	if ((good & ~from) || (s.open & s.up))
		return read_from(g, from, g->patience_ns, ret);
	return read_from(g, from, s.open ? g->patience_ns * PATIENCES : 0, ret);
}

int mirrors_get(struct object *o, uint64_t off, size_t len, uint64_t deadline_ns, struct buf *ret)
{
	struct search g = { .o = o,
			    .off = off,
			    .len = len,
			    .deadline_ns = deadline_ns,
			    .patience_ns = o->service->o.patience_ns };
	int r;

	do
		r = step(&g, ret);
	while (r == SEARCH_ON);
	return r;
}
