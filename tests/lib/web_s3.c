/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The S3 dialect: path-style requests, told apart by method, level and a query parameter.
 */
#include "web_s3.h"

#include "web_cond.h"

#include <stdio.h>
#include <string.h>

enum {
	KEY_MAX = 1024,
	METADATA_MAX = 2048,
	HEADERS_MAX = 8192,
};

enum level { SERVICE, BUCKET, KEY };

static const struct route {
	const char *method;
	enum level level;
	const char *param;      /* must be there; "" for none */
	enum web_s3_verb verb;
	enum web_op op;
	const char *params;     /* further ones that are understood */
} routes[] = {
	{ "GET", SERVICE, "", S3_BUCKETS, WEB_OP_OTHER, "" },
	{ "PUT", BUCKET, "", S3_BUCKET_CREATE, WEB_OP_OTHER, "" },
	{ "HEAD", BUCKET, "", S3_BUCKET_HEAD, WEB_OP_OTHER, "" },
	{ "DELETE", BUCKET, "", S3_BUCKET_DELETE, WEB_OP_OTHER, "" },
	{ "GET", BUCKET, "location", S3_LOCATION, WEB_OP_OTHER, "" },
	{ "GET", BUCKET, "list-type", S3_LIST, WEB_OP_LIST,
	  " prefix delimiter max-keys start-after continuation-token encoding-type fetch-owner " },
	{ "GET", BUCKET, "uploads", S3_UPLOADS, WEB_OP_OTHER, " prefix max-uploads " },
	{ "POST", BUCKET, "delete", S3_DELETE_MANY, WEB_OP_DELETE, "" },
	{ "POST", KEY, "uploads", S3_UPLOAD_START, WEB_OP_OTHER, "" },
	{ "POST", KEY, "uploadId", S3_UPLOAD_COMPLETE, WEB_OP_PUT, "" },
	{ "PUT", KEY, "uploadId", S3_UPLOAD_PART, WEB_OP_PUT, " partNumber " },
	{ "DELETE", KEY, "uploadId", S3_UPLOAD_ABORT, WEB_OP_OTHER, "" },
	{ "GET", KEY, "uploadId", S3_UPLOAD_PARTS, WEB_OP_OTHER, "" },
	{ "PUT", KEY, "", S3_PUT, WEB_OP_PUT, "" },
	{ "GET", KEY, "", S3_GET, WEB_OP_GET, "" },
	{ "HEAD", KEY, "", S3_HEAD, WEB_OP_HEAD, "" },
	{ "DELETE", KEY, "", S3_DELETE, WEB_OP_DELETE, "" },
};

/* What S3 says when a test only asks for a status. */
static const char *usual_code(int status)
{
	switch (status) {
	case 400: return "InvalidRequest";
	case 403: return "AccessDenied";
	case 404: return "NoSuchKey";
	case 408: return "RequestTimeout";
	case 409: return "ConditionalRequestConflict";
	case 411: return "MissingContentLength";
	case 412: return "PreconditionFailed";
	case 413: return "EntityTooLarge";
	case 416: return "InvalidRange";
	case 429: return "TooManyRequests";
	case 500: return "InternalError";
	case 501: return "NotImplemented";
	case 503: return "SlowDown";
	default: return "InternalError";
	}
}

void web_s3_fail(struct web_req *req, int status, const char *code, const char *message,
		 const char *extra)
{
	web_reply_reset(&req->reply);
	req->reply.status = status;
	web_reply_header(req, "Content-Type", "application/xml");
	struct web_text *body = &req->reply.body;
	web_text_printf(body,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<Error><Code>%s</Code><Message>",
			code ? code : usual_code(status));
	web_text_xml(body, message);
	web_text_puts(body, "</Message>");
	web_text_puts(body, extra);
	web_text_puts(body, "<Resource>/");
	web_text_xml(body, req->bucket);
	if (*req->key)
		web_text_puts(body, "/");
	web_text_xml(body, req->key);
	web_text_printf(body, "</Resource><RequestId>%016llX</RequestId><HostId>stand-in</HostId>"
			"</Error>", (unsigned long long)req->serial);
}

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_s3_fail(req, status, code, message, "");
}

