/* SPDX-License-Identifier: Apache-2.0 */
#include "web_azure.h"

#include "web_cond.h"

#include <stdio.h>
#include <string.h>

enum {
	MD5_ALWAYS_BELOW = 64 << 10,    /* up to here an MD5 is stored though none was sent */
	RANGE_SUM_MAX = 4 << 20,
};

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_azure_fail(req, status, code, message, "");
}

void web_azure_etag(struct web_object *object)
{
	snprintf(object->etag, sizeof(object->etag), "0x8D%014llX",
		 (unsigned long long)(object->generation + object->metageneration));
}

/* ---- checks before the body ---- */

static void fail_header(struct web_req *req, const char *name)
{
	struct web_text message = { 0 };
	web_text_printf(&message, "The value for one of the HTTP headers is not in the correct "
			"format: %s.", name);
	fail(req, 400, "InvalidHeaderValue", message.s);
	web_text_release(&message);
}

/* An ETag is quoted, in a listing alone it is not: who sends it back as it is there is wrong. */
static void check_etag_header(struct web_req *req, const char *name)
{
	const char *value = web_header(req, name);
	size_t n = value ? strlen(value) : 0;
	if (!value || strcmp(value, "*") == 0)
		return;
	if (n < 2 || value[0] != '"' || value[n - 1] != '"')
		fail_header(req, name);
}

static const char *range_header(const struct web_req *req)
{
	const char *own = web_header(req, "x-ms-range");
	return own ? own : web_header(req, "range");
}

static void check_range(struct web_req *req)
{
	uint64_t from, to;
	const char *header = range_header(req);
	if (req->verb != AZURE_GET || !header)
		return;
	if (strncmp(header, "bytes=", 6) != 0)
		return fail_header(req, "x-ms-range");
	char *first = web_req_keep(req, header + 6, strlen(header + 6));
	char *second = strchr(first, '-');
	if (second)
		*second++ = '\0';
	if (!second || !web_parse_u64(first, INT64_MAX, &from) ||
	    (*second && (!web_parse_u64(second, INT64_MAX, &to) || to < from)))
		fail_header(req, "x-ms-range");
}

static bool is_base64_of(const char *value, size_t n)
{
	uint8_t bytes[32];
	return web_base64_decode(value, bytes, sizeof(bytes)) == (ssize_t)n;
}

static void check_sums(struct web_req *req)
{
	const char *md5 = web_header(req, "content-md5");
	const char *crc64 = web_header(req, "x-ms-content-crc64");
	const char *stored = web_header(req, "x-ms-blob-content-md5");
	req->want_sums = WEB_CRC32C;
	if (md5 || stored || (req->verb == AZURE_PUT && req->length <= MD5_ALWAYS_BELOW))
		req->want_sums |= WEB_MD5;
	if (crc64)
		req->want_sums |= WEB_CRC64;
	if (md5 && crc64)
		fail(req, 400, "InvalidHeaderValue", "Only one of Content-MD5 and "
		     "x-ms-content-crc64 can be given.");
	else if (md5 && !is_base64_of(md5, 16))
		fail(req, 400, "InvalidMd5", "The MD5 value specified in the request is invalid.");
	else if (crc64 && !is_base64_of(crc64, 8))
		fail_header(req, "x-ms-content-crc64");
}

static void check_put(struct web_req *req)
{
	const char *type = web_header(req, "x-ms-blob-type");
	if (req->verb != AZURE_PUT || web_header(req, "x-ms-copy-source"))
		return;
	if (!type)
		fail(req, 400, "MissingRequiredHeader",
		     "An HTTP header that's mandatory for this request is not specified: "
		     "x-ms-blob-type.");
	else if (strcmp(type, "BlockBlob") != 0)
		fail_header(req, "x-ms-blob-type");
}

void web_azure_check_blob(struct web_req *req)
{
	check_etag_header(req, "if-match");
	check_etag_header(req, "if-none-match");
	check_range(req);
	check_sums(req);
	if (!req->reply.status)
		check_put(req);
}

bool web_azure_sums_verify(struct web_req *req)
{
	const char *md5 = web_header(req, "content-md5");
	const char *crc64 = web_header(req, "x-ms-content-crc64");
	uint8_t given[16], got[8];
	if (md5 && (web_base64_decode(md5, given, 16) != 16 ||
		    memcmp(given, req->sums.md5, 16) != 0)) {
		fail(req, 400, "Md5Mismatch",
		     "The MD5 value specified in the request did not match with the MD5 value "
		     "calculated by the server.");
		return false;
	}
	web_crc64_bytes(req->sums.crc64, true, got);
	if (crc64 && (web_base64_decode(crc64, given, 8) != 8 || memcmp(given, got, 8) != 0)) {
		fail(req, 400, "Crc64Mismatch",
		     "The CRC64 value specified in the request did not match with the CRC64 value "
		     "calculated by the server.");
		return false;
	}
	return true;
}

/* ---- writes ---- */

