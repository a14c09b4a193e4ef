/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/flat.h"

#define FOLDER SPAN_LITERAL("_$folder$")

static int tell_last(struct flat *f, enum key_kind kind, flat_fn *fn, void *arg)
{
	struct list_entry *last = &f->held[--f->n];
	const int r = fn(span_str(last->name), kind, last, arg);

	free(last->name);
	return r;
}

/* What is known of those that wait, now that `key` comes. */
static int settle(struct flat *f, struct span key, flat_fn *fn, void *arg)
{
	int r = 0;

	while (f->n && r == 0) {
		const struct span last = span_str(f->held[f->n - 1].name);
		const bool longer = span_starts(key, last) && key.len > last.len;

		if (longer && key.data[last.len] < '/')
			return 0;
		if (!longer && span_compare(key, last) <= 0)
			return fail(-EIO);
		r = tell_last(f, longer && key.data[last.len] == '/' ? KEY_IS_BESIDE : KEY_IS_FILE,
			      fn, arg);
	}
	return r;
}

static int hold(struct flat *f, const struct list_entry *e)
{
	if (f->n == f->cap) {
		const size_t cap = f->cap ? 2 * f->cap : 8;
		struct list_entry *held = realloc(f->held, cap * sizeof(*held));

		if (!held)
			return fail(-ENOMEM);
		f->held = held;
		f->cap = cap;
	}
	f->held[f->n] = *e;
	f->held[f->n].name = strdup(e->name);
	if (!f->held[f->n].name)
		return fail(-ENOMEM);
	f->n++;
	return 0;
}

/* Is it an empty object that only marks a directory, and which? */
static bool is_mark(const struct list_entry *e, struct span *ret_dir)
{
	const struct span key = span_str(e->name);

	*ret_dir = key;
	if (e->is_folder)
		return true;
	if (e->size || key.len <= FOLDER.len)
		return false;
	*ret_dir = span_sub(key, 0, key.len - FOLDER.len);
	return span_equal(span_sub(key, ret_dir->len, FOLDER.len), FOLDER);
}

int flat_add(struct flat *f, const struct list_entry *e, flat_fn *fn, void *arg)
{
	const struct span key = span_str(e->name);
	struct span dir;
	int r = settle(f, key, fn, arg);

	if (r || !key.len)
		return r;
	if (key.data[key.len - 1] == '/') {
		dir = span_sub(key, 0, key.len - 1);
		return e->size ? fn(key, KEY_IS_MARKER, e, arg)
			       : fn(dir, KEY_IS_DIRECTORY, e, arg);
	}
	return is_mark(e, &dir) ? fn(dir, KEY_IS_DIRECTORY, e, arg) : hold(f, e);
}

int flat_end(struct flat *f, flat_fn *fn, void *arg)
{
	int r = 0;

	while (f->n && r == 0)
		r = tell_last(f, KEY_IS_FILE, fn, arg);
	return r;
}

void flat_release(struct flat *f)
{
	while (f->n)
		free(f->held[--f->n].name);
	free(f->held);
	*f = (struct flat){ 0 };
}
