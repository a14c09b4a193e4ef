/* SPDX-License-Identifier: Apache-2.0 */
/* Many at once; cancelled calls; a server that is silent for a while. */
#include "tests/contract/contract.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define RACERS 32

struct racer {
	struct blob *body;
	struct store_call *call;
	int result;
};

/*
 * Each writes another body to one name, at once. Answers the winner, of whom there is exactly one.
 */
static unsigned race(struct target *t, const char *name, size_t len, enum put_cond cond,
		     const char *match)
{
	struct racer all[RACERS];
	unsigned won = 0, winner = 0;

	for (unsigned i = 0; i < RACERS; i++)
		all[i].body = pattern(i, len);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(store_put(t->store,
					   &(struct put_req){ .name = span_str(name),
							      .body = all[i].body,
							      .cond = cond,
							      .if_match = match,
							      .deadline_ns = in_ms(LONG_MS) },
					   &all[i].call),
				 0);
	for (unsigned i = 0; i < RACERS; i++) {
		all[i].result = call_wait(&all[i].call->call, in_ms(LONG_MS));
		if (all[i].result == 0) {
			won++;
			winner = i;
		} else if (all[i].result !=
			   (cond == PUT_IF_ABSENT ? STORE_EXISTS : STORE_CHANGED)) {
			print_error("racer %u: %s: %s\n", i, store_condition_name(all[i].result),
				    all[i].call->detail);
			won += 100;
		}
	}
	for (unsigned i = 0; i < RACERS; i++) {
		store_call_unref(all[i].call);
		blob_unref(all[i].body);
	}
	assert_int_equal(won, 1);
	return winner;
}

static void create_race(void **state)
{
	static const size_t lens[] = { 64, 64 * KiB };
	struct target *t = *state;
	char name[32];

	for (unsigned round = 0; round < 10; round++) {
		size_t len = lens[round % 2];

		snprintf(name, sizeof(name), "race/%u", round);
		want_content(t, name, race(t, name, len, PUT_IF_ABSENT, NULL), len);
	}
}

static void match_race(void **state)
{
	struct target *t = *state;
	char version[STORE_VERSION_MAX];

	for (unsigned round = 0; round < 5; round++) {
		want(t, put_seed(t, "race/match", 100 + round, 80, PUT_ALWAYS, NULL), 0);
		memcpy(version, t->last->version, sizeof(version));
		want_content(t, "race/match", race(t, "race/match", 90, PUT_IF_MATCH, version), 90);
	}
}

static void read_at_once(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(3, MiB);
	struct store_call *calls[RACERS];

	want(t, put_blob(t, "atonce/a", body, PUT_IF_ABSENT, NULL), 0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(store_get(t->store,
					   &(struct get_req){ .name = span_str("atonce/a"),
							      .offset = i * 1000,
							      .length = 512 * KiB,
							      .limit = MiB,
							      .deadline_ns = in_ms(LONG_MS) },
					   &calls[i]),
				 0);
	for (unsigned i = 0; i < RACERS; i++) {
		assert_int_equal(call_wait(&calls[i]->call, in_ms(LONG_MS)), 0);
		assert_true(span_equal(buf_span(&calls[i]->body),
				       span_sub(blob_span(body), i * 1000, 512 * KiB)));
		store_call_unref(calls[i]);
	}
}

/* ---- the end of a call ---- */

struct ended {
	unsigned times;
	struct event event;
};

static void note_end(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);
	struct ended *e = c->entrance.then_arg;

	__atomic_add_fetch(&e->times, 1, __ATOMIC_SEQ_CST);
	event_set(&e->event);
}

static void cancel_ends_once(void **state)
{
	struct target *t = *state;

	want(t, put_seed(t, "cancel/a", 1, 4 * MiB, PUT_IF_ABSENT, NULL), 0);
	for (unsigned i = 0; i < 20; i++) {
		struct ended e = {};
		_cleanup_(store_call_unrefp) struct store_call *c = NULL;
		int result;

		event_init(&e.event);
		assert_int_equal(store_get_then(t->store,
						&(struct get_req){ .name = span_str("cancel/a"),
								   .limit = 4 * MiB,
								   .deadline_ns = in_ms(LONG_MS) },
						note_end, &e, &c),
				 0);
		sleep_for(i * 200 * NS_PER_US);
		call_cancel(&c->call);
		call_cancel(&c->call);
		assert_int_equal(event_wait(&e.event, in_ms(LONG_MS)), 0);
		result = call_wait(&c->call, in_ms(LONG_MS));
		assert_true(result == 0 || result == -ECANCELED);
		assert_int_equal(c->body.len, result == 0 ? 4 * MiB : 0);
		assert_int_equal(__atomic_load_n(&e.times, __ATOMIC_SEQ_CST), 1);
		event_release(&e.event);
	}
}

