/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a chunk's place to plaintext: pieces near at hand or from the nearest healthy store, and
 * again from another store when a seal is broken.
 *
 * (R1) Every byte that reaches a program was authenticated when its frame was opened, wherever the
 *      piece came from. So a piece is opened once, not twice; only after a broken seal are copies
 *      verified as they come, which tells the bad replica from the good one.
 */
#include "fs/data/data_i.h"
struct fetch {
	struct data *d;
	struct chunk_seal seal;
	uint64_t have;
	uint64_t deadline_ns;
	bool verify; /* a copy of it was broken: find out whose (R1) */
	bool gone;   /* every store said so */
};

static void note_bad(struct fetch *f, unsigned store, const char *how)
{
	struct data *d = f->d;
	const struct store *s = replicas_store(d->o.replicas, store);

	log_warn("data", "a replica is bad, another one is read", "store=%s how=%s", s->name, how);
	if (d->on_bad)
		d->on_bad(&f->seal, store, d->on_bad_arg);
}

static void count_corrupt(struct data *d)
{
	metric_add(d->m_corrupt, 1);
	LOCK_SCOPE(&d->sync.lock);
	d->sync.corrupt_frames++;
}

/* The staging log may have what no store has yet. */
static bool fetch_staged(struct fetch *f, struct chunk_opener *o, uint32_t first,
			 uint64_t off, uint64_t len, struct buf *bytes)
{
	struct stage *stage = f->d->o.staging ? staging_chunks(f->d->o.staging) : NULL;

	return stage && stage_read(stage, f->seal.id, off, len, bytes) == 0 && bytes->len == len &&
	       chunk_verify(o, first, buf_span(bytes)) == 0;
}

/* Reads frames of one piece from the stores; until a copy verifies, when asked to. */
static int fetch_frames(struct fetch *f, uint32_t first, uint32_t count, struct buf *bytes)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *opener = NULL;
	uint64_t avoid = 0, off, len;
	char name[CHUNK_NAME_SIZE];
	int r;

	r = chunk_opener_new(f->d->o.sealer, &f->seal, &opener);
	if (r != 0)
		return r < 0 ? r : fail(-EIO);
	chunk_object_name(f->seal.id, name);
	chunk_frame_range(&f->seal, first, count, &off, &len);
	if (fetch_staged(f, opener, first, off, len, bytes))
		return 0;
	f->gone = !f->have; /* staged when it was looked up: it has left for the stores since */
	while (f->have & ~avoid) {
		struct get_req req = { .name = span_str(name),
				       .offset = off,
				       .length = len,
				       .limit = len,
				       .deadline_ns = f->deadline_ns };
		uint64_t missing = 0;
		unsigned store = 0;

		buf_clear(bytes);
		r = replicas_get(f->d->o.replicas, &req, f->have, avoid, bytes, &store, &missing);
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			if (missing & ~avoid & (1ull << i))
				note_bad(f, i, "missing");
		avoid |= missing;
		if (r == STORE_MISSING) {
			f->gone = true;
			return fail(-EIO);
		}
		if (r < 0)
			return r;
		if (r == 0 && bytes->len == len &&
		    (!f->verify || chunk_verify(opener, first, buf_span(bytes)) == 0))
			return 0;
		count_corrupt(f->d);
		note_bad(f, store, r == STORE_RANGE || bytes->len != len ? "short" : "seal broken");
		avoid |= 1ull << store;
	}
	return fail(-EIO);
}

/* piece_fetch_fn */
static int fetch_piece(const struct piece_id *id, void *arg, struct blob **ret)
{
	struct fetch *f = arg;
	const uint32_t first = id->index * PIECE_FRAMES;
	const uint32_t frames = chunk_frames(&f->seal);

	if (first >= frames)
		return fail(-EIO);

	_cleanup_buf_ struct buf bytes = BUF_INIT(PIECE_SEALED);
	int r = fetch_frames(f, first, MIN(PIECE_FRAMES, frames - first), &bytes);

	if (r < 0)
		return r;

	size_t len;
	uint8_t *data = buf_take(&bytes, &len);

	*ret = blob_from(data, len);
	return *ret ? 0 : fail(-ENOMEM);
}

static void piece_of(const struct chunk_seal *seal, uint32_t index, struct piece_id *ret)
{
	*ret = (struct piece_id){ .index = index };
	memcpy(ret->object, seal->id, OBJECT_ID_SIZE);
}

/* Of its plaintext. */
static uint32_t piece_length(const struct chunk_seal *seal, uint32_t index)
{
	return MIN((uint32_t)PIECE_SIZE, seal->length - index * (uint32_t)PIECE_SIZE);
}

