/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount that ended without a word had answered with close=staged is submitted again by the
 * next one on this cache folder.
 *
 * (Z1) Its author is fenced first: so the journal says for good which of its operations were
 *      evaluated. The others follow, in order, with new numbers and new inode numbers.
 * (Z2) They carry what was seen under their names then. What others changed since decides; whoever
 *      loses is reported, and contents go to lost+found rather than away.
 * (Z3) Nothing of it reaches the journal before the takeover is on disk, so a crash anywhere in
 *      here only begins it again.
 */
#include "fs/volume_i.h"

#include <stdio.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/ns/lookup.h"

#define STAGED_SHARE 4u /* one part of the cache's limit in so many */
#define STAGED_LEAST (64 * MiB)
#define LOST_FOUND "lost+found"

/* An operation that was left. */
struct left_op {
	uint8_t author[INCARNATION_SIZE];
	size_t author_order; /* authors in the order in which they wrote */
	struct buf bytes;
	struct op op;        /* borrows from the bytes */
	uint64_t no;         /* submitted again as; 0: it was not */
};

struct renumbered {
	UT_hash_handle hh;
	uint64_t from, to;
};

struct referred {
	UT_hash_handle hh;
	uint8_t id[CHUNK_ID_SIZE];
};

struct replay {
	struct volume *v;
	struct left_op *ops;
	size_t n, cap;
	struct renumbered *inodes;
	struct referred *chunks; /* of what is submitted again */
	uint64_t lost_found;     /* the directory; 0: not needed yet */
	uint64_t *made;          /* numbers of operations that it took to save something */
	size_t n_made, cap_made;
};

static void replay_release(struct replay *r)
{
	struct renumbered *i, *next;
	struct referred *c, *after;

	for (size_t k = 0; k < r->n; k++) {
		op_release(&r->ops[k].op);
		buf_release(&r->ops[k].bytes);
	}
	free(r->ops);
	free(r->made);
	HASH_ITER(hh, r->inodes, i, next) {
		HASH_DEL(r->inodes, i);
		free(i);
	}
	HASH_ITER(hh, r->chunks, c, after) {
		HASH_DEL(r->chunks, c);
		free(c);
	}
}

int volume_staging_open(struct volume *v, char *err, size_t err_size)
{
	_cleanup_free_ char *dir = NULL;
	struct staging_options o = { .sealer = v->sealer,
				     .commit = v->commit,
				     .author = journal_incarnation(v->journal) };
	int r;

	if (v->options->read_only)
		return 0;
	if (asprintf(&dir, "%s/staged", v->cache_dir) < 0)
		return fail(-ENOMEM);
	o.dir = dir;
	o.limit_bytes = MAX(v->cache_bytes / STAGED_SHARE, STAGED_LEAST);
	r = staging_open(&o, &v->staging);
	return r ? say(r, err, err_size, "staging log %s: %s", dir, strerror(-r)) : 0;
}

/* ---- reading ---- */

static size_t order_of(const struct replay *r, const uint8_t author[INCARNATION_SIZE])
{
	const struct left_op *last = r->n ? &r->ops[r->n - 1] : NULL;

	if (!last)
		return 0;
	return last->author_order + (memcmp(last->author, author, INCARNATION_SIZE) != 0);
}

/* staging_left_fn */
static int collect(const uint8_t author[INCARNATION_SIZE], struct span bytes, void *arg)
{
	struct replay *r = arg;
	struct left_op *o;
	int result;

	if (r->n == r->cap) {
		const size_t cap = MAX(2 * r->cap, (size_t)256);
		void *v = realloc(r->ops, cap * sizeof(*r->ops));

		if (!v)
			return fail(-ENOMEM);
		r->ops = v;
		r->cap = cap;
	}
	o = &r->ops[r->n];
	*o = (struct left_op){ .author_order = order_of(r, author), .bytes = BUF_INIT(RECORD_MAX) };
	memcpy(o->author, author, INCARNATION_SIZE);
	result = buf_add_span(&o->bytes, bytes);
	if (result == 0)
		result = op_decode(buf_span(&o->bytes), &o->op);
	if (result) {
		buf_release(&o->bytes);
		return result < 0 ? result : fail(-EBADMSG);
	}
	r->n++;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct left_op *x = a, *y = b;

	if (x->author_order != y->author_order)
		return x->author_order < y->author_order ? -1 : 1;
	return x->op.number < y->op.number ? -1 : x->op.number > y->op.number;
}

