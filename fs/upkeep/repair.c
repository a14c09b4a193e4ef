/* SPDX-License-Identifier: Apache-2.0 */
/* The repair worker: what is lacking, where, and may it be made now? */
#include "fs/upkeep/copy.h"
#include "fs/upkeep/repair_i.h"

#include "base/log.h"

#include <utlist.h>

#define LOOK_NS (1 * NS_PER_S)
/* who does not own the tip leaves it to the owner this long (Q2) */
#define OTHERS_NS (15 * NS_PER_S)
#define RETRY_NS (10 * NS_PER_S)
#define WORKERS 4

/* One walk over the deficits: who lacks anything, and the first that can be worked on. */
struct look {
	struct repair *r;
	struct view *view;
	uint64_t allowed;
	uint64_t lacking; /* stores that lack anything */
	struct copy_job *jobs;
	size_t n, max;
};

static int on_deficit(const uint8_t id[CHUNK_ID_SIZE], unsigned store, void *arg)
{
	struct look *l = arg;
	struct chunk_row row;
	uint64_t have;
	int r = ns_chunk(l->view, id, &row);

	if (r < 0)
		return r;
	if (r == NS_MISSING || store >= REPLICAS_MAX)
		return 0;
	l->lacking |= 1ull << store;
	/* No copy is known: there may be one all the same that nobody lived to report. */
	have = (row.stores ? row.stores : row.want) & ~(1ull << store);
	if (l->n < l->max && l->allowed & (1ull << store) && have) {
		struct copy_job *job = &l->jobs[l->n++];

		*job = (struct copy_job){ .have = have, .store = store };
		copy_seal(id, &row, &job->seal);
	}
	return 0;
}

/* Stores that answer just now (Q3). */
static uint64_t healthy_stores(struct repair *r)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < replicas_count(r->o.replicas); i++) {
		struct replica_health h;

		replicas_health(r->o.replicas, i, &h);
		if (h.state == REPLICA_HEALTHY || h.state == REPLICA_SLOW)
			set |= 1ull << i;
	}
	return set;
}

static bool is_our_turn(struct repair *r)
{
	struct commit_status st;
	uint64_t since = 0;

	commit_status_get(r->o.commit, &st);
	if (st.read_only)
		return false;
	if (st.owned)
		return true;
	LOCK_SCOPE(&r->sync.lock);
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (r->sync.lacking_since[i] && (!since || r->sync.lacking_since[i] < since))
			since = r->sync.lacking_since[i];
	return since && clock_now() - since > OTHERS_NS;
}

static void note_lacking(struct repair *r, uint64_t lacking)
{
	const uint64_t now = clock_now();

	LOCK_SCOPE(&r->sync.lock);
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (!(lacking >> i & 1))
			r->sync.lacking_since[i] = 0;
		else if (!r->sync.lacking_since[i])
			r->sync.lacking_since[i] = now;
}

static void ignore_result(const struct result *res, void *arg)
{
}

static void submit(struct repair *r, enum op_kind kind, const struct op_chunk *chunks, size_t n)
{
	const struct op op = { .kind = kind, .chunks = chunks, .n_chunks = n };
	struct result res;
	uint64_t no;
	int x;

	if (n == 0)
		return;
	x = commit_submit(r->o.commit, &op, COMMIT_EARLY, ignore_result, NULL, &res, &no);
	if (x < 0)
		log_warn("repair", "copies could not be recorded", "chunks=%zu error=%s", n,
			 strerror(-x));
}

/* One look: makes up to a batch of copies. True when there may be more to do at once. */
static bool repair_deficits(struct repair *r)
{
	struct copy_job jobs[REPAIR_BATCH];
	struct op_chunk stored[REPAIR_BATCH];
	struct look l = { .r = r, .jobs = jobs, .allowed = healthy_stores(r),
			  .max = is_our_turn(r) ? REPAIR_BATCH : 0 };
	size_t n = 0;
	int x;

	l.view = commit_lock(r->o.commit);
	x = ns_deficits(l.view, NULL, 0, on_deficit, &l);
	commit_unlock(r->o.commit);
	if (x < 0)
		return false;
	note_lacking(r, l.lacking);
	repair_run(r, jobs, l.n);
	for (size_t i = 0; i < l.n; i++) {
		if (jobs[i].result != 0) {
			log_debug("repair", "a copy could not be made", "store=%s error=%s",
				  replicas_store(r->o.replicas, jobs[i].store)->name,
				  strerror(-jobs[i].result));
			continue;
		}
		stored[n] = (struct op_chunk){ .stores = 1ull << jobs[i].store };
		memcpy(stored[n++].id, jobs[i].seal.id, CHUNK_ID_SIZE);
	}
	submit(r, OP_STORED, stored, n);
	if (n)
		log_info("repair", "missing copies were made", "copies=%zu", n);
	return n > 0;
}

void repair_bad(struct repair *r, const struct chunk_seal *seal, unsigned store)
{
	struct bad_replica *b, *new = calloc(1, sizeof(*new));

	if (!new)
		return; /* the next reader finds it again */
	new->seal = *seal;
	new->store = store;
	lock_take(&r->sync.lock);
	DL_FOREACH(r->sync.bad, b)
		if (b->store == store && memcmp(b->seal.id, seal->id, OBJECT_ID_SIZE) == 0)
			break;
	if (!b) {
		DL_APPEND(r->sync.bad, new);
		r->sync.status.bad_chunks[store]++;
		new = NULL;
	}
	lock_give(&r->sync.lock);
	free(new); /* known already */
	event_set(&r->wake);
}

