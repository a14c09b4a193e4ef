/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One name by itself (B1): HEAD of the object and LIST of one name below "name/", in parallel; at
 * another mirror when the first does not answer.
 */
#include "fs/attach/bucket_i.h"

#include "backends/retry.h"

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
	struct row row; /* of the object */
};

static int start_head(struct looking *l, uint64_t deadline_ns, struct store_call **ret)
{
	const struct head_req q = { .name = buf_span(&l->key), .deadline_ns = deadline_ns };

	l->b->heads++;
	return store_head(replicas_store(l->b->o.replicas, l->mirror), &q, ret);
}

static int start_list(struct looking *l, uint64_t deadline_ns, struct store_call **ret)
{
	const struct list_req q = { .prefix = buf_span(&l->prefix), .max = 1,
				    .deadline_ns = deadline_ns };

	l->b->lists++;
	return store_list(replicas_store(l->b->o.replicas, l->mirror), &q, ret);
}

static int take_head(struct looking *l, struct store_call *c)
{
	const int r = ask_ended(l->b, l->mirror, c);

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

static int take_list(struct looking *l, struct store_call *c)
{
	const int r = ask_ended(l->b, l->mirror, c);

	/* a page may be empty and not the last one: something is there, or was a moment ago */
	if (!r)
		l->has_dir = c->n_entries > 0 || c->next_token;
	return r;
}

/* Both questions at one mirror. */
static int ask_once(struct looking *l, uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *head = NULL, *list = NULL;
	int r = l->file ? start_head(l, deadline_ns, &head) : 0;
	int x = 0;

	if (!r && l->dir)
		r = start_list(l, deadline_ns, &list);
	if (r) {
		if (head)
			call_cancel(&head->call);
		return r;
	}
	if (head && call_wait(&head->call, deadline_ns + NS_PER_S) != -ETIMEDOUT)
		r = take_head(l, head);
	else if (head)
		r = -ETIMEDOUT;
	if (list && call_wait(&list->call, deadline_ns + NS_PER_S) != -ETIMEDOUT)
		x = take_list(l, list);
	else if (list)
		x = -ETIMEDOUT;
	return r ? r : x;
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
	if (!r && l->dir && !l->has_dir && !l->has_file && rows_have_marks(l->b))
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
