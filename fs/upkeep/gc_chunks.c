/* SPDX-License-Identifier: Apache-2.0 */
/* Chunk objects that no row is left of, or never was; and what a probe of the store left. */
#include "base/text.h"
#include "fs/ns/chunk.h"
#include "fs/ns/lookup.h"
#include "fs/upkeep/copy.h"
#include "fs/upkeep/gc_i.h"

#define CHUNKS_PREFIX "c/"
#define PROBES_PREFIX "probe/"

/* "c/<last byte>/<id>", as chunk_object_name() writes it. */
static bool parse_name(const char *name, uint8_t ret[CHUNK_ID_SIZE])
{
	const char *hex = strrchr(name, '/');
	char again[CHUNK_NAME_SIZE];

	if (!hex || hex_decode(hex + 1, strlen(hex + 1), ret, CHUNK_ID_SIZE))
		return false;
	chunk_object_name(ret, again);
	return !strcmp(again, name);
}

/*
 * The state is at least as new as the listing: whoever wrote an object of the page had mounted
 * before, and a row that it got since is known (B2).
 */
static int be_new(struct gc *g, uint64_t date_s, void *arg)
{
	return commit_refresh(g->o->commit, clock_now() + GC_COMMIT_NS);
}

/* Nothing refers to it. Can anything still? */
static int judge_unknown(struct gc *g, struct view *v, unsigned store,
			 const uint8_t id[CHUNK_ID_SIZE], struct gc_count **ret)
{
	struct gc_store *s = &g->rep.stores[store];
	struct mount_row author;
	const int r = ns_chunk_author(v, id, &author);

	if (r < 0)
		return r;
	/* A number that nobody was given is nobody's garbage: it is left (B3). */
	*ret = !r && author.status != MOUNT_MOUNTED && g->rep.any_slot &&
			       author.slot <= g->rep.slot ?
		       &s->chunks :
		       &s->waiting;
	return 0;
}

static int judge_locked(struct gc *g, struct view *v, unsigned store,
			const uint8_t id[CHUNK_ID_SIZE], struct gc_count **ret)
{
	struct gc_store *s = &g->rep.stores[store];
	struct chunk_row row;
	const int r = ns_chunk(v, id, &row);

	if (r < 0)
		return r;
	if (r == NS_MISSING)
		return judge_unknown(g, v, store, id, ret);
	*ret = chunk_is_collected(&row) ? &s->chunks : &s->kept;
	/* What was only counted is garbage as well. */
	if (g->dry_run && row.dead && g->rep.any_slot && row.dead <= g->rep.slot)
		*ret = &s->chunks;
	return 0;
}

static int judge_chunk(struct gc *g, unsigned store, const struct list_entry *e,
		       struct gc_count **ret, void *arg)
{
	struct gc_store *s = &g->rep.stores[store];
	uint8_t id[CHUNK_ID_SIZE];
	struct gc_count *count;
	int r;

	if (!parse_name(e->name, id))
		return 0; /* not ours */
	r = judge_locked(g, commit_lock(g->o->commit), store, id, &count);
	commit_unlock(g->o->commit);
	if (r)
		return r;
	if (count == &s->chunks) {
		*ret = count;
		return 0;
	}
	count->n++;
	count->bytes += e->size;
	return 0;
}

/* The probe's name is used once; what is a grace old is forgotten by whoever wrote it. */
static int note_date(struct gc *g, uint64_t date_s, void *arg)
{
	*(uint64_t *)arg = date_s;
	return 0;
}

static int judge_probe(struct gc *g, unsigned store, const struct list_entry *e,
		       struct gc_count **ret, void *arg)
{
	const uint64_t now_s = *(const uint64_t *)arg;

	if (e->modified_s && e->modified_s + g->rep.grace_s < now_s)
		*ret = &g->rep.stores[store].probes;
	return 0;
}

int gc_chunks(struct gc *g)
{
	uint64_t date_s = 0;
	const struct gc_sweep chunks = { CHUNKS_PREFIX, be_new, judge_chunk, NULL };
	const struct gc_sweep probes = { PROBES_PREFIX, note_date, judge_probe, &date_s };
	int r = 0;

	for (unsigned i = 0; i < REPLICAS_MAX && !r; i++) {
		if (g->o->data_stores >> i & 1)
			r = gc_sweep(g, i, &chunks);
		if (!r && g->o->stores >> i & 1)
			r = gc_sweep(g, i, &probes);
	}
	return r;
}
