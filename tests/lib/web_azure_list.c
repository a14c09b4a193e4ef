/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of blobs and of containers.
 */
#include "web_azure.h"

#include "web_cond.h"

#include <string.h>

enum { PAGE_MAX = 5000 };

static const char head[] = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>"
			   "<EnumerationResults ServiceEndpoint=\"http://127.0.0.1/\"";

static void put_element(struct web_text *xml, const char *element, const char *text)
{
	web_text_printf(xml, "<%s>", element);
	web_text_xml(xml, text);
	web_text_printf(xml, "</%s>", element);
}

/* XML cannot carry control characters: names with them come percent-encoded, and say so. */
static void put_name(struct web_text *xml, const char *name)
{
	bool encode = false;
	for (const char *p = name; *p; p++)
		encode |= (unsigned char)*p < ' ';
	if (!encode)
		return put_element(xml, "Name", name);
	web_text_puts(xml, "<Name Encoded=\"true\">");
	web_text_percent(xml, name, true);
	web_text_puts(xml, "</Name>");
}

static void put_metadata(struct web_text *xml, const struct web_object *object)
{
	web_text_puts(xml, "<Metadata>");
	for (size_t i = 0; i < object->nattrs; i++)
		put_element(xml, object->attrs[i].name + strlen("x-ms-meta-"),
			    object->attrs[i].value);
	web_text_puts(xml, "</Metadata>");
}

static void put_blob(struct web_text *xml, const struct web_object *object, bool metadata)
{
	web_text_puts(xml, "<Blob>");
	put_name(xml, object->key);
	web_text_puts(xml, "<Properties><Creation-Time>");
	web_text_http_date(xml, object->created_ns / 1000000000);
	web_text_puts(xml, "</Creation-Time><Last-Modified>");
	web_text_http_date(xml, object->modified_ns / 1000000000);
	/* Here, and only here, without quotes. */
	web_text_printf(xml, "</Last-Modified><Etag>%s</Etag><Content-Length>%zu</Content-Length>",
			object->etag, object->len);
	put_element(xml, "Content-Type",
		    object->content_type ? object->content_type : "application/octet-stream");
	web_text_puts(xml, "<Content-MD5>");
	if (object->has_md5)
		web_text_base64(xml, object->md5, sizeof(object->md5));
	web_text_puts(xml,
		      "</Content-MD5><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
		      "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
		      "<ServerEncrypted>true</ServerEncrypted></Properties>");
	if (metadata)
		put_metadata(xml, object);
	web_text_puts(xml, "</Blob>");
}

static void put_items(struct web_text *xml, const struct web_list *list, bool metadata)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].object) {
			put_blob(xml, list->items[i].object, metadata);
			continue;
		}
		web_text_puts(xml, "<BlobPrefix>");
		put_name(xml, list->items[i].prefix);
		web_text_puts(xml, "</BlobPrefix>");
	}
}

static void put_optional(struct web_text *xml, const struct web_req *req, const char *element,
			 const char *param)
{
	if (web_param(req, param))
		put_element(xml, element, web_param(req, param));
}

static void reply_list(struct web_req *req, const struct web_page *page)
{
	struct web_text *xml = &req->reply.body;
	bool metadata = strstr(web_param_or_empty(req, "include"), "metadata");
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/xml");
	web_text_printf(xml, "%s ContainerName=\"%s\">", head, req->bucket);
	put_optional(xml, req, "Prefix", "prefix");
	put_optional(xml, req, "Marker", "marker");
	put_optional(xml, req, "MaxResults", "maxresults");
	put_optional(xml, req, "Delimiter", "delimiter");
	web_text_puts(xml, "<Blobs>");
	put_items(xml, &page->list, metadata);
	web_text_puts(xml, "</Blobs>");
	put_element(xml, "NextMarker", page->token ? page->token : "");
	web_text_puts(xml, "</EnumerationResults>");
}

void web_azure_list(struct web_req *req)
{
	uint64_t max = PAGE_MAX;
	const char *max_results = web_param(req, "maxresults");
	if (max_results && (!web_parse_u64(max_results, UINT32_MAX, &max) || max == 0))
		return web_azure_fail(req, 400, "OutOfRangeQueryParameterValue",
				      "One of the query parameters is outside the range.", "");
	const struct web_list_req asked = {
		.prefix = req->key,
		.delimiter = web_param_or_empty(req, "delimiter"),
		.from = "",
		.until = "",
		.max = max < PAGE_MAX ? max : PAGE_MAX,
	};
	struct web_page page;
	int cond = web_page_make(req, &asked, web_param_or_empty(req, "marker"), &page);
	if (cond == WEB_BAD_TOKEN)
		return web_azure_fail(req, 400, "InvalidQueryParameterValue",
				      "Value for one of the query parameters is invalid: marker.",
				      "");
	if (cond)
		return web_azure_fail_cond(req, cond);
	reply_list(req, &page);
	web_page_release(&page);
}

static void put_container(const char *name, void *xml)
{
	web_text_printf(xml, "<Container><Name>%s</Name></Container>", name);
}

void web_azure_containers(struct web_req *req)
{
	struct web_text *xml = &req->reply.body;
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/xml");
	web_text_printf(xml, "%s><Containers>", head);
	web_store_buckets(req->web->store, put_container, xml);
	web_text_puts(xml, "</Containers><NextMarker/></EnumerationResults>");
}
