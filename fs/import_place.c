/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys become names: one stack of directories follows them, and each name is an operation that is
 * counted when it is committed.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "fs/import_i.h"

#define WINDOW 16384u /* operations under way: two full records */
#define FILE_MODE 0644u
#define DIR_MODE 0755u

/* A directory on the way to the last key. */
struct level {
	size_t prefix_len; /* of the key, with its '/' */
	uint64_t ino;      /* 0: its name was refused, and what is in it */
	bool fresh;        /* made by us: nothing is in it but what we put there */
};

struct placing {
	struct import *im;
	uint32_t source;
	char prefix[STORE_NAME_MAX + 2]; /* of the innermost level */
	struct level *levels;            /* [0]: the import's own directory */
	size_t n, cap;
};

int placing_new(struct import *im, uint32_t source, struct placing **ret)
{
	_cleanup_(placing_freep) struct placing *p = calloc(1, sizeof(*p));

	if (!p)
		return fail(-ENOMEM);
	p->im = im;
	p->source = source;
	p->levels = calloc(8, sizeof(*p->levels));
	if (!p->levels)
		return fail(-ENOMEM);
	p->cap = 8;
	p->levels[p->n++] = (struct level){ .ino = im->ino };
	*ret = take_ptr(&p);
	return 0;
}

struct placing *placing_free(struct placing *p)
{
	if (!p)
		return NULL;
	placing_wait(p);
	free(p->levels);
	return free_null(p);
}

/* ---- operations ---- */

/* One that is under way. */
struct waiting {
	struct import *im;
	enum op_kind kind;
	uint64_t bytes, parent;
	bool tell;             /* this kernel may know the directory already */
	size_t key_len, name_len;
	char text[];           /* key, name */
};

static void tell_kernel(const struct waiting *w, const struct result *res)
{
	const struct op op = { .kind = w->kind,
			       .parent = w->parent,
			       .name = span_of(w->text + w->key_len, w->name_len) };

	volume_tell(w->im->volume, &op, res);
}

static void count(struct waiting *w, const struct result *res)
{
	struct import_counts *n = &w->im->sync.n;
	const struct span key = span_of(w->text, w->key_len);

	if (res->error == -EEXIST)
		import_refuse(w->im, &n->refused, key, "another machine made that name just now");
	else if (res->error == -ENOENT || res->error == -ENOTDIR)
		import_refuse(w->im, &n->refused, key, "its directory is gone");
	else if (res->error)
		import_fail(w->im, res->error, "%.*s: %s", SPAN_FMT(key), strerror(-res->error));
	else if (w->kind == OP_MKDIR)
		import_count(w->im, &n->directories, NULL, 0);
	else
		import_count(w->im, &n->files, &n->bytes, w->bytes);
	if (!res->error && w->tell)
		tell_kernel(w, res);
}

/* commit_done_fn */
static void answered(const struct result *res, void *arg)
{
	struct waiting *w = arg;
	struct import *im = w->im;

	count(w, res);
	free(w);
	LOCK_SCOPE(&im->sync.lock);
	im->sync.under_way--;
	cond_signal(&im->sync.room);
}

static void wait_room(struct import *im, unsigned most)
{
	LOCK_SCOPE(&im->sync.lock);
	while (im->sync.under_way > most) /* each is answered by the queue's deadline */
		(void)cond_wait(&im->sync.room, &im->sync.lock, NEVER);
}

void placing_wait(struct placing *p)
{
	wait_room(p->im, 0);
}

static struct waiting *waiting_new(struct placing *p, const struct op *op, struct span key,
				   bool tell)
{
	struct waiting *w = malloc(sizeof(*w) + key.len + op->name.len);

	if (!w)
		return NULL;
	*w = (struct waiting){ .im = p->im,
			       .kind = op->kind,
			       .bytes = op->size,
			       .parent = op->parent,
			       .tell = tell,
			       .key_len = key.len,
			       .name_len = op->name.len };
	memcpy(w->text, key.data ? (const void *)key.data : "", key.len);
	memcpy(w->text + key.len, op->name.data, op->name.len);
	return w;
}

