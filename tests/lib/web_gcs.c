/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dialect of Google Cloud Storage's JSON API: routing, authentication, preconditions, errors.
 */
#include "web_gcs.h"

#include "web_cond.h"
#include "web_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 1024 };

/* What the placeholders {b} {o} {s} {t} of a route stand for. */
struct names {
	const char *b, *o, *s, *t;
};

static const struct route {
	const char *method, *path;
	enum web_gcs_verb verb;
	enum web_op op;
	const char *params;
} routes[] = {
	{ "POST", "/token", GCS_TOKEN, WEB_OP_TOKEN, "" },
	{ "GET", "/computeMetadata/v1/instance/service-accounts/default/token",
	  GCS_METADATA_TOKEN, WEB_OP_TOKEN, " scopes " },
	{ "GET", "/storage/v1/b", GCS_BUCKETS, WEB_OP_OTHER, " project maxResults pageToken " },
	{ "POST", "/storage/v1/b", GCS_BUCKET_CREATE, WEB_OP_OTHER, " project " },
	{ "GET", "/storage/v1/b/{b}", GCS_BUCKET_GET, WEB_OP_OTHER, " projection " },
	{ "DELETE", "/storage/v1/b/{b}", GCS_BUCKET_DELETE, WEB_OP_OTHER, "" },
	{ "GET", "/storage/v1/b/{b}/o", GCS_LIST, WEB_OP_LIST,
	  " prefix delimiter startOffset endOffset maxResults pageToken projection " },
	{ "POST", "/upload/storage/v1/b/{b}/o", GCS_INSERT, WEB_OP_PUT,
	  " uploadType name ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch "
	  "ifMetagenerationNotMatch contentEncoding " },
	{ "PUT", "/upload/storage/v1/b/{b}/o", GCS_SESSION, WEB_OP_PUT, " uploadType upload_id " },
	{ "DELETE", "/upload/storage/v1/b/{b}/o", GCS_SESSION_DELETE, WEB_OP_DELETE,
	  " uploadType upload_id " },
	{ "GET", "/storage/v1/b/{b}/o/{o}", GCS_GET, WEB_OP_GET,
	  " generation ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch "
	  "ifMetagenerationNotMatch projection " },
	{ "PATCH", "/storage/v1/b/{b}/o/{o}", GCS_PATCH, WEB_OP_PUT,
	  " generation ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch "
	  "ifMetagenerationNotMatch " },
	{ "DELETE", "/storage/v1/b/{b}/o/{o}", GCS_DELETE, WEB_OP_DELETE,
	  " generation ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch "
	  "ifMetagenerationNotMatch " },
	{ "POST", "/storage/v1/b/{s}/o/{t}/rewriteTo/b/{b}/o/{o}", GCS_REWRITE, WEB_OP_PUT,
	  " ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch ifMetagenerationNotMatch "
	  "ifSourceGenerationMatch rewriteToken sourceGeneration " },
	{ "POST", "/storage/v1/b/{b}/o/{o}/compose", GCS_COMPOSE, WEB_OP_PUT,
	  " ifGenerationMatch ifMetagenerationMatch " },
	{ "POST", "/batch/storage/v1", GCS_BATCH, WEB_OP_DELETE, "" },
};

static const char *usual_reason(int status)
{
	switch (status) {
	case 400: return "invalid";
	case 401: return "authError";
	case 403: return "forbidden";
	case 404: return "notFound";
	case 408: return "requestTimeout";
	case 409: return "conflict";
	case 411: return "required";
	case 412: return "conditionNotMet";
	case 413: return "uploadTooLarge";
	case 416: return "requestedRangeNotSatisfiable";
	case 429: return "rateLimitExceeded";
	case 501: return "notImplemented";
	default: return "backendError";
	}
}

static bool is_media(const struct web_req *req)
{
	return req->verb == GCS_GET && strcmp(web_param_or_empty(req, "alt"), "media") == 0;
}

void web_gcs_fail(struct web_req *req, int status, const char *reason, const char *message)
{
	web_reply_reset(&req->reply);
	req->reply.status = status;
	if (!reason)
		reason = usual_reason(status);
	/* Downloads are served by another part of the cloud, which does not speak JSON. */
	if (is_media(req)) {
		web_reply_header(req, "Content-Type", "text/html; charset=UTF-8");
		web_text_puts(&req->reply.body, message);
		return;
	}
	web_reply_header(req, "Content-Type", "application/json; charset=UTF-8");
	json_t *json = json_pack("{s:{s:i, s:s, s:[{s:s, s:s, s:s}]}}", "error", "code", status,
				 "message", message, "errors", "message", message, "domain",
				 "global", "reason", reason);
	char *text = json_dumps(json, JSON_INDENT(2));
	web_text_puts(&req->reply.body, text);
	free(text);
	json_decref(json);
}

