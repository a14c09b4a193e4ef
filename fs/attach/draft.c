/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include "base/log.h"

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
	if (d->object)
		object_close(d->object);
	scratch_free(d->scratch);
	free(d->key);
	cond_release(&d->cond);
	lock_release(&d->lock);
	free(d);
	return NULL;
}

static int new_scratch(struct draft *d)
{
	const struct scratch_options o = { .dir = d->o.dir,
					   .memory_bytes = DRAFT_WHOLE,
					   .memory = d->o.memory,
					   .disk = d->o.disk,
					   .deadline_ns = d->o.deadline_ns };

	return scratch_new(&o, &d->scratch);
}

int draft_new(const struct draft_options *o, struct draft **ret)
{
	_cleanup_(draft_freep) struct draft *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return fail(-ENOMEM);
	lock_init(&d->lock, RANK_FILE);
	cond_init(&d->cond);
	d->o = *o;
	d->excl = o->excl;
	d->has_base = d->inherits = o->base != NULL;
	if (o->base)
		d->base = *o->base;
	snprintf(d->base.key, sizeof(d->base.key), "%s", o->key);
	if (o->base && o->keep)
		d->size = d->base_len = o->base->size;
	d->sequential = true;
	d->dirty = !o->keep; /* a new or emptied object is a change in itself */
	d->modified_s = o->keep && o->base ? o->base->modified_s : clock_wall() / NS_PER_S;
	d->n = replicas_count(o->replicas);
	for (unsigned i = 0; i < d->n; i++)
		d->copies[i].store = replicas_store(o->replicas, i);
	d->key = strdup(o->key);
	r = d->key ? new_scratch(d) : fail(-ENOMEM);
	if (!r)
		*ret = take_ptr(&d);
	return r;
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

/* How a change ended: one that was lost is not published half (it stays failed). */
static int changed(struct draft *d, int r)
{
	if (r == 0) {
		d->dirty = true;
		d->meta.has &= ~(unsigned)META_MTIME;
		d->modified_s = clock_wall() / NS_PER_S;
	} else if (r < 0 && r != -EFBIG && r != -EOPNOTSUPP) {
		d->dirty = true;
		d->error = r;
	}
	return r;
}

int draft_write(struct draft *d, uint64_t off, struct span bytes, bool append,
		enum draft_wait wait)
{
	int r = enter(d, wait);

	if (r)
		return r;
	r = d->error ? d->error
		     : changed(d, draft_bytes_write(d, append ? d->size : off, bytes, wait));
	leave(d);
	return r;
}

int draft_truncate(struct draft *d, uint64_t size, enum draft_wait wait)
{
	int r = enter(d, wait);

	if (r)
		return r;
	r = d->error ? d->error : changed(d, draft_bytes_resize(d, size, wait));
	leave(d);
	return r;
}

int draft_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst, size_t *ret_len)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	len = off < d->size ? MIN(len, (size_t)(d->size - off)) : 0;
	r = draft_bytes_read(d, off, len, dst, DRAFT_WAIT);
	if (!r)
		*ret_len = len;
	leave(d);
	return r;
}

/* A glance: what is going on may change it at once. */
uint64_t draft_size(struct draft *d)
{
	return __atomic_load_n(&d->size, __ATOMIC_RELAXED);
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

/* The next change begins upon what was published: a small one is kept, to be sent again. */
static void rebase(struct draft *d)
{
	if (d->object)
		object_close(d->object);
	d->object = NULL;
	d->has_base = true;
	d->excl = false;
	d->base_len = d->size;
	if (d->size > DRAFT_WHOLE)
		scratch_forget(d->scratch, 0, UINT64_MAX);
	d->streaming = d->late = false;
	d->sequential = true;
	d->sent = d->gone = 0;
	d->dirty = false;
}

/* What is at the stores now is what the next change begins upon. */
static void settle(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	ret->size = d->size;
	ret->modified_s = clock_wall() / NS_PER_S;
	for (unsigned i = 0; i < d->n; i++) {
		struct draft_copy *c = &d->copies[i];

		if (c->error)
			*ret_lacking |= 1ull << i;
		snprintf(ret->version[i], sizeof(ret->version[i]), "%s",
			 c->error ? "" : c->version);
		memcpy(d->base.version[i], ret->version[i], sizeof(ret->version[i]));
		draft_copy_drop(d, c); /* what a store that was given up has */
		c->error = 0;
		c->sends = false;
	}
	d->base.size = ret->size;
	d->base.modified_s = ret->modified_s;
	rebase(d);
}

/* Parts carry what was known when they began. What came later is told now. */
static void describe_late(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	struct object_meta m = d->meta;
	int r;

	m.writer[0] = m.content_type[0] = '\0';
	r = draft_copies_describe(d, &m);
	if (r == 0)
		settle(d, ret, ret_lacking);
	else
		log_warn("attach", "an object is stored without its time, mode or owner",
			 "key=%s error=%s", d->key, strerror(-r));
}

static int publish_busy(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	const bool late = d->late;
	int r;

	if (!(d->meta.has & META_MTIME)) {
		d->meta.has |= META_MTIME;
		d->meta.mtime_ns = (int64_t)clock_wall();
	}
	r = d->streaming || d->size > DRAFT_WHOLE ? draft_stream_publish(d)
						   : draft_whole_publish(d);
	if (r) {
		d->error = r;
		return r;
	}
	settle(d, ret, ret_lacking);
	if (late)
		describe_late(d, ret, ret_lacking);
	return 0;
}

int draft_publish(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	*ret_lacking = 0;
	if (d->dirty)
		r = d->error ? d->error : publish_busy(d, ret, ret_lacking);
	leave(d);
	return r;
}

int draft_describe(struct draft *d, const struct object_meta *m, struct bucket_entry *ret,
		   uint64_t *ret_lacking)
{
	int r = enter(d, DRAFT_WAIT);

	if (r)
		return r;
	*ret_lacking = 0;
	object_meta_over(m, &d->meta);
	if (d->dirty || d->error) {
		d->late |= d->streaming;
		r = DRAFT_WITH_NEXT;
	} else {
		r = draft_copies_describe(d, m);
		if (r == 0)
			settle(d, ret, ret_lacking);
	}
	leave(d);
	return r;
}
