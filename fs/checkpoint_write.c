/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread walks the rows and cuts them into parts; a few others compress, seal and send those
 * that no checkpoint before has. What is named again costs neither.
 */
#include "fs/checkpoint_i.h"

#include "base/log.h"
#include "base/map.h"

#define SENDERS	     4
#define SENDING_MOST 6 /* parts on their way; more wait */
#define PUT_NS	     (60 * NS_PER_S)

struct writing {
	const struct checkpoint_stores *s;
	const _Atomic bool *stop;
	struct checkpoint_place place;
	struct manifest base; /* of the checkpoint before */
	struct map *known;    /* hash of a part -> be64 its index in `base` */
	struct pool *senders;
	struct manifest manifest; /* entries of parts under way are filled in by their senders */
	struct checkpoint_report report;
	struct {
		struct lock lock;
		struct cond cond;
		unsigned sending;
		int error; /* the first one */
	} sync;
};

/* ---- one object to all its stores ---- */

struct copies {
	struct lock lock;
	struct cond cond;
	uint64_t told, have;
};

static void on_stored(struct span name, unsigned store, bool ok, void *arg)
{
	struct copies *c = arg;

	lock_take(&c->lock);
	c->told |= 1ull << store;
	if (ok)
		c->have |= 1ull << store;
	cond_signal(&c->cond);
	lock_give(&c->lock);
}

/* Puts it and waits for the end of the last copy, so that it is known who has one. */
static int put_everywhere(const struct checkpoint_stores *s, const char *name, struct blob *body,
			  uint64_t *ret_have)
{
	const struct put_req req = { .name = span_str(name),
				     .body = body,
				     .cond = PUT_IF_ABSENT,
				     .deadline_ns = clock_now() + PUT_NS };
	struct copies c = { .told = 0 };
	uint64_t so_far;
	int r;

	lock_init(&c.lock, RANK_LEAF);
	cond_init(&c.cond);
	r = replicas_put(s->replicas, &req, s->stores, s->enough, on_stored, &c, &so_far);
	lock_take(&c.lock);
	while (c.told != s->stores)
		cond_wait(&c.cond, &c.lock, NEVER);
	lock_give(&c.lock);
	cond_release(&c.cond);
	lock_release(&c.lock);
	if (!r)
		*ret_have = c.have;
	return r;
}

static int send_object(const struct checkpoint_stores *s, const struct checkpoint_place *place,
		       struct span plain, uint64_t *ret_have)
{
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	char name[PLACE_NAME_MAX];
	uint8_t id[OBJECT_ID_SIZE];
	int r;

	checkpoint_place_name(place, name);
	checkpoint_place_id(place, id);
	r = seal_object(s->sealer, SEAL_CKPT, id, plain, &body);
	return r ? r : put_everywhere(s, name, body, ret_have);
}

/* ---- parts ---- */

struct sending {
	struct writing *w;
	struct part *part;
	uint32_t number;
};

static void sending_free(struct sending *s)
{
	part_free(s->part);
	free(s);
}

static void sending_end(struct writing *w, uint32_t number, int error, uint64_t length,
			uint64_t have)
{
	struct manifest_part *p;
	LOCK_SCOPE(&w->sync.lock);

	p = &w->manifest.parts[number];
	p->length = length;
	p->stores = have;
	w->report.bytes_written += length;
	w->sync.error = w->sync.error ? w->sync.error : error;
	w->sync.sending--;
	cond_broadcast(&w->sync.cond);
}

static void send_part(void *arg)
{
	struct sending *s = arg;
	_cleanup_buf_ struct buf plain = BUF_INIT(PART_PLAIN_MAX);
	struct writing *w = s->w;
	struct checkpoint_place place = w->place;
	const uint32_t number = s->number;
	uint64_t have = 0;
	int r;

	task_background();
	place.number = number;
	r = part_pack(s->part, &plain);
	sending_free(s);
	if (!r)
		r = send_object(w->s, &place, buf_span(&plain), &have);
	sending_end(w, number, r, plain.len, have);
}

