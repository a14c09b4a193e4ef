/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumable uploads and rewrites at Google Cloud Storage.
 *
 * (R1) A session takes bytes in their order, whole units of 256 KiB but for the end. So a last part
 *      that is none is kept, and sent together with the end.
 * (R2) The server tells how many bytes it has kept. A part is there when they are as many as its
 * end; what is sent again it knows already and passes over. (R3) Conditions are told at the
 * beginning, the checksum of the whole at the end. (R4) The address of a session is a secret: who
 * knows it may write. It is in no log, and it is believed only if it is no less protected than the
 * endpoint. (R5) A rewrite that is not done says how to go on; nothing is to be seen until it is.
 */
#include "backends/gcs_i.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>

#define UNIT (256 * KiB)
#define STATUS_INCOMPLETE 308
#define STATUS_CANCELLED 499
#define LOCATION_MAX (4 * KiB)

const struct upload_limits gcs_upload_limits = {
	.part_min = UNIT,
	.part_max = 5 * GiB,
	.part_unit = UNIT,
	.object_max = 5 * KiB * GiB,
	.parts_max = 1000000,
	.parts_at_once = 1,
	.named = true,
};

/* ---- the beginning ---- */

void gcs_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c)
{
	struct web *w = container_of(s, struct web, store);
	_cleanup_free_ char *key = web_key(w, r->name);
	_cleanup_free_ char *path = key ? gcs_path(w, "/upload", NULL) : NULL;
	struct exchange *x = path ? exchange_new(w, c, HTTP_POST, path, r->deadline_ns) : NULL;
	int error = x ? gcs_description(key, r->meta, NULL, &x->req->head) : fail(-ENOMEM);

	if (error < 0) {
		exchange_refuse(c, error == -EINVAL ? error : -ENOMEM);
		return;
	}
	pairs_add(&x->req->query, "uploadType", "resumable");
	pairs_add(&x->req->headers, "Content-Type", "application/json; charset=UTF-8");
	pairs_add(&x->req->headers, "X-Upload-Content-Type", object_meta_type(r->meta));
	gcs_condition(x, r->cond, r->if_match); /* (R3) */
	exchange_start(x);
}

/* (R4) */
static bool is_protected(const struct exchange *x, const char *location)
{
	return strncmp(location, "https://", 8) == 0 ||
	       (!x->web->endpoint.tls && strncmp(location, "http://", 7) == 0);
}

int gcs_upload_begun(struct exchange *x)
{
	char location[LOCATION_MAX];

	request_header_copy(x->req, "location", location, sizeof(location));
	if (!is_protected(x, location) || strlen(location) == sizeof(location) - 1) {
		exchange_explain(x, "an answer that names no upload");
		return fail(-EIO);
	}
	x->call->upload->id = strdup(location);
	return x->call->upload->id ? 0 : fail(-ENOMEM);
}

/* ---- a session ---- */

bool gcs_is_session(const struct exchange *x)
{
	return x->call->op == STORE_UPLOAD_PART || x->call->op == STORE_UPLOAD_FINISH ||
	       x->call->op == STORE_UPLOAD_ABORT;
}

/* "https://host" , "/path" and the query of the session's address. */
static struct exchange *session(struct store *s, struct store_call *c, enum http_method m,
				uint64_t deadline_ns)
{
	struct web *w = container_of(s, struct web, store);
	const char *id = c->upload->id, *scheme = strstr(id, "://"),
		   *host = scheme ? scheme + 3 : id;
	size_t origin = (size_t)(host - id) + strcspn(host, "/?"),
	       path = origin + strcspn(id + origin, "?");
	_cleanup_free_ char *o = strndup(id, origin), *p = strndup(id + origin, path - origin);
	struct exchange *x = o && p ? exchange_new(w, c, m, p, deadline_ns) : NULL;

	if (x && id[path] == '?')
		x->req->raw_query = strdup(id + path + 1);
	if (!x || (id[path] == '?' && !x->req->raw_query) || request_set_origin(x->req, o) < 0) {
		exchange_refuse(c, fail(-ENOMEM));
		return NULL;
	}
	return x;
}

