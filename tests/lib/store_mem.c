/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests wait in a heap of events, by time: an execution or an answer. The bucket's task takes
 * them out. A request lives until both are over, and its call until the request and the starter
 * have let go.
 */
#include "tests/lib/store_mem.h"

#include "backends/store_i.h"
#include "tests/lib/mem_objects.h"

#include <stdio.h>

struct request {
	struct mem_bucket *bucket;
	struct store_call *call; /* a reference */
	struct mem_op op;
	struct mem_fate fate;
	uint64_t deadline_ns;
	unsigned refs;           /* under the bucket's lock: events and the call */
	bool executed, answered;
};

struct event_entry {
	uint64_t at_ns, order;
	bool answer;
	struct request *req;
};

struct mem_bucket {
	struct mem_objects objects;
	struct lock lock; /* RANK_QUEUE */
	struct cond cond;
	struct event_entry *heap;
	size_t n, cap;
	uint64_t order;
	bool ending;
	struct task *task;
};

struct mem_store {
	struct store store;
	struct mem_bucket *bucket;
	mem_plan_fn *plan;
	void *arg;
};

static bool sooner(const struct event_entry *a, const struct event_entry *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(struct event_entry *a, struct event_entry *b)
{
	const struct event_entry t = *a;

	*a = *b;
	*b = t;
}

/* Lock held. Takes a reference of the request. Never fails: tests have memory. */
static void push(struct mem_bucket *b, struct request *req, uint64_t at_ns, bool answer)
{
	size_t i = b->n;

	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 64;
		b->heap = reallocarray(b->heap, b->cap, sizeof(*b->heap));
		assert(b->heap);
	}
	b->heap[b->n++] = (struct event_entry){
		.at_ns = at_ns, .order = b->order++, .answer = answer, .req = req
	};
	req->refs++;
	for (; i > 0 && sooner(&b->heap[i], &b->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&b->heap[i], &b->heap[(i - 1) / 2]);
	if (i == 0)
		cond_signal(&b->cond);
}

static struct event_entry pop(struct mem_bucket *b)
{
	const struct event_entry top = b->heap[0];
	size_t i = 0;

	b->heap[0] = b->heap[--b->n];
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < b->n && sooner(&b->heap[child], &b->heap[least]))
				least = child;
		if (least == i)
			return top;
		swap(&b->heap[i], &b->heap[least]);
		i = least;
	}
}

/* Lock held on entry and exit. */
static void request_put(struct mem_bucket *b, struct request *req)
{
	if (--req->refs)
		return;
	mem_op_release(&req->op);
	free(req);
}

static int unanswered_result(const struct request *req)
{
	return store_op_publishes(req->op.op) ? STORE_UNKNOWN : -ETIMEDOUT;
}

/* What the caller hears. */
static int answer_result(struct request *req)
{
	if (req->fate.result)
		return req->fate.result;
	return req->executed ? req->op.result : unanswered_result(req);
}

static void fill_in(struct request *req, struct store_call *c)
{
	struct mem_op *op = &req->op;

	if (req->executed && !req->fate.result) {
		buf_release(&c->body);
		c->body = op->bytes;
		op->bytes = BUF_INIT(0);
		c->size = op->size;
		c->modified_s = op->modified_s;
		memcpy(c->version, op->version, sizeof(c->version));
		c->has_md5 = op->has_md5;
		memcpy(c->md5, op->md5, sizeof(c->md5));
		c->meta = op->meta;
		c->entries = take_ptr(&op->entries);
		c->n_entries = op->n_entries;
		op->n_entries = 0;
		c->next_token = take_ptr(&op->next_token);
	}
	c->executed_not = req->fate.executed_not;
	c->date_s = req->fate.mute ? 0 : mem_objects_date(&req->bucket->objects);
}

/* Lock held; given for the call's end. */
static void answer(struct mem_bucket *b, struct request *req)
{
	struct store_call *c = req->call;
	int result;

	if (req->answered)
		return;
	req->answered = true;
	result = call_cancelled(&c->call) ? -ECANCELED : answer_result(req);
	if (result == -ECANCELED && unanswered_result(req) == STORE_UNKNOWN)
		result = STORE_UNKNOWN;
	fill_in(req, c);
	if (result != 0 && result != STORE_RANGE)
		buf_clear(&c->body);
	lock_give(&b->lock);
	store_call_finish(c, result);
	store_call_unref(c);
	lock_take(&b->lock);
}

static void execute(struct mem_bucket *b, struct request *req)
{
	mem_objects_run(&b->objects, &req->op);
	req->executed = true;
}

static void bucket_task(void *arg)
{
	struct mem_bucket *b = arg;

	lock_take(&b->lock);
	while (!b->ending || b->n > 0) {
		struct event_entry e;

		if (b->n == 0 || (b->heap[0].at_ns > clock_now() && !b->ending)) {
			cond_wait(&b->cond, &b->lock, b->n ? b->heap[0].at_ns : NEVER);
			continue;
		}
		e = pop(b);
		if (e.answer)
			answer(b, e.req);
		else
			execute(b, e.req);
		request_put(b, e.req);
	}
	lock_give(&b->lock);
}

