/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/chunk.h"

#include "fs/ns/row_io.h"

#define DEFICIT_KEY_SIZE (CHUNK_ID_SIZE + 1)

static struct span deficit_key(const uint8_t id[CHUNK_ID_SIZE], unsigned store,
			       uint8_t space[DEFICIT_KEY_SIZE])
{
	memcpy(space, id, CHUNK_ID_SIZE);
	space[CHUNK_ID_SIZE] = (uint8_t)store;
	return span_of(space, DEFICIT_KEY_SIZE);
}

static int collect_store(struct span key, struct span value, void *arg)
{
	uint64_t *stores = arg;

	if (key.len != DEFICIT_KEY_SIZE || key.data[CHUNK_ID_SIZE] >= STORES_MAX)
		return -EBADMSG;
	*stores |= UINT64_C(1) << key.data[CHUNK_ID_SIZE];
	return 0;
}

/* The deficits of a chunk. */
static int deficits_get(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t *ret)
{
	uint64_t stores = 0;
	const int r = view_walk(v, COL_DEFICIT, span_of(id, CHUNK_ID_SIZE), SPAN_NULL,
				collect_store, &stores);

	if (r)
		return r;
	*ret = stores;
	return 0;
}

static int deficits_remove(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t stores)
{
	uint8_t space[DEFICIT_KEY_SIZE];
	uint64_t there;
	int r;

	r = deficits_get(v, id, &there);
	for (unsigned i = 0; i < STORES_MAX && r == 0; i++)
		if (there & stores & UINT64_C(1) << i)
			r = view_delete(v, COL_DEFICIT, deficit_key(id, i, space));
	return r;
}

/* A row that an extent refers to is there. */
static int chunk_load_known(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *ret)
{
	const int r = chunk_load(v, id, ret);

	return r == VIEW_MISSING ? -EBADMSG : r;
}

int chunk_define_check(struct view *v, const struct op_chunk *c)
{
	struct chunk_row row;
	const int r = chunk_load(v, c->id, &row);

	if (r)
		return r == VIEW_MISSING ? 0 : r;
	if (chunk_is_collected(&row))
		return ESTALE;
	if (row.length != c->length || row.key_epoch != c->key_epoch ||
	    memcmp(row.salt, c->salt, sizeof(row.salt)))
		return EINVAL;
	return 0;
}

int chunk_define(struct view *v, const struct op_chunk *c, uint64_t slot)
{
	struct chunk_row row = {
		.length = c->length,
		.key_epoch = c->key_epoch,
		.want = c->want,
		.policy = c->policy,
		.born = slot,
	};
	int r;

	memcpy(row.salt, c->salt, sizeof(row.salt));
	r = chunk_load(v, c->id, &row);
	if (r < 0)
		return r;
	row.stores |= c->stores;
	return chunk_store(v, c->id, &row);
}

int chunk_hold(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t bytes)
{
	struct chunk_row row;
	int r;

	r = chunk_load_known(v, id, &row);
	if (r)
		return r;
	row.live += bytes;
	row.dead = 0;
	return chunk_store(v, id, &row);
}

static int chunk_die(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct chunk_row *row,
		     uint64_t slot)
{
	row->dead = slot;
	return deficits_remove(v, id, UINT64_MAX);
}

int chunk_release(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t bytes, uint64_t slot)
{
	struct chunk_row row;
	int r;

	r = chunk_load_known(v, id, &row);
	if (r)
		return r;
	if (row.live < bytes)
		return -EBADMSG; /* (K1) */
	row.live -= bytes;
	r = row.live ? 0 : chunk_die(v, id, &row, slot);
	return r ? r : chunk_store(v, id, &row);
}

int chunk_settle(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t slot)
{
	struct chunk_row row;
	int r;

	r = chunk_load_known(v, id, &row);
	if (r || row.live || row.dead)
		return r;
	r = chunk_die(v, id, &row, slot);
	return r ? r : chunk_store(v, id, &row);
}

int chunk_stored(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t stores)
{
	struct chunk_row row;
	int r;

	r = chunk_load(v, id, &row);
	if (r)
		return r == VIEW_MISSING ? 0 : r;
	if (chunk_is_collected(&row))
		return 0;
	r = deficits_remove(v, id, stores);
	if (r || (row.stores | stores) == row.stores)
		return r;
	row.stores |= stores;
	return chunk_store(v, id, &row);
}

int chunk_lacking(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t stores)
{
	uint8_t space[DEFICIT_KEY_SIZE];
	struct chunk_row row;
	int r;

	r = chunk_load(v, id, &row);
	if (r)
		return r == VIEW_MISSING ? 0 : r;
	if (row.dead)
		return 0;
	stores &= row.want & ~row.stores;
	for (unsigned i = 0; i < STORES_MAX && r == 0; i++)
		if (stores & UINT64_C(1) << i)
			r = view_put(v, COL_DEFICIT, deficit_key(id, i, space), SPAN_NULL);
	return r;
}

int chunk_author(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct mount_row *ret)
{
	_cleanup_buf_ struct buf owner = BUF_INIT(ROW_MAX), bytes = BUF_INIT(ROW_MAX);
	int r = view_get(v, COL_BLOCK, span_of(id, 4), &owner);

	if (r)
		return r;
	if (owner.len != INCARNATION_SIZE)
		return -EBADMSG;
	r = mount_load(v, owner.data, ret, &bytes);
	ret->name = SPAN_NULL; /* borrowed */
	return r;
}

int chunk_collect(struct view *v, const uint8_t id[CHUNK_ID_SIZE], uint64_t slot, bool *ret_done)
{
	struct mount_row author;
	struct chunk_row row;
	int r = chunk_load(v, id, &row);

	*ret_done = false;
	if (r)
		return r == VIEW_MISSING ? 0 : r;
	if (!row.dead || row.dead > slot)
		return 0;
	if (!chunk_is_collected(&row)) {
		row.stores = row.want = 0;
		*ret_done = true;
		return chunk_store(v, id, &row);
	}
	r = chunk_author(v, id, &author);
	if (r < 0 || (r == 0 && (author.status == MOUNT_MOUNTED || author.slot > slot)))
		return r;
	*ret_done = true;
	return view_delete(v, COL_CHUNK, span_of(id, CHUNK_ID_SIZE));
}
