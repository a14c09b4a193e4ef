/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of one store: read whole, once, as listed or not at all. */
#include "base/sodium.h"
#include "tests/unit/object_rig.h"

#include <fcntl.h>
#include <ftw.h>

static int setup(void **state)
{
	*state = rig_new(1, false);
	return 0;
}

static int setup_disk(void **state)
{
	*state = rig_new(1, true);
	return 0;
}

static void reads_what_is_there(void **state)
{
	static const size_t sizes[] = { 1, 100, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB + 5 };
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i];
		struct bucket_entry e;
		struct object *o;

		rig_put(rig, 0, "dir/x", i, size);
		e = rig_list(rig, 0, "dir/x");
		o = rig_open(rig, &e);
		assert_int_equal(object_size(o), size);
		assert_reads(o, size - 1, 10, i);
		assert_reads(o, size, 10, i);
		assert_reads(o, size + 5 * MiB, 10, i);
		assert_reads(o, 0, size, i);
		assert_reads(o, size / 2, size, i);
		assert_reads(o, 0, size + 100, i);
		assert_false(object_changed(o));
		object_close(o);
	}
}

static void nothing_is_asked_for_nothing(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "empty", 0, 0);
	e = rig_list(rig, 0, "empty");
	o = rig_open(rig, &e);
	assert_reads(o, 0, 100, 0);
	assert_reads(o, 7, 100, 0);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), 0);
}

static void what_is_near_costs_no_request(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, 4 * MiB); /* nothing to read ahead after 3 */
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	assert_int_equal(read_result(o, 3 * MiB, OBJECT_NO_WAIT), OBJECT_WOULD_WAIT);
	assert_int_equal(rig_gets(rig, 0), 0);
	assert_reads(o, 3 * MiB, 1000, 1);
	assert_int_equal(rig_gets(rig, 0), 1); /* one read is no stream */
	assert_int_equal(read_result(o, 3 * MiB + 77, OBJECT_NO_WAIT), 0);
	object_close(o);
	o = rig_open(rig, &e);
	assert_int_equal(read_result(o, 4 * MiB - 1, OBJECT_NO_WAIT), 0);
	assert_int_equal(read_result(o, 1 * MiB, OBJECT_NO_WAIT), OBJECT_WOULD_WAIT);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), 1);
}

struct reader {
	struct object *o;
	uint64_t from, to;
	size_t step;
};

static void read_range(void *arg)
{
	const struct reader *r = arg;

	for (uint64_t off = r->from; off < r->to; off += r->step)
		assert_reads(r->o, off, r->step, 3);
}

static void many_readers_are_one_request(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o, *other;
	struct reader r = { .from = 0, .to = 300 * KiB, .step = 100 * KiB };
	struct task *tasks[4];

	rig_put(rig, 0, "x", 3, MiB);
	rig_get(rig, 0, (struct mem_fate){ .answer_ns = 50 * NS_PER_MS }, 0);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	other = rig_open(rig, &e);
	assert_ptr_equal(o, other);
	r.o = o;
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = task_start("reader", read_range, &r);
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		task_join(tasks[i]);
	object_close(o);
	object_close(other);
	assert_int_equal(rig_gets(rig, 0), 1);
}

/* Four streams of one object by turns, in small steps: no piece is fetched twice. */
static void streams_by_turns(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 3, 16 * MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	for (uint64_t off = 0; off < 4 * MiB; off += 512 * KiB)
		for (uint64_t stream = 0; stream < 4; stream++)
			assert_reads(o, stream * 4 * MiB + off, 512 * KiB, 3);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), 16);
}

