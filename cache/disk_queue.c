/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces on their way into files.
 *
 * (W1) A piece waits once. While it does, it is found here as if it lay on the disk already.
 * (W2) What is forgotten meanwhile is not wanted: it is not written, or its file goes again.
 */
#include "cache/disk_i.h"

static struct disk_waiting *find_locked(struct disk *d, const struct piece_id *id)
{
	struct disk_waiting *w;

	lock_assert_held(&d->sync.lock);
	HASH_FIND(hh, d->sync.waiting, id, sizeof(*id), w);
	return w;
}

bool disk_has_locked(struct disk *d, const struct piece_id *id)
{
	return disk_find_locked(d, id) || find_locked(d, id);
}

struct blob *disk_waiting_find_locked(struct disk *d, const struct piece_id *id)
{
	struct disk_waiting *w = find_locked(d, id);

	return w ? blob_ref(w->blob) : NULL;
}

static void take_out_locked(struct disk *d, struct disk_waiting *w)
{
	if (w->wanted)
		HASH_DEL(d->sync.waiting, w);
	w->wanted = false;
}

void disk_waiting_forget_locked(struct disk *d, const struct piece_id *id)
{
	struct disk_waiting *w = find_locked(d, id);

	if (w)
		take_out_locked(d, w);
}

void disk_waiting_forget_object_locked(struct disk *d, const uint8_t object[32])
{
	struct disk_waiting *w, *next;

	lock_assert_held(&d->sync.lock);
	HASH_ITER(hh, d->sync.waiting, w, next)
		if (memcmp(w->id.object, object, sizeof(w->id.object)) == 0)
			take_out_locked(d, w);
}

/* It is written, or given up. */
static void end(struct disk_waiting *w)
{
	struct disk *d = w->disk;

	lock_take(&d->sync.lock);
	take_out_locked(d, w);
	d->sync.writing_bytes -= blob_span(w->blob).len;
	if (--d->sync.writing == 0)
		cond_broadcast(&d->sync.settled);
	lock_give(&d->sync.lock);
	blob_unref(w->blob);
	free(w);
}

static void write_main(void *arg)
{
	struct disk_waiting *w = arg;

	/* Whoever waits for a piece goes before who may need it again. */
	task_background();
	disk_write_now(w->disk, w);
	end(w);
}

/* Is there room for it? Then it counts, and is found. */
static bool enter_locked(struct disk *d, struct disk_waiting *w)
{
	const size_t len = blob_span(w->blob).len;

	if (len == 0 || len > MIN(DISK_PIECE_MAX, d->limit_bytes / 4) || !disk_may_write_locked(d))
		return false;
	if (d->sync.writing && d->sync.writing_bytes + len > d->queue_bytes)
		return false;
	HASH_ADD(hh, d->sync.waiting, id, sizeof(w->id), w);
	if (!w->hh.tbl)
		return false;
	w->wanted = true;
	d->sync.writing++;
	d->sync.writing_bytes += len;
	return true;
}

bool disk_write(struct disk *d, const struct piece_id *id, struct blob *blob)
{
	struct disk_waiting *w = calloc(1, sizeof(*w));
	bool has, entered;

	if (!w)
		return false;
	*w = (struct disk_waiting){ .disk = d, .id = *id, .blob = blob };
	lock_take(&d->sync.lock);
	has = disk_has_locked(d, id);
	entered = !has && enter_locked(d, w);
	lock_give(&d->sync.lock);
	if (!entered) {
		free(w);
		return has;
	}
	blob_ref(blob);
	if (pool_run(d->writers, write_main, w) == 0)
		return true;
	end(w);
	return false;
}
