/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces: at hand, fetched once, never pulled away. */
#include "base/wait.h"
#include "cache/pieces.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#define PATIENCE (30 * NS_PER_S)

enum { PIECE_BYTES = 1000, LARGE_PIECE = 256 * KiB };

struct fixture {
	char tmp[TMPDIR_MAX];
	char dir[TMPDIR_MAX + 8];
	struct pieces *pieces;
	unsigned fetches; /* atomic */
	int result;       /* of a fetch */
	size_t piece_bytes; /* of what is fetched; 0: PIECE_BYTES */
	struct event *gate; /* a fetch waits for it, or NULL */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pieces_options opts = { .memory_bytes = 3 * PIECE_BYTES };

	*state = f;
	return pieces_new(&opts, &f->pieces);
}

static int setup_disk(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pieces_options opts = {
		.memory_bytes = 3 * PIECE_BYTES, .dir = f->dir, .disk_bytes = MiB,
	};

	tmpdir_make(f->tmp);
	snprintf(f->dir, sizeof(f->dir), "%s/pieces", f->tmp);
	*state = f;
	return pieces_new(&opts, &f->pieces);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pieces_free(f->pieces);
	if (f->tmp[0])
		tmpdir_remove(f->tmp);
	free(f);
	return 0;
}

static struct piece_id id_of(unsigned object, unsigned index)
{
	struct piece_id id = { .index = index };

	id.object[0] = (uint8_t)object;
	return id;
}

static int fetch(const struct piece_id *id, void *arg, struct blob **ret)
{
	struct fixture *f = arg;
	struct blob *b;

	__atomic_add_fetch(&f->fetches, 1, __ATOMIC_SEQ_CST);
	if (f->gate)
		event_wait(f->gate, clock_now() + PATIENCE);
	if (f->result)
		return f->result;
	b = blob_new(f->piece_bytes ?: PIECE_BYTES);
	memset(blob_bytes(b), (int)id->index, f->piece_bytes ?: PIECE_BYTES);
	*ret = b;
	return 0;
}

static struct piece *get(struct fixture *f, unsigned object, unsigned index)
{
	struct piece_id id = id_of(object, index);
	struct piece *piece = NULL;

	assert_int_equal(pieces_get(f->pieces, &id, fetch, f, clock_now() + PATIENCE, &piece), 0);
	assert_memory_equal(&piece->id, &id, sizeof(id));
	assert_int_equal(blob_span(piece->blob).len, f->piece_bytes ?: PIECE_BYTES);
	assert_int_equal(blob_span(piece->blob).data[PIECE_BYTES - 1], (uint8_t)index);
	return piece;
}

static bool at_hand(struct fixture *f, unsigned object, unsigned index, bool disk)
{
	struct piece_id id = id_of(object, index);
	struct piece *piece = NULL;
	int r = pieces_peek(f->pieces, &id, disk, &piece);

	pieces_put_back(piece);
	assert_true(r == 0 || r == PIECES_MISSING);
	return r == 0;
}

static void fetches_what_is_missing_once(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 1);
	struct pieces_stats stats;

	assert_false(pieces_has(f->pieces, &id));
	assert_false(at_hand(f, 1, 1, true));
	pieces_put_back(get(f, 1, 1));
	pieces_put_back(get(f, 1, 1));
	assert_int_equal(f->fetches, 1);
	assert_true(pieces_has(f->pieces, &id));
	assert_true(at_hand(f, 1, 1, false));
	pieces_stats_get(f->pieces, &stats);
	assert_int_equal(stats.misses, 1);
	assert_int_equal(stats.hits, 2);
	assert_int_equal(stats.memory_bytes, PIECE_BYTES);
}

static void the_longest_unused_leave_memory(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i <= 3; i++)
		pieces_put_back(get(f, 1, i));
	pieces_put_back(get(f, 1, 1));
	pieces_put_back(get(f, 1, 4));
	assert_true(at_hand(f, 1, 1, false));
	assert_false(at_hand(f, 1, 2, false));
	assert_true(at_hand(f, 1, 4, false));
}