static void another_version_is_never_mixed_in(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry before, after;
	struct object *o, *next;

	rig_put(rig, 0, "x", 1, 8 * MiB);
	before = rig_list(rig, 0, "x");
	o = rig_open(rig, &before);
	assert_reads(o, 5 * MiB, 1000, 1);
	rig_put(rig, 0, "x", 2, 8 * MiB);
	assert_reads(o, 5 * MiB, MiB, 1); /* what was fetched is what was opened */
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	assert_reads(o, 5 * MiB, MiB, 1);
	assert_int_equal(read_result(o, 7 * MiB, OBJECT_WAIT), -ESTALE);
	after = rig_list(rig, 0, "x");
	next = rig_open(rig, &after);
	assert_ptr_not_equal(o, next);
	assert_reads(next, 0, 8 * MiB, 2);
	object_close(next);
	/* An old listing is no better for being opened again. */
	next = rig_open(rig, &before);
	assert_ptr_not_equal(o, next);
	assert_false(object_changed(next));
	assert_int_equal(read_result(next, 0, OBJECT_WAIT), -ESTALE);
	object_close(next);
	object_close(o);
}

static void a_deleted_object(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, 3 * MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	assert_reads(o, 2 * MiB, 10, 1);
	assert_true(mem_bucket_remove(rig->of[0].bucket, "x"));
	assert_reads(o, 2 * MiB, 1000, 1);
	assert_int_equal(read_result(o, MiB, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	object_close(o);
}

static void passing_failures_pass(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	rig_get(rig, 0, (struct mem_fate){ .result = -EAGAIN, .executed_not = true }, 2);
	assert_reads(o, 0, MiB, 1);
	assert_int_equal(rig_gets(rig, 0), 3);
	object_close(o);
}

static void lasting_failures_do_not(void **state)
{
	static const int lasting[] = { -EIO, -EACCES };
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	for (size_t i = 0; i < ARRAY_SIZE(lasting); i++) {
		rig_get(rig, 0, (struct mem_fate){ .result = lasting[i] }, 0);
		assert_int_equal(read_result(o, 0, OBJECT_WAIT), lasting[i]);
	}
	rig_get(rig, 0, (struct mem_fate){ 0 }, 0);
	assert_reads(o, 0, MiB, 1); /* but the next read asks anew */
	assert_false(object_changed(o));
	object_close(o);
}

static void a_silent_store_ends_by_the_deadline(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_stop(rig);
	rig_start(rig, 200 * NS_PER_MS);
	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	rig_get(rig, 0, (struct mem_fate){ .mute = true, .lost = true }, 0);
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ETIMEDOUT);
	object_close(o);
}

/* A listing without versions: the store is asked for one before the first read, and once. */
static void a_version_is_looked_for(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e, other;
	struct object *o;

	rig_put(rig, 0, "x", 1, 3 * MiB);
	e = rig_list(rig, 0, "x");
	e.version[0][0] = '\0';
	o = rig_open(rig, &e);
	assert_int_equal(rig_heads(rig, 0), 0);
	assert_reads(o, 0, 3 * MiB, 1);
	assert_int_equal(rig_heads(rig, 0), 1);
	object_close(o);
	other = e;
	other.modified_s--; /* it was listed earlier, so it is another one */
	o = rig_open(rig, &other);
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	object_close(o);
	rig_put(rig, 0, "x", 1, 3 * MiB + 1);
	other = e;
	snprintf(other.key, sizeof(other.key), "x");
	other.size--;
	o = rig_open(rig, &other);
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ESTALE);
	object_close(o);
}

static void many_pieces_are_closed_in_a_hurry(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, 40 * MiB);
	rig_get(rig, 0, (struct mem_fate){ .answer_ns = 5 * NS_PER_MS }, 0);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	for (uint64_t off = 0; off < 3 * MiB; off += MiB)
		assert_int_equal(read_result(o, off, OBJECT_WAIT), 0);
	object_close(o);
}

/* ---- on disk ---- */

static uint64_t on_disk(struct rig *rig)
{
	struct pieces_stats st;

	pieces_stats_get(rig->pieces, &st);
	return st.disk_bytes;
}