void gcs_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c)
{
	uint64_t from = upload_offset(c->upload, r->index), len = blob_span(r->body).len;
	struct exchange *x;

	if (len % UNIT) { /* (R1) */
		upload_keep_tail(c->upload, r->body);
		exchange_done(c);
		return;
	}
	x = session(s, c, HTTP_PUT, r->deadline_ns);
	if (!x)
		return;
	x->offset = from;
	x->length = len;
	exchange_body(x, r->body);
	pairs_addf(&x->req->headers, "Content-Range", "bytes %llu-%llu/*", (unsigned long long)from,
		   (unsigned long long)(from + len - 1));
	exchange_start(x);
}

/* (R3) */
static void add_hash(struct exchange *x)
{
	_cleanup_buf_ struct buf b = BUF_INIT(16);
	uint32_t crc;

	if (!upload_crc32c(x->call->upload, &crc))
		return;
	if (gcs_crc32c_text(crc, &b) == 0)
		pairs_addf(&x->req->headers, "X-Goog-Hash", "crc32c=%s", buf_str(&b));
	else
		x->req->headers.no_memory = true;
}

void gcs_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct store_upload *u = c->upload;
	_cleanup_(blob_unrefp) struct blob *tail = upload_tail(u);
	unsigned long long size = upload_size(u), len = tail ? blob_span(tail).len : 0;
	struct exchange *x = session(s, c, HTTP_PUT, deadline_ns);

	if (!x)
		return;
	exchange_condition(x, u->cond);
	if (tail) {
		exchange_body(x, tail);
		pairs_addf(&x->req->headers, "Content-Range", "bytes %llu-%llu/%llu", size - len,
			   size - 1, size);
	} else {
		pairs_addf(&x->req->headers, "Content-Range", "bytes */%llu", size);
	}
	add_hash(x);
	exchange_start(x);
}

void gcs_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct exchange *x = session(s, c, HTTP_DELETE, deadline_ns);

	if (x)
		exchange_start(x);
}

/* ---- a session's answers ---- */

/* How many bytes the server has kept: "bytes=0-N". */
static uint64_t kept(const struct exchange *x)
{
	char text[48];
	uint64_t last;

	request_header_copy(x->req, "range", text, sizeof(text));
	if (strncmp(text, "bytes=0-", 8) != 0 || uint_parse(text + 8, &last) < 0)
		return 0;
	return last + 1;
}

/* (R2) */
static int incomplete(struct exchange *x)
{
	if (x->call->op == STORE_UPLOAD_PART && kept(x) >= x->offset + x->length)
		return 0;
	exchange_explain(x, "the server has not kept all bytes");
	x->call->executed_not = x->call->op == STORE_UPLOAD_FINISH;
	return -EAGAIN;
}

/* What servers that look at no checksum have stored. */
static bool is_what_was_sent(struct exchange *x, const struct json *j)
{
	struct store_upload *u = x->call->upload;
	_cleanup_buf_ struct buf b = BUF_INIT(16);
	const char *told = json_str(j, "crc32c");
	uint64_t size;
	uint32_t crc;

	if (json_uint(j, "size", &size) < 0 || size != upload_size(u))
		return false;
	return !told || !upload_crc32c(u, &crc) || gcs_crc32c_text(crc, &b) < 0 ||
	       strcmp(told, buf_str(&b)) == 0;
}

static int finished(struct exchange *x)
{
	_cleanup_(json_freep) struct json *j = NULL;

	if (json_parse(buf_span(&x->req->text), &j) < 0 || !json_str(j, "generation")) {
		exchange_explain(x, "an answer that cannot be read");
		return STORE_UNKNOWN;
	}
	if (!is_what_was_sent(x, j)) {
		exchange_explain(x, "the object has other contents than were sent");
		return fail(-EIO);
	}
	snprintf(x->call->version, sizeof(x->call->version), "%s", json_str(j, "generation"));
	return 0;
}

