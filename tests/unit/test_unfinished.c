/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads that were left are dropped by the next process, and no others. */
#include "fs/attach/attach.h"
#include "fs/attach/unfinished.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_mem.h"

#include <stdlib.h>

#define PATIENCE (60 * NS_PER_S)

struct rig {
	struct mem_bucket *bucket;
	struct attached a;
	struct kv *local;
	struct unfinished *u;
};

static struct attached *find(unsigned number, void *arg)
{
	struct rig *rig = arg;

	return number == rig->a.number ? &rig->a : NULL;
}

/* Another process begins. */
static void start(struct rig *rig)
{
	const struct unfinished_options o = { .local = rig->local, .find = find, .arg = rig };

	rig->u = unfinished_free(rig->u);
	assert_int_equal(unfinished_new(&o, &rig->u), 0);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->bucket = mem_bucket_new();
	rig->local = kv_memory(LOCAL_COUNT);
	rig->a = (struct attached){ .number = 7, .identity = (char *)"mem://one" };
	assert_int_equal(replicas_new(NULL, &rig->a.replicas), 0);
	assert_int_equal(replicas_add(rig->a.replicas, store_mem(rig->bucket, "one", NULL, NULL),
				      NULL),
			 0);
	start(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	unfinished_free(rig->u);
	replicas_free(rig->a.replicas);
	kv_close(rig->local);
	mem_bucket_free(rig->bucket);
	free(rig);
	return 0;
}

static struct store_upload *begin(struct rig *rig, uint64_t *ret_note)
{
	const struct upload_req r = { .name = span_str("dir/x"),
				      .part_size = MiB,
				      .deadline_ns = clock_now() + PATIENCE };
	struct store_call *call;
	struct store_upload *u;

	assert_int_equal(store_upload_begin_wait(replicas_store(rig->a.replicas, 0), &r, &call), 0);
	u = store_upload_ref(call->upload);
	store_call_unref(call);
	unfinished_begun(rig->u, &rig->a, 0, u, ret_note);
	assert_true(*ret_note);
	return u;
}

static int count_one(struct span key, struct span value, void *arg)
{
	++*(size_t *)arg;
	return 0;
}

static size_t notes(struct rig *rig)
{
	size_t n = 0;

	assert_int_equal(kv_walk(rig->local, LOCAL_META, SPAN_NULL, SPAN_NULL, count_one, &n), 0);
	return n;
}

static void wait_for_none(struct rig *rig)
{
	const uint64_t until = clock_now() + PATIENCE;

	while ((mem_bucket_uploads(rig->bucket) || notes(rig)) && clock_now() < until)
		sleep_for(2 * NS_PER_MS);
	assert_int_equal(mem_bucket_uploads(rig->bucket), 0);
	assert_int_equal(notes(rig), 0);
}

static void what_was_left_is_dropped(void **state)
{
	struct rig *rig = *state;
	uint64_t note;

	store_upload_unref(begin(rig, &note));
	assert_int_equal(mem_bucket_uploads(rig->bucket), 1);
	start(rig);
	wait_for_none(rig);
}

/* An own one that could not be aborted, because its store was down. */
static void what_could_not_be_aborted_is_tried_again(void **state)
{
	struct rig *rig = *state;
	uint64_t note;

	store_upload_unref(begin(rig, &note));
	unfinished_left(rig->u, note);
	wait_for_none(rig);
}

static void what_is_under_way_stays(void **state)
{
	struct rig *rig = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *mine = NULL, *left = NULL;
	uint64_t note, other;

	mine = begin(rig, &note);
	left = begin(rig, &other);
	unfinished_left(rig->u, other); /* it has looked when this one is gone */
	while (notes(rig) > 1)
		sleep_for(2 * NS_PER_MS);
	assert_int_equal(mem_bucket_uploads(rig->bucket), 1);
	unfinished_ended(rig->u, note);
	assert_int_equal(notes(rig), 0);
}

/* Another bucket under the same name: what was left in the first one is not looked for there. */
static void another_bucket_is_left_alone(void **state)
{
	struct rig *rig = *state;
	uint64_t note;

	store_upload_unref(begin(rig, &note));
	rig->a.identity = (char *)"mem://two";
	start(rig);
	sleep_for(50 * NS_PER_MS);
	rig->u = unfinished_free(rig->u);
	assert_int_equal(mem_bucket_uploads(rig->bucket), 1);
	assert_int_equal(notes(rig), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_left_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(what_could_not_be_aborted_is_tried_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_under_way_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(another_bucket_is_left_alone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
