/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/bucket_i.h"

#include "base/log.h"

#include <utlist.h>

int bucket_new(const struct bucket_options *o, struct bucket **ret)
{
	_cleanup_(bucket_freep) struct bucket *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return fail(-ENOMEM);
	assert(o->number && o->number < 1u << (62 - ATTACHED_SHIFT));
	b->o = *o;
	b->root = ATTACHED_BIT | (uint64_t)o->number << ATTACHED_SHIFT | ATTACHED_ROOT;
	lock_init(&b->rows.lock, RANK_TREE);
	lock_init(&b->sync.lock, RANK_QUEUE);
	cond_init(&b->sync.changed);
	b->identity = strdup(o->identity);
	b->sync.negatives = map_new();
	if (!b->identity || !b->sync.negatives)
		return fail(-ENOMEM);
	b->o.identity = b->identity;
	r = rows_open(b);
	if (r < 0)
		return r;
	*ret = take_ptr(&b);
	return 0;
}

struct bucket *bucket_free(struct bucket *b)
{
	struct refresh *f, *next;

	if (!b)
		return NULL;
	jobs_stop(b);
	DL_FOREACH_SAFE(b->sync.refreshes, f, next)
		free(f);
	map_free(b->sync.negatives);
	cond_release(&b->sync.changed);
	lock_release(&b->sync.lock);
	lock_release(&b->rows.lock);
	free(b->identity);
	free(b);
	return NULL;
}

uint64_t bucket_root(const struct bucket *b)
{
	return b->root;
}

/* ---- one entry ---- */

/* Is what the rows say of a name, or that they say nothing, believed? */
static int is_believed(struct bucket *b, const struct want *w, const struct row *row, bool is_dir,
		       bool *ret)
{
	struct dir_row d, own = { 0 };
	struct buf key = BUF_INIT(STORE_NAME_MAX);
	struct cover cover;
	int r = dir_row_get(b, w->dir, &d);

	if (!r && row && is_dir)
		r = dir_row_get(b, row->ino, &own);
	if (r)
		return r;
	*ret = false;
	if (row && row->flags & ROW_DOUBT)
		return 0;
	*ret = belief_dir(b, w->prefix, &d, b->o.ttl_ns) ||
	       (row && belief_row(b, w->prefix, row));
	if (!*ret && own.flags & DIR_COMPLETE) {
		/* it was listed itself: then it is there */
		r = buf_add_span(&key, w->prefix) || buf_add_span(&key, w->component) ||
		    buf_add_byte(&key, '/');
		*ret = !r && belief_dir(b, buf_span(&key), &own, b->o.ttl_ns);
	}
	buf_release(&key);
	if (*ret || !b->o.ttl_ns)
		return 0;
	job_cover(b, w->dir, w->prefix, &cover);
	*ret = cover.job && cover_has(&cover, w->prefix, w->component,
				      rows_have_marks(b) ? SPAN_LITERAL(FOLDER_SUFFIX)
							 : SPAN_LITERAL("/"));
	return 0;
}

enum { ASK_STORE = 100 }; /* beside enum bucket_cond */

/* What is remembered, if it is believed. 0, BUCKET_MISSING, ASK_STORE, -errno. */
static int from_memory(struct bucket *b, const struct want *w, struct bucket_entry *ret)
{
	struct row row;
	bool is_dir, believed;
	int r = entry_find(b, w, &row, &is_dir);
	int x = r < 0 ? r : is_believed(b, w, r ? NULL : &row, is_dir, &believed);

	if (x)
		return x;
	if (!believed && r == ROW_NONE)
		believed = belief_is_negative(b, w->dir, w->component);
	if (!believed)
		return ASK_STORE;
	if (r == ROW_NONE)
		return BUCKET_MISSING;
	entry_fill(w, &row, is_dir, ret);
	return 0;
}

/* What is remembered, although it is old: because of this error. */
static int from_old_memory(struct bucket *b, const struct want *w, int error,
			   struct bucket_entry *ret)
{
	struct dir_row d;
	struct row row;
	bool is_dir;
	int r = entry_find(b, w, &row, &is_dir);

