/* SPDX-License-Identifier: Apache-2.0 */
/* Rows are cut into parts and come back; where they are cut is the rows' own. */
#include "base/wait.h"
#include "fs/checkpoint_part.h"
#include "tests/lib/cm.h"
#include "tests/lib/ns_random.h"

#define MANY	  60000u
#define PARTS_MAX 4096

struct row {
	unsigned column;
	uint8_t key[24];
	size_t key_len, value_len;
	uint8_t value[600];
};

/* Rising rows as a namespace has them: small, similar, a few long. */
static void row_of(uint32_t seed, uint64_t i, uint64_t n, struct row *ret)
{
	struct random r = { .state = seed * 1000003ull + i };

	*ret = (struct row){ .column = 1 + (unsigned)(i * 5 / n), .key_len = 16 };
	key_ino_u64(i, i * 77, ret->key);
	ret->value_len = 100 + draw(&r, 400);
	for (size_t b = 0; b < ret->value_len; b++)
		ret->value[b] = (uint8_t)draw(&r, 6);
}

struct cut {
	struct part *parts[PARTS_MAX];
	size_t n;
	struct part_totals totals;
};

static int keep(struct part *takes, void *arg)
{
	struct cut *c = arg;

	assert_true(c->n < PARTS_MAX);
	c->parts[c->n++] = takes;
	return 0;
}

static void cut_release(struct cut *c)
{
	for (size_t i = 0; i < c->n; i++)
		part_free(c->parts[i]);
}

static void add(struct part_cutter *c, const struct row *r)
{
	assert_int_equal(part_cutter_add(c, r->column, span_of(r->key, r->key_len),
					 span_of(r->value, r->value_len)),
			 0);
}

enum change { NONE, INSERT, REMOVE, CHANGE };

static void cut_rows(struct cut *c, uint64_t n, enum change change, uint64_t at)
{
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	struct row r;

	*c = (struct cut){};
	assert_int_equal(part_cutter_new(keep, c, &cutter), 0);
	for (uint64_t i = 0; i < n; i++) {
		if (i == at && change == REMOVE)
			continue;
		row_of(1, i, n, &r);
		if (i == at && change == CHANGE)
			r.value[7]++;
		add(cutter, &r);
		if (i != at || change != INSERT)
			continue;
		r.key[r.key_len++] = 9;
		add(cutter, &r);
	}
	assert_int_equal(part_cutter_end(cutter, &c->totals), 0);
}

/* How many parts of b does a not have? */
static size_t differing(const struct cut *a, const struct cut *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		bool found = false;

		for (size_t j = 0; j < a->n && !found; j++)
			found = !memcmp(a->parts[j]->hash, b->parts[i]->hash, PART_HASH_SIZE);
		n += !found;
	}
	return n;
}

struct reading {
	uint64_t next, n;
	struct part_totals totals;
};

static int check_row(unsigned column, struct span key, struct span value, void *arg)
{
	struct reading *rd = arg;
	struct row r;

	row_of(1, rd->next++, rd->n, &r);
	assert_int_equal(column, r.column);
	assert_true(span_equal(key, span_of(r.key, r.key_len)));
	assert_true(span_equal(value, span_of(r.value, r.value_len)));
	part_totals_add(&rd->totals, column, key, value, state_hash_row(column, key, value));
	return 0;
}

static void rows_come_back(void **state)
{
	struct reading rd = { .n = MANY };
	struct cut c;

	cut_rows(&c, MANY, NONE, 0);
	assert_true(c.n > 10);
	for (size_t i = 0; i < c.n; i++) {
		_cleanup_buf_ struct buf plain = BUF_INIT(PART_PLAIN_MAX);
		uint8_t hash[PART_HASH_SIZE];

		assert_int_equal(part_pack(c.parts[i], &plain), 0);
		assert_true(plain.len < c.parts[i]->raw.len);
		assert_int_equal(part_walk(buf_span(&plain), check_row, &rd, hash), 0);
		assert_memory_equal(hash, c.parts[i]->hash, PART_HASH_SIZE);
	}
	assert_int_equal(rd.next, MANY);
	assert_true(part_totals_equal(&rd.totals, &c.totals));
	cut_release(&c);
}

static void two_writers_agree(void **state)
{
	struct cut a, b;

	cut_rows(&a, MANY / 10, NONE, 0);
	cut_rows(&b, MANY / 10, NONE, 0);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++) {
		_cleanup_buf_ struct buf x = BUF_INIT(PART_PLAIN_MAX), y = BUF_INIT(PART_PLAIN_MAX);

		assert_int_equal(part_pack(a.parts[i], &x), 0);
		assert_int_equal(part_pack(b.parts[i], &y), 0);
		assert_true(span_equal(buf_span(&x), buf_span(&y)));
	}
	cut_release(&a);
	cut_release(&b);
}

