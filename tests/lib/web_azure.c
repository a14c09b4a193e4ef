/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Azure Blob dialect: path-style requests, told apart by method, level, restype and comp.
 */
#include "web_azure.h"

#include "web_cond.h"
#include "web_token.h"

#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 1024, SEGMENTS_MAX = 254, METADATA_MAX = 8192 };

enum level { ACCOUNT, CONTAINER, BLOB };

static const struct route {
	const char *method;
	enum level level;
	const char *restype, *comp;     /* "" for none */
	enum web_azure_verb verb;
	enum web_op op;
	const char *params;             /* further ones that are understood */
} routes[] = {
	{ "GET", ACCOUNT, "", "list", AZURE_CONTAINERS, WEB_OP_OTHER, " prefix " },
	{ "POST", ACCOUNT, "", "batch", AZURE_BATCH, WEB_OP_DELETE, "" },
	{ "PUT", CONTAINER, "container", "", AZURE_CONTAINER_CREATE, WEB_OP_OTHER, "" },
	{ "GET", CONTAINER, "container", "", AZURE_CONTAINER_LOOK, WEB_OP_OTHER, "" },
	{ "HEAD", CONTAINER, "container", "", AZURE_CONTAINER_LOOK, WEB_OP_OTHER, "" },
	{ "DELETE", CONTAINER, "container", "", AZURE_CONTAINER_DELETE, WEB_OP_OTHER, "" },
	{ "GET", CONTAINER, "container", "list", AZURE_LIST, WEB_OP_LIST,
	  " prefix delimiter marker maxresults include " },
	{ "PUT", BLOB, "", "", AZURE_PUT, WEB_OP_PUT, "" },
	{ "PUT", BLOB, "", "metadata", AZURE_METADATA, WEB_OP_PUT, "" },
	{ "PUT", BLOB, "", "block", AZURE_BLOCK, WEB_OP_PUT, " blockid " },
	{ "PUT", BLOB, "", "blocklist", AZURE_BLOCK_LIST, WEB_OP_PUT, "" },
	{ "GET", BLOB, "", "blocklist", AZURE_BLOCKS, WEB_OP_OTHER, " blocklisttype " },
	{ "GET", BLOB, "", "", AZURE_GET, WEB_OP_GET, "" },
	{ "HEAD", BLOB, "", "", AZURE_HEAD, WEB_OP_HEAD, "" },
	{ "DELETE", BLOB, "", "", AZURE_DELETE, WEB_OP_DELETE, "" },
};

static const char *usual_code(int status)
{
	switch (status) {
	case 400: return "InvalidInput";
	case 401: return "InvalidAuthenticationInfo";
	case 403: return "AuthenticationFailed";
	case 404: return "BlobNotFound";
	case 409: return "BlobAlreadyExists";
	case 411: return "MissingContentLengthHeader";
	case 412: return "ConditionNotMet";
	case 413: return "RequestBodyTooLarge";
	case 416: return "InvalidRange";
	case 429: return "TooManyRequests";
	case 501: return "NotImplemented";
	case 503: return "ServerBusy";
	default: return "InternalError";
	}
}

void web_azure_fail(struct web_req *req, int status, const char *code, const char *message,
		    const char *extra)
{
	web_reply_reset(&req->reply);
	req->reply.status = status;
	if (!code)
		code = usual_code(status);
	web_reply_header(req, "x-ms-error-code", "%s", code);
	web_reply_header(req, "Content-Type", "application/xml");
	struct web_text *body = &req->reply.body;
	web_text_printf(body, "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>"
			"%s</Code><Message>", code);
	web_text_xml(body, message);
	web_text_printf(body, "\nRequestId:%016llx\nTime:", (unsigned long long)req->serial);
	web_text_iso_date(body, web_now_ns(req->web));
	web_text_printf(body, "</Message>%s</Error>", extra);
}

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_azure_fail(req, status, code, message, "");
}

void web_azure_fail_cond(struct web_req *req, int cond)
{
	switch (cond) {
	case WEB_NO_BUCKET:
		return fail(req, 404, "ContainerNotFound",
			    "The specified container does not exist.");
	case WEB_NO_KEY:
	case WEB_ABSENT:
		return fail(req, 404, "BlobNotFound", "The specified blob does not exist.");
	case WEB_EXISTS:
		return fail(req, 409, "BlobAlreadyExists", "The specified blob already exists.");
	case WEB_PRECONDITION:
		return fail(req, 412, "ConditionNotMet",
			    "The condition specified using HTTP conditional header(s) is not met.");
	case WEB_NOT_MODIFIED:
		web_reply_reset(&req->reply);
		req->reply.status = 304;
		return;
	case WEB_BUCKET_EXISTS:
		return fail(req, 409, "ContainerAlreadyExists",
			    "The specified container already exists.");
	default:
		return fail(req, 500, NULL, "unexpected condition");
	}
}

