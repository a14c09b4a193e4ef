/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that are being written: what programs of this mount write to a file goes into one
 * draft, which becomes the object when one of them closes it.
 */
#include "fs/fuse_attach_i.h"

#include <stdio.h>
#include <utlist.h>

struct writing *writing_find(struct mountfs *fs, uint64_t ino)
{
	struct writing *w;

	LOCK_SCOPE(&fs->at_lock);
	DL_FOREACH(fs->writings, w) {
		if (w->entry.ino != ino)
			continue;
		w->refs++;
		return w;
	}
	return NULL;
}

struct writing *writing_named(struct mountfs *fs, uint64_t dir, const char *name)
{
	struct writing *w;

	LOCK_SCOPE(&fs->at_lock);
	DL_FOREACH(fs->writings, w) {
		if (w->entry.parent != dir || strcmp(w->name, name) != 0)
			continue;
		w->refs++;
		return w;
	}
	return NULL;
}

/* The last one out drops what was not published, which may wait: not on a FUSE thread. */
void writing_unref(struct mountfs *fs, struct writing *w)
{
	bool last;

	lock_take(&fs->at_lock);
	last = --w->refs == 0;
	if (last)
		DL_DELETE(fs->writings, w);
	lock_give(&fs->at_lock);
	if (!last)
		return;
	draft_free(w->draft);
	free(w);
}

void writing_entry(struct writing *w, struct bucket_entry *ret)
{
	lock_take(&w->fs->at_lock);
	*ret = w->entry;
	lock_give(&w->fs->at_lock);
	writing_overlay(w, ret);
}

void writing_overlay(struct writing *w, struct bucket_entry *e)
{
	e->size = draft_size(w->draft);
	e->modified_s = draft_modified_s(w->draft);
}

struct writing *writing_add(struct mountfs *fs, struct writing *takes)
{
	struct writing *w;

	lock_take(&fs->at_lock);
	DL_FOREACH(fs->writings, w)
		if (w->entry.ino == takes->entry.ino)
			break;
	if (w)
		w->refs++;
	else
		DL_APPEND(fs->writings, takes);
	lock_give(&fs->at_lock);
	if (!w)
		return takes;
	draft_free(takes->draft);
	free(takes);
	return w;
}

int writing_new(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		const char *name, enum writing_how how, struct writing **ret)
{
	const struct draft_options o = { .replicas = a->replicas,
					 .objects = attach_objects(fs->v->attach),
					 .identity = a->identity,
					 .key = e->key,
					 .base = how >= WRITING_ANEW ? e : NULL,
					 .keep = how == WRITING_ON,
					 .excl = how == WRITING_EXCL,
					 .deadline_ns = fs->o->deadline_ns,
					 .dir = fs->v->cache_dir,
					 .memory = fs->at_budget,
					 .disk = fs->at_disk,
					 .unfinished = attach_unfinished(fs->v->attach),
					 .attached = a };
	struct writing *w = calloc(1, sizeof(*w));
	int r = w ? draft_new(&o, &w->draft) : fail(-ENOMEM);

	if (r) {
		free(w);
		return r;
	}
	w->refs = 1;
	w->fs = fs;
	w->attached = a;
	w->entry = *e;
	snprintf(w->name, sizeof(w->name), "%s", name);
	*ret = w;
	return 0;
}

int writing_open(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		 bool truncate, bool wait, struct writing **ret)
{
	struct writing *w = writing_find(fs, e->ino);
	int r = 0;

	if (!w && !wait)
		return AT_WOULD_WAIT;
	if (!w) {
		/* the name is not needed: the listing knows it */
		r = writing_new(fs, a, e, "", truncate ? WRITING_ANEW : WRITING_ON, &w);
		if (!r)
			*ret = writing_add(fs, w);
		return r;
	}
	if (truncate)
		r = draft_truncate(w->draft, 0, wait ? DRAFT_WAIT : DRAFT_NO_WAIT);
	if (r) {
		writing_unref(fs, w);
		return r == DRAFT_WOULD_WAIT ? AT_WOULD_WAIT : r;
	}
	*ret = w;
	return 0;
}

/* What the draft did with the object is known here, too. */
static int settle(struct writing *w, int r, uint64_t lacking, struct bucket_entry now)
{
	if (r) {
		bucket_doubt(w->attached->bucket, w->entry.ino);
		return r;
	}
	r = attach_missed(w->attached, now.key, lacking);
	if (r)
		return r;
	lock_take(&w->fs->at_lock);
	w->entry = now;
	lock_give(&w->fs->at_lock);
	return bucket_note(w->attached->bucket, &now);
}

int writing_publish(struct writing *w)
{
	struct bucket_entry now;
	uint64_t lacking;
	int r;

	if (!draft_dirty(w->draft))
		return 0;
	writing_entry(w, &now);
	r = draft_publish(w->draft, &now, &lacking);
	return settle(w, r, lacking, now);
}

int writing_describe(struct writing *w, const struct object_meta *m)
{
	struct bucket_entry now;
	uint64_t lacking;
	int r;

	writing_entry(w, &now);
	r = draft_describe(w->draft, m, &now, &lacking);
	return r == DRAFT_WITH_NEXT ? 0 : settle(w, r, lacking, now);
}
