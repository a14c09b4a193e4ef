/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/journal.h"

#include "tests/lib/cluster.h"
#include "tests/lib/cm.h"

#include <stdio.h>

/* What the stores do to the requests of a member: bit i is about store i. */
struct faults {
	unsigned member;
	unsigned refuse;   /* surely not executed */
	unsigned mute;     /* executed or not, nobody hears of it */
	unsigned lose_put; /* not executed, outcome unknown */
	unsigned hide_put; /* executed, outcome unknown, once */
};
static struct faults faults;
static struct cluster cluster;

static void plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	const struct member_store *way = arg;
	const unsigned bit = 1u << way->store;

	if (way->member != faults.member)
		return;
	if (faults.refuse & bit) {
		*fate = (struct mem_fate){ .lost = true, .result = -EAGAIN, .executed_not = true };
	} else if (faults.mute & bit) {
		*fate = (struct mem_fate){ .mute = true, .lost = true };
	} else if (op == STORE_PUT && (faults.lose_put & bit)) {
		*fate = (struct mem_fate){ .lost = true, .result = STORE_UNKNOWN };
	} else if (op == STORE_PUT && (faults.hide_put & bit)) {
		fate->result = STORE_UNKNOWN;
		faults.hide_put &= ~bit;
	}
}

static int setup(void **state)
{
	faults = (struct faults){ 0 };
	cluster = (struct cluster){ .plan = plan };
	return cluster_open(&cluster);
}

static int teardown(void **state)
{
	cluster_close(&cluster);
	return 0;
}

static uint64_t soon(void)
{
	return clock_now() + 20 * NS_PER_S;
}

static void join(struct member *m, unsigned number)
{
	assert_int_equal(member_open(m, &cluster, number, false), 0);
}

static struct record *record_of(const struct member *m, const char *text)
{
	struct record *r = record_new();

	r->authors = calloc(1, sizeof(*r->authors));
	r->ops = calloc(1, sizeof(*r->ops));
	memcpy(r->authors[0], journal_incarnation(m->journal), INCARNATION_BYTES);
	memcpy(r->next, journal_incarnation(m->journal), INCARNATION_BYTES);
	r->n_authors = r->n_ops = 1;
	r->ops[0].bytes = span_str(text);
	return r;
}

/* Proposes a record with this text; answers the result, and which text was chosen. */
static int propose(struct member *m, const char *text, const char *want)
{
	_cleanup_(record_freep) struct record *r = record_of(m, text);
	_cleanup_(record_freep) struct record *other = NULL;
	int result = journal_propose(m->journal, r, soon(), &other);

	if (want)
		assert_span_str((other ? other : r)->ops[0].bytes, want);
	return result;
}

static void learn(struct member *m, const char *want)
{
	_cleanup_(record_freep) struct record *r = NULL;

	assert_int_equal(journal_learn(m->journal, soon(), &r), 0);
	assert_span_str(r->ops[0].bytes, want);
}

static int look(struct member *m)
{
	_cleanup_(record_freep) struct record *r = NULL;

	return journal_learn(m->journal, soon(), &r);
}

static void seek(struct member *m, uint64_t slot, const char *want)
{
	_cleanup_(record_freep) struct record *r = NULL;

	assert_int_equal(journal_seek(m->journal, slot, soon(), &r), 0);
	assert_int_equal(r->slot, slot);
	assert_span_str(r->ops[0].bytes, want);
}

/* A reader begins in the middle, and goes on from there; also where one store knows nothing. */
static void test_seek(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct member a, b;
	char text[8];

	join(&a, 1);
	journal_begin(a.journal, UINT64_MAX, NULL, NULL);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%u", i);
		faults = (struct faults){ .member = 1, .refuse = i % 3 == 1 ? 1u << i % 2 : 0 };
		assert_int_equal(propose(&a, text, text), 0);
	}
	assert_int_equal(member_open(&b, &cluster, 2, true), 0);
	seek(&b, 41, "41");
	for (unsigned i = 42; i < 100; i++) {
		snprintf(text, sizeof(text), "%u", i);
		learn(&b, text);
	}
	faults = (struct faults){ .member = 2, .refuse = 1 };
	seek(&b, 0, "0");
	learn(&b, "1");
	seek(&b, 98, "98");
	assert_int_equal(journal_seek(b.journal, 99, soon(), &r), -EAGAIN); /* nothing names it */
	faults = (struct faults){ 0 };
	assert_int_equal(journal_seek(b.journal, 99, soon(), &r), JOURNAL_NOTHING);
	member_close(&b);
	member_close(&a);
}

static size_t objects(void)
{
	size_t n = 0;

	for (unsigned i = 0; i < CLUSTER_STORES; i++)
		n += mem_bucket_count(cluster.buckets[i]);
	return n;
}

static void test_empty_journal(void **state)
{
	struct member a;

	join(&a, 1);
	assert_int_equal(look(&a), JOURNAL_EMPTY);
	assert_int_equal(objects(), 0);
	member_close(&a);
}

