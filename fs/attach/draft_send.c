/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include "backends/retry.h"
#include "base/log.h"

#include <stdio.h>

#define ABORT_NS (10 * NS_PER_S)

/* With mirrors nobody waits long for one: what it missed is made up later. */
#define MIRROR_NS (15 * NS_PER_S)

uint64_t draft_deadline(const struct draft *d)
{
	return clock_now() + (d->n > 1 ? MIN(d->o.deadline_ns, MIRROR_NS) : d->o.deadline_ns);
}

static void observe(struct draft *d, const struct draft_copy *c, int result, uint64_t begun_ns,
		    uint64_t bytes)
{
	const bool answered = result == 0 || result == STORE_EXISTS || result == STORE_CHANGED ||
			      result == STORE_GONE;

	replicas_observe(d->o.replicas, (unsigned)(c - d->copies), answered ? 0 : result,
			 clock_now() - begun_ns, bytes);
}

/* A store that is known to be down is left out, if there is another one. */
static bool is_left_out(const struct draft *d, const struct draft_copy *c)
{
	const uint64_t up = replicas_up(d->o.replicas);

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

void draft_copy_failed(struct draft *d, struct draft_copy *c, int error, const char *what)
{
	c->error = error ? error : -EIO;
	log_warn("attach", "an object could not be written", "store=%s key=%s doing=%s error=%s",
		 c->store->name, d->key, what,
		 error > 0 ? store_condition_name(error) : strerror(-c->error));
}

static void upload_over(struct draft_copy *c)
{
	c->upload = store_upload_unref(c->upload);
	c->note = 0;
	c->next = 0;
}

static void abort_upload(struct draft *d, struct draft_copy *c)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;

	if (store_upload_abort_wait(c->upload, clock_now() + ABORT_NS, &call)) {
		log_warn("attach", "parts of an unfinished object are left at the store for now",
			 "store=%s key=%s", c->store->name, d->key);
		unfinished_left(d->o.unfinished, c->note);
	} else {
		unfinished_ended(d->o.unfinished, c->note);
	}
}

void draft_copy_drop(struct draft *d, struct draft_copy *c)
{
	draft_part_cancel(c);
	if (c->upload)
		abort_upload(d, c);
	upload_over(c);
}

bool draft_copy_decides(const struct draft *d, const struct draft_copy *c)
{
	for (unsigned i = 0; i < d->n && &d->copies[i] != c; i++)
		if (!d->copies[i].error)
			return false;
	return true;
}

static const char *base_of(const struct draft *d, const struct draft_copy *c)
{
	return d->has_base ? d->base.version[c - d->copies] : "";
}

/* The condition at this store (F2): the first one that is not given up decides. */
static enum put_cond condition(const struct draft *d, const struct draft_copy *c,
			       const char **ret_match)
{
	const char *base = base_of(d, c);

	*ret_match = NULL;
	if (!draft_copy_decides(d, c))
		return PUT_ALWAYS;
	if (!d->has_base)
		return PUT_IF_ABSENT;
	*ret_match = *base ? base : NULL;
	return *base ? PUT_IF_MATCH : PUT_ALWAYS;
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
	return d->has_base && !strcmp(call->version, base_of(d, c)) ? -EAGAIN : STORE_CHANGED;
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
	const uint64_t deadline = draft_deadline(d);
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
		draft_copy_failed(d, c, r, what);
}

static void put_copy(struct draft *d, struct draft_copy *c, struct blob *body)
{
	if (is_left_out(d, c))
		draft_copy_failed(d, c, -EIO, "nothing: it is down");
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

/*
 * What is known of the object besides its bytes stays, where nobody changed it. If it cannot be
 * had, or is another one now, the publication will say so.
 */
static void inherit(struct draft *d)
{
	const struct head_req req = { .name = span_str(d->key),
				      .deadline_ns = draft_deadline(d) };
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct draft_copy *c = d->copies;

	while (c < d->copies + d->n - 1 && (c->error || is_left_out(d, c)))
		c++;
	if (!d->inherits || !*base_of(d, c) || store_head_wait(c->store, &req, &call) ||
	    strcmp(call->version, base_of(d, c)) != 0)
		return;
	d->inherits = false;
	call->meta.has &= ~(unsigned)META_MTIME;
	call->meta.symlink[0] = call->meta.writer[0] = '\0';
	object_meta_over(&d->meta, &call->meta);
	d->meta = call->meta;
}

static int describe_once(struct draft *d, struct draft_copy *c, struct blob *none,
			 uint64_t deadline_ns)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct describe_req req = { .name = span_str(d->key),
				    .meta = d->describes,
				    .deadline_ns = deadline_ns };
	int r;

	if (draft_copy_decides(d, c) && *base_of(d, c))
		req.if_match = base_of(d, c);
	r = store_describe_wait(c->store, &req, &call);
	if (r == 0)
		snprintf(c->version, sizeof(c->version), "%s", call->version);
	/* once more would meet its own success as somebody else's */
	return r == STORE_UNKNOWN ? -EIO : r == STORE_MISSING ? STORE_CHANGED : r;
}