static void what_is_held_stays(void **state)
{
	struct fixture *f = *state;
	struct piece *held = get(f, 1, 99), *same;
	struct pieces_stats stats;

	for (unsigned i = 1; i <= 10; i++)
		pieces_put_back(get(f, 1, i));
	same = get(f, 1, 99);
	assert_ptr_equal(same, held);
	assert_int_equal(f->fetches, 11);
	pieces_put_back(same);
	pieces_stats_get(f->pieces, &stats);
	assert_int_equal(stats.memory_bytes, 3 * PIECE_BYTES);
	pieces_put_back(held);
	pieces_stats_get(f->pieces, &stats);
	assert_int_equal(stats.memory_bytes, 3 * PIECE_BYTES);
}

static void a_failed_fetch_is_told_and_not_kept(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 1);
	struct piece *piece = NULL;

	f->result = -EIO;
	assert_int_equal(pieces_get(f->pieces, &id, fetch, f, clock_now() + PATIENCE, &piece),
			 -EIO);
	assert_null(piece);
	assert_false(pieces_has(f->pieces, &id));
	f->result = 0;
	pieces_put_back(get(f, 1, 1));
}

struct asker {
	struct fixture *f;
	uint64_t deadline_ns;
	int result;
};

static void ask(void *arg)
{
	struct asker *a = arg;
	struct piece_id id = id_of(1, 1);
	struct piece *piece = NULL;

	a->result = pieces_get(a->f->pieces, &id, fetch, a->f, a->deadline_ns, &piece);
	pieces_put_back(piece);
}

enum { ASKERS = 8 };

static void ask_together(struct fixture *f, struct asker *askers, int result)
{
	struct task *tasks[ASKERS];
	struct event gate;

	event_init(&gate);
	f->gate = &gate;
	f->result = result;
	for (int i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){ .f = f, .deadline_ns = clock_now() + PATIENCE };
		tasks[i] = task_start("asker", ask, &askers[i]);
	}
	sleep_for(100 * NS_PER_MS); /* most of them wait by then; it works if they do not */
	event_set(&gate);
	for (int i = 0; i < ASKERS; i++)
		task_join(tasks[i]);
	event_release(&gate);
	f->gate = NULL;
}

static void many_ask_and_one_fetches(void **state)
{
	struct fixture *f = *state;
	struct asker askers[ASKERS];

	ask_together(f, askers, 0);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(askers[i].result, 0);
	assert_int_equal(f->fetches, 1);
}

/* Even when memory keeps nothing, those who waited get what was fetched. */
static void waiting_needs_no_memory_limit(void **state)
{
	struct fixture *f = *state;
	struct pieces_options opts = { .memory_bytes = 0 };
	struct asker askers[ASKERS];

	pieces_free(f->pieces);
	assert_int_equal(pieces_new(&opts, &f->pieces), 0);
	ask_together(f, askers, 0);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(askers[i].result, 0);
	assert_false(at_hand(f, 1, 1, true));
}

static void a_failure_is_that_of_all_who_waited(void **state)
{
	struct fixture *f = *state;
	struct asker askers[ASKERS];

	ask_together(f, askers, -EIO);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(askers[i].result, -EIO);
	/* One that came of the fetcher's own hurry is not: everyone tries. */
	f->fetches = 0;
	ask_together(f, askers, -ETIMEDOUT);
	for (int i = 0; i < ASKERS; i++)
		assert_int_equal(askers[i].result, -ETIMEDOUT);
	assert_int_equal(f->fetches, ASKERS);
}

static void waiting_has_a_deadline(void **state)
{
	struct fixture *f = *state;
	struct asker first = { .f = f, .deadline_ns = clock_now() + PATIENCE };
	struct asker second = { .f = f };
	struct piece_id id = id_of(1, 1);
	struct event gate;
	struct task *task;

	event_init(&gate);
	f->gate = &gate;
	task = task_start("asker", ask, &first);
	while (!pieces_has(f->pieces, &id))
		sleep_for(NS_PER_MS);
	second.deadline_ns = clock_now() + 20 * NS_PER_MS;
	ask(&second);
	assert_int_equal(second.result, -ETIMEDOUT);
	event_set(&gate);
	task_join(task);
	assert_int_equal(f->fetches, 1);
	assert_int_equal(first.result, 0);
	event_release(&gate);
}

