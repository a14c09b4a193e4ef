/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entrances of every store: they refuse requests that cannot be, count, play drills,
 * and hand over to the implementer.
 *
 * (E1) An operation is counted exactly once, when its call finishes, before `then` runs.
 * (E2) A store outlives the counting: store_free() waits until under_way is 0, because a caller may
 *      have seen the result before the finishing thread came here.
 */
#include "backends/store_i.h"
#include "backends/upload_i.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define GRACE_NS (1 * NS_PER_S) /* an implementer's own deadline fires first */
#define GRACE_CANCEL_NS (5 * NS_PER_S)

const char *store_condition_name(int cond)
{
	switch (cond) {
	case 0:
		return "done";
	case STORE_MISSING:
		return "missing";
	case STORE_EXISTS:
		return "exists";
	case STORE_CHANGED:
		return "changed";
	case STORE_RANGE:
		return "out of range";
	case STORE_UNKNOWN:
		return "unknown";
	case STORE_GONE:
		return "gone";
	case STORE_TOO_LARGE:
		return "too large";
	}
	return cond < 0 ? strerrorname_np(-cond) : "?";
}

const char *store_op_name(enum store_op op)
{
	static const char *const names[] = {
		[STORE_GET] = "get",
		[STORE_PUT] = "put",
		[STORE_HEAD] = "head",
		[STORE_LIST] = "list",
		[STORE_REMOVE] = "remove",
		[STORE_COPY] = "copy",
		[STORE_UPLOAD_BEGIN] = "upload_begin",
		[STORE_UPLOAD_PART] = "upload_part",
		[STORE_UPLOAD_FINISH] = "upload_finish",
		[STORE_UPLOAD_ABORT] = "upload_abort",
		[STORE_DESCRIBE] = "describe",
	};

	return names[op];
}

void store_draw_writer(struct object_meta *m)
{
	uint8_t id[(META_WRITER_MAX - 1) / 2];

	random_fill(id, sizeof(id));
	hex_encode(span_of(id, sizeof(id)), m->writer);
}

int store_init(struct store *s, const struct store_ops *ops, const char *name, const char *url)
{
	char *copy = strdup(url);

	if (!copy)
		return fail(-ENOMEM);
	*s = (struct store){ .ops = ops, .url = copy };
	snprintf(s->name, sizeof(s->name), "%s", name);
	lock_init(&s->sync.lock, RANK_STORE);
	cond_init(&s->sync.idle);
	return 0;
}

void store_release(struct store *s)
{
	cond_release(&s->sync.idle);
	lock_release(&s->sync.lock);
	free(s->url);
	s->url = NULL;
}

struct store *store_free(struct store *s)
{
	if (!s)
		return NULL;
	lock_take(&s->sync.lock);
	while (s->sync.under_way) /* (E2) */
		(void)cond_wait(&s->sync.idle, &s->sync.lock, NEVER);
	lock_give(&s->sync.lock);
	s->ops->free(s);
	return NULL;
}

/* ---- one call ---- */

static void call_destroy(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);

	for (size_t i = 0; i < c->n_entries; i++)
		free(c->entries[i].name);
	free(c->entries);
	free(c->next_token);
	buf_release(&c->body);
	if (c->impl.free)
		c->impl.free(c->impl.data);
	drill_free(c->entrance.drill);
	store_upload_unref(c->upload);
	free(c);
}

void store_call_unref(struct store_call *c)
{
	if (c)
		call_unref(&c->call);
}

void store_call_detail(struct store_call *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
}

void store_call_finish(struct store_call *c, int result)
{
	if (c->entrance.corrupt && result == 0 && c->body.len)
		c->body.data[c->body.len / 2] ^= 1;
	if (c->upload)
		upload_ended(c, result);
	call_finish(&c->call, result);
}

static bool is_error(int result)
{
	return (result < 0 && result != -ECANCELED) || result == STORE_UNKNOWN;
}

static void count_locked(struct store *s, const struct store_call *c, int result)
{
	struct store_stats *st = &s->sync.stats;

	lock_assert_held(&s->sync.lock);
	if (is_error(result)) {
		st->errors++;
		st->last_error_wall_ns = clock_wall();
		snprintf(st->last_error, sizeof(st->last_error), "%s: %.240s", store_op_name(c->op),
			 c->detail[0] ? c->detail : store_condition_name(result));
	} else if (result == 0) {
		st->bytes_read += c->body.len;
		st->bytes_written += c->entrance.bytes_out;
	}
}

