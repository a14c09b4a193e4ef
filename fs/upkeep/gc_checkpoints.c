/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints that are older than the two newest. A checkpoint names parts of earlier ones again:
 * those stay with it.
 *
 * One that is being written names parts of the last one announced, at its time. If two more are
 * announced before it is done, its own announcement is refused, because it is older: so what it
 * named need not stay.
 */
#include "base/log.h"
#include "fs/checkpoint_i.h"
#include "fs/ns/lookup.h"
#include "fs/upkeep/gc_i.h"

/* The names that stay, sorted; and the slot from which on nothing is judged. */
struct kept {
	char (*names)[PLACE_NAME_MAX];
	size_t n;
	uint64_t newest; /* announced */
	bool manifests;  /* of this pass: else parts */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int keep(struct kept *k, const struct checkpoint_place *p)
{
	char (*names)[PLACE_NAME_MAX] = reallocarray(k->names, k->n + 1, sizeof(*names));

	if (!names)
		return fail(-ENOMEM);
	k->names = names;
	checkpoint_place_name(p, k->names[k->n++]);
	return 0;
}

/* A checkpoint with all that it names. 0, CHECKPOINT_LOST, -ENOMEM. */
static int keep_whole(const struct checkpoint_stores *s, const struct checkpoint_place *p,
		      struct kept *k)
{
	uint8_t hash[MANIFEST_HASH_SIZE];
	struct manifest m;
	int r = checkpoint_manifest_get(s, p, &m, hash);

	if (r)
		return r;
	r = keep(k, p);
	for (size_t i = 0; i < m.n_parts && !r; i++)
		r = keep(k, &m.parts[i].place);
	manifest_release(&m);
	return r;
}

/* The announced one, and the newest before it that can be read. 0; 1: nothing may be judged. */
static int choose(struct gc *g, const struct checkpoint_stores *s, struct kept *k)
{
	struct checkpoint_list list = { .n = 0 };
	struct checkpoint_row row;
	struct checkpoint_place last = { .number = PLACE_MANIFEST };
	int r = ns_checkpoint(commit_lock(g->o->commit), &row);

	commit_unlock(g->o->commit);
	if (r)
		return r;
	last.slot = k->newest = row.slot;
	last.mount = row.mount;
	r = keep_whole(s, &last, k);
	if (!r)
		r = checkpoint_list_get(s, &list);
	for (size_t i = 0, whole = 0; i < list.n && !r && !whole; i++) {
		if (list.all[i].slot >= row.slot)
			continue;
		r = keep_whole(s, &list.all[i], k);
		whole = r == 0;
		r = r == CHECKPOINT_LOST ? 0 : r;
	}
	checkpoint_list_release(&list);
	if (r == CHECKPOINT_LOST)
		log_warn("gc", "the announced checkpoint cannot be read: none is removed",
			 "slot=%llu", (unsigned long long)row.slot);
	return r;
}

static int judge(struct gc *g, unsigned store, const struct list_entry *e, struct gc_count **ret,
		 void *arg)
{
	const struct kept *k = arg;
	const char *slash = strrchr(e->name, '/');
	const bool is_manifest = slash && !strcmp(slash, "/manifest");
	struct checkpoint_place p;

	if (is_manifest != k->manifests || strlen(e->name) >= PLACE_NAME_MAX ||
	    !checkpoint_place_parse(span_str(e->name), &p) || p.slot >= k->newest ||
	    bsearch(e->name, k->names, k->n, sizeof(*k->names), by_name))
		return 0;
	*ret = &g->rep.stores[store].checkpoints;
	return 0;
}

int gc_checkpoints(struct gc *g)
{
	const struct checkpoint_stores s = { .replicas = g->o->replicas,
					     .sealer = g->o->sealer,
					     .stores = g->o->stores };
	struct kept k = { .manifests = true };
	const struct gc_sweep sweep = { CHECKPOINT_PREFIX, NULL, judge, &k };
	int r = choose(g, &s, &k);

	if (!r)
		qsort(k.names, k.n, sizeof(*k.names), by_name);
	/* The manifests first: who looks for a checkpoint meanwhile does not find half of one. */
	for (unsigned i = 0; i < 2 * REPLICAS_MAX && !r; i++) {
		k.manifests = i < REPLICAS_MAX;
		if (g->o->stores >> (i % REPLICAS_MAX) & 1)
			r = gc_sweep(g, i % REPLICAS_MAX, &sweep);
	}
	free(k.names);
	return r > 0 ? 0 : r;
}