void web_gcs_fail_cond(struct web_req *req, int cond)
{
	switch (cond) {
	case WEB_NO_BUCKET:
		return web_gcs_fail(req, 404, NULL, "The specified bucket does not exist.");
	case WEB_NO_KEY:
	case WEB_ABSENT:
		return web_gcs_fail(req, 404, NULL, "No such object.");
	case WEB_PRECONDITION:
		return web_gcs_fail(req, 412, NULL, "At least one of the pre-conditions you "
				    "specified did not hold.");
	case WEB_NOT_MODIFIED:
		web_reply_reset(&req->reply);
		req->reply.status = 304;
		return;
	case WEB_TOO_OFTEN:
		return web_gcs_fail(req, 429, NULL, "The object exceeded the rate limit for "
				    "object mutation operations (create, update, and delete).");
	case WEB_BUCKET_EXISTS:
		return web_gcs_fail(req, 409, NULL, "Your previous request to create the named "
				    "bucket succeeded and you already own it.");
	case WEB_BUCKET_FULL:
		return web_gcs_fail(req, 409, NULL, "The bucket you tried to delete is not empty.");
	default:
		return web_gcs_fail(req, 500, NULL, "unexpected condition");
	}
}

void web_gcs_reply(struct web_req *req, json_t *json)
{
	const char *fields = web_param(req, "fields");
	if (fields) {
		json_t *selection = web_gcs_select(json, fields);
		json_decref(json);
		json = selection;
	}
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return web_gcs_fail(req, 400, "invalidParameter", "Invalid field selection");
	web_reply_reset(&req->reply);
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/json; charset=UTF-8");
	web_text_puts(&req->reply.body, text);
	free(text);
}

/* ---- routing ---- */

static const char **name_place(struct names *names, char letter)
{
	switch (letter) {
	case 'b': return &names->b;
	case 'o': return &names->o;
	case 's': return &names->s;
	default: return &names->t;
	}
}

/* Compares segment by segment; a placeholder takes one non-empty segment. */
static bool path_matches(struct web_req *req, const char *pattern, struct names *names)
{
	const char *path = req->path;
	for (;;) {
		size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
		if (*pattern == '{' && have)
			*name_place(names, pattern[1]) = web_req_keep(req, path, have);
		else if (want != have || strncmp(pattern, path, want) != 0)
			return false;
		pattern += want;
		path += have;
		if (!*pattern || !*path)
			return *pattern == *path;
		pattern++;
		path++;
	}
}

static const struct route *route_find(struct web_req *req, struct names *names)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		char *scratch = req->scratch;
		*names = (struct names){ 0 };
		if (strcmp(req->method, routes[i].method) == 0 &&
		    path_matches(req, routes[i].path, names))
			return &routes[i];
		req->scratch = scratch;
	}
	return NULL;
}

static bool name_decode(const char *name)
{
	return !name || web_percent_decode((char *)(uintptr_t)name, false);
}

static void route(struct web_req *req)
{
	struct names names;
	const struct route *found = route_find(req, &names);
	if (!found)
		return;
	if (!name_decode(names.b) || !name_decode(names.o))
		return;
	req->route = found;
	req->verb = (int)found->verb;
	req->op = found->op;
	req->bucket = names.b ? names.b : "";
	req->key = names.o ? names.o : "";
	if (req->verb == GCS_LIST)
		req->key = web_param_or_empty(req, "prefix");
	if (req->verb == GCS_INSERT) {
		req->key = web_param_or_empty(req, "name");
		req->key_in_body = !*req->key;
	}
	if (req->verb == GCS_SESSION || req->verb == GCS_SESSION_DELETE)
		web_gcs_session_key(req);
	if (req->verb == GCS_GET && !is_media(req))
		req->op = WEB_OP_HEAD;
}

/* ---- checks ---- */

static void check_bearer(struct web_req *req)
{
	const char *header = web_header(req, "authorization");
	if (!web_tokens_wanted(req->web))
		return;
	if (header && strncmp(header, "Bearer ", 7) == 0 &&
	    web_token_accepts(req->web, header + 7))
		return;
	web_gcs_fail(req, 401, header ? "authError" : "required",
		     header ? "Invalid Credentials" : "Login Required.");
	web_reply_header(req, "WWW-Authenticate", "Bearer realm=\"https://accounts.google.com/\"");
}

static bool is_understood(const struct route *route, const char *param)
{
	static const char common[] = " fields alt prettyPrint userProject key quotaUser ";
	char word[64];
	if (strlen(param) + 3 > sizeof(word))
		return false;
	snprintf(word, sizeof(word), " %s ", param);
	return strstr(route->params, word) || strstr(common, word);
}

bool web_gcs_name_is_good(const char *key)
{
	return strlen(key) <= KEY_MAX && !strpbrk(key, "\r\n") && strcmp(key, ".") != 0 &&
	       strcmp(key, "..") != 0;
}