static int submit(struct placing *p, const struct op *op, struct span key, bool tell)
{
	struct import *im = p->im;
	struct waiting *w = waiting_new(p, op, key, tell);
	struct result unset;
	uint64_t no;
	int r;

	if (!w)
		return fail(-ENOMEM);
	wait_room(im, WINDOW);
	lock_take(&im->sync.lock);
	im->sync.under_way++;
	lock_give(&im->sync.lock);
	r = commit_submit(im->volume->commit, op, COMMIT_ORDERED, answered, w, &unset, &no);
	if (r == COMMIT_LATER)
		return 0;
	free(w);
	lock_take(&im->sync.lock);
	im->sync.under_way--;
	lock_give(&im->sync.lock);
	return import_fail(im, r, "nothing can be written: %s", strerror(-r));
}

/* ---- directories ---- */

/* What stands under a name: its inode (0: nothing) and type. */
static int look(struct placing *p, const struct level *dir, struct span name, uint64_t *ret_ino,
		uint32_t *ret_type)
{
	struct commit *c = p->im->volume->commit;
	int r;

	*ret_ino = 0;
	if (dir->fresh)
		return 0;
	r = ns_lookup(commit_lock(c), dir->ino, name, ret_ino, ret_type);
	commit_unlock(c);
	return r == NS_MISSING ? 0 : r;
}

static int make_dir(struct placing *p, const struct level *dir, struct span name, struct span key,
		    struct level *ret)
{
	struct op op = { .kind = OP_MKDIR,
			 .uid = p->im->uid,
			 .gid = p->im->gid,
			 .parent = dir->ino,
			 .name = name,
			 .mode = DIR_MODE };
	int r = commit_new_ino(p->im->volume->commit, &op.ino);

	if (r)
		return import_fail(p->im, r, "no inode number: %s", strerror(-r));
	ret->ino = op.ino;
	ret->fresh = true;
	return submit(p, &op, key, !dir->fresh);
}

/* One directory deeper. component: of its key. */
static int enter_one(struct placing *p, struct span component, struct span key, struct level *ret)
{
	_cleanup_buf_ struct buf name = BUF_INIT(KEY_NAME_MAX);
	const struct level *dir = &p->levels[p->n - 1];
	uint32_t type = 0;
	int r = key_to_name(component, KEY_IS_DIRECTORY, &name);

	if (r == 0)
		r = look(p, dir, buf_span(&name), &ret->ino, &type);
	if (r)
		return r;
	if (!ret->ino)
		return make_dir(p, dir, buf_span(&name), key, ret);
	if (S_ISDIR(type))
		return 0;
	ret->ino = 0;
	import_refuse(p->im, &p->im->sync.n.refused, key, "a file has the name of its directory");
	return 0;
}

static int push(struct placing *p, const struct level *l)
{
	if (p->n == p->cap) {
		struct level *levels = realloc(p->levels, 2 * p->cap * sizeof(*levels));

		if (!levels)
			return fail(-ENOMEM);
		p->levels = levels;
		p->cap *= 2;
	}
	p->levels[p->n++] = *l;
	return 0;
}

static bool is_below(const struct placing *p, const struct level *l, struct span prefix)
{
	return prefix.len >= l->prefix_len && memcmp(p->prefix, prefix.data, l->prefix_len) == 0;
}

/* The directory of a prefix, which is empty or ends in '/'. */
static int enter(struct placing *p, struct span prefix)
{
	int r = 0;

	while (p->n > 1 && !is_below(p, &p->levels[p->n - 1], prefix))
		p->n--;
	memcpy(p->prefix, prefix.data ? (const void *)prefix.data : "", prefix.len);
	for (size_t at = p->levels[p->n - 1].prefix_len; r == 0 && at < prefix.len;) {
		const uint8_t *slash = memchr(prefix.data + at, '/', prefix.len - at);
		const size_t len = (size_t)(slash - prefix.data) - at;
		struct level l = { .prefix_len = at + len + 1 };

		if (p->levels[p->n - 1].ino)
			r = enter_one(p, span_sub(prefix, at, len),
				      span_sub(prefix, 0, l.prefix_len), &l);
		if (r == 0)
			r = push(p, &l);
		at = l.prefix_len;
	}
	return r;
}

/* ---- files ---- */

static int refer(const struct placing *p, struct span key, const struct list_entry *e,
		 struct buf *ret)
{
	const struct foreign f = { .source = p->source,
				   .key = key,
				   .size = e->size,
				   .version = span_str(e->version),
				   .modified_s = *e->version ? 0 : e->modified_s };

