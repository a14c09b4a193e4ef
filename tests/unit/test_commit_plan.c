/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit_plan.h"

#include "tests/lib/cm.h"

static const struct commit_options options = {
	.hold_ns = 2 * NS_PER_S,
	.delay_ns = 500 * NS_PER_MS,
	.freshness_ns = NS_PER_S,
	.deadline_ns = 60 * NS_PER_S,
};
#define NOW (1000 * NS_PER_S)

/* Somebody else owns the tip and wrote a moment ago; we write, and have nothing pending. */
static struct commit_tip follower(void)
{
	return (struct commit_tip){
		.booted = true,
		.writes = true,
		.learned_ns = NOW - 100 * NS_PER_MS,
		.quiet_ns = commit_quiet_ns(2 * NS_PER_S),
		.polled_ns = NOW - 100 * NS_PER_MS,
	};
}

static struct commit_tip owner(void)
{
	struct commit_tip t = follower();

	t.owns = true;
	t.hold_end_ns = NOW + NS_PER_S;
	return t;
}

static void pend(struct commit_tip *t, uint64_t age_ns, bool waiting)
{
	t->pending = 1;
	t->pending_bytes = 100;
	t->oldest_ns = NOW - age_ns;
	t->waiting = waiting;
}

static void expect(const struct commit_tip *t, enum commit_act act, uint64_t until)
{
	uint64_t got;

	assert_int_equal(commit_plan(t, &options, NOW, &got), act);
	if (act == COMMIT_WAIT)
		assert_int_equal(got, until);
}

static void test_owner_within_its_hold_does_not_look(void **state)
{
	const struct commit_tip t = owner();

	expect(&t, COMMIT_WAIT, t.hold_end_ns);
}

