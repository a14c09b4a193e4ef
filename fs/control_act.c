/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_i.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#define SYNC_DEFAULT_NS (600 * NS_PER_S)
#define DRILL_DEFAULT_NS (60 * NS_PER_S)
#define DRILL_MAX_NS (3600 * NS_PER_S)
/* While a drill goes on the store is asked for a little now and then, so that it is noticed
 * without traffic, too. */
#define DRILL_BEAT_NS (NS_PER_S / 5)
#define DRILL_REQUEST_NS (2 * NS_PER_S)

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

static unsigned done(struct buf *ret)
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

/* true: absent (ret stays) or well-formed. */
static bool duration_param(const struct request_line *r, const char *name, uint64_t *ret_ns)
{
	const char *text = r->param(r, name);

	return !text || !duration_parse(text, ret_ns);
}

unsigned act_sync(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *all = r->param(r, "all");
	uint64_t ns = SYNC_DEFAULT_NS;
	int e;

	if (!duration_param(r, "timeout", &ns))
		return act_refuse(400, ret, "timeout= is no duration");
	e = volume_sync(c->volume, all && !strcmp(all, "1"), clock_now() + ns);
	if (e == -ETIMEDOUT)
		return act_refuse(504, ret,
				  "not everything is at its stores yet; see 'mangrove status'");
	return e ? done_or(e, ret, "sync") : done(ret);
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
	return done(ret);
}

unsigned act_checkpoint(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	struct checkpoint_report rep;
	uint64_t ns = SYNC_DEFAULT_NS;
	int e;

	if (!duration_param(r, "timeout", &ns))
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

static int drill_mode_parse(const char *text, enum drill_mode *ret)
{
	static const struct {
		const char *word;
		enum drill_mode mode;
	} modes[] = { { "down", DRILL_DOWN },
		      { "slow", DRILL_SLOW },
		      { "errors", DRILL_ERRORS },
		      { "none", DRILL_NONE } };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].word, text))
			continue;
		*ret = modes[i].mode;
		return 0;
	}
	return -EINVAL;
}

/* One small request of the kind that programs cause, reported like theirs. */
static void drill_beat(struct control *c)
{
	struct replicas *rs = c->volume->replicas;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	uint64_t start = clock_now();
	const struct get_req req = { .name = SPAN_LITERAL("probe/none"),
				     .limit = 4096,
				     .deadline_ns = start + DRILL_REQUEST_NS };
	int r;

	if (!replicas_allows(rs, c->drill_store))
		return;
	r = store_get_wait(replicas_store(rs, c->drill_store), &req, &call);
	replicas_observe(rs, c->drill_store, r == STORE_MISSING ? 0 : r, clock_now() - start, 0);
}

static void drill_task(void *arg)
{
	struct control *c = arg;
	struct store *store = replicas_store(c->volume->replicas, c->drill_store);

	while (store_drill_get(store) != DRILL_NONE &&
	       event_wait(&c->stop, clock_now() + DRILL_BEAT_NS))
		drill_beat(c);
	store_drill(store, DRILL_NONE, 0);
	log_info("control", "the drill is over", "store=%s", store->name);
}

/* Takes the task of a drill whose time is over (it may have a last beat to end); NULL: none, or
 * one goes on (*ret_busy). */
static struct task *drill_reap(struct control *c, bool *ret_busy)
{
	bool playing =
		store_drill_get(replicas_store(c->volume->replicas, c->drill_store)) != DRILL_NONE;
	LOCK_SCOPE(&c->sync.lock);

	*ret_busy = c->sync.drill && playing;
	return *ret_busy ? NULL : take_ptr(&c->sync.drill);
}

void act_end(struct control *c)
{
	struct task *t;

	event_set(&c->stop);
	lock_take(&c->sync.lock);
	t = take_ptr(&c->sync.drill);
	lock_give(&c->sync.lock);
	if (t)
		task_join(t);
}

static unsigned drill_begin(struct control *c, unsigned store, enum drill_mode mode, uint64_t ns,
			    struct buf *ret)
{
	struct store *s = replicas_store(c->volume->replicas, store);
	struct task *over;
	bool busy;

	over = drill_reap(c, &busy);
	if (over)
		task_join(over);
	if (busy)
		return act_refuse(409, ret, "a drill is going on; end it with --mode none");
	store_drill(s, mode, clock_now() + ns);
	log_warn("control", "a drill begins", "store=%s", s->name);
	lock_take(&c->sync.lock);
	c->drill_store = store;
	c->sync.drill = task_start("drill", drill_task, c);
	busy = !c->sync.drill;
	lock_give(&c->sync.lock);
	if (busy)
		store_drill(s, DRILL_NONE, 0);
	return busy ? act_refuse(500, ret, "no thread for the drill") : done(ret);
}

unsigned act_drill(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *name = r->param(r, "store"), *mode_text = r->param(r, "mode");
	uint64_t ns = DRILL_DEFAULT_NS;
	enum drill_mode mode = DRILL_DOWN;
	int store = name ? replicas_find(c->volume->replicas, name) : -ENOENT;

	if (store < 0)
		return act_refuse(404, ret, "no store is named %s here",
				  name ? name : "(store= is missing)");
	if (mode_text && drill_mode_parse(mode_text, &mode))
		return act_refuse(400, ret, "mode= is one of down, slow, errors, none");
	if (!duration_param(r, "for", &ns) || ns > DRILL_MAX_NS)
		return act_refuse(400, ret, "for= is a duration of at most an hour, such as 60s");
	if (mode == DRILL_NONE) {
		store_drill(replicas_store(c->volume->replicas, (unsigned)store), DRILL_NONE, 0);
		return done(ret);
	}
	return drill_begin(c, (unsigned)store, mode, ns, ret);
}

unsigned act_page(struct control *c, const struct request_line *r, struct buf *ret)
{
	return done_or(buf_add(ret, status_page, status_page_size), ret, "page");
}
