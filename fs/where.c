/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "base/json.h"
#include "fs/ns/lookup.h"
#include "fs/status.h"

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

/* A file of an attached bucket: its object, and the stores that are known to have it. */
static int where_attached(const struct volume *v, const char *path, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = NULL;
	struct json *stores;
	struct bucket_entry e;
	struct attached *a;
	int r = attach_path(v->attach, path, &a, &e);

	if (r)
		return r;
	root = json_object_new();
	stores = json_array_new();
	for (unsigned i = 0; i < replicas_count(a->replicas); i++) {
		struct json *one = json_object_new();

		json_set_str(one, "name", replicas_store(a->replicas, i)->url);
		json_set_str(one, "version", *e.version[i] ? e.version[i] : NULL);
		json_append(stores, one);
	}
	json_set_str(root, "path", path);
	json_set_uint(root, "inode", e.ino);
	json_set_str(root, "type", e.is_dir ? "directory" : "file");
	json_set_uint(root, "size", e.size);
	json_set_str(root, "key", e.key);
	json_set_str(root, "bucket", a->name);
	json_set(root, "stores", stores);
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