static bool next_bad(struct repair *r, uint64_t allowed, struct bad_replica *ret)
{
	const uint64_t now = clock_now();
	struct bad_replica *b;

	LOCK_SCOPE(&r->sync.lock);
	DL_FOREACH(r->sync.bad, b)
		if (b->retry_ns <= now && allowed & (1ull << b->store)) {
			*ret = *b;
			return true;
		}
	return false;
}

static void end_bad(struct repair *r, const struct bad_replica *done, bool ok)
{
	struct bad_replica *b, *next;

	LOCK_SCOPE(&r->sync.lock);
	DL_FOREACH_SAFE(r->sync.bad, b, next) {
		if (b->store != done->store || memcmp(b->seal.id, done->seal.id, OBJECT_ID_SIZE))
			continue;
		if (!ok) {
			b->retry_ns = clock_now() + RETRY_NS;
			return;
		}
		r->sync.status.bad_chunks[b->store]--;
		DL_DELETE(r->sync.bad, b);
		free(b);
		return;
	}
}

static int where_is(struct repair *r, const struct chunk_seal *seal, uint64_t *ret)
{
	struct chunk_row row;
	int x = ns_chunk(commit_lock(r->o.commit), seal->id, &row);

	commit_unlock(r->o.commit);
	if (x == 0)
		*ret = row.stores;
	return x;
}

static void repair_bad_replicas(struct repair *r)
{
	struct commit_status st;
	struct bad_replica b;

	commit_status_get(r->o.commit, &st);
	while (!st.read_only && next_bad(r, healthy_stores(r), &b)) {
		struct copy_job job = { .seal = b.seal, .store = b.store, .overwrite = true };
		int x = where_is(r, &b.seal, &job.have);

		if (x == 0) {
			repair_run(r, &job, 1);
			x = job.result;
		} else if (x == NS_MISSING) {
			x = 0; /* the chunk is gone: nothing to repair */
		}
		if (x == 0)
			log_info("repair", "a bad replica was rewritten", "store=%s",
				 replicas_store(r->o.replicas, b.store)->name);
		else
			log_warn("repair", "a bad replica could not be rewritten yet",
				 "store=%s error=%s", replicas_store(r->o.replicas, b.store)->name,
				 strerror(-x));
		end_bad(r, &b, x == 0);
	}
}

/*
 * What a mount that ended without a word was still sending: chunks that lack copies although nobody
 * alive is making them.
 */
struct adopt {
	struct view *view;
	struct op_chunk lacking[REPAIR_BATCH];
	size_t n;
	uint8_t next[CHUNK_ID_SIZE];
	size_t seen;
};

static bool is_author_alive(struct view *v, const uint8_t id[CHUNK_ID_SIZE])
{
	struct mount_row row;

	return ns_chunk_author(v, id, &row) != 0 || row.status == MOUNT_MOUNTED;
}

static int on_chunk(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row, void *arg)
{
	struct adopt *a = arg;
	const uint64_t lacks = row->want & ~row->stores;

	memcpy(a->next, id, CHUNK_ID_SIZE);
	if (!row->dead && lacks && !is_author_alive(a->view, id)) {
		a->lacking[a->n] = (struct op_chunk){ .stores = lacks };
		memcpy(a->lacking[a->n++].id, id, CHUNK_ID_SIZE);
	}
	return a->n == REPAIR_BATCH || ++a->seen == 4096;
}

static void adopt_lost_uploads(struct repair *r)
{
	struct adopt a = { .seen = 1 };
	bool more = true;

	while (more && a.seen && !__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE)) {
		int x;

		a.n = a.seen = 0;
		a.view = commit_lock(r->o.commit);
		x = ns_chunks(a.view, a.next, on_chunk, &a);
		commit_unlock(r->o.commit);
		if (x < 0)
			return;
		submit(r, OP_DEFICIT, a.lacking, a.n);
		more = a.seen || a.n ? copy_step_past(a.next) : false;
		a.seen += a.n;
	}
}

static void repair_task(void *arg)
{
	struct repair *r = arg;
	struct commit_status st;

	commit_status_get(r->o.commit, &st);
	if (!st.read_only)
		adopt_lost_uploads(r);
	while (!__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE)) {
		repair_bad_replicas(r);
		if (!repair_deficits(r))
			event_take(&r->wake, clock_now() + LOOK_NS);
	}
}

int repair_new(const struct repair_options *o, struct repair **ret)
{
	_cleanup_(repair_freep) struct repair *r = calloc(1, sizeof(*r));

	if (!r)
		return fail(-ENOMEM);
	r->o = *o;
	lock_init(&r->sync.lock, RANK_LEAF);
	event_init(&r->wake);
	r->m_repaired = metric_get("mangrove_repaired_chunks_total", "Copies made by repair",
				   METRIC_COUNTER, "");
	r->pool = pool_new("repair", WORKERS, 2 * REPAIR_BATCH);
	if (!r->pool)
		return fail(-ENOMEM);
	r->task = task_start("repair", repair_task, r);
	if (!r->task)
		return fail(-ENOMEM);
	*ret = take_ptr(&r);
	return 0;
}

struct repair *repair_free(struct repair *r)
{
	struct bad_replica *b, *next;

	if (!r)
		return NULL;
	__atomic_store_n(&r->stopping, true, __ATOMIC_RELEASE);
	event_set(&r->wake);
	if (r->task)
		task_join(r->task);
	pool_free(r->pool);
	DL_FOREACH_SAFE(r->sync.bad, b, next) {
		DL_DELETE(r->sync.bad, b);
		free(b);
	}
	event_release(&r->wake);
	lock_release(&r->sync.lock);
	free(r);
	return NULL;
}

void repair_status_get(struct repair *r, struct repair_status *ret)
{
	LOCK_SCOPE(&r->sync.lock);
	*ret = r->sync.status;
}