int draft_copies_describe(struct draft *d, const struct object_meta *m)
{
	int r;

	d->describes = m;
	for (unsigned i = 0; i < d->n; i++) {
		struct draft_copy *c = &d->copies[i];

		if (is_left_out(d, c))
			draft_copy_failed(d, c, -EIO, "nothing: it is down");
		else
			try_until(d, c, NULL, describe_once, "describe");
		if (c->error > 0)
			break;
	}
	r = d->copies[0].error == STORE_TOO_LARGE ? -EFBIG : verdict(d);
	for (unsigned i = 0; r && i < d->n; i++)
		d->copies[i].error = 0;
	return r;
}

int draft_whole_publish(struct draft *d)
{
	_cleanup_(blob_unrefp) struct blob *body = blob_new(d->size);
	int r = body ? draft_bytes_read(d, 0, d->size, blob_bytes(body), DRAFT_WAIT)
		     : fail(-ENOMEM);

	if (r)
		return r;
	inherit(d);
	store_draw_writer(&d->meta);
	for (unsigned i = 0; i < d->n; i++) {
		put_copy(d, &d->copies[i], body);
		if (d->copies[i].error > 0)
			break;
	}
	return verdict(d);
}

/* ---- uploads ---- */

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
	if (r)
		return r;
	c->upload = store_upload_ref(call->upload);
	if (d->o.unfinished)
		unfinished_begun(d->o.unfinished, d->o.attached, (unsigned)(c - d->copies),
				 c->upload, &c->note);
	return 0;
}

static void begin_copy(struct draft *d, struct draft_copy *c)
{
	if (is_left_out(d, c))
		draft_copy_failed(d, c, -EIO, "nothing: it is down");
	else
		try_until(d, c, NULL, begin_once, "begin");
}

/* One size that every store takes, and room to grow to four times of it. */
uint64_t draft_part_size(const struct draft *d, uint64_t size)
{
	uint64_t part = MIN(MAX(DRAFT_PART, 4 * size / 10000 / MiB * MiB), DRAFT_WHOLE);

	for (unsigned i = 0; i < d->n; i++) {
		part = store_upload_part_size(d->copies[i].store, size, part);
		if (!part || part > DRAFT_WHOLE)
			return 0;
	}
	return part;
}

uint64_t draft_size_max(const struct draft *d)
{
	uint64_t most = UINT64_MAX;

	for (unsigned i = 0; i < d->n; i++) {
		const struct upload_limits *l = store_upload_limits(d->copies[i].store);

		most = MIN(most, MIN(l->object_max, l->parts_max * d->part_size));
	}
	return most;
}

int draft_stream_begin(struct draft *d)
{
	d->part_size = draft_part_size(d, d->size);
	if (!d->part_size)
		return -EFBIG;
	d->streaming = true;
	inherit(d);
	store_draw_writer(&d->meta);
	for (unsigned i = 0; i < d->n; i++)
		begin_copy(d, &d->copies[i]);
	d->error = verdict(d);
	return d->error;
}

int draft_stream_advance(struct draft *d, bool all)
{
	int r = 0;

	while (!r && (d->size - d->sent >= d->part_size || (all && d->size > d->sent))) {
		r = draft_part_send(d, (size_t)MIN(d->part_size, d->size - d->sent));
		if (!r)
			r = verdict(d);
		if (!r && !all && (d->gone || d->sent > DRAFT_KEPT))
			draft_bytes_let_go(d);
	}
	d->error = r;
	return r;
}

int draft_stream_undo(struct draft *d)
{
	if (d->gone)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < d->n; i++)
		draft_copy_drop(d, &d->copies[i]);
	d->streaming = false;
	d->sent = 0;
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
	draft_part_settle(d, c, 0);
	if (c->error)
		return;
	try_until(d, c, NULL, finish_once, "finish");
	if (c->error)
		return;
	unfinished_ended(d->o.unfinished, c->note);
	upload_over(c);
}

int draft_stream_publish(struct draft *d)
{
	int r = d->streaming ? 0 : draft_stream_begin(d);

	if (!r)
		r = draft_stream_advance(d, true);
	for (unsigned i = 0; !r && i < d->n; i++) {
		if (!d->copies[i].error)
			finish_copy(d, &d->copies[i]);
		if (d->copies[i].error > 0)
			r = verdict(d);
	}
	return r ? r : verdict(d);
}
