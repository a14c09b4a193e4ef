/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/bucket_job.h"

#include <utlist.h>

#define AHEAD_PAGES 32
#define AHEAD_IDLE_NS (5 * NS_PER_S)

/* ---- the task ---- */

static bool is_stopped(struct job *j)
{
	LOCK_SCOPE(&j->bucket->sync.lock);
	return j->bucket->sync.stopping || j->outdated;
}

static bool is_over(const struct job *j)
{
	if (j->error || j->left)
		return true;
	for (unsigned i = 0; i < j->n; i++)
		if (!j->range[i]->done)
			return false;
	return true;
}

static bool may_go_on_locked(const struct job *j)
{
	return j->kind != JOB_AHEAD || j->waiting || j->unwanted < AHEAD_PAGES;
}

static bool may_go_on(struct job *j)
{
	LOCK_SCOPE(&j->bucket->sync.lock);
	return may_go_on_locked(j);
}

/* Nothing is under way: until a failure's pause is over, or somebody comes. */
static void pause_job(struct job *j)
{
	struct bucket *b = j->bucket;
	uint64_t until_ns = clock_now() + AHEAD_IDLE_NS;

	LOCK_SCOPE(&b->sync.lock);
	if (!may_go_on_locked(j)) {
		while (!b->sync.stopping && !j->outdated && !may_go_on_locked(j) && !j->left)
			j->left = cond_wait(&b->sync.changed, &b->sync.lock, until_ns) ==
				  -ETIMEDOUT;
		return;
	}
	for (unsigned i = 0; i < j->n; i++)
		if (!j->range[i]->done)
			until_ns = MIN(until_ns, j->range[i]->not_before_ns);
	while (!b->sync.stopping && !j->outdated && clock_now() < until_ns)
		(void)cond_wait(&b->sync.changed, &b->sync.lock, until_ns);
}

static void wait_for_answers(struct job *j)
{
	struct call *calls[JOB_RANGES];
	uint64_t until_ns = NEVER;
	size_t n = 0;

	for (unsigned i = 0; i < j->n; i++) {
		const struct range *r = j->range[i];

		if (r->call)
			calls[n++] = &r->call->call;
		else if (!r->done && r->not_before_ns > clock_now())
			until_ns = MIN(until_ns, r->not_before_ns);
	}
	if (n == 0)
		pause_job(j);
	else if (calls_wait(calls, n, 1, until_ns) == -ENOMEM)
		(void)call_wait(calls[0], until_ns);
}

static void ask_all(struct job *j)
{
	for (unsigned i = 0; i < j->n && !j->error; i++)
		range_ask(j, j->range[i]);
}

/* What is under way still, when the listing ended in the middle. */
static void cancel_rest(struct job *j)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->range[i]->call)
			call_cancel(&j->range[i]->call->call);
	for (unsigned i = 0; i < j->n; i++) {
		struct range *r = j->range[i];

		if (!r->call)
			continue;
		(void)call_wait(&r->call->call, NEVER);
		(void)ask_ended(j->bucket, r->mirror, r->call);
	}
}

static void note_end(struct job *j, bool stopped)
{
	struct bucket *b = j->bucket;

	if (!j->error && !j->left && !stopped)
		j->error = merge_end(&j->range[0]->merge, j->started_ns, !j->range[0]->has_lo);
	if (!stopped && !j->left)
		belief_failed(b, j->dir, j->error);
	LOCK_SCOPE(&b->sync.lock);
	DL_DELETE(b->sync.jobs, j);
	DL_APPEND(b->sync.ended, j);
	b->sync.n_jobs--;
	cond_broadcast(&b->sync.changed);
}

static void job_task(void *arg)
{
	struct job *j = arg;
	bool stopped = false;

	while (!is_over(j) && !stopped) {
		if (may_go_on(j))
			ask_all(j);
		wait_for_answers(j);
		stopped = is_stopped(j);
		for (unsigned i = 0; i < j->n && !j->error && !stopped; i++)
			if (j->range[i]->call && call_finished(&j->range[i]->call->call))
				range_take(j, j->range[i]);
		if (!j->error && !stopped)
			ranges_split(j);
	}
	cancel_rest(j);
	note_end(j, stopped);
}

/* ---- starting and ending ---- */

static struct job *job_free(struct job *j)
{
	if (!j)
		return NULL;
	for (unsigned i = 0; i < j->n; i++)
		range_free(j->range[i]);
	cuts_release(&j->cuts);
	free(j);
	return NULL;
}

