/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of objects, and buckets.
 */
#include "web_gcs.h"

#include "web_cond.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 1000 };

static json_t *page_json(const struct web_page *page, const char *bucket)
{
	json_t *json = json_pack("{s:s}", "kind", "storage#objects");
	json_t *items = json_array(), *prefixes = json_array();
	for (size_t i = 0; i < page->list.n; i++) {
		const struct web_list_item *item = &page->list.items[i];
		if (item->object)
			json_array_append_new(items, web_gcs_resource(item->object, bucket));
		else
			json_array_append_new(prefixes, json_string(item->prefix));
	}
	/* An empty list is left out, not sent empty. */
	if (json_array_size(items))
		json_object_set(json, "items", items);
	if (json_array_size(prefixes))
		json_object_set(json, "prefixes", prefixes);
	if (page->token)
		json_object_set_new(json, "nextPageToken", json_string(page->token));
	json_decref(items);
	json_decref(prefixes);
	return json;
}

void web_gcs_list(struct web_req *req)
{
	uint64_t max = PAGE_MAX;
	const char *max_results = web_param(req, "maxResults");
	if (max_results && (!web_parse_u64(max_results, UINT32_MAX, &max) || max == 0))
		return web_gcs_fail(req, 400, "invalid", "Invalid value for maxResults");
	const struct web_list_req asked = {
		.prefix = req->key,
		.delimiter = web_param_or_empty(req, "delimiter"),
		.from = web_param_or_empty(req, "startOffset"),
		.inclusive = true,
		.until = web_param_or_empty(req, "endOffset"),
		.max = max < PAGE_MAX ? max : PAGE_MAX,
	};
	struct web_page page;
	int cond = web_page_make(req, &asked, web_param_or_empty(req, "pageToken"), &page);
	if (cond == WEB_BAD_TOKEN)
		return web_gcs_fail(req, 400, "invalid", "Invalid value for pageToken");
	if (cond)
		return web_gcs_fail_cond(req, cond);
	web_gcs_reply(req, page_json(&page, req->bucket));
	web_page_release(&page);
}

/* ---- buckets ---- */

static json_t *bucket_json(const char *name)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "storage#bucket", "id", name, "name",
			 name, "location", "US", "storageClass", "STANDARD");
}

static void add_bucket(const char *name, void *items)
{
	json_array_append_new(items, bucket_json(name));
}

void web_gcs_buckets(struct web_req *req)
{
	json_t *items = json_array();
	if (!web_param(req, "project")) {
		json_decref(items);
		return web_gcs_fail(req, 400, "required", "Required parameter: project");
	}
	web_store_buckets(req->web->store, add_bucket, items);
	web_gcs_reply(req, json_pack("{s:s, s:o}", "kind", "storage#buckets", "items", items));
}

static void bucket_create(struct web_req *req)
{
	json_t *json = json_loadb((const char *)req->body->data, req->body->len, 0, NULL);
	const char *name = json_string_value(json_object_get(json, "name"));
	if (!name || strlen(name) < 3 || !web_param(req, "project")) {
		web_gcs_fail(req, 400, "invalid", "A bucket needs a name and a project.");
	} else {
		int cond = web_store_bucket_add(req->web->store, name);
		if (cond)
			web_gcs_fail_cond(req, cond);
		else
			web_gcs_reply(req, bucket_json(name));
	}
	json_decref(json);
}

void web_gcs_bucket(struct web_req *req)
{
	if (req->verb == GCS_BUCKET_CREATE)
		return bucket_create(req);
	if (req->verb == GCS_BUCKET_DELETE) {
		int cond = web_store_bucket_remove(req->web->store, req->bucket);
		if (cond)
			return web_gcs_fail_cond(req, cond);
		req->reply.status = 204;
		return;
	}
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_gcs_fail_cond(req, WEB_NO_BUCKET);
	web_gcs_reply(req, bucket_json(req->bucket));
}
