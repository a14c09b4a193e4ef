/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder as a store: who waits for the blocking file work. A disk (or a NAS) that hangs holds a
 * worker, never a caller: a watcher answers what is overdue.
 */
#include "backends/dir_i.h"
#include "backends/store_i.h"

#include <stdio.h>
#include <utlist.h>

#define WORKERS 12
#define QUEUE 4096
#define WATCH_NS (100 * NS_PER_MS)

struct dir_store {
	struct store store;
	char *root;
	_Atomic bool was_there;
	struct pool *pool;
	struct task *watcher;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct cond cond;
		struct job *jobs;
		bool stopping;
	} sync;
};

struct job {
	struct job *prev, *next;
	struct dir_store *dir;
	struct store_call *call; /* a reference */
	uint64_t deadline_ns;
	bool answered; /* under sync.lock; the answer below is then nobody's */
	struct dir_op op;
};

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->op.n_entries; i++)
		free(j->op.entries[i].name);
	free(j->op.entries);
	free(j->op.next_token);
	buf_release(&j->op.bytes);
	blob_unref(j->op.body);
	store_call_unref(j->call);
	free(j);
}

static struct dir_store *dir_of(struct store *s)
{
	return container_of(s, struct dir_store, store);
}

/* Whose answer counts? */
static bool claim(struct job *j)
{
	LOCK_SCOPE(&j->dir->sync.lock);
	if (j->answered)
		return false;
	j->answered = true;
	DL_DELETE(j->dir->sync.jobs, j);
	return true;
}

static void give_answer(struct job *j, int result)
{
	struct store_call *c = j->call;
	struct dir_op *op = &j->op;

	buf_release(&c->body);
	c->body = op->bytes;
	op->bytes = BUF_INIT(0);
	c->size = op->size;
	c->modified_s = op->modified_s;
	c->date_s = clock_wall() / NS_PER_S;
	memcpy(c->version, op->new_version, sizeof(c->version));
	c->meta = op->meta;
	c->entries = take_ptr(&op->entries);
	c->n_entries = op->n_entries;
	op->n_entries = 0;
	c->next_token = take_ptr(&op->next_token);
	c->executed_not = result < 0;
	if (op->detail[0])
		store_call_detail(c, "%s (%s)", op->detail, op->root);
	store_call_finish(c, result);
}

static int execute(struct dir_op *op)
{
	switch (op->op) {
	case STORE_GET:
		return dir_get(op);
	case STORE_PUT:
		return dir_put(op);
	case STORE_HEAD:
		return dir_head(op);
	case STORE_LIST:
		return dir_list(op);
	case STORE_REMOVE:
		return dir_remove(op);
	case STORE_COPY:
		return dir_copy(op);
	case STORE_DESCRIBE:
		return dir_describe(op);
	case STORE_UPLOAD_BEGIN:
		return dir_upload_begin(op);
	case STORE_UPLOAD_PART:
		return dir_upload_part(op);
	case STORE_UPLOAD_FINISH:
		return dir_upload_finish(op);
	case STORE_UPLOAD_ABORT:
		return dir_upload_abort(op);
	}
	return fail(-EINVAL);
}

static void work(void *arg)
{
	struct job *j = arg;
	const int result = call_cancelled(&j->call->call) ? -ECANCELED : execute(&j->op);

	if (claim(j))
		give_answer(j, result);
	job_free(j);
}

/* An overdue job, answered by us; its worker frees it when it comes back. */
static struct store_call *next_overdue(struct dir_store *d, uint64_t now, int *ret_result)
{
	struct job *j;

	LOCK_SCOPE(&d->sync.lock);
	DL_FOREACH(d->sync.jobs, j)
	{
		if (j->deadline_ns > now)
			continue;
		j->answered = true;
		DL_DELETE(d->sync.jobs, j);
		call_ref(&j->call->call);
		*ret_result = store_op_publishes(j->op.op) ? STORE_UNKNOWN : -ETIMEDOUT;
		return j->call;
	}
	return NULL;
}