static void check(struct web_req *req)
{
	if (req->verb == GCS_NONE)
		return web_gcs_fail(req, 404, NULL, "Not Found");
	for (size_t i = 0; i < req->nparams; i++)
		if (!is_understood(req->route, req->params[i].name))
			return web_gcs_fail(req, 400, "invalidParameter", "Unknown parameter");
	/* A session URI is its own authorization. */
	if (req->op != WEB_OP_TOKEN && !web_param(req, "upload_id"))
		check_bearer(req);
	if (!req->reply.status && !web_gcs_name_is_good(req->key))
		return web_gcs_fail(req, 400, "invalid", "Invalid object name");
}

/* ---- preconditions ---- */

static bool read_number(struct web_req *req, const char *name, bool *ret_given, uint64_t *ret)
{
	const char *value = web_param(req, name);
	*ret_given = value;
	if (!value || web_parse_u64(value, INT64_MAX, ret))
		return true;
	web_gcs_fail(req, 400, "invalid", "Invalid value for a precondition");
	return false;
}

bool web_gcs_cond_read(struct web_req *req, bool write, struct web_gcs_cond *ret)
{
	struct web_gcs_cond c = { .web = req->web, .write = write };
	bool good = read_number(req, "ifGenerationMatch", &c.match.given, &c.match.value) &&
		    read_number(req, "ifGenerationNotMatch", &c.not_match.given,
				&c.not_match.value) &&
		    read_number(req, "ifMetagenerationMatch", &c.meta_match.given,
				&c.meta_match.value) &&
		    read_number(req, "ifMetagenerationNotMatch", &c.meta_not_match.given,
				&c.meta_not_match.value) &&
		    read_number(req, "generation", &c.generation.given, &c.generation.value);
	*ret = c;
	return good;
}

static bool is_too_often(const struct web_object *now, const struct web_gcs_cond *cond)
{
	return cond->write && cond->web->conf.gcs_name_rate && now &&
	       web_now_ns(cond->web) - now->modified_ns < 1000000000;
}

/* What does not exist has generation 0. */
static int verdict(const struct web_object *now, const struct web_gcs_cond *cond)
{
	uint64_t generation = now ? now->generation : 0;
	uint64_t metageneration = now ? now->metageneration : 0;
	if (is_too_often(now, cond))
		return WEB_TOO_OFTEN;
	if (cond->match.given && cond->match.value != generation)
		return WEB_PRECONDITION;
	if (cond->meta_match.given && cond->meta_match.value != metageneration)
		return WEB_PRECONDITION;
	int unwanted = cond->write ? WEB_PRECONDITION : WEB_NOT_MODIFIED;
	if (cond->not_match.given && cond->not_match.value == generation)
		return unwanted;
	if (cond->meta_not_match.given && cond->meta_not_match.value == metageneration)
		return unwanted;
	return WEB_PASS;
}

int web_gcs_write_judge(const struct web_object *now, const void *arg)
{
	return verdict(now, arg);
}

int web_gcs_read_judge(const struct web_object *now, const void *arg)
{
	const struct web_gcs_cond *cond = arg;
	if (!now || (cond->generation.given && cond->generation.value != now->generation))
		return WEB_NO_KEY;
	return verdict(now, cond);
}

/* ---- running ---- */

static void rewrite(struct web_req *req)
{
	struct names names = { 0 };
	if (!path_matches(req, "/storage/v1/b/{s}/o/{t}/rewriteTo/b/{b}/o/{o}", &names) ||
	    !name_decode(names.s) || !name_decode(names.t))
		return web_gcs_fail(req, 400, NULL, "Invalid source name");
	web_gcs_rewrite(req, names.s, names.t);
}

static void run(struct web_req *req)
{
	switch ((enum web_gcs_verb)req->verb) {
	case GCS_TOKEN: return web_token_endpoint(req);
	case GCS_METADATA_TOKEN: return web_token_metadata(req);
	case GCS_BUCKETS: return web_gcs_buckets(req);
	case GCS_BUCKET_CREATE:
	case GCS_BUCKET_GET:
	case GCS_BUCKET_DELETE: return web_gcs_bucket(req);
	case GCS_LIST: return web_gcs_list(req);
	case GCS_INSERT: return web_gcs_insert(req);
	case GCS_SESSION: return web_gcs_session(req);
	case GCS_SESSION_DELETE: return web_gcs_session_delete(req);
	case GCS_GET: return web_gcs_get(req);
	case GCS_PATCH: return web_gcs_patch(req);
	case GCS_DELETE: return web_gcs_delete(req);
	case GCS_REWRITE: return rewrite(req);
	default: return web_gcs_fail(req, 501, NULL, "not implemented");
	}
}

static void stamp(struct web_req *req)
{
	web_reply_header(req, "X-GUploader-UploadID", "standin-%016llx",
			 (unsigned long long)req->serial);
}

const struct web_dialect web_gcs = {
	.name = "gcs",
	.route = route,
	.check = check,
	.find_key = web_gcs_find_key,
	.run = run,
	.fail = web_gcs_fail,
	.stamp = stamp,
	.etag = web_gcs_etag,
};
