/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine against a plain model, by several routes that must come to the same state:
 *
 *   plain    each operation alone, committed at once;
 *   records  a record at a time through the overlays, cut, dropped, applied again, with noise on
 * top;
 *   early    a mount that answers before the slot, and whose operations come into it later, after
 * others'.
 *
 * MODEL_SEEDS=N runs N seeds, MODEL_SEED=S begins at S; a failure names its seed.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "fs/ns/lookup.h"
#include "fs/upkeep/check.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_model.h"
#include "tests/lib/ns_random.h"
#include "tests/lib/ns_rig.h"

#define RECORDS	   30
#define RECORD_OPS 24
#define QUEUE_MAX  64
#define BEGIN_NS   (1700000000 * NS_PER_S)

/* One replica of the state. */
struct route {
	struct kv *kv;
	struct view *view;
	struct state_hash hash; /* kept record by record */
};

/* An operation as it stands in the journal, and what its mount had answered. */
struct entry {
	unsigned mount;
	struct buf bytes;
	bool early;
	enum op_kind kind;
	struct result said;
};

struct author {
	uint8_t incarnation[INCARNATION_SIZE];
	uint64_t number;
	uint32_t block;
	bool fenced;
};

struct world {
	uint64_t seed;
	struct random random;
	struct model model; /* committed */
	struct route plain, records, early;
	struct author authors[MODEL_MOUNTS];
	unsigned n_authors;
	uint64_t slot;
	struct entry queue[QUEUE_MAX]; /* of author 0: answered early, not in a record yet */
	unsigned n_queue;
	struct entry record[RECORD_OPS + QUEUE_MAX];
	unsigned n_record;
	struct result expected[RECORD_OPS + QUEUE_MAX];
	uint64_t operations, successes, lost;
};

static void route_open(struct route *t)
{
	*t = (struct route){ .kv = kv_memory(COL_COUNT) };
	assert_non_null(t->kv);
	t->view = view_new(t->kv, COL_COUNT);
	assert_non_null(t->view);
}

static void route_close(struct route *t)
{
	view_free(t->view);
	kv_close(t->kv);
}

static void route_commit(struct route *t)
{
	view_cut(t->view);
	assert_int_equal(state_hash_update(&t->hash, t->view), 0);
	assert_int_equal(view_commit(t->view, NULL, 0, false), 0);
}

static struct apply_context context_of(const struct world *w, unsigned mount, bool early)
{
	struct apply_context ctx = { .slot = w->slot, .early = early };

	memcpy(ctx.incarnation, w->authors[mount].incarnation, INCARNATION_SIZE);
	return ctx;
}

static struct result apply_entry(const struct world *w, struct view *v, const struct entry *e,
				 bool early)
{
	const struct apply_context ctx = context_of(w, e->mount, early);
	struct result res;
	struct op op;

	assert_int_equal(op_decode(buf_span(&e->bytes), &op), 0);
	assert_int_equal(apply(v, &ctx, &op, &res), 0);
	op_release(&op);
	return res;
}

static struct result model_entry_apply(const struct world *w, struct model *m,
				       const struct entry *e, bool early)
{
	const struct apply_context ctx = context_of(w, e->mount, early);
	struct result res;
	struct op op;

	assert_int_equal(op_decode(buf_span(&e->bytes), &op), 0);
	model_apply(m, &ctx, &op, &res);
	op_release(&op);
	return res;
}

static struct entry entry_of(unsigned mount, const struct op *op)
{
	struct entry e = { .mount = mount, .kind = op->kind, .bytes = BUF_INIT(MiB) };

	assert_int_equal(op_encode(op, &e.bytes), 0);
	return e;
}

/* An early answer says what it saw under its names. */
static void remember_seen(const struct model *m, struct op *op)
{
	const struct model_entry *e;

	if (op->kind != OP_UNLINK && op->kind != OP_RMDIR && op->kind != OP_RENAME)
		return;
	e = model_find(m, op->parent, op->name);
	op->saw = e ? e->ino : 0;
	if (op->kind != OP_RENAME)
		return;
	e = model_find(m, op->to_parent, op->to_name);
	op->saw_to = e ? e->ino : 0;
}