struct mem_bucket *mem_bucket_new(void)
{
	struct mem_bucket *b = calloc(1, sizeof(*b));

	if (!b || mem_objects_init(&b->objects)) {
		free(b);
		return NULL;
	}
	lock_init(&b->lock, RANK_QUEUE);
	cond_init(&b->cond);
	b->task = task_start("bucket", bucket_task, b);
	if (!b->task)
		return mem_bucket_free(b);
	return b;
}

struct mem_bucket *mem_bucket_free(struct mem_bucket *b)
{
	if (!b)
		return NULL;
	lock_take(&b->lock);
	b->ending = true;
	cond_signal(&b->cond);
	lock_give(&b->lock);
	if (b->task)
		task_join(b->task);
	mem_objects_release(&b->objects);
	cond_release(&b->cond);
	lock_release(&b->lock);
	free(b->heap);
	free(b);
	return NULL;
}

static void cancelled(struct call *call)
{
	struct request *req = call->cancel_arg;
	LOCK_SCOPE(&req->bucket->lock);

	if (!req->answered)
		push(req->bucket, req, clock_now(), true);
}

static void call_forgets(void *data)
{
	struct request *req = data;
	struct mem_bucket *b = req->bucket;
	LOCK_SCOPE(&b->lock);

	request_put(b, req);
}

static void start(struct store *s, struct request *req, uint64_t deadline_ns, struct store_call *c)
{
	struct mem_store *ms = container_of(s, struct mem_store, store);
	const uint64_t now = clock_now();
	struct mem_bucket *b = ms->bucket;
	struct mem_fate *f = &req->fate;
	uint64_t answer_at;

	req->bucket = b;
	req->call = c;
	req->op.upload = c->upload ? store_upload_ref(c->upload) : NULL;
	call_ref(&c->call);
	if (ms->plan)
		ms->plan(req->op.op, span_str(req->op.name), f, ms->arg);
	if (!f->early)
		f->answer_ns = MAX(f->answer_ns, f->execute_ns);
	answer_at = f->mute ? deadline_ns : MIN(deadline_ns, now + f->answer_ns);
	lock_take(&b->lock);
	req->refs = 1; /* the call's */
	if (!f->lost)
		push(b, req, now + f->execute_ns, false);
	push(b, req, answer_at, true);
	lock_give(&b->lock);
	c->impl.data = req;
	c->impl.free = call_forgets;
	call_set_cancel(&c->call, cancelled, req);
}

static struct request *request_new(enum store_op op, struct span name, size_t limit)
{
	struct request *req = calloc(1, sizeof(*req));

	assert(req && name.len <= STORE_NAME_MAX);
	req->op.op = op;
	req->op.bytes = BUF_INIT(limit);
	memcpy(req->op.name, name.data ? (const void *)name.data : "", name.len);
	return req;
}

static void match_set(struct mem_op *op, const char *if_match)
{
	op->has_match = if_match != NULL;
	if (if_match)
		snprintf(op->if_match, sizeof(op->if_match), "%s", if_match);
}

static void mem_get(struct store *s, const struct get_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_GET, r->name, r->limit);

	req->op.offset = r->offset;
	req->op.length = r->length;
	req->op.limit = r->limit;
	match_set(&req->op, r->if_match);
	start(s, req, r->deadline_ns, c);
}

static void mem_put(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_PUT, r->name, 0);

	req->op.body = blob_ref(r->body);
	req->op.cond = r->cond;
	match_set(&req->op, r->if_match);
	if (r->meta)
		req->op.meta = *r->meta;
	start(s, req, r->deadline_ns, c);
}

static void mem_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	start(s, request_new(STORE_HEAD, r->name, 0), r->deadline_ns, c);
}

static void mem_list(struct store *s, const struct list_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_LIST, r->prefix, 0);
	const struct span after = r->token ? span_str(r->token) : r->after;

	assert(after.len <= STORE_NAME_MAX);
	memcpy(req->op.after, after.data ? (const void *)after.data : "", after.len);
	req->op.delimiter = r->delimiter;
	req->op.max = r->max;
	start(s, req, r->deadline_ns, c);
}

static void mem_remove(struct store *s, const struct remove_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_REMOVE, r->name, 0);

	match_set(&req->op, r->if_match);
	start(s, req, r->deadline_ns, c);
}

static void source_set(struct mem_op *op, struct span from, const char *from_match)
{
	memcpy(op->from, from.data ? (const void *)from.data : "", from.len);
	snprintf(op->from_match, sizeof(op->from_match), "%s", from_match ? from_match : "");
}

static void mem_copy(struct store *s, const struct copy_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_COPY, r->to, 0);

	source_set(&req->op, r->from, r->from_match);
	req->op.cond = r->cond;
	match_set(&req->op, r->if_match);
	req->op.keep_meta = !r->meta;
	if (r->meta)
		req->op.meta = *r->meta;
	start(s, req, r->deadline_ns, c);
}