static void a_row_changes_its_part(void **state)
{
	struct random r = { .state = 7 };
	struct cut before, after;

	cut_rows(&before, MANY, NONE, 0);
	for (unsigned i = 0; i < 15; i++) {
		cut_rows(&after, MANY, INSERT + i % 3, draw(&r, MANY));
		assert_in_range(differing(&before, &after), 1, 3);
		assert_in_range(differing(&after, &before), 1, 3);
		cut_release(&after);
	}
	cut_release(&before);
}

/* Where no row begins a part, the limit does. */
static void no_part_is_endless(void **state)
{
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	struct cut c = { .n = 0 };
	struct part_totals totals;
	uint64_t size = 0;
	struct row r;

	assert_int_equal(part_cutter_new(keep, &c, &cutter), 0);
	for (uint64_t i = 0; size < PART_MOST + PART_MOST / 2; i++) {
		row_of(3, i, 1 << 20, &r);
		r.value_len = sizeof(r.value);
		if (part_begins(state_hash_row(r.column, span_of(r.key, r.key_len),
					       span_of(r.value, r.value_len)),
				1 + r.key_len + r.value_len))
			continue;
		add(cutter, &r);
		size += 1 + r.key_len + r.value_len;
	}
	assert_int_equal(part_cutter_end(cutter, &totals), 0);
	assert_int_equal(c.n, 2);
	assert_in_range(c.parts[0]->size, PART_MOST - sizeof(r), PART_MOST);
	cut_release(&c);
}

static void long_rows_have_frames_of_their_own(void **state)
{
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	_cleanup_free_ uint8_t *value = calloc(1, ROW_MAX + 1);
	struct cut c = { .n = 0 };
	const uint32_t *frames;
	struct part_totals totals;

	assert_int_equal(part_cutter_new(keep, &c, &cutter), 0);
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(part_cutter_add(cutter, COL_XATTR, span_of(&i, 1),
						 span_of(value, i == 1 ? ROW_MAX : 10)),
				 0);
	assert_int_equal(
	    part_cutter_add(cutter, COL_XATTR, SPAN_LITERAL("z"), span_of(value, ROW_MAX + 1)),
	    -EBADMSG);
	assert_int_equal(part_cutter_end(cutter, &totals), 0);
	assert_int_equal(totals.columns[COL_XATTR].rows, 3);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.parts[0]->frames.len, 3 * sizeof(*frames));
	frames = (const void *)c.parts[0]->frames.data;
	assert_in_range(frames[1], ROW_MAX, ROW_MAX + 100);
	cut_release(&c);
}

static void disorder_is_refused(void **state)
{
	_cleanup_(part_cutter_freep) struct part_cutter *cutter = NULL;
	const struct span v = SPAN_LITERAL("v");
	struct cut c = { .n = 0 };

	assert_int_equal(part_cutter_new(keep, &c, &cutter), 0);
	assert_int_equal(part_cutter_add(cutter, COL_META, SPAN_LITERAL("a"), v), -EBADMSG);
	assert_int_equal(part_cutter_add(cutter, COL_COUNT, SPAN_LITERAL("a"), v), -EBADMSG);
	assert_int_equal(part_cutter_add(cutter, 2, SPAN_LITERAL("b"), v), 0);
	assert_int_equal(part_cutter_add(cutter, 2, SPAN_LITERAL("b"), v), -EBADMSG);
	assert_int_equal(part_cutter_add(cutter, 2, SPAN_LITERAL("a"), v), -EBADMSG);
	assert_int_equal(part_cutter_add(cutter, 1, SPAN_LITERAL("c"), v), -EBADMSG);
	assert_int_equal(part_cutter_add(cutter, 2, SPAN_LITERAL("ba"), v), 0);
	cut_release(&c);
}

static int any_row(unsigned column, struct span key, struct span value, void *arg)
{
	return 0;
}

struct bytes {
	const void *data;
	uint32_t len;
};
#define BYTES(s) ((struct bytes){ s, sizeof(s) - 1 })

