/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "base/json.h"
#include "fs/ns/lookup.h"
#include "fs/status.h"

#define ASK_NS (15 * NS_PER_S)

static struct json *copies(const struct volume *v, const struct file_replicas *fr)
{
	struct json *list = json_array_new();

	for (unsigned i = 0; i < v->n_stores; i++) {
		struct json *one;

		if (!(v->data_stores >> i & 1))
			continue;
		one = json_object_new();
		json_set_str(one, "name", replicas_store(v->replicas, i)->name);
		json_set_uint(one, "chunks", fr->have[i]);
		json_set_str(one, "verified", NULL);
		json_append(list, one);
	}
	return list;
}

/* What a store says of an attached file's object now. */
struct opinion {
	struct store_call *call; /* or NULL: it could not be asked */
	int result;
};

static void ask_all(const struct attached *a, const char *key, unsigned n, struct opinion *ret)
{
	const struct head_req q = { .name = span_str(key), .deadline_ns = clock_now() + ASK_NS };

	for (unsigned i = 0; i < n; i++)
		ret[i].result = store_head(replicas_store(a->replicas, i), &q, &ret[i].call);
	for (unsigned i = 0; i < n; i++)
		if (ret[i].call)
			ret[i].result = call_wait(&ret[i].call->call, q.deadline_ns + NS_PER_S);
}

/* The first answer of the listed size that tells an MD5, other than that of `not`; or NULL. */
static const struct store_call *find_md5(const struct opinion *all, unsigned n, uint64_t size,
					 const struct opinion *not)
{
	for (unsigned i = 0; i < n; i++)
		if (&all[i] != not && all[i].result == 0 && all[i].call->has_md5 &&
		    all[i].call->size == size)
			return all[i].call;
	return NULL;
}

static const char *compare(const struct opinion *o, uint64_t size, const struct store_call *first)
{
	if (o->result == STORE_MISSING)
		return "missing";
	if (o->result)
		return strerror(o->result < 0 ? -o->result : EIO);
	if (o->call->size != size)
		return "another size";
	if (first && o->call->has_md5 && memcmp(first->md5, o->call->md5, sizeof(first->md5)))
		return "other contents";
	return "same";
}

/*
 * What each store has: compared with the listed size, and by MD5 with the first store that tells
 * one. Of a directory nothing is asked.
 */
static struct json *attached_stores(const struct attached *a, const struct bucket_entry *e)
{
	const unsigned n = MIN(replicas_count(a->replicas), (unsigned)MIRRORS_MAX);
	struct opinion all[MIRRORS_MAX] = { 0 };
	struct json *list = json_array_new();
	const struct store_call *first;

	if (!e->is_dir)
		ask_all(a, e->key, n, all);
	first = e->is_dir ? NULL : find_md5(all, n, e->size, NULL);
	for (unsigned i = 0; i < n; i++) {
		struct json *one = json_object_new();

		json_set_str(one, "name", replicas_store(a->replicas, i)->url);
		json_set_str(one, "version", *e->version[i] ? e->version[i] : NULL);
		if (!e->is_dir) {
			const bool md5 = all[i].result == 0 && all[i].call->has_md5 &&
					 find_md5(all, n, e->size, &all[i]);

			json_set_str(one, "state", compare(&all[i], e->size, first));
			json_set_str(one, "compared", md5 ? "md5" : "size");
		}
		json_append(list, one);
	}
	for (unsigned i = 0; i < n; i++)
		store_call_unrefp(&all[i].call);
	return list;
}

/* A file of an attached bucket: its object, and how those of the mirrors compare. */
static int where_attached(const struct volume *v, const char *path, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = NULL;
	struct bucket_entry e;
	struct attached *a;
	int r = attach_path(v->attach, path, &a, &e);

	if (r)
		return r;
	root = json_object_new();
	json_set_str(root, "path", path);
	json_set_uint(root, "inode", e.ino);
	json_set_str(root, "type", e.is_dir ? "directory" : "file");
	json_set_uint(root, "size", e.size);
	json_set_str(root, "key", e.key);
	json_set_str(root, "bucket", a->name);
	json_set(root, "stores", attached_stores(a, &e));
	return json_write(root, 1, ret);
}

static bool is_attached(const struct volume *v, const char *path)
{
	const char *name = path + strspn(path, "/");

	return is_bare(v) || attach_find(v->attach, span_of(name, strcspn(name, "/")));
}

static int where_volume(struct volume *v, const char *path, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = NULL;
	struct inode_view at = { 0 };
	struct file_replicas fr = { 0 };
	struct view *view = commit_lock(v->commit);
	uint64_t ino;
	int r = ns_path(view, path, &at, &ino);

	commit_unlock(v->commit);
	if (!r && S_ISREG(at.row.mode))
		r = data_where(v->data, ino, &fr);
	if (!r)
		root = json_object_new();
	if (root) {
		json_set_str(root, "path", path);
		json_set_uint(root, "inode", ino);
		json_set_str(root, "type",
			     S_ISREG(at.row.mode) ? "file" :
			     S_ISDIR(at.row.mode) ? "directory" :
						    "other");
		json_set_uint(root, "size", at.row.size);
		json_set_uint(root, "chunks", fr.chunks);
		json_set_uint(root, "inline_bytes", fr.inline_bytes);
		json_set_uint(root, "foreign_bytes", fr.foreign_bytes);
		json_set(root, "stores", copies(v, &fr));
		r = json_write(root, 1, ret);
	}
	buf_release(&at.bytes);
	return r;
}

int status_where(struct status *s, const char *path, struct buf *ret)
{
	if (is_attached(status_volume(s), path))
		return where_attached(status_volume(s), path, ret);
	return where_volume(status_volume(s), path, ret);
}