static void mem_describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	struct request *req = request_new(STORE_DESCRIBE, r->name, 0);

	match_set(&req->op, r->if_match);
	req->op.meta = *r->meta;
	start(s, req, r->deadline_ns, c);
}

static void mem_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c)
{
	start(s, request_new(STORE_UPLOAD_BEGIN, r->name, 0), r->deadline_ns, c);
}

static void mem_upload_part(struct store *s, const struct upload_part_req *r,
			    struct store_call *c)
{
	struct request *req = request_new(STORE_UPLOAD_PART, span_str(c->upload->name), 0);

	req->op.index = r->index;
	req->op.body = r->body ? blob_ref(r->body) : NULL;
	source_set(&req->op, r->from, r->from_match);
	req->op.offset = r->offset;
	req->op.length = r->length;
	start(s, req, r->deadline_ns, c);
}

static void mem_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct request *req = request_new(STORE_UPLOAD_FINISH, span_str(c->upload->name), 0);

	req->op.cond = c->upload->cond;
	match_set(&req->op, c->upload->cond == PUT_IF_MATCH ? c->upload->if_match : NULL);
	start(s, req, deadline_ns, c);
}

static void mem_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	start(s, request_new(STORE_UPLOAD_ABORT, span_str(c->upload->name), 0), deadline_ns, c);
}

static const struct upload_limits mem_upload_limits = {
	.part_min = 1,
	.part_max = GiB,
	.part_unit = 1,
	.object_max = 64 * GiB,
	.parts_max = 10000,
	.parts_at_once = 64,
	.copies_parts = true,
	.named = true,
};

static void mem_free(struct store *s)
{
	store_release(s);
	free(container_of(s, struct mem_store, store));
}

static const struct store_ops mem_ops = {
	.get = mem_get,
	.put = mem_put,
	.head = mem_head,
	.list = mem_list,
	.remove = mem_remove,
	.copy = mem_copy,
	.describe = mem_describe,
	.upload_begin = mem_upload_begin,
	.upload_part = mem_upload_part,
	.upload_finish = mem_upload_finish,
	.upload_abort = mem_upload_abort,
	.upload_limits = &mem_upload_limits,
	.free = mem_free,
};

struct store *store_mem(struct mem_bucket *b, const char *name, mem_plan_fn *plan, void *arg)
{
	struct mem_store *ms = calloc(1, sizeof(*ms));

	if (!ms || store_init(&ms->store, &mem_ops, name, "mem://")) {
		free(ms);
		return NULL;
	}
	ms->store.starts_after = true;
	ms->bucket = b;
	ms->plan = plan;
	ms->arg = arg;
	return &ms->store;
}

bool mem_bucket_get(struct mem_bucket *b, const char *name, struct buf *ret)
{
	LOCK_SCOPE(&b->lock);
	const struct mem_object *obj = mem_objects_find(&b->objects, name);

	return obj && buf_add_span(ret, blob_span(obj->body)) == 0;
}

bool mem_bucket_remove(struct mem_bucket *b, const char *name)
{
	LOCK_SCOPE(&b->lock);

	return mem_objects_remove(&b->objects, name);
}

int mem_bucket_put(struct mem_bucket *b, const char *name, struct span body)
{
	_cleanup_(blob_unrefp) struct blob *blob = blob_copy(body);
	LOCK_SCOPE(&b->lock);

	return blob ? mem_objects_put(&b->objects, name, blob, NULL) : -ENOMEM;
}

size_t mem_bucket_count(struct mem_bucket *b)
{
	LOCK_SCOPE(&b->lock);

	return map_count(b->objects.map);
}

size_t mem_bucket_uploads(struct mem_bucket *b)
{
	LOCK_SCOPE(&b->lock);
	size_t n = 0;

	for (const struct mem_upload *u = b->objects.uploads; u; u = u->next)
		n++;
	return n;
}

void mem_bucket_each(struct mem_bucket *b,
		     void (*fn)(const char *name, struct span body, void *arg), void *arg)
{
	LOCK_SCOPE(&b->lock);
	struct map_entry e;

	for (bool more = map_seek(b->objects.map, SPAN_NULL, false, &e); more;
	     more = map_seek(b->objects.map, e.key, true, &e)) {
		char name[STORE_NAME_MAX + 1] = { 0 };
		struct mem_object *obj;

		memcpy(&obj, e.value.data, sizeof(obj));
		memcpy(name, e.key.data, MIN(e.key.len, sizeof(name) - 1));
		fn(name, blob_span(obj->body), arg);
	}
}

void mem_bucket_vanish(struct mem_bucket *b, bool gone)
{
	LOCK_SCOPE(&b->lock);

	b->objects.gone = gone;
}

void mem_bucket_page(struct mem_bucket *b, unsigned names)
{
	LOCK_SCOPE(&b->lock);

	b->objects.page = names;
}

void mem_bucket_tells_md5(struct mem_bucket *b, bool yes)
{
	LOCK_SCOPE(&b->lock);

	b->objects.tells_md5 = yes;
}

void mem_bucket_skew(struct mem_bucket *b, int64_t seconds)
{
	LOCK_SCOPE(&b->lock);

	b->objects.skew_s = seconds;
}
