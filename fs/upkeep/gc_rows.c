/* SPDX-License-Identifier: Apache-2.0 */
/* What the namespace forgets: inodes without a name, and chunks without a byte that lives. */
#include "fs/ns/chunk.h"
#include "fs/ns/lookup.h"
#include "fs/upkeep/gc_i.h"

#define ORPHANS 256
#define CHUNKS 1024 /* of one operation */

/* ---- orphans ---- */

struct orphans {
	struct gc *g;
	struct view *view;
	uint64_t last; /* seen */
	size_t n;
	struct {
		uint64_t ino, slot;
	} all[ORPHANS];
};

static int on_orphan(uint64_t ino, const struct orphan_row *row, void *arg)
{
	struct orphans *o = arg;
	struct inode_view i = { .bytes = BUF_INIT(ROW_MAX) };
	int r;

	o->last = ino;
	if (row->slot > o->g->rep.slot)
		return 0;
	r = ns_inode(o->view, ino, &i);
	if (!r) {
		o->g->rep.orphans.n++;
		o->g->rep.orphans.bytes += i.row.bytes;
	}
	buf_release(&i.bytes);
	o->all[o->n].ino = ino;
	o->all[o->n].slot = row->slot;
	return r < 0 ? r : ++o->n == ORPHANS;
}

static void ignore_result(const struct result *res, void *arg)
{
}

/* Whoever held one since says so in its row: then the operation has no effect. */
static int reap(struct gc *g, const struct orphans *o)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct op op = { .kind = OP_REAP,
				       .ino = o->all[i].ino,
				       .saw = o->all[i].slot };
		struct result res;
		uint64_t no;
		const int r = commit_submit(g->o->commit, &op, COMMIT_EARLY, ignore_result, NULL,
					    &res, &no);

		if (r < 0)
			return r;
	}
	return o->n ? commit_sync_wait(g->o->commit, 0, clock_now() + GC_COMMIT_NS) : 0;
}

static int collect_orphans(struct gc *g)
{
	struct orphans o = { .g = g };
	int r;

	do {
		o.n = 0;
		o.view = commit_lock(g->o->commit);
		r = ns_orphans(o.view, o.last, on_orphan, &o);
		commit_unlock(g->o->commit);
		if (!r && !g->dry_run)
			r = reap(g, &o);
	} while (!r && o.n == ORPHANS && !gc_is_stopped(g));
	return r;
}

/* ---- dead chunks ---- */

struct dead {
	struct gc *g;
	struct op_chunk all[CHUNKS];
	size_t n;
};

static int forget(struct gc *g, const struct dead *d)
{
	const struct op op = { .kind = OP_COLLECT,
			       .saw = g->rep.slot,
			       .size = g->rep.grace_s,
			       .chunks = d->all,
			       .n_chunks = d->n };
	struct result res;

	if (g->dry_run)
		return 0;
	return commit_op_wait(g->o->commit, &op, clock_now() + GC_COMMIT_NS, &res);
}

/* The mark of a chunk that was collected stays until its author has ended (K4). */
static int may_go(struct gc *g, const uint8_t id[CHUNK_ID_SIZE], const struct chunk_row *row,
		  bool *ret)
{
	struct mount_row author;
	int r;

	*ret = row->dead && row->dead <= g->rep.slot;
	if (!*ret || !chunk_is_collected(row))
		return 0;
	r = ns_chunk_author(commit_lock(g->o->commit), id, &author);
	commit_unlock(g->o->commit);
	*ret = r || (author.status != MOUNT_MOUNTED && author.slot <= g->rep.slot);
	return r < 0 ? r : 0;
}

static int on_chunk(struct dead *d, struct span key, struct span value)
{
	struct gc *g = d->g;
	struct chunk_row row;
	bool goes;
	int r;

	if (key.len != CHUNK_ID_SIZE || chunk_row_decode(value, &row))
		return fail(-EBADMSG);
	r = may_go(g, key.data, &row, &goes);
	if (r || !goes)
		return r;
	d->all[d->n] = (struct op_chunk){ .stores = 0 };
	memcpy(d->all[d->n++].id, key.data, CHUNK_ID_SIZE);
	if (!chunk_is_collected(&row)) {
		g->rep.dead.n++;
		g->rep.dead.bytes += row.length;
	}
	if (d->n < CHUNKS)
		return 0;
	r = forget(g, d);
	d->n = 0;
	return r;
}

static int walk_chunks(struct gc *g, struct dead *d)
{
	struct commit_snapshot snap;
	struct kv_iter *it;
	int r = commit_snapshot(g->o->commit, &snap);

	if (r)
		return r;
	it = snap.columns[COL_CHUNK];
	for (kv_iter_seek(it, SPAN_NULL); kv_iter_valid(it) && !r; kv_iter_next(it)) {
		g->o->progress->done++;
		r = gc_is_stopped(g) ? -ECANCELED :
				       on_chunk(d, kv_iter_key(it), kv_iter_value(it));
	}
	if (!r)
		r = kv_iter_error(it);
	commit_snapshot_release(&snap);
	return r;
}

static int collect_dead(struct gc *g)
{
	struct dead *d = calloc(1, sizeof(*d));
	int r = d ? 0 : fail(-ENOMEM);

	if (r)
		return r;
	d->g = g;
	if (g->rep.any_slot)
		r = walk_chunks(g, d);
	/* Without a chunk, too: so that every mount goes by the grace that is waited. */
	if (!r && (d->n || g->is_new_grace))
		r = forget(g, d);
	free(d);
	return r;
}

static int count_mounted(const uint8_t incarnation[INCARNATION_SIZE], const struct mount_row *row,
			 void *arg)
{
	struct gc *g = arg;

	g->rep.mounted += row->status == MOUNT_MOUNTED &&
			  memcmp(incarnation, g->me, INCARNATION_SIZE) != 0;
	return 0;
}

int gc_rows(struct gc *g)
{
	int r;

	r = ns_mounts(commit_lock(g->o->commit), count_mounted, g);
	commit_unlock(g->o->commit);
	if (!r && g->rep.any_slot && g->judges_orphans)
		r = collect_orphans(g);
	return r ? r : collect_dead(g);
}
