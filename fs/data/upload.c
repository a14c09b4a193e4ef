/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk on its way to its stores, and what becomes of the copies that arrive, or fail, after the
 * acknowledgement.
 *
 * (U1) Every store in `want` reports exactly once; the upload lives until then.
 * (U2) What is known when the WRITE is submitted stands in it; what comes later is reported as
 *      STORED or DEFICIT operations, so no copy is forgotten or invented. A copy that a slow store
 *      has not got yet goes on from the staging log, while that has room.
 * (U3) A chunk that no operation will ever refer to is abandoned: its reports are dropped.
 */
#include "fs/data/data_i.h"

struct upload *upload_ref(struct upload *u)
{
	__atomic_fetch_add(&u->refs, 1, __ATOMIC_RELAXED);
	return u;
}

void upload_unref(struct upload *u)
{
	if (__atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL))
		return;
	lock_release(&u->sync.lock);
	blob_unref(u->body);
	free(u);
}

uint64_t upload_stores(struct upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.stored | u->sync.acknowledged;
}

/*
 * Under the upload's lock: is there news that the journal does not have? Then one more reference
 * belongs to the list.
 */
static bool has_news_locked(struct upload *u)
{
	if (!u->sync.submitted || u->sync.abandoned || u->sync.queued)
		return false;
	return (u->sync.stored & ~u->sync.told) || (u->sync.failed & ~u->sync.told_failed);
}

void upload_report(struct upload *u)
{
	struct data *d = u->data;
	bool news;

	lock_take(&u->sync.lock);
	news = has_news_locked(u);
	if (news) {
		u->sync.queued = true;
		upload_ref(u);
	}
	lock_give(&u->sync.lock);
	if (!news)
		return;
	lock_take(&d->sync.lock);
	u->next_report = d->sync.reports;
	d->sync.reports = u;
	lock_give(&d->sync.lock);
	event_set(&d->wake);
}

/* It is up, and the copy was given up all the same: it can have it later (fs/data/staged.c). */
static bool is_slow(struct data *d, unsigned store)
{
	return d->o.staging && !__atomic_load_n(&d->stopping, __ATOMIC_ACQUIRE) &&
	       (replicas_up(d->o.replicas) >> store & 1);
}

/* replica_stored_fn */
static void on_stored(struct span name, unsigned store, bool ok, void *arg)
{
	struct upload *u = arg;
	struct data *d = u->data;
	const bool slow = !ok && is_slow(d, store);
	bool last, late;

	lock_take(&u->sync.lock);
	*(ok ? &u->sync.stored : slow ? &u->sync.late : &u->sync.failed) |= 1ull << store;
	last = (u->sync.stored | u->sync.failed | u->sync.late) == u->want;
	late = u->sync.late && !u->sync.abandoned;
	lock_give(&u->sync.lock);
	upload_report(u);
	if (last && late) {
		upload_stage_late(u);
	} else if (last) {
		u->body = blob_unref(u->body);
		upload_count(u, false);
		budget_give(d->sent_budget, u->charged);
		upload_unref(u);
	}
}

struct upload *upload_new(struct data *d)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->data = d;
	u->want = d->o.stores;
	lock_init(&u->sync.lock, RANK_LEAF);
	u->refs = 2; /* the caller, and the reports */
	return u;
}

/* Chunk id = mount number and 96 random bits, so that garbage knows its author. */
static void draw_id(struct data *d, uint8_t ret[CHUNK_ID_SIZE])
{
	const uint32_t number = commit_mount_number(d->o.commit);

	for (int i = 0; i < 4; i++)
		ret[i] = (uint8_t)(number >> (24 - 8 * i));
	random_fill(ret + 4, CHUNK_ID_SIZE - 4);
}

/* Waits for room for the sealed bytes: others are on their way, and end by their deadlines. */
static int seal_charged(struct upload *u, const uint8_t id[CHUNK_ID_SIZE], struct span plain,
			struct blob **ret)
{
	struct data *d = u->data;
	int r = budget_take(d->sent_budget, plain.len, clock_now() + d->o.deadline_ns);

	if (r < 0)
		return fail(-EIO);
	u->charged = plain.len;
	r = seal_chunk(d->o.sealer, id, plain, &u->seal, ret);
	if (r == 0)
		return 0;
	budget_give(d->sent_budget, u->charged);
	return r < 0 ? r : fail(-EIO);
}

