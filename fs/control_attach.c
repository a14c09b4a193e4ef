/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket does for attached buckets. */
#include "fs/control_i.h"

#include <stdio.h>

#include "base/json.h"
#include "base/text.h"

#define COMMIT_NS (60 * NS_PER_S) /* how long a change of the list may take */
#define PROBE_NS (15 * NS_PER_S)

static unsigned done(struct buf *ret, const char *note)
{
	_cleanup_(json_freep) struct json *j = json_object_new();

	json_set_bool(j, "done", true);
	if (note)
		json_set_str(j, "note", note);
	return json_write(j, 0, ret) ? 500 : 200;
}

/* 0 or an HTTP status, with the answer in *ret. */
static unsigned find(struct control *c, const struct request_line *r, struct buf *ret,
		     struct attached **ret_attached, struct bucket_entry *ret_entry)
{
	const char *path = r->param(r, "path");
	int e;

	if (!path)
		return act_refuse(400, ret, "path= is missing");
	if (!attach_any(c->volume->attach))
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
	return done(ret, NULL);
}

/* ---- attach, detach: operations of the namespace ---- */

/* What the request says, as a section would. 0 or an HTTP status. */
static unsigned read_wish(const struct request_line *r, struct config *ret_wish, struct buf *ret)
{
	static const char *const mirrors[] = { "mirror1", "mirror2", "mirror3" };
	const char *bucket = r->param(r, "bucket"), *flag = r->param(r, "read_only"), *ttl;
	struct config_attach *a = &ret_wish->attach[0];
	char why[512];

	if (!bucket)
		return act_refuse(400, ret, "bucket= is missing");
	if (config_add_attach(ret_wish, bucket, why, sizeof(why)))
		return act_refuse(400, ret, "%s", why);
	for (size_t i = 0; i < ARRAY_SIZE(mirrors); i++) {
		const char *url = r->param(r, mirrors[i]);

		if (!url)
			continue;
		a->urls[a->n_urls] = strdup(url);
		if (!a->urls[a->n_urls++])
			return act_refuse(500, ret, "%s", strerror(ENOMEM));
	}
	a->read_only = flag && !strcmp(flag, "1");
	ttl = r->param(r, "ttl");
	if (ttl && duration_parse(ttl, &a->ttl_ns))
		return act_refuse(400, ret, "--ttl %s: expected a duration such as 60s", ttl);
	return 0;
}

/* A mistyped URL, or a bucket that this machine may not list, is told to who attaches it. */
static unsigned probe(struct control *c, const struct config_attach *a, const char *url,
		      struct buf *ret)
{
	const struct list_req q = { .max = 1, .deadline_ns = clock_now() + PROBE_NS };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct store *store;
	char why[512];
	int r = config_open_store(c->volume->config, a->name, url, &store, why, sizeof(why));

	if (r)
		return act_refuse(403, ret, "%s", *why ? why : strerror(-r));
	r = store_list_wait(store, &q, &call);
	snprintf(why, sizeof(why), "%s", call && *call->detail ? call->detail : strerror(-r));
	store_free(store);
	return r ? act_refuse(403, ret, "%s: %s", url, why) : 0;
}

static bool has_section(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_attach; i++)
		if (!strcmp(c->attach[i].name, name))
			return true;
	return false;
}

/* Commits, and waits until this mount shows it. 0 or an HTTP status. */
static unsigned commit(struct control *c, const struct op *op, struct buf *ret)
{
	const uint64_t deadline_ns = clock_now() + COMMIT_NS;
	const int len = (int)op->name.len;
	const char *name = (const char *)op->name.data;
	struct result res;
	int r = commit_op_wait(c->volume->commit, op, deadline_ns, &res);

	if (r == -EEXIST)
		return act_refuse(409, ret, "%.*s: the root of the volume has this name", len,
				  name);
	if (r == -ENOENT)
		return act_refuse(404, ret, "%.*s: no bucket of the volume", len, name);
	if (r == -EROFS)
		return act_refuse(409, ret, "the mount is read-only");
	if (!r)
		r = attach_keeper_settle(c->volume->attach_keeper, deadline_ns);
	return r ? act_refuse(500, ret, "%.*s: %s", len, name, strerror(-r)) : 0;
}

static unsigned submit_attach(struct control *c, const struct config_attach *a, struct buf *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(ROW_MAX);
	struct attach_row row = { .flags = a->read_only ? ATTACH_READ_ONLY : 0,
				  .ttl_ns = a->ttl_ns,
				  .n_urls = a->n_urls };
	struct op op = { .kind = OP_ATTACH, .name = span_str(a->name) };

	for (size_t i = 0; i < a->n_urls; i++)
		row.urls[i] = span_str(a->urls[i]);
	if (attach_row_encode(&row, &value))
		return act_refuse(400, ret, "%s: the URLs are too long", a->name);
	op.value = buf_span(&value);
	return commit(c, &op, ret);
}

unsigned act_attach(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(config_freep) struct config *wish = config_new();
	unsigned status = 0;

	if (!wish)
		return act_refuse(500, ret, "%s", strerror(ENOMEM));
	if (is_bare(c->volume))
		return act_refuse(409, ret, "there is no volume here that could name a bucket; "
					    "name it when you mount");
	status = read_wish(r, wish, ret);
	for (size_t i = 0; !status && i < wish->attach[0].n_urls; i++)
		status = probe(c, &wish->attach[0], wish->attach[0].urls[i], ret);
	if (!status)
		status = submit_attach(c, &wish->attach[0], ret);
	if (status)
		return status;
	return done(ret, has_section(c->volume->config, wish->attach[0].name) ?
				 "on this machine the section of its name stands in front of it" :
				 NULL);
}

unsigned act_detach(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *path = r->param(r, "path");
	struct op op = { .kind = OP_DETACH };
	unsigned status;

	if (!path)
		return act_refuse(400, ret, "path= is missing");
	path += strspn(path, "/");
	op.name = span_str(path);
	if (strchr(path, '/'))
		return act_refuse(400, ret, "%s: not the directory of a bucket", path);
	if (is_bare(c->volume) || has_section(c->volume->config, path))
		return act_refuse(409, ret, "%s is attached by this machine alone: by its "
					    "configuration, or by how it was mounted", path);
	status = commit(c, &op, ret);
	return status ? status : done(ret, NULL);
}
