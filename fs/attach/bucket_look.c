/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name by itself (B1). Whether it is a file, a directory, both or nothing is told by one LIST
 * of what begins with it, as a rule: the object itself comes first, then names such as "a-b" and
 * "a.txt", then "a/" for all that is below it. Where so many names lie between that "a/" is not on
 * the page, "a/" is listed by itself. The object is asked for with HEAD when it alone is in
 * question, or when pages come without any name (a store may send such).
 *
 * Another mirror is asked when the first does not answer.
 */
#include "fs/attach/bucket_i.h"

#include "backends/retry.h"

#define NEAR_NAMES 32 /* of a page: more cost time, fewer a second question */
#define NEAR_PAGES 3

struct looking {
	struct bucket *b;
	const struct want *w;
	bool file, dir; /* what is asked for */
	uint64_t asked_ns; /* wall: when the first question went out */
	uint64_t until_ns;
	unsigned mirror;
	struct buf key; /* of the object */
	struct buf prefix; /* of the directory */
	/* The answers. */
	bool has_file, has_dir;
	bool all_seen; /* every name that begins with the key */
	bool has_mark; /* "_$folder$" was among them */
	struct row row; /* of the object */
};

static int start_head(struct looking *l, uint64_t deadline_ns, struct store_call **ret)
{
	const struct head_req q = { .name = buf_span(&l->key), .deadline_ns = deadline_ns };

	l->b->heads++;
	return store_head(replicas_store(l->b->o.replicas, l->mirror), &q, ret);
}

static int start_list(struct looking *l, const struct list_req *q, struct store_call **ret)
{
	l->b->lists++;
	return store_list(replicas_store(l->b->o.replicas, l->mirror), q, ret);
}

static int take_head(struct looking *l, struct store_call *c, int r)
{
	if (r == STORE_MISSING)
		return 0;
	if (r)
		return r;
	l->has_file = true;
	l->row = (struct row){ .size = c->size, .modified_s = c->modified_s };
	/* a directory's own key without content marks it only */
	if (rel_is_dir(buf_span(&l->key)) && c->size == 0)
		l->has_file = false;
	if (c->is_folder)
		l->row.flags = ROW_MARK;
	memcpy(l->row.version[l->mirror], c->version, sizeof(c->version));
	return 0;
}

/* Waits for a call, however it was started, and tells what it is worth. */
static int ended(struct looking *l, struct store_call *c, uint64_t deadline_ns)
{
	return call_wait(&c->call, deadline_ns + NS_PER_S) == -ETIMEDOUT ?
		       -ETIMEDOUT :
		       ask_ended(l->b, l->mirror, c);
}

static int ask_file(struct looking *l, uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	int r = start_head(l, deadline_ns, &c);

	return r ? r : take_head(l, c, ended(l, c, deadline_ns));
}

static int ask_dir(struct looking *l, uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct list_req q = { .prefix = buf_span(&l->prefix), .max = 1,
				    .deadline_ns = deadline_ns };
	int r = start_list(l, &q, &c);

	if (!r)
		r = ended(l, c, deadline_ns);
	/* a page may be empty and not the last one: something is there, or was a moment ago */
	if (!r)
		l->has_dir = c->n_entries > 0 || c->next_token;
	return r;
}

/* What a page of names that begin with the key says. */
struct near {
	bool file_known, dir_known;
};

static void take_near(struct looking *l, const struct store_call *c, struct near *n)
{
	const struct span key = buf_span(&l->key), prefix = buf_span(&l->prefix);

	n->file_known |= c->n_entries > 0 || !c->next_token;
	n->dir_known |= !c->next_token;
	l->all_seen = !c->next_token;
	for (size_t i = 0; i < c->n_entries; i++) {
		const struct list_entry *e = &c->entries[i];
		const struct span name = span_str(e->name);

		if (!e->is_prefix && span_equal(name, key)) {
			l->has_file = true;
			l->row = (struct row){ .flags = e->is_folder ? ROW_MARK : 0,
					       .size = e->size,
					       .modified_s = e->modified_s };
			memcpy(l->row.version[l->mirror], e->version, sizeof(e->version));
		}
		l->has_dir |= span_starts(name, prefix);
		l->has_mark |= span_starts(name, key) &&
			       span_equal(span_sub(name, key.len, name.len),
					  SPAN_LITERAL(FOLDER_SUFFIX));
		n->dir_known |= span_compare(name, prefix) >= 0;
	}
}

/* Pages until one has a name. */
static int ask_near(struct looking *l, uint64_t deadline_ns, struct near *ret)
{
	struct list_req q = { .prefix = buf_span(&l->key), .delimiter = '/', .max = NEAR_NAMES,
			      .deadline_ns = deadline_ns };
	_cleanup_free_ char *token = NULL;
	int r = 0;

	for (unsigned page = 0; !r && page < NEAR_PAGES && !ret->file_known; page++) {
		_cleanup_(store_call_unrefp) struct store_call *c = NULL;

		q.token = token;
		r = start_list(l, &q, &c);
		if (!r)
			r = ended(l, c, deadline_ns);
		if (r)
			return r;
		take_near(l, c, ret);
		free(token);
		token = take_ptr(&c->next_token);
	}
	return r;
}