static void test_two_formats_agree(void **state)
{
	struct member a, b;

	join(&a, 1);
	join(&b, 2);
	assert_int_equal(propose(&a, "a", "a"), 0);
	assert_int_equal(propose(&b, "b", "a"), JOURNAL_LOST);
	assert_int_equal(journal_slot(b.journal), 0);
	assert_int_equal(look(&a), JOURNAL_NOTHING);
	member_close(&a);
	member_close(&b);
}

static void test_owner_is_fast(void **state)
{
	struct member a, b;

	join(&a, 1);
	assert_false(journal_owns_next(a.journal));
	assert_int_equal(propose(&a, "one", "one"), 0);
	assert_true(journal_owns_next(a.journal));
	assert_int_equal(propose(&a, "two", "two"), 0);
	/* Two links at each store for the first slot, one for the second. A store whose promise
	 * came late is not asked to accept, and any last copy may come late. */
	while (objects() < 7)
		sleep_for(NS_PER_MS);
	assert_in_range(objects(), 7, 9);
	join(&b, 2);
	learn(&b, "one");
	learn(&b, "two");
	assert_int_equal(look(&b), JOURNAL_NOTHING);
	member_close(&a);
	member_close(&b);
}

static void test_takes_over_and_the_old_owner_learns_it(void **state)
{
	struct member a, b;

	join(&a, 1);
	join(&b, 2);
	assert_int_equal(propose(&a, "one", "one"), 0);
	learn(&b, "one");
	assert_int_equal(propose(&b, "b's", "b's"), 0);
	assert_int_equal(propose(&a, "two", "b's"), JOURNAL_LOST);
	assert_false(journal_owns_next(a.journal));
	assert_true(journal_owns_next(b.journal));
	member_close(&a);
	member_close(&b);
}

static void test_next_hands_over(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct record *other = NULL;
	struct member a, b;

	join(&a, 1);
	join(&b, 2);
	r = record_of(&a, "one");
	memcpy(r->next, journal_incarnation(b.journal), INCARNATION_BYTES);
	assert_int_equal(journal_propose(a.journal, r, soon(), &other), 0);
	assert_false(journal_owns_next(a.journal));
	learn(&b, "one");
	assert_true(journal_owns_next(b.journal));
	assert_int_equal(propose(&b, "two", "two"), 0);
	member_close(&a);
	member_close(&b);
}

static void test_one_store_refuses(void **state)
{
	struct member a, b;

	faults = (struct faults){ .member = 1, .refuse = 4 };
	join(&a, 1);
	join(&b, 2);
	assert_int_equal(propose(&a, "one", "one"), 0);
	assert_int_equal(propose(&a, "two", "two"), 0);
	assert_int_equal(mem_bucket_count(cluster.buckets[2]), 0);
	learn(&b, "one");
	learn(&b, "two");
	member_close(&a);
	member_close(&b);
}

static void test_unknown_is_asked_again_with_the_same_bytes(void **state)
{
	struct member a;

	faults = (struct faults){ .member = 1, .hide_put = 7 };
	join(&a, 1);
	assert_int_equal(propose(&a, "one", "one"), 0);
	faults.hide_put = 7;
	assert_int_equal(propose(&a, "two", "two"), 0);
	assert_true(journal_owns_next(a.journal));
	member_close(&a);
}

static void test_who_comes_later_completes_what_was_begun(void **state)
{
	struct record *other = NULL;
	struct record *half = NULL;
	struct member a, b;

	join(&a, 1);
	join(&b, 2);
	assert_int_equal(propose(&a, "one", "one"), 0);
	learn(&b, "one");
	/* It reaches one store and dies. */
	faults = (struct faults){ .member = 1, .lose_put = 3 };
	half = record_of(&a, "half");
	assert_int_not_equal(
		journal_propose(a.journal, half, clock_now() + 300 * NS_PER_MS, &other), 0);
	/* Who sees that store and one other cannot tell whether it was chosen, */
	faults = (struct faults){ .member = 2, .mute = 1 };
	assert_int_equal(look(&b), JOURNAL_UNDETERMINED);
	/* and completes it. */
	assert_int_equal(propose(&b, "b's", "half"), JOURNAL_LOST);
	/* it completed somebody else's record, and owns nothing */
	assert_false(journal_owns_next(b.journal));
	assert_int_equal(propose(&b, "b's", "b's"), 0);
	/* The first one may still come back with the same record, and learns that it was chosen. */
	faults = (struct faults){ 0 };
	assert_int_equal(journal_propose(a.journal, half, soon(), &other), 0);
	assert_int_equal(look(&a), 0);
	record_free(half);
	member_close(&a);
	member_close(&b);
}

