/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that wait in the staging log, and the WRITEs that wait for them.
 *
 * (H1) A WRITE is released when each of its chunks has its acknowledged copies, and names them;
 *      what comes later is reported (U2).
 * (H2) A chunk leaves the staging log when no store is waited for any more and its WRITE was
 *      evaluated, or it was abandoned: before, the operation may have to be given again.
 * (H3) A store that is slow is tried again for as long as it takes; one that is down lacks the copy
 *      once the others have it, and repair makes it.
 * (H4) Where the log is full, the oldest copies that only slow stores lack make room: they are
 *      lacking then.
 */
#include "fs/data/data_i.h"

#include <utlist.h>

#define RETRY_LEAST_NS (NS_PER_S / 2)
#define RETRY_MOST_NS (30 * NS_PER_S)
/* So much room is made at a time: files go as a whole. */
#define ROOM_BYTES (64 * MiB)
/* A copy for a slow store may take so long. */
#define SLOW_NS (120 * NS_PER_S)
/* Who looked up a chunk a moment ago, before the stores had it, may read it here still. */
#define LINGER_NS NS_PER_S

static unsigned count(uint64_t stores)
{
	return (unsigned)__builtin_popcountll(stores);
}

bool upload_acknowledged(struct upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.lost || count(u->sync.stored | u->sync.acknowledged) >= u->data->o.ack;
}

/* (H2), when this is the step that was lacking. */
void upload_leave(struct upload *u)
{
	bool done;

	lock_take(&u->sync.lock);
	done = u->staged && u->sync.settled && (u->sync.committed || u->sync.abandoned);
	if (done)
		u->staged = false;
	lock_give(&u->sync.lock);
	if (done)
		stage_drop(staging_chunks(u->data->o.staging), u->seal.id);
}

/* It is in the staging log from now on, or will never be read from it. */
static void list_add(struct upload *u)
{
	struct data *d = u->data;

	u->staged = true;
	LOCK_SCOPE(&d->sync.lock);
	DL_APPEND2(d->sync.staged, u, staged_prev, staged_next);
}

/* No store is waited for any more. Takes the reports' reference. */
static void settle(struct upload *u)
{
	struct data *d = u->data;

	lock_take(&d->sync.lock);
	DL_DELETE2(d->sync.staged, u, staged_prev, staged_next);
	lock_give(&d->sync.lock);
	lock_take(&u->sync.lock);
	u->sync.settled = true;
	lock_give(&u->sync.lock);
	upload_leave(u);
	upload_count(u, false);
	event_set(&d->wake);
	upload_unref(u);
}

static void try_later(struct upload *u)
{
	struct data *d = u->data;
	const unsigned doublings = MIN(u->failures, 6u);

	u->failures++;
	u->retry_ns = clock_now() + MIN(RETRY_LEAST_NS << doublings, RETRY_MOST_NS);
	LOCK_SCOPE(&d->sync.lock);
	u->next_waiting = d->sync.waiting;
	d->sync.waiting = u;
}

/* Every store that was asked has reported. */
static void asked_all(struct upload *u)
{
	const uint64_t up = replicas_up(u->data->o.replicas);
	bool done;

	lock_take(&u->sync.lock);
	if (count(u->sync.stored) >= u->data->o.ack)
		u->sync.failed |= u->want & ~u->sync.stored & ~up; /* (H3) */
	done = (u->sync.stored | u->sync.failed) == u->want;
	lock_give(&u->sync.lock);
	upload_report(u);
	if (done)
		settle(u);
	else
		try_later(u);
}

/* replica_stored_fn */
static void on_stored(struct span name, unsigned store, bool ok, void *arg)
{
	struct upload *u = arg;
	struct data *d = u->data;
	uint64_t charged = 0;
	bool last;

	lock_take(&u->sync.lock);
	u->sync.told_asked |= 1ull << store;
	if (ok)
		u->sync.stored |= 1ull << store;
	last = u->sync.told_asked == u->sync.asked;
	if (last) {
		charged = u->charged;
		u->charged = 0;
	}
	lock_give(&u->sync.lock);
	if (!last) {
		upload_report(u);
		event_set(&d->wake); /* its WRITE may be released */
		return;
	}
	budget_give(d->sent_budget, charged);
	asked_all(u);
	event_set(&d->wake);
}

