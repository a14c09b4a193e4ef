/* SPDX-License-Identifier: Apache-2.0 */
/* Drills: a store plays a failure for this mount, one at a time. */
#include "fs/control_i.h"

#include "base/log.h"
#include "fs/ns/lookup.h"
#include "fs/status_i.h"
#include "fs/upkeep/copy.h"

#define DRILL_DEFAULT_NS (60 * NS_PER_S)
#define DRILL_MAX_NS (3600 * NS_PER_S)
/* While a drill goes on the store is asked for a little now and then, so that it is noticed
 * without traffic, too. */
#define DRILL_BEAT_NS (NS_PER_S / 5)
#define DRILL_REQUEST_NS (2 * NS_PER_S)

struct find {
	unsigned store;
	struct chunk_seal seal;
	bool found;
};

static int find_one(const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row, void *arg)
{
	struct find *f = arg;

	if (row->dead || !(row->stores >> f->store & 1))
		return 0;
	copy_seal(id, row, &f->seal);
	f->found = true;
	return 1;
}

/* The first chunk of which the store has a copy. 0; NS_MISSING; negative errno. */
static int find_copy(struct control *c, struct find *ret)
{
	int r = ns_chunks(commit_lock(c->volume->commit), NULL, find_one, ret);

	commit_unlock(c->volume->commit);
	return r ? r : ret->found ? 0 : NS_MISSING;
}

/* A copy is read and verified, as scrub does: what is wrong goes to the repair. */
static void beat_corrupt(struct control *c)
{
	struct volume *v = c->volume;
	struct find f = { .store = c->drill_store };
	uint64_t bytes;

	if (find_copy(c, &f))
		return;
	if (copy_check(v->replicas, v->sealer, &f.seal, f.store, &bytes) == COPY_BAD)
		repair_bad(v->repair, &f.seal, f.store);
}

/* One small request of the kind that programs cause, reported like theirs. */
static void beat(struct control *c)
{
	struct replicas *rs = c->volume->replicas;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	uint64_t start = clock_now();
	const struct get_req req = { .name = SPAN_LITERAL("probe/none"),
				     .limit = 4096,
				     .deadline_ns = start + DRILL_REQUEST_NS };
	int r;

	if (!replicas_allows(rs, c->drill_store))
		return;
	r = store_get_wait(replicas_store(rs, c->drill_store), &req, &call);
	replicas_observe(rs, c->drill_store, r == STORE_MISSING ? 0 : r, clock_now() - start, 0);
}

static void drill_task(void *arg)
{
	struct control *c = arg;
	struct store *store = replicas_store(c->volume->replicas, c->drill_store);

	while (store_drill_get(store) != DRILL_NONE &&
	       event_wait(&c->stop, clock_now() + DRILL_BEAT_NS)) {
		if (store_drill_get(store) == DRILL_CORRUPT)
			beat_corrupt(c);
		else
			beat(c);
	}
	store_drill(store, DRILL_NONE, 0);
	log_info("control", "the drill is over", "store=%s", store->name);
}

/* Takes the task of a drill whose time is over (it may have a last beat to end); NULL: none, or
 * one goes on (*ret_busy). Not busy: nobody else begins until `beginning` is false again. */
static struct task *drill_reap(struct control *c, bool *ret_busy)
{
	bool playing =
		store_drill_get(replicas_store(c->volume->replicas, c->drill_store)) != DRILL_NONE;
	LOCK_SCOPE(&c->sync.lock);

	*ret_busy = c->sync.beginning || (c->sync.drill && playing);
	if (*ret_busy)
		return NULL;
	c->sync.beginning = true;
	return take_ptr(&c->sync.drill);
}

void act_end(struct control *c)
{
	struct task *t;

	event_set(&c->stop);
	lock_take(&c->sync.lock);
	t = take_ptr(&c->sync.drill);
	lock_give(&c->sync.lock);
	if (t)
		task_join(t);
}

static unsigned drill_begin(struct control *c, unsigned store, enum drill_mode mode, uint64_t ns,
			    struct buf *ret)
{
	struct store *s = replicas_store(c->volume->replicas, store);
	struct task *over;
	bool busy;

	over = drill_reap(c, &busy);
	if (over)
		task_join(over);
	if (busy)
		return act_refuse(409, ret, "a drill is going on; end it with --mode none");
	metric_set(status_longest_call(), 0); /* that of the drill is asked for */
	store_drill(s, mode, clock_now() + ns);
	log_warn("control", "a drill begins", "store=%s mode=%s", s->name, drill_mode_name(mode));
	lock_take(&c->sync.lock);
	c->sync.beginning = false;
	c->drill_store = store;
	c->sync.drill = task_start("drill", drill_task, c);
	busy = !c->sync.drill;
	lock_give(&c->sync.lock);
	if (busy)
		store_drill(s, DRILL_NONE, 0);
	return busy ? act_refuse(500, ret, "no thread for the drill") : act_done(ret);
}

unsigned act_drill(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *name = r->param(r, "store"), *mode_text = r->param(r, "mode");
	uint64_t ns = DRILL_DEFAULT_NS;
	enum drill_mode mode = DRILL_DOWN;
	int store = name && !is_bare(c->volume) ? replicas_find(c->volume->replicas, name) :
						  -ENOENT;

	if (store < 0)
		return act_refuse(404, ret, "no store is named %s here",
				  name ? name : "(store= is missing)");
	if (mode_text && drill_mode_parse(mode_text, &mode))
		return act_refuse(400, ret, "mode= is one of down, slow, errors, corrupt, none");
	if (!act_duration(r, "for", &ns) || ns > DRILL_MAX_NS)
		return act_refuse(400, ret, "for= is a duration of at most an hour, such as 60s");
	if (mode == DRILL_NONE) {
		store_drill(replicas_store(c->volume->replicas, (unsigned)store), DRILL_NONE, 0);
		return act_done(ret);
	}
	return drill_begin(c, (unsigned)store, mode, ns, ret);
}