static void test_what_stands_for_a_slot_is_not_exchanged(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct record *other = NULL;
	struct member a;

	join(&a, 1);
	faults = (struct faults){ .member = 1, .lose_put = 7 };
	r = record_of(&a, "one");
	assert_int_not_equal(journal_propose(a.journal, r, clock_now() + 100 * NS_PER_MS, &other),
			     0);
	assert_int_equal(propose(&a, "two", NULL), -EINVAL);
	faults = (struct faults){ 0 };
	assert_int_equal(journal_propose(a.journal, r, soon(), &other), 0);
	member_close(&a);
}

static void test_no_majority(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct record *other = NULL;
	struct member a;

	faults = (struct faults){ .member = 1, .refuse = 6 };
	join(&a, 1);
	r = record_of(&a, "one");
	assert_true(journal_propose(a.journal, r, clock_now() + 200 * NS_PER_MS, &other) < 0);
	assert_true(journal_learn(a.journal, clock_now() + 200 * NS_PER_MS, &other) < 0);
	faults.refuse = 4;
	assert_int_equal(journal_propose(a.journal, r, soon(), &other), 0);
	member_close(&a);
}

static void test_readers_write_nothing(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct record *other = NULL;
	struct member a, b;
	size_t before;

	join(&a, 1);
	assert_int_equal(propose(&a, "one", "one"), 0);
	member_close(&a);
	before = objects();
	assert_int_equal(member_open(&b, &cluster, 2, true), 0);
	learn(&b, "one");
	assert_int_equal(look(&b), JOURNAL_NOTHING);
	r = record_of(&b, "no");
	assert_int_equal(journal_propose(b.journal, r, soon(), &other), -EROFS);
	member_close(&b);
	assert_int_equal(objects(), before);
}

static void test_catches_up_in_windows(void **state)
{
	struct member a, b;
	char text[32];

	join(&a, 1);
	join(&b, 2);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "record %u", i);
		/* Each store in turn misses some slots. */
		faults = (struct faults){ .member = 1,
					  .refuse = i % 50 < 25 ? 1u << (i / 50 % 3) : 0 };
		assert_int_equal(propose(&a, text, text), 0);
	}
	for (unsigned i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "record %u", i);
		learn(&b, text);
	}
	assert_int_equal(look(&b), JOURNAL_NOTHING);
	member_close(&a);
	member_close(&b);
}

static void copy_store_0_to_1(const char *name, struct span body, void *arg)
{
	struct buf *names = arg;

	assert_int_equal(buf_addf(names, "%s\n", name), 0);
}

static void test_a_copy_from_another_store_does_not_count(void **state)
{
	_cleanup_buf_ struct buf names = BUF_INIT(4096);
	_cleanup_buf_ struct buf body = BUF_INIT(MiB);
	_cleanup_(record_freep) struct record *r = NULL;
	_cleanup_free_ char *text = NULL;
	struct record *other = NULL;
	struct member a, b;
	char *rest, *name;

	join(&a, 1);
	faults = (struct faults){ .member = 1, .lose_put = 6 };
	r = record_of(&a, "one accept");
	assert_int_not_equal(journal_propose(a.journal, r, clock_now() + 200 * NS_PER_MS, &other),
			     0);
	member_close(&a);
	mem_bucket_each(cluster.buckets[0], copy_store_0_to_1, &names);
	assert_true(names.len > 0);
	text = strdup(buf_str(&names));
	for (name = strtok_r(text, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		buf_clear(&body);
		assert_true(mem_bucket_get(cluster.buckets[0], name, &body));
		assert_int_equal(mem_bucket_put(cluster.buckets[1], name, buf_span(&body)), 0);
	}
	/* Store 1 holds nonsense now, and what the two others say is what counts. */
	join(&b, 2);
	assert_int_equal(propose(&b, "b's", "b's"), 0);
	member_close(&b);
}

static void test_begins_where_it_is_told(void **state)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct record *other = NULL;
	struct member a, b;

	join(&a, 1);
	join(&b, 2);
	r = record_of(&a, "one");
	assert_int_equal(journal_propose(a.journal, r, soon(), &other), 0);
	assert_int_equal(propose(&a, "two", "two"), 0);
	journal_begin(b.journal, 0, r->hash, r->next);
	learn(&b, "two");
	/* Of another history. */
	r->hash[0] ^= 1;
	journal_begin(b.journal, 0, r->hash, r->next);
	assert_int_equal(look(&b), JOURNAL_CONFLICT);
	member_close(&a);
	member_close(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_empty_journal),
		T(test_two_formats_agree),
		T(test_owner_is_fast),
		T(test_takes_over_and_the_old_owner_learns_it),
		T(test_next_hands_over),
		T(test_one_store_refuses),
		T(test_unknown_is_asked_again_with_the_same_bytes),
		T(test_who_comes_later_completes_what_was_begun),
		T(test_what_stands_for_a_slot_is_not_exchanged),
		T(test_no_majority),
		T(test_readers_write_nothing),
		T(test_catches_up_in_windows),
		T(test_seek),
		T(test_a_copy_from_another_store_does_not_count),
		T(test_begins_where_it_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
