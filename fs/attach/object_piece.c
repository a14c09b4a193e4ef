/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of objects: fetched, sealed for this machine, opened.
 *
 * (F1) A piece is a whole sealed chunk, header and frames, under an id that is made of the piece's
 *      own. So one that lies on disk opens by itself, and only as the piece that it is.
 * (F2) What was just fetched is given to its reader as it came, over a connection that was
 *      authenticated; everything else is opened (O3).
 */
#include "base/log.h"
#include "base/sodium.h"
#include "fs/attach/object_i.h"

/* While it is fetched it is there twice, plain and sealed. */
#define BRING_CHARGE (2 * (uint64_t)PIECE_SIZE)

struct fetch {
	struct object *o;
	const struct share *share; /* or NULL: nobody reads it yet */
	uint64_t deadline_ns;
	bool copied;               /* to the share's dst (F2) */
};

uint32_t object_piece_length(const struct object *o, uint32_t index)
{
	return (uint32_t)MIN(o->size - index * (uint64_t)PIECE_SIZE, (uint64_t)PIECE_SIZE);
}

static struct piece_id piece_of(const struct object *o, uint32_t index)
{
	struct piece_id id = { .index = index };

	memcpy(id.object, o->id, sizeof(id.object));
	return id;
}

/* (F1) */
static void seal_id(const struct piece_id *id, uint8_t ret[OBJECT_ID_SIZE])
{
	struct blake2b_state st;
	const uint8_t index[4] = { (uint8_t)(id->index >> 24), (uint8_t)(id->index >> 16),
				   (uint8_t)(id->index >> 8), (uint8_t)id->index };

	blake2b_begin(&st, OBJECT_ID_SIZE);
	blake2b_add(&st, span_of(id->object, sizeof(id->object)));
	blake2b_add(&st, span_of(index, sizeof(index)));
	blake2b_end(&st, ret, OBJECT_ID_SIZE);
}

/* piece_fetch_fn */
static int fetch_piece(const struct piece_id *id, void *arg, struct blob **ret)
{
	struct fetch *f = arg;
	const uint64_t off = id->index * (uint64_t)PIECE_SIZE;
	_cleanup_buf_ struct buf plain = BUF_INIT(PIECE_SIZE);
	uint8_t sealed_as[OBJECT_ID_SIZE];
	struct chunk_seal seal;
	int r = mirrors_get(f->o, off, object_piece_length(f->o, id->index), f->deadline_ns,
			    &plain);

	if (r < 0)
		return r;
	if (f->share) {
		memcpy(f->share->dst, plain.data + f->share->from, f->share->to - f->share->from);
		f->copied = true;
	}
	seal_id(id, sealed_as);
	return seal_chunk(f->o->service->o.sealer, sealed_as, buf_span(&plain), &seal, ret);
}

/* 0, SEAL_*, -ENOMEM */
static int open_piece(struct object *o, const struct piece *p, const struct share *s)
{
	_cleanup_(chunk_opener_freep) struct chunk_opener *opener = NULL;
	struct sealer *sealer = o->service->o.sealer;
	const struct span all = blob_span(p->blob);
	uint8_t sealed_as[OBJECT_ID_SIZE];
	struct chunk_seal seal;
	int r = chunk_header_open(sealer, span_sub(all, 0, SEAL_HEADER_SIZE), &seal);

	if (r)
		return r;
	seal_id(&p->id, sealed_as);
	if (memcmp(seal.id, sealed_as, sizeof(seal.id)) != 0 ||
	    seal.length != object_piece_length(o, p->id.index))
		return SEAL_BROKEN;
	r = chunk_opener_new(sealer, &seal, &opener);
	if (r)
		return r;
	return chunk_open_range(opener, 0, span_sub(all, SEAL_HEADER_SIZE, SIZE_MAX), s->from,
				s->to, s->dst);
}

static int get_piece(struct fetch *f, const struct piece_id *id, enum object_wait wait,
		     struct piece **ret)
{
	struct pieces *pieces = f->o->service->o.pieces;
	int r;

	if (wait == OBJECT_WAIT)
		return pieces_get(pieces, id, fetch_piece, f, f->deadline_ns, ret);
	r = pieces_peek(pieces, id, true, ret);
	return r == PIECES_MISSING ? OBJECT_WOULD_WAIT : r;
}

static int read_once(struct fetch *f, const struct piece_id *id, enum object_wait wait,
		     bool *ret_broken)
{
	struct piece *piece = NULL;
	int r = get_piece(f, id, wait, &piece);

	if (r != 0)
		return r;
	if (!f->copied)
		r = open_piece(f->o, piece, f->share);
	if (r > 0)
		pieces_bad(piece);
	pieces_put_back_used(piece, f->share->to - f->share->from,
			     object_piece_length(f->o, id->index));
	*ret_broken = r > 0;
	return MIN(r, 0);
}

/*
 * A piece that does not open is forgotten and fetched again; the third attempt is for who meets
 * another's bad piece twice.
 */
int object_read_piece(struct object *o, const struct share *s, enum object_wait wait,
		      uint64_t deadline_ns)
{
	const struct piece_id id = piece_of(o, s->index);
	struct fetch f = { .o = o, .share = s, .deadline_ns = deadline_ns };

	for (int attempt = 0; attempt < 3; attempt++) {
		bool broken = false;
		int r = read_once(&f, &id, wait, &broken);

		if (!broken)
			return r;
		metric_add(o->service->m_corrupt, 1);
		log_warn("attach", "a piece did not open, it is fetched again", "key=%s piece=%u",
			 o->key, s->index);
	}
	return fail(-EIO);
}

/* ---- before anybody reads ---- */

struct bring_job {
	struct object *o; /* held */
	uint32_t index;
};

static void bring_run(void *arg)
{
	_cleanup_free_ struct bring_job *job = arg;
	struct object *o = job->o;
	struct objects *s = o->service;
	struct fetch f = { .o = o, .deadline_ns = clock_now() + s->o.deadline_ns };
	const struct piece_id id = piece_of(o, job->index);
	struct piece *piece = NULL;

	if (object_in_use(o) &&
	    pieces_get(s->o.pieces, &id, fetch_piece, &f, f.deadline_ns, &piece) == 0)
		pieces_put_back(piece); /* a failure shows when somebody reads it */
	budget_give(s->ahead_budget, BRING_CHARGE);
	object_drop(o);
}

bool object_bring_piece(struct object *o, uint32_t index)
{
	struct objects *s = o->service;
	const struct piece_id id = piece_of(o, index);
	struct bring_job *job;

	if (pieces_has(s->o.pieces, &id))
		return true;
	if (budget_try(s->ahead_budget, BRING_CHARGE) != 0)
		return false;
	job = malloc(sizeof(*job));
	if (!job)
		goto no_room;
	*job = (struct bring_job){ .o = object_hold(o), .index = index };
	if (pool_run(s->ahead_pool, bring_run, job) == 0)
		return true;
	object_drop(o);
	free(job);
no_room:
	budget_give(s->ahead_budget, BRING_CHARGE);
	return false;
}