static bool wait_for_jobs(struct dir_store *d)
{
	LOCK_SCOPE(&d->sync.lock);
	while (!d->sync.jobs && !d->sync.stopping)
		cond_wait(&d->sync.cond, &d->sync.lock, NEVER);
	if (d->sync.jobs && !d->sync.stopping)
		cond_wait(&d->sync.cond, &d->sync.lock, clock_now() + WATCH_NS);
	return !d->sync.stopping;
}

static void watch(void *arg)
{
	struct dir_store *d = arg;

	while (wait_for_jobs(d)) {
		struct store_call *c;
		int result;

		while ((c = next_overdue(d, clock_now(), &result))) {
			store_call_detail(c, "no answer by the deadline (%s)", d->root);
			store_call_finish(c, result);
			store_call_unref(c);
		}
	}
}

static void copy_name(char *ret, struct span s)
{
	/* the entrance has checked the length */
	memcpy(ret, s.data ? (const void *)s.data : "", s.len);
	ret[s.len] = 0;
}

static void copy_version(char ret[STORE_VERSION_MAX], const char *version)
{
	snprintf(ret, STORE_VERSION_MAX, "%s", version ? version : "");
}

static struct job *job_new(struct store *s, enum store_op op, struct span name,
			   uint64_t deadline_ns, struct store_call *c)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		store_call_finish(c, -ENOMEM);
		return NULL;
	}
	call_ref(&c->call);
	j->dir = dir_of(s);
	j->call = c;
	j->deadline_ns = deadline_ns;
	j->op.op = op;
	j->op.root = j->dir->root;
	j->op.was_there = &j->dir->was_there;
	j->op.upload = c->upload;
	copy_name(j->op.name, name);
	return j;
}

static void start(struct job *j)
{
	struct dir_store *d = j->dir;

	lock_take(&d->sync.lock);
	if (!d->sync.jobs)
		cond_signal(&d->sync.cond);
	DL_APPEND(d->sync.jobs, j);
	lock_give(&d->sync.lock);
	if (pool_run(d->pool, work, j) == 0)
		return;
	if (claim(j)) {
		j->call->executed_not = true;
		store_call_detail(j->call, "too many requests are waiting for this folder");
		store_call_finish(j->call, -EAGAIN);
	}
	job_free(j);
}

static void get(struct store *s, const struct get_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_GET, r->name, r->deadline_ns, c);

	if (!j)
		return;
	j->op.offset = r->offset;
	j->op.length = r->length;
	j->op.limit = r->limit;
	buf_init(&j->op.bytes, r->limit);
	copy_version(j->op.version, r->if_match);
	start(j);
}

static void put(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_PUT, r->name, r->deadline_ns, c);

	if (!j)
		return;
	j->op.body = blob_ref(r->body);
	j->op.cond = r->cond;
	copy_version(j->op.version, r->if_match);
	if (r->meta)
		j->op.meta = *r->meta;
	start(j);
}

static void head(struct store *s, const struct head_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_HEAD, r->name, r->deadline_ns, c);

	if (j)
		start(j);
}

static void list(struct store *s, const struct list_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_LIST, r->prefix, r->deadline_ns, c);

	if (!j)
		return;
	copy_name(j->op.after,
		  r->token ? span_sub(span_str(r->token), 0, STORE_NAME_MAX) : r->after);
	j->op.delimiter = r->delimiter;
	j->op.max = r->max;
	start(j);
}

static void remove_object(struct store *s, const struct remove_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_REMOVE, r->name, r->deadline_ns, c);

	if (!j)
		return;
	copy_version(j->op.version, r->if_match);
	start(j);
}

static void copy(struct store *s, const struct copy_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_COPY, r->to, r->deadline_ns, c);

	if (!j)
		return;
	copy_name(j->op.from, r->from);
	copy_version(j->op.from_version, r->from_match);
	j->op.cond = r->cond;
	copy_version(j->op.version, r->if_match);
	j->op.keep_meta = !r->meta;
	if (r->meta)
		j->op.meta = *r->meta;
	start(j);
}