static void same_result(struct result a, struct result b)
{
	assert_int_equal(a.error, b.error);
	assert_int_equal(a.value, b.value);
}

/* Author 0 answers some more: those that succeed wait for their slot. */
static void answer_early(struct world *w)
{
	struct model spec;
	struct random_space space;

	model_copy(&w->model, &spec);
	for (unsigned i = 0; i < w->n_queue; i++)
		model_entry_apply(w, &spec, &w->queue[i], true);
	for (uint32_t i = draw(&w->random, 10); i > 0 && w->n_queue < QUEUE_MAX; i--) {
		struct op op = random_op(&w->random, &spec, w->authors[0].block, &space);
		struct entry e;

		op.number = w->authors[0].number + 1;
		remember_seen(&spec, &op);
		e = entry_of(0, &op);
		e.early = true;
		e.said = apply_entry(w, w->early.view, &e, true);
		same_result(e.said, model_entry_apply(w, &spec, &e, true));
		if (e.said.error) { /* answered, and not submitted */
			buf_release(&e.bytes);
			continue;
		}
		w->authors[0].number++;
		w->queue[w->n_queue++] = e;
	}
	model_release(&spec);
}

static void add_to_record(struct world *w, struct entry e)
{
	assert_true(w->n_record < ARRAY_SIZE(w->record));
	w->record[w->n_record++] = e;
}

static void mount_new(struct world *w)
{
	struct author *x = &w->authors[w->n_authors];
	struct op op = { .kind = OP_MOUNT,
			 .number = 1,
			 .time_ns = w->random.time_ns,
			 .name = SPAN_LITERAL("host") };

	memset(x->incarnation, 0x40 + (int)w->n_authors, INCARNATION_SIZE);
	op.value = span_of(x->incarnation, INCARNATION_SIZE);
	x->number = 1;
	add_to_record(w, entry_of(w->n_authors++, &op));
}

static void fence(struct world *w, unsigned by, unsigned whom)
{
	struct op op = { .kind = OP_FENCE, .time_ns = w->random.time_ns };

	op.number = ++w->authors[by].number;
	op.value = span_of(w->authors[whom].incarnation, INCARNATION_SIZE);
	w->authors[whom].fenced = true; /* it goes on sending all the same */
	add_to_record(w, entry_of(by, &op));
}

/* Another mount's operation; rarely one that is out of order, or was sent before. */
static void add_other(struct world *w)
{
	const unsigned mount = 1 + draw(&w->random, w->n_authors - 1);
	struct author *x = &w->authors[mount];
	struct random_space space;
	struct op op = chance(&w->random, 4) ?
			       random_attach(&w->random, &space) :
			       random_op(&w->random, &w->model, x->block, &space);

	if (chance(&w->random, 1))
		op = (struct op){ .kind = OP_MORE_INODES, .time_ns = op.time_ns };
	else if (chance(&w->random, 1))
		op = (struct op){ .kind = OP_SOURCE,
				  .time_ns = op.time_ns,
				  .value = span_of("s3://abc", 6 + draw(&w->random, 3)) };
	else if (chance(&w->random, 2))
		op = random_keyslot(&w->random);
	op.number = x->number + 1;
	if (chance(&w->random, 3))
		op.number += draw(&w->random, 2) ? 1 : -draw(&w->random, 5) - 1;
	else
		x->number++;
	add_to_record(w, entry_of(mount, &op));
	buf_release(&space.row);
}

/*
 * Author 0 may have lost the tip: then the record is others' alone, and its own operations come in
 * a later one.
 */