static void test_owner_batches_for_the_delay(void **state)
{
	struct commit_tip t = owner();

	pend(&t, 100 * NS_PER_MS, false);
	expect(&t, COMMIT_WAIT, t.oldest_ns + options.delay_ns);
	pend(&t, 500 * NS_PER_MS, false);
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_owner_cuts_at_once_when_somebody_waits(void **state)
{
	struct commit_tip t = owner();

	pend(&t, 0, true);
	expect(&t, COMMIT_PROPOSE, 0);
	pend(&t, 0, false);
	t.pending_bytes = MiB;
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_owner_with_held_operations_keeps_its_hold(void **state)
{
	struct commit_tip t = owner();

	pend(&t, 0, true);
	t.held = 1;
	expect(&t, COMMIT_WAIT, t.hold_end_ns - options.hold_ns / 4);
	t.hold_end_ns = NOW + options.hold_ns / 4;
	expect(&t, COMMIT_PROPOSE, 0);
	t.owns = false;
	t.hold_end_ns = 0;
	expect(&t, COMMIT_WAIT, t.polled_ns + options.freshness_ns);
	t.pending = 2; /* one before it may go */
	t.owns = true;
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_follower_looks_as_often_as_freshness_says(void **state)
{
	struct commit_tip t = follower();

	expect(&t, COMMIT_WAIT, t.polled_ns + options.freshness_ns);
	t.polled_ns = NOW - options.freshness_ns;
	expect(&t, COMMIT_LEARN, 0);
	t.polled_ns = NOW - options.freshness_ns * 3 / 4;
	t.jitter = 255;
	expect(&t, COMMIT_LEARN, 0);
}

static void test_follower_waits_for_the_owners_hold(void **state)
{
	struct commit_tip t = follower();

	pend(&t, 50 * NS_PER_MS, true);
	expect(&t, COMMIT_RING, 0);
	t.rung = true;
	t.polled_ns = NOW - 20 * NS_PER_MS;
	expect(&t, COMMIT_WAIT, t.polled_ns + 50 * NS_PER_MS);
	t.learned_ns = NOW - t.quiet_ns;
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_a_free_tip_is_taken_at_once(void **state)
{
	struct commit_tip t = follower();

	t.nobody = true;
	pend(&t, 0, true);
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_patience_ends_after_six_holds(void **state)
{
	struct commit_tip t = follower();

	pend(&t, 11 * NS_PER_S, true);
	t.polled_ns = NOW;
	t.rung = true;
	expect(&t, COMMIT_WAIT, NOW + 50 * NS_PER_MS);
	pend(&t, 12 * NS_PER_S, true);
	expect(&t, COMMIT_PROPOSE, 0);
	/* Not without knowing the tip, nor before asking for it. */
	t.behind = true;
	expect(&t, COMMIT_LEARN, 0);
	t.rung = false;
	expect(&t, COMMIT_RING, 0);
}

static void test_a_knock_is_answered_without_own_work(void **state)
{
	struct commit_tip t = owner();

	t.knocked = true;
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_what_was_lent_is_given_back_at_once(void **state)
{
	struct commit_tip t = owner();

	t.lent = true;
	expect(&t, COMMIT_PROPOSE, 0);
	pend(&t, 0, false);
	expect(&t, COMMIT_PROPOSE, 0);
}

static void test_a_frozen_record_comes_first(void **state)
{
	struct commit_tip t = follower();

	t.frozen = true;
	t.refresh = true;
	expect(&t, COMMIT_PROPOSE, 0);
	t.retry_ns = NOW + 7;
	expect(&t, COMMIT_WAIT, NOW + 7);
}

static void test_who_is_behind_looks_on(void **state)
{
	struct commit_tip t = follower();

	t.behind = true;
	expect(&t, COMMIT_LEARN, 0);
	t = owner();
	t.refresh = true;
	expect(&t, COMMIT_LEARN, 0);
}

static void test_nothing_is_proposed_before_the_tip_was_reached(void **state)
{
	struct commit_tip t = follower();

	t.booted = false;
	t.nobody = true;
	pend(&t, NS_PER_S, true);
	t.polled_ns = NOW - 150 * NS_PER_MS;
	expect(&t, COMMIT_WAIT, t.polled_ns + 200 * NS_PER_MS);
}

static void test_undetermined_is_helped_in_time(void **state)
{
	struct commit_tip t = follower();

	t.help_ns = NOW + 100 * NS_PER_MS;
	expect(&t, COMMIT_WAIT, NOW + 100 * NS_PER_MS);
	t.help_ns = NOW;
	expect(&t, COMMIT_PROPOSE, 0);
	t.writes = false;
	t.polled_ns = NOW;
	expect(&t, COMMIT_WAIT, NOW + 200 * NS_PER_MS);
}

static void test_halted_does_nothing(void **state)
{
	struct commit_tip t = follower();

	t.halted = true;
	t.frozen = true;
	expect(&t, COMMIT_WAIT, NEVER);
}

static void test_early_answers(void **state)
{
	struct commit_tip t = owner();

	assert_true(commit_tip_early(&t, NOW));
	assert_false(commit_tip_early(&t, t.hold_end_ns));
	t.owns = false;
	assert_false(commit_tip_early(&t, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_within_its_hold_does_not_look),
		cmocka_unit_test(test_owner_batches_for_the_delay),
		cmocka_unit_test(test_owner_cuts_at_once_when_somebody_waits),
		cmocka_unit_test(test_owner_with_held_operations_keeps_its_hold),
		cmocka_unit_test(test_follower_looks_as_often_as_freshness_says),
		cmocka_unit_test(test_follower_waits_for_the_owners_hold),
		cmocka_unit_test(test_a_free_tip_is_taken_at_once),
		cmocka_unit_test(test_patience_ends_after_six_holds),
		cmocka_unit_test(test_a_knock_is_answered_without_own_work),
		cmocka_unit_test(test_what_was_lent_is_given_back_at_once),
		cmocka_unit_test(test_a_frozen_record_comes_first),
		cmocka_unit_test(test_who_is_behind_looks_on),
		cmocka_unit_test(test_nothing_is_proposed_before_the_tip_was_reached),
		cmocka_unit_test(test_undetermined_is_helped_in_time),
		cmocka_unit_test(test_halted_does_nothing),
		cmocka_unit_test(test_early_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