/* The same name finds the same metric: two threads at once find it twice. */
static struct metric *seconds_of(struct store *s, enum store_op op)
{
	char labels[160];

	if (!s->m_seconds[op]) {
		snprintf(labels, sizeof(labels), "store=\"%s\",operation=\"%s\"", s->name,
			 store_op_name(op));
		s->m_seconds[op] = metric_get("mangrove_store_request_seconds",
					      "Duration of requests to a store.", METRIC_SECONDS,
					      labels);
	}
	return s->m_seconds[op];
}

static struct metric *errors_of(struct store *s)
{
	char labels[96];

	if (!s->m_errors) {
		snprintf(labels, sizeof(labels), "store=\"%s\"", s->name);
		s->m_errors = metric_get("mangrove_store_errors_total",
					 "Requests that failed, or whose end is not known.",
					 METRIC_COUNTER, labels);
	}
	return s->m_errors;
}

static void measure(struct store *s, const struct store_call *c, int result)
{
	if (result == -ECANCELED) /* how long nobody waited says nothing */
		return;
	metric_observe_ns(seconds_of(s, c->op), clock_now() - c->call.started_ns);
	metric_add(errors_of(s), is_error(result));
}

/* Runs on the finishing thread. */
static void finished(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);
	struct store *s = c->store;

	log_debug("store", "operation ended", "store=%s op=%s result=%s detail=\"%s\"", s->name,
		  store_op_name(c->op), store_condition_name(call->result), c->detail);
	lock_take(&s->sync.lock);
	count_locked(s, c, call->result);
	lock_give(&s->sync.lock);
	measure(s, c, call->result);
	if (c->entrance.then)
		c->entrance.then(call);
	LOCK_SCOPE(&s->sync.lock);
	if (--s->sync.under_way == 0)
		cond_broadcast(&s->sync.idle);
}

static uint64_t bytes_of(const struct store_request *r)
{
	struct blob *body = r->op == STORE_PUT           ? r->put.body
			    : r->op == STORE_UPLOAD_PART ? r->part.body
							 : NULL;

	return body ? blob_span(body).len : 0;
}

static struct store_call *call_new(struct store *s, const struct store_request *r, call_fn *then,
				   void *arg)
{
	struct store_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	call_init(&c->call, call_destroy);
	c->store = s;
	c->op = r->op;
	c->entrance.then = then;
	c->entrance.then_arg = arg;
	if (r->op == STORE_GET)
		buf_init(&c->body, r->get.limit);
	if (r->op == STORE_UPLOAD_PART)
		c->entrance.part = r->part.index;
	c->entrance.bytes_out = bytes_of(r);
	call_on_done(&c->call, finished, arg);
	return c;
}

/* ---- starting ---- */

static enum drill_mode drill_now_locked(struct store *s)
{
	lock_assert_held(&s->sync.lock);
	if (s->sync.drill != DRILL_NONE && clock_now() >= s->sync.drill_until_ns)
		s->sync.drill = DRILL_NONE;
	return s->sync.drill;
}

static enum drill_mode enter(struct store *s, enum store_op op)
{
	LOCK_SCOPE(&s->sync.lock);
	s->sync.under_way++;
	s->sync.stats.requests++;
	s->sync.stats.by_op[op]++;
	return drill_now_locked(s);
}

static void leave_unstarted(struct store *s, enum store_op op)
{
	LOCK_SCOPE(&s->sync.lock);
	s->sync.stats.requests--;
	s->sync.stats.by_op[op]--;
	if (--s->sync.under_way == 0)
		cond_broadcast(&s->sync.idle);
}

int store_start(struct store *s, const struct store_request *r, call_fn *then, void *arg,
		struct store_call **ret)
{
	struct store_call *c;
	enum drill_mode mode;

	if (!store_request_is_good(s, r))
		return fail(-EINVAL);
	c = call_new(s, r, then, arg);
	if (!c)
		return fail(-ENOMEM);
	c->upload = r->upload ? store_upload_ref(r->upload) : NULL;
	mode = enter(s, r->op);
	c->entrance.corrupt = mode == DRILL_CORRUPT;
	if (mode == DRILL_NONE || mode == DRILL_CORRUPT) {
		store_dispatch(s, r, c);
	} else if (drill_play(mode, s, r, c) < 0) {
		leave_unstarted(s, r->op);
		store_call_unref(c);
		return fail(-ENOMEM);
	}
	*ret = c;
	return 0;
}

