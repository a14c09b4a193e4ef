/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign contents become sealed chunks. Several tasks take files from one walk over the namespace.
 *
 * (S1) Small contents share a chunk; large ones have chunks of their own, which are committed when
 *      all of the object was read and found right.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/log.h"
#include "fs/data/repack.h"
#include "fs/import_i.h"

#define SEALERS 8
#define SMALL (2 * (uint64_t)MiB)
#define HEAD_NS (15 * NS_PER_S)
#define BATCH 512u    /* files known ahead */
#define PACK_MAX 512u /* files in one chunk */

/* ---- the walk ---- */

struct place {
	uint64_t dir, cursor;
};
struct walk {
	struct import *im;
	struct lock lock; /* RANK_VOLUME */
	struct place *dirs;
	size_t n_dirs, cap_dirs;
	uint64_t files[BATCH];
	unsigned n_files;
	unsigned seen; /* entries of this batch */
	uint64_t cursor;
};

static int push_dir(struct walk *w, uint64_t dir, uint64_t cursor)
{
	if (w->n_dirs == w->cap_dirs) {
		const size_t cap = MAX(w->cap_dirs * 2, (size_t)64);
		struct place *dirs = realloc(w->dirs, cap * sizeof(*dirs));

		if (!dirs)
			return fail(-ENOMEM);
		w->dirs = dirs;
		w->cap_dirs = cap;
	}
	w->dirs[w->n_dirs++] = (struct place){ .dir = dir, .cursor = cursor };
	return 0;
}

/* ns_entry_fn */
static int on_entry(struct span name, uint64_t ino, uint32_t type, uint64_t cursor, void *arg)
{
	struct walk *w = arg;
	int r = S_ISDIR(type) ? push_dir(w, ino, 0) : 0;

	if (S_ISREG(type))
		w->files[w->n_files++] = ino;
	w->cursor = cursor;
	return r ? r : ++w->seen == BATCH;
}

/* Some entries of the directory that was found last. */
static int read_dir(struct walk *w)
{
	const struct place at = w->dirs[--w->n_dirs];
	struct commit *c = w->im->volume->commit;
	const size_t below = w->n_dirs;
	int r;

	w->seen = 0;
	w->cursor = at.cursor;
	r = ns_readdir(commit_lock(c), at.dir, at.cursor, on_entry, w);
	commit_unlock(c);
	if (r < 0)
		return r;
	if (w->seen < BATCH)
		return 0;
	r = push_dir(w, at.dir, w->cursor);
	if (r == 0 && below < w->n_dirs - 1) { /* its subdirectories come first */
		const struct place rest = w->dirs[w->n_dirs - 1];

		w->dirs[w->n_dirs - 1] = w->dirs[below];
		w->dirs[below] = rest;
	}
	return r;
}

/* *ret: 0 at the end. */
static int next_file(struct walk *w, uint64_t *ret)
{
	int r = 0;

	LOCK_SCOPE(&w->lock);
	*ret = 0;
	while (r == 0 && !w->n_files && w->n_dirs)
		r = import_stopping(w->im) ? -ECANCELED : read_dir(w);
	if (r == 0 && w->n_files)
		*ret = w->files[--w->n_files];
	return r;
}

/* ---- one task ---- */

/* A foreign extent of a file, with its reference; copied from the namespace. */
struct piece_of_file {
	uint64_t ino, off;
	struct extent_row row;
	uint8_t reference[FOREIGN_REFERENCE_MAX];
};

/* What lies in the pack. */
struct packed {
	struct repack_item item;
	uint8_t *reference;
	bool verified;
};

struct sealer_task {
	struct import *im;
	struct walk *walk;
	struct task *task;
	int error;
	struct buf pack;
	struct packed items[PACK_MAX];
	unsigned n;
};

static int find_foreign(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct piece_of_file *p = arg;

	if (row->kind != EXTENT_FOREIGN)
		return 0;
	p->off = offset;
	p->row = *row;
	memcpy(p->reference, row->bytes.data, row->bytes.len);
	p->row.bytes = span_of(p->reference, row->bytes.len);
	return 1;
}

/* The next foreign extent from `from` on. 0, or 1: there is none. */
static int next_foreign(struct import *im, uint64_t ino, uint64_t from, struct piece_of_file *ret)
{
	struct view *v = commit_lock(im->volume->commit);
	int r;

	ret->ino = ino;
	ret->row.length = 0;
	r = ns_extents(v, ino, from, UINT64_MAX, find_foreign, ret);
	commit_unlock(im->volume->commit);
	return r < 0 ? r : !ret->row.length;
}

/* ---- is it what the store has? ---- */

