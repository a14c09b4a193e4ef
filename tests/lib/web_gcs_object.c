/* SPDX-License-Identifier: Apache-2.0 */
#include "web_gcs.h"

#include "web_cond.h"

#include <stdlib.h>
#include <string.h>

/* Up to here an object has an MD5 though the client sent none. */
enum { MD5_ALWAYS_BELOW = 64 << 10 };

void web_gcs_etag(struct web_object *object)
{
	struct web_text base64 = { 0 };
	uint64_t parts[2] = { object->generation, object->metageneration };
	web_text_base64(&base64, parts, sizeof(parts));
	memcpy(object->etag, base64.s, base64.len + 1);
	web_text_release(&base64);
}

/* ---- checksums ---- */

static bool is_sum(const char *base64, const void *sum, size_t n)
{
	uint8_t given[32];
	return web_base64_decode(base64, given, sizeof(given)) == (ssize_t)n &&
	       memcmp(given, sum, n) == 0;
}

/* NULL, or what does not match. */
static const char *sums_check(const struct web_object *object, const char *crc32c,
			      const char *md5)
{
	uint8_t crc[4];
	web_crc32c_bytes(object->crc32c, crc);
	if (crc32c && !is_sum(crc32c, crc, sizeof(crc)))
		return "Provided CRC32C doesn't match calculated CRC32C.";
	if (md5 && !is_sum(md5, object->md5, sizeof(object->md5)))
		return "Provided MD5 hash doesn't match calculated MD5 hash.";
	return NULL;
}

static void sums_take(struct web_object *object, bool md5)
{
	struct web_sums sums;
	web_sums_begin(&sums, WEB_CRC32C | (md5 ? WEB_MD5 : 0));
	web_sums_feed(&sums, object->data, object->len);
	web_sums_end(&sums);
	object->crc32c = sums.crc32c;
	object->has_md5 = md5;
	memcpy(object->md5, sums.md5, sizeof(object->md5));
	web_sums_release(&sums);
}

/* "crc32c=...,md5=..." of the X-Goog-Hash header. */
static const char *goog_hash(struct web_req *req, const char *name)
{
	const char *header = web_header(req, "x-goog-hash");
	const char *found = header ? strstr(header, name) : NULL;
	if (!found)
		return NULL;
	found += strlen(name);
	return web_req_keep(req, found, strcspn(found, ", "));
}

/* ---- insert ---- */

static int object_store(struct web_req *req, struct web_object *object,
			const struct web_gcs_cond *cond)
{
	object->seal = web_gcs_etag;
	int result = web_store_put(req->web->store, req->bucket, object, web_now_ns(req->web),
				   web_gcs_write_judge, cond);
	if (result)
		web_gcs_fail_cond(req, result);
	return result;
}

void web_gcs_store(struct web_req *req, struct web_object *object, json_t *description,
		   const struct web_gcs_cond *cond)
{
	const char *crc32c, *md5;
	const char *wrong = web_gcs_describe(object, description, &crc32c, &md5);
	if (!wrong) {
		if (!crc32c)
			crc32c = goog_hash(req, "crc32c=");
		if (!md5)
			md5 = goog_hash(req, "md5=");
		if (!md5)
			md5 = web_header(req, "content-md5");
		sums_take(object, md5 || object->len <= MD5_ALWAYS_BELOW);
		wrong = sums_check(object, crc32c, md5);
	}
	if (wrong)
		return web_gcs_fail(req, 400, "invalid", wrong);
	if (object_store(req, object, cond) == 0)
		web_gcs_reply(req, web_gcs_resource(object, req->bucket));
}

/* A body of two parts: JSON and data. */
struct parts {
	const char *json;
	size_t json_len;
	const char *data;
	size_t data_len;
};

/* Skips the headers of a part, which must name this type (or any). */
static const char *part_body(const char *at, const char *end, const char *type)
{
	const char *stop = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
	if (!stop)
		return NULL;
	char headers[1024];
	size_t n = (size_t)(stop - at);
	if (n >= sizeof(headers))
		return NULL;
	memcpy(headers, at, n);
	headers[n] = '\0';
	if (!strcasestr(headers, "content-type:") || (type && !strcasestr(headers, type)))
		return NULL;
	return stop + 4;
}