int upload_seal(struct data *d, struct span plain, struct upload **ret, struct blob **ret_blob)
{
	struct upload *u = upload_new(d);
	uint8_t id[CHUNK_ID_SIZE];
	int r;

	if (!u)
		return fail(-ENOMEM);
	draw_id(d, id);
	r = seal_charged(u, id, plain, ret_blob);
	if (r < 0) {
		upload_unref(u);
		upload_unref(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upload_count(struct upload *u, bool more)
{
	struct data *d = u->data;

	LOCK_SCOPE(&d->sync.lock);
	d->sync.uploads += more ? 1 : -1ull;
	d->sync.upload_bytes += more ? u->seal.length : -(uint64_t)u->seal.length;
}

void upload_offer(struct upload *u, struct blob *sealed)
{
	struct piece_id piece = { .index = 0 };
	uint64_t off, len;
	struct blob *frames;

	if (u->seal.length > PIECE_SIZE)
		return;
	memcpy(piece.object, u->seal.id, sizeof(piece.object));
	chunk_frame_range(&u->seal, 0, chunk_frames(&u->seal), &off, &len);
	frames = blob_copy(span_sub(blob_span(sealed), off, len));
	if (frames)
		pieces_offer(u->data->o.pieces, &piece, frames);
	blob_unref(frames);
}

int upload_chunk(struct data *d, struct span plain, struct upload **ret)
{
	_cleanup_(blob_unrefp) struct blob *blob = NULL;
	char name[CHUNK_NAME_SIZE];
	struct upload *u;
	uint64_t have = 0;
	int r = upload_seal(d, plain, &u, &blob);

	if (r < 0)
		return r;
	upload_count(u, true);
	u->body = blob_ref(blob);
	chunk_object_name(u->seal.id, name);

	struct put_req req = { .name = span_str(name), .body = blob, .cond = PUT_IF_ABSENT,
			       .deadline_ns = clock_now() + d->o.deadline_ns };

	r = replicas_put(d->o.replicas, &req, u->want, d->o.ack, on_stored, u, &have);
	if (r < 0) {
		upload_abandon(u);
		upload_unref(u);
		return r;
	}
	lock_take(&u->sync.lock);
	u->sync.acknowledged = have; /* their reports may be on the way still */
	lock_give(&u->sync.lock);
	upload_offer(u, blob);
	*ret = u;
	return 0;
}

uint64_t upload_tell(struct upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	u->sync.told = u->sync.stored | u->sync.acknowledged;
	return u->sync.told;
}

void upload_submitted(struct upload *u)
{
	lock_take(&u->sync.lock);
	u->sync.submitted = true;
	lock_give(&u->sync.lock);
	upload_report(u);
}

void upload_abandon(struct upload *u)
{
	lock_take(&u->sync.lock);
	u->sync.abandoned = true;
	lock_give(&u->sync.lock);
	upload_leave(u);
}

static void ignore_result(const struct result *res, void *arg)
{
}

static void submit_report(struct data *d, enum op_kind kind, const struct op_chunk *chunks,
			  size_t n)
{
	const struct op op = { .kind = kind, .chunks = chunks, .n_chunks = n };
	struct result res;
	uint64_t no;
	int r = commit_submit(d->o.commit, &op, COMMIT_EARLY, ignore_result, NULL, &res, &no);

	if (r < 0) /* the next mount finds the missing copies by itself */
		log_warn("data", "copies could not be recorded", "kind=%s chunks=%zu error=%s",
			 op_kind_name(kind), n, strerror(-r));
}

/* Answers the upload's news of one kind and marks it told. */
static uint64_t take_news(struct upload *u, bool stored)
{
	uint64_t news;

	LOCK_SCOPE(&u->sync.lock);
	if (stored) {
		news = u->sync.stored & ~u->sync.told;
		u->sync.told |= news;
	} else {
		news = u->sync.failed & ~u->sync.told_failed;
		u->sync.told_failed |= news;
	}
	return news;
}

#define REPORT_BATCH 256

void data_send_reports(struct data *d)
{
	struct op_chunk stored[REPORT_BATCH], lacking[REPORT_BATCH];
	size_t n_stored = 0, n_lacking = 0;
	struct upload *list, *u;

	lock_take(&d->sync.lock);
	list = take_ptr(&d->sync.reports);
	lock_give(&d->sync.lock);
	while ((u = list)) {
		uint64_t has, lacks;

		list = u->next_report;
		lock_take(&u->sync.lock);
		u->sync.queued = false;
		lock_give(&u->sync.lock);
		has = take_news(u, true);
		lacks = take_news(u, false);
		if (has) {
			stored[n_stored] = (struct op_chunk){ .stores = has };
			memcpy(stored[n_stored++].id, u->seal.id, CHUNK_ID_SIZE);
		}
		if (lacks) {
			lacking[n_lacking] = (struct op_chunk){ .stores = lacks };
			memcpy(lacking[n_lacking++].id, u->seal.id, CHUNK_ID_SIZE);
		}
		upload_unref(u);
		if (n_stored == REPORT_BATCH || !list) {
			if (n_stored)
				submit_report(d, OP_STORED, stored, n_stored);
			n_stored = 0;
		}
		if (n_lacking == REPORT_BATCH || !list) {
			if (n_lacking)
				submit_report(d, OP_DEFICIT, lacking, n_lacking);
			n_lacking = 0;
		}
	}
}
