/* SPDX-License-Identifier: Apache-2.0 */
/* The index of the piece files, and what leaves it when the folder is full. */
#include "cache/disk_i.h"
#include "cache/evict.h"

#include <unistd.h>

/* The index must not eat the memory that it helps to save: about 100 MB. */
#define FILES_MAX 1000000

struct disk_file *disk_find_locked(struct disk *d, const struct piece_id *id)
{
	struct disk_file *f;

	lock_assert_held(&d->sync.lock);
	HASH_FIND(hh, d->sync.files, id, sizeof(*id), f);
	return f;
}

bool disk_note_locked(struct disk *d, const struct piece_id *id, uint64_t bytes, uint64_t used_ns)
{
	struct disk_file *f = disk_find_locked(d, id);

	if (f) {
		d->sync.bytes += bytes - f->bytes;
		f->bytes = (uint32_t)bytes;
		f->used_ns = used_ns;
		return true;
	}
	if (HASH_COUNT(d->sync.files) >= FILES_MAX)
		return false;
	f = malloc(sizeof(*f));
	if (!f)
		return false;
	*f = (struct disk_file){ .id = *id, .bytes = (uint32_t)bytes, .used_ns = used_ns };
	HASH_ADD(hh, d->sync.files, id, sizeof(f->id), f);
	if (!f->hh.tbl) {
		free(f);
		return false;
	}
	d->sync.bytes += bytes;
	return true;
}

static void drop_file_locked(struct disk *d, struct disk_file *f)
{
	HASH_DEL(d->sync.files, f);
	d->sync.bytes -= f->bytes;
	free(f);
}

bool disk_drop_locked(struct disk *d, const struct piece_id *id)
{
	struct disk_file *f = disk_find_locked(d, id);

	if (!f)
		return false;
	drop_file_locked(d, f);
	return true;
}

void disk_drop_all_locked(struct disk *d)
{
	struct disk_file *f, *next;

	HASH_ITER(hh, d->sync.files, f, next)
		drop_file_locked(d, f);
}

/* One victim, by value: the index may change while files are deleted. */
struct victims {
	struct piece_id *ids;
	size_t n;
};

/* Takes the longest unused out of the index. */
static void take_victims_locked(struct disk *d, uint64_t excess, struct victims *ret)
{
	size_t n = HASH_COUNT(d->sync.files), i = 0;
	_cleanup_free_ struct evict_item *items = calloc(n, sizeof(*items));
	struct disk_file *f, *next;

	*ret = (struct victims){ 0 };
	if (!items)
		return;
	HASH_ITER(hh, d->sync.files, f, next)
		items[i++] = (struct evict_item){ f->used_ns, f->bytes, f };
	n = evict_choose(items, n, excess);
	ret->ids = calloc(n, sizeof(*ret->ids));
	for (i = 0; ret->ids && i < n; i++) {
		f = items[i].what;
		ret->ids[ret->n++] = f->id;
		drop_file_locked(d, f);
	}
}

void disk_evict(struct disk *d, uint64_t excess)
{
	struct victims victims;
	char name[DISK_NAME_MAX];

	lock_take(&d->sync.lock);
	take_victims_locked(d, excess, &victims);
	lock_give(&d->sync.lock);
	for (size_t i = 0; i < victims.n; i++) { /* (D3) */
		disk_name(&victims.ids[i], name);
		unlinkat(d->dir, name, 0);
	}
	free(victims.ids);
}
