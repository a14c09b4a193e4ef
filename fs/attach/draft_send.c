/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include "backends/retry.h"
#include "base/log.h"

#include <stdio.h>

/* A draft on its way to its stores. */
#define ABORT_NS (10 * NS_PER_S)

/* With mirrors nobody waits long for one: what it missed is made up later. */
#define MIRROR_NS (15 * NS_PER_S)

static uint64_t deadline_of(const struct draft *d)
{
	return clock_now() + (d->n > 1 ? MIN(d->deadline_ns, MIRROR_NS) : d->deadline_ns);
}

static void observe(struct draft *d, const struct draft_copy *c, int result, uint64_t begun_ns,
		    uint64_t bytes)
{
	const bool answered = result == 0 || result == STORE_EXISTS || result == STORE_CHANGED ||
			      result == STORE_GONE;

	replicas_observe(d->replicas, (unsigned)(c - d->copies), answered ? 0 : result,
			 clock_now() - begun_ns, bytes);
}

/* A store that is known to be down is left out, if there is another one. */
static bool is_left_out(const struct draft *d, const struct draft_copy *c)
{
	const uint64_t up = replicas_up(d->replicas);

	return up && !(up >> (c - d->copies) & 1);
}

static bool passes(int result)
{
	return result == -EAGAIN || result == -ETIMEDOUT;
}

/* A failure, and how the draft ends by it: nobody is left, or the one that decides said no. */
static int lost(const struct draft *d)
{
	return d->excl && !d->has_base ? -EEXIST : -ESTALE;
}

/* Those that go on. */
static unsigned alive(const struct draft *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->n; i++)
		n += !d->copies[i].error;
	return n;
}

static int first_error(const struct draft *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->copies[i].error < 0)
			return d->copies[i].error;
	return -EIO;
}

static void copy_failed(struct draft *d, struct draft_copy *c, int error, const char *what)
{
	c->error = error ? error : -EIO;
	log_warn("attach", "an object could not be written", "store=%s key=%s doing=%s error=%s",
		 c->store->name, d->key, what,
		 error > 0 ? store_condition_name(error) : strerror(-c->error));
}

void draft_copy_drop(struct draft *d, struct draft_copy *c)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;

	for (unsigned i = 0; i < DRAFT_FLYING; i++) {
		struct draft_part *p = &c->flying[i];

		if (p->call) {
			call_cancel(&p->call->call);
			call_wait(&p->call->call, clock_now() + ABORT_NS);
			store_call_unrefp(&p->call);
		}
		p->body = blob_unref(p->body);
	}
	if (c->upload && store_upload_abort_wait(c->upload, clock_now() + ABORT_NS, &call))
		log_warn("attach", "parts of an unfinished object may be left at the store",
			 "store=%s key=%s", c->store->name, d->key);
	c->upload = store_upload_unref(c->upload);
}

/* The condition at this store (F2): the first one that is not given up decides. */
static enum put_cond condition(const struct draft *d, const struct draft_copy *c,
			       const char **ret_match)
{
	*ret_match = NULL;
	for (unsigned i = 0; i < d->n && &d->copies[i] != c; i++)
		if (!d->copies[i].error)
			return PUT_ALWAYS;
	if (!d->has_base)
		return PUT_IF_ABSENT;
	*ret_match = c->base;
	return *c->base ? PUT_IF_MATCH : PUT_ALWAYS;
}

/* After an unknown outcome: is the object there ours? 0 with its version; else the condition. */
static int whose(struct draft *d, struct draft_copy *c, uint64_t deadline_ns)
{
	const struct head_req req = { .name = span_str(d->key), .deadline_ns = deadline_ns };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_head_wait(c->store, &req, &call);

	if (r == STORE_MISSING)
		return d->has_base ? STORE_CHANGED : -EAGAIN;
	if (r)
		return r < 0 ? -EAGAIN : -EIO;
	if (!strcmp(call->meta.writer, d->meta.writer)) {
		snprintf(c->version, sizeof(c->version), "%s", call->version);
		return 0;
	}
	return d->has_base && !strcmp(call->version, c->base) ? -EAGAIN : STORE_CHANGED;
}