static void compose(struct world *w)
{
	const bool tip_lost = chance(&w->random, 30);
	const bool own_first = chance(&w->random, 50);
	uint32_t others = draw(&w->random, RECORD_OPS - 4);

	w->n_record = 0;
	for (unsigned i = 0; i < w->n_queue && own_first && !tip_lost; i++)
		add_to_record(w, w->queue[i]);
	while (others-- > 0)
		add_other(w);
	for (unsigned i = 0; i < w->n_queue && !own_first && !tip_lost; i++)
		add_to_record(w, w->queue[i]);
	if (!tip_lost)
		w->n_queue = 0;
	if (w->n_authors < MODEL_MOUNTS && chance(&w->random, 6)) {
		fence(w, 1 + draw(&w->random, w->n_authors - 1),
		      1 + draw(&w->random, w->n_authors - 1));
		mount_new(w);
	}
}

/* (O2): the same result on the same objects, or a failure. */
static void check_early(struct world *w, const struct entry *e, const struct result *now)
{
	const bool by_name = e->kind >= OP_CREATE && e->kind <= OP_RENAME;

	if (!e->early)
		return;
	assert_int_not_equal(now->error, APPLY_IGNORED);
	if (now->error)
		w->lost++;
	else if (by_name)
		assert_int_equal(now->value, e->said.value);
}

static void apply_plain(struct world *w)
{
	for (unsigned i = 0; i < w->n_record; i++) {
		const struct state_hash before = view_hash(w->plain.view, false);
		struct result res;

		w->expected[i] = model_entry_apply(w, &w->model, &w->record[i], false);
		res = apply_entry(w, w->plain.view, &w->record[i], false);
		same_result(res, w->expected[i]);
		check_early(w, &w->record[i], &res);
		if (res.error)
			assert_true(state_hash_equal(before, view_hash(w->plain.view, false)));
		else
			w->successes++;
		w->operations++;
		route_commit(&w->plain);
	}
}

static void apply_record(struct world *w, struct view *v)
{
	for (unsigned i = 0; i < w->n_record; i++)
		same_result(apply_entry(w, v, &w->record[i], false), w->expected[i]);
}

/* The same through the overlays, with everything that can be in the way. */
static void apply_records(struct world *w)
{
	struct route *t = &w->records;

	if (chance(&w->random, 30)) { /* a part of it, given up */
		for (uint32_t i = draw(&w->random, w->n_record + 1); i > 0; i--)
			apply_entry(w, t->view, &w->record[i - 1], true);
		view_drop_open(t->view);
	}
	apply_record(w, t->view);
	view_cut(t->view);
	for (unsigned i = 0; i < w->n_queue; i++) /* noise on top of what is flying */
		apply_entry(w, t->view, &w->queue[i], true);
	if (chance(&w->random, 30)) { /* lost: all again */
		view_drop(t->view);
		apply_record(w, t->view);
		view_cut(t->view);
	}
	assert_int_equal(state_hash_update(&t->hash, t->view), 0);
	assert_int_equal(view_commit(t->view, NULL, 0, false), 0);
	view_drop_open(t->view);
}

/* The mount that answered early: drop, apply what was chosen ... */
static void apply_early(struct world *w)
{
	view_drop(w->early.view);
	apply_record(w, w->early.view);
	route_commit(&w->early);
}

/* ... and, for the slot that comes next, what is still its own. */
static void rebase(struct world *w)
{
	w->slot++;
	for (unsigned i = 0; i < w->n_queue; i++)
		apply_entry(w, w->early.view, &w->queue[i], true);
}

static void check_hashes(struct world *w)
{
	struct state_hash whole;

	assert_true(state_hash_equal(w->plain.hash, w->records.hash));
	assert_true(state_hash_equal(w->plain.hash, w->early.hash));
	assert_int_equal(state_hash_of(w->plain.kv, &whole), 0);
	assert_true(state_hash_equal(whole, w->plain.hash));
	assert_int_equal(state_hash_of(w->records.kv, &whole), 0);
	assert_true(state_hash_equal(whole, w->plain.hash));
	assert_int_equal(state_hash_of(w->early.kv, &whole), 0);
	assert_true(state_hash_equal(whole, w->plain.hash));
}

