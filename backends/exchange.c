/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/exchange.h"

#include "backends/http.h"
#include "backends/store_i.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>

#define WAIT_NS (250 * NS_PER_MS)

/* ---- an exchange's life ---- */

static void exchange_destroy(void *data)
{
	struct exchange *x = data;

	creds_value_unref(x->value);
	listing_state_release(&x->page);
	request_free(x->req);
	free(x->body_hash);
	free(x->changes);
	event_release(&x->nap);
	free(x);
}

static void on_done(struct request *r);
static void on_cancel(struct call *call);
static void on_creds(struct creds_wait *w, int result, struct creds_value *v, const char *why);

struct exchange *exchange_new(struct web *w, struct store_call *c, enum http_method method,
			      const char *path, uint64_t deadline_ns)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	event_init(&x->nap);
	c->impl.data = x;
	c->impl.free = exchange_destroy;
	x->web = w;
	x->call = c;
	x->writes = store_op_publishes(c->op);
	x->wait.ready = on_creds;
	x->wait.deadline_ns = deadline_ns;
	x->req = request_new(method, w->endpoint.origin ? w->endpoint.origin : "", path);
	if (!x->req)
		return NULL;
	x->req->deadline_ns = deadline_ns;
	if (c->op == STORE_GET)
		x->req->sink = &c->body;
	return x;
}

void exchange_range(struct exchange *x, const struct get_req *r, const char *header)
{
	x->offset = r->offset;
	x->length = r->length;
	x->conditional = r->if_match != NULL;
	if (r->if_match)
		snprintf(x->if_match, sizeof(x->if_match), "%s", r->if_match);
	if (r->length)
		pairs_addf(&x->req->headers, header, "bytes=%llu-%llu",
			   (unsigned long long)r->offset,
			   (unsigned long long)(r->offset + r->length - 1));
	else if (r->offset)
		pairs_addf(&x->req->headers, header, "bytes=%llu-", (unsigned long long)r->offset);
}

void exchange_body(struct exchange *x, struct blob *body)
{
	x->req->body = blob_ref(body);
}

void exchange_condition(struct exchange *x, enum put_cond cond)
{
	x->cond = cond;
	x->conditional = cond == PUT_IF_MATCH;
}

void exchange_meta(struct exchange *x, const char *beginning, const struct object_meta *m,
		   enum meta_style style)
{
	_cleanup_pairs_ struct pairs p = {};
	char name[64];

	object_meta_write(m, style, &p);
	for (size_t i = 0; i < p.n; i++) {
		snprintf(name, sizeof(name), "%s%s", beginning, p.items[i].name);
		pairs_add(&x->req->headers, name, p.items[i].value);
	}
	x->req->headers.no_memory |= p.no_memory;
}

int exchange_page(struct exchange *x, const struct list_req *r)
{
	if (r->token)
		return listing_state_read(r->token, &x->page);
	if (r->after.len == 0)
		return 0;
	x->page.after = web_key(x->web, r->after);
	return x->page.after ? 0 : fail(-ENOMEM);
}

/* (X1) */
static void finish(struct exchange *x, int result)
{
	struct store_call *c = x->call;

	if (x->begun && (result > 0 || result == -ENOMEM || c->executed_not)) { /* (X4) */
		c->executed_not = false;
		result = STORE_UNKNOWN;
	}
	if (x->changes && !x->writes && result < 0) { /* no further than the look */
		c->executed_not = true;
		result = result == -ETIMEDOUT ? -EAGAIN : result;
	}
	c->date_s = request_header_date(x->req, "date");
	if (result != 0)
		c->retry_after_ms = request_retry_after_ms(x->req);
	if (result != 0)
		buf_release(&c->body);
	x->req->body = blob_unref(x->req->body); /* their memory is wanted elsewhere */
	buf_release(&x->req->text);
	store_call_finish(c, result);
	store_call_unref(c);
}

/* ---- trying ---- */