/* Waits until no more than `most` are on their way. The first error of any. */
static int wait_senders(struct writing *w, unsigned most)
{
	LOCK_SCOPE(&w->sync.lock);

	while (w->sync.sending > most)
		cond_wait(&w->sync.cond, &w->sync.lock, NEVER);
	return w->sync.error;
}

static int begin_sending(struct writing *w, struct part *takes, uint32_t number)
{
	struct sending *s = calloc(1, sizeof(*s));
	int r = s ? wait_senders(w, SENDING_MOST - 1) : fail(-ENOMEM);

	if (r) {
		free(s);
		part_free(takes);
		return r;
	}
	*s = (struct sending){ .w = w, .part = takes, .number = number };
	lock_take(&w->sync.lock);
	w->sync.sending++;
	lock_give(&w->sync.lock);
	r = pool_run(w->senders, send_part, s);
	if (r) {
		sending_free(s);
		sending_end(w, number, r, 0, 0);
	}
	return r;
}

/* The same part of the checkpoint before, if it stands wherever one written now would. */
static const struct manifest_part *find_again(struct writing *w, const struct part *p)
{
	const uint64_t up = replicas_up(w->s->replicas) & w->s->stores;
	const struct manifest_part *again;
	struct span value;
	bool gone;

	if (!map_get(w->known, span_of(p->hash, sizeof(p->hash)), &value, &gone))
		return NULL;
	again = &w->base.parts[key_u64(value.data)];
	if ((up & ~again->stores) || again->rows != p->rows || again->size != p->size ||
	    (unsigned)__builtin_popcountll(again->stores & w->s->stores) < w->s->enough)
		return NULL;
	return again;
}

static int add_entry(struct writing *w, struct part *p, const struct manifest_part *again)
{
	struct manifest_part entry = { .place = w->place, .rows = p->rows, .size = p->size };
	LOCK_SCOPE(&w->sync.lock);

	entry.place.number = (uint32_t)w->manifest.n_parts;
	memcpy(entry.hash, p->hash, sizeof(entry.hash));
	if (again) {
		entry.place = again->place;
		entry.length = again->length;
		entry.stores = again->stores;
		w->report.bytes += again->length;
	}
	entry.first = p->first;
	p->first = BUF_INIT(PART_PLACE_MAX);
	return manifest_add(&w->manifest, &entry);
}

static int on_part(struct part *takes, void *arg)
{
	struct writing *w = arg;
	const struct manifest_part *again = find_again(w, takes);
	const uint32_t number = (uint32_t)w->manifest.n_parts;
	int r = *w->stop ? fail(-ECANCELED) : add_entry(w, takes, again);

	if (r || again) {
		part_free(takes);
		return r;
	}
	w->report.parts_written++;
	return begin_sending(w, takes, number);
}

static int cut_column(struct part_cutter *c, unsigned column, struct kv_iter *it)
{
	int r = 0;

	for (kv_iter_seek(it, SPAN_NULL); !r && kv_iter_valid(it); kv_iter_next(it))
		r = part_cutter_add(c, column, kv_iter_key(it), kv_iter_value(it));
	return r ? r : kv_iter_error(it);
}

/* Each column's iterator goes as soon as it was read: it keeps old rows on the disk. */
static int cut_all(struct writing *w, struct commit_snapshot *snap)
{
	_cleanup_(part_cutter_freep) struct part_cutter *c = NULL;
	int r = part_cutter_new(on_part, w, &c);

	for (unsigned column = COL_META + 1; column < COL_COUNT && !r; column++) {
		r = cut_column(c, column, snap->columns[column]);
		snap->columns[column] = kv_iter_free(snap->columns[column]);
	}
	return r ? r : part_cutter_end(c, &w->manifest.totals);
}

/* ---- the whole ---- */

