/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/record.h"

#include "base/sodium.h"

#define RECORD_VERSION 1

struct record *record_new(void)
{
	struct record *r = calloc(1, sizeof(*r));

	if (r)
		r->bytes = BUF_INIT(RECORD_MAX);
	return r;
}

struct record *record_free(struct record *r)
{
	if (!r)
		return NULL;
	free(r->authors);
	free(r->ops);
	buf_release(&r->bytes);
	free(r);
	return NULL;
}

static size_t seen_count(const struct record *r)
{
	size_t n = REPLICAS_MAX;

	while (n > 0 && r->seen[n - 1] == 0)
		n--;
	return n;
}

/* Everything before the operations. */
static void write_head(struct writer *w, const struct record *r)
{
	const size_t n_seen = seen_count(r);

	write_u8(w, RECORD_VERSION);
	write_varint(w, r->slot);
	write_varint(w, r->epoch);
	write_raw(w, span_of(r->author, INCARNATION_BYTES));
	write_raw(w, span_of(r->prev, RECORD_HASH_SIZE));
	write_be64(w, r->state_hi);
	write_be64(w, r->state_lo);
	write_raw(w, span_of(r->next, INCARNATION_BYTES));
	write_varint(w, r->hold_ns);
	write_varint(w, r->time_ns);
	write_varint(w, n_seen);
	for (size_t i = 0; i < n_seen; i++)
		write_varint(w, r->seen[i]);
	write_varint(w, r->n_authors);
	for (size_t i = 0; i < r->n_authors; i++)
		write_raw(w, span_of(r->authors[i], INCARNATION_BYTES));
}

static bool record_sound(const struct record *r)
{
	if (r->n_authors > 0 && !incarnation_equal(r->authors[0], r->author))
		return false;
	for (size_t i = 0; i < r->n_ops; i++)
		if (r->ops[i].author >= r->n_authors)
			return false;
	return true;
}

/* Lets the operations borrow from the record's own bytes. */
static int ops_point(struct record *r, struct reader *rd)
{
	for (size_t i = 0; i < r->n_ops; i++) {
		const uint64_t author = read_varint(rd);

		if (author >= r->n_authors)
			read_fail(rd);
		r->ops[i].author = (uint32_t)author;
		r->ops[i].bytes = read_bytes(rd, RECORD_MAX);
	}
	return read_end(rd);
}

int record_seal(struct record *r)
{
	struct buf bytes = BUF_INIT(RECORD_MAX);
	struct writer w = WRITER(&bytes);
	size_t head;

	if (!record_sound(r))
		return fail(-EINVAL);
	write_head(&w, r);
	write_varint(&w, r->n_ops);
	head = bytes.len;
	for (size_t i = 0; i < r->n_ops; i++) {
		write_varint(&w, r->ops[i].author);
		write_bytes(&w, r->ops[i].bytes);
	}
	if (w.error) {
		buf_release(&bytes);
		return fail(w.error);
	}
	buf_release(&r->bytes);
	r->bytes = bytes;
	blake2b(SPAN_NULL, buf_span(&r->bytes), r->hash, RECORD_HASH_SIZE);
	return ops_point(r, &READER(span_sub(buf_span(&r->bytes), head, SIZE_MAX)));
}

static void read_head(struct reader *rd, struct record *r)
{
	uint64_t epoch, n;

	if (read_u8(rd) != RECORD_VERSION)
		read_fail(rd);
	r->slot = read_varint(rd);
	epoch = read_varint(rd);
	if (epoch > UINT32_MAX)
		read_fail(rd);
	r->epoch = (uint32_t)epoch;
	read_copy(rd, r->author, INCARNATION_BYTES);
	read_copy(rd, r->prev, RECORD_HASH_SIZE);
	r->state_hi = read_be64(rd);
	r->state_lo = read_be64(rd);
	read_copy(rd, r->next, INCARNATION_BYTES);
	r->hold_ns = read_varint(rd);
	r->time_ns = read_varint(rd);
	n = read_varint(rd);
	if (n > REPLICAS_MAX)
		read_fail(rd);
	for (uint64_t i = 0; i < n && !read_error(rd); i++)
		r->seen[i] = read_varint(rd);
	if (n != seen_count(r)) /* one form only: no zeros at the end */
		read_fail(rd);
}

/* An array of `n` elements of `size` bytes, if the rest of the input can hold n at all. */
static void *read_array(struct reader *rd, uint64_t n, size_t size, size_t least, int *error)
{
	void *p;

	if (read_error(rd) || n > rd->rest.len / least) {
		read_fail(rd);
		return NULL;
	}
	p = calloc(n ? n : 1, size);
	if (!p)
		*error = fail(-ENOMEM);
	return p;
}

static int read_authors(struct reader *rd, struct record *r)
{
	const uint64_t n = read_varint(rd);
	int error = 0;

	r->authors = read_array(rd, n, INCARNATION_BYTES, INCARNATION_BYTES, &error);
	if (!r->authors)
		return error ? error : -EBADMSG;
	r->n_authors = n;
	for (size_t i = 0; i < n; i++)
		read_copy(rd, r->authors[i], INCARNATION_BYTES);
	return 0;
}

static int read_ops(struct reader *rd, struct record *r)
{
	const uint64_t n = read_varint(rd);
	int error = 0;

	r->ops = read_array(rd, n, sizeof(*r->ops), 2, &error);
	if (!r->ops)
		return error ? error : -EBADMSG;
	r->n_ops = n;
	error = ops_point(r, rd);
	if (!error && !record_sound(r))
		error = -EBADMSG;
	return error;
}

int record_decode(struct span bytes, struct record **ret)
{
	_cleanup_(record_freep) struct record *r = record_new();
	struct reader rd;
	int error;

	if (!r)
		return fail(-ENOMEM);
	error = buf_add_span(&r->bytes, bytes);
	if (error)
		return fail(error == -EMSGSIZE ? -EBADMSG : error);
	rd = READER(buf_span(&r->bytes));
	read_head(&rd, r);
	error = read_authors(&rd, r);
	if (!error)
		error = read_ops(&rd, r);
	if (error)
		return fail(error);
	blake2b(SPAN_NULL, buf_span(&r->bytes), r->hash, RECORD_HASH_SIZE);
	*ret = take_ptr(&r);
	return 0;
}
