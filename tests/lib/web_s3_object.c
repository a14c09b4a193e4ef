/* SPDX-License-Identifier: Apache-2.0 */
#include "web_s3.h"

#include "web_cond.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const char *const sum_headers[] = {
	"x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256",
};

/*
 * An ETag depends on nothing but the contents, so that A, B, A brings the first one back, as on
 * AWS. Without the MD5 it comes from length, CRC-32C and both ends: cheap, and not the MD5, as
 * with KMS keys.
 */
void web_s3_etag(struct web_object *object)
{
	uint8_t md5[16];
	struct web_text hex = { 0 };
	if (object->has_md5) {
		memcpy(md5, object->md5, sizeof(md5));
	} else {
		enum { END = 4096 };
		struct web_text essence = { 0 };
		size_t end = object->len < END ? object->len : END;
		web_text_printf(&essence, "%zu %08x ", object->len, object->crc32c);
		web_text_put(&essence, object->data, end);
		web_text_put(&essence, object->data + object->len - end, end);
		EVP_Digest(essence.s, essence.len, md5, NULL, EVP_md5(), NULL);
		web_text_release(&essence);
	}
	web_text_hex(&hex, md5, sizeof(md5));
	memcpy(object->etag, hex.s, hex.len + 1);
	web_text_release(&hex);
}

static bool is_stored_header(const char *name)
{
	return strncmp(name, "x-amz-meta-", 11) == 0 || strcmp(name, "cache-control") == 0 ||
	       strcmp(name, "content-encoding") == 0 ||
	       strcmp(name, "content-disposition") == 0;
}

static void object_take_headers(struct web_object *object, const struct web_req *req)
{
	for (size_t i = 0; i < req->nheaders; i++)
		if (is_stored_header(req->headers[i].name))
			web_object_attr(object, req->headers[i].name, req->headers[i].value);
	object->content_type = web_strdup(web_header(req, "content-type"));
}

struct web_object *web_s3_object_new(struct web_req *req)
{
	struct web_object *object = web_object_new(req->key, web_blob_ref(req->body));
	object_take_headers(object, req);
	object->crc32c = req->sums.crc32c;
	object->has_md5 = req->sums.want & WEB_MD5;
	memcpy(object->md5, req->sums.md5, sizeof(object->md5));
	for (size_t i = 0; i < sizeof(sum_headers) / sizeof(sum_headers[0]); i++) {
		const char *value = web_header(req, sum_headers[i]);
		if (!value)
			continue;
		object->sum.name = web_strdup(sum_headers[i]);
		object->sum.value = web_strdup(value);
	}
	web_s3_etag(object);
	return object;
}

int web_s3_write_judge(const struct web_object *now, const void *arg)
{
	const struct web_req *req = arg;
	const char *match = web_header(req, "if-match");
	if (web_header(req, "if-none-match") && now)
		return WEB_EXISTS;
	if (match && !now)
		return WEB_ABSENT;
	if (match && !web_etag_matches(match, now->etag))
		return WEB_PRECONDITION;
	return WEB_PASS;
}

static void reply_sum(struct web_req *req, const struct web_object *object)
{
	if (!object->sum.name)
		return;
	web_reply_header(req, object->sum.name, "%s", object->sum.value);
	web_reply_header(req, "x-amz-checksum-type", "%s",
			 strchr(object->sum.value, '-') ? "COMPOSITE" : "FULL_OBJECT");
}

int web_s3_store(struct web_req *req, struct web_object *object)
{
	int cond = web_store_put(req->web->store, req->bucket, object, web_now_ns(req->web),
				 web_s3_write_judge, req);
	if (cond)
		web_s3_fail_cond(req, cond);
	return cond;
}

/* ---- copy ---- */

struct web_object *web_s3_copy_source(struct web_req *req)
{
	const char *header = web_header(req, "x-amz-copy-source");
	const char *if_match = web_header(req, "x-amz-copy-source-if-match");
	struct web_object *object = NULL;
	char *bucket = web_req_keep(req, header, strlen(header));
	if (*bucket == '/')
		bucket++;
	char *key = strchr(bucket, '/');
	if (!key || strchr(bucket, '?')) {
		web_s3_fail(req, 400, "InvalidArgument", "Invalid copy source", "");
		return NULL;
	}
	*key++ = '\0';
	web_percent_decode(bucket, false);
	web_percent_decode(key, false);
	int cond = web_store_get(req->web->store, bucket, key, &object);
	if (!cond && if_match && !web_etag_matches(if_match, object->etag))
		cond = WEB_PRECONDITION;
	if (cond) {
		web_object_unref(object);
		web_s3_fail_cond(req, cond);
		return NULL;
	}
	return object;
}