/* The last of the author's operations that was evaluated, for good (Z1). */
static int last_of(struct volume *v, const uint8_t author[INCARNATION_SIZE], uint64_t *ret)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(ROW_MAX);
	struct mount_row row = { 0 };
	int r = volume_fence(v, author);

	if (r < 0)
		return r;
	r = ns_mount(commit_lock(v->commit), author, &row, &bytes);
	commit_unlock(v->commit);
	*ret = r ? 0 : row.last;
	return r < 0 ? r : 0;
}

/* ---- submitting again ---- */

static uint64_t renumber(const struct replay *r, uint64_t ino)
{
	struct renumbered *i;

	HASH_FIND(hh, r->inodes, &ino, sizeof(ino), i);
	return i ? i->to : ino;
}

static void renumber_all(const struct replay *r, struct op *op)
{
	op->ino = renumber(r, op->ino);
	op->parent = renumber(r, op->parent);
	op->to_parent = renumber(r, op->to_parent);
	op->to = renumber(r, op->to);
	op->saw = renumber(r, op->saw);
	op->saw_to = renumber(r, op->saw_to);
}

/* Inode numbers are given by a mount's own blocks only. */
static int new_number(struct replay *r, uint64_t from, uint64_t *ret)
{
	struct renumbered *i = calloc(1, sizeof(*i)), *old;
	int result = i ? commit_new_ino(r->v->commit, ret) : fail(-ENOMEM);

	if (result) {
		free(i);
		return result;
	}
	HASH_FIND(hh, r->inodes, &from, sizeof(from), old);
	if (old) {
		HASH_DEL(r->inodes, old);
		free(old);
	}
	i->from = from;
	i->to = *ret;
	HASH_ADD(hh, r->inodes, from, sizeof(i->from), i);
	return 0;
}

static bool makes_inode(enum op_kind kind)
{
	return kind == OP_CREATE || kind == OP_MKDIR || kind == OP_SYMLINK;
}

static void ignore_result(const struct result *res, void *arg)
{
}

/* 0 with the operation's own error in *ret; or this machine's. */
static int submit(struct replay *r, const struct op *op, uint64_t *ret_no, int *ret)
{
	struct result res = { 0 };
	const int result = commit_submit(r->v->commit, op, COMMIT_AGAIN, ignore_result, NULL, &res,
					 ret_no);

	*ret = res.error;
	return result < 0 ? result : 0;
}

/* One more operation, of our own: released with the others (Z3). */
static int submit_own(struct replay *r, const struct op *op, int *ret)
{
	uint64_t no;
	int result;

	if (r->n_made == r->cap_made) {
		const size_t cap = 2 * r->cap_made + 16;
		void *v = realloc(r->made, cap * sizeof(*r->made));

		if (!v)
			return fail(-ENOMEM);
		r->made = v;
		r->cap_made = cap;
	}
	result = submit(r, op, &no, ret);
	if (result == 0 && *ret == 0)
		r->made[r->n_made++] = no;
	return result;
}

/* The directory for what has no place any more. 0; an operation's error in *ret. */
static int find_lost_found(struct replay *r, const struct op *like, int *ret)
{
	struct op mkdir = { .kind = OP_MKDIR,
			    .parent = ROOT_INO,
			    .name = span_str(LOST_FOUND),
			    .mode = S_IFDIR | 0700,
			    .time_ns = like->time_ns };
	int result;

	*ret = 0;
	if (r->lost_found)
		return 0;
	result = ns_lookup(commit_lock(r->v->commit), ROOT_INO, mkdir.name, &r->lost_found, NULL);
	commit_unlock(r->v->commit);
	if (result != NS_MISSING)
		return result;
	result = commit_new_ino(r->v->commit, &mkdir.ino);
	if (result == 0)
		result = submit_own(r, &mkdir, ret);
	r->lost_found = result || *ret ? 0 : mkdir.ino;
	return result;
}

