/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs in blocks. Uncommitted blocks belong to the name, not to who sent them: any write of the
 * blob drops those of everybody, as at the service.
 */
#include "web_azure.h"

#include "web_cond.h"
#include "web_upload.h"
#include "web_xml.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_ID_MAX = 64, BLOCKS_MAX = 50000 };

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_azure_fail(req, status, code, message, "");
}

/* The upload of a blob goes by its name. */
static char *upload_id(struct web_req *req)
{
	struct web_text id = { 0 };
	web_text_printf(&id, "%s\n%s", req->bucket, req->key);
	char *kept = web_req_keep(req, id.s, id.len);
	web_text_release(&id);
	return kept;
}

void web_azure_blocks_drop(struct web_req *req)
{
	web_uploads_forget(req->web->uploads, upload_id(req));
}

static void block_store(struct web_req *req, const char *id, struct web_blob *blob,
			const uint8_t *data, size_t len)
{
	struct web_upload *upload = web_uploads_begin(req->web->uploads, upload_id(req),
						      req->bucket, req->key);
	bool fits = !upload->nparts || strlen(upload->parts[0].name) == strlen(id);
	if (fits)
		web_upload_add(upload, id, blob, data, len);
	web_uploads_unlock(req->web->uploads);
	if (!fits)
		return fail(req, 400, "InvalidBlobOrBlock",
			    "The specified blob or block content is invalid.");
	req->reply.status = 201;
}

/* A range of another blob, all of which must be there. */
static void block_copy(struct web_req *req, const char *id)
{
	const char *range = web_header(req, "x-ms-source-range");
	size_t from = 0, len;
	struct web_object *source = web_azure_source(req, true);
	if (!source)
		return;
	len = source->len;
	if (range && (web_range_parse(range, false, source->len, &from, &len) != WEB_RANGE_PART ||
		      strtoull(strchr(range, '-') + 1, NULL, 10) != from + len - 1))
		fail(req, 416, "InvalidRange", "The range is not within the source.");
	else
		block_store(req, id, source->blob, source->data + from, len);
	web_object_unref(source);
}

void web_azure_block(struct web_req *req)
{
	uint8_t bytes[BLOCK_ID_MAX];
	const char *id = web_param(req, "blockid");
	if (!id || web_base64_decode(id, bytes, sizeof(bytes)) <= 0)
		return fail(req, 400, "InvalidQueryParameterValue",
			    "Value for one of the query parameters is invalid: blockid.");
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_azure_fail(req, 404, "ContainerNotFound",
				      "The specified container does not exist.", "");
	if (web_header(req, "x-ms-copy-source"))
		return block_copy(req, id);
	block_store(req, id, req->body, req->body->data, req->body->len);
}

/* The listed blocks. NULL, or the error's code. */
static const char *blocks_find(const struct web_upload *upload, const struct web_xml *xml,
			       const struct web_part **ret)
{
	for (size_t i = 0; i < xml->n; i++) {
		const struct web_xml_item *item = &xml->items[i];
		/* Blocks of the blob as it is are not kept apart here. */
		if (strcmp(item->name, "Committed") == 0)
			return "NotImplemented";
		if (strcmp(item->name, "Latest") != 0 && strcmp(item->name, "Uncommitted") != 0)
			return "InvalidXmlDocument";
		ret[i] = upload ? web_upload_part(upload, item->text) : NULL;
		if (!ret[i])
			return "InvalidBlockList";
	}
	return NULL;
}

static struct web_object *blocks_commit(struct web_req *req, const struct web_xml *xml)
{
	struct web_object *object = NULL;
	const struct web_part **parts = web_alloc((xml->n + 1) * sizeof(*parts));
	struct web_upload *upload = web_uploads_lock(req->web->uploads, upload_id(req));
	const char *wrong = blocks_find(upload, xml, parts);
	struct web_blob *blob = wrong ? NULL : web_parts_join(parts, xml->n);
	if (upload)
		web_uploads_unlock(req->web->uploads);
	free(parts);
	if (blob)
		object = web_object_new(req->key, blob);
	else if (wrong)
		fail(req, 400, wrong, "The specified block list is invalid.");
	else
		fail(req, 503, NULL, "no memory for the blob");
	return object;
}

void web_azure_block_list(struct web_req *req)
{
	struct web_xml xml;
	const char *md5 = web_header(req, "x-ms-blob-content-md5");
	bool good = web_xml_parse((const char *)req->body->data, req->body->len, &xml) &&
		    strcmp(xml.root, "BlockList") == 0 && xml.n <= BLOCKS_MAX;
	struct web_object *object = good ? blocks_commit(req, &xml) : NULL;
	if (!good)
		fail(req, 400, "InvalidXmlDocument", "XML specified is not syntactically valid.");
	if (object) {
		web_azure_take_headers(object, req);
		object->crc32c = web_crc32c(0, object->data, object->len);
		object->has_md5 = md5 && web_base64_decode(md5, object->md5, 16) == 16;
		web_azure_store(req, object);
	}
	web_object_unref(object);
	web_xml_release(&xml);
}

void web_azure_blocks(struct web_req *req)
{
	if (strcmp(web_param_or_empty(req, "blocklisttype"), "uncommitted") != 0)
		return fail(req, 501, NULL, "Only uncommitted blocks are listed.");
	struct web_upload *upload = web_uploads_lock(req->web->uploads, upload_id(req));
	if (!upload)
		return fail(req, 404, "BlobNotFound", "The specified blob does not exist.");
	struct web_text *xml = &req->reply.body;
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/xml");
	web_text_puts(xml, "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>"
		      "<UncommittedBlocks>");
	for (size_t i = 0; i < upload->nparts; i++)
		web_text_printf(xml, "<Block><Name>%s</Name><Size>%zu</Size></Block>",
				upload->parts[i].name, upload->parts[i].len);
	web_text_puts(xml, "</UncommittedBlocks></BlockList>");
	web_uploads_unlock(req->web->uploads);
}