static void offered_pieces_are_at_hand(void **state)
{
	struct fixture *f = *state;
	struct blob *b = blob_new(PIECE_BYTES);
	struct piece_id id = id_of(1, 5);
	struct piece *piece;

	memset(blob_bytes(b), 5, PIECE_BYTES);
	pieces_offer(f->pieces, &id, b);
	piece = get(f, 1, 5);
	assert_ptr_equal(piece->blob, b);
	assert_false(piece->from_disk);
	pieces_offer(f->pieces, &id, b);
	pieces_put_back(piece);
	blob_unref(b);
	assert_int_equal(f->fetches, 0);
}

static void forgets_objects(void **state)
{
	struct fixture *f = *state;
	struct piece *held = get(f, 1, 1);
	struct piece_id id = id_of(1, 1);

	pieces_put_back(get(f, 1, 2));
	pieces_put_back(get(f, 2, 2));
	pieces_forget_object(f->pieces, id.object);
	assert_false(at_hand(f, 1, 1, true));
	assert_false(at_hand(f, 1, 2, true));
	assert_true(at_hand(f, 2, 2, true));
	assert_int_equal(blob_span(held->blob).data[0], 1); /* (P3) */
	pieces_put_back(held);
	assert_false(at_hand(f, 1, 1, true));
}

static void reopen(struct fixture *f)
{
	struct pieces_options opts = {
		.memory_bytes = 3 * PIECE_BYTES, .dir = f->dir, .disk_bytes = MiB,
	};

	f->pieces = pieces_free(f->pieces);
	assert_int_equal(pieces_new(&opts, &f->pieces), 0);
}

static void wait_for_disk(struct fixture *f, unsigned n)
{
	struct pieces_stats stats;

	for (uint64_t until = clock_now() + PATIENCE; clock_now() < until;) {
		pieces_stats_get(f->pieces, &stats);
		if (stats.disk_bytes == n * PIECE_BYTES)
			return;
		sleep_for(NS_PER_MS);
	}
	assert_int_equal(stats.disk_bytes, n * PIECE_BYTES);
}

static void the_disk_outlives_the_process(void **state)
{
	struct fixture *f = *state;
	struct pieces_stats stats;
	struct piece *piece;

	pieces_put_back(get(f, 1, 1));
	wait_for_disk(f, 1);
	reopen(f);
	piece = get(f, 1, 1);
	assert_true(piece->from_disk);
	pieces_put_back(piece);
	assert_int_equal(f->fetches, 1);
	pieces_stats_get(f->pieces, &stats);
	assert_int_equal(stats.disk_hits, 1);
	assert_int_equal(stats.disk_limit, MiB);
}

static void peeking_reads_the_disk_only_when_told(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 1);

	pieces_put_back(get(f, 1, 1));
	wait_for_disk(f, 1);
	reopen(f);
	wait_for_disk(f, 1);
	assert_true(pieces_has(f->pieces, &id));
	assert_false(at_hand(f, 1, 1, false));
	assert_true(at_hand(f, 1, 1, true));
	assert_true(at_hand(f, 1, 1, false));
}

/* Anew, with room for large pieces; dir: or NULL. */
static void with_large_pieces(struct fixture *f, const char *dir)
{
	struct pieces_options opts = {
		.memory_bytes = 4 * LARGE_PIECE, .dir = dir, .disk_bytes = 16 * MiB,
	};

	f->pieces = pieces_free(f->pieces);
	f->piece_bytes = LARGE_PIECE;
	assert_int_equal(pieces_new(&opts, &f->pieces), 0);
}

