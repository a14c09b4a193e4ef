/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of a store against servers that answer anything, in three dialects: an operation ends
 * once, in a way that backends/store.h and upload.h allow it, and what it delivers is what was
 * asked for.
 *
 * The input: dialect, operation, condition, a 16-bit offset and length, then answers.
 */
#include "backends/listing.h"
#include "backends/open.h"
#include "backends/store_i.h"
#include "tests/fuzz/fake_http.h"

#define BODY_MAX 4096
#define LOOK_NS	 (20 * NS_PER_US)

static struct request *_Atomic waiting; /* submitted and not answered yet */

int http_submit(struct request *r)
{
	_cleanup_buf_ struct buf url = BUF_INIT(64 * KiB);

	MUST(!waiting);
	MUST(request_url(r, &url) == 0 && memchr(url.data, '\n', url.len) == NULL);
	waiting = r;
	return 0;
}

void http_cancel(struct request *r)
{
}

struct asked {
	bool google;
	enum store_op op;
	enum put_cond cond;
	bool if_match; /* also: from_match of a copy */
	uint64_t offset, length;
	struct span after;
	bool accepted; /* a server has said yes to a change */
};

static struct store *open_dialect(uint8_t which)
{
	static const char *const urls[] = {
		"s3://bucket/p?anonymous=yes&region=eu-west-1",
		"s3://bucket/p?anonymous=yes&endpoint=http://127.0.0.1:9&region=x",
		"azblob://account/container/p?anonymous=yes",
		"gs://bucket/p?anonymous=yes",
	};
	const char *url = urls[which % ARRAY_SIZE(urls)];
	struct store *s = NULL;
	char err[512];

	MUST(store_open(&(struct store_config){ .name = "t", .url = url }, &s, err, sizeof(err)) ==
	     0);
	return s;
}

/* ---- asking ---- */

static int start_put(struct store *s, const struct asked *a, uint64_t deadline,
		     struct store_call **ret)
{
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(SPAN_LITERAL("contents"));

	MUST(body);
	return store_put(s,
			 &(struct put_req){ .name = SPAN_LITERAL("c/n"),
					    .body = body,
					    .cond = a->cond,
					    .if_match = a->cond == PUT_IF_MATCH ? "\"1\"" : NULL,
					    .deadline_ns = deadline },
			 ret);
}

static int start_copy(struct store *s, const struct asked *a, uint64_t deadline,
		      struct store_call **ret)
{
	return store_copy(s,
			  &(struct copy_req){ .from = SPAN_LITERAL("c/from"),
					      .from_match = a->offset ? "\"2\"" : NULL,
					      .to = SPAN_LITERAL("c/n"),
					      .cond = a->cond,
					      .if_match = a->if_match ? "\"1\"" : NULL,
					      .deadline_ns = deadline },
			  ret);
}

static int start(struct store *s, const struct asked *a, struct store_call **ret)
{
	const uint64_t deadline = clock_now(); /* naps between two looks are over at once */
	const struct span name = SPAN_LITERAL("c/n");
	const char *match = a->if_match ? "\"1\"" : NULL;

	switch (a->op) {
	case STORE_GET:
		return store_get(s,
				 &(struct get_req){ .name = name,
						    .offset = a->offset,
						    .length = a->length,
						    .limit = BODY_MAX,
						    .if_match = match,
						    .deadline_ns = deadline },
				 ret);
	case STORE_PUT:
		return start_put(s, a, deadline, ret);
	case STORE_HEAD:
		return store_head(s, &(struct head_req){ .name = name, .deadline_ns = deadline },
				  ret);
	case STORE_LIST:
		return store_list(s,
				  &(struct list_req){ .after = a->after,
						      .delimiter = a->if_match ? '/' : 0,
						      .deadline_ns = deadline },
				  ret);
	case STORE_COPY:
		return start_copy(s, a, deadline, ret);
	case STORE_DESCRIBE:
		return store_describe(s,
				      &(struct describe_req){
					      .name = name,
					      .if_match = match,
					      .meta = &(struct object_meta){ .has = META_MODE },
					      .deadline_ns = deadline },
				      ret);
	default:
		break;
	}
	return store_remove(
		s, &(struct remove_req){ .name = name, .if_match = match, .deadline_ns = deadline },
		ret);
}

/* ---- judging the judge ---- */

static bool writes(const struct asked *a)
{
	return store_op_publishes(a->op);
}

/* Of what is created under a condition. */
static bool refusal_allowed(const struct asked *a, int result)
{
	return (result == STORE_EXISTS && a->cond == PUT_IF_ABSENT) ||
	       (result == STORE_CHANGED && a->cond == PUT_IF_MATCH);
}

static bool condition_allowed(const struct asked *a, int result)
{
	switch (a->op) {
	case STORE_GET:
		return result == STORE_MISSING || result == STORE_RANGE ||
		       (result == STORE_CHANGED && a->if_match);
	case STORE_HEAD:
		return result == STORE_MISSING;
	case STORE_PUT:
		return result == STORE_UNKNOWN || refusal_allowed(a, result);
	case STORE_REMOVE:
		return result == STORE_UNKNOWN || (result == STORE_CHANGED && a->if_match);
	case STORE_COPY:
		return result == STORE_UNKNOWN || result == STORE_MISSING ||
		       result == STORE_TOO_LARGE || refusal_allowed(a, result) ||
		       (result == STORE_CHANGED && a->offset);
	case STORE_DESCRIBE:
		return result == STORE_UNKNOWN || result == STORE_MISSING ||
		       result == STORE_CHANGED || result == STORE_TOO_LARGE;
	case STORE_UPLOAD_BEGIN:
		return a->google && refusal_allowed(a, result);
	case STORE_UPLOAD_PART:
		return result == STORE_GONE;
	case STORE_UPLOAD_FINISH:
		return result == STORE_UNKNOWN || result == STORE_GONE ||
		       refusal_allowed(a, result);
	case STORE_UPLOAD_ABORT:
	case STORE_LIST:
		break;
	}
	return false;
}

