/* SPDX-License-Identifier: Apache-2.0 */
#include "web_control.h"

#include "web.h"
#include "web_upload.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUSES = 600 };

struct op_stats {
	uint64_t requests, bytes_in, bytes_out, faults;
	uint64_t by_status[STATUSES];
};

struct counts {
	struct op_stats ops[WEB_OPS];
	uint64_t faults[WEB_FAULTS];
};

struct web_stats {
	struct {
		pthread_mutex_t lock;
		struct counts counts;
	} sync;
};

struct web_stats *web_stats_new(void)
{
	struct web_stats *stats = web_alloc(sizeof(*stats));
	pthread_mutex_init(&stats->sync.lock, NULL);
	return stats;
}

void web_stats_free(struct web_stats *stats)
{
	if (!stats)
		return;
	pthread_mutex_destroy(&stats->sync.lock);
	free(stats);
}

void web_stats_count(struct web_stats *stats, const struct web_req *req,
		     enum web_fault_kind fault, size_t bytes_out)
{
	pthread_mutex_lock(&stats->sync.lock);
	struct op_stats *op = &stats->sync.counts.ops[req->op];
	op->requests++;
	op->bytes_in += req->length;
	op->bytes_out += bytes_out;
	op->faults += fault != WEB_FAULT_NONE;
	op->by_status[req->reply.status]++;
	stats->sync.counts.faults[fault]++;
	pthread_mutex_unlock(&stats->sync.lock);
}

static void stats_reset(struct web_stats *stats)
{
	pthread_mutex_lock(&stats->sync.lock);
	stats->sync.counts = (struct counts){ 0 };
	pthread_mutex_unlock(&stats->sync.lock);
}

static json_t *op_json(const struct op_stats *op)
{
	json_t *by_status = json_object();
	for (int status = 0; status < STATUSES; status++) {
		char name[8];
		if (!op->by_status[status])
			continue;
		snprintf(name, sizeof(name), "%d", status);
		json_object_set_new(by_status, name,
				    json_integer((json_int_t)op->by_status[status]));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "requests", (json_int_t)op->requests,
			 "bytes_in", (json_int_t)op->bytes_in, "bytes_out",
			 (json_int_t)op->bytes_out, "faults", (json_int_t)op->faults, "status",
			 by_status);
}

static json_t *stats_json(struct web_stats *stats)
{
	json_t *ops = json_object(), *faults = json_object();
	uint64_t requests = 0;
	pthread_mutex_lock(&stats->sync.lock);
	for (enum web_op op = 0; op < WEB_OPS; op++) {
		requests += stats->sync.counts.ops[op].requests;
		json_object_set_new(ops, web_op_name(op), op_json(&stats->sync.counts.ops[op]));
	}
	for (int kind = WEB_FAULT_NONE + 1; kind < WEB_FAULTS; kind++)
		json_object_set_new(faults, web_fault_name(kind),
				    json_integer((json_int_t)stats->sync.counts.faults[kind]));
	pthread_mutex_unlock(&stats->sync.lock);
	return json_pack("{s:I, s:o, s:o}", "requests", (json_int_t)requests, "ops", ops,
			 "faults", faults);
}

/* ---- the dialect under /-/ ---- */

enum verb {
	VERB_NONE,
	VERB_FAULT_ADD,
	VERB_FAULT_CLEAR,
	VERB_STATS,
	VERB_RESET,
	VERB_OBJECT_GET,
	VERB_OBJECT_PUT,
	VERB_OBJECT_DELETE,
	VERB_OBJECTS, VERB_META,
	VERB_UPLOADS,
};

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	(void)code;
	req->reply.status = status;
	web_text_printf(&req->reply.body, "%s\n", message);
}

static void reply_json(struct web_req *req, json_t *json)
{
	char *s = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	if (!s)
		abort();
	web_text_puts(&req->reply.body, s);
	free(s);
	json_decref(json);
	web_reply_header(req, "Content-Type", "application/json");
	req->reply.status = 200;
}

/* Splits "BUCKET/KEY" and decodes both; the key may be missing. */
static void take_names(struct web_req *req, const char *rest)
{
	char *bucket = web_req_keep(req, rest, strlen(rest));
	char *key = strchr(bucket, '/');
	if (key)
		*key++ = '\0';
	else
		key = bucket + strlen(bucket);
	if (!web_percent_decode(bucket, false) || !web_percent_decode(key, false))
		return fail(req, 400, NULL, "broken percent-encoding in the path");
	req->bucket = bucket;
	req->key = key;
}

static void route(struct web_req *req)
{
	static const struct {
		const char *method, *path;
		bool names;
		enum verb verb;
	} table[] = {
		{ "POST", "/-/fault", false, VERB_FAULT_ADD },
		{ "DELETE", "/-/fault", false, VERB_FAULT_CLEAR },
		{ "GET", "/-/stats", false, VERB_STATS },
		{ "POST", "/-/reset", false, VERB_RESET },
		{ "GET", "/-/object/", true, VERB_OBJECT_GET },
		{ "PUT", "/-/object/", true, VERB_OBJECT_PUT },
		{ "DELETE", "/-/object/", true, VERB_OBJECT_DELETE },
		{ "GET", "/-/meta/", true, VERB_META },
		{ "GET", "/-/objects/", true, VERB_OBJECTS },
		{ "GET", "/-/uploads", false, VERB_UPLOADS },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t n = strlen(table[i].path);
		bool here = table[i].names ? strncmp(req->path, table[i].path, n) == 0
					   : strcmp(req->path, table[i].path) == 0;
		if (!here || strcmp(req->method, table[i].method) != 0)
			continue;
		req->verb = table[i].verb;
		if (table[i].names)
			take_names(req, req->path + n);
		return;
	}
	if (!req->reply.status)
		fail(req, 404, NULL, "no such control path");
}

