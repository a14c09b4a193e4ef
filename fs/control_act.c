/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_i.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#define SYNC_DEFAULT_NS (600 * NS_PER_S)
unsigned act_refuse(unsigned status, struct buf *ret, const char *fmt, ...)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_clear(ret);
	json_set_str(j, "error", text);
	return json_write(j, 0, ret) ? 500 : status;
}

static unsigned done_or(int r, struct buf *ret, const char *what)
{
	return r ? act_refuse(500, ret, "%s: %s", what, strerror(-r)) : 200;
}

unsigned act_done(struct buf *ret)
{
	return done_or(buf_add_str(ret, "{\"done\": true}\n"), ret, "answer");
}

unsigned act_status(struct control *c, const struct request_line *r, struct buf *ret)
{
	return done_or(status_json(c->status, c->socket, *c->listen ? c->listen : NULL, ret), ret,
		       "status");
}

unsigned act_metrics(struct control *c, const struct request_line *r, struct buf *ret)
{
	return done_or(status_metrics(c->status, ret), ret, "metrics");
}

unsigned act_where(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *path = r->param(r, "path");
	int e;

	if (!path)
		return act_refuse(400, ret, "path= is missing");
	e = status_where(c->status, path, ret);
	if (e == -ENOENT || e == -ENOTDIR)
		return act_refuse(404, ret, "%s: %s", path, strerror(-e));
	return done_or(e, ret, path);
}

bool act_duration(const struct request_line *r, const char *name, uint64_t *ret_ns)
{
	const char *text = r->param(r, name);

	return !text || !duration_parse(text, ret_ns);
}

unsigned act_sync(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *all = r->param(r, "all");
	uint64_t ns = SYNC_DEFAULT_NS;
	int e;

	if (!act_duration(r, "timeout", &ns))
		return act_refuse(400, ret, "timeout= is no duration");
	e = volume_sync(c->volume, all && !strcmp(all, "1"), clock_now() + ns);
	if (e == -ETIMEDOUT)
		return act_refuse(504, ret,
				  "not everything is at its stores yet; see 'mangrove status'");
	return e ? done_or(e, ret, "sync") : act_done(ret);
}

unsigned act_log(struct control *c, const struct request_line *r, struct buf *ret)
{
	return done_or(log_tail(ret), ret, "log");
}

unsigned act_loglevel(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *level = r->param(r, "level");
	enum log_level l;

	if (!level || log_level_parse(level, &l))
		return act_refuse(400, ret, "level= is one of error, warn, info, debug");
	log_debug_only(r->param(r, "only"));
	log_level_set(l);
	return act_done(ret);
}

unsigned act_checkpoint(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	struct checkpoint_report rep;
	uint64_t ns = SYNC_DEFAULT_NS;
	int e;

	if (!act_duration(r, "timeout", &ns))
		return act_refuse(400, ret, "timeout= is no duration");
	if (!c->volume->checkpoints)
		return act_refuse(409, ret, "this mount writes none");
	e = checkpoint_now(c->volume->checkpoints, clock_now() + ns, &rep);
	if (e)
		return done_or(e, ret, "the checkpoint");
	json_set_uint(j, "slot", rep.slot);
	json_set_uint(j, "rows", rep.rows);
	json_set_uint(j, "parts", rep.parts);
	json_set_uint(j, "parts_written", rep.parts_written);
	json_set_uint(j, "bytes", rep.bytes);
	json_set_uint(j, "bytes_written", rep.bytes_written);
	json_set_real(j, "seconds", rep.seconds);
	return done_or(json_write(j, 0, ret), ret, "answer");
}

unsigned act_page(struct control *c, const struct request_line *r, struct buf *ret)
{
	return done_or(buf_add(ret, status_page, status_page_size), ret, "page");
}
