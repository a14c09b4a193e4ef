/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket does for attached buckets. */
#include "fs/control_i.h"

#include "base/json.h"

/* 0 or an HTTP status, with the answer in *ret. */
static unsigned find(struct control *c, const struct request_line *r, struct buf *ret,
		     struct attached **ret_attached, struct bucket_entry *ret_entry)
{
	const char *path = r->param(r, "path");
	int e;

	if (!path)
		return act_refuse(400, ret, "path= is missing");
	if (!c->volume->attach)
		return act_refuse(404, ret, "%s: this mount has no attached buckets", path);
	e = attach_path(c->volume->attach, path, ret_attached, ret_entry);
	if (e == -ENOENT)
		return act_refuse(404, ret, "%s: not in an attached bucket", path);
	return e ? act_refuse(500, ret, "%s: %s", path, strerror(-e)) : 0;
}

static int add_name(const char *path, const char *key, void *arg)
{
	struct json *one = json_object_new();

	json_set_str(one, "name", path);
	json_set_str(one, "key", key);
	json_append(arg, one);
	return 0;
}

unsigned act_names(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(json_freep) struct json *names = json_array_new();
	struct bucket_entry e;
	struct attached *a;
	unsigned status = find(c, r, ret, &a, &e);
	int x;

	if (status)
		return status;
	x = bucket_odd_names(a->bucket, e.ino, add_name, names);
	if (x || json_write(names, 1, ret))
		return act_refuse(500, ret, "%s: %s", e.key, strerror(x ? -x : ENOMEM));
	return 200;
}

unsigned act_refresh(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *deep = r->param(r, "deep");
	struct bucket_entry e;
	struct attached *a;
	unsigned status = find(c, r, ret, &a, &e);

	if (status)
		return status;
	bucket_refresh(a->bucket, e.is_dir ? e.ino : e.parent, deep && !strcmp(deep, "1"));
	return buf_add_str(ret, "{\"done\": true}\n") ? 500 : 200;
}
