/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills: a store that plays dead, slow or broken, on the path of a real one, so that what
 * watches stores cannot tell the difference. One task for each operation while it lasts:
 * a drill is short and its operations are few, for the breaker soon opens.
 *
 * A store that plays corrupt is asked as ever, and one bit of what it gives is turned in
 * store_call_finish().
 *
 * (P1) "down" and "errors" never reach the store; "slow" reaches it once, late.
 * (P2) A drill lives as long as its call, since a cancel may come at any moment.
 */
#include "backends/store_i.h"

#define DRILL_DELAY_NS (2 * NS_PER_S)

struct drill {
	enum drill_mode mode;
	struct store *store;
	struct store_call *call; /* borrowed: owns us (P2); the task holds a reference */
	struct store_request request;
	struct object_meta meta;
	struct event stop;
	struct blob *body; /* or NULL */
	char *copies;      /* what the request's spans and strings point to */
};

static const char *const modes[] = {
	[DRILL_NONE] = "none",	   [DRILL_DOWN] = "down",	[DRILL_SLOW] = "slow",
	[DRILL_ERRORS] = "errors", [DRILL_CORRUPT] = "corrupt",
};

const char *drill_mode_name(enum drill_mode m)
{
	return modes[m];
}

int drill_mode_parse(const char *name, enum drill_mode *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i], name) != 0)
			continue;
		*ret = (enum drill_mode)i;
		return 0;
	}
	return -EINVAL;
}

struct drill *drill_free(struct drill *d)
{
	if (!d)
		return NULL;
	blob_unref(d->body);
	event_release(&d->stop);
	free(d->copies);
	free(d);
	return NULL;
}

/* Copies a span into the arena, with a NUL behind it. */
static struct span keep(char **at, struct span s)
{
	struct span kept = span_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.data, s.len);
	(*at)[s.len] = '\0';
	*at += s.len + 1;
	return kept;
}

static const char *keep_str(char **at, const char *s)
{
	return s ? (const char *)keep(at, span_str(s)).data : NULL;
}

static const struct object_meta *keep_meta(struct drill *d, const struct object_meta *m)
{
	if (!m)
		return NULL;
	d->meta = *m;
	return &d->meta;
}

static struct blob *keep_body(struct drill *d, struct blob *body)
{
	return d->body = body ? blob_ref(body) : NULL;
}

static int copy_request(struct drill *d, const struct store_request *r)
{
	static const size_t room = 2 * (STORE_NAME_MAX + 1) + 2 * (STORE_VERSION_MAX + 1);
	size_t token = r->op == STORE_LIST && r->list.token ? strlen(r->list.token) + 1 : 0;
	struct store_request *to = &d->request;
	char *at;

	d->copies = at = malloc(room + token);
	if (!at)
		return fail(-ENOMEM);
	*to = *r;
	switch (r->op) {
	case STORE_GET:
		to->get.name = keep(&at, r->get.name);
		to->get.if_match = keep_str(&at, r->get.if_match);
		break;
	case STORE_PUT:
		to->put.name = keep(&at, r->put.name);
		to->put.if_match = keep_str(&at, r->put.if_match);
		to->put.body = keep_body(d, r->put.body);
		to->put.meta = keep_meta(d, r->put.meta);
		break;
	case STORE_HEAD:
		to->head.name = keep(&at, r->head.name);
		break;
	case STORE_LIST:
		to->list.prefix = keep(&at, r->list.prefix);
		to->list.after = keep(&at, r->list.after);
		to->list.token = keep_str(&at, r->list.token);
		break;
	case STORE_REMOVE:
		to->remove.name = keep(&at, r->remove.name);
		to->remove.if_match = keep_str(&at, r->remove.if_match);
		break;
	case STORE_COPY:
		to->copy.from = keep(&at, r->copy.from);
		to->copy.from_match = keep_str(&at, r->copy.from_match);
		to->copy.to = keep(&at, r->copy.to);
		to->copy.if_match = keep_str(&at, r->copy.if_match);
		to->copy.meta = keep_meta(d, r->copy.meta);
		break;
	case STORE_DESCRIBE:
		to->describe.name = keep(&at, r->describe.name);
		to->describe.if_match = keep_str(&at, r->describe.if_match);
		to->describe.meta = keep_meta(d, r->describe.meta);
		break;
	case STORE_UPLOAD_BEGIN:
		to->begin.name = keep(&at, r->begin.name);
		to->begin.if_match = keep_str(&at, r->begin.if_match);
		to->begin.meta = keep_meta(d, r->begin.meta);
		break;
	case STORE_UPLOAD_PART:
		to->part.body = keep_body(d, r->part.body);
		to->part.from = keep(&at, r->part.from);
		to->part.from_match = keep_str(&at, r->part.from_match);
		break;
	case STORE_UPLOAD_FINISH:
	case STORE_UPLOAD_ABORT:
		break;
	}
	return 0;
}

static void stop_waiting(struct call *c)
{
	struct store_call *sc = container_of(c, struct store_call, call);

	event_set(&sc->entrance.drill->stop);
}

static int play_failure(struct drill *d)
{
	bool writes = store_op_publishes(d->request.op);

	if (d->mode == DRILL_ERRORS) {
		store_call_detail(d->call, "500 InternalError (drill)");
		return writes ? STORE_UNKNOWN : -EAGAIN;
	}
	store_call_detail(d->call, "connection refused (drill)");
	d->call->executed_not = true;
	return -EAGAIN;
}

/* Slow: waits before the real operation starts. 0: go on with it. */
static int play_delay(struct drill *d)
{
	uint64_t deadline = store_request_deadline(&d->request);
	bool writes = store_op_publishes(d->request.op);

	(void)event_wait(&d->stop, MIN(clock_now() + DRILL_DELAY_NS, deadline));
	if (!call_cancelled(&d->call->call) && clock_now() < deadline)
		return 0;
	d->call->executed_not = true;
	if (call_cancelled(&d->call->call))
		return -ECANCELED;
	store_call_detail(d->call, "no answer in time (drill)");
	return writes ? -EAGAIN : -ETIMEDOUT;
}

static void play(void *arg)
{
	struct drill *d = arg;
	_cleanup_(store_call_unrefp) struct store_call *c = d->call;
	int result = d->mode == DRILL_SLOW ? play_delay(d) : play_failure(d);

	if (result == 0)
		store_dispatch(d->store, &d->request, c);
	else
		store_call_finish(c, result);
}

int drill_play(enum drill_mode mode, struct store *s, const struct store_request *r,
	       struct store_call *c)
{
	struct drill *d = calloc(1, sizeof(*d));
	struct task *task;

	if (!d)
		return fail(-ENOMEM);
	event_init(&d->stop);
	d->mode = mode;
	d->store = s;
	d->call = c;
	c->entrance.drill = d;
	if (copy_request(d, r) < 0)
		return fail(-ENOMEM);
	if (mode == DRILL_SLOW)
		call_set_cancel(&c->call, stop_waiting, NULL);
	call_ref(&c->call);
	task = task_start("drill", play, d);
	if (!task) {
		store_call_unref(c);
		return fail(-ENOMEM);
	}
	task_detach(task);
	return 0;
}
