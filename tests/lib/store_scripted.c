/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_scripted.h"

#include "base/wait.h"

#include <stdio.h>

enum { OBJECTS_MAX = 256 };

struct object {
	char name[64];
	struct blob *content;
};

struct scripted {
	struct store store;
	struct {
		struct lock lock;
		struct cond wake; /* something was cancelled, or a task ended */
		struct scripted_rule get, put, probe;
		struct object objects[OBJECTS_MAX];
		unsigned n_objects;
		struct scripted_count count;
		unsigned running;
	} own;
};

/* One operation on its task. */
struct play {
	struct scripted *s;
	struct store_call *call;
	char name[64];
	struct blob *body; /* put */
	struct scripted_rule rule;
	uint64_t deadline_ns;
	size_t offset, length;
};

static struct scripted *scripted_of(struct store *s)
{
	return container_of(s, struct scripted, store);
}

static struct object *find_locked(struct scripted *s, const char *name)
{
	for (unsigned i = 0; i < s->own.n_objects; i++)
		if (strcmp(s->own.objects[i].name, name) == 0)
			return &s->own.objects[i];
	return NULL;
}

static int create_locked(struct scripted *s, const char *name, struct blob *content)
{
	struct object *o;

	if (find_locked(s, name))
		return STORE_EXISTS;
	if (s->own.n_objects == OBJECTS_MAX)
		return -ENOSPC;
	o = &s->own.objects[s->own.n_objects++];
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->content = blob_ref(content);
	return 0;
}

static int fetch_locked(struct play *p)
{
	struct object *o = find_locked(p->s, p->name);
	struct span all;

	if (!o)
		return STORE_MISSING;
	all = blob_span(o->content);
	p->call->size = all.len;
	p->call->modified_s = p->rule.modified_s;
	if (p->offset && p->offset >= all.len)
		return STORE_RANGE;
	return buf_add_span(&p->call->body,
			    span_sub(all, p->offset, p->length ? p->length : all.len));
}

static int act_locked(struct play *p)
{
	int r;

	if (p->rule.result)
		return p->rule.result;
	r = p->body ? create_locked(p->s, p->name, p->body) : fetch_locked(p);
	return p->body && p->rule.lie == SCRIPTED_UNSAID ? STORE_UNKNOWN : r;
}

/* Waits as the rule says; negative when it ended before its time. */
static int wait_locked(struct play *p)
{
	uint64_t until = p->rule.hangs ? NEVER : clock_now() + p->rule.delay_ns;

	while (clock_now() < until) {
		if (call_cancelled(&p->call->call))
			return -ECANCELED;
		if (clock_now() >= p->deadline_ns)
			return p->body ? STORE_UNKNOWN : -ETIMEDOUT;
		(void)cond_wait(&p->s->own.wake, &p->s->own.lock, MIN(until, p->deadline_ns));
	}
	return 0;
}

static void play_main(void *arg)
{
	struct play *p = arg;
	struct scripted *s = p->s;
	bool ended_early;
	int r;

	lock_take(&s->own.lock);
	r = wait_locked(p);
	ended_early = r != 0;
	if (r == -ECANCELED)
		s->own.count.cancelled++;
	if (!ended_early)
		r = act_locked(p);
	if (!ended_early && !(p->rule.silent && r))
		p->call->date_s = 1;
	lock_give(&s->own.lock);
	call_finish(&p->call->call, r);
	store_call_unref(p->call);
	blob_unref(p->body);
	free(p);
	LOCK_SCOPE(&s->own.lock);
	s->own.running--;
	cond_broadcast(&s->own.wake);
}

static void play_cancel(struct call *c)
{
	struct scripted *s = c->cancel_arg;

	LOCK_SCOPE(&s->own.lock);
	cond_broadcast(&s->own.wake);
}

static struct scripted_rule take_rule_locked(struct scripted_rule *rule)
{
	struct scripted_rule now = *rule;

	if (rule->times && --rule->times == 0)
		*rule = (struct scripted_rule){ 0 };
	return now;
}

