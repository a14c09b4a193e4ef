/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks, a window at a time, with the extents that refer to them and the copies they lack. */
#include <inttypes.h>

#include "base/text.h"
#include "fs/upkeep/check_i.h"

struct chunk_tally {
	uint8_t id[CHUNK_ID_SIZE];
	uint32_t length;
	uint64_t live, stores, want, dead;
	uint64_t counted;
};

struct window {
	struct chunk_tally *all;
	size_t n, max;
	uint8_t first[CHUNK_ID_SIZE], end[CHUNK_ID_SIZE];
	bool is_last; /* there is no end */
};

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct chunk_tally *)a)->id, ((const struct chunk_tally *)b)->id,
		      CHUNK_ID_SIZE);
}

static struct chunk_tally *find(const struct window *w, const uint8_t id[CHUNK_ID_SIZE])
{
	struct chunk_tally key;

	memcpy(key.id, id, CHUNK_ID_SIZE);
	return bsearch(&key, w->all, w->n, sizeof(key), by_id);
}

static bool is_in(const struct window *w, const uint8_t id[CHUNK_ID_SIZE])
{
	return memcmp(id, w->first, CHUNK_ID_SIZE) >= 0 &&
	       (w->is_last || memcmp(id, w->end, CHUNK_ID_SIZE) < 0);
}

static int chunk_one(struct check *c, struct span key, struct span value, void *arg)
{
	struct window *w = arg;
	struct chunk_tally *t;
	struct chunk_row row;

	if (key.len != CHUNK_ID_SIZE || chunk_row_decode(value, &row))
		return 0;
	if (w->n == w->max) {
		memcpy(w->end, key.data, CHUNK_ID_SIZE);
		w->is_last = false;
		return 1;
	}
	t = &w->all[w->n++];
	*t = (struct chunk_tally){ .length = row.length,
				   .live = row.live,
				   .stores = row.stores,
				   .want = row.want,
				   .dead = row.dead };
	memcpy(t->id, key.data, CHUNK_ID_SIZE);
	return 0;
}

static int extent_one(struct check *c, struct span key, struct span value, void *arg)
{
	const struct window *w = arg;
	struct chunk_tally *t;
	struct extent_row row;

	if (key.len != 16 || extent_row_decode(value, &row) || row.kind != EXTENT_CHUNK ||
	    !is_in(w, row.chunk))
		return 0;
	t = find(w, row.chunk);
	if (t)
		t->counted += row.length;
	if (!t || row.length > t->length || row.chunk_offset > t->length - row.length)
		check_found(c, CHECK_CHUNK, "inode %" PRIu64 ", end %" PRIu64 ": %s",
			    key_u64(key.data), key_u64(key.data + 8) + 1,
			    t ? "beyond its chunk" : "there is no such chunk");
	return 0;
}

static int deficit_one(struct check *c, struct span key, struct span value, void *arg)
{
	const struct window *w = arg;
	char text[2 * CHUNK_ID_SIZE + 1];
	const struct chunk_tally *t;
	uint64_t store;

	if (key.len != CHUNK_ID_SIZE + 1 || key.data[CHUNK_ID_SIZE] >= STORES_MAX)
		return 0;
	if (!is_in(w, key.data))
		return 1;
	store = UINT64_C(1) << key.data[CHUNK_ID_SIZE];
	t = find(w, key.data);
	if (t && !t->dead && (t->want & ~t->stores & store))
		return 0;
	hex_encode(span_of(key.data, CHUNK_ID_SIZE), text);
	check_found(c, CHECK_DEFICIT, "chunk %s, store %u", text, key.data[CHUNK_ID_SIZE]);
	return 0;
}

static void judge(struct check *c, const struct chunk_tally *t)
{
	char text[2 * CHUNK_ID_SIZE + 1];

	hex_encode(span_of(t->id, CHUNK_ID_SIZE), text);
	if (t->counted != t->live)
		check_found(c, CHECK_LIVE, "chunk %s: %" PRIu64 ", has %" PRIu64, text, t->live,
			    t->counted);
	if (!t->live != !!t->dead)
		check_found(c, CHECK_DEAD, "chunk %s: live %" PRIu64 ", dead %" PRIu64, text,
			    t->live, t->dead);
}

static int one_window(struct check *c, struct window *w)
{
	const struct span from = span_of(w->first, CHUNK_ID_SIZE);
	int r;

	w->n = 0;
	w->is_last = true;
	r = check_walk(c, COL_CHUNK, from, chunk_one, w);
	if (!r)
		r = check_walk(c, COL_EXTENT, SPAN_NULL, extent_one, w);
	if (!r)
		r = check_walk(c, COL_DEFICIT, from, deficit_one, w);
	for (size_t i = 0; i < w->n && !r; i++)
		judge(c, &w->all[i]);
	return r;
}

int check_chunks(struct check *c)
{
	struct window w = { .max = MAX(MIN(c->o->window, (size_t)c->rep.chunks), (size_t)1) };
	int r = 0;

	w.all = calloc(w.max, sizeof(*w.all));
	if (!w.all)
		return fail(-ENOMEM);
	do {
		r = one_window(c, &w);
		memcpy(w.first, w.end, CHUNK_ID_SIZE);
	} while (!r && !w.is_last);
	free(w.all);
	return r;
}