	return e->size ? foreign_encode(&f, ret) : 0;
}

struct same {
	struct span reference;
	uint64_t size;
	bool is;
};

static int is_whole(uint64_t offset, const struct extent_row *row, void *arg)
{
	struct same *s = arg;

	s->is = row->kind == EXTENT_FOREIGN && offset == 0 && row->length == s->size &&
		row->foreign_offset == 0 && span_equal(row->bytes, s->reference);
	return 1;
}

/* The same object already; or what it was made of is sealed meanwhile: size and time tell. */
static int is_present(struct placing *p, uint64_t ino, const struct list_entry *e,
		      struct span reference, bool *ret)
{
	struct view *v = commit_lock(p->im->volume->commit);
	struct same s = { .reference = reference, .size = e->size };
	struct inode_view iv;
	int r = ns_inode(v, ino, &iv);

	if (r == 0) {
		*ret = S_ISREG(iv.row.mode) && iv.row.size == e->size &&
		       iv.row.mtime_ns == e->modified_s * NS_PER_S;
		buf_release(&iv.bytes);
		if (!*ret)
			r = ns_extents(v, ino, 0, UINT64_MAX, is_whole, &s);
		*ret |= s.is;
	}
	commit_unlock(p->im->volume->commit);
	return MIN(r, 0);
}

static int there_already(struct placing *p, uint64_t ino, struct span key,
			 const struct list_entry *e, struct span reference)
{
	struct import_counts *n = &p->im->sync.n;
	bool present = false;
	int r = is_present(p, ino, e, reference, &present);

	if (r)
		return r;
	if (present)
		import_count(p->im, &n->present, NULL, 0);
	else
		import_refuse(p->im, &n->refused, key, "something else has its name");
	return 0;
}

static int adopt(struct placing *p, struct span key, struct span name, const struct list_entry *e)
{
	_cleanup_buf_ struct buf reference = BUF_INIT(FOREIGN_REFERENCE_MAX);
	const struct level *dir = &p->levels[p->n - 1];
	struct op op = { .kind = OP_ADOPT,
			 .uid = p->im->uid,
			 .gid = p->im->gid,
			 .parent = dir->ino,
			 .name = name,
			 .mode = FILE_MODE,
			 .mtime_ns = e->modified_s * NS_PER_S,
			 .size = e->size };
	uint64_t there;
	uint32_t type;
	int r = refer(p, key, e, &reference);

	if (r == 0)
		r = look(p, dir, name, &there, &type);
	if (r == 0 && there)
		return there_already(p, there, key, e, buf_span(&reference));
	if (r == 0)
		r = commit_new_ino(p->im->volume->commit, &op.ino);
	if (r)
		return r;
	op.value = buf_span(&reference);
	return submit(p, &op, key, !dir->fresh);
}

static int add_file(struct placing *p, struct span key, struct span component, enum key_kind kind,
		    const struct list_entry *e)
{
	_cleanup_buf_ struct buf name = BUF_INIT(KEY_NAME_MAX);
	int r;

	if (!p->levels[p->n - 1].ino) {
		import_count(p->im, &p->im->sync.n.refused, NULL, 0);
		return 0;
	}
	r = key_to_name(component, kind, &name);
	return r ? r : adopt(p, key, buf_span(&name), e);
}

int placing_add(struct span key, enum key_kind kind, const struct list_entry *e, void *arg)
{
	char space[STORE_NAME_MAX + 1];
	struct placing *p = arg;
	struct span prefix = key;
	int r;

	if (key.len > STORE_NAME_MAX) {
		import_refuse(p->im, &p->im->sync.n.refused, key, "its key is too long");
		return 0;
	}
	if (kind == KEY_IS_DIRECTORY) {
		memcpy(space, key.data ? (const void *)key.data : "", key.len);
		space[key.len] = '/';
		return enter(p, span_of(space, key.len + 1));
	}
	while (prefix.len && prefix.data[prefix.len - 1] != '/')
		prefix.len--;
	r = enter(p, prefix);
	return r ? r : add_file(p, key, span_sub(key, prefix.len, SIZE_MAX), kind, e);
}