static int write_judge(const struct web_object *now, const void *arg)
{
	const struct web_req *req = arg;
	const char *match = web_header(req, "if-match");
	const char *none_match = web_header(req, "if-none-match");
	if (!now)
		return match ? WEB_PRECONDITION : WEB_PASS;
	if (none_match && strcmp(none_match, "*") == 0)
		return WEB_EXISTS;
	return web_read_verdict(req, now) ? WEB_PRECONDITION : WEB_PASS;
}

/* Changes of what must exist: absent is 404, whatever the conditions. */
static int existing_judge(const struct web_object *now, const void *arg)
{
	return now ? write_judge(now, arg) : WEB_ABSENT;
}

static void reply_version(struct web_req *req, const struct web_object *object)
{
	struct web_text date = { 0 };
	web_text_http_date(&date, object->modified_ns / 1000000000);
	web_reply_header(req, "Last-Modified", "%s", date.s);
	web_reply_header(req, "ETag", "\"%s\"", object->etag);
	web_text_release(&date);
}

static void reply_base64(struct web_req *req, const char *name, const void *bytes, size_t n)
{
	struct web_text base64 = { 0 };
	web_text_base64(&base64, bytes, n);
	web_reply_header(req, name, "%s", base64.s);
	web_text_release(&base64);
}

void web_azure_store(struct web_req *req, struct web_object *object)
{
	object->seal = web_azure_etag;
	int cond = web_store_put(req->web->store, req->bucket, object, web_now_ns(req->web),
				 write_judge, req);
	if (cond)
		return web_azure_fail_cond(req, cond);
	web_azure_blocks_drop(req);
	req->reply.status = 201;
	reply_version(req, object);
	web_reply_header(req, "x-ms-request-server-encrypted", "true");
	if (object->has_md5)
		reply_base64(req, "Content-MD5", object->md5, sizeof(object->md5));
}

void web_azure_take_headers(struct web_object *object, const struct web_req *req)
{
	const char *type = web_header(req, "x-ms-blob-content-type");
	for (size_t i = 0; i < req->nheaders; i++)
		if (strncmp(req->headers[i].name, "x-ms-meta-", 10) == 0)
			web_object_attr(object, req->headers[i].name, req->headers[i].value);
	/* In a list of blocks the plain headers are those of the XML. */
	if (!type && req->verb == AZURE_PUT)
		type = web_header(req, "content-type");
	object->content_type = web_strdup(type ? type : "application/octet-stream");
}

/* All of it, if there is any: else it stays as it was. */
static void metadata_replace(struct web_object *object, const struct web_req *req)
{
	bool any = false;
	for (size_t i = 0; i < req->nheaders; i++) {
		if (strncmp(req->headers[i].name, "x-ms-meta-", 10) != 0)
			continue;
		if (!any)
			web_object_attrs_clear(object);
		any = true;
		web_object_attr(object, req->headers[i].name, req->headers[i].value);
	}
}

static void reply_copy(struct web_req *req, const struct web_object *object)
{
	if (object->copied_ns)
		web_reply_header(req, "x-ms-copy-status", "%s",
				 web_now_ns(req->web) < object->copied_ns ? "pending" : "success");
}

struct web_object *web_azure_source(struct web_req *req, bool signed_only)
{
	const char *url = web_header(req, "x-ms-copy-source");
	const char *if_match = web_header(req, "x-ms-source-if-match");
	char prefix[128];
	struct web_object *source = NULL;
	/* Only from the same account, as SharedKey allows it. */
	snprintf(prefix, sizeof(prefix), "/%s/", req->web->conf.account);
	const char *path = strstr(url, prefix);
	char *container = path ? web_req_keep(req, path + strlen(prefix),
					      strlen(path + strlen(prefix))) : NULL;
	char *blob = container ? strchr(container, '/') : NULL;
	char *query = blob ? strchr(blob, '?') : NULL;
	if (!blob || (query && !signed_only) || req->length) {
		fail(req, 400, "InvalidHeaderValue", "Invalid copy source.");
		return NULL;
	}
	*blob++ = '\0';
	if (query)
		*query++ = '\0';
	web_percent_decode(blob, false);
	if (signed_only && !web_azure_source_is_open(req, container, blob, query))
		return NULL;
	if (web_store_get(req->web->store, container, blob, &source)) {
		fail(req, 404, "CannotVerifyCopySource", "The specified blob does not exist.");
		return NULL;
	}
	if (if_match && !web_etag_matches(if_match, source->etag)) {
		web_object_unref(source);
		fail(req, 412, "SourceConditionNotMet",
		     "The source condition specified is not met.");
		return NULL;
	}
	return source;
}

static void copy(struct web_req *req)
{
	struct web_object *source = web_azure_source(req, false);
	if (!source)
		return;
	struct web_object *object = web_object_copy(source, req->key);
	web_object_unref(source);
	metadata_replace(object, req);
	object->copied_ns = web_now_ns(req->web) + (int64_t)req->web->conf.copy_steps * 100000000;
	web_azure_store(req, object);
	if (req->reply.status == 201) {
		req->reply.status = 202;
		web_reply_header(req, "x-ms-copy-id", "%016llx", (unsigned long long)req->serial);
		reply_copy(req, object);
	}
	web_object_unref(object);
}