/* The same object under another name, where nothing is in its way (Z2). */
static int make_elsewhere(struct replay *r, const struct op *op, uint64_t was, int *ret)
{
	char name[NAME_MAX_BYTES + 1];
	struct op elsewhere = *op;
	int result = find_lost_found(r, op, ret);

	if (result || *ret)
		return result;
	snprintf(name, sizeof(name), "%016llx-%.*s", (unsigned long long)was,
		 (int)MIN(op->name.len, (size_t)200), (const char *)op->name.data);
	elsewhere.parent = r->lost_found;
	elsewhere.name = span_str(name);
	return submit_own(r, &elsewhere, ret);
}

/* A file for contents whose own is gone. */
static int write_elsewhere(struct replay *r, struct op *write, uint64_t *ret_no, int *ret)
{
	struct op create = { .kind = OP_CREATE,
			     .mode = S_IFREG | 0600,
			     .uid = write->uid,
			     .gid = write->gid,
			     .name = SPAN_LITERAL("contents"),
			     .time_ns = write->time_ns };
	const uint64_t was = write->ino;
	int result = new_number(r, was, &create.ino);

	if (result == 0)
		result = make_elsewhere(r, &create, was, ret);
	if (result || *ret)
		return result;
	write->ino = create.ino;
	return submit(r, write, ret_no, ret);
}

static void tell_conflict(struct replay *r, const struct op *op, int error, int after)
{
	const bool kept = !after && (makes_inode(op->kind) || op->kind == OP_WRITE);

	r->v->staged.conflicts++;
	log_warn("volume", "a staged change meets what others changed since",
		 "operation=%s inode=%llu error=\"%s\" kept=%s", op_kind_name(op->kind),
		 (unsigned long long)op->ino, strerror(-error), kept ? "/" LOST_FOUND : "no");
}

static int conflict(struct replay *r, struct op *op, uint64_t was, int error, uint64_t *ret_no)
{
	int after = error, result = 0;

	if (makes_inode(op->kind))
		result = make_elsewhere(r, op, was, &after);
	else if (op->kind == OP_WRITE && error == -ESTALE)
		result = write_elsewhere(r, op, ret_no, &after);
	if (after || makes_inode(op->kind))
		*ret_no = 0; /* what was made instead is released as our own */
	if (result == 0)
		tell_conflict(r, op, error, after);
	return result;
}

/* Are the chunks that it names somewhere? */
static bool has_contents(struct replay *r, const struct op *op)
{
	for (size_t i = 0; i < op->n_chunks; i++)
		if (!op->chunks[i].stores &&
		    !stage_has(staging_chunks(r->v->staging), op->chunks[i].id))
			return false;
	return true;
}

/* Removed, and not reaped yet: what is written there nobody would ever read. */
static bool has_no_name(struct replay *r, uint64_t ino)
{
	struct inode_view iv = { .bytes = BUF_INIT(ROW_MAX) };
	const int result = ns_inode(commit_lock(r->v->commit), ino, &iv);
	const bool orphan = result == 0 && iv.row.nlink == 0;

	commit_unlock(r->v->commit);
	buf_release(&iv.bytes);
	return orphan;
}

static int note_chunks(struct replay *r, const struct op *op)
{
	for (size_t i = 0; i < op->n_chunks; i++) {
		struct referred *c = calloc(1, sizeof(*c)), *old;

		if (!c)
			return fail(-ENOMEM);
		memcpy(c->id, op->chunks[i].id, CHUNK_ID_SIZE);
		HASH_REPLACE(hh, r->chunks, id, CHUNK_ID_SIZE, c, old);
		free(old);
	}
	return 0;
}

