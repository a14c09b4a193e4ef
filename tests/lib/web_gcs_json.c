/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object resources as JSON, and the selection of their parts by ?fields=.
 */
#include "web_gcs.h"

#include <stdlib.h>
#include <string.h>

static void set_date(json_t *json, const char *name, int64_t ns)
{
	struct web_text date = { 0 };
	web_text_iso_date(&date, ns);
	json_object_set_new(json, name, json_string(date.s));
	web_text_release(&date);
}

static void set_base64(json_t *json, const char *name, const void *bytes, size_t n)
{
	struct web_text base64 = { 0 };
	web_text_base64(&base64, bytes, n);
	json_object_set_new(json, name, json_string(base64.s));
	web_text_release(&base64);
}

/* 64-bit numbers are strings in this API. */
static void set_number(json_t *json, const char *name, uint64_t value)
{
	json_object_set_new(json, name, json_sprintf("%llu", (unsigned long long)value));
}

json_t *web_gcs_resource(const struct web_object *object, const char *bucket)
{
	uint8_t crc32c[4];
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "storage#object", "name",
				 object->key, "bucket", bucket, "etag", object->etag,
				 "storageClass", "STANDARD");
	if (!json)
		return json_object();
	set_number(json, "generation", object->generation);
	set_number(json, "metageneration", object->metageneration);
	set_number(json, "size", object->len);
	set_date(json, "timeCreated", object->created_ns);
	set_date(json, "updated", object->modified_ns);
	web_crc32c_bytes(object->crc32c, crc32c);
	set_base64(json, "crc32c", crc32c, sizeof(crc32c));
	if (object->has_md5)
		set_base64(json, "md5Hash", object->md5, sizeof(object->md5));
	if (object->content_type)
		json_object_set_new(json, "contentType", json_string(object->content_type));
	if (object->extra) {
		json_t *extra = json_loads(object->extra, 0, NULL);
		json_object_update(json, extra);
		json_decref(extra);
	}
	if (object->nattrs) {
		json_t *metadata = json_object();
		for (size_t i = 0; i < object->nattrs; i++)
			json_object_set_new(metadata, object->attrs[i].name,
					    json_string(object->attrs[i].value));
		json_object_set_new(json, "metadata", metadata);
	}
	return json;
}

/* ---- what a client says of its object ---- */

static const char *describe_metadata(struct web_object *object, json_t *metadata)
{
	enum { METADATA_MAX = 8192 };
	const char *name;
	json_t *value;
	size_t size = 0;
	if (metadata && !json_is_object(metadata))
		return "metadata is no object";
	json_object_foreach (metadata, name, value) {
		if (!json_is_string(value))
			return "metadata values are strings";
		web_object_attr(object, name, json_string_value(value));
		size += strlen(name) + strlen(json_string_value(value));
	}
	return size > METADATA_MAX ? "the metadata is too large" : NULL;
}

/* Members that are kept as they are, and shown in the resource. */
static bool is_kept(const char *name)
{
	return strcmp(name, "cacheControl") == 0 || strcmp(name, "contentEncoding") == 0 ||
	       strcmp(name, "contentDisposition") == 0 || strcmp(name, "contentLanguage") == 0;
}

static bool is_known(const char *name)
{
	static const char *const known[] = {
		"name", "bucket", "contentType", "crc32c", "md5Hash", "metadata", "storageClass",
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return is_kept(name);
}

const char *web_gcs_describe(struct web_object *object, json_t *json, const char **ret_crc32c,
			     const char **ret_md5)
{
	const char *name;
	json_t *value, *extra = json_object();
	const char *wrong = NULL;
	json_object_foreach (json, name, value) {
		if (!is_known(name))
			wrong = "unknown member of an object resource";
		else if (strcmp(name, "metadata") != 0 && !json_is_string(value))
			wrong = "a member of an object resource is no string";
		if (is_kept(name))
			json_object_set(extra, name, value);
	}
	const char *type = json_string_value(json_object_get(json, "contentType"));
	if (type) {
		free(object->content_type);
		object->content_type = web_strdup(type);
	}
	free(object->extra);
	object->extra = json_object_size(extra) ? json_dumps(extra, JSON_COMPACT) : NULL;
	json_decref(extra);
	*ret_crc32c = json_string_value(json_object_get(json, "crc32c"));
	*ret_md5 = json_string_value(json_object_get(json, "md5Hash"));
	return wrong ? wrong : describe_metadata(object, json_object_get(json, "metadata"));
}

/* ---- ?fields= ---- */

static bool is_field(const char *name)
{
	static const char *const known[] = {
		"kind", "name", "bucket", "etag", "storageClass", "generation", "metageneration",
		"size", "timeCreated", "updated", "crc32c", "md5Hash", "contentType",
		"cacheControl", "contentEncoding", "contentDisposition", "contentLanguage",
		"metadata", "componentCount", "selfLink", "mediaLink", "nextPageToken",
		"prefixes", "items", "done", "rewriteToken", "totalBytesRewritten", "objectSize",
		"resource", "location", "versioning", "softDeletePolicy", "hierarchicalNamespace",
		"id", "projectNumber", "locationType", "*",
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static bool select_one(json_t *json, const char **at, json_t *selection);

/* A list up to what it does not understand, or only one name of it. */
static json_t *select_names(json_t *json, const char **at, bool several)
{
	json_t *selection = json_object();
	bool good;
	do
		good = select_one(json, at, selection);
	while (good && several && **at == ',' && (*at)++);
	if (good)
		return selection;
	json_decref(selection);
	return NULL;
}

/* The same selection from each element. */
static json_t *select_each(json_t *array, const char **at, bool several)
{
	const char *start = *at;
	json_t *selected = json_array();
	for (size_t i = 0; i < json_array_size(array); i++) {
		*at = start;
		json_t *one = select_names(json_array_get(array, i), at, several);
		if (!one) {
			json_decref(selected);
			return NULL;
		}
		json_array_append_new(selected, one);
	}
	return selected;
}

/* What follows a name: "/one", "(several)" or nothing, applied to the value of that name. */
static json_t *select_below(json_t *value, const char **at)
{
	if (**at != '(' && **at != '/')
		return json_incref(value);
	bool several = *(*at)++ == '(';
	json_t *selected = json_array_size(value) ? select_each(value, at, several)
						  : select_names(value, at, several);
	if (!selected || !several)
		return selected;
	if (**at == ')') {
		(*at)++;
		return selected;
	}
	json_decref(selected);
	return NULL;
}

/* One name and what is below it, put into the selection. */
static bool select_one(json_t *json, const char **at, json_t *selection)
{
	char name[32];
	size_t n = strcspn(*at, ",()/");
	if (n == 0 || n >= sizeof(name))
		return false;
	memcpy(name, *at, n);
	name[n] = '\0';
	*at += n;
	if (!is_field(name))
		return false;
	if (strcmp(name, "*") == 0)
		return json_object_update(selection, json) == 0;
	json_t *value = json_object_get(json, name);
	json_t *below = select_below(value ? value : json_null(), at);
	if (!below)
		return false;
	if (value)
		json_object_set(selection, name, below);
	json_decref(below);
	return true;
}

json_t *web_gcs_select(json_t *json, const char *fields)
{
	json_t *selection = select_names(json, &fields, true);
	if (selection && *fields) {
		json_decref(selection);
		return NULL;
	}
	return selection;
}
