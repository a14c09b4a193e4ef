/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/draft_i.h"

#include "backends/retry.h"

/*
 * The parts of a draft on their way. What nobody touched is copied inside the store; a store that
 * does not do it is sent the bytes, of this part and of those that follow.
 */
#define TRIES 8
#define CANCEL_NS (10 * NS_PER_S)

static int start(struct draft *d, struct draft_copy *c, struct draft_part *p)
{
	const char *version = d->base.version[c - d->copies];

	if (p->body)
		return store_upload_part(c->upload, p->index, p->body, draft_deadline(d), &p->call);
	return store_upload_copy_part(c->upload, p->index, span_str(d->key), version, p->off,
				      p->len, draft_deadline(d), &p->call);
}

static int read_body(struct draft *d, uint64_t off, size_t len, struct blob **ret)
{
	struct blob *body = blob_new(len);
	int r = body ? draft_bytes_read(d, off, len, blob_bytes(body), DRAFT_WAIT) : fail(-ENOMEM);

	if (r)
		blob_unref(body);
	else
		*ret = body;
	return r;
}

/* Again, or in another way. False: that was all. */
static bool again(struct draft *d, struct draft_copy *c, struct draft_part *p, int *r,
		  uint64_t asked_ms)
{
	if ((*r == -EAGAIN || *r == -ETIMEDOUT) && ++p->tries < TRIES) {
		sleep_for(retry_delay_ns(p->tries, asked_ms, random_u64()));
		return true;
	}
	if (*r == 0 || p->body || (*r > 0 && draft_copy_decides(d, c)))
		return false;
	c->sends = true;
	p->tries = 0;
	*r = read_body(d, p->off, p->len, &p->body);
	return *r == 0;
}

/* What ended: done, under way again, or the end of this copy. */
static void part_ended(struct draft *d, struct draft_copy *c, struct draft_part *p)
{
	int r = p->call->call.result;
	const uint64_t asked_ms = p->call->retry_after_ms;

	store_call_unrefp(&p->call);
	if (again(d, c, p, &r, asked_ms)) {
		r = start(d, c, p);
		if (r == 0)
			return;
	}
	p->body = blob_unref(p->body);
	if (r)
		draft_copy_failed(d, c, r == STORE_MISSING ? STORE_CHANGED : r, "part");
}

void draft_part_settle(struct draft *d, struct draft_copy *c, unsigned most)
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

void draft_part_cancel(struct draft_copy *c)
{
	for (unsigned i = 0; i < DRAFT_FLYING; i++) {
		struct draft_part *p = &c->flying[i];

		if (p->call) {
			call_cancel(&p->call->call);
			call_wait(&p->call->call, clock_now() + CANCEL_NS);
			store_call_unrefp(&p->call);
		}
		p->body = blob_unref(p->body);
	}
}

static bool may_copy(const struct draft *d, const struct draft_copy *c, size_t len)
{
	return !c->sends && store_upload_limits(c->store)->copies_parts &&
	       *d->base.version[c - d->copies] && draft_bytes_are_base(d, d->sent, len);
}

/* body: read when the first store needs it. */
static void send_to(struct draft *d, struct draft_copy *c, size_t len, struct blob **body)
{
	const unsigned at_once = store_upload_limits(c->store)->parts_at_once;
	struct draft_part *p = c->flying;
	int r = 0;

	draft_part_settle(d, c, MIN((unsigned)DRAFT_FLYING, at_once) - 1);
	if (c->error)
		return;
	while (p->call)
		p++;
	*p = (struct draft_part){ .index = c->next++, .off = d->sent, .len = len };
	if (!may_copy(d, c, len)) {
		if (!*body)
			r = read_body(d, d->sent, len, body);
		p->body = r ? NULL : blob_ref(*body);
	}
	if (!r)
		r = start(d, c, p);
	if (!r)
		return;
	p->body = blob_unref(p->body);
	draft_copy_failed(d, c, r, "part");
}

int draft_part_send(struct draft *d, size_t len)
{
	_cleanup_(blob_unrefp) struct blob *body = NULL;

	for (unsigned i = 0; i < d->n; i++)
		if (!d->copies[i].error)
			send_to(d, &d->copies[i], len, &body);
	d->sent += len;
	return 0;
}