/* In two steps. */
static void what_was_used_up_leaves_memory(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 1);
	struct pieces_stats stats;

	with_large_pieces(f, f->dir);
	pieces_put_back(get(f, 1, 1));
	pieces_put_back_used(get(f, 1, 1), LARGE_PIECE / 2, LARGE_PIECE);
	assert_true(at_hand(f, 1, 1, false));
	pieces_put_back_used(get(f, 1, 1), LARGE_PIECE / 2, LARGE_PIECE);
	assert_false(at_hand(f, 1, 1, false));
	pieces_stats_get(f->pieces, &stats);
	assert_int_equal(stats.memory_bytes, 0);
	assert_true(pieces_has(f->pieces, &id)); /* on the disk, or on its way */
	pieces_put_back(get(f, 1, 1));
	assert_int_equal(f->fetches, 1);
}

static void what_is_small_stays_though_used_up(void **state)
{
	struct fixture *f = *state;

	pieces_put_back_used(get(f, 1, 1), PIECE_BYTES, PIECE_BYTES);
	assert_true(at_hand(f, 1, 1, false));
}

static void without_a_disk_it_stays_though_used_up(void **state)
{
	struct fixture *f = *state;

	with_large_pieces(f, NULL);
	pieces_put_back_used(get(f, 1, 1), LARGE_PIECE, LARGE_PIECE);
	assert_true(at_hand(f, 1, 1, false));
}

static void a_bad_piece_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	struct piece *bad, *good;

	pieces_put_back(get(f, 1, 1));
	wait_for_disk(f, 1);
	reopen(f);
	bad = get(f, 1, 1);
	assert_true(bad->from_disk);
	pieces_bad(bad);
	good = get(f, 1, 1);
	assert_false(good->from_disk);
	assert_ptr_not_equal(good, bad);
	assert_int_equal(f->fetches, 2);
	pieces_put_back(bad);
	pieces_put_back(good);
	wait_for_disk(f, 1);
}

static void forgets_objects_on_disk(void **state)
{
	struct fixture *f = *state;
	struct piece_id id = id_of(1, 1);

	pieces_put_back(get(f, 1, 1));
	pieces_put_back(get(f, 2, 1));
	wait_for_disk(f, 2);
	pieces_forget_object(f->pieces, id.object);
	assert_false(at_hand(f, 1, 1, true));
	assert_true(at_hand(f, 2, 1, true));
	wait_for_disk(f, 1);
}

/* Many threads, few ids, little memory, bad pieces now and then. */
static void churn(void *arg)
{
	struct fixture *f = arg;

	for (unsigned i = 0; i < 400; i++) {
		struct piece *piece = get(f, 1 + i % 3, (unsigned)(random_u64() % 7));
		struct piece_id id = id_of(1 + i % 3, i % 7);

		if (random_u64() % 16 == 0)
			pieces_bad(piece);
		if (random_u64() % 64 == 0)
			pieces_forget_object(f->pieces, id.object);
		(void)pieces_has(f->pieces, &id);
		pieces_put_back_used(piece, PIECE_BYTES / 2, PIECE_BYTES);
	}
}

static void many_at_once(void **state)
{
	struct task *tasks[6];

	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = task_start("churn", churn, *state);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		task_join(tasks[i]);
}

#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, setup_disk, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(fetches_what_is_missing_once),
		IN_MEMORY(the_longest_unused_leave_memory),
		IN_MEMORY(what_is_held_stays),
		IN_MEMORY(a_failed_fetch_is_told_and_not_kept),
		IN_MEMORY(many_ask_and_one_fetches),
		IN_MEMORY(waiting_needs_no_memory_limit),
		IN_MEMORY(a_failure_is_that_of_all_who_waited),
		IN_MEMORY(waiting_has_a_deadline),
		IN_MEMORY(offered_pieces_are_at_hand),
		IN_MEMORY(forgets_objects),
		IN_MEMORY(without_a_disk_it_stays_though_used_up),
		IN_MEMORY(many_at_once),
		ON_DISK(the_disk_outlives_the_process),
		ON_DISK(peeking_reads_the_disk_only_when_told),
		ON_DISK(what_was_used_up_leaves_memory),
		ON_DISK(what_is_small_stays_though_used_up),
		ON_DISK(a_bad_piece_is_fetched_again),
		ON_DISK(forgets_objects_on_disk),
		ON_DISK(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