static int again(struct replay *r, struct left_op *o)
{
	struct op *op = &o->op;
	const uint64_t was = op->ino;
	int error = 0, result = 0;

	if (op->kind < OP_CREATE)
		return 0; /* of its mount, which is over */
	if (op->kind == OP_WRITE && !has_contents(r, op)) {
		r->v->staged.lost++;
		log_error("volume", "a staged write cannot go on: the disk lost its data",
			  "inode=%llu", (unsigned long long)op->ino);
		return 0;
	}
	renumber_all(r, op);
	if (makes_inode(op->kind))
		result = new_number(r, was, &op->ino);
	if (op->kind == OP_WRITE && has_no_name(r, op->ino))
		error = -ESTALE;
	else if (result == 0)
		result = submit(r, op, &o->no, &error);
	if (result == 0 && error) {
		o->no = 0;
		result = conflict(r, op, was, error, &o->no);
	}
	if (result == 0 && o->no) {
		r->v->staged.replayed++;
		result = note_chunks(r, op);
	}
	return result;
}

static int again_all(struct replay *r)
{
	uint64_t last = 0;
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->n; i++) {
		struct left_op *o = &r->ops[i], *before = i ? o - 1 : NULL;

		if (!before || before->author_order != o->author_order)
			result = last_of(r->v, o->author, &last);
		else if (before->op.number == o->op.number)
			continue; /* written again after a failure */
		if (result == 0 && o->op.number > last)
			result = again(r, o);
	}
	return result;
}

/* ---- afterwards ---- */

/* The takeover is on disk: what was submitted goes on. */
static int let_go(struct replay *r)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->n_made; i++)
		result = commit_release(r->v->commit, r->made[i], NULL, 0);
	for (size_t i = 0; result == 0 && i < r->n; i++) {
		const struct left_op *o = &r->ops[i];

		if (!o->no)
			continue;
		result = o->op.n_chunks && o->op.kind == OP_WRITE
				 ? data_adopt(r->v->data, &o->op, o->no)
				 : commit_release(r->v->commit, o->no, NULL, 0);
	}
	return result;
}

struct sweep {
	struct replay *r;
	uint8_t (*ids)[STAGE_ID_SIZE];
	size_t n, cap;
};

static int find_unreferred(const uint8_t id[STAGE_ID_SIZE], struct span head, uint64_t bytes,
			   void *arg)
{
	struct sweep *s = arg;
	struct referred *c;

	HASH_FIND(hh, s->r->chunks, id, CHUNK_ID_SIZE, c);
	if (c)
		return 0;
	if (s->n == s->cap) {
		void *v = realloc(s->ids, (s->cap = 2 * s->cap + 64) * sizeof(*s->ids));

		if (!v)
			return fail(-ENOMEM);
		s->ids = v;
	}
	memcpy(s->ids[s->n++], id, STAGE_ID_SIZE);
	return 0;
}

/* Chunks whose WRITE was evaluated have their copies; the others were never answered for. */
static int drop_unreferred(struct replay *r)
{
	struct sweep s = { .r = r };
	struct stage *stage = staging_chunks(r->v->staging);
	const int result = stage_walk(stage, find_unreferred, &s);

	for (size_t i = 0; i < s.n; i++)
		stage_drop(stage, s.ids[i]);
	free(s.ids);
	return result;
}

static void tell(const struct volume *v)
{
	if (v->staged.replayed || v->staged.conflicts || v->staged.lost)
		log_info("volume", "staged changes of an earlier mount go on",
			 "operations=%llu conflicts=%llu lost=%llu",
			 (unsigned long long)v->staged.replayed,
			 (unsigned long long)v->staged.conflicts,
			 (unsigned long long)v->staged.lost);
}

int volume_staging_replay(struct volume *v, char *err, size_t err_size)
{
	_cleanup_(replay_release) struct replay r = { .v = v };
	uint64_t broken = 0;
	int result;

	if (!v->staging)
		return 0;
	result = staging_left(v->staging, collect, &r, &broken);
	if (result == 0 && r.n)
		qsort(r.ops, r.n, sizeof(*r.ops), by_number);
	v->staged.lost = broken;
	if (result == 0)
		result = again_all(&r);
	if (result == 0)
		result = staging_take(v->staging);
	if (result == 0)
		result = let_go(&r);
	if (result == 0)
		result = drop_unreferred(&r);
	if (result)
		return say(result, err, err_size,
			   "%s/staged: what an earlier mount staged cannot be taken over: %s",
			   v->cache_dir, strerror(-result));
	tell(v);
	return 0;
}
