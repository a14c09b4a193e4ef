/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are not their keys' components, for people. */
#include "fs/attach/bucket_i.h"

#define PATH_SIZE_MAX (256 * KiB) /* each component of a key may be a name of 255 bytes */

typedef int odd_fn(const char *path, const char *key, void *arg);

struct child {
	struct child *next;
	uint64_t ino;
	char name[];
};

struct odd {
	struct bucket *b;
	odd_fn *fn;
	void *arg;
	struct buf path;
	bool stopped;
	/* Of the directory at hand. */
	size_t path_len, prefix_len;
	struct child *children;
};

static int on_entry(struct span name, const struct bucket_entry *e, void *arg)
{
	struct odd *o = arg;
	const struct span key = span_str(e->key);
	const struct span component = span_sub(key, o->prefix_len,
					       key.len - o->prefix_len - e->is_dir);
	struct child *c;
	int r;

	if (!span_equal(name, component)) {
		o->path.len = o->path_len;
		r = buf_add_span(&o->path, name);
		if (r || !buf_str(&o->path))
			return r ? r : fail(-ENOMEM);
		r = o->fn(buf_str(&o->path), e->key, o->arg);
		o->stopped = r > 0;
		if (r)
			return r;
	}
	if (!e->is_dir)
		return 0;
	c = calloc(1, sizeof(*c) + name.len + 1);
	if (!c)
		return fail(-ENOMEM);
	c->ino = e->ino;
	memcpy(c->name, name.data, name.len);
	c->next = o->children;
	o->children = c;
	return 0;
}

/* What is remembered of one directory; its subdirectories go to o->children. */
static int read_dir(struct odd *o, uint64_t dir)
{
	struct dir_read d;
	uint64_t told;
	bool stopped;
	int r = dir_read_begin(o->b, dir, &d);

	if (r)
		return MIN(r, 0);
	o->path_len = o->path.len;
	o->prefix_len = d.prefix.len;
	o->children = NULL;
	d.cover = (struct cover){ .begun = true, .all = true };
	return dir_tell(&d, SPAN_NULL, true, on_entry, o, &told, &stopped);
}

static int walk(struct odd *o, uint64_t dir)
{
	int r = read_dir(o, dir);
	struct child *c, *next = o->children;
	const size_t len = o->path_len;

	while ((c = next)) {
		next = c->next;
		o->path.len = len;
		if (!r && !o->stopped)
			r = buf_add_str(&o->path, c->name);
		if (!r && !o->stopped)
			r = buf_add_byte(&o->path, '/');
		if (!r && !o->stopped)
			r = walk(o, c->ino);
		free(c);
	}
	return r;
}

/* All that is below the directory, flat, once; as long as it goes on. */
static int list_all(struct bucket *b, uint64_t dir)
{
	const uint64_t patience_ns = b->o.deadline_ns;
	struct cover cover = { .job = 1 };
	struct dir_read d;
	int r = dir_read_begin(b, dir, &d);

	if (r)
		return r;
	r = job_start(b, dir, d.prefix, SPAN_NULL, JOB_SUBTREE, d.deadline_ns);
	while (!r) {
		job_cover(b, dir, d.prefix, &cover);
		if (!cover.job)
			break;
		r = job_wait(b, &cover, clock_now() + 2 * patience_ns);
	}
	return r ? r : belief_failure(b, dir);
}

int bucket_odd_names(struct bucket *b, uint64_t dir, odd_fn *fn, void *arg)
{
	struct odd o = { .b = b, .fn = fn, .arg = arg, .path = BUF_INIT(PATH_SIZE_MAX) };
	const int listed = list_all(b, dir);
	int r = listed == BUCKET_MISSING ? listed : walk(&o, dir);

	buf_release(&o.path);
	return r ? r : listed;
}