static int prepare(struct exchange *x)
{
	struct web *w = x->web;
	struct request *r = x->req;

	r->done = on_done;
	r->arg = x;
	r->idle_s = w->idle_s;
	if (w->ca_file && !r->ca_file) {
		r->ca_file = strdup(w->ca_file);
		if (!r->ca_file)
			return fail(-ENOMEM);
	}
	if (pairs_error(&r->query) < 0 || pairs_error(&r->headers) < 0)
		return -ENOMEM;
	w->store.credentials_expire_s = x->value ? x->value->expires_s : 0;
	if (w->dialect->sign(x, x->value && x->value->kind != CREDS_NONE ? x->value : NULL,
			     web_now(w)) < 0)
		return -ENOMEM;
	return pairs_error(&r->headers);
}

static void give_up(struct exchange *x, int error, const char *why)
{
	x->call->executed_not = true;
	if (why)
		store_call_detail(x->call, "%s", why);
	finish(x, error);
}

static void send(struct exchange *x)
{
	int error = prepare(x);

	if (error == 0)
		error = http_submit(x->req);
	if (error < 0)
		give_up(x, error == -ESHUTDOWN ? -ECANCELED : error, "the program is ending");
}

static void on_creds(struct creds_wait *w, int result, struct creds_value *v, const char *why)
{
	struct exchange *x = container_of(w, struct exchange, wait);

	x->value = v;
	if (result == 0) {
		send(x);
		return;
	}
	if (result == -ETIMEDOUT && x->writes)
		result = -EAGAIN; /* a write that did not begin */
	give_up(x, result, why);
}

/* Gets credentials, then sends, at once or later. */
static void try(struct exchange *x)
{
	char why[256] = "";
	int result = 0;

	x->value = creds_value_unref(x->value);
	if (x->web->creds)
		result = creds_get(x->web->creds, &x->wait, &x->value, why, sizeof(why));
	if (result == 0)
		send(x);
	else if (result < 0)
		give_up(x, result, why);
}

struct early_end {
	struct store_call *call;
	int result;
};

static void end_early(void *arg)
{
	struct early_end *r = arg;

	store_call_finish(r->call, r->result);
	store_call_unref(r->call);
	free(r);
}

static void end_apart(struct store_call *c, int result)
{
	struct early_end *r = malloc(sizeof(*r));
	struct task *t;

	if (!r) { /* better inside the start than never */
		store_call_finish(c, result);
		return;
	}
	*r = (struct early_end){ c, result };
	call_ref(&c->call);
	t = task_start("end", end_early, r);
	if (t)
		task_detach(t);
	else
		end_early(r);
}

void exchange_refuse(struct store_call *c, int error)
{
	c->executed_not = true;
	end_apart(c, error);
}

void exchange_done(struct store_call *c)
{
	end_apart(c, 0);
}

void exchange_start(struct exchange *x)
{
	call_ref(&x->call->call);
	call_set_cancel(&x->call->call, on_cancel, NULL);
	try(x);
}

static void on_cancel(struct call *call)
{
	struct store_call *c = container_of(call, struct store_call, call);
	struct exchange *x = c->impl.data;

	event_set(&x->nap);
	if (x->web->creds && creds_leave(x->web->creds, &x->wait))
		give_up(x, -ECANCELED, NULL);
	else
		http_cancel(x->req);
}

/* ---- ends without an answer ---- */

static int unanswered(struct exchange *x)
{
	const struct request *r = x->req;
	bool unseen = r->attempts == 0;

	x->call->executed_not = unseen;
	store_call_detail(x->call, "%s of %s: %s%s", store_op_name(x->call->op), x->web->store.url,
			  r->end == REQUEST_TOO_BIG ? "more came than was asked for" : r->why,
			  r->end == REQUEST_UNTRUSTED
				  ? ": name the authority's certificate with ca_file="
				  : "");
	if (x->writes && !unseen)
		return STORE_UNKNOWN;
	switch (r->end) {
	case REQUEST_CANCELLED:
		return -ECANCELED;
	case REQUEST_TIMED_OUT:
		return x->writes ? -EAGAIN : -ETIMEDOUT;
	case REQUEST_TOO_BIG:
	case REQUEST_UNTRUSTED:
		return -EIO;
	case REQUEST_NO_MEMORY:
		return -ENOMEM;
	case REQUEST_FAILED:
	case REQUEST_ANSWERED:
		break;
	}
	return -EAGAIN;
}

/* ---- ends with one ---- */

