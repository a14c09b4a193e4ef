/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of Google Cloud Storage means.
 *
 * (J1) A 404 may speak of the bucket: unless its text says which, a listing of one name settles it.
 * (J2) A 412 to a copy may speak of either object: where it matters, the target is looked for.
 */
#include "backends/gcs_i.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>

/* (J2). The path of a rewrite holds both names, escaped. */
static int look_for_target(struct exchange *x)
{
	static const char to[] = "/rewriteTo";
	const char *target = strstr(x->req->path, to) + strlen(to);
	char *path;

	if (asprintf(&path, "%s/storage/v1%s", x->web->endpoint.path, target) < 0)
		return fail(-ENOMEM);
	request_retarget(x->req, HTTP_GET, path);
	pairs_add(&x->req->query, "fields", "generation");
	return 0;
}

/* (J1) */
int gcs_look(struct exchange *x)
{
	char *path;

	if (x->req->status == 412)
		return look_for_target(x);
	path = gcs_path(x->web, "", NULL);
	if (!path)
		return fail(-ENOMEM);
	request_retarget(x->req, HTTP_GET, path);
	pairs_add(&x->req->query, "maxResults", "1");
	pairs_add(&x->req->query, "fields", "kind");
	return 0;
}

static void read_member(const char *key, const struct json *value, void *arg)
{
	if (json_text(value))
		object_meta_read(key, json_text(value), arg);
}

static void read_metadata(const struct json *j, struct object_meta *ret)
{
	const char *type = json_str(j, "contentType");

	snprintf(ret->content_type, sizeof(ret->content_type), "%s", type ? type : "");
	if (json_get(j, "metadata"))
		json_each(json_get(j, "metadata"), read_member, ret);
}

/* An object's description in answer to a head or a put. */
static int described(struct exchange *x)
{
	struct store_call *c = x->call;
	_cleanup_(json_freep) struct json *j = NULL;
	const char *generation, *updated, *encoding, *md5;
	time_t t;

	if (json_parse(buf_span(&x->req->text), &j) < 0 ||
	    !(generation = json_str(j, "generation"))) {
		exchange_explain(x, "an answer that cannot be read");
		return x->writes ? STORE_UNKNOWN : fail(-EIO);
	}
	snprintf(c->version, sizeof(c->version), "%s", generation);
	if (c->op == STORE_PUT || c->op == STORE_DESCRIBE)
		return 0;
	read_metadata(j, &c->meta);
	updated = json_str(j, "updated");
	if (updated && iso_date_parse(updated, &t) == 0 && t > 0)
		c->modified_s = (uint64_t)t;
	md5 = json_str(j, "md5Hash");
	if (md5)
		exchange_read_md5(x, span_str(md5));
	encoding = json_str(j, "contentEncoding");
	if (encoding && strcmp(encoding, "gzip") == 0)
		return exchange_because(x, fail(-EIO),
					"the object is stored with Content-Encoding: gzip");
	return json_uint(j, "size", &c->size) < 0 ? exchange_because(x, fail(-EIO), "no length")
						  : 0;
}

static int got(struct exchange *x)
{
	char stored[16];

	request_header_copy(x->req, "x-goog-generation", x->call->version,
			    sizeof(x->call->version));
	request_header_copy(x->req, "x-goog-stored-content-encoding", stored, sizeof(stored));
	if (stored[0] && strcmp(stored, "identity") != 0)
		return exchange_because(x, fail(-EIO),
					"the object is stored with Content-Encoding: gzip");
	exchange_read_meta(x, "x-goog-meta-");
	return exchange_got(x);
}

static int absent(struct exchange *x)
{
	switch (x->call->op) {
	case STORE_REMOVE:
		return x->conditional ? STORE_CHANGED : 0;
	case STORE_PUT:
	case STORE_UPLOAD_BEGIN:
		return x->conditional ? STORE_CHANGED : exchange_because(x, fail(-EIO), NULL);
	default:
		return STORE_MISSING;
	}
}

static bool asked_for_target(const struct exchange *x)
{
	return x->looked && x->call->op == STORE_COPY && !pairs_get(&x->req->query, "maxResults");
}

static int succeeded(struct exchange *x)
{
	struct listing l = {};
	int error;

	if (asked_for_target(x))
		return STORE_EXISTS;
	if (x->looked) /* the bucket is there: so it was the object */
		return absent(x);
	switch (x->call->op) {
	case STORE_GET:
		return got(x);
	case STORE_HEAD:
	case STORE_PUT:
	case STORE_DESCRIBE:
		return described(x);
	case STORE_LIST:
		error = listing_parse_gcs(buf_span(&x->req->text), &l);
		return exchange_listed(x, error, &l);
	case STORE_COPY:
		return gcs_copied(x);
	case STORE_UPLOAD_BEGIN:
		return gcs_upload_begun(x);
	case STORE_REMOVE:
	case STORE_UPLOAD_PART:
	case STORE_UPLOAD_FINISH:
	case STORE_UPLOAD_ABORT:
		break;
	}
	return 0;
}

static int no_bucket(struct exchange *x)
{
	return exchange_because(x, fail(-EIO), "create the bucket first, or correct its name");
}

static int missing(struct exchange *x)
{
	if (asked_for_target(x)) /* so it was the source that is another one */
		return STORE_CHANGED;
	if (x->looked || x->call->op == STORE_LIST ||
	    strstr(x->fault.message, "bucket does not exist"))
		return no_bucket(x);
	if (strncmp(x->fault.message, "No such object", 14) == 0)
		return absent(x);
	return AGAIN_LOOK;
}

static int refused_credentials(struct exchange *x)
{
	const char *code = x->fault.code;

	if (strcmp(code, "rateLimitExceeded") == 0 || strcmp(code, "userRateLimitExceeded") == 0)
		return exchange_throttled(x);
	if (strcmp(code, "quotaExceeded") == 0)
		return exchange_because(x, -ENOSPC, NULL);
	if (x->looked && x->req->status == 403) /* no right to list, but then there is a bucket */
		return absent(x);
	if (x->req->status == 401 && x->value)
		return AGAIN_RENEW;
	return exchange_because(x, -EACCES,
				x->value ? "the role Storage Object User is needed"
					 : "credentials are needed");
}

/* 412 */
static int refused_condition(struct exchange *x)
{
	if (x->cond == PUT_IF_ABSENT) /* or was it that of a copy's source? */
		return x->source_match ? AGAIN_LOOK : STORE_EXISTS;
	return x->conditional || x->source_match ? STORE_CHANGED
						 : exchange_because(x, fail(-EIO), NULL);
}

int gcs_judge(struct exchange *x)
{
	int status = x->req->status;

	if (gcs_is_session(x))
		return gcs_session_judge(x);
	if (status >= 200 && status <= 206)
		return succeeded(x);
	fault_parse_json(buf_span(&x->req->text), &x->fault);
	switch (status) {
	case 400:
		if (strstr(x->fault.message,
			   "match calculated CRC32C")) /* the body was damaged on the way */
			return exchange_throttled(x);
		break;
	case 401:
	case 403:
		return refused_credentials(x);
	case 404:
		return missing(x);
	case 412:
		return refused_condition(x);
	case 416:
		return exchange_no_such_range(x);
	}
	return exchange_by_status(x);
}