static int get_piece(struct data *d, struct fetch *f, const struct piece_id *id,
		     enum file_wait wait, struct piece **ret)
{
	int r;

	if (wait == FILE_NO_WAIT) {
		r = pieces_peek(d->o.pieces, id, true, ret);
		return r == PIECES_MISSING ? FILE_WOULD_WAIT : r;
	}
	r = pieces_get(d->o.pieces, id, fetch_piece, f, f->deadline_ns, ret);
	return r < 0 && f->gone ? FETCH_GONE : r;
}

/*
 * One piece's share of a part. A piece that does not verify is forgotten and fetched again,
 * verified; the third attempt is for who joined somebody else's unverified fetch.
 */
static int read_piece(struct data *d, struct chunk_opener *o, struct fetch *f, uint32_t from,
		      uint32_t to, enum file_wait wait, uint8_t *dst)
{
	struct piece_id id;

	piece_of(&f->seal, from / PIECE_SIZE, &id);
	for (int attempt = 0; attempt < 3; attempt++) {
		struct piece *piece = NULL;
		int r = get_piece(d, f, &id, wait, &piece);

		if (r != 0)
			return r;
		r = chunk_open_range(o, id.index * PIECE_FRAMES, blob_span(piece->blob), from, to,
				     dst);
		if (r == SEAL_BROKEN) {
			count_corrupt(d);
			pieces_bad(piece);
		}
		pieces_put_back_used(piece, to - from, piece_length(&f->seal, id.index));
		if (r != SEAL_BROKEN)
			return r;
		log_warn("data", "a piece did not verify, it is fetched again", "piece=%u",
			 id.index);
		f->verify = true;
	}
	return fail(-EIO);
}

int fetch_part(struct data *d, const struct chunk_part *p, enum file_wait wait,
	       uint64_t deadline_ns, uint8_t *dst)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *o = NULL;
	struct fetch f = { .d = d, .seal = p->seal, .have = p->have, .deadline_ns = deadline_ns };
	const uint32_t end = p->chunk_off + (uint32_t)p->len;
	int r;

	if (p->reference)
		return d->o.foreign(span_of(p->reference, p->reference_len), p->foreign_off,
				    p->len, wait, dst + p->dst, d->o.foreign_arg);
	if (end > p->seal.length)
		return fail(-EIO);
	r = chunk_opener_new(d->o.sealer, &p->seal, &o);
	if (r != 0)
		return r < 0 ? r : fail(-EIO);
	for (uint32_t at = p->chunk_off; at < end;) {
		const uint32_t to = MIN(end, (at / PIECE_SIZE + 1) * PIECE_SIZE);

		r = read_piece(d, o, &f, at, to, wait, dst + p->dst + (at - p->chunk_off));
		if (r != 0)
			return r;
		at = to;
	}
	return 0;
}

struct ahead_job {
	struct fetch fetch;
	struct piece_id id;
};

static void ahead_run(void *arg)
{
	_cleanup_free_ struct ahead_job *job = arg;
	struct data *d = job->fetch.d;
	struct piece *piece = NULL;

	if (pieces_get(d->o.pieces, &job->id, fetch_piece, &job->fetch, job->fetch.deadline_ns,
		       &piece) == 0)
		pieces_put_back(piece); /* a failure shows when somebody reads it */
	budget_give(d->ahead_budget, PIECE_SEALED);
}

void fetch_ahead(struct data *d, const struct chunk_part *p)
{
	const uint32_t end = p->chunk_off + (uint32_t)p->len;

	if (p->reference) /* whose object reads ahead by itself */
		return;
	for (uint32_t i = p->chunk_off / PIECE_SIZE; i * (uint64_t)PIECE_SIZE < end; i++) {
		struct piece_id id;

		piece_of(&p->seal, i, &id);
		if (pieces_has(d->o.pieces, &id))
			continue;

		struct ahead_job *job = malloc(sizeof(*job));

		if (!job)
			return;
		*job = (struct ahead_job){ .fetch = { .d = d,
						      .seal = p->seal,
						      .have = p->have,
						      .deadline_ns = clock_now() +
								     d->o.deadline_ns },
					   .id = id };
		if (budget_try(d->ahead_budget, PIECE_SEALED) != 0) {
			free(job);
			return;
		}
		if (pool_run(d->ahead_pool, ahead_run, job) != 0) {
			budget_give(d->ahead_budget, PIECE_SEALED);
			free(job);
			return;
		}
	}
}