/* Blocks that were given: where each author's next inodes come from. */
static void learn_blocks(struct world *w)
{
	for (uint32_t b = 1; b < w->model.next_block; b++)
		w->authors[w->model.block_owner[b] - 1].block = b;
}

static void run_record(struct world *w)
{
	apply_plain(w);
	apply_records(w);
	apply_early(w);
	check_hashes(w);
	model_compare(&w->model, w->plain.view);
	for (unsigned i = 0; i < w->n_record; i++)
		buf_release(&w->record[i].bytes);
	learn_blocks(w);
	rebase(w);
}

static void format(struct route *t, uint64_t time_ns)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	const struct apply_context ctx = { .slot = 0 };
	struct op op = {
		.kind = OP_FORMAT, .number = 1, .time_ns = time_ns, .uid = 7, .gid = 8, .mode = 0755
	};
	struct result res;

	rig_format_value(&value);
	op.value = buf_span(&value);
	assert_int_equal(apply(t->view, &ctx, &op, &res), 0);
	assert_int_equal(res.error, 0);
	route_commit(t);
}

static void on_finding(enum check_rule rule, const char *text, void *arg)
{
	print_error("%s: %s\n", check_rule_meaning(rule), text);
	assert_true(false);
}

/* What mangrove fsck looks for is not there. */
static void check_sound(const struct world *w)
{
	const struct check_options o = { .window = 1 + w->seed % 50, .found = on_finding };
	const struct commit_mark m = { .slot = w->slot, .hash = w->plain.hash };
	struct commit_snapshot snap;
	struct check_report rep;

	assert_int_equal(commit_mark_store(w->plain.kv, &m), 0);
	assert_int_equal(commit_snapshot_of(w->plain.kv, &snap), 0);
	assert_int_equal(check_namespace(&snap, &o, &rep), 0);
	commit_snapshot_release(&snap);
}

static void run_seed(uint64_t seed, struct world *w)
{
	struct route *const routes[] = { &w->plain, &w->records, &w->early };

	*w = (struct world){ .seed = seed, .slot = 1 };
	w->random = (struct random){ .state = seed * 0x2545f4914f6cdd1du, .time_ns = BEGIN_NS };
	model_init(&w->model, BEGIN_NS);
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++) {
		route_open(routes[i]);
		format(routes[i], BEGIN_NS);
	}
	for (int i = 0; i < 3; i++)
		mount_new(w);
	run_record(w);
	for (int i = 0; i < RECORDS; i++) {
		answer_early(w);
		compose(w);
		run_record(w);
	}
	check_sound(w);
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++)
		route_close(routes[i]);
	for (unsigned i = 0; i < w->n_queue; i++)
		buf_release(&w->queue[i].bytes);
	model_release(&w->model);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static struct world the_world;
static bool finished;

static int print_seed(void **state)
{
	if (!finished)
		fprintf(stderr, "again with: MODEL_SEEDS=1 MODEL_SEED=%llu\n",
			(unsigned long long)the_world.seed);
	return 0;
}

static void test_model(void **state)
{
	const uint64_t first = setting("MODEL_SEED", 1), seeds = setting("MODEL_SEEDS", 120);
	uint64_t operations = 0, successes = 0, lost = 0;

	for (uint64_t seed = first; seed < first + seeds; seed++) {
		run_seed(seed, &the_world);
		operations += the_world.operations;
		successes += the_world.successes;
		lost += the_world.lost;
	}
	finished = true;
	fprintf(stderr,
		"%llu seeds: %llu operations, %llu of them successful, %llu early answers lost\n",
		(unsigned long long)seeds, (unsigned long long)operations,
		(unsigned long long)successes, (unsigned long long)lost);
	if (seeds > 10) { /* a generator that only fails, or never collides, would show nothing */
		assert_true(successes > operations / 3);
		assert_true(lost > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_model, print_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
