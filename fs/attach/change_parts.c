/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/change_i.h"

#include "backends/retry.h"
#include "backends/upload.h"
#include "base/log.h"
#include "fs/attach/unfinished.h"

#include <stdio.h>

/* A copy inside a store by parts: it appears whole, at the end, as any upload. */
#define PART (256 * MiB)
#define FLYING 8
#define TRIES 8

struct parts {
	struct store *store;
	const struct copy_req *req;
	struct object_meta meta;
	struct store_upload *upload;
	uint64_t size, part_size, step_ns;
	char version[STORE_VERSION_MAX]; /* of the source; then of the copy */
};

static uint64_t deadline_of(const struct parts *p)
{
	return clock_now() + p->step_ns;
}

/* The source as it is now, and under this version from now on. */
static int look(struct parts *p)
{
	const struct head_req req = { .name = p->req->from, .deadline_ns = deadline_of(p) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_head_wait(p->store, &req, &call);

	if (r)
		return r;
	if (p->req->from_match && strcmp(p->req->from_match, call->version) != 0)
		return STORE_CHANGED;
	p->size = call->size;
	p->meta = p->req->meta ? *p->req->meta : call->meta;
	snprintf(p->version, sizeof(p->version), "%s", call->version);
	store_draw_writer(&p->meta);
	p->part_size = store_upload_part_size(p->store, p->size, PART);
	return p->part_size && store_upload_limits(p->store)->copies_parts ? 0 : STORE_TOO_LARGE;
}

static int begin(struct parts *p)
{
	const struct upload_req req = { .name = p->req->to,
					.meta = &p->meta,
					.cond = p->req->cond,
					.if_match = p->req->if_match,
					.part_size = p->part_size,
					.copies = true,
					.deadline_ns = deadline_of(p) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_upload_begin_wait(p->store, &req, &call);

	if (!r)
		p->upload = store_upload_ref(call->upload);
	return r;
}

static int start(struct parts *p, unsigned index, struct store_call **ret)
{
	const uint64_t off = index * p->part_size;

	return store_upload_copy_part(p->upload, index, p->req->from, p->version, off,
				      MIN(p->part_size, p->size - off), deadline_of(p), ret);
}

/* Again, while it may help. */
static int until_known(struct parts *p, unsigned index, struct store_call *call)
{
	int r = call_wait(&call->call, NEVER); /* it ends by its own deadline */

	for (unsigned tries = 1; (r == -EAGAIN || r == -ETIMEDOUT) && tries < TRIES; tries++) {
		_cleanup_(store_call_unrefp) struct store_call *next = NULL;

		sleep_for(retry_delay_ns(tries, 0, random_u64()));
		r = start(p, index, &next);
		if (!r)
			r = call_wait(&next->call, NEVER);
	}
	return r;
}

/* Parts [first, first + n), all at once. */
static int copy_some(struct parts *p, unsigned first, unsigned n)
{
	struct store_call *calls[FLYING] = { NULL };
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++)
		r = start(p, first + i, &calls[i]);
	for (unsigned i = 0; i < n; i++) {
		const int one = calls[i] ? until_known(p, first + i, calls[i]) : 0;

		store_call_unref(calls[i]);
		r = r ? r : one;
	}
	return r;
}

/* After an unknown end: is the object there ours? */
static int whose(struct parts *p)
{
	const struct head_req req = { .name = p->req->to, .deadline_ns = deadline_of(p) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;

	if (store_head_wait(p->store, &req, &call) || strcmp(call->meta.writer, p->meta.writer))
		return STORE_UNKNOWN;
	snprintf(p->version, sizeof(p->version), "%s", call->version);
	return 0;
}

static int finish(struct parts *p)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_upload_finish_wait(p->upload, deadline_of(p), &call);

	if (r == STORE_UNKNOWN || r == STORE_GONE)
		return whose(p);
	if (!r)
		snprintf(p->version, sizeof(p->version), "%s", call->version);
	return r;
}

static int copy_all(struct parts *p)
{
	const unsigned n = (unsigned)((p->size + p->part_size - 1) / p->part_size);
	const unsigned at_once = MIN((unsigned)FLYING,
				     store_upload_limits(p->store)->parts_at_once);
	int r = 0;

	for (unsigned i = 0; i < n && !r; i += at_once)
		r = copy_some(p, i, MIN(at_once, n - i));
	return r ? r : finish(p);
}

int change_copy_parts(struct attached *a, unsigned store, const struct copy_req *req,
		      uint64_t step_ns, char ret_version[STORE_VERSION_MAX])
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct unfinished *u = attach_unfinished(a->owner);
	struct parts p = { .store = replicas_store(a->replicas, store),
			   .req = req,
			   .step_ns = step_ns };
	uint64_t note;
	int r = look(&p);

	if (!r)
		r = begin(&p);
	if (r)
		return r;
	unfinished_begun(u, a, store, p.upload, &note);
	r = copy_all(&p);
	if (r && store_upload_abort_wait(p.upload, deadline_of(&p), &call)) {
		log_warn("attach", "parts of an unfinished copy are left at the store for now",
			 "store=%s key=%.*s", p.store->name, SPAN_FMT(req->to));
		unfinished_left(u, note);
	} else {
		unfinished_ended(u, note);
	}
	if (!r)
		memcpy(ret_version, p.version, STORE_VERSION_MAX);
	store_upload_unref(p.upload);
	return r;
}