/* 200: of a part it means that somebody has finished the upload. */
static int succeeded(struct exchange *x)
{
	if (x->call->op == STORE_UPLOAD_FINISH)
		return finished(x);
	return x->call->op == STORE_UPLOAD_ABORT ? 0 : STORE_GONE;
}

static int refused(struct exchange *x)
{
	bool exists = x->cond == PUT_IF_ABSENT;

	if (x->req->status == 412 && x->call->op == STORE_UPLOAD_FINISH)
		return exists ? STORE_EXISTS : STORE_CHANGED;
	if (x->req->status == 404 || x->req->status == 410) {
		exchange_explain(x, NULL);
		return x->call->op == STORE_UPLOAD_ABORT ? 0 : STORE_GONE;
	}
	if (strstr(x->fault.message, "match calculated CRC32C"))
		return exchange_throttled(x); /* a part was damaged on the way: all of it again */
	return exchange_by_status(x);
}

int gcs_session_judge(struct exchange *x)
{
	int status = x->req->status;

	if (status == STATUS_INCOMPLETE)
		return incomplete(x);
	if (status == STATUS_CANCELLED && x->call->op == STORE_UPLOAD_ABORT)
		return 0;
	if (status >= 200 && status <= 204)
		return succeeded(x);
	fault_parse_json(buf_span(&x->req->text), &x->fault);
	return refused(x);
}

/* ---- copies ---- */

static char *rewrite_path(const struct web *w, struct span from, struct span to)
{
	_cleanup_free_ char *from_key = web_key(w, from), *to_key = web_key(w, to);
	_cleanup_free_ char *source = from_key ? gcs_path(w, "", from_key) : NULL;
	_cleanup_free_ char *target = to_key ? gcs_path(w, "", to_key) : NULL;
	size_t skip = strlen(w->endpoint.path) + strlen("/storage/v1");
	char *path;

	if (!source || !target || asprintf(&path, "%s/rewriteTo%s", source, target + skip) < 0)
		return NULL;
	return path;
}

void gcs_copy(struct store *s, const struct copy_req *r, struct store_call *c)
{
	struct web *w = container_of(s, struct web, store);
	_cleanup_free_ char *path = rewrite_path(w, r->from, r->to);
	struct exchange *x = path ? exchange_new(w, c, HTTP_POST, path, r->deadline_ns) : NULL;
	int error = x ? 0 : fail(-ENOMEM);

	if (error == 0 && r->meta)
		error = gcs_description(NULL, r->meta, NULL, &x->req->head);
	if (error < 0) {
		exchange_refuse(c, error == -EINVAL ? error : -ENOMEM);
		return;
	}
	pairs_add(&x->req->headers, "Content-Type", "application/json; charset=UTF-8");
	pairs_add(&x->req->query, "fields", "done,rewriteToken,resource(generation)");
	x->source_match = r->from_match != NULL;
	if (r->from_match)
		pairs_add(&x->req->query, "ifSourceGenerationMatch", gcs_generation(r->from_match));
	gcs_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

/* (R5) */
int gcs_copied(struct exchange *x)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *token, *generation;

	if (json_parse(buf_span(&x->req->text), &j) < 0) {
		exchange_explain(x, "an answer that cannot be read");
		return STORE_UNKNOWN;
	}
	token = json_str(j, "rewriteToken");
	if (!json_bool(j, "done", false) && token) {
		pairs_set(&x->req->query, "rewriteToken", token);
		return AGAIN_MORE;
	}
	generation = json_str(json_get(j, "resource"), "generation");
	if (!generation) {
		exchange_explain(x, "an answer that names no object");
		return STORE_UNKNOWN;
	}
	snprintf(x->call->version, sizeof(x->call->version), "%s", generation);
	return 0;
}