/* At one mirror. */
static int ask_once(struct looking *l, uint64_t deadline_ns)
{
	struct near n = { .file_known = !l->file, .dir_known = !l->dir };
	int r = 0;

	l->has_file = l->has_dir = l->has_mark = l->all_seen = false;
	if (l->file && l->dir)
		r = ask_near(l, deadline_ns, &n);
	if (!r && !n.file_known)
		r = ask_file(l, deadline_ns);
	if (!r && !n.dir_known)
		r = ask_dir(l, deadline_ns);
	return r;
}

static int ask(struct looking *l)
{
	unsigned tried = 0, failures = 0;
	int result = -EIO;
	bool passing = true;

	while (clock_now() < l->until_ns) {
		uint64_t deadline_ns;

		if (ask_choose(l->b, tried, l->until_ns, &l->mirror, &deadline_ns) == ASK_NOBODY) {
			if (!tried || !passing)
				return ask_error(result);
			sleep_until(MIN(l->until_ns, clock_now() + retry_delay_ns(++failures, 0,
										 random_u64())));
			tried = 0;
			passing = false;
			continue;
		}
		result = ask_once(l, deadline_ns);
		if (!result)
			return 0;
		tried |= 1u << l->mirror;
		passing |= retry_get_class(result) == RETRY_LATER;
	}
	return ask_error(result);
}

/* ---- what was learned ---- */

static int note_file(struct looking *l, struct change *c)
{
	struct spot at = { .dir = l->w->dir, .prefix = l->w->prefix,
				 .asked_ns = l->asked_ns, .by_itself = true };
	const struct span rel = span_sub(buf_span(&l->key), l->w->prefix.len, l->key.len);
	const struct row *old;
	struct row room;
	uint64_t ino;
	int r = spot_old(l->b, &at, rel, &room, &old);

	if (r)
		return r;
	l->row.flags |= mark_flag(rel, l->row.size);
	return l->has_file ? spot_found(c, &at, rel, old, &l->row, &ino)
			   : spot_gone(c, &at, rel, old);
}

static int note_dir(struct looking *l, struct change *c)
{
	struct spot at = { .dir = l->w->dir, .prefix = l->w->prefix,
				 .asked_ns = l->asked_ns, .by_itself = true };
	const struct span rel = span_sub(buf_span(&l->prefix), l->w->prefix.len, l->prefix.len);
	const struct row seen = { 0 }, *old;
	struct row room;
	uint64_t ino;
	int r = spot_old(l->b, &at, rel, &room, &old);

	if (r)
		return r;
	return l->has_dir ? spot_found(c, &at, rel, old, &seen, &ino)
			  : spot_gone(c, &at, rel, old);
}

static int note(struct looking *l)
{
	struct change c;
	int r = change_begin(l->b, &c);

	if (r)
		return r;
	if (l->file)
		r = note_file(l, &c);
	/* a mark and its directory look for each other in the rows */
	if (!r)
		r = change_flush(&c);
	if (!r && l->dir)
		r = note_dir(l, &c);
	return change_end(&c, r);
}

/* Where "_$folder$" were seen, an empty directory may be one of them. */
static int look_for_mark(struct looking *l)
{
	int r;

	buf_clear(&l->key);
	r = buf_add_span(&l->key, l->w->prefix);
	if (!r)
		r = buf_add_span(&l->key, l->w->component);
	if (!r)
		r = buf_add_str(&l->key, FOLDER_SUFFIX);
	if (r)
		return r == -EMSGSIZE ? 0 : r;
	l->file = true;
	l->dir = false;
	r = ask(l);
	return r || !l->has_file ? r : note(l);
}

/* The two names to ask for; one that is too long for a name is not there. */
static int prepare(struct looking *l)
{
	const struct want *w = l->w;
	int r = buf_add_span(&l->key, w->prefix);

	if (!r)
		r = buf_add_span(&l->key, w->component);
	if (!r)
		r = buf_add_span(&l->prefix, buf_span(&l->key));
	if (r)
		return r;
	l->file = w->kind != KEY_IS_DIRECTORY && l->key.len;
	l->dir = w->kind == KEY_IS_DIRECTORY || w->kind == KEY_IS_FILE ||
		 (w->kind == KEY_IS_BESIDE && w->by_name);
	r = buf_add_byte(&l->prefix, '/');
	if (r == -EMSGSIZE)
		l->dir = false;
	return r == -EMSGSIZE ? 0 : r;
}

static int look_and_note(struct looking *l)
{
	int r = prepare(l);

	if (r)
		return r == -EMSGSIZE ? 0 : r;
	if (!l->file && !l->dir)
		return 0;
	r = ask(l);
	if (!r)
		r = note(l);
	if (!r && l->dir && !l->has_dir && !l->has_file &&
	    (l->has_mark || (!l->all_seen && rows_have_marks(l->b))))
		r = look_for_mark(l);
	return r;
}

int look(struct bucket *b, const struct want *w)
{
	struct looking l = {
		.b = b,
		.w = w,
		.asked_ns = clock_wall(),
		.until_ns = clock_now() + b->o.deadline_ns,
		.key = BUF_INIT(STORE_NAME_MAX),
		.prefix = BUF_INIT(STORE_NAME_MAX),
	};
	const int r = look_and_note(&l);

	belief_failed(b, w->dir, r);
	if (!r && !l.has_file && !l.has_dir && w->kind == KEY_IS_FILE)
		belief_negative(b, w->dir, w->component, true);
	buf_release(&l.key);
	buf_release(&l.prefix);
	return r;
}