/* The sealed bytes, which the disk may have spoilt. 0; -ENOMEM; -EIO: they are lost. */
static int read_back(struct upload *u, struct blob **ret)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *opener = NULL;
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	uint64_t off, len;
	int r = stage_get(staging_chunks(u->data->o.staging), u->seal.id, &body);

	if (r == 0)
		r = chunk_opener_new(u->data->o.sealer, &u->seal, &opener);
	if (r)
		return r == -ENOMEM ? r : fail(-EIO);
	chunk_frame_range(&u->seal, 0, chunk_frames(&u->seal), &off, &len);
	r = chunk_verify(opener, 0, span_sub(blob_span(body), off, len));
	if (r == 0 && blob_span(body).len == chunk_sealed_length(&u->seal))
		*ret = take_ptr(&body);
	else if (r != -ENOMEM)
		r = fail(-EIO);
	return r;
}

static void lose(struct upload *u)
{
	char name[CHUNK_NAME_SIZE];

	chunk_object_name(u->seal.id, name);
	log_error("data", "a staged chunk cannot be read back from the disk: what it held is lost",
		  "chunk=%s bytes=%u", name, u->seal.length);
	lock_take(&u->sync.lock);
	u->sync.lost = true;
	u->sync.failed |= u->want & ~u->sync.stored;
	lock_give(&u->sync.lock);
	settle(u);
}

/* Asks the stores that lack it; how many are enough is what the acknowledgement lacks. */
static void put(struct upload *u, struct blob *body)
{
	struct data *d = u->data;
	char name[CHUNK_NAME_SIZE];
	uint64_t lacking, have;
	unsigned enough;
	bool slow;

	lock_take(&u->sync.lock);
	lacking = u->want & ~(u->sync.stored | u->sync.failed);
	slow = count(u->sync.stored) >= d->o.ack;
	enough = slow ? 1 : d->o.ack - count(u->sync.stored);
	u->sync.asked = lacking;
	u->sync.told_asked = 0;
	lock_give(&u->sync.lock);
	chunk_object_name(u->seal.id, name);

	const struct put_req req = { .name = span_str(name),
				     .body = body,
				     .cond = PUT_IF_ABSENT,
				     .deadline_ns = clock_now() +
						    (slow ? SLOW_NS : d->o.deadline_ns) };

	/* whatever it answers, on_stored hears of each store */
	(void)!replicas_put(d->o.replicas, &req, lacking, enough, on_stored, u, &have);
}

static bool is_stopping(const struct data *d)
{
	return __atomic_load_n(&d->stopping, __ATOMIC_ACQUIRE);
}

/* Nobody needs it any more, or every store has it or was given up. */
static bool is_over(struct upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.abandoned || (u->sync.stored | u->sync.failed) == u->want;
}

/* Has the reports' reference. */
static void drain(void *arg)
{
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	struct upload *u = arg;
	struct data *d = u->data;
	int r;

	if (is_stopping(d)) {
		try_later(u); /* the next mount's turn */
		return;
	}
	if (is_over(u)) {
		settle(u);
		return;
	}
	if (budget_take(d->sent_budget, u->seal.length, clock_now() + d->o.deadline_ns) < 0) {
		try_later(u);
		return;
	}
	r = read_back(u, &body);
	if (r < 0) {
		budget_give(d->sent_budget, u->seal.length);
		if (r == -ENOMEM)
			try_later(u);
		else
			lose(u);
		return;
	}
	u->charged = u->seal.length;
	put(u, body);
}

/* What programs may wait for does not stand behind slow stores. */
static void drain_soon(struct upload *u)
{
	struct data *d = u->data;
	struct pool *pool = upload_acknowledged(u) ? d->late_pool : d->drain_pool;

	if (pool_run(pool, drain, u) != 0)
		try_later(u);
}

/* Without room for it the copy is lacking. */
static void stage_late(void *arg)
{
	struct upload *u = arg;
	struct data *d = u->data;
	const struct staged_chunk c = { .seal = u->seal, .want = u->want };
	struct blob *body = take_ptr(&u->body);
	const int r = is_stopping(d) ? -ECANCELED : staging_add(d->o.staging, &c, body);

	blob_unref(body);
	budget_give(d->sent_budget, u->charged);
	u->charged = 0;
	lock_take(&u->sync.lock);
	if (r)
		u->sync.failed |= u->sync.late;
	u->sync.late = 0;
	u->sync.committed = true; /* its WRITE does not need this copy of it */
	lock_give(&u->sync.lock);
	list_add(u);
	if (!r) {
		drain_soon(u);
		return;
	}
	upload_report(u);
	settle(u);
}

