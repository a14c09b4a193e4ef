/* SPDX-License-Identifier: Apache-2.0 */
/* The account of an upload, on a store in memory: sizes, order, who may end it, drills. */
#include "backends/upload.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_mem.h"

#define PART (100 * KiB)

struct rig {
	struct mem_bucket *bucket;
	struct store *store;
	struct mem_fate fate; /* of the next parts */
};

static void plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	struct rig *r = arg;

	if (op == STORE_UPLOAD_PART)
		*fate = r->fate;
}

static int up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->bucket = mem_bucket_new();
	r->store = store_mem(r->bucket, "t", plan, r);
	*state = r;
	return 0;
}

static int down(void **state)
{
	struct rig *r = *state;

	store_free(r->store);
	mem_bucket_free(r->bucket);
	free(r);
	return 0;
}

static uint64_t soon(void)
{
	return clock_now() + 10 * NS_PER_S;
}

static struct store_upload *begin(struct rig *r)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct upload_req q = { .name = span_str("a"),
				      .part_size = PART,
				      .deadline_ns = soon() };

	assert_int_equal(store_upload_begin_wait(r->store, &q, &c), 0);
	return store_upload_ref(c->upload);
}

static int part(struct store_upload *u, unsigned index, size_t len)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	_cleanup_(blob_unrefp) struct blob *body = blob_new(len);

	memset(blob_bytes(body), 'a' + (int)index, len);
	return store_upload_part_wait(u, index, body, soon(), &c);
}

static int finish(struct store_upload *u)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;

	return store_upload_finish_wait(u, soon(), &c);
}

static int abort_it(struct store_upload *u)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;

	return store_upload_abort_wait(u, soon(), &c);
}

/* ---- sizes ---- */

static struct store store_of(const struct upload_limits *l, struct store_ops *ops)
{
	*ops = (struct store_ops){ .upload_limits = l };
	return (struct store){ .ops = ops };
}

static void sizes_of_parts(void **state)
{
	static const struct upload_limits s3 = { .part_min = 5 * MiB,
						 .part_max = 5 * GiB,
						 .part_unit = 1,
						 .object_max = 5 * KiB * GiB,
						 .parts_max = 10000 };
	static const struct upload_limits gcs = { .part_min = 256 * KiB,
						  .part_max = 5 * GiB,
						  .part_unit = 256 * KiB,
						  .object_max = 5 * KiB * GiB,
						  .parts_max = 1000000 };
	struct store_ops ops;
	struct store s = store_of(&s3, &ops);

	assert_int_equal(store_upload_part_size(&s, 0, 0), 5 * MiB);
	assert_int_equal(store_upload_part_size(&s, 0, 8 * MiB), 8 * MiB);
	assert_int_equal(store_upload_part_size(&s, 80000 * MiB, 8 * MiB), 8 * MiB);
	assert_int_equal(store_upload_part_size(&s, 80000 * MiB + 1, 8 * MiB), 8 * MiB + 1);
	assert_int_equal(store_upload_part_size(&s, 0, 6 * GiB), 5 * GiB);
	assert_int_equal(store_upload_part_size(&s, 6 * KiB * GiB, 8 * MiB), 0);
	s = store_of(&gcs, &ops);
	assert_int_equal(store_upload_part_size(&s, 0, 1), 256 * KiB);
	assert_int_equal(store_upload_part_size(&s, 0, 8 * MiB + 1), 8 * MiB + 256 * KiB);
	s = store_of(NULL, &ops);
	assert_int_equal(store_upload_part_size(&s, 0, 1), 0);
}

/* ---- the account ---- */

static void many_parts_in_any_order(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begin(r);
	_cleanup_buf_ struct buf got = BUF_INIT(10 * MiB);

	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(part(u, i * 7 % 30, i * 7 % 30 == 29 ? 5 : PART), 0);
	assert_int_equal(finish(u), 0);
	assert_true(mem_bucket_get(r->bucket, "a", &got));
	assert_int_equal(got.len, 29 * PART + 5);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(got.data[i * PART], 'a' + (int)i);
}

static void what_failed_is_missing(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begin(r);
	struct store_call *c = NULL;

	assert_int_equal(part(u, 0, PART), 0);
	r->fate = (struct mem_fate){ .result = -EAGAIN };
	assert_int_equal(part(u, 1, 10), -EAGAIN);
	assert_int_equal(part(u, 0, PART), -EAGAIN); /* what was there is not believed any more */
	assert_int_equal(store_upload_finish(u, soon(), &c), -EINVAL);
	r->fate = (struct mem_fate){ 0 };
	assert_int_equal(part(u, 1, 10), 0);
	assert_int_equal(store_upload_finish(u, soon(), &c), -EINVAL);
	assert_int_equal(part(u, 0, PART), 0);
	assert_int_equal(finish(u), 0);
	assert_int_equal(mem_bucket_uploads(r->bucket), 0);
}

static void nobody_ends_it_under_a_part(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begin(r);
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	_cleanup_(blob_unrefp) struct blob *body = blob_new(10);
	struct store_call *none = NULL;

	assert_int_equal(part(u, 0, 10), 0);
	r->fate = (struct mem_fate){ .mute = true };
	assert_int_equal(store_upload_part(u, 0, body, soon(), &c), 0);
	assert_int_equal(store_upload_finish(u, soon(), &none), -EINVAL);
	assert_int_equal(store_upload_abort(u, soon(), &none), -EINVAL);
	call_cancel(&c->call);
	assert_int_equal(call_wait(&c->call, soon()), -ECANCELED);
	assert_int_equal(abort_it(u), 0);
	assert_int_equal(mem_bucket_uploads(r->bucket), 0);
}

static void calls_outlive_who_began(void **state)
{
	struct rig *r = *state;
	struct store_upload *u = begin(r);
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	_cleanup_(blob_unrefp) struct blob *body = blob_new(10);

	r->fate = (struct mem_fate){ .execute_ns = 20 * NS_PER_MS };
	assert_int_equal(store_upload_part(u, 0, body, soon(), &c), 0);
	store_upload_unref(u);
	assert_int_equal(call_wait(&c->call, soon()), 0);
}

/* A drill's failures are the store's. */
static void drills(void **state)
{
	struct rig *r = *state;
	_cleanup_(store_upload_unrefp) struct store_upload *u = begin(r);
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct copy_req copy = { .from = span_str("a"),
				       .to = span_str("b"),
				       .deadline_ns = soon() };

	store_drill(r->store, DRILL_DOWN, NEVER);
	assert_int_equal(part(u, 0, 10), -EAGAIN);
	store_drill(r->store, DRILL_ERRORS, NEVER);
	assert_int_equal(part(u, 0, 10), -EAGAIN);
	assert_int_equal(store_copy_wait(r->store, &copy, &c), STORE_UNKNOWN);
	store_drill(r->store, DRILL_SLOW, NEVER);
	assert_int_equal(part(u, 0, 10), 0);
	store_drill(r->store, DRILL_ERRORS, NEVER);
	assert_int_equal(finish(u), STORE_UNKNOWN);
	assert_int_equal(abort_it(u), -EAGAIN);
	store_drill(r->store, DRILL_NONE, NEVER);
	assert_int_equal(finish(u), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_of_parts),
		cmocka_unit_test_setup_teardown(many_parts_in_any_order, up, down),
		cmocka_unit_test_setup_teardown(what_failed_is_missing, up, down),
		cmocka_unit_test_setup_teardown(nobody_ends_it_under_a_part, up, down),
		cmocka_unit_test_setup_teardown(calls_outlive_who_began, up, down),
		cmocka_unit_test_setup_teardown(drills, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
