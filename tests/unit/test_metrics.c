/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"
#include "base/wait.h"
#include "tests/lib/cm.h"

static void test_same_name_same_metric(void **state)
{
	struct metric *a = metric_get("a_total", "As.", METRIC_COUNTER, "x=\"1\"");

	assert_ptr_equal(metric_get("a_total", "As.", METRIC_COUNTER, "x=\"1\""), a);
	assert_ptr_not_equal(metric_get("a_total", "As.", METRIC_COUNTER, "x=\"2\""), a);
	metric_add(a, 1);
	metric_add(a, 2.5);
	assert_true(metric_value(a) == 3.5);
	metric_set(a, 7);
	assert_true(metric_value(a) == 7);
	metric_raise(a, 5);
	assert_true(metric_value(a) == 7);
	metric_raise(a, 9);
	assert_true(metric_value(a) == 9);
	metric_set(a, 7);
}

static void test_text(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(100000);
	struct metric *h = metric_get("t_seconds", "Time.", METRIC_SECONDS, "op=\"get\"");
	const char *text;

	metric_set(metric_get("z_bytes", "Size.", METRIC_GAUGE, ""), 12345678901.0);
	metric_observe_ns(h, 50 * NS_PER_US);
	metric_observe_ns(h, 100 * NS_PER_US);
	metric_observe_ns(h, 3 * NS_PER_S);
	metric_observe_ns(h, 1000 * NS_PER_S);
	assert_int_equal(metrics_write(&b), 0);
	text = buf_str(&b);
	assert_non_null(
		strstr(text, "# HELP z_bytes Size.\n# TYPE z_bytes gauge\nz_bytes 12345678901\n"));
	assert_non_null(strstr(
		text,
		"# HELP a_total As.\n# TYPE a_total counter\na_total{x=\"1\"} 7\n"
		"a_total{x=\"2\"} 0\n"));
	assert_non_null(strstr(
		text,
		"# TYPE t_seconds histogram\nt_seconds_bucket{op=\"get\",le=\"0.0001\"} 2\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{op=\"get\",le=\"2.5\"} 2\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{op=\"get\",le=\"5\"} 3\n"));
	assert_non_null(strstr(text, "t_seconds_bucket{op=\"get\",le=\"+Inf\"} 4\n"));
	assert_non_null(strstr(text, "t_seconds_sum{op=\"get\"} 1003.00015\n"));
	assert_non_null(strstr(text, "t_seconds_count{op=\"get\"} 4\n"));
	assert_true(strstr(text, "a_total") < strstr(text, "t_seconds"));
}

static void count_one(struct metric *m, const char *labels, void *arg)
{
	*(unsigned *)arg += !strncmp(labels, "op=", 3);
}

/* Together they are one histogram. */
static void test_a_family(void **state)
{
	struct metric *a = metric_get("f_seconds", "F.", METRIC_SECONDS, "op=\"a\""),
		      *b = metric_get("f_seconds", "F.", METRIC_SECONDS, "op=\"b\"");
	struct metric_family f;
	unsigned n = 0;

	metric_family_get("none_seconds", &f);
	assert_true(f.count == 0 && f.p50_s == 0 && f.p99_s == 0);
	for (int i = 0; i < 60; i++)
		metric_observe_ns(i < 30 ? a : b, 2 * NS_PER_MS);
	for (int i = 0; i < 40; i++)
		metric_observe_ns(b, 700 * NS_PER_MS);
	metric_family_get("f_seconds", &f);
	assert_int_equal(f.count, 100);
	assert_true(f.p50_s > 0.001 && f.p50_s < 0.0025 && f.p99_s > 0.5 && f.p99_s <= 1);
	metrics_each("f_seconds", count_one, &n);
	assert_int_equal(n, 2);
}

static void test_quantiles(void **state)
{
	struct metric *h = metric_get("q_seconds", "Q.", METRIC_SECONDS, "");

	assert_true(metric_quantile(h, 0.5) == 0);
	for (int i = 0; i < 90; i++)
		metric_observe_ns(h, 2 * NS_PER_MS); /* 1 .. 2.5 ms */
	for (int i = 0; i < 10; i++)
		metric_observe_ns(h, 700 * NS_PER_MS); /* 0.5 .. 1 s */
	assert_int_equal(metric_count(h), 100);
	assert_true(metric_quantile(h, 0.5) > 0.001 && metric_quantile(h, 0.5) < 0.0025);
	assert_true(metric_quantile(h, 0.95) > 0.5 && metric_quantile(h, 0.95) <= 1);
	for (int i = 0; i < 1000; i++)
		metric_observe_ns(h, 100 * NS_PER_S);
	assert_true(metric_quantile(h, 0.99) == 60);
}

static void count(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		struct metric *m = metric_get("threads_total", "T.", METRIC_COUNTER,
					      i % 2 ? "o=\"1\"" : "o=\"0\"");

		metric_add(m, 1);
		metric_observe_ns(metric_get("threads_seconds", "T.", METRIC_SECONDS, ""), i);
	}
}

static void test_threads(void **state)
{
	struct task *tasks[4];

	for (int i = 0; i < 4; i++)
		tasks[i] = task_start("count", count, NULL);
	for (int i = 0; i < 4; i++)
		task_join(tasks[i]);
	assert_true(metric_value(metric_get("threads_total", "", METRIC_COUNTER, "o=\"1\"")) ==
		    2000);
	assert_int_equal(metric_count(metric_get("threads_seconds", "", METRIC_SECONDS, "")), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_name_same_metric),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_a_family),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