void web_s3_fail_cond(struct web_req *req, int cond)
{
	switch (cond) {
	case WEB_NO_BUCKET:
		return fail(req, 404, "NoSuchBucket", "The specified bucket does not exist");
	case WEB_NO_KEY:
	case WEB_ABSENT:
		return fail(req, 404, "NoSuchKey", "The specified key does not exist.");
	case WEB_EXISTS:
		return web_s3_fail(req, 412, "PreconditionFailed",
				   "At least one of the pre-conditions you specified did not hold",
				   "<Condition>If-None-Match</Condition>");
	case WEB_PRECONDITION:
		return web_s3_fail(req, 412, "PreconditionFailed",
				   "At least one of the pre-conditions you specified did not hold",
				   "<Condition>If-Match</Condition>");
	case WEB_BUCKET_EXISTS:
		return fail(req, 409, "BucketAlreadyOwnedByYou", "You own this bucket already.");
	case WEB_BUCKET_FULL:
		return fail(req, 409, "BucketNotEmpty", "The bucket is not empty.");
	default:
		return fail(req, 500, "InternalError", "unexpected condition");
	}
}

struct web_text *web_s3_xml(struct web_req *req)
{
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/xml");
	web_text_puts(&req->reply.body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	return &req->reply.body;
}

/* ---- routing ---- */

static enum level names_take(struct web_req *req)
{
	char *bucket = web_req_keep(req, req->path + 1, strlen(req->path + 1));
	char *key = strchr(bucket, '/');
	if (key)
		*key++ = '\0';
	else
		key = bucket + strlen(bucket);
	if (!web_percent_decode(bucket, false) || !web_percent_decode(key, false)) {
		fail(req, 400, "InvalidURI", "Couldn't parse the specified URI.");
		return SERVICE;
	}
	req->bucket = bucket;
	req->key = key;
	return *key ? KEY : *bucket ? BUCKET : SERVICE;
}

static bool is_understood(const struct route *route, const char *param)
{
	char word[64];
	/* Presigned requests carry their signature in the query, SDKs the operation's name. */
	if (strncmp(param, "X-Amz-", 6) == 0 || strcmp(param, "x-id") == 0)
		return true;
	if (strcmp(param, route->param) == 0)
		return true;
	if (strlen(param) + 3 > sizeof(word))
		return false;
	snprintf(word, sizeof(word), " %s ", param);
	return strstr(route->params, word);
}

static void route(struct web_req *req)
{
	enum level level = names_take(req);
	const struct route *found = NULL;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]) && !found; i++)
		if (routes[i].level == level && strcmp(routes[i].method, req->method) == 0 &&
		    (!*routes[i].param || web_param(req, routes[i].param)))
			found = &routes[i];
	if (!found)
		return;
	req->route = found;
	req->verb = found->verb;
	req->op = found->op;
	if (req->verb == S3_LIST)
		req->key = web_param_or_empty(req, "prefix");
}

/* ---- checks before the body ---- */