void web_azure_put(struct web_req *req)
{
	if (web_header(req, "x-ms-copy-source"))
		return copy(req);
	const char *stored = web_header(req, "x-ms-blob-content-md5");
	struct web_object *object = web_object_new(req->key, web_blob_ref(req->body));
	web_azure_take_headers(object, req);
	object->crc32c = req->sums.crc32c;
	object->has_md5 = req->sums.want & WEB_MD5;
	memcpy(object->md5, req->sums.md5, sizeof(object->md5));
	/* This one is stored as it was sent, right or wrong. */
	if (stored)
		web_base64_decode(stored, object->md5, sizeof(object->md5));
	web_azure_store(req, object);
	web_object_unref(object);
}

void web_azure_metadata(struct web_req *req)
{
	struct web_object *old = NULL;
	int cond = web_store_get(req->web->store, req->bucket, req->key, &old);
	if (cond)
		return web_azure_fail_cond(req, cond);
	struct web_object *object = web_object_copy(old, req->key);
	web_object_attrs_clear(object);
	for (size_t i = 0; i < req->nheaders; i++)
		if (strncmp(req->headers[i].name, "x-ms-meta-", 10) == 0)
			web_object_attr(object, req->headers[i].name, req->headers[i].value);
	object->created_ns = old->created_ns;
	object->seal = web_azure_etag;
	web_object_unref(old);
	cond = web_store_put(req->web->store, req->bucket, object, web_now_ns(req->web),
			     existing_judge, req);
	if (cond) {
		web_azure_fail_cond(req, cond);
	} else {
		req->reply.status = 200;
		reply_version(req, object);
	}
	web_object_unref(object);
}

void web_azure_delete(struct web_req *req)
{
	int cond = web_store_remove(req->web->store, req->bucket, req->key, existing_judge, req);
	if (cond)
		return web_azure_fail_cond(req, cond);
	req->reply.status = 202;
	web_reply_header(req, "x-ms-delete-type-permanent", "true");
}

/* ---- reads ---- */

static void reply_range_sums(struct web_req *req, const struct web_object *object, size_t from,
			     size_t len)
{
	struct web_sums sums;
	uint8_t crc64[8];
	const char *md5 = web_header(req, "x-ms-range-get-content-md5");
	const char *crc = web_header(req, "x-ms-range-get-content-crc64");
	if (!md5 && !crc)
		return;
	web_sums_begin(&sums, WEB_MD5 | WEB_CRC64);
	web_sums_feed(&sums, object->data + from, len);
	web_sums_end(&sums);
	web_crc64_bytes(sums.crc64, true, crc64);
	if (md5)
		reply_base64(req, "Content-MD5", sums.md5, sizeof(sums.md5));
	if (crc)
		reply_base64(req, "x-ms-content-crc64", crc64, sizeof(crc64));
	web_sums_release(&sums);
}

static void reply_blob(struct web_req *req, struct web_object *object)
{
	size_t from = 0, len = object->len;
	const char *header = req->verb == AZURE_GET ? range_header(req) : NULL;
	bool summed = web_header(req, "x-ms-range-get-content-md5") ||
		      web_header(req, "x-ms-range-get-content-crc64");
	enum web_range range = web_range_parse(header, false, object->len, &from, &len);
	if (range == WEB_RANGE_BEYOND) {
		fail(req, 416, "InvalidRange",
		     "The range specified is invalid for the current size of the resource.");
		return web_reply_header(req, "Content-Range", "bytes */%zu", object->len);
	}
	if (summed && (range != WEB_RANGE_PART || len > RANGE_SUM_MAX))
		return fail(req, 400, "OutOfRangeInput",
			    "A checksum is given of ranges up to 4 MB.");
	req->reply.status = range == WEB_RANGE_PART ? 206 : 200;
	reply_version(req, object);
	web_reply_header(req, "Content-Type", "%s",
			 object->content_type ? object->content_type : "application/octet-stream");
	web_reply_header(req, "Accept-Ranges", "bytes");
	web_reply_header(req, "x-ms-blob-type", "BlockBlob");
	web_reply_header(req, "x-ms-server-encrypted", "true");
	reply_copy(req, object);
	for (size_t i = 0; i < object->nattrs; i++)
		web_reply_header(req, object->attrs[i].name, "%s", object->attrs[i].value);
	if (range == WEB_RANGE_PART) {
		web_reply_header(req, "Content-Range", "bytes %zu-%zu/%zu", from, from + len - 1,
				 object->len);
		reply_range_sums(req, object, from, len);
	}
	if (object->has_md5)
		reply_base64(req, range == WEB_RANGE_PART ? "x-ms-blob-content-md5" : "Content-MD5",
			     object->md5, sizeof(object->md5));
	web_reply_object(req, object, from, len);
}

void web_azure_get(struct web_req *req)
{
	struct web_object *object = NULL;
	int cond = web_store_get(req->web->store, req->bucket, req->key, &object);
	if (!cond)
		cond = web_read_verdict(req, object);
	if (cond)
		web_azure_fail_cond(req, cond);
	else
		reply_blob(req, object);
	web_object_unref(object);
}