void upload_stage_late(struct upload *u)
{
	if (pool_run(u->data->late_pool, stage_late, u) != 0)
		stage_late(u);
}

/* Those that are staged, referenced; NULL-terminated. NULL: no memory. */
static struct upload **staged_uploads(struct data *d)
{
	struct upload **list, *u;
	size_t n = 0;

	LOCK_SCOPE(&d->sync.lock);
	DL_COUNT2(d->sync.staged, u, n, staged_next);
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return NULL;
	n = 0;
	DL_FOREACH2(d->sync.staged, u, staged_next)
		list[n++] = upload_ref(u);
	return list;
}

/* What only slow stores lack is lacking from now on. Answers whether there was any of it. */
static bool give_up(struct upload *u)
{
	struct data *d = u->data;
	bool any;

	if (!upload_acknowledged(u))
		return false;
	lock_take(&u->sync.lock);
	any = (u->sync.stored | u->sync.failed) != u->want;
	u->sync.failed |= u->want & ~u->sync.stored;
	lock_give(&u->sync.lock);
	upload_report(u);
	LOCK_SCOPE(&d->sync.lock);
	u->retry_ns = 0; /* it settles at once, unless it is under way */
	return any;
}

static void give_up_late(struct data *d, uint64_t bytes)
{
	_cleanup_free_ struct upload **list = staged_uploads(d);
	uint64_t sum = 0;

	for (struct upload **at = list; at && *at; at++) {
		if (sum < bytes && give_up(*at))
			sum += (*at)->seal.length;
		upload_unref(*at);
	}
	event_set(&d->wake);
}

void data_give_up_late(struct data *d)
{
	if (d->o.staging)
		give_up_late(d, UINT64_MAX);
}

int upload_stage(struct data *d, struct span plain, struct upload **ret)
{
	_cleanup_(blob_unrefp) struct blob *blob = NULL;
	struct staged_chunk c;
	struct upload *u;
	int r = upload_seal(d, plain, &u, &blob);

	if (r < 0)
		return r;
	c = (struct staged_chunk){ .seal = u->seal, .want = u->want };
	r = staging_add(d->o.staging, &c, blob);
	budget_give(d->sent_budget, u->charged);
	u->charged = 0;
	if (r < 0) {
		upload_unref(u);
		upload_unref(u);
		if (r == -ENOSPC) /* (H4) */
			give_up_late(d, ROOM_BYTES);
		return r;
	}
	list_add(u);
	upload_count(u, true);
	upload_offer(u, blob);
	*ret = u;
	drain_soon(u);
	return 0;
}

/* ---- the WRITEs ---- */

int data_hold(struct data *d, uint64_t no, bool released, struct upload *const *uploads, size_t n)
{
	struct held_write *h = calloc(1, sizeof(*h) + n * sizeof(*h->uploads));

	if (!h)
		return fail(-ENOMEM);
	h->no = no;
	h->since_ns = clock_now();
	h->released = released;
	h->n = n;
	for (size_t i = 0; i < n; i++) {
		h->uploads[i] = upload_ref(uploads[i]);
		if (released)
			upload_submitted(uploads[i]);
	}
	LOCK_SCOPE(&d->sync.lock);
	*d->sync.held_end = h;
	d->sync.held_end = &h->next;
	return 0;
}

static bool is_ready(const struct held_write *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (!upload_acknowledged(h->uploads[i]))
			return false;
	return true;
}

/* (H1) 0; -ENOMEM: later. */
static int release(struct data *d, struct held_write *h)
{
	_cleanup_free_ struct op_chunk *chunks = calloc(h->n + 1, sizeof(*chunks));
	int r;

	if (!chunks)
		return fail(-ENOMEM);
	for (size_t i = 0; i < h->n; i++) {
		chunks[i].stores = upload_tell(h->uploads[i]);
		memcpy(chunks[i].id, h->uploads[i]->seal.id, CHUNK_ID_SIZE);
	}
	r = commit_release(d->o.commit, h->no, chunks, h->n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < h->n; i++)
		upload_submitted(h->uploads[i]);
	h->released = true;
	return 0;
}