static void check(struct web_req *req)
{
	req->want_sums = WEB_CRC32C | WEB_MD5;
}

static int reply_cond(struct web_req *req, int cond)
{
	if (cond == WEB_NO_BUCKET)
		fail(req, 404, NULL, "no such bucket");
	else if (cond)
		fail(req, 404, NULL, "no such object");
	return cond;
}

static void object_get(struct web_req *req)
{
	struct web_object *object;
	if (reply_cond(req, web_store_get(req->web->store, req->bucket, req->key, &object)))
		return;
	req->reply.status = 200;
	web_reply_object(req, object, 0, object->len);
	web_object_unref(object);
}

/*
 * Other bytes for an object. With ?silent=1 its generation, ETag and checksums stay what they were:
 * damage that the store itself does not know of.
 */
static void object_put(struct web_req *req)
{
	struct web *web = req->web;
	struct web_object *old = NULL, *object;
	int cond = web_store_get(web->store, req->bucket, req->key, &old);
	if (cond == WEB_NO_BUCKET) {
		reply_cond(req, cond);
		return;
	}
	object = old ? web_object_copy(old, req->key)
		     : web_object_new(req->key, web_blob_ref(req->body));
	if (old)
		web_object_set_blob(object, web_blob_ref(req->body));
	if (old && web_param(req, "silent")) {
		object->generation = old->generation;
		object->created_ns = old->created_ns;
	} else {
		object->crc32c = req->sums.crc32c;
		memcpy(object->md5, req->sums.md5, sizeof(object->md5));
		object->has_md5 = true;
		object->seal = web->conf.dialect->etag;
	}
	web_store_put(web->store, req->bucket, object, web_now_ns(web), NULL, NULL);
	web_object_unref(object);
	web_object_unref(old);
	req->reply.status = 200;
}

/* The user metadata of an object, under the names that the dialect stores. */
static void meta(struct web_req *req)
{
	struct web_object *object;
	if (reply_cond(req, web_store_get(req->web->store, req->bucket, req->key, &object)))
		return;
	json_t *all = json_object();
	for (size_t i = 0; i < object->nattrs; i++)
		json_object_set_new(all, object->attrs[i].name,
				    json_string_nocheck(object->attrs[i].value));
	web_object_unref(object);
	reply_json(req, all);
}

static void object_delete(struct web_req *req)
{
	if (!reply_cond(req, web_store_remove(req->web->store, req->bucket, req->key, NULL, NULL)))
		req->reply.status = 204;
}

static void objects(struct web_req *req)
{
	const struct web_list_req all = {
		.prefix = req->key, .delimiter = "", .from = "", .until = "", .max = SIZE_MAX,
	};
	struct web_list list;
	if (reply_cond(req, web_store_list(req->web->store, req->bucket, &all, &list)))
		return;
	json_t *keys = json_array();
	for (size_t i = 0; i < list.n; i++)
		json_array_append_new(keys, json_string_nocheck(list.items[i].object->key));
	web_list_release(&list);
	reply_json(req, keys);
}

static void upload_tell(const struct web_upload *upload, void *array)
{
	json_array_append_new(array, json_string_nocheck(upload->key));
}

static void upload_tell_kept(const struct web_upload *upload, void *array)
{
	if (upload->nparts)
		upload_tell(upload, array);
}

/* The keys of what was begun and is not complete; with ?parts=1 of what keeps bytes. */
static void uploads(struct web_req *req)
{
	json_t *keys = json_array();
	web_uploads_each(req->web->uploads,
			 web_param(req, "parts") ? upload_tell_kept : upload_tell, keys);
	reply_json(req, keys);
}

static void fault_add(struct web_req *req)
{
	const char *wrong = web_faults_add(req->web->faults, (const char *)req->body->data,
					   req->body->len);
	if (wrong)
		fail(req, 400, NULL, wrong);
	else
		req->reply.status = 200;
}

static void run(struct web_req *req)
{
	switch ((enum verb)req->verb) {
	case VERB_FAULT_ADD: return fault_add(req);
	case VERB_STATS: return reply_json(req, stats_json(req->web->stats));
	case VERB_OBJECT_GET: return object_get(req);
	case VERB_OBJECT_PUT: return object_put(req);
	case VERB_OBJECT_DELETE: return object_delete(req);
	case VERB_META: return meta(req);
	case VERB_OBJECTS: return objects(req);
	case VERB_UPLOADS: return uploads(req);
	case VERB_FAULT_CLEAR: web_faults_clear(req->web->faults); break;
	case VERB_RESET: stats_reset(req->web->stats); break;
	case VERB_NONE: break;
	}
	req->reply.status = 200;
}

static void stamp(struct web_req *req)
{
	(void)req;
}

const struct web_dialect web_control = {
	.name = "control",
	.route = route,
	.check = check,
	.run = run,
	.fail = fail,
	.stamp = stamp,
};
