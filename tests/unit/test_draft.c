/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that are being written: whole or not at all, and no more is sent than was written. */
#include "base/sodium.h"
#include "fs/attach/draft.h"
#include "tests/unit/object_rig.h"

#include <stdlib.h>

#define LARGE (40 * MiB)
#define KEY "dir/x"

struct drafts {
	struct rig *rig;
	struct budget *memory, *disk;
	uint8_t *model; /* what the file should be */
	size_t size, room;
};

static int set_up(void **state, unsigned stores, uint64_t disk)
{
	struct drafts *t = calloc(1, sizeof(*t));

	t->rig = rig_new(stores, true);
	t->memory = budget_new("memory", 256 * MiB);
	t->disk = budget_new("disk", disk);
	t->room = LARGE + 32 * MiB;
	t->model = calloc(1, t->room);
	*state = t;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, 1, GiB);
}

static int setup_mirrors(void **state)
{
	return set_up(state, 2, GiB);
}

static int setup_small_disk(void **state)
{
	return set_up(state, 1, 4 * MiB);
}

static int teardown(void **state)
{
	struct drafts *t = *state;
	void *rig = t->rig;

	for (unsigned i = 0; i < STORES && t->rig->of[i].bucket; i++)
		assert_int_equal(mem_bucket_uploads(t->rig->of[i].bucket), 0);
	assert_int_equal(budget_used(t->memory), 0);
	assert_int_equal(budget_used(t->disk), 0);
	budget_free(t->memory);
	budget_free(t->disk);
	free(t->model);
	free(t);
	return rig_free(&rig);
}

/* The object at every store, and the model of it. */
static struct bucket_entry put(struct drafts *t, size_t size)
{
	_cleanup_free_ uint8_t *bytes = content(1, size);
	struct bucket_entry e = { 0 };

	for (unsigned i = 0; i < replicas_count(t->rig->replicas); i++) {
		struct bucket_entry here;

		rig_put(t->rig, i, KEY, 1, size);
		here = rig_list(t->rig, i, KEY);
		if (i)
			memcpy(here.version[0], e.version[0], sizeof(here.version[0]));
		e = here;
	}
	memcpy(t->model, bytes, size);
	t->size = size;
	return e;
}

static struct draft *draft(struct drafts *t, const struct bucket_entry *base, bool keep)
{
	const struct draft_options o = { .replicas = t->rig->replicas,
					 .objects = t->rig->objects,
					 .identity = IDENTITY,
					 .key = KEY,
					 .base = base,
					 .keep = keep,
					 .deadline_ns = PATIENCE,
					 .dir = t->rig->tmp,
					 .memory = t->memory,
					 .disk = t->disk };
	struct draft *d = NULL;

	assert_int_equal(draft_new(&o, &d), 0);
	if (!keep)
		t->size = 0;
	return d;
}

/* As a FUSE thread does it, and then a writer. */
static int write_to(struct draft *d, uint64_t off, struct span bytes, bool append)
{
	int r = draft_write(d, off, bytes, append, DRAFT_NO_WAIT);

	return r == DRAFT_WOULD_WAIT ? draft_write(d, off, bytes, append, DRAFT_WAIT) : r;
}

static void write_at(struct drafts *t, struct draft *d, uint64_t off, size_t len, unsigned which)
{
	_cleanup_free_ uint8_t *bytes = content(which, len);

	assert_int_equal(write_to(d, off, span_of(bytes, len), false), 0);
	assert_true(off + len <= t->room);
	if (off > t->size)
		memset(t->model + t->size, 0, off - t->size);
	memcpy(t->model + off, bytes, len);
	t->size = MAX(t->size, (size_t)(off + len));
	assert_int_equal(draft_size(d), t->size);
}

/* By pieces, as programs do it. */
static void write_run(struct drafts *t, struct draft *d, uint64_t off, size_t len, unsigned which)
{
	for (size_t n, done = 0; done < len; done += n) {
		n = MIN(len - done, (size_t)(MiB - 7));
		write_at(t, d, off + done, n, which + (unsigned)(done / MiB));
	}
}

static void resize(struct drafts *t, struct draft *d, size_t size)
{
	assert_int_equal(draft_truncate(d, size, DRAFT_WAIT), 0);
	if (size > t->size)
		memset(t->model + t->size, 0, size - t->size);
	t->size = size;
}

static void assert_contents(struct drafts *t, struct draft *d, uint64_t off, size_t len)
{
	_cleanup_free_ uint8_t *got = malloc(len + 1);
	size_t n = 0;

	assert_int_equal(draft_read(d, off, len, got, &n), 0);
	assert_int_equal(n, off >= t->size ? 0 : MIN(len, t->size - (size_t)off));
	if (n)
		assert_memory_equal(got, t->model + off, n);
}

