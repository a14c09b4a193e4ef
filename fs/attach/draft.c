/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include "base/log.h"
#include "base/text.h"

#include <stdio.h>

/*
 * The contents of a draft and who may touch them: one function at a time is `busy` with it; others
 * wait, or are told that they would have to.
 */

struct draft *draft_free(struct draft *d)
{
	if (!d)
		return NULL;
	for (unsigned i = 0; i < d->n; i++)
		draft_copy_drop(d, &d->copies[i]);
	budget_give(d->budget, d->charged);
	free(d->bytes);
	free(d->key);
	cond_release(&d->cond);
	lock_release(&d->lock);
	free(d);
	return NULL;
}

/* Letters and digits by which this draft's object is known again after an unknown outcome. */
static void draw_writer(struct draft *d)
{
	uint8_t id[16];

	random_fill(id, sizeof(id));
	hex_encode(span_of(id, sizeof(id)), d->meta.writer);
}

int draft_new(const struct draft_options *o, struct draft **ret)
{
	struct draft *d = calloc(1, sizeof(*d));

	if (!d)
		return fail(-ENOMEM);
	lock_init(&d->lock, RANK_FILE);
	cond_init(&d->cond);
	d->replicas = o->replicas;
	d->budget = o->budget;
	d->excl = o->excl;
	d->deadline_ns = o->deadline_ns;
	d->has_base = o->base != NULL;
	d->sequential = true;
	d->dirty = true; /* a new or emptied object is a change in itself */
	d->modified_s = clock_wall() / NS_PER_S;
	d->n = replicas_count(o->replicas);
	for (unsigned i = 0; i < d->n; i++) {
		d->copies[i].store = replicas_store(o->replicas, i);
		if (o->base)
			snprintf(d->copies[i].base, sizeof(d->copies[i].base), "%s",
				 o->base->version[i]);
	}
	d->key = strdup(o->key);
	if (!d->key) {
		draft_free(d);
		return fail(-ENOMEM);
	}
	*ret = d;
	return 0;
}

static int enter(struct draft *d, enum draft_wait wait)
{
	LOCK_SCOPE(&d->lock);
	while (d->busy) {
		if (wait == DRAFT_NO_WAIT)
			return DRAFT_WOULD_WAIT;
		cond_wait(&d->cond, &d->lock, NEVER);
	}
	d->busy = true;
	return 0;
}

static void leave(struct draft *d)
{
	LOCK_SCOPE(&d->lock);
	d->busy = false;
	cond_broadcast(&d->cond);
}

/* Room for `size` bytes in memory, charged to the budget. */
static int reserve(struct draft *d, uint64_t size, enum draft_wait wait)
{
	const uint64_t cap = MAX(d->cap, MAX((uint64_t)64 * KiB, MIN(2 * size, size + 8 * MiB)));
	uint8_t *bytes;
	int r;

	if (size <= d->cap)
		return 0;
	r = budget_try(d->budget, cap - d->charged);
	if (r == -EAGAIN && wait == DRAFT_NO_WAIT)
		return DRAFT_WOULD_WAIT;
	if (r == -EAGAIN)
		r = budget_take(d->budget, cap - d->charged, clock_now() + d->deadline_ns);
	if (r)
		return r == -ETIMEDOUT ? fail(-ENOMEM) : r;
	d->charged = cap;
	bytes = realloc(d->bytes, cap);
	if (!bytes)
		return fail(-ENOMEM);
	d->bytes = bytes;
	d->cap = cap;
	return 0;
}

static uint64_t size_of(const struct draft *d)
{
	return d->sent + d->len;
}

static void changed(struct draft *d)
{
	d->dirty = true;
	d->meta.has &= ~(unsigned)META_MTIME;
	d->modified_s = clock_wall() / NS_PER_S;
}

/* (F3) Grown beyond what is kept in memory: its beginning leaves. */
static int stream(struct draft *d)
{
	if (!d->sequential)
		return -EFBIG;
	return draft_stream_begin(d);
}

static int write_stream(struct draft *d, uint64_t off, struct span bytes)
{
	int r = 0;

	if (off != size_of(d))
		return -EOPNOTSUPP;
	while (!r && bytes.len) {
		const size_t n = MIN(bytes.len, (size_t)(d->part_size - d->len));

		memcpy(d->bytes + d->len, bytes.data, n);
		d->len += n;
		bytes = span_sub(bytes, n, bytes.len - n);
		if (d->len == d->part_size)
			r = draft_stream_part(d);
	}
	return r;
}

static int write_whole(struct draft *d, uint64_t off, struct span bytes, enum draft_wait wait)
{
	const uint64_t end = off + bytes.len;
	int r = reserve(d, MAX(end, d->len), wait);

	if (r)
		return r;
	if (off > d->len)
		memset(d->bytes + d->len, 0, off - d->len);
	if (off != d->len)
		d->sequential = false;
	memcpy(d->bytes + off, bytes.data, bytes.len);
	d->len = MAX(d->len, end);
	return 0;
}