/* NULL, or what is wrong. The boundary comes without its dashes. */
static const char *parts_find(const struct web_blob *body, const char *boundary,
			      struct parts *ret)
{
	struct web_text line = { 0 }, last = { 0 };
	const char *wrong = NULL;
	const char *at = (const char *)body->data, *end = at + body->len;
	web_text_puts(&line, "\r\n--");
	web_text_puts(&line, boundary);
	web_text_puts(&last, line.s);
	web_text_puts(&last, "--");
	if (body->len >= 2 && memcmp(end - 2, "\r\n", 2) == 0 &&
	    body->len >= last.len + 2 && memcmp(end - 2 - last.len, last.s, last.len) == 0)
		end -= 2;
	const char *json_end = NULL, *json = NULL, *data = NULL;
	if (body->len < line.len || memcmp(at, line.s + 2, line.len - 2) != 0)
		wrong = "the body does not begin with the boundary";
	else if ((size_t)(end - at) < last.len ||
		 memcmp(end - last.len, last.s, last.len) != 0)
		wrong = "the body does not end with the boundary";
	else if (!(json = part_body(at, end, "application/json")))
		wrong = "the first part is no application/json";
	else if (!(json_end = memmem(json, (size_t)(end - json), line.s, line.len)) ||
		 json_end == end - last.len)
		wrong = "there is no second part";
	else if (!(data = part_body(json_end, end, NULL)) || data > end - last.len)
		wrong = "the second part has no headers";
	else
		*ret = (struct parts){ json, (size_t)(json_end - json), data,
				       (size_t)(end - (ssize_t)last.len - data) };
	web_text_release(&line);
	web_text_release(&last);
	return wrong;
}

static const char *boundary_of(struct web_req *req)
{
	const char *type = web_header(req, "content-type");
	if (!type || strncmp(type, "multipart/related;", 18) != 0)
		return NULL;
	const char *found = strstr(type, "boundary=");
	if (!found)
		return NULL;
	found += 9;
	if (*found == '"') {
		found++;
		return web_req_keep(req, found, strcspn(found, "\""));
	}
	return web_req_keep(req, found, strcspn(found, "; "));
}

static const char *body_take_apart(struct web_req *req, struct parts *ret)
{
	const char *boundary = boundary_of(req);
	return boundary ? parts_find(req->body, boundary, ret)
			: "Content-Type is no multipart/related with a boundary";
}

void web_gcs_find_key(struct web_req *req)
{
	struct parts parts = { 0 };
	const char *type = web_param_or_empty(req, "uploadType");
	if (strcmp(type, "resumable") == 0)
		parts = (struct parts){ .json = (const char *)req->body->data,
					.json_len = req->body->len };
	else if (strcmp(type, "multipart") != 0 || body_take_apart(req, &parts))
		return;
	json_t *json = json_loadb(parts.json, parts.json_len, 0, NULL);
	const char *name = json_string_value(json_object_get(json, "name"));
	/* A name that is too long to be kept is refused when it is found again. */
	if (name && strlen(name) < WEB_HEAD_MAX)
		req->key = web_req_keep(req, name, strlen(name));
	json_decref(json);
}

/* The name is in the query or in the description; in both it must be the same. */
const char *web_gcs_name_check(const struct web_req *req, json_t *description)
{
	const char *named = json_string_value(json_object_get(description, "name"));
	if ((description && !json_is_object(description)) || !*req->key)
		return "Required object name";
	if (named && strcmp(named, req->key) != 0)
		return "Two different object names";
	return web_gcs_name_is_good(req->key) ? NULL : "Invalid object name";
}

static void insert_multipart(struct web_req *req, const struct web_gcs_cond *cond)
{
	struct parts parts;
	const char *wrong = body_take_apart(req, &parts);
	if (wrong)
		return web_gcs_fail(req, 400, "badContent", wrong);
	json_t *description = json_loadb(parts.json, parts.json_len, 0, NULL);
	wrong = description ? web_gcs_name_check(req, description) : "Parse error";
	if (wrong) {
		json_decref(description);
		return web_gcs_fail(req, 400, "invalid", wrong);
	}
	struct web_object *object = web_object_new(req->key, web_blob_ref(req->body));
	object->data = (const uint8_t *)parts.data;
	object->len = parts.data_len;
	web_gcs_store(req, object, description, cond);
	web_object_unref(object);
	json_decref(description);
}

