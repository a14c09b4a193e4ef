/* SPDX-License-Identifier: Apache-2.0 */
/* Where the replicas of a file are. */
#include "fs/data/data_i.h"

struct chunk_set {
	uint8_t (*ids)[CHUNK_ID_SIZE];
	size_t n, cap;
	uint64_t inline_bytes, foreign_bytes;
};

static int on_extent(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct chunk_set *set = arg;

	if (row->kind != EXTENT_CHUNK) {
		set->inline_bytes += row->kind == EXTENT_INLINE ? row->length : 0;
		set->foreign_bytes += row->kind == EXTENT_FOREIGN ? row->length : 0;
		return 0;
	}
	if (set->n == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 64;
		uint8_t(*ids)[CHUNK_ID_SIZE] = realloc(set->ids, cap * CHUNK_ID_SIZE);

		if (!ids)
			return fail(-ENOMEM);
		set->ids = ids;
		set->cap = cap;
	}
	memcpy(set->ids[set->n++], row->chunk, CHUNK_ID_SIZE);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, CHUNK_ID_SIZE);
}

static int count_chunks(struct view *v, struct chunk_set *set, struct file_replicas *ret)
{
	if (set->n)
		qsort(set->ids, set->n, CHUNK_ID_SIZE, compare_ids);
	for (size_t i = 0; i < set->n; i++) {
		struct chunk_row row;
		int r;

		if (i && compare_ids(set->ids[i - 1], set->ids[i]) == 0)
			continue;
		r = ns_chunk(v, set->ids[i], &row);
		if (r != 0)
			return r < 0 ? r : fail(-EIO);
		ret->chunks++;
		for (unsigned s = 0; s < REPLICAS_MAX; s++)
			ret->have[s] += row.stores >> s & 1;
	}
	return 0;
}

int data_where(struct data *d, uint64_t ino, struct file_replicas *ret)
{
	struct file_replicas found = { 0 };
	struct chunk_set set = { 0 };
	struct view *v = commit_lock(d->o.commit);
	int r = ns_extents(v, ino, 0, FILE_SIZE_MAX, on_extent, &set);

	if (r == 0)
		r = count_chunks(v, &set, &found);
	commit_unlock(d->o.commit);
	free(set.ids);
	if (r > 0)
		return -ESTALE;
	found.inline_bytes = set.inline_bytes;
	found.foreign_bytes = set.foreign_bytes;
	if (r == 0)
		*ret = found;
	return r;
}