/* May this be tried again in this way? Notes that it was. */
static bool granted(struct exchange *x, int again)
{
	bool *used = again >= AGAIN_MORE    ? &(bool){ false }
		     : again == AGAIN_RENEW ? &x->renewed
		     : again == AGAIN_CLOCK ? &x->clock_set
		     : again == AGAIN_LOOK  ? &x->looked
					    : &x->moved;
	bool first = !*used;

	*used = true;
	return first;
}

static int set_clock(struct exchange *x)
{
	uint64_t theirs = request_header_date(x->req, "date");

	if (!theirs)
		return fail(-EIO);
	__atomic_store_n(&x->web->skew_s, (int64_t)(theirs - clock_wall() / NS_PER_S),
			 __ATOMIC_RELAXED);
	return 0;
}

static void wake_up(void *arg)
{
	struct exchange *x = arg;

	(void)event_wait(&x->nap, MIN(clock_now() + WAIT_NS, x->req->deadline_ns));
	try(x);
}

/* Tries once more after a while. */
static void try_later(struct exchange *x)
{
	struct task *t = task_start("wait", wake_up, x);

	if (t)
		task_detach(t);
	else
		finish(x, x->writes ? STORE_UNKNOWN : -ENOMEM);
}

static void again(struct exchange *x, int why)
{
	int error = 0;

	if (why == AGAIN_RENEW && x->web->creds && x->value)
		creds_refused(x->web->creds, x->value);
	if (why == AGAIN_CLOCK)
		error = set_clock(x);
	if (why == AGAIN_LOOK || (why == AGAIN_WAIT && !x->begun))
		error = x->web->dialect->look(x);
	x->begun |= why == AGAIN_WAIT;
	if (error < 0) {
		finish(x, error);
		return;
	}
	log_debug("exchange", "trying again", "store=%s because=%s", x->web->store.name,
		  x->fault.code[0] ? x->fault.code : "?");
	request_rewind(x->req);
	if (why == AGAIN_WAIT)
		try_later(x);
	else
		try(x);
}

static void on_done(struct request *r)
{
	struct exchange *x = r->arg;
	int result;

	if (r->end != REQUEST_ANSWERED) {
		finish(x, unanswered(x));
		return;
	}
	x->fault = (struct fault){};
	result = x->web->dialect->judge(x);
	if (result >= AGAIN_RENEW && granted(x, result)) {
		again(x, result);
		return;
	}
	if (result == AGAIN_RENEW || result == AGAIN_CLOCK)
		result = exchange_because(x, -EACCES, NULL);
	else if (result >= AGAIN_RENEW)
		result = exchange_because(x, -EIO, NULL);
	finish(x, result);
}

/* ---- judging ---- */

void exchange_explain(struct exchange *x, const char *advice)
{
	const struct fault *f = &x->fault;

	store_call_detail(x->call, "%d%s%s on %s of %s%s%s%s%s", x->req->status,
			  f->code[0] ? " " : "", f->code, store_op_name(x->call->op),
			  x->web->store.url, f->message[0] ? ": " : "", f->message,
			  advice ? ": " : "", advice ? advice : "");
}

int exchange_because(struct exchange *x, int result, const char *advice)
{
	exchange_explain(x, advice);
	if (result == -EACCES || result == -EAGAIN || result == -ENOSPC)
		/* refused before execution; callers say UNKNOWN otherwise */
		x->call->executed_not = true;
	return result;
}

void exchange_read_meta(struct exchange *x, const char *beginning)
{
	struct object_meta *m = &x->call->meta;
	struct span name, value;
	size_t at = 0;

	while (request_header_next(x->req, beginning, &at, &name, &value)) {
		char n[64], v[4 * KiB];

		if (name.len >= sizeof(n) || value.len >= sizeof(v))
			continue;
		snprintf(n, sizeof(n), "%.*s", SPAN_FMT(name));
		snprintf(v, sizeof(v), "%.*s", SPAN_FMT(value));
		object_meta_read(n, v, m);
	}
	request_header_copy(x->req, "content-type", m->content_type, sizeof(m->content_type));
}

int exchange_throttled(struct exchange *x)
{
	return exchange_because(x, -EAGAIN, NULL);
}