static void assert_stored(struct drafts *t)
{
	for (unsigned i = 0; i < replicas_count(t->rig->replicas); i++) {
		_cleanup_buf_ struct buf got = BUF_INIT(256 * MiB);

		assert_true(mem_bucket_get(t->rig->of[i].bucket, KEY, &got));
		assert_int_equal(got.len, t->size);
		if (t->size)
			assert_memory_equal(got.data, t->model, t->size);
	}
}

static void publish(struct drafts *t, struct draft *d)
{
	struct bucket_entry now = { 0 };
	uint64_t lacking = 99;

	assert_int_equal(draft_publish(d, &now, &lacking), 0);
	assert_int_equal(lacking, 0);
	assert_int_equal(now.size, t->size);
	assert_true(now.version[0][0]);
	assert_false(draft_dirty(d));
	assert_stored(t);
}

static uint64_t sent(struct drafts *t)
{
	struct store_stats st;

	store_stats_get(replicas_store(t->rig->replicas, 0), &st);
	return st.bytes_written;
}

static void small_ones_are_one_request(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 3 * MiB + 5, 32 * MiB };
	struct drafts *t = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(draft_freep) struct draft *d = NULL;

		mem_bucket_remove(t->rig->of[0].bucket, KEY);
		d = draft(t, NULL, false);
		write_run(t, d, 0, sizes[i], i);
		assert_contents(t, d, 0, sizes[i] + 10);
		publish(t, d);
	}
}

static void large_ones_are_streamed(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);

	write_run(t, d, 0, LARGE + 12345, 1);
	assert_true(sent(t) >= 32 * MiB);
	assert_int_equal(mem_bucket_count(t->rig->of[0].bucket), 0);
	assert_contents(t, d, 0, LARGE); /* what was sent is kept for a while */
	publish(t, d);
	/* and written on */
	write_at(t, d, 17, 100, 3);
	write_at(t, d, t->size, 1000, 4);
	publish(t, d);
	assert_true(sent(t) < LARGE + 32 * MiB);
}

/* An archiver goes back and writes its header. */
static void what_was_sent_can_be_changed(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);

	write_run(t, d, 0, LARGE, 1);
	assert_int_equal(mem_bucket_uploads(t->rig->of[0].bucket), 1);
	write_at(t, d, 26, 4, 9);
	assert_int_equal(mem_bucket_uploads(t->rig->of[0].bucket), 0);
	write_run(t, d, t->size, 3 * MiB, 5);
	resize(t, d, 39 * MiB + 3);
	publish(t, d);
}

static void from_the_back_to_the_front(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);

	for (unsigned i = 40; i-- > 0;)
		write_at(t, d, i * MiB, MiB, i);
	assert_int_equal(sent(t), 0);
	assert_contents(t, d, 0, LARGE);
	publish(t, d);
}

static void an_append_copies_what_is_there(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE + 1000);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);
	_cleanup_free_ uint8_t *bytes = content(5, 500);

	assert_false(draft_dirty(d));
	assert_int_equal(write_to(d, 7, span_of(bytes, 500), true), 0); /* wherever that is */
	memcpy(t->model + t->size, bytes, 500);
	t->size += 500;
	assert_contents(t, d, LARGE, 2000);
	publish(t, d);
	assert_true(sent(t) < MiB);
}

/* More than memory holds: it leaves while it is written, and what is there is copied. */
static void a_long_append_is_streamed(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, 33 * MiB + 1000);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	write_run(t, d, t->size, 36 * MiB, 3);
	assert_true(sent(t) >= 24 * MiB);
	publish(t, d);
	assert_true(sent(t) < 48 * MiB);
}

static void the_middle_is_patched(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE + 1000);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	write_at(t, d, 20 * MiB + 123, 70000, 2);
	assert_contents(t, d, 19 * MiB, 2 * MiB);
	assert_contents(t, d, LARGE, 2000);
	publish(t, d);
	assert_true(sent(t) <= 8 * MiB);
	/* the same again, on what was published */
	write_at(t, d, 0, 1, 7);
	publish(t, d);
	assert_true(sent(t) <= 16 * MiB);
}

static void cut_and_grown(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	resize(t, d, 35 * MiB + 7);
	publish(t, d);
	assert_int_equal(sent(t), 0);
	resize(t, d, 38 * MiB);
	assert_contents(t, d, 35 * MiB, 4 * MiB);
	publish(t, d);
	resize(t, d, 10);
	resize(t, d, 100);
	assert_contents(t, d, 0, 200);
	publish(t, d);
	assert_int_equal(draft_truncate(d, 4 * GiB, DRAFT_WAIT), -EFBIG);
	assert_int_equal(draft_write(d, 4 * GiB, SPAN_LITERAL("x"), false, DRAFT_WAIT), -EFBIG);
	assert_false(draft_dirty(d));
}

