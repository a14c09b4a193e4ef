/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/repack.h"

#include "fs/data/data_i.h"

struct repack_chunk {
	struct upload *upload;
	bool committed;
};

int repack_upload(struct data *d, struct span plain, struct repack_chunk **ret)
{
	struct repack_chunk *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return fail(-ENOMEM);
	r = upload_chunk(d, plain, &c->upload);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct repack_chunk *repack_chunk_free(struct repack_chunk *c)
{
	if (!c)
		return NULL;
	if (!c->committed)
		upload_abandon(c->upload);
	upload_unref(c->upload);
	free(c);
	return NULL;
}

/* Operations under way together. */
struct batch {
	struct lock lock; /* RANK_LEAF */
	struct cond done;
	size_t left;
	uint64_t bytes;
	int error;
};

static void answered(const struct result *res, void *arg)
{
	struct batch *b = arg;

	LOCK_SCOPE(&b->lock);
	if (res->error == 0)
		b->bytes += res->value;
	else if (res->error != -ESTALE) /* the file is gone, and needs nothing */
		b->error = res->error;
	b->left--;
	cond_signal(&b->done);
}

static struct op_chunk chunk_of(struct upload *u, uint64_t want)
{
	struct op_chunk c = { .length = u->seal.length,
			      .key_epoch = u->seal.epoch,
			      .stores = upload_tell(u),
			      .want = want };

	memcpy(c.id, u->seal.id, CHUNK_ID_SIZE);
	memcpy(c.salt, u->seal.salt, sizeof(c.salt));
	return c;
}

static int submit(struct data *d, struct upload *u, const struct repack_item *it, struct batch *b)
{
	_cleanup_buf_ struct buf old = BUF_INIT(ROW_MAX);
	const struct op_chunk chunk = chunk_of(u, d->o.stores);
	struct op_extent e = { .offset = it->off,
			       .row = { .kind = EXTENT_CHUNK,
					.length = it->old.length,
					.chunk_offset = it->chunk_off } };
	struct op op = { .kind = OP_REPACK,
			 .ino = it->ino,
			 .off = it->off,
			 .extents = &e,
			 .n_extents = 1,
			 .chunks = &chunk,
			 .n_chunks = 1 };
	struct result unset;
	uint64_t no;
	int r = extent_row_encode(&it->old, &old);

	if (r)
		return r;
	memcpy(e.row.chunk, u->seal.id, CHUNK_ID_SIZE);
	op.value = buf_span(&old);
	lock_take(&b->lock);
	b->left++;
	lock_give(&b->lock);
	r = commit_submit(d->o.commit, &op, COMMIT_ORDERED, answered, b, &unset, &no);
	if (r == COMMIT_LATER)
		return 0;
	lock_take(&b->lock);
	b->left--;
	lock_give(&b->lock);
	return r;
}

int repack_commit(struct repack_chunk *c, const struct repack_item *items, size_t n,
		  uint64_t *ret_bytes)
{
	struct data *d = c->upload->data;
	struct batch b = { .left = 0 };
	int r = 0;

	lock_init(&b.lock, RANK_LEAF);
	cond_init(&b.done);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = submit(d, c->upload, &items[i], &b);
		c->committed |= r == 0; /* from now on it may be referred to */
	}
	lock_take(&b.lock);
	while (b.left) /* each is answered by the queue's deadline */
		(void)cond_wait(&b.done, &b.lock, NEVER);
	lock_give(&b.lock);
	if (c->committed)
		upload_submitted(c->upload);
	*ret_bytes = b.bytes;
	cond_release(&b.done);
	lock_release(&b.lock);
	return r ? r : b.error;
}
