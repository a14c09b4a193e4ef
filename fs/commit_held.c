/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that wait for their data (M7), and copies of what is pending for the staging log. */
#include "fs/commit_i.h"

#include <utlist.h>

/* From `p` on. */
static struct pending *next_held(struct pending *p)
{
	while (p && !p->held)
		p = p->next;
	return p;
}

/* The stores that have it by now; 0: nothing is known of it. */
static uint64_t stores_of(const uint8_t id[CHUNK_ID_SIZE], const struct op_chunk *chunks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(chunks[i].id, id, CHUNK_ID_SIZE) == 0)
			return chunks[i].stores;
	return 0;
}

/*
 * The operation as it goes into its record. It was in none yet, so its bytes may still change; the
 * view learns of the copies when the record is applied.
 */
static int amend(struct commit *c, struct pending *p, const struct op_chunk *chunks, size_t n)
{
	_cleanup_(op_release) struct op op = { 0 };
	_cleanup_buf_ struct buf bytes = BUF_INIT(p->bytes.limit);
	_cleanup_free_ struct op_chunk *mine = NULL;
	int r = op_decode(buf_span(&p->bytes), &op);

	if (r)
		return fail(-EIO);
	mine = calloc(op.n_chunks + 1, sizeof(*mine));
	if (!mine)
		return fail(-ENOMEM);
	for (size_t i = 0; i < op.n_chunks; i++) {
		mine[i] = op.chunks[i];
		mine[i].stores |= stores_of(mine[i].id, chunks, n);
	}

	struct op now = op;

	now.chunks = mine;
	r = op_encode(&now, &bytes);
	if (r)
		return r;
	c->tip.pending_bytes += record_op_size(bytes.len) - record_op_size(p->bytes.len);
	buf_release(&p->bytes);
	p->bytes = bytes;
	buf_init(&bytes, 0);
	return 0;
}

int commit_release(struct commit *c, uint64_t no, const struct op_chunk *chunks, size_t n)
{
	LOCK_SCOPE(&c->lock);
	struct pending *p = c->held;
	int r;

	while (p && p->no < no)
		p = p->next;
	if (!p || p->no != no || !p->held)
		return 0;
	r = n ? amend(c, p, chunks, n) : 0;
	if (r)
		return r;
	p->held = false;
	c->held = next_held(c->held);
	commit_queue_changed_locked(c);
	return 0;
}

int commit_copy(struct commit *c, size_t max, struct buf *ret, struct commit_copied *ret_copied)
{
	struct writer w = WRITER(ret);
	LOCK_SCOPE(&c->lock);
	struct pending *p = c->uncopied;

	*ret_copied = (struct commit_copied){ .first = p ? p->no : 0, .done = c->last_no };
	for (; p && ret->len < max; p = p->next) {
		write_bytes(&w, buf_span(&p->bytes));
		if (w.error)
			return w.error;
		ret_copied->last = p->no;
	}
	c->uncopied = p;
	return 0;
}

void commit_copy_again(struct commit *c)
{
	LOCK_SCOPE(&c->lock);
	c->uncopied = c->pending;
}

uint64_t commit_last(struct commit *c)
{
	LOCK_SCOPE(&c->lock);
	return c->last_no;
}

uint64_t commit_last_submitted(struct commit *c)
{
	LOCK_SCOPE(&c->lock);
	return c->next_no - 1;
}

void commit_pending(struct commit *c, uint64_t *ret_n, uint64_t *ret_bytes)
{
	LOCK_SCOPE(&c->lock);
	*ret_n = c->tip.pending;
	*ret_bytes = c->tip.pending_bytes;
}