static struct job *job_new(struct bucket *b, uint64_t dir, struct span prefix, struct span from,
			   enum job_kind kind)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	*j = (struct job){ .bucket = b, .dir = dir, .kind = kind, .started_ns = clock_wall() };
	assert(prefix.len <= STORE_NAME_MAX);
	memcpy(j->path, prefix.data ? (const void *)prefix.data : "", prefix.len);
	j->prefix = span_of(j->path, prefix.len);
	j->range[0] = range_new(j, from.len ? &from : NULL, NULL);
	if (!j->range[0])
		return job_free(j);
	j->n = 1;
	return j;
}

/* Joins the tasks of listings that ended. */
static void reap(struct bucket *b)
{
	struct job *ended, *j, *next;

	lock_take(&b->sync.lock);
	ended = b->sync.ended;
	b->sync.ended = NULL;
	lock_give(&b->sync.lock);
	DL_FOREACH_SAFE(ended, j, next) {
		task_join(j->task);
		job_free(j);
	}
}

/* An old one does not count: what it has seen is from before the refresh. */
static bool is_the_same_locked(const struct job *j, uint64_t dir, enum job_kind kind,
			       uint64_t refreshed_ns)
{
	return j->dir == dir && job_is_flat(j) == (kind != JOB_DIRECTORY) &&
	       j->started_ns > refreshed_ns;
}

static struct job *find_locked(struct bucket *b, uint64_t dir, enum job_kind kind,
			       uint64_t refreshed_ns)
{
	struct job *j;

	DL_FOREACH(b->sync.jobs, j)
		if (is_the_same_locked(j, dir, kind, refreshed_ns))
			return j;
	return NULL;
}

/* Takes *new into the list and starts it, unless there is one. 0, -EAGAIN, -ETIMEDOUT, -ENOMEM. */
static int enter_locked(struct bucket *b, struct job **new, uint64_t refreshed_ns,
			uint64_t deadline_ns)
{
	struct job *j = *new;

	while (!find_locked(b, j->dir, j->kind, refreshed_ns)) {
		if (b->sync.stopping)
			return fail(-EIO);
		if (b->sync.n_jobs < (j->kind == JOB_AHEAD ? JOBS_AHEAD : JOBS_MAX)) {
			j->id = ++b->sync.next_job;
			j->task = task_start("listing", job_task, j);
			if (!j->task)
				return fail(-ENOMEM);
			DL_APPEND(b->sync.jobs, j);
			b->sync.n_jobs++;
			*new = NULL;
			return 0;
		}
		if (j->kind == JOB_AHEAD)
			return -EAGAIN;
		if (cond_wait(&b->sync.changed, &b->sync.lock, deadline_ns) == -ETIMEDOUT)
			return fail(-ETIMEDOUT);
	}
	return 0;
}

int job_start(struct bucket *b, uint64_t dir, struct span prefix, struct span from,
	      enum job_kind kind, uint64_t deadline_ns)
{
	const uint64_t refreshed_ns = belief_refreshed(b, prefix);
	struct job *j;
	int r;

	reap(b);
	j = job_new(b, dir, prefix, from, kind);
	if (!j)
		return fail(-ENOMEM);
	lock_take(&b->sync.lock);
	r = enter_locked(b, &j, refreshed_ns, deadline_ns);
	lock_give(&b->sync.lock);
	job_free(j); /* there was one already */
	return r;
}

/* The questions of listings that are to end, to be cancelled without the lock. */
struct cancelling {
	struct call *call[JOBS_MAX * JOB_QUESTIONS];
	size_t n;
};

static void end_job_locked(struct job *j, struct cancelling *c)
{
	j->outdated = true;
	for (unsigned i = 0; i < j->n && c->n < ARRAY_SIZE(c->call); i++)
		if (j->range[i]->call)
			c->call[c->n++] = call_ref(&j->range[i]->call->call);
	cond_broadcast(&j->bucket->sync.changed);
}

static void cancel_all(struct cancelling *c)
{
	for (size_t i = 0; i < c->n; i++) {
		call_cancel(c->call[i]);
		call_unref(c->call[i]);
	}
}

void jobs_outdate(struct bucket *b, struct span prefix)
{
	struct cancelling c = { 0 };
	struct job *j;

	lock_take(&b->sync.lock);
	DL_FOREACH(b->sync.jobs, j)
		if (span_starts(j->prefix, prefix) || span_starts(prefix, j->prefix))
			end_job_locked(j, &c);
	lock_give(&b->sync.lock);
	cancel_all(&c);
}

