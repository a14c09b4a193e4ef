/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that carries requests: order of ends, cancelling, stopping, what went onto a
 * connection.
 */
#include "tests/lib/standin.h"

struct rig {
	struct standin server;
};

static int up(void **state)
{
	static struct rig r;

	*state = &r;
	return standin_start(&r.server, "gcs", NULL) ? 0 : -1;
}
static int down(void **state)
{
	standin_stop(&((struct rig *)*state)->server);
	http_stop();
	return 0;
}
static int heal(void **state)
{
	standin_heal(&((struct rig *)*state)->server);
	return 0;
}

struct counted {
	struct request *r;
	struct event over;
};

static void on_done(struct request *r)
{
	event_set(&((struct counted *)r->arg)->over);
}

static struct request *request_to(struct standin *s, enum http_method m, const char *path)
{
	struct request *r = request_new(m, s->origin, path);

	assert_non_null(r);
	r->deadline_ns = clock_now() + 30 * NS_PER_S;
	return r;
}

static void start(struct counted *c, struct request *r)
{
	c->r = r;
	event_init(&c->over);
	r->done = on_done;
	r->arg = c;
	assert_int_equal(http_submit(r), 0);
}

static void wait_for(struct counted *c)
{
	assert_int_equal(event_wait(&c->over, clock_now() + 60 * NS_PER_S), 0);
}

static void finish(struct counted *c)
{
	event_release(&c->over);
	request_free(c->r);
}

#define LIST "/storage/v1/b/testbucket/o"

static void test_plain_answer(void **state)
{
	struct rig *rig = *state;
	struct request *r = request_to(&rig->server, HTTP_GET, LIST);
	struct span v;

	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_ANSWERED);
	assert_int_equal(r->status, 200);
	assert_int_equal(r->attempts, 1);
	assert_true(r->text.len > 0);
	assert_true(request_header(r, "content-type", &v));
	request_rewind(r);
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->status, 200);
	request_free(r);
}

/*
 * More than there are connections for one host; all are ended by the stop, and the next request
 * starts anew.
 */
static void test_stop_ends_all(void **state)
{
	enum { N = 100 };
	struct rig *rig = *state;
	struct counted c[N];
	struct request *after;

	standin_fault(&rig->server, "{\"fault\":\"stall\",\"op\":\"list\",\"count\":0}");
	for (unsigned i = 0; i < N; i++)
		start(&c[i], request_to(&rig->server, HTTP_GET, LIST));
	sleep_for(50 * NS_PER_MS);
	http_stop();
	for (unsigned i = 0; i < N; i++) {
		assert_true(c[i].over.set);
		assert_int_equal(c[i].r->end, REQUEST_CANCELLED);
		finish(&c[i]);
	}
	standin_heal(&rig->server);
	after = request_to(&rig->server, HTTP_GET, LIST);
	assert_int_equal(http_run(after), 0);
	assert_int_equal(after->status, 200);
	request_free(after);
}

static void test_cancel_one_of_two(void **state)
{
	struct rig *rig = *state;
	struct counted a, b;

	standin_fault(&rig->server, "{\"fault\":\"stall\",\"op\":\"list\",\"ms\":300,\"count\":2}");
	start(&a, request_to(&rig->server, HTTP_GET, LIST));
	start(&b, request_to(&rig->server, HTTP_GET, LIST));
	http_cancel(a.r);
	wait_for(&a);
	assert_int_equal(a.r->end, REQUEST_CANCELLED);
	wait_for(&b);
	assert_int_not_equal(b.r->end, REQUEST_CANCELLED);
	http_cancel(b.r); /* harmless when it has ended */
	finish(&a);
	finish(&b);
}

static void test_cancelled_before_it_starts(void **state)
{
	struct rig *rig = *state;
	struct request *r = request_to(&rig->server, HTTP_GET, LIST);

	standin_fault(&rig->server, "{\"fault\":\"stall\",\"op\":\"list\",\"count\":0}");
	http_cancel(r);
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_CANCELLED);
	request_free(r);
}

static void test_deadline_in_the_past(void **state)
{
	struct rig *rig = *state;
	struct request *r = request_to(&rig->server, HTTP_GET, LIST);

	r->deadline_ns = clock_now() - NS_PER_S;
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_TIMED_OUT);
	assert_int_equal(r->attempts, 0);
	request_free(r);
}

static void test_nobody_listens(void **state)
{
	struct standin gone;
	struct request *r;

	assert_true(standin_start(&gone, "gcs", NULL));
	r = request_to(&gone, HTTP_PUT, "/x");
	standin_stop(&gone);
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_FAILED);
	assert_int_equal(r->attempts, 0);
	assert_true(r->why[0]);
	request_free(r);
}

/* A read may be repeated by the library when a kept connection turns out dead. */
static void test_reads_outlive_a_kept_connection(void **state)
{
	struct rig *rig = *state;
	struct request *r = request_to(&rig->server, HTTP_GET, LIST);

	assert_int_equal(http_run(r), 0);
	request_rewind(r);
	standin_fault(&rig->server, "{\"fault\":\"refuse\",\"op\":\"list\",\"count\":1}");
	assert_int_equal(http_run(r), 0);
	if (r->end == REQUEST_ANSWERED)
		assert_int_equal(r->attempts, 2);
	else
		assert_int_equal(r->attempts, 1); /* the connection was a new one */
	request_free(r);
}

static void test_sink_and_its_limit(void **state)
{
	struct rig *rig = *state;
	_cleanup_buf_ struct buf small = BUF_INIT(8), large = BUF_INIT(MiB);
	struct request *r = request_to(&rig->server, HTTP_GET, LIST);

	r->sink = &small;
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_TOO_BIG);
	request_rewind(r);
	r->sink = &large;
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_ANSWERED);
	assert_true(large.len > 8);
	assert_int_equal(r->text.len, 0);
	request_free(r);
}

/* What is no success goes to `text`, cut to its limit, and never to the sink. */
static void test_errors_go_elsewhere(void **state)
{
	struct rig *rig = *state;
	_cleanup_buf_ struct buf sink = BUF_INIT(MiB);
	struct request *r = request_to(&rig->server, HTTP_GET, "/storage/v1/b/nobucket/o");

	r->sink = &sink;
	buf_init(&r->text, 20);
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_ANSWERED);
	assert_int_equal(r->status, 404);
	assert_int_equal(sink.len, 0);
	assert_int_equal(r->text.len, 20);
	request_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_plain_answer, heal),
		cmocka_unit_test_teardown(test_stop_ends_all, heal),
		cmocka_unit_test_teardown(test_cancel_one_of_two, heal),
		cmocka_unit_test_teardown(test_cancelled_before_it_starts, heal),
		cmocka_unit_test_teardown(test_deadline_in_the_past, heal),
		cmocka_unit_test_teardown(test_nobody_listens, heal),
		cmocka_unit_test_teardown(test_reads_outlive_a_kept_connection, heal),
		cmocka_unit_test_teardown(test_sink_and_its_limit, heal),
		cmocka_unit_test_teardown(test_errors_go_elsewhere, heal),
	};

	return cmocka_run_group_tests(tests, up, down);
}
