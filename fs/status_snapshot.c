/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a mount tell about themselves, at one moment. */
#include "fs/ns/lookup.h"
#include "fs/status_i.h"

/* Rows read per hold of the namespace's lock, so that a long list does not stop the mount. */
#define DEFICIT_PAGE 256u
/* A count stands for so many times what it took. */
#define DEFICIT_REST 10u

int status_new(struct volume *v, struct status **ret)
{
	struct status *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM);
	s->v = v;
	lock_init(&s->sync.lock, RANK_LEAF);
	*ret = s;
	return 0;
}

struct status *status_free(struct status *s)
{
	if (s)
		lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

struct volume *status_volume(struct status *s)
{
	return s->v;
}

/* One page of deficits. */
struct deficit_page {
	struct view *view;
	struct snapshot *to;
	uint8_t id[CHUNK_ID_SIZE]; /* the last one seen */
	unsigned store;
	unsigned n;
};

static int add_deficit(const uint8_t id[CHUNK_ID_SIZE], unsigned store, void *arg)
{
	struct deficit_page *p = arg;
	struct chunk_row row;
	int r = ns_chunk(p->view, id, &row);

	if (r < 0)
		return r;
	if (!r && store < REPLICAS_MAX) {
		p->to->deficit_chunks[store]++;
		p->to->deficit_bytes[store] += row.length;
	}
	memcpy(p->id, id, CHUNK_ID_SIZE);
	p->store = store;
	return ++p->n == DEFICIT_PAGE;
}

static int count_deficits(struct volume *v, struct snapshot *s)
{
	struct deficit_page p = {.to = s};
	const uint8_t *after = NULL;
	int r;

	do {
		p.n = 0;
		p.view = commit_lock(v->commit);
		r = ns_deficits(p.view, after, p.store, add_deficit, &p);
		commit_unlock(v->commit);
		after = p.id;
	} while (!r && p.n == DEFICIT_PAGE);
	return r;
}

static bool remembered_deficits(struct status *st, struct snapshot *to)
{
	LOCK_SCOPE(&st->sync.lock);

	if (clock_now() >= st->sync.deficits_until_ns)
		return false;
	memcpy(to->deficit_chunks, st->sync.deficit_chunks, sizeof(to->deficit_chunks));
	memcpy(to->deficit_bytes, st->sync.deficit_bytes, sizeof(to->deficit_bytes));
	return true;
}

static int read_deficits(struct status *st, struct snapshot *to)
{
	uint64_t begun = clock_now(), now;
	int r;

	if (remembered_deficits(st, to))
		return 0;
	r = count_deficits(st->v, to);
	if (r)
		return r;
	now = clock_now();
	lock_take(&st->sync.lock);
	memcpy(st->sync.deficit_chunks, to->deficit_chunks, sizeof(to->deficit_chunks));
	memcpy(st->sync.deficit_bytes, to->deficit_bytes, sizeof(to->deficit_bytes));
	st->sync.deficits_until_ns = now + DEFICIT_REST * (now - begun);
	lock_give(&st->sync.lock);
	return 0;
}

static int read_namespace(struct volume *v, struct snapshot *s)
{
	struct totals_row row;
	struct checkpoint_row checkpoint;
	struct view *view = commit_lock(v->commit);
	int r = ns_totals(view, &row), known = ns_checkpoint(view, &checkpoint);

	commit_unlock(v->commit);
	if (r < 0 || known < 0)
		return MIN(r, known);
	s->checkpoint_slot = known ? UINT64_MAX : checkpoint.slot;
	if (!r) {
		s->files = row.files;
		s->directories = row.directories;
		s->bytes = row.bytes;
	}
	return 0;
}

/* Since when does this store lack something? */
static double lag(struct status *s, unsigned i, bool lacking)
{
	LOCK_SCOPE(&s->sync.lock);
	uint64_t now = clock_now(), *since = &s->sync.lag_since_ns[i];

	if (!lacking)
		*since = 0;
	else if (!*since)
		*since = now;
	return *since ? (double)(now - *since) / NS_PER_S : 0;
}

static void read_stores(struct status *s, struct snapshot *to)
{
	for (unsigned i = 0; i < s->v->n_stores; i++) {
		struct replica_health *h = &to->health[i];
		bool lacking;

		replicas_health(s->v->replicas, i, h);
		lacking = h->in_flight_bytes || to->deficit_chunks[i] || h->state == REPLICA_DOWN;
		to->lag_s[i] = lag(s, i, lacking);
		if (h->state == REPLICA_DOWN || h->state == REPLICA_FROZEN || to->deficit_chunks[i])
			to->degraded = true;
	}
}

int status_take(struct status *s, struct snapshot *to)
{
	struct volume *v = s->v;
	int r;

	*to = (struct snapshot){.checkpoint_slot = UINT64_MAX};
	pieces_stats_get(v->pieces, &to->pieces);
	to->degraded = status_attached_degraded(v);
	if (is_bare(v))
		return 0;
	commit_status_get(v->commit, &to->commit);
	data_status_get(v->data, &to->data);
	repair_status_get(v->repair, &to->repair);
	volume_stopped(v, to->stopped, sizeof(to->stopped));
	r = read_namespace(v, to);
	if (!r)
		r = read_deficits(s, to);
	if (r < 0)
		return r;
	read_stores(s, to);
	if (*to->stopped)
		to->degraded = true;
	return 0;
}

double status_age_s(uint64_t since_ns)
{
	return since_ns ? (double)(clock_now() - since_ns) / NS_PER_S : 0;
}
