/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of two stores with the same content: which is read, as what, and when not. */
#include "base/sodium.h"
#include "fs/attach/object_i.h"
#include "tests/unit/object_rig.h"

enum { A, B };

static const struct mem_fate mute = { .mute = true, .lost = true };
static const struct mem_fate honest = { 0 };

static int setup(void **state)
{
	*state = rig_new(2, false);
	return 0;
}

/* A mirror of second choice is read when the first has failed, however long that may take. */
static int setup_patient(void **state)
{
	struct rig *rig = rig_new(2, false);

	*state = rig;
	rig_stop(rig);
	rig->patience_ns = PATIENCE;
	rig_start(rig, PATIENCE);
	return 0;
}

static void put_both(struct rig *rig, unsigned which, size_t len)
{
	rig_put(rig, A, "x", which, len);
	/* Versions of the stores have nothing in common. */
	rig_put(rig, B, "other", 9, 1);
	rig_put(rig, B, "x", which, len);
}

static struct object *open_listed_at(struct rig *rig, unsigned i)
{
	const struct bucket_entry e = rig_list(rig, i, "x");

	return rig_open(rig, &e);
}

static struct mirror mirror_of(struct object *o, unsigned i)
{
	LOCK_SCOPE(&o->sync.lock);
	return o->sync.mirrors[i];
}

/* Reads pieces until the other mirror was seen beside what was listed. */
static void get_trusted(struct object *o, unsigned i, unsigned which)
{
	assert_reads(o, 0, 1, which);
	wait_until(mirror_of(o, i).state == MIRROR_GOOD);
	assert_reads(o, 4 * MiB, 1, which);
	assert_true(mirror_of(o, i).trusted);
}

static void the_listed_store_is_read_and_the_other_looked_at(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 12 * MiB);
	o = open_listed_at(rig, A);
	assert_int_equal(rig_heads(rig, B), 0);
	get_trusted(o, B, 1);
	assert_reads(o, 0, 12 * MiB, 1);
	assert_int_equal(rig_heads(rig, A), 1); /* (M4) */
	assert_int_equal(rig_heads(rig, B), 1);
	assert_true(rig_gets(rig, A) >= 2); /* from then on both are as good */
	object_close(o);
}

static void a_mirror_serves_when_the_listed_store_hangs(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 3 * MiB);
	o = open_listed_at(rig, A);
	rig_get(rig, A, mute, 0);
	assert_reads(o, 0, 3 * MiB, 1);
	assert_false(object_changed(o));
	assert_int_equal(rig_heads(rig, B), 1);
	object_close(o);
}

static void a_mirror_serves_when_the_listed_store_hangs_in_mid_read(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 12 * MiB);
	o = open_listed_at(rig, A);
	get_trusted(o, B, 1);
	rig_get(rig, A, mute, 0);
	assert_reads(o, 0, 12 * MiB, 1);
	assert_true(rig_gets(rig, B) > 0);
	object_close(o);
}

static void a_mirror_serves_when_the_listed_store_refuses(void **state)
{
	static const int failures[] = { -EIO, -EACCES, -EAGAIN };
	struct rig *rig = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
		struct object *o;

		put_both(rig, i, 2 * MiB);
		o = open_listed_at(rig, A);
		rig_get(rig, A, (struct mem_fate){ .result = failures[i] }, 0);
		assert_reads(o, 0, 2 * MiB, i);
		object_close(o);
	}
}

static void whichever_was_listed(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 6 * MiB);
	o = open_listed_at(rig, B);
	get_trusted(o, A, 1);
	rig_get(rig, B, mute, 0);
	assert_reads(o, 0, 6 * MiB, 1);
	assert_int_equal(rig_heads(rig, A), 1);
	object_close(o);
}

static void tell_md5(struct rig *rig, bool a, bool b)
{
	mem_bucket_tells_md5(rig->of[A].bucket, a);
	mem_bucket_tells_md5(rig->of[B].bucket, b);
}

/* (M4): of the right size, and other bytes all the same. */
static void other_contents_are_left_alone(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	tell_md5(rig, true, true);
	rig_put(rig, A, "x", 1, 12 * MiB);
	rig_put(rig, B, "x", 2, 12 * MiB);
	o = open_listed_at(rig, A);
	assert_reads(o, 0, 1, 1);
	wait_until(mirror_of(o, B).state == MIRROR_OFF);
	assert_reads(o, 0, 12 * MiB, 1);
	assert_int_equal(rig_gets(rig, B), 0);
	object_close(o);
}

/* With one MD5, or that of an object which replaced the listed one, nothing can be compared. */
static void an_md5_alone_says_nothing(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	for (int i = 0; i < 2; i++) {
		tell_md5(rig, i, !i);
		put_both(rig, 1, 12 * MiB);
		o = open_listed_at(rig, A);
		get_trusted(o, B, 1);
		object_close(o);
	}
	tell_md5(rig, true, true);
	put_both(rig, 1, 12 * MiB);
	o = open_listed_at(rig, A);
	rig_put(rig, A, "x", 2, 12 * MiB);
	rig_get(rig, A, (struct mem_fate){ .result = -EIO }, 0);
	assert_reads(o, 0, 1, 1);
	assert_int_equal(mirror_of(o, B).state, MIRROR_GOOD);
	object_close(o);
}

