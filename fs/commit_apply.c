/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chosen record becomes the state: its operations are applied in a view of the task's own,
 * hashed, and written to the base in one batch. There is no undo: what this mount answered early
 * stood in the common view, which is dropped then; what is still pending is applied again upon the
 * new base.
 */
#include "fs/commit_i.h"

#include "base/log.h"
#include "base/plant.h"

#include <stdio.h>
#include <utlist.h>

/* A bell is answered within so many slots; a tip that comes later was not given for it. */
#define BELL_ECHO 3
/* A full disk is looked at again after so long. */
#define ROOM_NS (NS_PER_S / 4)

/* The operations of a record on their way into the state. */
struct batch {
	const struct record *record;
	struct op *ops;
	struct result *results;
	struct result *said; /* of those that are lost: what we had answered */
	bool *lost;
	size_t n;            /* decoded */
};

static void batch_release(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		op_release(&b->ops[i]);
	free(b->ops);
	free(b->results);
	free(b->said);
	free(b->lost);
}

static int batch_init(struct batch *b, const struct record *r)
{
	const size_t n = r->n_ops ? r->n_ops : 1;

	*b = (struct batch){ .record = r };
	b->ops = calloc(n, sizeof(*b->ops));
	b->results = calloc(n, sizeof(*b->results));
	b->said = calloc(n, sizeof(*b->said));
	b->lost = calloc(n, sizeof(*b->lost));
	return b->ops && b->results && b->said && b->lost ? 0 : fail(-ENOMEM);
}

static const uint8_t *author_of(const struct batch *b, size_t i)
{
	return b->record->authors[b->record->ops[i].author];
}

static bool is_ours(const struct commit *c, const struct batch *b, size_t i)
{
	return incarnation_equal(author_of(b, i), c->me);
}

/* Applies to the task's view and cuts. 0; OP_UNKNOWN_KIND; negative errno. */
static int batch_apply(struct commit *c, struct batch *b)
{
	struct apply_context ctx = { .slot = b->record->slot };

	for (; b->n < b->record->n_ops; b->n++) {
		const size_t i = b->n;
		int r = op_decode(b->record->ops[i].bytes, &b->ops[i]);

		if (r)
			return r;
		memcpy(ctx.incarnation, author_of(b, i), INCARNATION_SIZE);
		r = apply(c->task.view, &ctx, &b->ops[i], &b->results[i]);
		if (r) {
			op_release(&b->ops[i]);
			return r;
		}
	}
	view_cut(c->task.view);
	return 0;
}

/* The result of an operation that was answered early must be the same on the same objects. */
static bool differs(const struct pending *p, const struct result *now)
{
	if (p->said.error != now->error)
		return true;
	return p->kind >= OP_CREATE && p->kind <= OP_RENAME && p->said.value != now->value;
}

/* Operation i of the batch is ours and was evaluated: whoever waits gets its result. */
static void settle_one(struct commit *c, struct batch *b, size_t i)
{
	struct pending *p = c->pending;

	if (b->results[i].error == APPLY_IGNORED || !p || p->no != b->ops[i].number)
		return;
	if (c->uncopied == p)
		c->uncopied = p->next;
	DL_DELETE(c->pending, p);
	c->tip.pending--;
	c->tip.pending_bytes -= record_op_size(p->bytes.len);
	c->last_no = p->no;
	if (p->waiter)
		commit_ready_locked(c, take_ptr(&p->waiter), &b->results[i]);
	if (p->early && differs(p, &b->results[i])) {
		b->lost[i] = true;
		b->said[i] = p->said;
		commit_lost_locked(c, p);
	}
	pending_free(p);
}

static void settle_locked(struct commit *c, struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (is_ours(c, b, i))
			settle_one(c, b, i);
}

/* One pending operation again. 0; -EIO. */
static int reapply_one(struct commit *c, struct pending *p)
{
	struct apply_context ctx = { .slot = c->slot + 1, .early = true };
	struct result res;
	struct op op;
	int r = op_decode(buf_span(&p->bytes), &op);

	if (r)
		return fail(-EIO);
	memcpy(ctx.incarnation, c->me, INCARNATION_SIZE);
	r = apply(c->view, &ctx, &op, &res);
	op_release(&op);
	return r < 0 ? fail(-EIO) : 0;
}

int commit_reapply_locked(struct commit *c)
{
	const bool tip = commit_tip_early(&c->tip, clock_now());
	struct pending *p;

	view_drop(c->view);
	c->n_unapplied = 0;
	DL_FOREACH(c->pending, p) {
		p->applied = p->kind >= OP_CREATE && (p->early || tip);
		if (p->applied) {
			int r = reapply_one(c, p);

			if (r)
				return r;
		} else if (p->kind >= OP_CREATE) {
			c->n_unapplied++;
		}
	}
	return 0;
}

uint64_t commit_learned_at(uint64_t time_ns)
{
	const uint64_t now = clock_now(), wall = clock_wall();

	return wall > time_ns ? now - MIN(now, wall - time_ns) : now;
}

static void tip_moves(struct commit *c, const struct record *r, uint64_t proposed_ns)
{
	struct commit_tip *t = &c->tip;

	memcpy(c->owner, r->next, INCARNATION_SIZE);
	memcpy(c->task.last_hash, r->hash, RECORD_HASH_SIZE);
	c->slot = r->slot;
	c->applied_bytes += r->bytes.len;
	t->owns = journal_owns_next(c->journal);
	t->nobody = incarnation_none(r->next);
	t->frozen = false;
	t->lent = t->owns && !incarnation_equal(r->author, c->me) && c->task.rung_distance > 0 &&
		  r->slot > c->task.rung_slot && r->slot <= c->task.rung_slot + BELL_ECHO;
	memcpy(c->task.lender, r->author, INCARNATION_SIZE);
	t->knocked = t->owns && journal_knocked(c->journal, c->task.knocker);
	t->rung = t->rung && !t->owns && r->slot < c->task.rung_slot;
	t->help_ns = 0;
	t->retry_ns = 0;
	t->learned_ns = t->booted ? clock_now() : commit_learned_at(r->time_ns);
	t->quiet_ns = commit_quiet_ns(r->hold_ns);
	t->hold_end_ns = proposed_ns ? proposed_ns + c->o.hold_ns : 0;
	c->task.frozen = record_free(c->task.frozen);
}