static void describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_DESCRIBE, r->name, r->deadline_ns, c);

	if (!j)
		return;
	copy_version(j->op.version, r->if_match);
	j->op.meta = *r->meta;
	start(j);
}

static void upload_begin(struct store *s, const struct upload_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_UPLOAD_BEGIN, r->name, r->deadline_ns, c);

	if (j)
		start(j);
}

static void upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c)
{
	struct job *j = job_new(s, STORE_UPLOAD_PART, span_str(c->upload->name), r->deadline_ns, c);

	if (!j)
		return;
	j->op.index = r->index;
	j->op.body = r->body ? blob_ref(r->body) : NULL;
	copy_name(j->op.from, r->from);
	copy_version(j->op.from_version, r->from_match);
	j->op.offset = r->offset;
	j->op.length = r->length;
	start(j);
}

static void upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct job *j = job_new(s, STORE_UPLOAD_FINISH, span_str(c->upload->name), deadline_ns, c);

	if (!j)
		return;
	j->op.cond = c->upload->cond;
	copy_version(j->op.version, c->upload->if_match);
	start(j);
}

static void upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct job *j = job_new(s, STORE_UPLOAD_ABORT, span_str(c->upload->name), deadline_ns, c);

	if (j)
		start(j);
}

static struct dir_store *dir_free(struct dir_store *d)
{
	if (!d)
		return NULL;
	pool_free(d->pool);
	lock_take(&d->sync.lock);
	d->sync.stopping = true;
	cond_broadcast(&d->sync.cond);
	lock_give(&d->sync.lock);
	if (d->watcher)
		task_join(d->watcher);
	cond_release(&d->sync.cond);
	lock_release(&d->sync.lock);
	store_release(&d->store);
	free(d->root);
	free(d);
	return NULL;
}
DEFINE_CLEANUP(struct dir_store *, dir_free)

static void free_store(struct store *s)
{
	dir_free(dir_of(s));
}

static const struct upload_limits dir_upload_limits = {
	.part_min = 1,
	.part_max = 4 * GiB,
	.part_unit = 1,
	.object_max = INT64_MAX,
	.parts_max = 1000000,
	.parts_at_once = 4,
	.copies_parts = true,
};
static const struct store_ops dir_ops = {
	.get = get,
	.put = put,
	.head = head,
	.list = list,
	.remove = remove_object,
	.copy = copy,
	.describe = describe,
	.upload_begin = upload_begin,
	.upload_part = upload_part,
	.upload_finish = upload_finish,
	.upload_abort = upload_abort,
	.upload_limits = &dir_upload_limits,
	.free = free_store,
};

int dir_store_open(const char *name, const char *url, const struct uri *uri, struct store **ret,
		   char *err, size_t err_size)
{
	static const char *const no_parameters[] = { NULL };
	_cleanup_(dir_freep) struct dir_store *d = NULL;
	int r = uri_check_params(uri, no_parameters, url, err, err_size);

	if (r < 0)
		return r;
	if (uri->authority && *uri->authority) {
		snprintf(err, err_size, "%s: a folder's URL has three slashes, file:///DIR", url);
		return -EINVAL;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return fail(-ENOMEM);
	lock_init(&d->sync.lock, RANK_LEAF);
	cond_init(&d->sync.cond);
	r = store_init(&d->store, &dir_ops, name, url);
	if (r < 0)
		return r;
	d->store.starts_after = true;
	if (asprintf(&d->root, "/%s", uri->path) < 0) {
		d->root = NULL;
		return fail(-ENOMEM);
	}
	d->pool = pool_new("folder", WORKERS, QUEUE);
	d->watcher = task_start("watch", watch, d);
	if (!d->pool || !d->watcher)
		return fail(-ENOMEM);
	*ret = &take_ptr(&d)->store;
	return 0;
}