static int write_busy(struct draft *d, uint64_t off, struct span bytes, bool append,
		      enum draft_wait wait)
{
	int r;

	if (d->error)
		return d->error;
	if (append)
		off = size_of(d);
	if (off > UINT64_MAX / 2 || (!d->streaming && off > d->len && off > DRAFT_WHOLE))
		return -EFBIG;
	if (!d->streaming && off + bytes.len <= DRAFT_WHOLE) {
		r = write_whole(d, off, bytes, wait);
	} else if (wait == DRAFT_NO_WAIT && !(d->streaming && d->len + bytes.len < d->part_size)) {
		return DRAFT_WOULD_WAIT;
	} else {
		r = d->streaming ? 0 : off == d->len ? stream(d) : -EFBIG;
		if (!r)
			r = write_stream(d, off, bytes);
	}
	if (!r)
		changed(d);
	return r;
}

int draft_write(struct draft *d, uint64_t off, struct span bytes, bool append,
		enum draft_wait wait)
{
	int r = enter(d, wait);

	if (r)
		return r;
	r = write_busy(d, off, bytes, append, wait);
	leave(d);
	return r;
}

int draft_load(struct draft *d, struct span bytes)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	r = write_whole(d, 0, bytes, DRAFT_WAIT);
	d->sequential = true; /* what follows at the end does not change what was there */
	d->dirty = false;
	leave(d);
	return r;
}

int draft_truncate(struct draft *d, uint64_t size, enum draft_wait wait)
{
	int r = enter(d, wait);

	if (r)
		return r;
	if (d->streaming)
		r = size == size_of(d) ? 0 : -EOPNOTSUPP;
	else if (size > DRAFT_WHOLE)
		r = -EFBIG;
	else
		r = reserve(d, size, wait);
	if (!r && !d->streaming) {
		if (size > d->len)
			memset(d->bytes + d->len, 0, size - d->len);
		d->len = size;
		changed(d);
	}
	leave(d);
	return r;
}

int draft_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst, size_t *ret_len)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	*ret_len = 0;
	if (off < d->sent)
		r = -EOPNOTSUPP;
	else if (off - d->sent < d->len)
		*ret_len = MIN(len, (size_t)(d->len - (off - d->sent)));
	if (*ret_len)
		memcpy(dst, d->bytes + (off - d->sent), *ret_len);
	leave(d);
	return r;
}

/* A glance: what is going on may change it at once. */
uint64_t draft_size(struct draft *d)
{
	return __atomic_load_n(&d->sent, __ATOMIC_RELAXED) +
	       __atomic_load_n(&d->len, __ATOMIC_RELAXED);
}

uint64_t draft_modified_s(struct draft *d)
{
	return d->meta.has & META_MTIME ? (uint64_t)(d->meta.mtime_ns / (int64_t)NS_PER_S) :
					  __atomic_load_n(&d->modified_s, __ATOMIC_RELAXED);
}

bool draft_dirty(struct draft *d)
{
	return __atomic_load_n(&d->dirty, __ATOMIC_RELAXED);
}

void draft_meta(struct draft *d, const struct object_meta *m)
{
	if (enter(d, DRAFT_WAIT))
		return;
	d->meta.has |= m->has;
	if (m->has & META_MTIME)
		d->meta.mtime_ns = m->mtime_ns;
	if (m->has & META_MODE)
		d->meta.mode = m->mode;
	if (m->has & META_OWNER) {
		d->meta.uid = m->uid;
		d->meta.gid = m->gid;
	}
	leave(d);
}

/* The next change begins upon what was published. */
static void settle(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	*ret_lacking = 0;
	ret->size = size_of(d);
	ret->modified_s = clock_wall() / NS_PER_S;
	for (unsigned i = 0; i < d->n; i++) {
		struct draft_copy *c = &d->copies[i];

		if (c->error)
			*ret_lacking |= 1ull << i;
		snprintf(ret->version[i], sizeof(ret->version[i]), "%s",
			 c->error ? "" : c->version);
		snprintf(c->base, sizeof(c->base), "%s", ret->version[i]);
		c->error = 0;
	}
	d->has_base = true;
	d->excl = false;
	d->dirty = false;
}

int draft_publish(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	*ret_lacking = 0;
	if (!d->dirty) {
		r = 0;
	} else if (d->error) {
		r = d->error;
	} else {
		if (!(d->meta.has & META_MTIME)) {
			d->meta.has |= META_MTIME;
			d->meta.mtime_ns = (int64_t)clock_wall();
		}
		draw_writer(d);
		r = d->streaming ? draft_stream_publish(d) : draft_whole_publish(d);
		if (r)
			d->error = r;
		else
			settle(d, ret, ret_lacking);
	}
	leave(d);
	return r;
}