int store_get_then(struct store *s, const struct get_req *r, call_fn *done, void *arg,
		   struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_GET, .get = *r }, done, arg,
			   ret);
}

int store_put_then(struct store *s, const struct put_req *r, call_fn *done, void *arg,
		   struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_PUT, .put = *r }, done, arg,
			   ret);
}

int store_head_then(struct store *s, const struct head_req *r, call_fn *done, void *arg,
		    struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_HEAD, .head = *r }, done, arg,
			   ret);
}

int store_get(struct store *s, const struct get_req *r, struct store_call **ret)
{
	return store_get_then(s, r, NULL, NULL, ret);
}

int store_put(struct store *s, const struct put_req *r, struct store_call **ret)
{
	return store_put_then(s, r, NULL, NULL, ret);
}

int store_head(struct store *s, const struct head_req *r, struct store_call **ret)
{
	return store_head_then(s, r, NULL, NULL, ret);
}

int store_list(struct store *s, const struct list_req *r, struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_LIST, .list = *r }, NULL, NULL,
			   ret);
}

int store_remove(struct store *s, const struct remove_req *r, struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_REMOVE, .remove = *r }, NULL,
			   NULL, ret);
}

int store_copy(struct store *s, const struct copy_req *r, struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_COPY, .copy = *r }, NULL, NULL,
			   ret);
}

int store_describe(struct store *s, const struct describe_req *r, struct store_call **ret)
{
	return store_start(s, &(struct store_request){ .op = STORE_DESCRIBE, .describe = *r },
			   NULL, NULL, ret);
}

/* ---- start and wait ---- */

static uint64_t later(uint64_t t, uint64_t by)
{
	return t > NEVER - by ? NEVER : t + by;
}

int store_wait(struct store_call *c, uint64_t deadline_ns)
{
	int result = call_wait(&c->call, later(deadline_ns, GRACE_NS));

	if (call_finished(&c->call))
		return result;
	call_cancel(&c->call);
	result = call_wait(&c->call, later(clock_now(), GRACE_CANCEL_NS));
	if (call_finished(&c->call))
		return result;
	return store_op_publishes(c->op) ? STORE_UNKNOWN : fail(-ETIMEDOUT);
}

int store_run(struct store *s, const struct store_request *r, struct store_call **ret_call)
{
	struct store_call *c = NULL;
	int result = store_start(s, r, NULL, NULL, &c);

	*ret_call = c;
	return result < 0 ? result : store_wait(c, store_request_deadline(r));
}

int store_get_wait(struct store *s, const struct get_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_GET, .get = *r }, ret_call);
}

int store_put_wait(struct store *s, const struct put_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_PUT, .put = *r }, ret_call);
}

int store_head_wait(struct store *s, const struct head_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_HEAD, .head = *r }, ret_call);
}

int store_list_wait(struct store *s, const struct list_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_LIST, .list = *r }, ret_call);
}

int store_remove_wait(struct store *s, const struct remove_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_REMOVE, .remove = *r }, ret_call);
}

int store_copy_wait(struct store *s, const struct copy_req *r, struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_COPY, .copy = *r }, ret_call);
}

int store_describe_wait(struct store *s, const struct describe_req *r,
			struct store_call **ret_call)
{
	return store_run(s, &(struct store_request){ .op = STORE_DESCRIBE, .describe = *r },
			 ret_call);
}

/* ---- figures and drills ---- */

void store_stats_get(struct store *s, struct store_stats *ret)
{
	LOCK_SCOPE(&s->sync.lock);
	*ret = s->sync.stats;
}

void store_drill(struct store *s, enum drill_mode mode, uint64_t until_ns)
{
	LOCK_SCOPE(&s->sync.lock);
	s->sync.drill = mode;
	s->sync.drill_until_ns = until_ns;
}

enum drill_mode store_drill_get(struct store *s)
{
	LOCK_SCOPE(&s->sync.lock);
	return drill_now_locked(s);
}
