/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumable uploads. Only whole multiples of 256 KiB of an unfinished upload are kept, so a client
 * may find less persisted than it has sent. Preconditions are judged when the session begins and
 * again when the object is made.
 */
#include "web_gcs.h"

#include "web_cond.h"
#include "web_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT = 256 << 10 };

/* ---- the start ---- */

static void session_begin(struct web_req *req, const struct web_gcs_cond *cond,
			  const char *description)
{
	char id[48];
	const char *type = web_header(req, "x-upload-content-type");
	snprintf(id, sizeof(id), "session-%016llx", (unsigned long long)req->serial);
	struct web_upload *upload = web_uploads_begin(req->web->uploads, id, req->bucket, req->key);
	upload->conditions = web_alloc(sizeof(*cond));
	memcpy(upload->conditions, cond, sizeof(*cond));
	upload->description = web_strdup(description);
	upload->model = web_object_new(req->key, web_blob_new(0));
	upload->model->content_type = web_strdup(type);
	web_uploads_unlock(req->web->uploads);
	req->reply.status = 200;
	web_reply_header(req, "X-GUploader-UploadID", "%s", id);
	web_reply_header(req, "Location", "%s://%s%s?uploadType=resumable&upload_id=%s",
			 req->web->tls ? "https" : "http", web_header(req, "host"), req->path, id);
}

void web_gcs_session_start(struct web_req *req, const struct web_gcs_cond *cond)
{
	struct web_object *now = NULL;
	json_t *json = json_loadb((const char *)req->body->data, req->body->len, 0, NULL);
	char *description = json ? json_dumps(json, JSON_COMPACT) : web_strdup("{}");
	int result = web_store_get(req->web->store, req->bucket, req->key, &now);
	const char *wrong = req->length && !json ? "Parse error" : web_gcs_name_check(req, json);
	if (result != WEB_NO_BUCKET)
		result = web_gcs_write_judge(now, cond);
	if (wrong)
		web_gcs_fail(req, 400, "invalid", wrong);
	else if (result)
		web_gcs_fail_cond(req, result);
	else
		session_begin(req, cond, description);
	web_object_unref(now);
	free(description);
	json_decref(json);
}

/* ---- the chunks ---- */

/* Content-Range: "bytes FROM-TO/TOTAL"; TOTAL may be "*", and "*" stands for no bytes at all. */
struct chunk {
	bool query;                     /* no bytes: how much is there? */
	uint64_t from, to;              /* to is exclusive */
	bool total_known;
	uint64_t total;
};

static bool chunk_parse(struct web_req *req, struct chunk *ret)
{
	const char *header = web_header(req, "content-range");
	*ret = (struct chunk){ .to = req->length, .total_known = true, .total = req->length };
	if (!header)
		return true;
	if (strncmp(header, "bytes ", 6) != 0)
		return false;
	char *from = web_req_keep(req, header + 6, strlen(header + 6));
	char *total = strchr(from, '/');
	if (!total)
		return false;
	*total++ = '\0';
	ret->total_known = strcmp(total, "*") != 0;
	if (ret->total_known && !web_parse_u64(total, INT64_MAX, &ret->total))
		return false;
	ret->query = strcmp(from, "*") == 0;
	if (ret->query)
		return req->length == 0;
	char *to = strchr(from, '-');
	if (!to)
		return false;
	*to++ = '\0';
	if (!web_parse_u64(from, INT64_MAX, &ret->from) || !web_parse_u64(to, INT64_MAX, &ret->to))
		return false;
	ret->to++;
	return ret->to - ret->from == req->length &&
	       (!ret->total_known || ret->to <= ret->total);
}

static void reply_incomplete(struct web_req *req, const struct web_upload *upload)
{
	const char *no_308 = web_header(req, "x-guploader-no-308");
	req->reply.status = 308;
	if (no_308 && strcmp(no_308, "yes") == 0) {
		req->reply.status = 200;
		web_reply_header(req, "X-Http-Status-Code-Override", "308");
	}
	if (upload->len)
		web_reply_header(req, "Range", "bytes=0-%zu", upload->len - 1);
}

/* Keeps of the chunk what is new. False when there is a hole before it. */
static bool chunk_keep(struct web_req *req, struct web_upload *upload, const struct chunk *chunk)
{
	char name[24];
	bool last = chunk->total_known && chunk->to == chunk->total;
	uint64_t to = last ? chunk->to : chunk->to / UNIT * UNIT;
	if (chunk->from > upload->len)
		return false;
	if (to <= upload->len)
		return true;
	snprintf(name, sizeof(name), "%zu", upload->len);
	web_upload_add(upload, name, req->body, req->body->data + (upload->len - chunk->from),
		       to - upload->len);
	return true;
}

static struct web_blob *session_join(const struct web_upload *upload)
{
	const struct web_part **parts = web_alloc((upload->nparts + 1) * sizeof(*parts));
	for (size_t i = 0; i < upload->nparts; i++)
		parts[i] = &upload->parts[i];
	struct web_blob *blob = web_parts_join(parts, upload->nparts);
	free(parts);
	return blob;
}

static void session_finish(struct web_req *req, struct web_upload *upload)
{
	struct web_blob *blob = session_join(upload);
	if (!blob)
		return web_gcs_fail(req, 503, NULL, "no memory for the object");
	struct web_object *object = web_object_copy(upload->model, upload->key);
	json_t *description = json_loads(upload->description, 0, NULL);
	web_object_set_blob(object, blob);
	web_gcs_store(req, object, description, upload->conditions);
	if (req->reply.status == 200)
		web_upload_finish(upload, web_text_str(&req->reply.body));
	json_decref(description);
	web_object_unref(object);
}

void web_gcs_session(struct web_req *req)
{
	struct chunk chunk;
	const char *id = web_param_or_empty(req, "upload_id");
	if (!chunk_parse(req, &chunk))
		return web_gcs_fail(req, 400, "badRequest",
				    "Failed to parse Content-Range header.");
	struct web_upload *upload = web_uploads_lock(req->web->uploads, id);
	if (!upload)
		return web_gcs_fail(req, 404, NULL, "No such upload session.");
	if (upload->result) {
		req->reply.status = 200;
		web_reply_header(req, "Content-Type", "application/json; charset=UTF-8");
		web_text_puts(&req->reply.body, upload->result);
	} else if (!chunk.query && !chunk_keep(req, upload, &chunk)) {
		web_gcs_fail(req, 503, NULL, "Invalid request. There is a hole before the bytes.");
	} else if (chunk.total_known && upload->len == chunk.total &&
		   (!chunk.query || chunk.total)) {
		session_finish(req, upload);
	} else {
		reply_incomplete(req, upload);
	}
	web_uploads_unlock(req->web->uploads);
}

void web_gcs_session_delete(struct web_req *req)
{
	const char *id = web_param_or_empty(req, "upload_id");
	if (!web_uploads_lock(req->web->uploads, id))
		return web_gcs_fail(req, 404, NULL, "No such upload session.");
	web_uploads_unlock(req->web->uploads);
	web_uploads_forget(req->web->uploads, id);
	req->reply.status = 499;
}

void web_gcs_session_key(struct web_req *req)
{
	struct web_upload *upload = web_uploads_lock(req->web->uploads,
						     web_param_or_empty(req, "upload_id"));
	if (!upload)
		return;
	req->key = web_req_keep(req, upload->key, strlen(upload->key));
	web_uploads_unlock(req->web->uploads);
}