static bool error_allowed(const struct asked *a, int result)
{
	static const int errors[] = { -EIO, -EACCES, -ENOSPC, -EAGAIN };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (result == errors[i])
			return true;
	return result == -ETIMEDOUT && !writes(a); /* (S3), (S4) */
}

static void check_got(const struct asked *a, const struct store_call *c)
{
	MUST(c->version[0]);
	MUST(c->body.len <= BODY_MAX && c->body.len <= c->size);
	if (a->length)
		MUST(c->body.len <= a->length && c->body.len > 0);
	if (a->offset)
		MUST(c->body.len + a->offset <= c->size);
}

static void check_listed(const struct asked *a, const struct store_call *c)
{
	_cleanup_listing_state_ struct listing_state state = {};
	struct span before = a->after;

	for (size_t i = 0; i < c->n_entries; i++) {
		const struct span name = span_str(c->entries[i].name);

		MUST(name.len && span_compare(before, name) <= 0);
		MUST(a->after.len == 0 || span_compare(a->after, name) < 0);
		before = name;
	}
	if (c->next_token)
		MUST(listing_state_read(c->next_token, &state) == 0 && state.token);
}

static void check(const struct asked *a, struct store_call *c)
{
	const int result = c->call.result;

	MUST(result <= 0 ? result == 0 || error_allowed(a, result) : condition_allowed(a, result));
	MUST(memchr(c->detail, 0, sizeof(c->detail)));
	if (result == 0 && a->op == STORE_GET)
		check_got(a, c);
	if (result == 0 && a->op == STORE_LIST)
		check_listed(a, c);
	if (result != 0)
		MUST(c->body.len == 0 && c->n_entries == 0);
	if (writes(a)) {
		MUST(result != -EAGAIN || c->executed_not);
		MUST(!c->executed_not || (result < 0 && !a->accepted));
	}
	MUST(c->retry_after_ms <= 120 * 1000);
}

/* Answers its requests until it ends. Now and then another task is at work. */
static void finish(struct asked *a, struct store_call *c, struct span *answers)
{
	while (!call_finished(&c->call)) {
		struct request *r = waiting;

		if (!r) {
			sleep_for(LOOK_NS);
			continue;
		}
		waiting = NULL;
		fake_answer(r, answers);
		a->accepted |= !a->google && r->method != HTTP_GET && r->method != HTTP_HEAD &&
			       r->end == REQUEST_ANSWERED && r->status < 300;
		r->done(r);
	}
	MUST(!waiting);
	check(a, c);
}

/* ---- uploads ---- */

static void upload_step(struct asked *a, struct store_upload *u, enum store_op op,
			struct span *answers)
{
	_cleanup_(blob_unrefp) struct blob *body = blob_copy(SPAN_LITERAL("contents"));
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	int r;

	MUST(body);
	a->op = op;
	a->accepted = false;
	if (op == STORE_UPLOAD_PART)
		r = store_upload_part(u, 0, body, clock_now(), &c);
	else if (op == STORE_UPLOAD_FINISH)
		r = store_upload_finish(u, clock_now(), &c);
	else
		r = store_upload_abort(u, clock_now(), &c);
	MUST(r == 0 || r == -EINVAL); /* a finish without parts */
	if (r == 0)
		finish(a, c, answers);
}

static void upload(struct asked *a, struct store *s, struct span *answers)
{
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	const struct upload_req r = { .name = SPAN_LITERAL("c/n"),
				      .cond = a->cond,
				      .if_match = a->if_match ? "\"1\"" : NULL,
				      .part_size = store_upload_part_size(s, 0, MiB),
				      .deadline_ns = clock_now() };

	a->op = STORE_UPLOAD_BEGIN;
	MUST(store_upload_begin(s, &r, &c) == 0);
	finish(a, c, answers);
	if (c->call.result != 0)
		return;
	upload_step(a, c->upload, STORE_UPLOAD_PART, answers);
	upload_step(a, c->upload, STORE_UPLOAD_FINISH, answers);
	if (a->length)
		upload_step(a, c->upload, STORE_UPLOAD_ABORT, answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	const uint8_t which = take_byte(&in);
	_cleanup_(store_freep) struct store *s = open_dialect(which);
	_cleanup_(store_call_unrefp) struct store_call *c = NULL;
	static const enum store_op ops[] = { STORE_GET,	   STORE_PUT,  STORE_HEAD,
					     STORE_LIST,   STORE_REMOVE, STORE_COPY,
					     STORE_UPLOAD_BEGIN, STORE_DESCRIBE };
	struct asked a = { .op = ops[take_byte(&in) % ARRAY_SIZE(ops)] };

	a.google = which % 4 == 3;
	a.cond = take_byte(&in) % (PUT_IF_MATCH + 1);
	a.if_match = a.cond == PUT_IF_MATCH;
	a.offset = take_number(&in, 2);
	a.length = take_number(&in, 2);
	if (a.op == STORE_LIST && a.offset)
		a.after = SPAN_LITERAL("c/m");
	if (a.op == STORE_UPLOAD_BEGIN) {
		upload(&a, s, &in);
		return 0;
	}
	MUST(start(s, &a, &c) == 0);
	finish(&a, c, &in);
	return 0;
}