static void another_size_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	rig_put(rig, A, "x", 1, 12 * MiB);
	rig_put(rig, B, "x", 1, 12 * MiB + 1);
	o = open_listed_at(rig, A);
	assert_reads(o, 0, 1, 1);
	wait_until(mirror_of(o, B).state == MIRROR_OFF);
	assert_reads(o, 8 * MiB, 1, 1);
	rig_get(rig, A, (struct mem_fate){ .result = -EIO }, 0);
	assert_int_equal(read_result(o, 5 * MiB, OBJECT_WAIT), -EIO);
	rig_get(rig, A, honest, 0);
	assert_reads(o, 0, 12 * MiB, 1);
	assert_int_equal(rig_heads(rig, B), 1);
	assert_int_equal(rig_gets(rig, B), 0);
	assert_false(object_changed(o));
	object_close(o);
}

static void who_lacks_it_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	rig_put(rig, A, "x", 1, 12 * MiB);
	o = open_listed_at(rig, A);
	assert_reads(o, 0, 12 * MiB, 1);
	wait_until(mirror_of(o, B).state == MIRROR_OFF);
	assert_int_equal(rig_heads(rig, B), 1);
	assert_int_equal(rig_gets(rig, B), 0);
	object_close(o);
}

/*
 * Both got the replacement after the listing and before the first read: the mirror's object has the
 * listed size and is another one all the same.
 */
static void a_replacement_is_not_taken_for_the_listed_object(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 3 * MiB);
	o = open_listed_at(rig, A);
	put_both(rig, 2, 3 * MiB);
	assert_int_equal(read_result(o, MiB, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ESTALE);
	assert_int_equal(rig_gets(rig, B), 0);
	object_close(o);
}

static void a_trusted_mirror_has_it_yet(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 12 * MiB);
	o = open_listed_at(rig, A);
	get_trusted(o, B, 1);
	rig_put(rig, A, "x", 2, 12 * MiB);
	assert_reads(o, 9 * MiB, 1, 1);
	assert_true(object_changed(o)); /* somebody is about to replace it */
	assert_reads(o, 0, 12 * MiB, 1);
	rig_put(rig, B, "x", 2, 12 * MiB);
	assert_reads(o, 0, 12 * MiB, 1); /* near already */
	object_close(o);
}

static void replaced_everywhere_is_stale(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 12 * MiB);
	o = open_listed_at(rig, A);
	get_trusted(o, B, 1);
	put_both(rig, 2, 12 * MiB);
	assert_int_equal(read_result(o, 9 * MiB, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	assert_reads(o, 0, 1, 1);
	object_close(o);
}

/* The mirror cannot be asked at first; when the listed store fails later, it can. */
static void a_mirror_comes_up_later(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	put_both(rig, 1, 12 * MiB);
	rig_head(rig, B, (struct mem_fate){ .result = -EAGAIN });
	o = open_listed_at(rig, A);
	assert_reads(o, 0, 1, 1);
	wait_until(mirror_of(o, B).failures > 0);
	assert_reads(o, 6 * MiB, 1, 1);
	rig_get(rig, A, mute, 0);
	rig_head(rig, B, honest);
	assert_reads(o, 0, 12 * MiB, 1);
	object_close(o);
}

static void nobody_serves(void **state)
{
	struct rig *rig = *state;
	struct object *o;

	rig_stop(rig);
	rig_start(rig, 300 * NS_PER_MS);
	put_both(rig, 1, MiB);
	o = open_listed_at(rig, A);
	rig_get(rig, A, mute, 0);
	rig_get(rig, B, mute, 0);
	rig_head(rig, B, mute);
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ETIMEDOUT);
	assert_false(object_changed(o));
	object_close(o);
}

/* Neither store lists versions: both are asked, and equal size is what is known. */
static void without_listed_versions(void **state)
{
	struct rig *rig = *state;
	struct bucket_entry e;
	struct object *o;

	put_both(rig, 1, 3 * MiB);
	e = rig_list(rig, A, "x");
	e.version[A][0] = '\0';
	o = rig_open(rig, &e);
	assert_reads(o, 0, 3 * MiB, 1);
	assert_int_equal(rig_heads(rig, A), 1);
	assert_int_equal(rig_heads(rig, B), 1);
	object_close(o);
	e.size++;
	o = rig_open(rig, &e);
	assert_int_equal(read_result(o, 0, OBJECT_WAIT), -ESTALE);
	assert_true(object_changed(o));
	object_close(o);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, rig_free)
#define P(test) cmocka_unit_test_setup_teardown(test, setup_patient, rig_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		P(the_listed_store_is_read_and_the_other_looked_at),
		T(a_mirror_serves_when_the_listed_store_hangs),
		P(a_mirror_serves_when_the_listed_store_hangs_in_mid_read),
		T(a_mirror_serves_when_the_listed_store_refuses),
		P(whichever_was_listed),
		P(other_contents_are_left_alone),
		P(an_md5_alone_says_nothing),
		P(another_size_is_left_alone),
		T(who_lacks_it_is_left_alone),
		P(a_replacement_is_not_taken_for_the_listed_object),
		P(a_trusted_mirror_has_it_yet),
		P(replaced_everywhere_is_stale),
		T(a_mirror_comes_up_later),
		T(nobody_serves),
		T(without_listed_versions),
	};

	return sodium_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