static int put_once(struct draft *d, struct draft_copy *c, struct blob *body, uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct put_req req = { .name = span_str(d->key),
			       .body = body,
			       .meta = &d->meta,
			       .deadline_ns = deadline_ns };
	int r;

	req.cond = condition(d, c, &req.if_match);
	r = store_put_wait(c->store, &req, &call);
	if (r == 0)
		snprintf(c->version, sizeof(c->version), "%s", call->version);
	/* "exists" may be one's own earlier attempt as well */
	if (r == STORE_UNKNOWN || r == STORE_EXISTS || r == STORE_CHANGED) {
		const int known = whose(d, c, deadline_ns);

		return known == -EAGAIN && r != STORE_UNKNOWN ? r : known;
	}
	return r;
}

/* One try of something at one store; body: of a put. */
typedef int try_fn(struct draft *d, struct draft_copy *c, struct blob *body, uint64_t deadline_ns);

/* Again until it is known how it ended, or the time is over: then this copy is given up. */
static void try_until(struct draft *d, struct draft_copy *c, struct blob *body, try_fn *fn,
		      const char *what)
{
	const uint64_t deadline = deadline_of(d);
	unsigned failed = 0;
	int r;

	for (;;) {
		const uint64_t begun = clock_now();

		r = fn(d, c, body, deadline);
		observe(d, c, r, begun, body ? blob_span(body).len : 0);
		if (!passes(r) || clock_now() >= deadline)
			break;
		sleep_until(MIN(deadline, clock_now() + retry_delay_ns(++failed, 0, random_u64())));
	}
	if (r)
		copy_failed(d, c, r, what);
}

static void put_copy(struct draft *d, struct draft_copy *c, struct blob *body)
{
	if (is_left_out(d, c))
		copy_failed(d, c, -EIO, "nothing: it is down");
	else
		try_until(d, c, body, put_once, "put");
}

/* The race is decided at the first store that answers: a condition there is the end. */
static int verdict(const struct draft *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->copies[i].error == STORE_EXISTS || d->copies[i].error == STORE_CHANGED)
			return lost(d);
	return alive(d) ? 0 : first_error(d);
}

int draft_whole_publish(struct draft *d)
{
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(span_of(d->bytes, d->len));

	if (!body)
		return fail(-ENOMEM);
	for (unsigned i = 0; i < d->n; i++) {
		put_copy(d, &d->copies[i], body);
		if (d->copies[i].error > 0)
			break;
	}
	return verdict(d);
}

/* parts */

static int start_part(struct draft *d, struct draft_copy *c, struct draft_part *p)
{
	return store_upload_part(c->upload, p->index, p->body, deadline_of(d), &p->call);
}

/* What ended: done, again, or the end of this copy. True when the place is free. */
static bool part_ended(struct draft *d, struct draft_copy *c, struct draft_part *p)
{
	const int r = p->call->call.result;
	const uint64_t asked = p->call->retry_after_ms;

	store_call_unrefp(&p->call);
	if (passes(r) && ++p->tries < 8) {
		sleep_for(retry_delay_ns(p->tries, asked, random_u64()));
		if (start_part(d, c, p) == 0)
			return false;
	}
	p->body = blob_unref(p->body);
	if (r)
		copy_failed(d, c, r, "part");
	return true;
}

/* Waits until no more than `most` parts are under way there. */
static void settle_parts(struct draft *d, struct draft_copy *c, unsigned most)
{
	for (;;) {
		struct call *calls[DRAFT_FLYING] = { NULL };
		unsigned n = 0;

		for (unsigned i = 0; i < DRAFT_FLYING; i++) {
			struct draft_part *p = &c->flying[i];

			if (p->call && call_finished(&p->call->call))
				part_ended(d, c, p);
			calls[i] = p->call ? &p->call->call : NULL;
			n += p->call != NULL;
		}
		if (n <= most)
			return;
		calls_wait(calls, DRAFT_FLYING, 1, NEVER); /* each ends by its own deadline */
	}
}

