/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sodium.h"
#include "fs/ns/apply.h"

/* The first 64 bits of its BLAKE2b-128 are the upper half. */
struct state_hash state_hash_row(unsigned column, struct span key, struct span value)
{
	struct blake2b_state st;
	uint8_t head[3], sum[16];

	assert(key.len <= UINT16_MAX);
	head[0] = (uint8_t)column;
	head[1] = (uint8_t)(key.len >> 8);
	head[2] = (uint8_t)key.len;
	blake2b_begin(&st, sizeof(sum));
	blake2b_add(&st, span_of(head, sizeof(head)));
	blake2b_add(&st, key);
	blake2b_add(&st, value);
	blake2b_end(&st, sum, sizeof(sum));
	return (struct state_hash){ .hi = key_u64(sum), .lo = key_u64(sum + 8) };
}

void state_hash_add(struct state_hash *h, struct state_hash row)
{
	h->lo += row.lo;
	h->hi += row.hi + (h->lo < row.lo);
}

static void subtract(struct state_hash *h, struct state_hash row)
{
	h->hi -= row.hi + (h->lo < row.lo);
	h->lo -= row.lo;
}

static int hash_change(unsigned column, struct span key, struct span old_value,
		       struct span new_value, void *arg)
{
	if (column == COL_META)
		return 0;
	if (old_value.data)
		subtract(arg, state_hash_row(column, key, old_value));
	if (new_value.data)
		state_hash_add(arg, state_hash_row(column, key, new_value));
	return 0;
}

int state_hash_update(struct state_hash *h, struct view *v)
{
	struct state_hash sum = *h;
	const int r = view_changes(v, hash_change, &sum);

	if (r == 0)
		*h = sum;
	return r;
}

struct hash_walk {
	struct state_hash sum;
	unsigned column;
};

static int hash_row(struct span key, struct span value, void *arg)
{
	struct hash_walk *w = arg;

	state_hash_add(&w->sum, state_hash_row(w->column, key, value));
	return 0;
}

int state_hash_of(struct kv *kv, struct state_hash *ret)
{
	struct hash_walk w = {};

	for (w.column = COL_META + 1; w.column < COL_COUNT; w.column++) {
		const int r = kv_walk(kv, w.column, SPAN_NULL, SPAN_NULL, hash_row, &w);

		if (r)
			return r;
	}
	*ret = w.sum;
	return 0;
}
