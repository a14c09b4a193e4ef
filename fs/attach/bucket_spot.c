/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen in a directory, by a listing, by a look or as this mount's doing, becomes rows. */
#include "fs/attach/bucket_i.h"

static int note_has_dirs(struct change *c, struct spot *at)
{
	struct dir_row d;
	int r;

	if (at->flags & DIR_HAS_DIRS)
		return 0;
	r = dir_row_get(c->bucket, at->dir, &d);
	if (!r && !(d.flags & DIR_HAS_DIRS)) {
		d.flags |= DIR_HAS_DIRS;
		r = change_dir(c, at->dir, &d);
	}
	if (!r)
		at->flags |= DIR_HAS_DIRS;
	return r;
}

static int place_number(struct change *c, const struct spot *at, struct span rel, uint64_t ino)
{
	_cleanup_buf_ struct buf key = BUF_INIT(STORE_NAME_MAX);
	int r = rel_is_dir(rel) ? buf_add_span(&key, at->prefix) : 0;

	if (!r)
		r = buf_add_span(&key, rel);
	return r ? r : change_place(c, ino, at->dir, buf_span(&key));
}

static int new_number(struct change *c, const struct spot *at, struct span rel, uint64_t *ret)
{
	*ret = change_number(c);
	return place_number(c, at, rel, *ret);
}

/* (R4): the number of the directory that a mark stands for; its row keeps it, though it is none. */
static int number_of_marked(struct change *c, struct spot *at, struct span component,
			    uint64_t *ret)
{
	_cleanup_buf_ struct buf rel = BUF_INIT(STORE_NAME_MAX);
	struct row row = { .flags = ROW_GONE };
	int r = change_flush(c); /* it may have been seen just now */

	if (!r)
		r = buf_add_span(&rel, component);
	if (!r)
		r = buf_add_byte(&rel, '/');
	if (!r)
		r = row_get(c->bucket, at->dir, buf_span(&rel), &row);
	if (r == ROW_NONE) {
		r = new_number(c, at, buf_span(&rel), &row.ino);
		if (!r)
			r = change_row(c, at->dir, buf_span(&rel), NULL, &row);
	}
	if (!r)
		*ret = row.ino;
	return r;
}

static int number_of(struct change *c, struct spot *at, struct span rel, const struct row *old,
		     struct row *new)
{
	if (new->ino) /* told already */
		return old && old->ino == new->ino ? 0 : place_number(c, at, rel, new->ino);
	if (old && (old->flags & ROW_MARK) == (new->flags & ROW_MARK)) {
		new->ino = old->ino;
		return 0;
	}
	if (new->flags & ROW_MARK)
		return number_of_marked(c, at, rel_component(rel, new), &new->ino);
	return new_number(c, at, rel, &new->ino);
}

static bool is_same(const struct row *a, const struct row *b)
{
	for (unsigned i = 0; i < MIRRORS_MAX; i++)
		if (strcmp(a->version[i], b->version[i]) != 0)
			return false;
	return a->flags == b->flags && a->ino == b->ino && a->size == b->size &&
	       a->modified_s == b->modified_s && a->seen_ns == b->seen_ns;
}

int spot_found(struct change *c, struct spot *at, struct span rel, const struct row *old,
	       const struct row *seen, uint64_t *ret_ino)
{
	const bool was_live = old && row_is_live(old);
	const bool is_dir = rel_is_dir(rel) || seen->flags & ROW_MARK;
	struct row new = *seen;
	int r;

	if (old && old->seen_ns > at->asked_ns) {
		*ret_ino = old->ino;
		return 0; /* (R3) */
	}
	new.seen_ns = at->by_itself ? at->asked_ns : was_live ? old->seen_ns : 0;
	if (is_dir) /* since when it is known: nothing else tells a time */
		new.modified_s = was_live ? old->modified_s : at->asked_ns / NS_PER_S;
	r = number_of(c, at, rel, old, &new);
	if (r)
		return r;
	if (is_dir && !was_live)
		r = note_has_dirs(c, at);
	if (mark_flag(rel, new.size))
		c->totals.marks = 1;
	if (!r && !(old && is_same(old, &new)))
		r = change_row(c, at->dir, rel, old, &new);
	if (!r)
		*ret_ino = new.ino;
	return r;
}

int spot_gone(struct change *c, struct spot *at, struct span rel, const struct row *old)
{
	struct row new;

	if (!old || old->seen_ns > at->asked_ns) /* (R3) */
		return 0;
	if (!row_is_live(old)) /* (R2) */
		return at->asked_ns - old->seen_ns > GONE_KEEP_NS
			       ? change_purge(c, at->dir, rel, old)
			       : 0;
	new = *old;
	new.flags |= ROW_GONE;
	new.seen_ns = at->asked_ns;
	return change_row(c, at->dir, rel, old, &new);
}

int spot_old(struct bucket *b, const struct spot *at, struct span rel, struct row *room,
	     const struct row **ret)
{
	const int r = row_get(b, at->dir, rel, room);

	*ret = r ? NULL : room;
	return MIN(r, 0);
}