	if (r < 0 || error == -EACCES || error == -ENOMEM)
		return r < 0 ? r : error;
	if (r == ROW_NONE) {
		r = dir_row_get(b, w->dir, &d);
		if (r || !(d.flags & DIR_COMPLETE))
			return r ? r : error;
		belief_served_stale(b);
		return BUCKET_MISSING;
	}
	belief_served_stale(b);
	entry_fill(w, &row, is_dir, ret);
	return 0;
}

static int find_entry(struct bucket *b, const struct want *w, enum bucket_wait wait,
		      struct bucket_entry *ret)
{
	struct row row;
	bool is_dir;
	int r = from_memory(b, w, ret);

	if (r != ASK_STORE)
		return r;
	r = belief_failure(b, w->dir);
	if (r)
		return from_old_memory(b, w, r, ret);
	if (wait == BUCKET_NO_WAIT)
		return BUCKET_WOULD_WAIT;
	r = look(b, w);
	if (r)
		return from_old_memory(b, w, r, ret);
	r = entry_find(b, w, &row, &is_dir);
	if (r)
		return r == ROW_NONE ? BUCKET_MISSING : r;
	entry_fill(w, &row, is_dir, ret);
	return 0;
}

/* ---- names that only the listing knows ---- */

struct hashed {
	struct span name;
	struct bucket_entry *ret;
	bool found;
};

static int on_name(struct span name, const struct bucket_entry *e, void *arg)
{
	struct hashed *h = arg;

	h->found = span_equal(name, h->name);
	if (h->found)
		*h->ret = *e;
	return h->found;
}

static int find_hashed(struct bucket *b, uint64_t dir, struct span name, enum bucket_wait wait,
		       struct bucket_entry *ret)
{
	struct hashed h = { .name = name, .ret = ret };
	struct dir_read d;
	uint64_t told;
	bool stopped;
	int r = dir_read_begin(b, dir, &d);

	if (!r)
		r = dir_read_all(&d, wait);
	if (!r)
		r = dir_tell(&d, SPAN_NULL, true, on_name, &h, &told, &stopped);
	if (r)
		return r;
	return h.found ? 0 : BUCKET_MISSING;
}

static int get_dir(struct bucket *b, uint64_t dir, struct place *ret)
{
	const int r = place_get(b, dir, ret);

	if (r)
		return r == ROW_NONE ? BUCKET_MISSING : r;
	return ret->is_dir ? 0 : fail(-ENOTDIR);
}

/* Is there room for its key? */
static bool fits(const struct want *w)
{
	return w->prefix.len + w->component.len + 1 <= STORE_NAME_MAX;
}

int bucket_lookup(struct bucket *b, uint64_t dir, struct span name, enum bucket_wait wait,
		  struct bucket_entry *ret)
{
	_cleanup_buf_ struct buf component = BUF_INIT(KEY_NAME_MAX);
	struct want w = { .dir = dir, .by_name = true };
	struct place place;
	int r = get_dir(b, dir, &place);

	if (r)
		return r;
	r = key_from_name(name, &component, &w.kind);
	if (r == KEY_ASK_LISTING)
		return find_hashed(b, dir, name, wait, ret);
	if (r)
		return r == KEY_NO_NAME ? BUCKET_MISSING : r;
	w.prefix = span_str(place.key);
	w.component = buf_span(&component);
	if (!fits(&w))
		return BUCKET_MISSING;
	job_demand(b, w.prefix);
	return find_entry(b, &w, wait, ret);
}

int bucket_get(struct bucket *b, uint64_t ino, enum bucket_wait wait, struct bucket_entry *ret)
{
	struct bucket_entry e;
	struct place place, parent;
	struct want w = { 0 };
	int r = place_get(b, ino, &place);

	if (ino == b->root) {
		entry_root(b, ret);
		return 0;
	}
	if (!r)
		r = place_get(b, place.parent, &parent);
	if (r)
		return r == ROW_NONE ? BUCKET_MISSING : r;
	w.dir = place.parent;
	w.prefix = span_str(parent.key);
	w.component = span_sub(span_of(place.rel, place.rel_len), 0,
			       place.rel_len - (place.is_dir ? 1 : 0));
	w.kind = place.is_dir ? KEY_IS_DIRECTORY : place.rel_len ? KEY_IS_BESIDE : KEY_IS_MARKER;
	r = find_entry(b, &w, wait, &e);
	if (!r && e.ino != ino)
		return BUCKET_MISSING;
	if (!r)
		*ret = e;
	return r;
}

