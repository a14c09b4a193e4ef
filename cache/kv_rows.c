/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/kv_rows.h"

#include "base/wait.h"
#include "cache/kv.h"

#include <uthash.h>

#define ROW_MOST    512  /* bytes of key and value; larger ones are cheap beside their size */
#define BYTES_EACH  4096 /* of the budget, a slot: eight times what it may hold */
#define SLOTS_LEAST 1024
#define SLOTS_MOST  65536

struct row {
	uint32_t hash, value_len;
	uint16_t key_len;
	uint8_t column;
	bool missing;
	uint8_t bytes[]; /* the key, then the value */
};

/* Each has the slots whose number ends like its own. */
struct stripe {
	struct lock lock;
	uint64_t moment; /* counts what was replaced (H2) */
};

struct kv_rows {
	struct stripe stripes[KV_ROWS_STRIPES];
	size_t n_slots; /* a power of two */
	struct row *slots[];
};

struct kv_rows_change {
	uint32_t hash;
	struct row *row; /* NULL: not worth keeping */
};

struct kv_rows *kv_rows_new(uint64_t bytes)
{
	struct kv_rows *rows;
	size_t n = SLOTS_LEAST;

	while (n < SLOTS_MOST && n * 2 * BYTES_EACH <= bytes)
		n *= 2;
	rows = calloc(1, sizeof(*rows) + n * sizeof(rows->slots[0]));
	if (!rows)
		return NULL;
	rows->n_slots = n;
	for (size_t i = 0; i < KV_ROWS_STRIPES; i++)
		lock_init(&rows->stripes[i].lock, RANK_LEAF);
	return rows;
}

struct kv_rows *kv_rows_free(struct kv_rows *rows)
{
	if (!rows)
		return NULL;
	for (size_t i = 0; i < rows->n_slots; i++)
		free(rows->slots[i]);
	for (size_t i = 0; i < KV_ROWS_STRIPES; i++)
		lock_release(&rows->stripes[i].lock);
	return free_null(rows);
}

uint32_t kv_rows_hash(unsigned column, struct span key)
{
	uint32_t hash;

	HASH_JEN(key.data, key.len, hash);
	return hash ^ column * 0x9e3779b1u;
}

static struct stripe *stripe_of(struct kv_rows *rows, uint32_t hash)
{
	return &rows->stripes[hash % KV_ROWS_STRIPES];
}

static struct row **slot_of(struct kv_rows *rows, uint32_t hash)
{
	return &rows->slots[hash & (rows->n_slots - 1)];
}

static bool is_row(const struct row *r, uint32_t hash, unsigned column, struct span key)
{
	return r && r->hash == hash && r->column == column &&
	       span_equal(span_of(r->bytes, r->key_len), key);
}

int kv_rows_get(struct kv_rows *rows, uint32_t hash, unsigned column, struct span key,
		struct buf *ret, uint64_t *ret_moment)
{
	struct stripe *s = stripe_of(rows, hash);
	const struct row *r;

	LOCK_SCOPE(&s->lock);
	r = *slot_of(rows, hash);
	if (!is_row(r, hash, column, key)) {
		*ret_moment = s->moment;
		return KV_ROWS_UNKNOWN;
	}
	if (r->missing)
		return KV_MISSING;
	buf_clear(ret);
	return buf_add(ret, r->bytes + r->key_len, r->value_len);
}

/* NULL: too large, or no memory. */
static struct row *row_new(uint32_t hash, unsigned column, struct span key, struct span value,
			   bool missing)
{
	struct row *r = NULL;

	if (key.len + value.len <= ROW_MOST && column <= UINT8_MAX)
		r = malloc(sizeof(*r) + key.len + value.len);
	if (!r)
		return NULL;
	*r = (struct row){ .hash = hash,
			   .value_len = (uint32_t)value.len,
			   .key_len = (uint16_t)key.len,
			   .column = (uint8_t)column,
			   .missing = missing };
	if (key.len)
		memcpy(r->bytes, key.data, key.len);
	if (value.len)
		memcpy(r->bytes + key.len, value.data, value.len);
	return r;
}

/* Answers what was there. */
static struct row *replace_locked(struct kv_rows *rows, uint32_t hash, struct row *by)
{
	struct row **slot = slot_of(rows, hash), *before = *slot;

	*slot = by;
	return before;
}

void kv_rows_learn(struct kv_rows *rows, uint32_t hash, uint64_t moment, unsigned column,
		   struct span key, struct span value, bool missing)
{
	struct row *r = row_new(hash, column, key, value, missing);
	struct stripe *s = stripe_of(rows, hash);

	if (!r)
		return;
	lock_take(&s->lock);
	if (s->moment == moment) /* (H2) */
		r = replace_locked(rows, hash, r);
	lock_give(&s->lock);
	free(r);
}

void kv_rows_forget_all(struct kv_rows *rows)
{
	for (uint32_t i = 0; i < rows->n_slots; i++) {
		struct stripe *s = stripe_of(rows, i);

		LOCK_SCOPE(&s->lock);
		s->moment++;
		free(replace_locked(rows, i, NULL));
	}
}

/* ---- changes ---- */

void kv_rows_changes_release(struct kv_rows_changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].row);
	free(c->v);
	*c = (struct kv_rows_changes){ 0 };
}

int kv_rows_note(struct kv_rows_changes *c, unsigned column, struct span key, struct span value,
		 bool gone)
{
	const uint32_t hash = kv_rows_hash(column, key);

	if (c->n == c->cap) {
		const size_t cap = c->cap ? c->cap * 2 : 16;
		struct kv_rows_change *v = realloc(c->v, cap * sizeof(*v));

		if (!v)
			return fail(-ENOMEM);
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct kv_rows_change){ hash, row_new(hash, column, key, value, gone) };
	return 0;
}

void kv_rows_begin(struct kv_rows *rows, struct kv_rows_changes *c)
{
	for (uint32_t i = 0; i < KV_ROWS_STRIPES; i++) {
		struct stripe *s = &rows->stripes[i];

		LOCK_SCOPE(&s->lock);
		c->moments[i] = s->moment;
	}
}

void kv_rows_end(struct kv_rows *rows, struct kv_rows_changes *c, bool done)
{
	for (size_t i = 0; i < c->n; i++) {
		struct kv_rows_change *one = &c->v[i];
		struct stripe *s = stripe_of(rows, one->hash);
		uint64_t *moment = &c->moments[one->hash % KV_ROWS_STRIPES];
		struct row *before;

		lock_take(&s->lock);
		if (done && s->moment == *moment) { /* (H3) */
			before = replace_locked(rows, one->hash, take_ptr(&one->row));
			++*moment;
		} else {
			before = replace_locked(rows, one->hash, NULL);
		}
		s->moment++;
		lock_give(&s->lock);
		free(before);
	}
}