static void insert_media(struct web_req *req, const struct web_gcs_cond *cond)
{
	if (!*req->key)
		return web_gcs_fail(req, 400, "required", "Required parameter: name");
	json_t *description = json_object();
	struct web_object *object = web_object_new(req->key, web_blob_ref(req->body));
	object->content_type = web_strdup(web_header(req, "content-type"));
	web_gcs_store(req, object, description, cond);
	web_object_unref(object);
	json_decref(description);
}

void web_gcs_insert(struct web_req *req)
{
	struct web_gcs_cond cond;
	const char *type = web_param_or_empty(req, "uploadType");
	if (!web_gcs_cond_read(req, true, &cond))
		return;
	if (strcmp(type, "multipart") == 0)
		insert_multipart(req, &cond);
	else if (strcmp(type, "media") == 0)
		insert_media(req, &cond);
	else if (strcmp(type, "resumable") == 0)
		web_gcs_session_start(req, &cond);
	else
		web_gcs_fail(req, 400, "invalid", "Invalid upload type");
}

/* ---- get ---- */

static void reply_media(struct web_req *req, struct web_object *object)
{
	size_t from = 0, len = object->len;
	uint8_t crc[4];
	struct web_text hash = { 0 };
	enum web_range range = web_range_parse(web_header(req, "range"), true, object->len, &from,
					       &len);
	if (range == WEB_RANGE_BEYOND)
		return web_gcs_fail(req, 416, NULL, "The requested range cannot be satisfied.");
	req->reply.status = range == WEB_RANGE_PART ? 206 : 200;
	if (range == WEB_RANGE_PART)
		web_reply_header(req, "Content-Range", "bytes %zu-%zu/%zu", from, from + len - 1,
				 object->len);
	web_reply_header(req, "Content-Type", "%s",
			 object->content_type ? object->content_type : "application/octet-stream");
	web_reply_header(req, "ETag", "%s", object->etag);
	web_reply_header(req, "x-goog-generation", "%llu",
			 (unsigned long long)object->generation);
	web_reply_header(req, "x-goog-metageneration", "%llu",
			 (unsigned long long)object->metageneration);
	web_reply_header(req, "x-goog-stored-content-encoding", "identity");
	web_reply_header(req, "x-goog-stored-content-length", "%zu", object->len);
	web_reply_header(req, "x-goog-storage-class", "STANDARD");
	web_crc32c_bytes(object->crc32c, crc);
	web_text_base64(&hash, crc, sizeof(crc));
	web_reply_header(req, "x-goog-hash", "crc32c=%s", hash.s);
	web_text_release(&hash);
	if (object->has_md5) {
		web_text_base64(&hash, object->md5, sizeof(object->md5));
		web_reply_header(req, "x-goog-hash", "md5=%s", hash.s);
		web_text_release(&hash);
	}
	web_reply_object(req, object, from, len);
}

void web_gcs_get(struct web_req *req)
{
	struct web_gcs_cond cond;
	struct web_object *object = NULL;
	if (!web_gcs_cond_read(req, false, &cond))
		return;
	int result = web_store_get(req->web->store, req->bucket, req->key, &object);
	if (!result)
		result = web_gcs_read_judge(object, &cond);
	if (result)
		web_gcs_fail_cond(req, result);
	else if (strcmp(web_param_or_empty(req, "alt"), "media") == 0)
		reply_media(req, object);
	else
		web_gcs_reply(req, web_gcs_resource(object, req->bucket));
	web_object_unref(object);
}

/* ---- delete, patch, rewrite ---- */

/* A change of what exists: absent is 404 whatever else was asked. */
static int existing_judge(const struct web_object *now, const void *arg)
{
	const struct web_gcs_cond *cond = arg;
	if (!now || (cond->generation.given && cond->generation.value != now->generation))
		return WEB_ABSENT;
	return web_gcs_write_judge(now, cond);
}

void web_gcs_delete(struct web_req *req)
{
	struct web_gcs_cond cond;
	if (!web_gcs_cond_read(req, true, &cond))
		return;
	int result = web_store_remove(req->web->store, req->bucket, req->key, existing_judge,
				      &cond);
	if (result)
		return web_gcs_fail_cond(req, result);
	req->reply.status = 204;
}

/* Merges: a null removes a key, what is not named stays. */
static void metadata_merge(struct web_object *object, const struct web_object *old, json_t *patch)
{
	json_t *merged = json_object();
	for (size_t i = 0; i < old->nattrs; i++)
		json_object_set_new(merged, old->attrs[i].name, json_string(old->attrs[i].value));
	const char *name;
	json_t *value;
	json_object_foreach (patch, name, value) {
		if (json_is_null(value))
			json_object_del(merged, name);
		else
			json_object_set(merged, name, value);
	}
	web_object_attrs_clear(object);
	json_object_foreach (merged, name, value)
		if (json_is_string(value))
			web_object_attr(object, name, json_string_value(value));
	json_decref(merged);
}