/* Anything, in any order, against an array of bytes. */
static void as_an_array_of_bytes(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, 33 * MiB);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	srand(11);
	for (unsigned i = 0; i < 600; i++) {
		const size_t off = (size_t)rand() % (t->size + 100000),
			     len = (size_t)rand() % (rand() % 8 ? 5000 : 400000);

		switch (rand() % 12) {
		case 0:
			resize(t, d, rand() % 3 ? t->size - MIN(t->size, len) : t->size + len);
			break;
		case 1:
			if (i % 5 == 0)
				publish(t, d);
			break;
		case 2:
		case 3:
		case 4:
			assert_contents(t, d, off, len);
			break;
		default:
			if (off + len < t->room)
				write_at(t, d, off, len, i);
			break;
		}
	}
	if (draft_dirty(d))
		publish(t, d);
	assert_contents(t, d, 0, t->size);
}

static void stores_that_copy_no_parts(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	write_at(t, d, t->size, 5, 2);
	t->rig->of[0].sync.part = (struct mem_fate){ .lost = true, .result = -EIO };
	t->rig->of[0].sync.n_part_fates = 1;
	publish(t, d);
	assert_true(sent(t) >= 8 * MiB);
}

/* Somebody else's object is there when it is to be published, or read. */
static void a_lost_race(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true), *late = draft(t, &e, true);
	struct bucket_entry now = { 0 };
	uint64_t lacking;

	write_at(t, d, 5, 5, 2);
	put(t, 77);
	assert_int_equal(draft_publish(d, &now, &lacking), -ESTALE);
	assert_int_equal(draft_publish(d, &now, &lacking), -ESTALE);
	assert_stored(t);
	assert_int_equal(write_to(late, 20 * MiB, SPAN_LITERAL("x"), false), -ESTALE);
	assert_int_equal(draft_publish(late, &now, &lacking), -ESTALE);
	assert_stored(t);
}

static void a_full_disk(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);
	_cleanup_free_ uint8_t *bytes = content(1, MiB);
	struct bucket_entry now = { 0 };
	uint64_t lacking, off = 0;
	int r = write_to(d, LARGE, span_of(bytes, MiB), false);

	for (; !r && off < LARGE; off += MiB)
		r = write_to(d, off, span_of(bytes, MiB), false);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(draft_publish(d, &now, &lacking), -ENOSPC);
	assert_int_equal(mem_bucket_count(t->rig->of[0].bucket), 0);
}

/* Who writes from front to back needs no disk: but what was sent is not kept then. */
static void a_stream_without_a_disk(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);
	uint8_t byte;
	size_t n;

	write_run(t, d, 0, LARGE + 20 * MiB, 1);
	assert_int_equal(draft_read(d, 0, 1, &byte, &n), -EOPNOTSUPP);
	assert_int_equal(draft_write(d, 0, SPAN_LITERAL("x"), false, DRAFT_WAIT), -EOPNOTSUPP);
	publish(t, d);
	assert_contents(t, d, 0, 100);
	write_at(t, d, 0, 1, 3);
	publish(t, d);
}

/* The answer to the end is lost: it is looked whose object is there. */
static void an_end_that_is_not_known(void **state)
{
	struct drafts *t = *state;
	_cleanup_(draft_freep) struct draft *d = draft(t, NULL, false);

	write_run(t, d, 0, LARGE, 1);
	t->rig->of[0].sync.finish = (struct mem_fate){ .result = STORE_UNKNOWN };
	publish(t, d);
}

static void every_mirror_gets_it(void **state)
{
	struct drafts *t = *state;
	const struct bucket_entry e = put(t, LARGE);
	_cleanup_(draft_freep) struct draft *d = draft(t, &e, true);

	write_at(t, d, 20 * MiB, 1000, 2);
	publish(t, d);
	assert_true(sent(t) <= 8 * MiB);
	write_at(t, d, t->size, 1000, 2);
	publish(t, d);
}

#define TEST(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(small_ones_are_one_request, setup),
		TEST(large_ones_are_streamed, setup),
		TEST(what_was_sent_can_be_changed, setup),
		TEST(from_the_back_to_the_front, setup),
		TEST(an_append_copies_what_is_there, setup),
		TEST(a_long_append_is_streamed, setup),
		TEST(the_middle_is_patched, setup),
		TEST(cut_and_grown, setup),
		TEST(as_an_array_of_bytes, setup),
		TEST(stores_that_copy_no_parts, setup),
		TEST(a_lost_race, setup),
		TEST(a_full_disk, setup_small_disk),
		TEST(a_stream_without_a_disk, setup_small_disk),
		TEST(an_end_that_is_not_known, setup),
		TEST(every_mirror_gets_it, setup_mirrors),
	};

	assert_int_equal(sodium_start(), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