static void play(struct scripted *s, struct play begin, struct span name, struct store_call *c)
{
	struct play *p = malloc(sizeof(*p));

	if (!p)
		abort();
	*p = begin;
	p->s = s;
	p->call = c;
	snprintf(p->name, sizeof(p->name), "%.*s", SPAN_FMT(name));
	call_ref(&c->call);
	call_set_cancel(&c->call, play_cancel, s);
	lock_take(&s->own.lock);
	if (p->body)
		s->own.count.puts++;
	else if (span_starts(name, SPAN_LITERAL("probe/")))
		s->own.count.probes++;
	else
		s->own.count.gets++;
	p->rule = take_rule_locked(p->body ? &s->own.put
				   : span_starts(name, SPAN_LITERAL("probe/")) ? &s->own.probe
									      : &s->own.get);
	s->own.running++;
	s->own.count.most_at_once = MAX(s->own.count.most_at_once, s->own.running);
	lock_give(&s->own.lock);
	task_detach(task_start("scripted", play_main, p));
}

static void scripted_op_get(struct store *store, const struct get_req *r, struct store_call *c)
{
	play(scripted_of(store),
	     (struct play){ .deadline_ns = r->deadline_ns,
			    .offset = r->offset,
			    .length = r->length },
	     r->name, c);
}

static void scripted_op_put(struct store *store, const struct put_req *r, struct store_call *c)
{
	play(scripted_of(store),
	     (struct play){ .deadline_ns = r->deadline_ns, .body = blob_ref(r->body) }, r->name, c);
}

static void scripted_op_free(struct store *store)
{
	struct scripted *s = scripted_of(store);

	lock_take(&s->own.lock);
	while (s->own.running)
		(void)cond_wait(&s->own.wake, &s->own.lock, NEVER);
	lock_give(&s->own.lock);
	for (unsigned i = 0; i < s->own.n_objects; i++)
		blob_unref(s->own.objects[i].content);
	cond_release(&s->own.wake);
	lock_release(&s->own.lock);
	store_release(store);
	free(s);
}

static const struct store_ops scripted_ops = {
	.get = scripted_op_get,
	.put = scripted_op_put,
	.free = scripted_op_free,
};

struct store *scripted_new(const char *name)
{
	struct scripted *s = calloc(1, sizeof(*s));

	if (!s || store_init(&s->store, &scripted_ops, name, "test://scripted") < 0)
		abort();
	lock_init(&s->own.lock, RANK_STORE);
	cond_init(&s->own.wake);
	return &s->store;
}

static void set_rule(struct store *store, struct scripted_rule *rule,
		     const struct scripted_rule *to)
{
	LOCK_SCOPE(&scripted_of(store)->own.lock);
	*rule = to ? *to : (struct scripted_rule){ 0 };
}

void scripted_get(struct store *s, const struct scripted_rule *rule)
{
	set_rule(s, &scripted_of(s)->own.get, rule);
}

void scripted_put(struct store *s, const struct scripted_rule *rule)
{
	set_rule(s, &scripted_of(s)->own.put, rule);
}

void scripted_all(struct store *s, const struct scripted_rule *rule)
{
	scripted_get(s, rule);
	scripted_put(s, rule);
	set_rule(s, &scripted_of(s)->own.probe, rule);
}

void scripted_add(struct store *store, const char *name, const char *content)
{
	struct scripted *s = scripted_of(store);
	struct blob *b = blob_copy(span_str(content));

	LOCK_SCOPE(&s->own.lock);
	if (!b || create_locked(s, name, b) != 0)
		abort();
	blob_unref(b);
}

bool scripted_has(struct store *store, const char *name)
{
	struct scripted *s = scripted_of(store);

	LOCK_SCOPE(&s->own.lock);
	return find_locked(s, name) != NULL;
}

struct scripted_count scripted_count(struct store *store)
{
	struct scripted *s = scripted_of(store);

	LOCK_SCOPE(&s->own.lock);
	return s->own.count;
}
