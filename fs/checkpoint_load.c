/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaders fetch neighbouring parts and write their rows into runs beside the database. When all are
 * there and amount to what the manifest says, the runs are taken in, and the mark makes it a state.
 */
#include "fs/checkpoint_i.h"

#include "base/log.h"

#define LOADERS	   8
#define GROUP_SIZE (32 * MiB) /* rows that go into one run of a column, about */

struct loading {
	const struct checkpoint_stores *s;
	const struct manifest *m;
	struct kv *kv;
	struct {
		struct lock lock;
		size_t next_part;
		struct part_totals totals;
		struct kv_run **runs; /* ended */
		size_t n_runs, room;
		int error; /* the first: CHECKPOINT_LOST, or this machine's */
	} sync;
};

/* Parts that one loader reads, one behind the other. */
struct group {
	struct loading *l;
	size_t first, end;
	struct part_totals totals;
	struct kv_run *run; /* of the present column */
	unsigned column;
	const struct buf *begin; /* place of the part's first row; NULL once it was seen */
	struct buf last;	 /* place of the last row */
	uint64_t rows;
	int error; /* of the database */
};

static int keep_run(struct group *g)
{
	struct loading *l = g->l;
	int r = kv_run_end(g->run);
	LOCK_SCOPE(&l->sync.lock);

	if (!r && l->sync.n_runs == l->sync.room) {
		const size_t room = MAX(2 * l->sync.room, 16u);
		struct kv_run **runs = reallocarray(l->sync.runs, room, sizeof(*runs));

		r = runs ? 0 : fail(-ENOMEM);
		l->sync.runs = runs ? runs : l->sync.runs;
		l->sync.room = runs ? room : l->sync.room;
	}
	if (!r)
		l->sync.runs[l->sync.n_runs++] = take_ptr(&g->run);
	return r;
}

static int put_row(struct group *g, unsigned column, struct span key, struct span value)
{
	int r = 0;

	if (g->run && g->column != column)
		r = keep_run(g);
	if (!r && !g->run)
		r = kv_run_new(g->l->kv, column, &g->run);
	g->column = column;
	return r ? r : kv_run_put(g->run, key, value);
}

static int note_place(struct group *g, unsigned column, struct span key)
{
	int r;

	buf_clear(&g->last);
	r = buf_add_byte(&g->last, (uint8_t)column);
	if (!r)
		r = buf_add_span(&g->last, key);
	if (!r && g->begin && !span_equal(buf_span(&g->last), buf_span(g->begin)))
		r = fail(-EBADMSG);
	g->begin = NULL;
	return r;
}

static int on_row(unsigned column, struct span key, struct span value, void *arg)
{
	struct group *g = arg;
	int r = note_place(g, column, key);

	if (r)
		return r;
	part_totals_add(&g->totals, column, key, value, state_hash_row(column, key, value));
	g->rows++;
	g->error = put_row(g, column, key, value);
	return g->error;
}

/* Is it the part that the manifest means, and does it end before the next one begins? (C3) */
static bool is_meant(const struct group *g, size_t i, const uint8_t *hash)
{
	const struct manifest *m = g->l->m;
	const struct manifest_part *p = &m->parts[i];

	if (memcmp(hash, p->hash, sizeof(p->hash)) != 0 || g->rows != p->rows)
		return false;
	return i + 1 == m->n_parts ||
	       span_compare(buf_span(&g->last), buf_span(&m->parts[i + 1].first)) < 0;
}

static int load_part(struct group *g, size_t i)
{
	const struct manifest_part *p = &g->l->m->parts[i];
	_cleanup_buf_ struct buf plain = BUF_INIT(PART_PLAIN_MAX);
	uint8_t hash[PART_HASH_SIZE];
	int r = checkpoint_object_get(g->l->s, &p->place, &plain);

	if (r)
		return r;
	g->begin = &p->first;
	g->rows = 0;
	r = part_walk(buf_span(&plain), on_row, g, hash);
	if (r == -ENOMEM || g->error)
		return r;
	if (r || !is_meant(g, i, hash)) {
		char name[PLACE_NAME_MAX];

		checkpoint_place_name(&p->place, name);
		log_error("checkpoint", "a part is not what the manifest says", "object=%s", name);
		return CHECKPOINT_LOST;
	}
	return 0;
}

static int load_group(struct group *g)
{
	int r = 0;

	for (size_t i = g->first; i < g->end && !r; i++)
		r = load_part(g, i);
	if (!r && g->run)
		r = keep_run(g);
	g->run = kv_run_free(g->run);
	buf_release(&g->last);
	return r;
}

