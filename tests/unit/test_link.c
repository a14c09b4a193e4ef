/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/link.h"

#include "base/sodium.h"
#include "tests/lib/cm.h"

static const uint8_t prev[RECORD_HASH_SIZE] = { 9, 9, 9 };
static struct link_place place = { .store = "a store's own id", .epoch = 1, .slot = 77, .k = 0 };

static struct ballot ballot(uint64_t round, uint8_t who)
{
	uint8_t inc[INCARNATION_BYTES] = { who };

	return ballot_of(round, inc);
}

static struct link accepted(const struct link *top, struct ballot b, const char *text)
{
	_cleanup_(blob_unrefp) struct blob *record = blob_copy(span_str(text));
	uint8_t hash[RECORD_HASH_SIZE];
	struct link l = { 0 };

	blake2b(SPAN_NULL, span_str(text), hash, sizeof(hash));
	assert_int_equal(link_accept(top, &b, record, hash, prev, &l), 0);
	return l;
}

static void test_round_trip(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(LINK_PLAIN_MAX);
	_cleanup_link_ struct link l = accepted(NULL, ballot(3, 1), "what was accepted");
	_cleanup_link_ struct link d = { 0 };

	l.place = place;
	assert_int_equal(link_encode(&l, &bytes), 0);
	assert_int_equal(link_decode(buf_span(&bytes), &place, &d), 0);
	assert_false(d.decided);
	assert_int_equal(ballot_compare(&d.promised, &l.promised), 0);
	assert_int_equal(ballot_compare(&d.accepted, &l.accepted), 0);
	assert_span_str(blob_span(d.record), "what was accepted");
	assert_memory_equal(d.hash, l.hash, RECORD_HASH_SIZE);
	assert_memory_equal(d.prev, prev, RECORD_HASH_SIZE);
}

static void test_belongs_to_its_place(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(LINK_PLAIN_MAX);
	_cleanup_link_ struct link l = accepted(NULL, ballot(3, 1), "x");
	struct link_place other;
	struct link d = { 0 };

	l.place = place;
	assert_int_equal(link_encode(&l, &bytes), 0);
	other = place;
	other.store[3] ^= 1;
	assert_int_equal(link_decode(buf_span(&bytes), &other, &d), -EBADMSG);
	other = place;
	other.epoch = 2;
	assert_int_equal(link_decode(buf_span(&bytes), &other, &d), -EBADMSG);
	other = place;
	other.slot++;
	assert_int_equal(link_decode(buf_span(&bytes), &other, &d), -EBADMSG);
	other = place;
	other.k++;
	assert_int_equal(link_decode(buf_span(&bytes), &other, &d), -EBADMSG);
	assert_null(d.record);
}

static void test_name_and_id(void **state)
{
	char name[LINK_NAME_MAX];
	uint8_t a[16], b[16];
	struct link_place p = place;

	link_name(&p, name);
	assert_string_equal(name, "j/0000000000000001/000000000000004d.0000000000000000");
	link_object_id(&p, a);
	p.k = 1;
	link_object_id(&p, b);
	assert_memory_not_equal(a, b, 16);
}

static void test_promise_only_upwards(void **state)
{
	struct ballot b1 = ballot(1, 1), b2 = ballot(2, 1), b2other = ballot(2, 2);
	struct link first = { 0 }, next = { 0 };

	assert_int_equal(link_promise(NULL, &b1, prev, &first), 0);
	assert_null(first.record);
	assert_int_equal(link_promise(&first, &b1, prev, &next), LINK_REFUSED);
	assert_int_equal(link_promise(&first, &b2other, prev, &next), 0);
	assert_int_equal(link_promise(&next, &b2, prev, &first), LINK_REFUSED);
}

static void test_promise_copies_what_was_accepted(void **state)
{
	const struct ballot b = ballot(4, 2);
	_cleanup_link_ struct link top = accepted(NULL, ballot(0, 1), "fast");
	_cleanup_link_ struct link next = { 0 };

	assert_int_equal(link_promise(&top, &b, prev, &next), 0);
	assert_int_equal(ballot_compare(&next.promised, &b), 0);
	assert_int_equal(ballot_compare(&next.accepted, &top.accepted), 0);
	assert_span_str(blob_span(next.record), "fast");
}

static void test_accept_not_below_a_promise(void **state)
{
	_cleanup_(blob_unrefp) struct blob *record = blob_copy(SPAN_LITERAL("mine"));
	const struct ballot low = ballot(1, 1), high = ballot(2, 1), zero = ballot(0, 1);
	struct link top = { 0 }, next = { 0 };

	assert_int_equal(link_promise(NULL, &high, prev, &top), 0);
	assert_int_equal(link_accept(&top, &low, record, prev, prev, &next), LINK_REFUSED);
	assert_int_equal(link_accept(&top, &zero, record, prev, prev, &next), LINK_REFUSED);
	assert_int_equal(link_accept(&top, &high, record, prev, prev, &next), 0);
	link_release(&next);
}

static void test_ballot_zero_is_the_first_link_only(void **state)
{
	_cleanup_(blob_unrefp) struct blob *record = blob_copy(SPAN_LITERAL("mine"));
	const struct ballot zero = ballot(0, 1), above = ballot(0, 2);
	_cleanup_link_ struct link top = accepted(NULL, zero, "fast");
	_cleanup_buf_ struct buf bytes = BUF_INIT(LINK_PLAIN_MAX);
	struct link next = { 0 };

	assert_int_equal(link_accept(&top, &above, record, prev, prev, &next), LINK_REFUSED);
	top.place = place;
	top.place.k = 1; /* nor is it read anywhere else */
	assert_int_equal(link_encode(&top, &bytes), 0);
	assert_int_equal(link_decode(buf_span(&bytes), &top.place, &next), -EBADMSG);
}

static void test_nothing_upon_a_decision(void **state)
{
	const struct ballot b = ballot(UINT64_MAX - 1, 255);
	_cleanup_link_ struct link top = accepted(NULL, ballot(1, 1), "chosen");
	struct link next = { 0 };

	top.decided = true;
	top.promised.round = BALLOT_ROUND_DECIDED;
	assert_int_equal(link_promise(&top, &b, prev, &next), LINK_REFUSED);
	assert_int_equal(link_accept(&top, &b, top.record, top.hash, prev, &next), LINK_REFUSED);
}

static void test_hostile_bytes(void **state)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(LINK_PLAIN_MAX);
	_cleanup_link_ struct link l = accepted(NULL, ballot(3, 1), "x");

	l.place = place;
	assert_int_equal(link_encode(&l, &bytes), 0);
	for (size_t n = 0; n < bytes.len; n++) {
		struct link d = { 0 };

		assert_int_equal(link_decode(span_sub(buf_span(&bytes), 0, n), &place, &d),
				 -EBADMSG);
		bytes.data[n] ^= 0x80;
		if (link_decode(buf_span(&bytes), &place, &d) == 0)
			link_release(&d);
		bytes.data[n] ^= 0x80;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_belongs_to_its_place),
		cmocka_unit_test(test_name_and_id),
		cmocka_unit_test(test_promise_only_upwards),
		cmocka_unit_test(test_promise_copies_what_was_accepted),
		cmocka_unit_test(test_accept_not_below_a_promise),
		cmocka_unit_test(test_ballot_zero_is_the_first_link_only),
		cmocka_unit_test(test_nothing_upon_a_decision),
		cmocka_unit_test(test_hostile_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
