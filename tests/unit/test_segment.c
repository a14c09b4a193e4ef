/* SPDX-License-Identifier: Apache-2.0 */
/* Segments against the plainest model: an array that says which run and byte covers each offset. */
#include "fs/data/segment.h"

#include "tests/lib/cm.h"

#define SPACE 512
#define RUNS 400

struct cell {
	struct run *run;
	uint32_t off;
};

static unsigned freed;

static void on_free(struct run *r, void *arg)
{
	freed++;
	free(r->bytes);
	free(r);
}

static void check(const struct segments *s, const struct cell *model)
{
	uint64_t at = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct segment *g = &s->v[i];

		assert_true(g->len > 0);
		assert_true(g->off >= at);
		for (; at < g->off; at++)
			assert_null(model[at].run);
		for (; at < g->off + g->len; at++) {
			assert_ptr_equal(model[at].run, g->run);
			assert_int_equal(model[at].off, g->run_off + (at - g->off));
		}
	}
	for (; at < SPACE; at++)
		assert_null(model[at].run);
}

static void check_find(const struct segments *s)
{
	for (uint64_t off = 0; off < SPACE; off++) {
		size_t i = segments_find(s, off);

		assert_true(i == s->n || s->v[i].off + s->v[i].len > off);
		assert_true(i == 0 || s->v[i - 1].off + s->v[i - 1].len <= off);
	}
}

static void test_random(void **state)
{
	struct segments s = { 0 };
	struct cell model[SPACE] = { 0 };
	unsigned made = 0, seed = 1;

	freed = 0;
	for (int step = 0; step < RUNS; step++) {
		const uint64_t off = (unsigned)rand_r(&seed) % (SPACE - 64);
		const uint64_t len = 1 + (unsigned)rand_r(&seed) % 64;

		if (rand_r(&seed) % 3) {
			struct run *r = run_new(64);

			made++;
			assert_non_null(r);
			assert_int_equal(segments_insert(&s, off, len, r, 0, on_free, NULL), 0);
			run_unref(r, on_free, NULL);
			for (uint64_t i = 0; i < len; i++)
				model[off + i] = (struct cell){ r, (uint32_t)i };
		} else {
			assert_int_equal(segments_cut(&s, off, len, on_free, NULL), 0);
			memset(&model[off], 0, len * sizeof(*model));
		}
		check(&s, model);
	}
	check_find(&s);
	segments_release(&s, on_free, NULL);
	assert_int_equal(freed, made);
}

/* A window into a run may replace the run's own other window. */
static void test_same_run(void **state)
{
	struct segments s = { 0 };
	struct run *r = run_new(64);

	freed = 0;
	assert_int_equal(segments_insert(&s, 0, 32, r, 0, on_free, NULL), 0);
	run_unref(r, on_free, NULL);
	assert_int_equal(segments_insert(&s, 0, 32, r, 16, on_free, NULL), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].run_off, 16);
	assert_int_equal(freed, 0);
	segments_release(&s, on_free, NULL);
	assert_int_equal(freed, 1);
}

static void test_leaving(void **state)
{
	struct segments s = { 0 };
	struct run *a = run_new(8), *b = run_new(8);

	freed = 0;
	assert_int_equal(segments_insert(&s, 0, 8, a, 0, on_free, NULL), 0);
	assert_int_equal(segments_insert(&s, 8, 8, b, 0, on_free, NULL), 0);
	assert_int_equal(segments_bytes(&s), 16);
	assert_int_equal(segments_end(&s), 16);
	a->leaving = true;
	run_unref(a, on_free, NULL);
	run_unref(b, on_free, NULL);
	segments_remove_leaving(&s, on_free, NULL);
	assert_int_equal(freed, 1);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].off, 8);
	segments_release(&s, on_free, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_same_run),
		cmocka_unit_test(test_leaving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