static int mark_row(const struct record *r, const struct state_hash *hash, struct buf *ret)
{
	struct commit_mark m = {
		.slot = r->slot, .hash = *hash, .time_ns = r->time_ns, .hold_ns = r->hold_ns
	};

	memcpy(m.record, r->hash, RECORD_HASH_SIZE);
	memcpy(m.owner, r->next, INCARNATION_SIZE);
	return commit_mark_encode(&m, ret);
}

/* The moment of the change. */
static int install(struct commit *c, struct batch *b, const struct state_hash *hash,
		   uint64_t proposed_ns)
{
	_cleanup_buf_ struct buf mark = BUF_INIT(COMMIT_MARK_MAX);
	struct view_row row = { .column = COL_META, .key = COMMIT_MARK_KEY };
	int r = mark_row(b->record, hash, &mark);

	if (r)
		return r;
	row.value = buf_span(&mark);
	lock_take(&c->lock);
	r = view_commit(c->task.view, &row, 1, false);
	if (r == 0) {
		c->hash = *hash;
		settle_locked(c, b);
		tip_moves(c, b->record, proposed_ns);
		r = commit_reapply_locked(c);
		commit_queue_changed_locked(c);
		commit_syncs_locked(c);
	}
	lock_give(&c->lock);
	return r;
}

static bool is_ending(struct commit *c)
{
	LOCK_SCOPE(&c->lock);

	return c->ending;
}

/* A full disk keeps the changes waiting; nothing is lost by that. */
static int install_when_room(struct commit *c, struct batch *b, const struct state_hash *hash,
			     uint64_t proposed_ns)
{
	bool told = false;
	int r;

	while ((r = install(c, b, hash, proposed_ns)) == -ENOSPC && !is_ending(c)) {
		if (!told)
			log_error("commit", "the disk of the cache folder is full: changes wait",
				  "error=\"%s\"", strerror(ENOSPC));
		told = true;
		sleep_for(ROOM_NS);
	}
	if (told && r == 0)
		log_info("commit", "there is room again: changes go on", "slot=%llu",
			 (unsigned long long)b->record->slot);
	return r;
}

static void tell_lost(struct commit *c, const struct batch *b, size_t i)
{
	const struct result *said = &b->said[i], *now = &b->results[i];

	metric_add(c->lost_total, 1);
	log_warn("commit", "an operation answered early was lost",
		 "operation=%s number=%llu said=%d now=%d", op_kind_name(b->ops[i].kind),
		 (unsigned long long)b->ops[i].number, said->error, now->error);
	if (c->ev.lost)
		c->ev.lost(&b->ops[i], said, now, c->ev.arg);
}

static bool attaches(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->results[i].error == 0 &&
		    (b->ops[i].kind == OP_ATTACH || b->ops[i].kind == OP_DETACH))
			return true;
	return false;
}

/* What others did, and what of ours was lost. */
static void tell(struct commit *c, const struct batch *b)
{
	if (c->ev.attached && c->tip.booted && attaches(b))
		c->ev.attached(c->ev.arg);
	for (size_t i = 0; i < b->n; i++) {
		if (b->lost[i])
			tell_lost(c, b, i);
		if (!is_ours(c, b, i) && b->results[i].error == 0 && c->ev.applied && c->tip.booted)
			c->ev.applied(&b->ops[i], &b->results[i], c->ev.arg);
	}
}

static bool fences_us(const struct commit *c, const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->ops[i].kind == OP_FENCE && b->results[i].error == 0 &&
		    span_equal(b->ops[i].value, span_of(c->me, INCARNATION_SIZE)))
			return true;
	return false;
}

/* Whatever it was, this mount cannot follow the journal any further. */
static int apply_failed(struct commit *c, int r)
{
	char why[120];

	if (r == OP_UNKNOWN_KIND) {
		commit_halt(
			c, -EPROTO,
			"the journal holds operations of a newer version of this program: "
			"upgrade it");
		return -EPROTO;
	}
	snprintf(why, sizeof(why), "a record of the journal could not be applied: %s",
		 strerror(-r));
	commit_halt(c, -EIO, why);
	return -EIO;
}

int commit_apply(struct commit *c, const struct record *rec, uint64_t proposed_ns)
{
	struct state_hash hash = c->hash;
	struct batch b;
	int r = batch_init(&b, rec);

	if (r == 0)
		r = batch_apply(c, &b);
	if (r == 0)
		r = state_hash_update(&hash, c->task.view);
	if (r == 0)
		r = install_when_room(c, &b, &hash, proposed_ns);
	if (r) {
		r = apply_failed(c, r);
	} else {
		watch_applied(c->me, rec, b.ops, b.results, b.n, &hash);
		tell(c, &b);
		if (fences_us(c, &b))
			commit_halt(c, -EROFS, "this mount was fenced by another one");
		lock_take(&c->lock); /* who waits hears of it after the kernel */
		cond_broadcast(&c->changed);
		lock_give(&c->lock);
	}
	batch_release(&b);
	commit_give(c);
	return r;
}
