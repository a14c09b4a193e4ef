/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker by its rules, on a clock that the test moves. */
#include "backends/health.h"
#include "backends/store.h"
#include "tests/lib/cm.h"

#define MS(n) ((uint64_t)(n) * NS_PER_MS)

/*
 * Results as letters, one each 10 ms: g good, b bad, u unreachable. Answers the time after the
 * last.
 */
static uint64_t feed(struct health *h, const char *results, uint64_t now)
{
	for (; *results; results++, now += MS(10))
		health_verdict(h, *results == 'g' ? HEALTH_GOOD : *results == 'b' ? HEALTH_BAD
							      : HEALTH_UNREACHABLE, now, now);
	return now;
}

static void results_as_verdicts(void **state)
{
	static const struct {
		enum health_use use;
		int result;
		bool answered;
		enum health_verdict verdict;
	} table[] = {
		{ HEALTH_READ, 0, true, HEALTH_GOOD },
		{ HEALTH_READ, STORE_MISSING, true, HEALTH_GOOD },
		{ HEALTH_READ, STORE_RANGE, true, HEALTH_GOOD },
		{ HEALTH_READ, -EAGAIN, true, HEALTH_BAD },
		{ HEALTH_READ, -EAGAIN, false, HEALTH_UNREACHABLE },
		{ HEALTH_READ, -ETIMEDOUT, false, HEALTH_UNREACHABLE },
		{ HEALTH_READ, -EIO, true, HEALTH_BAD },
		{ HEALTH_READ, -EACCES, true, HEALTH_BAD },
		{ HEALTH_READ, -ECANCELED, false, HEALTH_NOTHING },
		{ HEALTH_READ, -ENOMEM, false, HEALTH_NOTHING },
		{ HEALTH_WRITE, STORE_EXISTS, true, HEALTH_GOOD },
		{ HEALTH_WRITE, STORE_UNKNOWN, true, HEALTH_BAD },
		{ HEALTH_WRITE, STORE_UNKNOWN, false, HEALTH_UNREACHABLE },
		{ HEALTH_WRITE, -EACCES, true, HEALTH_NOTHING },
		{ HEALTH_WRITE, -ENOSPC, true, HEALTH_NOTHING },
		{ HEALTH_PROBE, STORE_MISSING, true, HEALTH_GOOD },
		{ HEALTH_PROBE, -EACCES, true, HEALTH_GOOD },
	};
	struct health h = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(health_verdict_of(&h, table[i].use, table[i].result,
						   table[i].answered), table[i].verdict);
}

