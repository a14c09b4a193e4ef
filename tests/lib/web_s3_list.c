/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of keys and of buckets, and the deletion of many keys at once.
 */
#include "web_s3.h"

#include "web_cond.h"
#include "web_xml.h"

#include <string.h>

enum { PAGE_MAX = 1000, DELETE_MAX = 1000 };

static const char xmlns[] = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

/* An element whose text follows encoding-type. */
static void put_name(struct web_text *xml, const char *element, const char *name, bool url)
{
	struct web_text encoded = { 0 };
	if (url)
		web_text_percent_plus(&encoded, name);
	else
		web_text_puts(&encoded, name);
	web_text_printf(xml, "<%s>", element);
	web_text_xml(xml, web_text_str(&encoded));
	web_text_printf(xml, "</%s>", element);
	web_text_release(&encoded);
}

static void put_object(struct web_text *xml, const struct web_object *object, bool url)
{
	web_text_puts(xml, "<Contents>");
	put_name(xml, "Key", object->key, url);
	web_text_puts(xml, "<LastModified>");
	web_text_iso_date(xml, object->modified_ns);
	web_text_printf(xml, "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%zu</Size>"
			"<StorageClass>STANDARD</StorageClass></Contents>", object->etag,
			object->len);
}

static void put_items(struct web_text *xml, const struct web_list *list, bool url)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].object)
			put_object(xml, list->items[i].object, url);
	for (size_t i = 0; i < list->n; i++) {
		if (!list->items[i].prefix)
			continue;
		web_text_puts(xml, "<CommonPrefixes>");
		put_name(xml, "Prefix", list->items[i].prefix, url);
		web_text_puts(xml, "</CommonPrefixes>");
	}
}

static void put_optional(struct web_text *xml, const struct web_req *req, const char *element,
			 const char *param, bool url)
{
	if (web_param(req, param))
		put_name(xml, element, web_param(req, param), url);
}

static void reply_list(struct web_req *req, const struct web_page *page, uint64_t max, bool url)
{
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<ListBucketResult %s><Name>%s</Name>", xmlns, req->bucket);
	put_name(xml, "Prefix", req->key, url);
	put_optional(xml, req, "Delimiter", "delimiter", url);
	put_optional(xml, req, "StartAfter", "start-after", url);
	put_optional(xml, req, "ContinuationToken", "continuation-token", false);
	if (url)
		web_text_puts(xml, "<EncodingType>url</EncodingType>");
	web_text_printf(xml, "<MaxKeys>%llu</MaxKeys><KeyCount>%zu</KeyCount>"
			"<IsTruncated>%s</IsTruncated>", (unsigned long long)max, page->list.n,
			page->list.truncated ? "true" : "false");
	if (page->token)
		put_name(xml, "NextContinuationToken", page->token, false);
	put_items(xml, &page->list, url);
	web_text_puts(xml, "</ListBucketResult>");
}

static void fail_argument(struct web_req *req, const char *message)
{
	web_s3_fail(req, 400, "InvalidArgument", message, "");
}

void web_s3_list(struct web_req *req)
{
	uint64_t max = PAGE_MAX;
	const char *max_keys = web_param(req, "max-keys");
	const char *encoding = web_param(req, "encoding-type");
	if (strcmp(web_param(req, "list-type"), "2") != 0)
		return fail_argument(req, "Invalid List Type specified in Request");
	if (max_keys && !web_parse_u64(max_keys, INT32_MAX, &max))
		return fail_argument(req, "Provided max-keys not an integer or within range");
	if (encoding && strcmp(encoding, "url") != 0)
		return fail_argument(req, "Invalid Encoding Method specified in Request");
	const struct web_list_req asked = {
		.prefix = req->key,
		.delimiter = web_param_or_empty(req, "delimiter"),
		.from = web_param_or_empty(req, "start-after"),
		.until = "",
		.max = max < PAGE_MAX ? max : PAGE_MAX,
	};
	const char *token = web_param(req, "continuation-token");
	struct web_page page;
	int cond = token && !*token ? WEB_BAD_TOKEN
				    : web_page_make(req, &asked, token ? token : "", &page);
	if (cond == WEB_BAD_TOKEN)
		return fail_argument(req, "The continuation token provided is incorrect");
	if (cond)
		return web_s3_fail_cond(req, cond);
	reply_list(req, &page, asked.max, encoding);
	web_page_release(&page);
}