int exchange_by_status(struct exchange *x)
{
	int status = x->req->status;

	switch (status) {
	case 401:
	case 403:
		return exchange_because(x, -EACCES, NULL);
	case 429:
		return exchange_throttled(x);
	case 507:
		return exchange_because(x, -ENOSPC, NULL);
	case 501:
	case 505:
		return exchange_because(x, -EIO, NULL);
	}
	exchange_explain(x, NULL);
	if (status == 408 || status >= 500)
		return x->writes ? STORE_UNKNOWN : -EAGAIN;
	if (status >= 200 && status < 300 && x->writes)
		return STORE_UNKNOWN;
	return fail(-EIO);
}

static int nonsense(struct exchange *x, const char *what)
{
	return exchange_because(x, fail(-EIO), what);
}

int exchange_no_such_range(struct exchange *x)
{
	uint64_t first, last;

	if (x->call->op != STORE_GET) /* nobody else asked for a range */
		return exchange_by_status(x);
	(void)!request_content_range(x->req, &first, &last, &x->call->size);
	return STORE_RANGE;
}

/* 206: what came must be what was asked, as far as the object goes. */
static int got_part(struct exchange *x)
{
	size_t came = x->call->body.len;
	uint64_t first, last, total, want;

	if (request_content_range(x->req, &first, &last, &total) < 0)
		return came ? nonsense(x, "a part without its place") : STORE_RANGE;
	x->call->size = total;
	if (x->offset >= total) /* some servers answer 206 with nothing */
		return STORE_RANGE;
	want = total - x->offset;
	if (x->length)
		want = MIN(want, x->length);
	if (first != x->offset || last - first + 1 != want)
		return nonsense(x, "another range than the one asked for");
	if (came < want)
		return exchange_because(x, -EAGAIN, "a short body");
	return came == want ? 0 : nonsense(x, "a longer body than promised");
}

int exchange_got(struct exchange *x)
{
	struct store_call *c = x->call;
	bool ranged = x->offset || x->length;

	c->modified_s = request_header_date(x->req, "last-modified");
	if (!c->version[0]) /* a page of somebody on the way, or an error that calls itself 200 */
		return nonsense(x, "contents without a version");
	if (x->if_match[0] && strcmp(x->if_match, c->version) != 0)
		return STORE_CHANGED;
	if (x->req->status == 206)
		return ranged ? got_part(x) : nonsense(x, "a part of what was asked for");
	c->size = c->body.len;
	if (ranged && x->offset >= c->size)
		return STORE_RANGE;
	if (x->offset || (x->length && c->size > x->length))
		return nonsense(x, "the server ignores ranges");
	return 0;
}

int exchange_listed(struct exchange *x, int parse_error, struct listing *l)
{
	struct store_call *c = x->call;
	_cleanup_listing_state_ struct listing_state next = {};

	if (parse_error == -ENOMEM)
		return parse_error;
	if (parse_error < 0)
		return nonsense(x, "a listing that cannot be read");
	if (l->token) {
		for (size_t i = 0; i < l->n; i++)
			if (l->entries[i].is_prefix &&
			    (!next.last_prefix || strcmp(l->entries[i].name, next.last_prefix) > 0))
				next.last_prefix = l->entries[i].name;
		if (!next.last_prefix)
			next.last_prefix = x->page.last_prefix;
		next.after = x->page.after;
		next.token = l->token;
		c->next_token = listing_state_write(&next);
		next = (struct listing_state){}; /* all of it was borrowed */
		if (!c->next_token) {
			listing_release(l);
			return fail(-ENOMEM);
		}
	}
	listing_finish(l, x->web->prefix, &x->page);
	c->entries = l->entries;
	c->n_entries = l->n;
	l->entries = NULL;
	l->n = 0;
	listing_release(l);
	return 0;
}

void exchange_read_md5(struct exchange *x, struct span text)
{
	struct store_call *c = x->call;
	_cleanup_buf_ struct buf sum = BUF_INIT(sizeof(c->md5));

	c->has_md5 = hex_decode((const char *)text.data, text.len, c->md5, sizeof(c->md5)) == 0;
	if (c->has_md5 || base64_decode(text, &sum) || sum.len != sizeof(c->md5))
		return;
	memcpy(c->md5, sum.data, sum.len);
	c->has_md5 = true;
}