/* ---- what this mount does, and what it doubts ---- */

int bucket_number(struct bucket *b, uint64_t dir, struct span name, uint64_t *ret)
{
	struct change c;
	uint64_t ino;
	int r = change_begin(b, &c);

	if (r)
		return r;
	ino = change_number(&c);
	r = change_end(&c, 0);
	if (!r)
		*ret = ino;
	return r;
}

static struct spot spot_now(uint64_t dir, struct span prefix)
{
	return (struct spot){ .dir = dir, .prefix = prefix, .asked_ns = clock_wall(),
			      .by_itself = true };
}

int bucket_note(struct bucket *b, const struct bucket_entry *e)
{
	const struct span key = span_str(e->key);
	struct row room, seen = { .ino = e->ino, .size = e->size, .modified_s = e->modified_s };
	const struct row *old;
	struct place parent;
	struct spot at;
	struct change c;
	struct span rel;
	uint64_t ino;
	int r = get_dir(b, e->parent, &parent);

	if (r > 0 || (!r && !span_starts(key, span_str(parent.key))))
		return fail(-EIO);
	if (r)
		return r;
	rel = span_sub(key, strlen(parent.key), key.len);
	memcpy(seen.version, e->version, sizeof(seen.version));
	if (!e->is_dir)
		seen.flags = mark_flag(rel, e->size);
	r = change_begin(b, &c);
	if (r)
		return r;
	at = spot_now(e->parent, span_str(parent.key));
	r = spot_old(b, &at, rel, &room, &old);
	if (!r)
		r = spot_found(&c, &at, rel, old, &seen, &ino);
	r = change_end(&c, r);
	belief_negative(b, e->parent, rel_is_dir(rel) ? span_sub(rel, 0, rel.len - 1) : rel, false);
	return r;
}

enum aside { GONE, DOUBTED };

static int set_aside(struct bucket *b, uint64_t ino, const struct place *place, enum aside how)
{
	const struct span rel = span_of(place->rel, place->rel_len);
	struct spot at = spot_now(place->parent, SPAN_NULL);
	const struct row *old;
	struct row room, new;
	struct change c;
	int r = change_begin(b, &c);

	if (r)
		return r;
	r = spot_old(b, &at, rel, &room, &old);
	if (!r && old && old->ino == ino && how == GONE) {
		r = spot_gone(&c, &at, rel, old);
	} else if (!r && old && old->ino == ino) {
		new = *old;
		new.flags |= ROW_DOUBT;
		new.seen_ns = at.asked_ns; /* (R3) */
		r = change_row(&c, place->parent, rel, old, &new);
	}
	return change_end(&c, r);
}

static void set_aside_or_say(struct bucket *b, uint64_t ino, enum aside how)
{
	struct place place;
	int r = place_get(b, ino, &place);

	if (r == ROW_NONE || ino == b->root)
		return;
	if (!r)
		r = set_aside(b, ino, &place, how);
	if (r < 0) {
		log_warn("attach", "what is known of an object could not be changed", "error=%s",
			 strerror(-r));
		belief_refresh(b, SPAN_NULL, true);
	}
}

void bucket_note_gone(struct bucket *b, uint64_t ino)
{
	set_aside_or_say(b, ino, GONE);
}

void bucket_doubt(struct bucket *b, uint64_t ino)
{
	set_aside_or_say(b, ino, DOUBTED);
}

void bucket_refresh(struct bucket *b, uint64_t dir, bool deep)
{
	struct place place;

	if (place_get(b, dir, &place) || !place.is_dir)
		return;
	belief_refresh(b, span_str(place.key), deep);
	jobs_outdate(b, span_str(place.key));
}

void bucket_status_get(struct bucket *b, struct bucket_status *ret)
{
	LOCK_SCOPE(&b->rows.lock);
	*ret = (struct bucket_status){
		.files = b->rows.totals.files,
		.directories = b->rows.totals.directories,
		.bytes = b->rows.totals.bytes,
		.lists = b->lists,
		.heads = b->heads,
	};
}
