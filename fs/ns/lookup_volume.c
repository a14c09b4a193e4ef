/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the volume, its mounts, stores, chunks and orphans. */
#include "fs/ns/foreign.h"
#include "fs/ns/chunk.h"
#include "fs/ns/lookup.h"
#include "fs/ns/row_io.h"

static int answer(int r)
{
	return r == VIEW_MISSING ? NS_MISSING : r;
}

int ns_volume(struct view *v, struct volume_row *ret, struct buf *ret_bytes)
{
	return answer(volume_load(v, ret, ret_bytes));
}

int ns_totals(struct view *v, struct totals_row *ret)
{
	return answer(totals_load(v, ret));
}

int ns_checkpoint(struct view *v, struct checkpoint_row *ret)
{
	return answer(checkpoint_row_load(v, ret));
}

int ns_grace(struct view *v, struct grace_row *ret)
{
	const int r = grace_row_load(v, ret);

	if (r == VIEW_MISSING)
		*ret = (struct grace_row){ .seconds = GRACE_DEFAULT_S };
	return r == VIEW_MISSING ? 0 : r;
}

int ns_chunk_author(struct view *v, const uint8_t id[CHUNK_ID_SIZE], struct mount_row *ret)
{
	return answer(chunk_author(v, id, ret));
}

int ns_mount(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], struct mount_row *ret,
	     struct buf *ret_bytes)
{
	return answer(mount_load(v, incarnation, ret, ret_bytes));
}

int ns_result(struct view *v, const uint8_t incarnation[INCARNATION_SIZE], uint64_t number,
	      struct result_row *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row;
	int r;

	r = mount_load(v, incarnation, &row, &bytes);
	if (r)
		return answer(r);
	if (number > row.last || row.last - number >= MOUNT_RESULTS)
		return NS_MISSING;
	return answer(result_load(v, incarnation, number, ret));
}

/* Every walk of this file: the caller's function and its argument, by the kind of row. */
struct walk {
	union {
		ns_mount_fn *mount;
		ns_store_fn *store;
		ns_keyslot_fn *keyslot;
		ns_chunk_fn *chunk;
		ns_deficit_fn *deficit;
		ns_orphan_fn *orphan;
		ns_attach_fn *attach;
	} fn;
	void *arg;
	struct span after; /* the key with which the walk begins is left out; empty: it is not */
};

static int mount_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct mount_row row;
	const int r = key.len == INCARNATION_SIZE ? mount_row_decode(value, &row) : -EBADMSG;

	return r ? r : w->fn.mount(key.data, &row, w->arg);
}

int ns_mounts(struct view *v, ns_mount_fn *fn, void *arg)
{
	struct walk w = { .fn.mount = fn, .arg = arg };

	return view_walk(v, COL_MOUNT, SPAN_NULL, SPAN_NULL, mount_one, &w);
}

static int store_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct store_row row;
	const int r = key.len == 1 ? store_row_decode(value, &row) : -EBADMSG;

	return r ? r : w->fn.store(key.data[0], &row, w->arg);
}

int ns_stores(struct view *v, ns_store_fn *fn, void *arg)
{
	struct walk w = { .fn.store = fn, .arg = arg };

	return view_walk(v, COL_STORE, SPAN_NULL, SPAN_NULL, store_one, &w);
}

static int keyslot_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;

	return key.len == 1 ? w->fn.keyslot(key.data[0], value, w->arg) : -EBADMSG;
}

int ns_keyslots(struct view *v, ns_keyslot_fn *fn, void *arg)
{
	struct walk w = { .fn.keyslot = fn, .arg = arg };

	return view_walk(v, COL_KEYSLOT, SPAN_NULL, SPAN_NULL, keyslot_one, &w);
}

static int chunk_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct chunk_row row;
	const int r = key.len == CHUNK_ID_SIZE ? chunk_row_decode(value, &row) : -EBADMSG;

	return r ? r : w->fn.chunk(key.data, &row, w->arg);
}

int ns_chunks(struct view *v, const uint8_t *from, ns_chunk_fn *fn, void *arg)
{
	struct walk w = { .fn.chunk = fn, .arg = arg };

	return view_walk(v, COL_CHUNK, SPAN_NULL, span_of(from, from ? CHUNK_ID_SIZE : 0),
			 chunk_one, &w);
}

static int deficit_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;

	if (key.len != CHUNK_ID_SIZE + 1)
		return -EBADMSG;
	if (span_equal(key, w->after))
		return 0;
	return w->fn.deficit(key.data, key.data[CHUNK_ID_SIZE], w->arg);
}

int ns_deficits(struct view *v, const uint8_t *after_id, unsigned after_store, ns_deficit_fn *fn,
		void *arg)
{
	struct walk w = { .fn.deficit = fn, .arg = arg };
	uint8_t key[CHUNK_ID_SIZE + 1];

	if (after_id) {
		memcpy(key, after_id, CHUNK_ID_SIZE);
		key[CHUNK_ID_SIZE] = (uint8_t)after_store;
		w.after = span_of(key, sizeof(key));
	}
	return view_walk(v, COL_DEFICIT, SPAN_NULL, w.after, deficit_one, &w);
}

static int orphan_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct orphan_row row;
	const int r = key.len == 8 ? orphan_row_decode(value, &row) : -EBADMSG;

	if (r || span_equal(key, w->after))
		return r;
	return w->fn.orphan(key_u64(key.data), &row, w->arg);
}

int ns_orphans(struct view *v, uint64_t after, ns_orphan_fn *fn, void *arg)
{
	struct walk w = { .fn.orphan = fn, .arg = arg };
	uint8_t key[8];

	key_ino(after, key); /* there is no inode 0 to leave out */
	w.after = span_of(key, sizeof(key));
	return view_walk(v, COL_ORPHAN, SPAN_NULL, w.after, orphan_one, &w);
}

static int attach_one(struct span key, struct span value, void *arg)
{
	const struct walk *w = arg;
	struct attach_row row;
	const int r = attach_row_decode(value, &row);

	return r ? r : w->fn.attach(key, &row, w->arg);
}

int ns_attached(struct view *v, ns_attach_fn *fn, void *arg)
{
	struct walk w = { .fn.attach = fn, .arg = arg };

	return view_walk(v, COL_ATTACH, SPAN_NULL, SPAN_NULL, attach_one, &w);
}

int ns_source(struct view *v, uint32_t number, struct buf *ret_url)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct source_row row;
	uint8_t key[4];
	int r;

	key_source(number, key);
	r = view_get(v, COL_SOURCE, span_of(key, sizeof(key)), &bytes);
	if (r)
		return answer(r);
	r = source_row_decode(buf_span(&bytes), &row);
	return r ? r : buf_add_span(ret_url, row.url);
}