void jobs_stop(struct bucket *b)
{
	struct cancelling c = { 0 };
	struct job *j;

	lock_take(&b->sync.lock);
	b->sync.stopping = true;
	cond_broadcast(&b->sync.changed);
	DL_FOREACH(b->sync.jobs, j)
		end_job_locked(j, &c);
	lock_give(&b->sync.lock);
	cancel_all(&c);
	lock_take(&b->sync.lock);
	while (b->sync.n_jobs)
		(void)cond_wait(&b->sync.changed, &b->sync.lock, NEVER);
	lock_give(&b->sync.lock);
	reap(b);
}

/* ---- what others see ---- */

static bool has_key(const struct range *r, struct span key)
{
	return (!r->has_lo || span_compare(span_str(r->lo), key) < 0) &&
	       (!r->has_hi || span_compare(key, span_str(r->hi)) <= 0);
}

/* How far the names from `prefix` on are known without a gap. */
static void look_ahead_locked(const struct job *j, struct span prefix, struct cover *ret)
{
	struct span upto = SPAN_NULL;
	unsigned i = 0;

	if (prefix.len > j->prefix.len || j->range[0]->has_lo)
		while (i < j->n && !has_key(j->range[i], prefix))
			i++;
	for (; i < j->n; i++) {
		const struct range *r = j->range[i];

		if (r->begun)
			upto = span_str(r->last);
		if (!r->done)
			break;
		if (r->has_hi)
			upto = span_str(r->hi);
		else
			ret->all = true;
	}
	ret->begun = ret->all || (upto.len && span_compare(upto, prefix) >= 0);
	if (ret->begun && !span_starts(upto, prefix))
		ret->all = true; /* it is past the directory */
	ret->upto_len = upto.len;
	memcpy(ret->upto, upto.data ? (const void *)upto.data : "", upto.len);
}

static bool covers_locked(const struct job *j, uint64_t dir, struct span prefix, bool *ret_exact)
{
	const struct range *first = j->range[0];

	*ret_exact = j->dir == dir && !first->has_lo;
	if (*ret_exact)
		return true;
	return job_is_flat(j) && j->dir != dir && span_starts(prefix, j->prefix) &&
	       (!first->has_lo || span_compare(span_str(first->lo), prefix) < 0);
}

static void describe_locked(const struct job *j, struct span prefix, bool exact,
			    struct cover *ret)
{
	*ret = (struct cover){ .job = j->id, .exact = exact, .pages = j->pages };
	for (unsigned i = 0; i < j->n; i++)
		ret->active += !j->range[i]->done;
	look_ahead_locked(j, prefix, ret);
}

void job_cover(struct bucket *b, uint64_t dir, struct span prefix, struct cover *ret)
{
	const uint64_t refreshed_ns = belief_refreshed(b, prefix);
	struct job *j;
	bool exact;

	ret->job = 0;
	LOCK_SCOPE(&b->sync.lock);
	DL_FOREACH(b->sync.jobs, j) {
		if (j->started_ns <= refreshed_ns || !covers_locked(j, dir, prefix, &exact))
			continue;
		if (!ret->job || (exact && !ret->exact))
			describe_locked(j, prefix, exact, ret);
	}
}

bool cover_has(const struct cover *c, struct span prefix, struct span rel, struct span suffix)
{
	const struct span parts[] = { prefix, rel, suffix };
	struct span rest = span_of(c->upto, c->upto_len);

	if (!c->begun)
		return false;
	if (c->all)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct span head = span_sub(rest, 0, parts[i].len);
		const int x = span_compare(parts[i], head);

		if (x)
			return x < 0;
		rest = span_sub(rest, parts[i].len, rest.len);
	}
	return true;
}

static struct job *by_id_locked(struct bucket *b, uint64_t id)
{
	struct job *j;

	DL_FOREACH(b->sync.jobs, j)
		if (j->id == id)
			return j;
	return NULL;
}

int job_wait(struct bucket *b, const struct cover *seen, uint64_t deadline_ns)
{
	struct job *j;
	int r = 0;

	LOCK_SCOPE(&b->sync.lock);
	j = by_id_locked(b, seen->job);
	if (j && j->waiting++ == 0)
		cond_broadcast(&b->sync.changed); /* ahead, it may rest */
	while (r == 0 && j && j->pages == seen->pages) {
		r = cond_wait(&b->sync.changed, &b->sync.lock, deadline_ns);
		j = by_id_locked(b, seen->job);
	}
	if (j)
		j->waiting--;
	return r;
}

void job_demand(struct bucket *b, struct span prefix)
{
	struct job *j;

	LOCK_SCOPE(&b->sync.lock);
	DL_FOREACH(b->sync.jobs, j)
		if (j->kind == JOB_AHEAD && span_starts(prefix, j->prefix)) {
			if (j->unwanted >= AHEAD_PAGES)
				cond_broadcast(&b->sync.changed);
			j->unwanted = 0;
		}
}