/* The MD5 of the object, in the version that is read, if its store knows one. */
static bool known_md5(struct import *im, const struct foreign *f, uint8_t ret[MD5_LEN])
{
	const struct head_req req = { .name = f->key, .deadline_ns = clock_now() + HEAD_NS };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct store *store;
	char err[256];

	if (sources_store(im->volume->sources, f->source, &store, err, sizeof(err)) ||
	    store_head_wait(store, &req, &call) != 0 || !call->has_md5 ||
	    !span_equal(span_str(call->version), f->version))
		return false;
	memcpy(ret, call->md5, MD5_LEN);
	return true;
}

static bool is_whole(const struct piece_of_file *p, const struct foreign *f)
{
	return p->row.foreign_offset == 0 && p->row.length == f->size;
}

/*
 * Is what was read (its MD5) the object? 0 and *ret_verified; -EIO: it is not. A part of an object,
 * and one whose store knows no MD5, were read under a condition on the version.
 */
static int judge(struct import *im, const struct piece_of_file *p, const uint8_t got[MD5_LEN],
		 bool *ret_verified)
{
	uint8_t known[MD5_LEN];
	struct foreign f;

	*ret_verified = false;
	if (foreign_decode(p->row.bytes, &f) || !is_whole(p, &f) || !known_md5(im, &f, known))
		return 0;
	*ret_verified = true;
	return memcmp(got, known, MD5_LEN) == 0 ? 0 : fail(-EIO);
}

/* ---- small contents ---- */

static void count_sealed(struct import *im, uint64_t bytes, bool verified)
{
	import_count(im, &im->sync.n.sealed_files, &im->sync.n.sealed_bytes, bytes);
	if (!verified)
		import_count(im, &im->sync.n.unverified, NULL, 0);
}

static void forget_pack(struct sealer_task *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free(t->items[i].reference);
	t->n = 0;
	buf_clear(&t->pack);
}

static int send_pack(struct sealer_task *t)
{
	_cleanup_(repack_chunk_freep) struct repack_chunk *c = NULL;
	struct repack_item items[PACK_MAX];
	uint64_t replaced;
	int r;

	if (!t->n)
		return 0;
	for (unsigned i = 0; i < t->n; i++)
		items[i] = t->items[i].item;
	r = repack_upload(t->im->volume->data, buf_span(&t->pack), &c);
	if (r == 0)
		r = repack_commit(c, items, t->n, &replaced);
	for (unsigned i = 0; i < t->n && r == 0; i++)
		count_sealed(t->im, items[i].old.length, t->items[i].verified);
	forget_pack(t);
	return r;
}

static int add_to_pack(struct sealer_task *t, const struct piece_of_file *p, struct span plain,
		       bool verified)
{
	struct packed *at = &t->items[t->n];
	const uint32_t chunk_off = (uint32_t)t->pack.len;
	int r = buf_add_span(&t->pack, plain);

	if (r)
		return r;
	*at = (struct packed){ .item = { .ino = p->ino,
					 .off = p->off,
					 .old = p->row,
					 .chunk_off = chunk_off },
			       .reference = malloc(p->row.bytes.len),
			       .verified = verified };
	if (!at->reference)
		return fail(-ENOMEM);
	memcpy(at->reference, p->reference, p->row.bytes.len);
	at->item.old.bytes = span_of(at->reference, p->row.bytes.len);
	t->n++;
	return 0;
}

static int seal_small(struct sealer_task *t, const struct piece_of_file *p)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(SMALL);
	uint8_t sum[MD5_LEN];
	bool verified;
	int r = sources_fetch(t->im->volume->sources, p->row.bytes, p->row.foreign_offset,
			      p->row.length, &plain);

	if (r)
		return r;
	md5(buf_span(&plain), sum);
	r = judge(t->im, p, sum, &verified);
	if (r == 0 && (t->n == PACK_MAX || t->pack.len + plain.len > CHUNK_MAX))
		r = send_pack(t);
	return r ? r : add_to_pack(t, p, buf_span(&plain), verified);
}

/* ---- large contents ---- */

struct large {
	struct repack_chunk **chunks;
	size_t n;
};

static void large_release(struct large *l)
{
	for (size_t i = 0; i < l->n; i++)
		repack_chunk_free(l->chunks[i]);
	free(l->chunks);
}

static int send_one(struct sealer_task *t, const struct piece_of_file *p, struct large *l,
		    struct md5 *h)
{
	const uint64_t at = l->n * (uint64_t)CHUNK_MAX;
	const size_t len = MIN(p->row.length - at, (uint64_t)CHUNK_MAX);
	_cleanup_buf_ struct buf plain = BUF_INIT(CHUNK_MAX);
	int r = import_stopping(t->im) ? -ECANCELED
				       : sources_fetch(t->im->volume->sources, p->row.bytes,
						       p->row.foreign_offset + at, len, &plain);