static void held_free(struct held_write *h, bool committed)
{
	for (size_t i = 0; i < h->n; i++) {
		struct upload *u = h->uploads[i];

		if (committed) {
			lock_take(&u->sync.lock);
			u->sync.committed = true;
			lock_give(&u->sync.lock);
			upload_leave(u);
		}
		upload_unref(u);
	}
	free(h);
}

static struct held_write *held_next(struct data *d, struct held_write *h)
{
	LOCK_SCOPE(&d->sync.lock);
	return h ? h->next : d->sync.held;
}

/* The first of them goes. */
static void held_pop(struct data *d, struct held_write *h)
{
	lock_take(&d->sync.lock);
	d->sync.held = h->next;
	if (!h->next)
		d->sync.held_end = &d->sync.held;
	lock_give(&d->sync.lock);
	held_free(h, true);
}

static void release_ready(struct data *d)
{
	for (struct held_write *h = held_next(d, NULL); h; h = held_next(d, h))
		if (!h->released && (!is_ready(h) || release(d, h) < 0))
			return;
}

static void forget_committed(struct data *d)
{
	const uint64_t last = commit_last(d->o.commit), now = clock_now();
	struct held_write *h;

	while ((h = held_next(d, NULL)) && h->released && h->no <= last) {
		if (!h->committed_ns)
			h->committed_ns = now;
		if (now < h->committed_ns + LINGER_NS)
			return;
		held_pop(d, h);
	}
}

static void retry_due(struct data *d)
{
	const uint64_t now = clock_now();
	struct upload *u, **at, *due = NULL;

	lock_take(&d->sync.lock);
	for (at = &d->sync.waiting; (u = *at);) {
		if (u->retry_ns > now) {
			at = &u->next_waiting;
			continue;
		}
		*at = u->next_waiting;
		u->next_waiting = due;
		due = u;
	}
	lock_give(&d->sync.lock);
	while ((u = due)) {
		due = u->next_waiting;
		drain_soon(u);
	}
}

void data_staged_tick(struct data *d)
{
	if (!d->o.staging)
		return;
	release_ready(d);
	forget_committed(d);
	retry_due(d);
}

void data_staged_free(struct data *d)
{
	struct held_write *h, *next;
	struct upload *u, *after;

	if (!d->o.staging)
		return;
	for (h = d->sync.held; h; h = next) {
		next = h->next;
		held_free(h, h->released && h->no <= commit_last(d->o.commit));
	}
	for (u = d->sync.waiting; u; u = after) {
		after = u->next_waiting;
		upload_unref(u);
	}
}

/* ---- what an earlier mount left ---- */

static struct upload *adopt(struct data *d, const struct op_chunk *c)
{
	struct upload *u = upload_new(d);

	if (!u)
		return NULL;
	u->seal = (struct chunk_seal){ .epoch = c->key_epoch, .length = c->length };
	memcpy(u->seal.id, c->id, sizeof(u->seal.id));
	memcpy(u->seal.salt, c->salt, sizeof(u->seal.salt));
	u->want = c->want & d->o.stores;
	if (stage_has(staging_chunks(d->o.staging), c->id))
		list_add(u);
	else
		u->sync.acknowledged = c->stores;
	return u;
}

int data_adopt(struct data *d, const struct op *write, uint64_t no)
{
	_cleanup_free_ struct upload **uploads = calloc(write->n_chunks + 1, sizeof(*uploads));
	size_t n = 0;
	int r = uploads ? 0 : fail(-ENOMEM);

	for (; r == 0 && n < write->n_chunks; n++) {
		uploads[n] = adopt(d, &write->chunks[n]);
		if (!uploads[n]) {
			r = fail(-ENOMEM);
			break;
		}
	}
	if (r == 0)
		r = data_hold(d, no, false, uploads, n);
	for (size_t i = 0; i < n; i++) {
		struct upload *u = uploads[i];

		if (r == 0 && u->staged) {
			upload_count(u, true);
			drain_soon(u);
		} else {
			upload_unref(u); /* nobody will report */
		}
		upload_unref(u);
	}
	return r;
}