static void send_part(struct draft *d, struct draft_copy *c, struct blob *body)
{
	const unsigned at_once =
		MIN((unsigned)DRAFT_FLYING, store_upload_limits(c->store)->parts_at_once);
	struct draft_part *p = c->flying;

	settle_parts(d, c, at_once - 1);
	if (c->error)
		return;
	while (p->call)
		p++;
	*p = (struct draft_part){ .index = c->next++, .body = blob_ref(body) };
	if (start_part(d, c, p)) {
		p->body = blob_unref(p->body);
		copy_failed(d, c, -ENOMEM, "part");
	}
}

/* All stores that go on get the first len bytes as the next part. */
static int send_all(struct draft *d, const uint8_t *bytes, size_t len)
{
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(span_of(bytes, len));

	if (!body)
		return fail(-ENOMEM);
	for (unsigned i = 0; i < d->n; i++)
		if (!d->copies[i].error)
			send_part(d, &d->copies[i], body);
	return verdict(d);
}

int draft_stream_part(struct draft *d)
{
	int r = send_all(d, d->bytes, d->len);

	if (r) {
		d->error = r;
		return r;
	}
	__atomic_store_n(&d->sent, d->sent + d->len, __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, 0, __ATOMIC_RELAXED);
	return 0;
}

static int begin_once(struct draft *d, struct draft_copy *c, struct blob *none,
		      uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct upload_req req = { .name = span_str(d->key),
				  .meta = &d->meta,
				  .part_size = d->part_size,
				  .deadline_ns = deadline_ns };
	int r;

	req.cond = condition(d, c, &req.if_match);
	r = store_upload_begin_wait(c->store, &req, &call);
	if (r == 0)
		c->upload = store_upload_ref(call->upload);
	return r;
}

static void begin_copy(struct draft *d, struct draft_copy *c)
{
	if (is_left_out(d, c))
		copy_failed(d, c, -EIO, "nothing: it is down");
	else
		try_until(d, c, NULL, begin_once, "begin");
}

/* One size of parts that every store takes. */
static uint64_t common_part_size(const struct draft *d)
{
	uint64_t size = DRAFT_PART;

	for (unsigned i = 0; i < d->n; i++) {
		size = store_upload_part_size(d->copies[i].store, 0, size);
		if (!size || size > DRAFT_WHOLE)
			return 0;
	}
	return size;
}

int draft_stream_begin(struct draft *d)
{
	const uint64_t all = d->len;
	uint64_t sent = 0;
	int r = 0;

	d->part_size = common_part_size(d);
	if (!d->part_size)
		return -EFBIG;
	for (unsigned i = 0; i < d->n; i++)
		begin_copy(d, &d->copies[i]);
	r = verdict(d);
	for (; !r && all - sent >= d->part_size; sent += d->part_size)
		r = send_all(d, d->bytes + sent, d->part_size);
	if (r) {
		d->error = r;
		return r;
	}
	memmove(d->bytes, d->bytes + sent, all - sent);
	__atomic_store_n(&d->sent, sent, __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, all - sent, __ATOMIC_RELAXED);
	d->streaming = true;
	return 0;
}

static int finish_once(struct draft *d, struct draft_copy *c, struct blob *none,
		       uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	int r = store_upload_finish_wait(c->upload, deadline_ns, &call);

	if (r == 0)
		snprintf(c->version, sizeof(c->version), "%s", call->version);
	if (r == STORE_UNKNOWN || r == STORE_GONE)
		return whose(d, c, deadline_ns);
	return r;
}

static void finish_copy(struct draft *d, struct draft_copy *c)
{
	settle_parts(d, c, 0);
	if (c->error)
		return;
	try_until(d, c, NULL, finish_once, "finish");
	if (!c->error)
		c->upload = store_upload_unref(c->upload);
}

int draft_stream_publish(struct draft *d)
{
	int r = d->len ? draft_stream_part(d) : 0;

	for (unsigned i = 0; !r && i < d->n; i++) {
		if (!d->copies[i].error)
			finish_copy(d, &d->copies[i]);
		if (d->copies[i].error > 0)
			r = verdict(d);
	}
	if (!r)
		r = verdict(d);
	/* what was published cannot be written on: the next change would begin anew */
	if (!r)
		d->error = -EOPNOTSUPP;
	return r;
}
