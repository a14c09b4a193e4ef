/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/gc_i.h"

#include "base/log.h"
#include "fs/ns/lookup.h"

#define WORKERS 8
#define PAGE_MAX 5000
#define LIST_NS (60 * NS_PER_S)
#define REMOVE_NS (30 * NS_PER_S)
#define SEEK_NS (60 * NS_PER_S)

/* ---- removing ---- */

static void remove_run(void *arg)
{
	struct gc_object *x = arg;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	const struct remove_req req = { .name = span_str(x->name),
					.deadline_ns = clock_now() + REMOVE_NS };

	if (gc_is_stopped(x->g)) {
		x->result = -ECANCELED;
		return;
	}
	x->result = store_remove_wait(replicas_store(x->g->o->replicas, x->store), &req, &call);
	if (x->result == STORE_MISSING)
		x->result = 0;
	if (x->result)
		log_warn("gc", "an object could not be removed", "store=%s object=%s why=\"%s\"",
			 replicas_store(x->g->o->replicas, x->store)->name, x->name,
			 call ? call->detail : strerror(ENOMEM));
}

/* What of a page may go, goes. */
static void remove_all(struct gc *g, struct gc_object *all, size_t n)
{
	if (!g->dry_run)
		pool_each(g->pool, remove_run, all, sizeof(*all), n);
	for (size_t i = 0; i < n; i++) {
		g->rep.stores[all[i].store].failed += all[i].result != 0;
		if (all[i].result)
			continue;
		all[i].count->n++;
		all[i].count->bytes += all[i].size;
	}
}

static int judge_page(struct gc *g, unsigned store, const struct gc_sweep *s,
		      const struct store_call *c)
{
	_cleanup_free_ struct gc_object *all = calloc(c->n_entries + 1, sizeof(*all));
	size_t n = 0;
	int r = all ? 0 : fail(-ENOMEM);

	if (!r && s->page)
		r = s->page(g, c->date_s ? c->date_s : clock_wall() / NS_PER_S, s->arg);
	for (size_t i = 0; i < c->n_entries && !r; i++) {
		struct gc_object x = { .g = g,
				       .store = store,
				       .name = c->entries[i].name,
				       .size = c->entries[i].size };

		g->o->progress->done++;
		r = s->judge(g, store, &c->entries[i], &x.count, s->arg);
		if (!r && x.count)
			all[n++] = x;
	}
	if (!r)
		remove_all(g, all, n);
	return r;
}

int gc_sweep(struct gc *g, unsigned store, const struct gc_sweep *s)
{
	_cleanup_free_ char *token = NULL;
	int r;

	do {
		_cleanup_(store_call_unrefp) struct store_call *c = NULL;
		const struct list_req req = { .prefix = span_str(s->prefix),
					      .token = token,
					      .deadline_ns = clock_now() + LIST_NS };

		if (gc_is_stopped(g))
			return -ECANCELED;
		r = replicas_allows(g->o->replicas, store) ?
			    store_list_wait(replicas_store(g->o->replicas, store), &req, &c) :
			    -EIO;
		if (r) {
			g->rep.stores[store].unread = true;
			return r == -ENOMEM ? r : 0;
		}
		r = judge_page(g, store, s, c);
		free(token);
		token = take_ptr(&c->next_token);
	} while (!r && token);
	return r;
}

/* ---- the last slot that is a grace old ---- */

/* Was the slot before that moment? */
static int is_before(struct gc *g, uint64_t slot, uint64_t moment_ns, bool *ret)
{
	_cleanup_(record_freep) struct record *rec = NULL;
	const int r = journal_seek(g->o->past, slot, clock_now() + SEEK_NS, &rec);

	if (r)
		return r < 0 ? r : fail(-EIO); /* no store has it just now */
	*ret = rec->time_ns <= moment_ns;
	return 0;
}

/* Times rise with the slots but for what clocks differ, which the grace's other half allows for. */
static int find_slot(struct gc *g, uint64_t moment_ns)
{
	struct commit_status st;
	uint64_t low = 0, high; /* everything below low is before, everything from high on is not */

	commit_status_get(g->o->commit, &st);
	memcpy(g->me, st.incarnation, sizeof(g->me));
	high = st.applied_slot;
	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;
		bool before = false;
		const int r = is_before(g, middle, moment_ns, &before);

		if (r)
			return r;
		if (before)
			low = middle + 1;
		else
			high = middle;
	}
	g->rep.any_slot = low > 0;
	g->rep.slot = low ? low - 1 : 0;
	return 0;
}

/*
 * Who has an orphan open says so as often as the grace in force asks for: a grace that is new has
 * to be known for as long as it is before it says anything of them.
 */
static int choose_grace(struct gc *g)
{
	struct grace_row row;
	const int r = ns_grace(commit_lock(g->o->commit), &row);

	commit_unlock(g->o->commit);
	if (r)
		return r;
	g->rep.grace_s = g->o->grace_s ? g->o->grace_s : row.seconds;
	g->is_new_grace = row.seconds != g->rep.grace_s;
	g->judges_orphans = !g->is_new_grace && row.since_ns + row.seconds * NS_PER_S <=
							commit_time(g->o->commit);
	return 0;
}

static int run(struct gc *g)
{
	int r = commit_refresh(g->o->commit, clock_now() + GC_COMMIT_NS);

	if (!r)
		r = choose_grace(g);
	if (!r)
		r = find_slot(g, commit_time(g->o->commit) - g->rep.grace_s * NS_PER_S);
	if (!r)
		r = gc_rows(g);
	if (!r)
		r = gc_chunks(g);
	if (!r)
		r = gc_checkpoints(g);
	return r;
}

int gc_run(const struct gc_options *o, struct gc_report *ret)
{
	struct gc g = { .o = o, .dry_run = o->dry_run };
	int r;

	g.pool = pool_new("gc", WORKERS, PAGE_MAX);
	r = g.pool ? run(&g) : fail(-ENOMEM);
	pool_free(g.pool);
	*ret = g.rep;
	return r;
}