/* ---- routing ---- */

/* False when the path names no account of ours. */
static bool names_take(struct web_req *req, enum level *ret)
{
	char *account = web_req_keep(req, req->path + 1, strlen(req->path + 1));
	char *rest = account;
	strsep(&rest, "/");
	if (strcmp(account, req->web->conf.account) != 0)
		return false;
	char *container = rest ? strsep(&rest, "/") : account + strlen(account);
	char *blob = rest ? rest : container + strlen(container);
	if (!web_percent_decode(container, false) || !web_percent_decode(blob, false))
		return false;
	req->bucket = container;
	req->key = blob;
	*ret = *blob ? BLOB : *container ? CONTAINER : ACCOUNT;
	return true;
}

static void route(struct web_req *req)
{
	enum level level;
	size_t n = strlen(req->path);
	const char *restype = web_param_or_empty(req, "restype");
	const char *comp = web_param_or_empty(req, "comp");
	/* Entra ID: /TENANT/oauth2/v2.0/token. */
	if (n > 18 && strcmp(req->path + n - 18, "/oauth2/v2.0/token") == 0 &&
	    strcmp(req->method, "POST") == 0) {
		req->verb = AZURE_TOKEN;
		req->op = WEB_OP_TOKEN;
		return;
	}
	if (!names_take(req, &level))
		return;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (routes[i].level != level || strcmp(routes[i].method, req->method) != 0 ||
		    strcmp(routes[i].restype, restype) != 0 || strcmp(routes[i].comp, comp) != 0)
			continue;
		req->route = &routes[i];
		req->verb = (int)routes[i].verb;
		req->op = routes[i].op;
	}
	if (req->verb == AZURE_LIST)
		req->key = web_param_or_empty(req, "prefix");
}

char web_azure_permission(const struct web_req *req)
{
	switch ((enum web_azure_verb)req->verb) {
	case AZURE_GET:
	case AZURE_HEAD:
	case AZURE_BLOCKS: return 'r';
	case AZURE_CONTAINERS:
	case AZURE_LIST: return 'l';
	case AZURE_DELETE:
	case AZURE_CONTAINER_DELETE: return 'd';
	case AZURE_CONTAINER_CREATE: return 'c';
	default: return 'w';
	}
}

/* ---- checks before the body ---- */

static bool param_is_understood(const struct web_req *req, const char *name)
{
	static const char common[] = " restype comp timeout ";
	static const char sas[] = " sv ss srt sp st se sip spr sr sig si ses snapshot "
				  "rscc rscd rsce rscl rsct ";
	const struct route *route = req->route;
	char word[64];
	if (strlen(name) + 3 > sizeof(word))
		return false;
	snprintf(word, sizeof(word), " %s ", name);
	return strstr(common, word) || strstr(route->params, word) ||
	       (web_param(req, "sig") && strstr(sas, word));
}

static bool header_is_understood(const char *name)
{
	static const char *const known[] = {
		"x-ms-date", "x-ms-version", "x-ms-client-request-id", "x-ms-blob-type",
		"x-ms-range", "x-ms-range-get-content-md5", "x-ms-range-get-content-crc64",
		"x-ms-content-crc64", "x-ms-blob-content-md5", "x-ms-blob-content-type",
		"x-ms-blob-content-encoding", "x-ms-blob-cache-control", "x-ms-copy-source",
		"x-ms-delete-snapshots", "x-ms-return-client-request-id",
		"x-ms-source-if-match", "x-ms-source-range", "x-ms-copy-source-authorization",
	};
	if (strncmp(name, "x-ms-", 5) != 0 || strncmp(name, "x-ms-meta-", 10) == 0)
		return true;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static void check_version(struct web_req *req)
{
	const char *version = web_header(req, "x-ms-version");
	/* Requests with a SAS may leave it to the SAS. */
	if (!version)
		version = web_param(req, "sv");
	if (!version)
		return fail(req, 400, "MissingRequiredHeader",
			    "An HTTP header that's mandatory for this request is not specified: "
			    "x-ms-version.");
	if (strlen(version) != 10 || strcmp(version, "2009-09-19") < 0 ||
	    strcmp(version, "2026-06-06") > 0 || web_parse_iso_date(version) < 0)
		fail(req, 400, "InvalidHeaderValue",
		     "The value for one of the HTTP headers is not in the correct format: "
		     "x-ms-version.");
}

static void check_words(struct web_req *req)
{
	if (req->verb == AZURE_NONE)
		return fail(req, 400, "InvalidUri", "The requested URI does not represent any "
			    "resource on the server, or the method is not allowed on it.");
	for (size_t i = 0; i < req->nparams; i++)
		if (!param_is_understood(req, req->params[i].name))
			return fail(req, 400, "UnsupportedQueryParameter",
				    "One of the query parameters in the URI is not supported.");
	for (size_t i = 0; i < req->nheaders; i++)
		if (!header_is_understood(req->headers[i].name))
			return fail(req, 400, "UnsupportedHeader",
				    "One of the HTTP headers specified is not supported.");
}

static void check_name(struct web_req *req)
{
	size_t segments = 1;
	for (const char *p = req->key; *p; p++)
		segments += *p == '/';
	if (strlen(req->key) > KEY_MAX || segments > SEGMENTS_MAX || strchr(req->key, '\\'))
		fail(req, 400, "OutOfRangeInput", "The specified resource name is not valid.");
}

static bool is_identifier(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	for (; *name; name++)
		if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') ||
		      *name == '_'))
			return false;
	return true;
}