/* A part of these frames, packed and walked. */
static int walk_frames(const struct bytes *frames, size_t n, uint64_t rows)
{
	_cleanup_(part_freep) struct part *p = calloc(1, sizeof(*p));
	_cleanup_buf_ struct buf plain = BUF_INIT(MiB);
	uint8_t hash[PART_HASH_SIZE];

	assert_non_null(p);
	p->raw = p->frames = BUF_INIT(MiB);
	p->rows = rows;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(buf_add(&p->raw, frames[i].data, frames[i].len), 0);
		assert_int_equal(buf_add(&p->frames, &frames[i].len, sizeof(uint32_t)), 0);
	}
	assert_int_equal(part_pack(p, &plain), 0);
	return part_walk(buf_span(&plain), any_row, NULL, hash);
}
#define WALK(rows, ...)                                                                            \
	walk_frames((const struct bytes[]){ __VA_ARGS__ },                                         \
		    sizeof((const struct bytes[]){ __VA_ARGS__ }) / sizeof(struct bytes), rows)

static void foreign_rows_are_refused(void **state)
{
	/* shared, length and rest of the place, length and value */
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v\1\1c\1v")), 0);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v"), BYTES("\0\2\1c\1v")), 0);
	/* what is shared: too much, with nothing, less than there is, over the end of a frame */
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v\3\1c\1v")), -EBADMSG);
	assert_int_equal(WALK(1, BYTES("\1\1b\1v")), -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v\0\2\1c\1v")), -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v"), BYTES("\1\1c\1v")), -EBADMSG);
	/* the order, within a frame and over its end */
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v\1\1a\1v")), -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v\2\0\1v")), -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v"), BYTES("\0\2\1b\1v")), -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\2b\1v"), BYTES("\0\2\1c\1v")), -EBADMSG);
	/* columns that no checkpoint has, a wrong number of rows, cut rows, empty frames */
	assert_int_equal(WALK(1, BYTES("\0\2\0b\1v")), -EBADMSG);
	assert_int_equal(WALK(1, BYTES("\0\2\x7f"
				       "b\1v")),
			 -EBADMSG);
	assert_int_equal(WALK(2, BYTES("\0\2\1b\1v")), -EBADMSG);
	assert_int_equal(WALK(1, BYTES("\0\2\1b\2v")), -EBADMSG);
	assert_int_equal(WALK(1, BYTES("\0\2\1b\1v"), BYTES("")), -EBADMSG);
}

static int sum_row(unsigned column, struct span key, struct span value, void *arg)
{
	state_hash_add(arg, state_hash_row(column, key, value));
	return 0;
}

/* Cut anywhere, or with one byte changed: refused, or its hash is another, or its rows are not. */
static void damage_shows(void **state)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(PART_PLAIN_MAX);
	struct random r = { .state = 5 };
	uint8_t hash[PART_HASH_SIZE];
	struct cut c;

	cut_rows(&c, 1000, NONE, 0);
	assert_int_equal(part_pack(c.parts[0], &plain), 0);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(
		    part_walk(span_sub(buf_span(&plain), 0, draw(&r, (uint32_t)plain.len)), any_row,
			      NULL, hash),
		    -EBADMSG);
	for (unsigned i = 0; i < 500; i++) {
		uint8_t *at = &plain.data[draw(&r, (uint32_t)plain.len)];
		const uint8_t flip = (uint8_t)(1 + draw(&r, 255));
		struct state_hash sum = { 0 };
		int error;

		*at ^= flip;
		error = part_walk(buf_span(&plain), sum_row, &sum, hash);
		if (error)
			assert_int_equal(error, -EBADMSG);
		else if (memcmp(hash, c.parts[0]->hash, sizeof(hash)) == 0)
			assert_true(sum.lo == c.totals.hash.lo && sum.hi == c.totals.hash.hi);
		*at ^= flip;
	}
	cut_release(&c);
}

static int stop_at_third(unsigned column, struct span key, struct span value, void *arg)
{
	return ++*(unsigned *)arg == 3 ? -EIO : 0;
}

static void who_reads_may_stop(void **state)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(PART_PLAIN_MAX);
	uint8_t hash[PART_HASH_SIZE];
	unsigned n = 0;
	struct cut c;

	cut_rows(&c, 100, NONE, 0);
	assert_int_equal(part_pack(c.parts[0], &plain), 0);
	assert_int_equal(part_walk(buf_span(&plain), stop_at_third, &n, hash), -EIO);
	assert_int_equal(n, 3);
	cut_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_back),
		cmocka_unit_test(two_writers_agree),
		cmocka_unit_test(a_row_changes_its_part),
		cmocka_unit_test(no_part_is_endless),
		cmocka_unit_test(long_rows_have_frames_of_their_own),
		cmocka_unit_test(disorder_is_refused),
		cmocka_unit_test(foreign_rows_are_refused),
		cmocka_unit_test(damage_shows),
		cmocka_unit_test(who_reads_may_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