/* Why this copy is none, or NULL. */
static const char *copy_refused(struct web_req *req, const struct web_object *source,
				const char *directive)
{
	const uint64_t most = req->web->conf.copy_max ? req->web->conf.copy_max : 5ull << 30;
	if (strcmp(source->key, req->key) == 0 && !(directive && strcmp(directive, "REPLACE") == 0))
		return "This copy request is illegal because it is trying to copy an object to "
		       "itself without changing the object's metadata.";
	if (source->len > most)
		return "The specified copy source is larger than the maximum allowable size for a "
		       "copy source.";
	return NULL;
}

static void copy(struct web_req *req)
{
	const char *directive = web_header(req, "x-amz-metadata-directive");
	struct web_object *source = web_s3_copy_source(req);
	if (!source)
		return;
	const char *wrong = copy_refused(req, source, directive);
	if (wrong) {
		web_object_unref(source);
		return web_s3_fail(req, 400, "InvalidRequest", wrong, "");
	}
	struct web_object *object = web_object_copy(source, req->key);
	if (directive && strcmp(directive, "REPLACE") == 0) {
		web_object_attrs_clear(object);
		object_take_headers(object, req);
	}
	web_object_unref(source);
	if (web_s3_store(req, object) == 0) {
		struct web_text *xml = web_s3_xml(req);
		web_text_puts(xml, "<CopyObjectResult><LastModified>");
		web_text_iso_date(xml, object->modified_ns);
		web_text_printf(xml,
				"</LastModified><ETag>&quot;%s&quot;</ETag></CopyObjectResult>",
				object->etag);
	}
	web_object_unref(object);
}

/* ---- the operations ---- */

void web_s3_put(struct web_req *req)
{
	if (web_header(req, "x-amz-copy-source"))
		return copy(req);
	struct web_object *object = web_s3_object_new(req);
	if (web_s3_store(req, object) == 0) {
		req->reply.status = 200;
		web_reply_header(req, "ETag", "\"%s\"", object->etag);
		reply_sum(req, object);
	}
	web_object_unref(object);
}

static void reply_object_headers(struct web_req *req, const struct web_object *object)
{
	struct web_text date = { 0 };
	web_text_http_date(&date, object->modified_ns / 1000000000);
	web_reply_header(req, "Last-Modified", "%s", date.s);
	web_text_release(&date);
	web_reply_header(req, "ETag", "\"%s\"", object->etag);
	web_reply_header(req, "Accept-Ranges", "bytes");
	web_reply_header(req, "Content-Type", "%s",
			 object->content_type ? object->content_type : "binary/octet-stream");
	for (size_t i = 0; i < object->nattrs; i++)
		web_reply_header(req, object->attrs[i].name, "%s", object->attrs[i].value);
}

static void reply_object(struct web_req *req, struct web_object *object)
{
	size_t from = 0, len = object->len;
	const char *mode = web_header(req, "x-amz-checksum-mode");
	enum web_range range = web_range_parse(web_header(req, "range"), true, object->len, &from,
					       &len);
	if (range == WEB_RANGE_BEYOND) {
		web_s3_fail(req, 416, "InvalidRange", "The requested range is not satisfiable", "");
		web_reply_header(req, "Content-Range", "bytes */%zu", object->len);
		return;
	}
	req->reply.status = range == WEB_RANGE_PART ? 206 : 200;
	reply_object_headers(req, object);
	if (range == WEB_RANGE_PART)
		web_reply_header(req, "Content-Range", "bytes %zu-%zu/%zu", from, from + len - 1,
				 object->len);
	if (mode && strcmp(mode, "ENABLED") == 0 && len == object->len)
		reply_sum(req, object);
	web_reply_object(req, object, from, len);
}

void web_s3_get(struct web_req *req)
{
	struct web_object *object;
	int cond = web_store_get(req->web->store, req->bucket, req->key, &object);
	if (cond)
		return web_s3_fail_cond(req, cond);
	cond = web_read_verdict(req, object);
	if (cond == WEB_PASS) {
		reply_object(req, object);
	} else if (cond == WEB_NOT_MODIFIED) {
		req->reply.status = 304;
		web_reply_header(req, "ETag", "\"%s\"", object->etag);
	} else {
		web_s3_fail_cond(req, cond);
	}
	web_object_unref(object);
}

void web_s3_delete(struct web_req *req)
{
	int cond = web_store_remove(req->web->store, req->bucket, req->key, web_s3_write_judge,
				    req);
	/* Without a condition, what is not there counts as deleted. */
	if (cond && cond != WEB_NO_KEY)
		return web_s3_fail_cond(req, cond);
	req->reply.status = 204;
}
