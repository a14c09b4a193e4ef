/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads directories one after the other, as find(1) does, will read the next ones too. A LIST
 * for each costs a request and a round trip, however few names it has; without a delimiter a page
 * fills many. So when the second of two neighbours is read, the rest of their parent is listed
 * flat, as far ahead as somebody follows.
 */
#include "fs/attach/bucket_i.h"

#define RECENT_NS (60 * NS_PER_S)
#define BETWEEN_MAX 2000 /* rows looked at for a directory in between */
#define SMALL_MAX 1000   /* one page of any provider */

/* Is there a directory between two names? */
static bool are_neighbours(struct bucket *b, uint64_t parent, struct span first, struct span second)
{
	_cleanup_(kv_iter_freep) struct kv_iter *it = rows_iter(b, parent, first);
	struct row row;

	if (!it || span_compare(first, second) >= 0)
		return false;
	for (unsigned n = 0; n < BETWEEN_MAX && kv_iter_valid(it); n++, kv_iter_next(it)) {
		const struct span rel = rows_rel(it);

		if (span_compare(rel, second) >= 0)
			return true;
		if (rel_is_dir(rel) && !span_equal(rel, first) &&
		    row_read(kv_iter_value(it), &row) == 0 && row_is_live(&row))
			return false;
	}
	return false;
}

static struct walker *walker_locked(struct bucket *b, uint64_t parent)
{
	struct walker *w;

	for (unsigned i = 0; i < WALKERS; i++)
		if (b->sync.walkers[i].dir == parent)
			return &b->sync.walkers[i];
	w = &b->sync.walkers[b->sync.next_walker++ % WALKERS];
	*w = (struct walker){ .dir = parent };
	return w;
}

/* Notes that a directory is read, and answers who was before. */
static struct walker note_step(struct bucket *b, const struct place *place)
{
	const uint64_t now = clock_now();
	struct walker *w, before;

	LOCK_SCOPE(&b->sync.lock);
	w = walker_locked(b, place->parent);
	if (now - w->at_ns > RECENT_NS)
		w->seen = 0;
	before = *w;
	w->at_ns = now;
	w->seen++;
	memcpy(w->last, place->rel, place->rel_len + 1);
	return before;
}

static bool is_pattern(struct bucket *b, const struct place *place, const struct walker *before)
{
	const struct span rel = span_of(place->rel, place->rel_len);

	if (!before->seen || span_equal(span_str(before->last), rel))
		return false;
	return before->seen >= 2 ||
	       are_neighbours(b, place->parent, span_str(before->last), rel);
}

static bool may_start_after(struct bucket *b)
{
	for (unsigned i = 0; i < replicas_count(b->o.replicas); i++)
		if (!replicas_store(b->o.replicas, i)->starts_after)
			return false;
	return true;
}

/* One page, and nothing below it. */
static bool is_small(struct bucket *b, uint64_t parent, struct span rel)
{
	_cleanup_(kv_iter_freep) struct kv_iter *it = NULL;
	struct dir_row d;
	struct row row;
	unsigned n = 0;

	if (row_get(b, parent, rel, &row) || dir_row_get(b, row.ino, &d) ||
	    d.flags & DIR_HAS_DIRS)
		return false;
	it = rows_iter(b, row.ino, SPAN_NULL);
	for (; it && n < SMALL_MAX && kv_iter_valid(it); n++)
		kv_iter_next(it);
	return it && n < SMALL_MAX;
}

/*
 * The rest of the parent, from this directory on. Where a listing cannot start there: all of the
 * parent, if little of it was read, else what is below the directory.
 */
static int start_ahead(struct bucket *b, uint64_t dir, const struct place *place,
		       const struct walker *before, uint64_t deadline_ns)
{
	const struct span key = span_str(place->key);
	const struct span parent = span_sub(key, 0, key.len - place->rel_len);

	if (may_start_after(b) && place->rel_len > 1)
		return job_start(b, place->parent, parent, span_sub(key, 0, key.len - 1), JOB_AHEAD,
				 deadline_ns);
	if (before->seen == 1 && is_small(b, place->parent, span_str(before->last)))
		return job_start(b, place->parent, parent, SPAN_NULL, JOB_AHEAD, deadline_ns);
	return job_start(b, dir, key, SPAN_NULL, JOB_AHEAD, deadline_ns);
}

int walk_start(struct bucket *b, uint64_t dir, const struct place *place, uint64_t deadline_ns)
{
	struct walker before;
	int r = -EAGAIN;

	if (dir != b->root) {
		before = note_step(b, place);
		if (is_pattern(b, place, &before))
			r = start_ahead(b, dir, place, &before, deadline_ns);
	}
	if (r == -EAGAIN)
		r = job_start(b, dir, span_str(place->key), SPAN_NULL, JOB_DIRECTORY, deadline_ns);
	return r;
}