static bool header_is_understood(const char *name)
{
	static const char *const known[] = {
		"x-amz-content-sha256", "x-amz-date", "x-amz-security-token",
		"x-amz-storage-class", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-mode",
		"x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256",
		"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-copy-source",
		"x-amz-copy-source-if-match", "x-amz-copy-source-range",
		"x-amz-metadata-directive", "x-amz-user-agent",
		"x-amz-mp-object-size", "x-amz-expected-bucket-owner",
	};
	if (strncmp(name, "x-amz-", 6) != 0 || strncmp(name, "x-amz-meta-", 11) == 0)
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static void check_route(struct web_req *req)
{
	if (req->verb == S3_NONE)
		return fail(req, 405, "MethodNotAllowed", "The method is not allowed here.");
	for (size_t i = 0; i < req->nparams && !req->reply.status; i++)
		if (!is_understood(req->route, req->params[i].name))
			fail(req, 501, "NotImplemented", "A query parameter is not implemented.");
}

static void check_headers(struct web_req *req)
{
	size_t all = 0, metadata = 0;
	for (size_t i = 0; i < req->nheaders && !req->reply.status; i++) {
		const char *name = req->headers[i].name;
		size_t len = strlen(req->headers[i].value);
		all += strlen(name) + len + 4;
		if (strncmp(name, "x-amz-meta-", 11) == 0)
			metadata += strlen(name) - 11 + len;
		if (!header_is_understood(name))
			fail(req, 501, "NotImplemented",
			     "A header you provided implies functionality that is not "
			     "implemented.");
	}
	if (all > HEADERS_MAX)
		fail(req, 400, "RequestHeaderSectionTooLarge", "Your request header is too large.");
	else if (metadata > METADATA_MAX)
		fail(req, 400, "MetadataTooLarge", "Your metadata headers exceed 2 KB.");
}

static void check_write_conditions(struct web_req *req)
{
	const char *none_match = web_header(req, "if-none-match");
	if (req->verb != S3_PUT && req->verb != S3_UPLOAD_COMPLETE && req->verb != S3_DELETE)
		return;
	bool usable = req->verb != S3_DELETE && !web_header(req, "if-match");
	if (none_match && (strcmp(none_match, "*") != 0 || !usable))
		fail(req, 501, "NotImplemented",
		     "A header you provided implies functionality that is not implemented.");
}

static void check(struct web_req *req)
{
	web_s3_authenticate(req);
	if (!req->reply.status)
		check_route(req);
	if (!req->reply.status)
		check_headers(req);
	if (!req->reply.status && strlen(req->key) > KEY_MAX)
		fail(req, 400, "KeyTooLongError", "Your key is too long");
	if (!req->reply.status)
		check_write_conditions(req);
	if (!req->reply.status)
		web_s3_sums_ask(req);
}

/* ---- running ---- */

static void bucket_verb(struct web_req *req, int cond, int status)
{
	if (cond)
		web_s3_fail_cond(req, cond);
	else
		req->reply.status = status;
}

static void bucket_create(struct web_req *req)
{
	size_t n = strlen(req->bucket);
	if (n < 3 || n > 63 || strspn(req->bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != n)
		return fail(req, 400, "InvalidBucketName", "The specified bucket is not valid.");
	bucket_verb(req, web_store_bucket_add(req->web->store, req->bucket), 200);
	if (req->reply.status == 200)
		web_reply_header(req, "Location", "/%s", req->bucket);
}

static void bucket_look(struct web_req *req)
{
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_s3_fail_cond(req, WEB_NO_BUCKET);
	if (req->verb == S3_LOCATION) {
		struct web_text *xml = web_s3_xml(req);
		web_text_printf(xml, "<LocationConstraint "
				"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
				"</LocationConstraint>", req->web->conf.region);
		return;
	}
	req->reply.status = 200;
	web_reply_header(req, "x-amz-bucket-region", "%s", req->web->conf.region);
}

static void run(struct web_req *req)
{
	if (!web_s3_sums_verify(req))
		return;
	switch ((enum web_s3_verb)req->verb) {
	case S3_BUCKETS: return web_s3_buckets(req);
	case S3_BUCKET_CREATE: return bucket_create(req);
	case S3_BUCKET_HEAD:
	case S3_LOCATION: return bucket_look(req);
	case S3_BUCKET_DELETE:
		return bucket_verb(req, web_store_bucket_remove(req->web->store, req->bucket), 204);
	case S3_LIST: return web_s3_list(req);
	case S3_PUT: return web_s3_put(req);
	case S3_GET:
	case S3_HEAD: return web_s3_get(req);
	case S3_DELETE: return web_s3_delete(req);
	case S3_DELETE_MANY: return web_s3_delete_many(req);
	default: return web_s3_upload(req);
	}
}

static void stamp(struct web_req *req)
{
	web_reply_header(req, "x-amz-request-id", "%016llX", (unsigned long long)req->serial);
	web_reply_header(req, "x-amz-id-2", "stand-in");
}

const struct web_dialect web_s3 = {
	.name = "s3",
	.route = route,
	.check = check,
	.run = run,
	.fail = fail,
	.stamp = stamp,
	.etag = web_s3_etag,
};