static void check_metadata(struct web_req *req)
{
	size_t size = 0;
	for (size_t i = 0; i < req->nheaders; i++) {
		const char *name = req->headers[i].name;
		if (strncmp(name, "x-ms-meta-", 10) != 0)
			continue;
		size += strlen(name + 10) + strlen(req->headers[i].value);
		if (!is_identifier(name + 10))
			return fail(req, 400, "InvalidMetadata",
				    "The metadata specified is invalid. It has characters that are "
				    "not permitted.");
	}
	if (size > METADATA_MAX)
		fail(req, 400, "MetadataTooLarge",
		     "The metadata specified exceeds the maximum permissible limit.");
}

static void check(struct web_req *req)
{
	static void (*const steps[])(struct web_req *) = {
		check_version, web_azure_authenticate, check_words, check_name, check_metadata,
		web_azure_check_blob,
	};
	if (req->verb == AZURE_TOKEN)
		return;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !req->reply.status; i++)
		steps[i](req);
}

/* ---- running ---- */

static void container(struct web_req *req)
{
	struct web_store *store = req->web->store;
	int cond = 0, status = 200;
	if (req->verb == AZURE_CONTAINER_CREATE) {
		cond = web_store_bucket_add(store, req->bucket);
		status = 201;
	} else if (req->verb == AZURE_CONTAINER_DELETE) {
		/* The service removes containers with all that is in them; no test needs that. */
		cond = web_store_bucket_remove(store, req->bucket);
		status = 202;
	} else if (!web_store_bucket_exists(store, req->bucket)) {
		cond = WEB_NO_BUCKET;
	}
	if (cond)
		return web_azure_fail_cond(req, cond);
	req->reply.status = status;
	web_reply_header(req, "ETag", "\"0x8D000000000000\"");
}

static void run(struct web_req *req)
{
	if (!web_azure_sums_verify(req))
		return;
	switch ((enum web_azure_verb)req->verb) {
	case AZURE_TOKEN: return web_token_endpoint(req);
	case AZURE_CONTAINERS: return web_azure_containers(req);
	case AZURE_CONTAINER_CREATE:
	case AZURE_CONTAINER_LOOK:
	case AZURE_CONTAINER_DELETE: return container(req);
	case AZURE_LIST: return web_azure_list(req);
	case AZURE_PUT: return web_azure_put(req);
	case AZURE_BLOCK: return web_azure_block(req);
	case AZURE_BLOCK_LIST: return web_azure_block_list(req);
	case AZURE_BLOCKS: return web_azure_blocks(req);
	case AZURE_METADATA: return web_azure_metadata(req);
	case AZURE_GET:
	case AZURE_HEAD: return web_azure_get(req);
	case AZURE_DELETE: return web_azure_delete(req);
	default: return fail(req, 501, NULL, "not implemented");
	}
}

static void stamp(struct web_req *req)
{
	const char *version = web_header(req, "x-ms-version");
	const char *id = web_header(req, "x-ms-client-request-id");
	web_reply_header(req, "x-ms-request-id", "%016llx", (unsigned long long)req->serial);
	if (version)
		web_reply_header(req, "x-ms-version", "%s", version);
	if (id && req->reply.status < 300)
		web_reply_header(req, "x-ms-client-request-id", "%s", id);
}

const struct web_dialect web_azure = {
	.name = "azure",
	.route = route,
	.check = check,
	.run = run,
	.fail = fail,
	.stamp = stamp,
	.etag = web_azure_etag,
};
