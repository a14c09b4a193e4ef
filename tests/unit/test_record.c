/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/record.h"

#include "tests/lib/cm.h"

static struct record *sample(void)
{
	struct record *r = record_new();

	assert_non_null(r);
	r->slot = 300;
	r->epoch = 1;
	memset(r->author, 0x11, INCARNATION_BYTES);
	memset(r->prev, 0x22, RECORD_HASH_SIZE);
	r->state_lo = 5;
	r->state_hi = 6;
	memset(r->next, 0x33, INCARNATION_BYTES);
	r->hold_ns = 2 * NS_PER_S;
	r->time_ns = 1700000000 * NS_PER_S;
	r->seen[0] = 300;
	r->seen[2] = 299;
	r->n_authors = 2;
	r->authors = calloc(2, sizeof(*r->authors));
	memset(r->authors[0], 0x11, INCARNATION_BYTES);
	memset(r->authors[1], 0x44, INCARNATION_BYTES);
	r->n_ops = 3;
	r->ops = calloc(3, sizeof(*r->ops));
	r->ops[0].bytes = SPAN_LITERAL("first");
	r->ops[1] = (struct record_op){ .author = 1, .bytes = SPAN_LITERAL("a copy") };
	r->ops[2].bytes = SPAN_LITERAL("");
	assert_int_equal(record_seal(r), 0);
	return r;
}

static void test_round_trip(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();
	_cleanup_(record_freep) struct record *d = NULL;

	assert_int_equal(record_decode(buf_span(&r->bytes), &d), 0);
	assert_int_equal(d->slot, 300);
	assert_int_equal(d->epoch, 1);
	assert_memory_equal(d->prev, r->prev, RECORD_HASH_SIZE);
	assert_int_equal(d->state_lo, 5);
	assert_int_equal(d->state_hi, 6);
	assert_memory_equal(d->next, r->next, INCARNATION_BYTES);
	assert_int_equal(d->hold_ns, 2 * NS_PER_S);
	assert_int_equal(d->seen[0], 300);
	assert_int_equal(d->seen[1], 0);
	assert_int_equal(d->seen[2], 299);
	assert_int_equal(d->n_ops, 3);
	assert_int_equal(d->ops[1].author, 1);
	assert_span_str(d->ops[0].bytes, "first");
	assert_span_str(d->ops[1].bytes, "a copy");
	assert_memory_equal(d->hash, r->hash, RECORD_HASH_SIZE);
}

static void test_operations_borrow_from_the_record(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();

	assert_true(r->ops[0].bytes.data > r->bytes.data &&
		    r->ops[0].bytes.data < r->bytes.data + r->bytes.len);
	assert_span_str(r->ops[1].bytes, "a copy");
}

static void test_each_byte_counts(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();
	_cleanup_buf_ struct buf copy = BUF_INIT(RECORD_MAX);

	assert_int_equal(buf_add_span(&copy, buf_span(&r->bytes)), 0);
	for (size_t i = 0; i < copy.len; i++) {
		struct record *d = NULL;

		copy.data[i] ^= 1;
		if (record_decode(buf_span(&copy), &d) == 0)
			assert_memory_not_equal(d->hash, r->hash, RECORD_HASH_SIZE);
		record_free(d);
		copy.data[i] ^= 1;
	}
}

static void test_cut_and_longer_are_refused(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();
	_cleanup_buf_ struct buf copy = BUF_INIT(RECORD_MAX);
	struct record *d = NULL;

	for (size_t n = 0; n < r->bytes.len; n++)
		assert_int_equal(record_decode(span_sub(buf_span(&r->bytes), 0, n), &d), -EBADMSG);
	assert_int_equal(buf_add_span(&copy, buf_span(&r->bytes)), 0);
	assert_int_equal(buf_add_byte(&copy, 0), 0);
	assert_int_equal(record_decode(buf_span(&copy), &d), -EBADMSG);
	assert_null(d);
}

static void test_refuses_what_is_unsound(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();

	r->ops[0].author = 2;
	assert_int_equal(record_seal(r), -EINVAL);
	r->ops[0].author = 0;
	r->authors[0][0] ^= 1; /* the first author is not the author */
	assert_int_equal(record_seal(r), -EINVAL);
}

static void test_limit(void **state)
{
	_cleanup_(record_freep) struct record *r = sample();
	_cleanup_free_ uint8_t *big = calloc(1, RECORD_MAX);

	r->ops[2].bytes = span_of(big, RECORD_MAX - RECORD_OVERHEAD - 64);
	assert_int_equal(record_seal(r), 0);
	r->ops[2].bytes = span_of(big, RECORD_MAX);
	assert_int_equal(record_seal(r), -EMSGSIZE);
}

static void test_empty(void **state)
{
	_cleanup_(record_freep) struct record *r = record_new();
	_cleanup_(record_freep) struct record *d = NULL;

	assert_int_equal(record_seal(r), 0);
	assert_int_equal(record_decode(buf_span(&r->bytes), &d), 0);
	assert_int_equal(d->n_ops, 0);
	assert_true(incarnation_none(d->next));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_operations_borrow_from_the_record),
		cmocka_unit_test(test_each_byte_counts),
		cmocka_unit_test(test_cut_and_longer_are_refused),
		cmocka_unit_test(test_refuses_what_is_unsound),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