static void opens_as_the_rules_say(void **state)
{
	static const struct {
		const char *results;
		enum breaker breaker;
	} table[] = {
		{ "", BREAKER_CLOSED },
		{ "gggggggggg", BREAKER_CLOSED },
		{ "bbbb", BREAKER_CLOSED },
		{ "bbbbb", BREAKER_OPEN },
		{ "bgbgbgbg", BREAKER_CLOSED },
		{ "bgbgbgbgb", BREAKER_OPEN },
		{ "bbbbgggggggb", BREAKER_CLOSED }, /* the first ones left the window */
		{ "uu", BREAKER_CLOSED },
		{ "uuu", BREAKER_OPEN },
		{ "uugu", BREAKER_CLOSED },
		{ "ubu", BREAKER_CLOSED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct health h = { 0 };

		feed(&h, table[i].results, NS_PER_S);
		assert_int_equal(h.breaker, table[i].breaker);
	}
}

static void the_past_is_forgiven(void **state)
{
	struct health h = { 0 };
	uint64_t now = feed(&h, "bbbb", NS_PER_S);

	feed(&h, "b", now + 31 * NS_PER_S);
	assert_int_equal(h.breaker, BREAKER_CLOSED);
}

static void probes_at_growing_intervals(void **state)
{
	static const uint64_t intervals_ms[] = { 500, 1000, 2000, 4000, 8000, 10000, 10000 };
	struct health h = { 0 };
	uint64_t now = NS_PER_S;

	assert_true(health_allows(&h, now));
	assert_int_equal(health_probe_at(&h), NEVER);
	for (int i = 0; i < 3; i++)
		health_verdict(&h, HEALTH_UNREACHABLE, now, now);
	for (size_t i = 0; i < ARRAY_SIZE(intervals_ms); i++) {
		assert_int_equal(h.breaker, BREAKER_OPEN);
		assert_int_equal(health_probe_at(&h), now + MS(intervals_ms[i]));
		now += MS(intervals_ms[i]) - 1;
		assert_false(health_allows(&h, now));
		now++;
		assert_true(health_allows(&h, now));
		assert_int_equal(h.breaker, BREAKER_HALF_OPEN);
		assert_false(health_allows(&h, now)); /* one at a time */
		health_verdict(&h, HEALTH_BAD, now, now);
	}
	now = health_probe_at(&h);
	assert_true(health_allows(&h, now));
	health_verdict(&h, HEALTH_GOOD, now, now + MS(5));
	assert_int_equal(h.breaker, BREAKER_CLOSED);
	/* Nothing of before counts. */
	feed(&h, "bbbb", now + MS(10));
	assert_int_equal(h.breaker, BREAKER_CLOSED);
}

static void a_lost_probe_is_followed_by_another(void **state)
{
	struct health h = { 0 };
	uint64_t now = feed(&h, "uuu", NS_PER_S);

	now = health_probe_at(&h);
	assert_true(health_allows(&h, now));
	assert_true(health_probe_at(&h) > now);
	assert_true(health_allows(&h, now + 10 * NS_PER_S));
}

static void answers_to_older_questions_do_not_count(void **state)
{
	struct health h = { 0 };
	uint64_t opened = feed(&h, "uuu", NS_PER_S) - MS(10), now;

	health_verdict(&h, HEALTH_GOOD, opened - 1, opened + MS(1));
	assert_int_equal(h.breaker, BREAKER_OPEN);
	now = health_probe_at(&h);
	assert_true(health_allows(&h, now));
	health_verdict(&h, HEALTH_BAD, opened - 1, now + 1);
	assert_int_equal(h.breaker, BREAKER_HALF_OPEN);
	health_verdict(&h, HEALTH_NOTHING, now, now + 1);
	assert_int_equal(h.breaker, BREAKER_HALF_OPEN);
	/* One that was sent while it was open, because nobody else was left. */
	health_verdict(&h, HEALTH_GOOD, opened + MS(5), now + 2);
	assert_int_equal(h.breaker, BREAKER_CLOSED);
}

static void a_refusal_is_not_healed_by_a_refused_probe(void **state)
{
	struct health h = { 0 };
	uint64_t now = NS_PER_S;

	for (int i = 0; i < 5; i++)
		health_result(&h, HEALTH_READ, -EACCES, true, now, now);
	assert_int_equal(h.breaker, BREAKER_OPEN);
	now = health_probe_at(&h);
	assert_true(health_allows(&h, now));
	health_result(&h, HEALTH_PROBE, -EACCES, true, now, now);
	assert_int_equal(h.breaker, BREAKER_OPEN);
	now = health_probe_at(&h);
	assert_true(health_allows(&h, now));
	health_result(&h, HEALTH_PROBE, STORE_MISSING, true, now, now);
	assert_int_equal(h.breaker, BREAKER_CLOSED);
}

static void slow_is_told(void **state)
{
	struct health h = { 0 };
	uint64_t now = feed(&h, "gg", NS_PER_S);

	for (int i = 0; i < 20; i++)
		latency_add(&h.estimate.latency[TRANSFER_READ], 0.5);
	assert_false(health_is_slow(&h, 0, now));
	assert_false(health_is_slow(&h, 0.3, now));
	assert_true(health_is_slow(&h, 0.02, now));
	now = feed(&h, "bb", now);
	assert_true(health_is_slow(&h, 0, now));
	assert_false(health_is_slow(&h, 0, now + 60 * NS_PER_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_as_verdicts),
		cmocka_unit_test(opens_as_the_rules_say),
		cmocka_unit_test(the_past_is_forgiven),
		cmocka_unit_test(probes_at_growing_intervals),
		cmocka_unit_test(a_lost_probe_is_followed_by_another),
		cmocka_unit_test(answers_to_older_questions_do_not_count),
		cmocka_unit_test(a_refusal_is_not_healed_by_a_refused_probe),
		cmocka_unit_test(slow_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