static void pieces_outlive_the_daemon(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, 2 * MiB + 100);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	assert_reads(o, 0, 3 * MiB, 1);
	object_close(o);
	wait_until(on_disk(rig) > 2 * MiB + 100);
	rig_stop(rig);
	rig_start(rig, PATIENCE);
	wait_until(on_disk(rig) > 2 * MiB + 100);
	o = rig_open(rig, &e);
	assert_reads(o, 0, 3 * MiB, 1);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), 3);
}

static long flip_at;
static unsigned flipped;

static int flip(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	uint8_t byte;
	int fd;

	if (kind != FTW_F || st->st_size < (off_t)MiB)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, flip_at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, flip_at), 1);
	close(fd);
	flipped++;
	return 0;
}

/* Wherever: in the header's id, length, key epoch, checksum; in the first frame, and the last. */
static void a_flipped_bit_on_disk_is_found(void **state)
{
	static const long places[] = { 0, 16, 31, 40, 50, 70, 120, 128, 70000, MiB };
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		o = rig_open(rig, &e);
		assert_reads(o, 0, MiB, 1);
		object_close(o);
		assert_int_equal(rig_gets(rig, 0), i + 1);
		wait_until(on_disk(rig) > MiB);
		rig_stop(rig);
		flip_at = places[i];
		nftw(rig->dir, flip, 16, FTW_PHYS);
		assert_int_equal(flipped, i + 1);
		rig_start(rig, PATIENCE);
		wait_until(on_disk(rig) > MiB);
	}
	o = rig_open(rig, &e);
	assert_reads(o, 0, MiB, 1);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), ARRAY_SIZE(places) + 1);
}

static void another_machines_pieces_do_not_open(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	assert_reads(o, 0, MiB, 1);
	object_close(o);
	wait_until(on_disk(rig) > MiB);
	rig_stop(rig);
	rig_key(rig, 8);
	rig_start(rig, PATIENCE);
	wait_until(on_disk(rig) > MiB);
	o = rig_open(rig, &e);
	assert_reads(o, 1000, MiB, 1);
	object_close(o);
	assert_int_equal(rig_gets(rig, 0), 2);
}

/* The same key with another identity, version or size is another object in the cache. */
static void pieces_have_one_owner(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e, other;
	struct object *o, *p;

	rig_put(rig, 0, "x", 1, MiB);
	e = rig_list(rig, 0, "x");
	o = rig_open(rig, &e);
	assert_reads(o, 0, MiB, 1);
	assert_int_equal(object_open(rig->objects, "mem://c", rig->replicas, &e, &p), 0);
	assert_int_equal(read_result(p, 0, OBJECT_NO_WAIT), OBJECT_WOULD_WAIT);
	object_close(p);
	other = e;
	other.version[0][0] = 'w';
	p = rig_open(rig, &other);
	assert_int_equal(read_result(p, 0, OBJECT_NO_WAIT), OBJECT_WOULD_WAIT);
	assert_int_equal(read_result(p, 0, OBJECT_WAIT), -ESTALE);
	object_close(p);
	other = e;
	other.size++;
	p = rig_open(rig, &other);
	assert_int_equal(read_result(p, 0, OBJECT_WAIT), -ESTALE);
	object_close(p);
	object_close(o);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, rig_free)
#define D(test) cmocka_unit_test_setup_teardown(test, setup_disk, rig_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_what_is_there),
		T(nothing_is_asked_for_nothing),
		T(what_is_near_costs_no_request),
		T(many_readers_are_one_request),
		T(streams_by_turns),
		T(another_version_is_never_mixed_in),
		T(a_deleted_object),
		T(passing_failures_pass),
		T(lasting_failures_do_not),
		T(a_silent_store_ends_by_the_deadline),
		T(a_version_is_looked_for),
		T(many_pieces_are_closed_in_a_hurry),
		D(pieces_outlive_the_daemon),
		D(a_flipped_bit_on_disk_is_found),
		D(another_machines_pieces_do_not_open),
		T(pieces_have_one_owner),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
