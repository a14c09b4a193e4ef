/* SPDX-License-Identifier: Apache-2.0 */
/* What a store refuses for good, with a sentence; and the probe that refuses stores. */
#include "tests/contract/contract.h"

#include "backends/probe.h"

#include <stdio.h>

/* (S5) No operation takes a missing bucket for a missing object. */
static void refuse_all(struct target *t, int result)
{
	want(t, get(t, "a"), result);
	want(t, head(t, "a"), result);
	want(t, put_seed(t, "a", 1, 10, PUT_IF_ABSENT, NULL), result);
	want(t, put_seed(t, "a", 1, 10, PUT_ALWAYS, NULL), result);
	want(t, list_req(t, &(struct list_req){ .prefix = span_str("a") }), result);
	want(t, remove_it(t, "a", NULL), result);
}

static void missing_bucket_of_memory(void **state)
{
	struct target *t = *state;

	mem_bucket_vanish(t->bucket, true);
	refuse_all(t, -EIO);
	mem_bucket_vanish(t->bucket, false);
	want(t, get(t, "a"), STORE_MISSING);
}

static void missing_bucket(void **state)
{
	struct target *t = *state, absent = *t;
	char err[512] = "";
	int64_t skew = 0;

	absent.store = target_open(t, t->absent_url, NULL);
	absent.last = NULL;
	refuse_all(&absent, -EIO);
	want(&absent, get(&absent, "a"), -EIO);
	want_sentence(&absent, t->dialect == DIALECT_NONE ? "the store's folder does not exist"
							  : "create the ");
	assert_int_equal(store_probe(absent.store, in_ms(LONG_MS), &skew, err, sizeof(err)), -EIO);
	assert_true(err[0]);
	assert_int_equal(store_check_read(absent.store, in_ms(LONG_MS), &skew, err, sizeof(err)),
			 -EIO);
	store_call_unref(absent.last);
	store_free(absent.store);
}

static void wrong_key(void **state)
{
	struct target *t = *state, wrong = *t;
	char err[512] = "";
	int64_t skew = 0;

	wrong.store = target_open(t, t->url, t->wrong_file);
	wrong.last = NULL;
	refuse_all(&wrong, -EACCES);
	want(&wrong, put_seed(&wrong, "a", 1, 10, PUT_ALWAYS, NULL), -EACCES);
	assert_true(wrong.last->executed_not);
	assert_true(wrong.last->detail[0]);
	assert_int_equal(store_probe(wrong.store, in_ms(LONG_MS), &skew, err, sizeof(err)),
			 -EACCES);
	assert_true(err[0]);
	store_call_unref(wrong.last);
	store_free(wrong.store);
	want(t, head(t, "a"), STORE_MISSING);
}

static void probe(void **state)
{
	struct target *t = *state;
	char err[512] = "";
	int64_t skew = INT64_MAX;

	assert_int_equal(store_probe(t->store, in_ms(LONG_MS), &skew, err, sizeof(err)), 0);
	assert_int_equal(skew > 3600 || skew < -3600, lacks(t, CLOCK));
	assert_int_equal(store_check_read(t->store, in_ms(LONG_MS), &skew, err, sizeof(err)), 0);
}

/* A store that takes every put, whatever it was asked for. */
static const struct store_ops *honest;

static void put_always(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct put_req lie = *r;

	lie.cond = PUT_ALWAYS;
	lie.if_match = NULL;
	honest->put(s, &lie, c);
}

static void probe_refuses_a_liar(void **state)
{
	struct target *t = *state;
	struct store_ops lying = *t->store->ops;
	char err[512] = "";
	int64_t skew = 0;
	int result;

	honest = t->store->ops;
	lying.put = put_always;
	t->store->ops = &lying;
	result = store_probe(t->store, in_ms(LONG_MS), &skew, err, sizeof(err));
	t->store->ops = honest;
	assert_int_equal(result, -EIO);
	assert_non_null(strstr(err, "put-if-absent is ignored"));
}

size_t checks_refusal(struct CMUnitTest *to, const struct target *t)
{
	size_t n = 0;

	if (!t->url)
		ADD(to, n, missing_bucket_of_memory);
	if (t->absent_url)
		ADD(to, n, missing_bucket);
	if (t->wrong_file)
		ADD(to, n, wrong_key);
	ADD(to, n, probe);
	ADD(to, n, probe_refuses_a_liar);
	return n;
}