	if (r)
		return r;
	md5_update(h, buf_span(&plain));
	r = repack_upload(t->im->volume->data, buf_span(&plain), &l->chunks[l->n]);
	if (r == 0)
		l->n++;
	return r;
}

static int commit_large(struct sealer_task *t, const struct piece_of_file *p,
			const struct large *l)
{
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		const uint64_t at = i * (uint64_t)CHUNK_MAX;
		struct repack_item item = { .ino = p->ino, .off = p->off + at, .old = p->row };
		uint64_t replaced;

		item.old.foreign_offset += at;
		item.old.length = MIN(p->row.length - at, (uint64_t)CHUNK_MAX);
		r = repack_commit(l->chunks[i], &item, 1, &replaced);
	}
	return r;
}

static int seal_large(struct sealer_task *t, const struct piece_of_file *p)
{
	const size_t n = (size_t)((p->row.length + CHUNK_MAX - 1) / CHUNK_MAX);
	_cleanup_(large_release) struct large l = { .chunks = calloc(n, sizeof(*l.chunks)) };
	_cleanup_(md5_freep) struct md5 *h = md5_new();
	uint8_t sum[MD5_LEN];
	bool verified;
	int r = l.chunks && h ? 0 : fail(-ENOMEM);

	while (r == 0 && l.n < n)
		r = send_one(t, p, &l, h);
	if (r)
		return r;
	md5_final(h, sum);
	r = judge(t->im, p, sum, &verified);
	if (r == 0)
		r = commit_large(t, p, &l);
	if (r == 0)
		count_sealed(t->im, p->row.length, verified);
	return r;
}

/* ---- files ---- */

/* What is wrong with one object leaves that file as it is. */
static int note_failed(struct sealer_task *t, const struct piece_of_file *p, int r)
{
	struct foreign f;

	if ((r != -EIO && r != -EACCES && r != -ETIMEDOUT) || foreign_decode(p->row.bytes, &f))
		return r;
	import_refuse(t->im, &t->im->sync.n.failed, f.key,
		      r == -EACCES ? "its bucket cannot be read"
				   : "its object cannot be read, or is another one now");
	return 0;
}

static int seal_file(struct sealer_task *t, uint64_t ino)
{
	struct piece_of_file p;
	uint64_t from = 0;
	int r;

	while ((r = next_foreign(t->im, ino, from, &p)) == 0) {
		from = p.off + p.row.length;
		r = p.row.length <= SMALL ? seal_small(t, &p) : seal_large(t, &p);
		if (r)
			r = note_failed(t, &p, r);
		if (r)
			return r;
	}
	return MIN(r, 0);
}

static void seal_files(void *arg)
{
	struct sealer_task *t = arg;
	uint64_t ino = 1;
	int r = 0;

	while (r == 0 && ino) {
		r = import_stopping(t->im) ? -ECANCELED : next_file(t->walk, &ino);
		if (r == 0 && ino)
			r = seal_file(t, ino);
	}
	if (r == 0 || r == -ECANCELED) {
		const int sent = send_pack(t);

		r = sent ? sent : r;
	}
	if (r && r != -ECANCELED)
		import_fail(t->im, r, "contents cannot be stored: %s", strerror(-r));
	forget_pack(t);
	buf_release(&t->pack);
	t->error = r;
}

static int run_tasks(struct walk *w)
{
	struct sealer_task *all = calloc(SEALERS, sizeof(*all));
	int r = 0;

	if (!all)
		return fail(-ENOMEM);
	for (unsigned i = 0; i < SEALERS; i++) {
		all[i].im = w->im;
		all[i].walk = w;
		all[i].pack = BUF_INIT(CHUNK_MAX);
		all[i].task = task_start("seal", seal_files, &all[i]);
		if (!all[i].task)
			r = import_fail(w->im, fail(-ENOMEM), "no thread");
	}
	for (unsigned i = 0; i < SEALERS; i++) {
		if (all[i].task)
			task_join(all[i].task);
		r = r ? r : all[i].error;
	}
	free(all);
	return r;
}

int import_seal(struct import *im)
{
	struct walk w = { .im = im };
	int r = 0;

	lock_init(&w.lock, RANK_VOLUME);
	if (im->is_dir)
		r = push_dir(&w, im->ino, 0);
	else
		w.files[w.n_files++] = im->ino;
	if (r == 0)
		r = run_tasks(&w);
	free(w.dirs);
	lock_release(&w.lock);
	return r;
}