void web_gcs_patch(struct web_req *req)
{
	struct web_gcs_cond cond;
	struct web_object *old = NULL;
	if (!web_gcs_cond_read(req, true, &cond))
		return;
	json_t *patch = json_loadb((const char *)req->body->data, req->body->len, 0, NULL);
	json_t *metadata = json_object_get(patch, "metadata");
	int result = web_store_get(req->web->store, req->bucket, req->key, &old);
	if (!json_is_object(metadata) || json_object_size(patch) != 1) {
		web_gcs_fail(req, 400, "invalid", "only metadata can be patched");
	} else if (result) {
		web_gcs_fail_cond(req, result);
	} else {
		struct web_object *object = web_object_copy(old, req->key);
		object->generation = old->generation;
		object->metageneration = old->metageneration + 1;
		object->created_ns = old->created_ns;
		metadata_merge(object, old, metadata);
		object->seal = web_gcs_etag;
		/* The patch was made from this version: let nothing come between. */
		struct web_gcs_cond still = cond;
		still.generation.given = true;
		still.generation.value = old->generation;
		result = web_store_put(req->web->store, req->bucket, object, web_now_ns(req->web),
				       existing_judge, &still);
		if (result)
			web_gcs_fail_cond(req, result);
		else
			web_gcs_reply(req, web_gcs_resource(object, req->bucket));
		web_object_unref(object);
	}
	web_object_unref(old);
	json_decref(patch);
}

/* A resource in the body replaces what the source says of itself. True: the request has failed. */
static bool rewrite_describe(struct web_req *req, struct web_object *object)
{
	const char *crc32c, *md5;
	json_t *json = json_loadb((const char *)req->body->data, req->body->len, 0, NULL);
	const char *wrong = req->length && !json ? "Parse error" : NULL;
	if (!wrong && json_object_size(json)) {
		web_object_attrs_clear(object);
		wrong = web_gcs_describe(object, json, &crc32c, &md5);
	}
	if (wrong)
		web_gcs_fail(req, 400, "invalid", wrong);
	json_decref(json);
	return wrong;
}

/* The token is the number of requests so far. True: there is more to do, and the answer says so. */
static bool rewrite_goes_on(struct web_req *req)
{
	uint64_t steps = 0;
	const char *token = web_param(req, "rewriteToken");
	if (token && !web_parse_u64(token, UINT32_MAX, &steps)) {
		web_gcs_fail(req, 400, "invalid", "Invalid rewrite token");
		return true;
	}
	if (steps >= req->web->conf.copy_steps)
		return false;
	web_gcs_reply(req, json_pack("{s:s, s:b, s:o}", "kind", "storage#rewriteResponse",
				     "done", 0, "rewriteToken",
				     json_sprintf("%llu", (unsigned long long)steps + 1)));
	return true;
}

void web_gcs_rewrite(struct web_req *req, const char *from_bucket, const char *from_key)
{
	struct web_gcs_cond cond;
	struct web_object *source = NULL;
	uint64_t wanted = 0;
	const char *match = web_param(req, "ifSourceGenerationMatch");
	if (!web_gcs_cond_read(req, true, &cond))
		return;
	int result = web_store_get(req->web->store, from_bucket, from_key, &source);
	if (!result && match &&
	    (!web_parse_u64(match, INT64_MAX, &wanted) || wanted != source->generation))
		result = WEB_PRECONDITION;
	if (result) {
		web_object_unref(source);
		return web_gcs_fail_cond(req, result);
	}
	struct web_object *object = web_object_copy(source, req->key);
	if (!rewrite_describe(req, object) && !rewrite_goes_on(req) &&
	    object_store(req, object, &cond) == 0)
		web_gcs_reply(req,
			      json_pack("{s:s, s:b, s:o, s:o, s:o}", "kind",
					"storage#rewriteResponse", "done", 1, "totalBytesRewritten",
					json_sprintf("%zu", object->len), "objectSize",
					json_sprintf("%zu", object->len), "resource",
					web_gcs_resource(object, req->bucket)));
	web_object_unref(object);
	web_object_unref(source);
}
