/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/creds.h"

#include "backends/http.h"
#include "backends/uri.h"
#include "base/log.h"
#include "base/sodium.h"
#include "base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define RENEW_BEFORE_S 300         /* or half of the life that is left, if that is less */
#define HOLD_OFF_NS (2 * NS_PER_S) /* after a failure nobody asks again for so long */
#define FETCH_DEADLINE_NS (10 * NS_PER_S)
#define METADATA_CONNECT_MS 1000
#define TICK_NS (50 * NS_PER_MS)

struct creds {
	const struct creds_source *source;
	void *self;
	struct {
		struct lock lock;
		struct creds_value *value; /* or NULL */
		uint64_t renew_s;          /* from then on; 0: never */
		struct task *task;         /* the newest renewal, to be joined */
		bool renewing;
		struct creds_wait *waiting;
		int error; /* of the last renewal, until hold_until_ns */
		uint64_t hold_until_ns;
		char why[256];
	} sync;
};

/* ---- values ---- */

static char *wipe_free(char *s)
{
	if (s)
		wipe(s, strlen(s));
	free(s);
	return NULL;
}

struct creds_value *creds_value_new(enum creds_kind kind, const char *id, const char *secret,
				    const char *session, uint64_t expires_s)
{
	_cleanup_(creds_value_unrefp) struct creds_value *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->refs = 1;
	v->kind = kind;
	v->id = id ? strdup(id) : NULL;
	v->secret = secret ? strdup(secret) : NULL;
	v->session = session ? strdup(session) : NULL;
	v->expires_s = expires_s;
	if ((id && !v->id) || (secret && !v->secret) || (session && !v->session))
		return NULL;
	return take_ptr(&v);
}

struct creds_value *creds_value_ref(struct creds_value *v)
{
	__atomic_add_fetch(&v->refs, 1, __ATOMIC_RELAXED);
	return v;
}

struct creds_value *creds_value_unref(struct creds_value *v)
{
	if (!v || __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	wipe_free(v->id);
	wipe_free(v->secret);
	wipe_free(v->session);
	free(v);
	return NULL;
}

/* ---- the cache ---- */

static uint64_t now_s(void)
{
	return clock_wall() / NS_PER_S;
}

static void keep_locked(struct creds *c, struct creds_value *takes_value)
{
	uint64_t now = now_s(), life;

	creds_value_unref(c->sync.value);
	c->sync.value = takes_value;
	c->sync.error = 0;
	c->sync.renew_s = 0;
	if (!takes_value->expires_s)
		return;
	life = takes_value->expires_s > now ? takes_value->expires_s - now : 0;
	c->sync.renew_s = takes_value->expires_s - MIN((uint64_t)RENEW_BEFORE_S, life / 2);
}

/* What is longer than any credentials are was refused by a buffer on the way. */
static int fetch(struct creds *c, bool local, struct creds_value **ret, char *err, size_t err_size)
{
	int result = c->source->fetch(c, c->self, local, ret, err, err_size);

	if (result != -EMSGSIZE)
		return result;
	snprintf(err, err_size, "a token or an answer is too long for credentials");
	return fail(-EACCES);
}

int creds_new(const struct creds_source *source, void *self, struct creds **ret, char *err,
	      size_t err_size)
{
	struct creds *c = calloc(1, sizeof(*c));
	struct creds_value *v = NULL;
	int result;

	if (!c) {
		source->free(self);
		return fail(-ENOMEM);
	}
	c->source = source;
	c->self = self;
	lock_init(&c->sync.lock, RANK_STORE);
	result = fetch(c, true, &v, err, err_size);
	if (result < 0) {
		creds_free(c);
		return result;
	}
	if (result == 0) {
		LOCK_SCOPE(&c->sync.lock);
		keep_locked(c, v);
	}
	*ret = c;
	return 0;
}

struct creds *creds_free(struct creds *c)
{
	struct task *task;