/* The next parts that nobody reads yet; false: there are none, or somebody failed. */
static bool take_group(struct loading *l, struct group *ret)
{
	const struct manifest *m = l->m;
	uint64_t size = 0;
	LOCK_SCOPE(&l->sync.lock);

	*ret =
	    (struct group){ .l = l, .first = l->sync.next_part, .last = BUF_INIT(PART_PLACE_MAX) };
	while (l->sync.next_part < m->n_parts && size < GROUP_SIZE)
		size += m->parts[l->sync.next_part++].size;
	ret->end = l->sync.next_part;
	return ret->end > ret->first && !l->sync.error;
}

static void add_totals(struct part_totals *t, const struct part_totals *more)
{
	state_hash_add(&t->hash, more->hash);
	for (unsigned i = 0; i < COL_COUNT; i++) {
		t->columns[i].rows += more->columns[i].rows;
		t->columns[i].size += more->columns[i].size;
	}
}

static void load_groups(void *arg)
{
	struct loading *l = arg;
	struct group g;

	while (take_group(l, &g)) {
		const int r = load_group(&g);
		LOCK_SCOPE(&l->sync.lock);

		add_totals(&l->sync.totals, &g.totals);
		if (r && !l->sync.error)
			l->sync.error = r;
	}
}

/* All runs, by as many loaders as there are groups. */
static int load_runs(struct loading *l)
{
	struct task *tasks[LOADERS] = { NULL };

	for (unsigned i = 0; i < LOADERS && i < l->m->n_parts; i++)
		tasks[i] = task_start("checkpoint", load_groups, l);
	for (unsigned i = 0; i < LOADERS; i++)
		if (tasks[i])
			task_join(tasks[i]);
	if (!l->sync.error && l->sync.next_part < l->m->n_parts)
		return fail(-ENOMEM); /* no thread could be started */
	return l->sync.error;
}

static int take_in(struct loading *l)
{
	int r;

	if (!part_totals_equal(&l->sync.totals, &l->m->totals)) {
		log_error("checkpoint", "the rows do not amount to what the manifest says",
			  "slot=%llu", (unsigned long long)l->m->mark.slot);
		return CHECKPOINT_LOST;
	}
	r = kv_ingest(l->kv, l->sync.runs, l->sync.n_runs);
	return r ? r : commit_mark_store(l->kv, &l->m->mark);
}

static int load_manifest(const struct checkpoint_stores *s, const struct manifest *m, struct kv *kv)
{
	struct loading l = { .s = s, .m = m, .kv = kv };
	int r;

	lock_init(&l.sync.lock, RANK_LEAF);
	r = load_runs(&l);
	if (!r)
		r = take_in(&l);
	for (size_t i = 0; i < l.sync.n_runs; i++)
		kv_run_free(l.sync.runs[i]);
	free(l.sync.runs);
	lock_release(&l.sync.lock);
	return r;
}

static void report(const struct manifest *m, uint64_t begun_ns, struct checkpoint_report *ret)
{
	*ret = (struct checkpoint_report){ .slot = m->mark.slot, .parts = m->n_parts };
	for (size_t i = 0; i < m->n_parts; i++) {
		ret->rows += m->parts[i].rows;
		ret->bytes += m->parts[i].length;
	}
	ret->seconds = (double)(clock_now() - begun_ns) / NS_PER_S;
}

static int load_one(const struct checkpoint_stores *s, const struct checkpoint_place *place,
		    struct kv *kv, struct checkpoint_report *ret)
{
	_cleanup_(manifest_release) struct manifest m = { .n_parts = 0 };
	const uint64_t begun_ns = clock_now();
	uint8_t hash[MANIFEST_HASH_SIZE];
	int r = checkpoint_manifest_get(s, place, &m, hash);

	if (!r)
		r = load_manifest(s, &m, kv);
	if (!r)
		report(&m, begun_ns, ret);
	return r;
}

int checkpoint_load(const struct checkpoint_stores *s, uint64_t above, struct kv *kv,
		    struct checkpoint_report *ret)
{
	_cleanup_(checkpoint_list_release) struct checkpoint_list list = { .n = 0 };
	int r = checkpoint_list_get(s, &list);

	if (r)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		const struct checkpoint_place *p = &list.all[i];

		if (above != UINT64_MAX && p->slot <= above) /* (C4) */
			break;
		r = load_one(s, p, kv, ret);
		if (r != CHECKPOINT_LOST)
			return r;
		log_warn("checkpoint", "a checkpoint cannot be had whole; an older one is tried",
			 "slot=%llu", (unsigned long long)p->slot);
	}
	return CHECKPOINT_NONE;
}
