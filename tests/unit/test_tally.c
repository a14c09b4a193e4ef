/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/tally.h"

#include "tests/lib/cm.h"

static const uint8_t prev[RECORD_HASH_SIZE] = { 9, 9, 9 };
static const uint8_t owner[INCARNATION_BYTES] = { 1 };

/* A link with a record whose hash begins with `what`, accepted under (round, who). */
static struct link link_of(uint64_t round, uint8_t who, uint8_t what)
{
	const uint8_t inc[INCARNATION_BYTES] = { who };
	struct link l = { .promised = ballot_of(round, inc), .accepted = ballot_of(round, inc) };

	l.record = blob_copy(span_of(&what, 1));
	memset(l.hash, what, RECORD_HASH_SIZE);
	memcpy(l.prev, prev, RECORD_HASH_SIZE);
	return l;
}

static struct link promise_of(uint64_t round, uint8_t who)
{
	const uint8_t inc[INCARNATION_BYTES] = { who };
	struct link l = { .promised = ballot_of(round, inc) };

	memcpy(l.prev, prev, RECORD_HASH_SIZE);
	return l;
}

static void see(struct tally *t, unsigned store, struct link l)
{
	assert_int_equal(tally_see(t, store, &l), 0);
	link_release(&l);
}

static void assert_chosen(const struct tally *t, uint8_t what)
{
	const struct tally_accept *a = NULL;

	assert_int_equal(tally_verdict(t, &a), TALLY_CHOSEN);
	assert_int_equal(a->hash[0], what);
}

static void assert_verdict(const struct tally *t, enum tally_verdict v)
{
	const struct tally_accept *a = NULL;

	assert_int_equal(tally_verdict(t, &a), v);
}

static int open_tally(void **state)
{
	static struct tally t;

	tally_init(&t, 3, owner, prev);
	*state = &t;
	return 0;
}

static int close_tally(void **state)
{
	tally_release(*state);
	return 0;
}

static void test_majority_of_one_ballot(void **state)
{
	struct tally *t = *state;

	see(t, 0, link_of(0, 1, 'a'));
	assert_verdict(t, TALLY_OPEN);
	see(t, 0, link_of(0, 1, 'a')); /* the same store again */
	assert_verdict(t, TALLY_OPEN);
	see(t, 2, link_of(0, 1, 'a'));
	assert_chosen(t, 'a');
}

static void test_accepts_are_counted_per_ballot(void **state)
{
	struct tally *t = *state;

	see(t, 0, link_of(0, 1, 'a'));
	see(t, 1, link_of(1, 1, 'a'));
	assert_verdict(t, TALLY_OPEN);
	see(t, 2, link_of(1, 1, 'a'));
	assert_chosen(t, 'a');
}

static void test_nothing_needs_a_majority_of_whole_chains(void **state)
{
	struct tally *t = *state;

	tally_complete(t, 0);
	assert_verdict(t, TALLY_OPEN);
	see(t, 1, promise_of(1, 5));
	assert_verdict(t, TALLY_OPEN);
	tally_complete(t, 1); /* a promise accepts nothing */
	assert_verdict(t, TALLY_NOTHING);
}

static void test_one_accept_leaves_a_doubt(void **state)
{
	struct tally *t = *state;

	tally_complete(t, 0);
	see(t, 1, link_of(1, 5, 'a'));
	tally_complete(t, 1);
	assert_verdict(t, TALLY_OPEN);
	tally_complete(t, 2); /* two empty chains: it was not chosen when they were read */
	assert_verdict(t, TALLY_NOTHING);
}

static void test_the_next_slot_names_it(void **state)
{
	struct tally *t = *state;
	uint8_t name[RECORD_HASH_SIZE];

	memset(name, 'b', sizeof(name));
	tally_name(t, name);
	see(t, 0, link_of(1, 5, 'a'));
	tally_complete(t, 0);
	tally_complete(t, 1);
	tally_complete(t, 2);
	assert_verdict(t, TALLY_OPEN); /* chosen, but not found */
	see(t, 1, link_of(2, 6, 'b'));
	assert_chosen(t, 'b');
}

static void test_a_decision_is_believed(void **state)
{
	struct tally *t = *state;
	struct link l = link_of(3, 6, 'c');

	l.decided = true;
	l.promised.round = BALLOT_ROUND_DECIDED;
	see(t, 2, l);
	assert_chosen(t, 'c');
	assert_int_equal(t->round, 0);
}

static void test_round_is_the_highest_seen(void **state)
{
	struct tally *t = *state;

	see(t, 0, link_of(3, 6, 'c'));
	see(t, 1, promise_of(8, 2));
	assert_int_equal(t->round, 8);
}

static void test_ballot_zero_of_a_stranger(void **state)
{
	see(*state, 0, link_of(0, 2, 'a'));
	assert_verdict(*state, TALLY_CONFLICT);
}

static void test_two_records_under_one_ballot(void **state)
{
	see(*state, 0, link_of(1, 5, 'a'));
	see(*state, 1, link_of(1, 5, 'b'));
	assert_verdict(*state, TALLY_CONFLICT);
}

static void test_upon_another_record(void **state)
{
	struct link l = promise_of(1, 5);

	l.prev[0] ^= 1;
	see(*state, 0, l);
	assert_verdict(*state, TALLY_CONFLICT);
}

static void test_majorities(void **state)
{
	static const unsigned of[][2] = { { 1, 1 }, { 2, 2 }, { 3, 2 }, { 5, 3 } };

	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		struct tally t;

		tally_init(&t, of[i][0], owner, prev);
		for (unsigned n = 0; n < of[i][1]; n++) {
			assert_verdict(&t, TALLY_OPEN);
			see(&t, n, link_of(0, 1, 'a'));
		}
		assert_chosen(&t, 'a');
		tally_release(&t);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_tally, close_tally)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_majority_of_one_ballot),
		T(test_accepts_are_counted_per_ballot),
		T(test_nothing_needs_a_majority_of_whole_chains),
		T(test_one_accept_leaves_a_doubt),
		T(test_the_next_slot_names_it),
		T(test_a_decision_is_believed),
		T(test_round_is_the_highest_seen),
		T(test_ballot_zero_of_a_stranger),
		T(test_two_records_under_one_ballot),
		T(test_upon_another_record),
		T(test_majorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