static void put_bucket(const char *bucket, void *arg)
{
	web_text_printf(arg, "<Bucket><Name>%s</Name>"
			"<CreationDate>2020-01-01T00:00:00.000Z</CreationDate></Bucket>", bucket);
}

void web_s3_buckets(struct web_req *req)
{
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<ListAllMyBucketsResult %s><Owner><ID>stand-in</ID></Owner><Buckets>",
			xmlns);
	web_store_buckets(req->web->store, put_bucket, xml);
	web_text_puts(xml, "</Buckets></ListAllMyBucketsResult>");
}

/* ---- POST ?delete ---- */

static int etag_judge(const struct web_object *now, const void *etag)
{
	if (etag && !now)
		return WEB_ABSENT;
	return !etag || web_etag_matches(etag, now->etag) ? WEB_PASS : WEB_PRECONDITION;
}

static void delete_one(struct web_req *req, const struct web_xml_item *item, bool quiet,
		       struct web_text *xml)
{
	const char *key = web_xml_field(item, "Key");
	int cond = web_store_remove(req->web->store, req->bucket, key, etag_judge,
				    web_xml_field(item, "ETag"));
	bool deleted = cond == 0 || cond == WEB_NO_KEY;
	if (deleted && quiet)
		return;
	web_text_puts(xml, deleted ? "<Deleted>" : "<Error>");
	put_name(xml, "Key", key, false);
	if (!deleted)
		web_text_printf(xml, "<Code>%s</Code><Message>not deleted</Message>",
				cond == WEB_ABSENT ? "NoSuchKey" : "PreconditionFailed");
	web_text_puts(xml, deleted ? "</Deleted>" : "</Error>");
}

static bool delete_list_check(const struct web_xml *list, bool *ret_quiet)
{
	size_t objects = 0;
	if (strcmp(list->root, "Delete") != 0)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		const struct web_xml_item *item = &list->items[i];
		if (strcmp(item->name, "Quiet") == 0) {
			*ret_quiet = strcmp(item->text, "true") == 0;
			continue;
		}
		if (strcmp(item->name, "Object") != 0 || !web_xml_field(item, "Key"))
			return false;
		objects++;
	}
	return objects > 0 && objects <= DELETE_MAX;
}

static void delete_listed(struct web_req *req, const struct web_xml *list)
{
	bool quiet = false;
	if (!delete_list_check(list, &quiet))
		return web_s3_fail(req, 400, "MalformedXML", "The XML is not well-formed.", "");
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_s3_fail_cond(req, WEB_NO_BUCKET);
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<DeleteResult %s>", xmlns);
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].nfields)
			delete_one(req, &list->items[i], quiet, xml);
	web_text_puts(xml, "</DeleteResult>");
}

void web_s3_delete_many(struct web_req *req)
{
	struct web_xml list;
	bool summed = web_header(req, "content-md5");
	for (size_t i = 0; i < req->nheaders; i++)
		summed |= strncmp(req->headers[i].name, "x-amz-checksum-", 15) == 0;
	if (!summed)
		return web_s3_fail(req, 400, "InvalidRequest",
				   "Missing required header for this request: Content-MD5", "");
	if (web_xml_parse((const char *)req->body->data, req->body->len, &list))
		delete_listed(req, &list);
	else
		web_s3_fail(req, 400, "MalformedXML", "The XML is not well-formed.", "");
	web_xml_release(&list);
}