static int know_parts(struct writing *w)
{
	for (size_t i = 0; i < w->base.n_parts; i++) {
		uint8_t index[8];
		int r;

		key_ino(i, index);
		r = map_put(w->known, span_of(w->base.parts[i].hash, PART_HASH_SIZE),
			    span_of(index, sizeof(index)), false);
		if (r)
			return r;
	}
	return 0;
}

/* Without the one before everything is written: nothing is lost by that. */
static int read_base(struct writing *w, const struct checkpoint_row *base)
{
	const struct checkpoint_place place = { .slot = base->slot,
						.mount = base->mount,
						.number = PLACE_MANIFEST };
	uint8_t hash[MANIFEST_HASH_SIZE];

	if (checkpoint_manifest_get(w->s, &place, &w->base, hash)) {
		log_warn("checkpoint", "the last checkpoint is not to be had; all is written anew",
			 "slot=%llu", (unsigned long long)base->slot);
		return 0;
	}
	if (memcmp(hash, base->manifest, sizeof(hash)) != 0) {
		log_error("checkpoint", "the last checkpoint is not the one that was announced",
			  "slot=%llu", (unsigned long long)base->slot);
		return 0;
	}
	return know_parts(w);
}

static int send_manifest(struct writing *w, struct checkpoint_row *ret)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(MANIFEST_MAX);
	uint64_t have;
	int r = manifest_encode(&w->manifest, &plain);

	if (!r)
		r = send_object(w->s, &w->place, buf_span(&plain), &have);
	if (r)
		return r;
	*ret = (struct checkpoint_row){ .slot = w->place.slot, .mount = w->place.mount };
	manifest_hash(buf_span(&plain), ret->manifest);
	return 0;
}

static int write_all(struct writing *w, struct commit_snapshot *snap, struct checkpoint_row *ret)
{
	const struct state_hash *is = &w->manifest.totals.hash, *should = &snap->mark.hash;
	int r = cut_all(w, snap), sent = wait_senders(w, 0);

	if (r || sent)
		return r ? r : sent;
	if (is->lo != should->lo || is->hi != should->hi) { /* (C1) */
		log_error("checkpoint", "the local state is not that of its hash", "slot=%llu",
			  (unsigned long long)snap->mark.slot);
		return fail(-EBADMSG);
	}
	w->manifest.mark = snap->mark;
	return send_manifest(w, ret);
}

static void writing_release(struct writing *w)
{
	pool_free(w->senders);
	map_free(w->known);
	manifest_release(&w->base);
	manifest_release(&w->manifest);
	cond_release(&w->sync.cond);
	lock_release(&w->sync.lock);
}

static void report(struct writing *w, uint64_t begun_ns, struct checkpoint_report *ret)
{
	struct checkpoint_report *rep = &w->report;

	rep->slot = w->place.slot;
	rep->parts = w->manifest.n_parts;
	rep->bytes += rep->bytes_written;
	rep->seconds = (double)(clock_now() - begun_ns) / NS_PER_S;
	for (size_t i = 0; i < w->manifest.n_parts; i++)
		rep->rows += w->manifest.parts[i].rows;
	*ret = *rep;
}

int checkpoint_write(const struct checkpoint_stores *s, struct commit_snapshot *snap,
		     uint32_t mount, const struct checkpoint_row *base, const _Atomic bool *stop,
		     struct checkpoint_row *ret, struct checkpoint_report *ret_report)
{
	struct writing w = {
		.s = s,
		.stop = stop,
		.place = { .slot = snap->mark.slot, .mount = mount, .number = PLACE_MANIFEST },
		.known = map_new(),
		.senders = pool_new("checkpoint", SENDERS, SENDING_MOST),
	};
	const uint64_t begun_ns = clock_now();
	int r = w.known && w.senders ? 0 : fail(-ENOMEM);

	lock_init(&w.sync.lock, RANK_LEAF);
	cond_init(&w.sync.cond);
	if (!r && base)
		r = read_base(&w, base);
	if (!r)
		r = write_all(&w, snap, ret);
	if (!r)
		report(&w, begun_ns, ret_report);
	commit_snapshot_release(snap);
	writing_release(&w);
	return r;
}