	if (!c)
		return NULL;
	lock_take(&c->sync.lock);
	task = take_ptr(&c->sync.task);
	lock_give(&c->sync.lock);
	if (task)
		task_join(task);
	c->source->free(c->self);
	creds_value_unref(c->sync.value);
	lock_release(&c->sync.lock);
	free(c);
	return NULL;
}

static void answer_all(struct creds_wait *list, int result, struct creds_value *v, const char *why)
{
	struct creds_wait *next;

	for (; list; list = next) {
		next = list->next; /* `ready` may free the waiter */
		list->ready(list, result, v ? creds_value_ref(v) : NULL, why);
	}
}

/* What the waiters get: the new value, or the old one while it is valid (K2), or the failure. */
static void settle(struct creds *c, int result, struct creds_value *fresh, const char *why)
{
	_cleanup_(creds_value_unrefp) struct creds_value *v = NULL;
	struct creds_wait *list;
	uint64_t now = now_s();

	lock_take(&c->sync.lock);
	if (result == 0) {
		keep_locked(c, fresh);
	} else {
		c->sync.error = result;
		c->sync.hold_until_ns = clock_now() + HOLD_OFF_NS;
		snprintf(c->sync.why, sizeof(c->sync.why), "%s", why);
		if (c->sync.value && c->sync.value->expires_s && c->sync.value->expires_s <= now)
			c->sync.value = creds_value_unref(c->sync.value);
	}
	if (c->sync.value)
		v = creds_value_ref(c->sync.value);
	list = take_ptr(&c->sync.waiting);
	for (struct creds_wait *w = list; w; w = w->next)
		w->waiting = false;
	c->sync.renewing = false;
	lock_give(&c->sync.lock);
	answer_all(list, v ? 0 : result, v, why);
}

static void renew(void *arg)
{
	struct creds *c = arg;
	struct creds_value *fresh = NULL;
	char why[256] = "";
	int result = fetch(c, false, &fresh, why, sizeof(why));

	if (result == CREDS_LATER)
		result = -EAGAIN;
	if (result < 0)
		log_debug("creds", "renewal failed", "error=%d why=\"%s\"", result, why);
	settle(c, result, fresh, why);
}

/* Starts a renewal unless one is under way. */
static int renew_start_locked(struct creds *c)
{
	struct task *task;

	lock_assert_held(&c->sync.lock);
	if (c->sync.renewing)
		return 0;
	if (c->sync.task)
		task_detach(take_ptr(&c->sync.task)); /* it has settled and ends by itself */
	c->sync.renewing = true;
	task = task_start("creds", renew, c);
	if (!task) {
		c->sync.renewing = false;
		return fail(-ENOMEM);
	}
	c->sync.task = task;
	return 0;
}

int creds_get(struct creds *c, struct creds_wait *w, struct creds_value **ret, char *err,
	      size_t err_size)
{
	LOCK_SCOPE(&c->sync.lock);
	struct creds_value *v = c->sync.value;
	bool held = c->sync.error && clock_now() < c->sync.hold_until_ns;
	uint64_t now = now_s();
	int error;

	if (v && (!v->expires_s || now < v->expires_s)) {
		if (c->sync.renew_s && now >= c->sync.renew_s && !held)
			(void)renew_start_locked(c); /* without it the value still serves */
		*ret = creds_value_ref(v);
		return 0;
	}
	if (held) {
		snprintf(err, err_size, "%s", c->sync.why);
		return c->sync.error;
	}
	error = renew_start_locked(c);
	if (error < 0)
		return error;
	w->waiting = true;
	w->next = c->sync.waiting;
	c->sync.waiting = w;
	return CREDS_LATER;
}

static bool unlink_locked(struct creds *c, struct creds_wait *w)
{
	struct creds_wait **at = &c->sync.waiting;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = w->next;
	w->waiting = false;
	return true;
}

bool creds_leave(struct creds *c, struct creds_wait *w)
{
	LOCK_SCOPE(&c->sync.lock);
	return unlink_locked(c, w);
}

void creds_refused(struct creds *c, const struct creds_value *v)
{
	LOCK_SCOPE(&c->sync.lock);
	if (c->sync.value == v)
		c->sync.value = creds_value_unref(c->sync.value);
}

/* ---- for sources ---- */

void creds_tick(struct creds *c)
{
	struct creds_wait *overdue = NULL, *next;
	uint64_t now = clock_now();

	lock_take(&c->sync.lock);
	for (struct creds_wait *w = c->sync.waiting; w; w = next) {
		next = w->next;
		if (now < w->deadline_ns)
			continue;
		(void)unlink_locked(c, w);
		w->next = overdue;
		overdue = w;
	}
	lock_give(&c->sync.lock);
	answer_all(overdue, -ETIMEDOUT, NULL, "the credentials were not renewed in time");
}

static void wake_up(struct request *r)
{
	event_set(r->arg);
}

int creds_http(struct creds *c, struct request *r)
{
	struct event over;
	int error;

	event_init(&over);
	r->done = wake_up;
	r->arg = &over;
	error = http_submit(r);
	while (error == 0 && event_wait(&over, clock_now() + TICK_NS) == -ETIMEDOUT)
		creds_tick(c);
	event_release(&over);
	return error;
}

struct request *creds_request(enum http_method method, const char *url, bool metadata)
{
	_cleanup_(request_freep) struct request *r = NULL;
	_cleanup_endpoint_ struct endpoint e = {};
	_cleanup_free_ char *base = strndup(url, strcspn(url, "?")), *path = NULL;
	const char *query = strchr(url, '?');

	if (!base || endpoint_parse(base, "https", &e) < 0)
		return NULL;
	/* a slash at the end of a path counts, and there is always one */
	if (asprintf(&path, "%s%s", e.path,
		     base[strlen(base) - 1] == '/' || !e.path[0] ? "/" : "") < 0) {
		path = NULL;
		return NULL;
	}
	r = request_new(method, e.origin, path);
	if (!r)
		return NULL;
	if (query) {
		r->raw_query = strdup(query + 1);
		if (!r->raw_query)
			return NULL;
	}
	r->no_proxy = metadata;
	r->connect_timeout_ms = metadata ? METADATA_CONNECT_MS : 0;
	r->deadline_ns = clock_now() + FETCH_DEADLINE_NS;
	return take_ptr(&r);
}

int creds_form(struct request *r, const char *name, const char *value)
{
	int error = 0;

	if (r->head.len)
		error = buf_add_byte(&r->head, '&');
	else
		pairs_set(&r->headers, "Content-Type", "application/x-www-form-urlencoded");
	if (error == 0)
		error = buf_addf(&r->head, "%s=", name);
	return error < 0 ? error : percent_encode(span_str(value), false, &r->head);
}

int creds_file(const char *path, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char block[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, block, sizeof(block))) > 0) {
		int error = buf_add(ret, block, (size_t)n);

		if (error < 0)
			return error;
	}
	while (ret->len && isspace(ret->data[ret->len - 1]))
		ret->len--;
	return n < 0 ? -errno : 0;
}

const char *creds_env(const char *name)
{
	const char *v = getenv(name);

	return v && v[0] ? v : NULL;
}