/* A put that was cancelled happened whole, or not, and its caller does not know (S4). */
static void cancelled_put(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(9, 2 * MiB);
	char name[32];

	for (unsigned i = 0; i < 10; i++) {
		_cleanup_(store_call_unrefp) struct store_call *c = NULL;
		struct put_req r = { .body = body,
				     .cond = PUT_IF_ABSENT,
				     .deadline_ns = in_ms(LONG_MS) };
		int result;

		snprintf(name, sizeof(name), "cancel/put%u", i);
		r.name = span_str(name);
		assert_int_equal(store_put(t->store, &r, &c), 0);
		sleep_for(i * 500 * NS_PER_US);
		call_cancel(&c->call);
		result = call_wait(&c->call, in_ms(LONG_MS));
		assert_true(result == 0 || result == STORE_UNKNOWN ||
			    (result == -ECANCELED && c->executed_not));
		if (result == 0) {
			want(t, put_blob(t, name, body, PUT_IF_ABSENT, NULL), STORE_EXISTS);
		} else {
			result = put_blob(t, name, body, PUT_IF_ABSENT, NULL);
			assert_true(result == 0 || result == STORE_EXISTS);
		}
		want_content(t, name, 9, 2 * MiB);
	}
}

/* ---- a server that takes requests and says nothing ---- */

static struct store_call *start_get(struct target *t, const char *name, uint64_t deadline_ns)
{
	struct store_call *c = NULL;

	assert_int_equal(store_get(t->store,
				   &(struct get_req){ .name = span_str(name),
						      .limit = 100,
						      .deadline_ns = deadline_ns },
				   &c),
			 0);
	return c;
}

static void want_end(struct store_call *c, int wanted)
{
	int result = call_wait(&c->call, in_ms(10000));

	assert_true(call_finished(&c->call));
	if (result != wanted)
		print_error("wanted %s, got %s after %llu ms: %s\n", store_condition_name(wanted),
			    store_condition_name(result),
			    (unsigned long long)((c->call.finished_ns - c->call.started_ns) /
						 NS_PER_MS),
			    c->detail);
	assert_int_equal(result, wanted);
}

static void ask_frozen(struct target *t, struct blob *body, int *ret_put)
{
	_cleanup_(store_call_unrefp) struct store_call *put = NULL;
	struct store_call *timed = start_get(t, "frozen/a", in_ms(400)),
			  *cancelled = start_get(t, "frozen/a", in_ms(60000));
	const struct put_req r = { .name = span_str("frozen/new"),
				   .body = body,
				   .cond = PUT_IF_ABSENT,
				   .deadline_ns = in_ms(400) };

	assert_int_equal(store_put(t->store, &r, &put), 0);
	sleep_for(100 * NS_PER_MS);
	assert_false(call_finished(&cancelled->call));
	call_cancel(&cancelled->call);
	want_end(cancelled, -ECANCELED);
	want_end(timed, -ETIMEDOUT);
	*ret_put = call_wait(&put->call, in_ms(10000));
	assert_true(*ret_put == STORE_UNKNOWN || (*ret_put == -EAGAIN && put->executed_not));
	store_call_unref(timed);
	store_call_unref(cancelled);
}

static bool is_stopped(const char *stat_file)
{
	_cleanup_close_ int fd = open(stat_file, O_RDONLY | O_CLOEXEC);
	char text[256] = "", *end;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	end = n > 0 ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
	return fd < 0 || (end && end[1] == ' ' && end[2] == 'T');
}

/* The signal is on its way to each thread when kill() returns. */
static bool all_stopped(pid_t pid)
{
	char pattern_of_files[64];
	glob_t threads = {};
	bool stopped = true;

	snprintf(pattern_of_files, sizeof(pattern_of_files), "/proc/%d/task/*/stat", (int)pid);
	if (glob(pattern_of_files, 0, NULL, &threads) == 0)
		for (size_t i = 0; i < threads.gl_pathc; i++)
			stopped = stopped && is_stopped(threads.gl_pathv[i]);
	globfree(&threads);
	return stopped;
}

static void freeze(pid_t pid)
{
	uint64_t end = in_ms(LONG_MS);

	assert_int_equal(kill(pid, SIGSTOP), 0);
	while (!all_stopped(pid) && clock_now() < end)
		sleep_for(NS_PER_MS);
	assert_true(all_stopped(pid));
}

static int thaw(void **state)
{
	struct target *t = *state;

	kill(t->server, SIGCONT);
	return 0;
}

static void frozen_server(void **state)
{
	struct target *t = *state;
	_cleanup_(blob_unrefp) struct blob *body = pattern(4, 1000);
	int result = 0;

	want(t, put_seed(t, "frozen/a", 1, 100, PUT_IF_ABSENT, NULL), 0);
	freeze(t->server);
	ask_frozen(t, body, &result);
	kill(t->server, SIGCONT);
	result = put_blob(t, "frozen/new", body, PUT_IF_ABSENT, NULL);
	assert_true(result == 0 || result == STORE_EXISTS);
	want_content(t, "frozen/new", 4, 1000);
	want_content(t, "frozen/a", 1, 100);
}

size_t checks_race(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	ADD(to, n, create_race);
	ADD(to, n, match_race);
	ADD(to, n, read_at_once);
	ADD(to, n, cancel_ends_once);
	ADD(to, n, cancelled_put);
	if (t->server) {
		ADD(to, n, frozen_server);
		to[n - 1].teardown_func = thaw;
	}
	return n;
}
