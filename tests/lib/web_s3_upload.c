/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads. A refused condition leaves the upload alive; a repeated completion gets the
 * first one's answer again. An upload that was begun with CRC-32C wants it of every part, and again
 * of each at the end (a composite checksum); one that was not wants none.
 */
#include "web_s3.h"

#include "web_cond.h"
#include "web_upload.h"
#include "web_xml.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 10000, PART_MIN = 5 << 20 };

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_s3_fail(req, status, code, message, "");
}

static void fail_no_upload(struct web_req *req)
{
	fail(req, 404, "NoSuchUpload", "The specified upload does not exist.");
}

/* The upload of the request, locked; NULL when the request has failed. */
static struct web_upload *upload_lock(struct web_req *req)
{
	struct web_upload *upload = web_uploads_lock(req->web->uploads, web_param(req, "uploadId"));
	if (upload && strcmp(upload->bucket, req->bucket) == 0 &&
	    strcmp(upload->key, req->key) == 0)
		return upload;
	if (upload)
		web_uploads_unlock(req->web->uploads);
	fail_no_upload(req);
	return NULL;
}

static void start(struct web_req *req)
{
	char id[40];
	const char *type = web_header(req, "x-amz-checksum-type");
	const char *algorithm = web_header(req, "x-amz-checksum-algorithm");
	if ((type && strcmp(type, "COMPOSITE") != 0) ||
	    (algorithm && strcmp(algorithm, "CRC32C") != 0))
		return fail(req, 501, "NotImplemented", "Only composites of CRC32C are known.");
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_s3_fail_cond(req, WEB_NO_BUCKET);
	snprintf(id, sizeof(id), "upload-%016llx", (unsigned long long)req->serial);
	struct web_upload *upload = web_uploads_begin(req->web->uploads, id, req->bucket, req->key);
	upload->model = web_s3_object_new(req);
	upload->summed = algorithm;
	web_uploads_unlock(req->web->uploads);
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>",
			req->bucket);
	web_text_xml(xml, req->key);
	web_text_printf(xml, "</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id);
}

/* Names sort as the numbers do. */
static bool part_name(const char *number, char ret[8])
{
	uint64_t n;
	if (!number || !web_parse_u64(number, PARTS_MAX, &n) || n == 0)
		return false;
	snprintf(ret, 8, "%05u", (unsigned)n);
	return true;
}

static void put_etag(struct web_text *out, const struct web_part *part)
{
	web_text_putc(out, '"');
	web_text_hex(out, part->md5, sizeof(part->md5));
	web_text_putc(out, '"');
}

static void put_sum(struct web_text *out, uint32_t crc32c)
{
	uint8_t bytes[4];
	web_crc32c_bytes(crc32c, bytes);
	web_text_base64(out, bytes, sizeof(bytes));
}

/* A body that is no range of another object must be as the beginning has promised. */
static bool sum_is_promised(struct web_req *req, const struct web_upload *upload)
{
	bool given = web_header(req, "x-amz-checksum-crc32c");
	return given == upload->summed || web_header(req, "x-amz-copy-source");
}

/* Adds a part, with its sums, from the body or from bytes of another object. */
static struct web_part *part_add(struct web_req *req, struct web_upload *upload, const char *name,
				 struct web_object *source, size_t from, size_t len)
{
	struct web_part *part;
	if (!source) {
		part = web_upload_add(upload, name, req->body, req->body->data, req->body->len);
		memcpy(part->md5, req->sums.md5, sizeof(part->md5));
		part->crc32c = req->sums.crc32c;
		return part;
	}
	part = web_upload_add(upload, name, source->blob, source->data + from, len);
	EVP_Digest(part->data, len, part->md5, NULL, EVP_md5(), NULL);
	part->crc32c = web_crc32c(0, part->data, len);
	return part;
}

static void reply_part(struct web_req *req, const struct web_upload *upload,
		       const struct web_part *part, bool copied)
{
	struct web_text etag = { 0 }, sum = { 0 };
	put_etag(&etag, part);
	put_sum(&sum, part->crc32c);
	if (copied) {
		struct web_text *xml = web_s3_xml(req);
		web_text_puts(xml, "<CopyPartResult><ETag>");
		web_text_xml(xml, etag.s);
		web_text_puts(xml, "</ETag>");
		if (upload->summed)
			web_text_printf(xml, "<ChecksumCRC32C>%s</ChecksumCRC32C>", sum.s);
		web_text_puts(xml, "</CopyPartResult>");
	} else {
		req->reply.status = 200;
		web_reply_header(req, "ETag", "%s", etag.s);
		if (upload->summed)
			web_reply_header(req, "x-amz-checksum-crc32c", "%s", sum.s);
	}
	web_text_release(&etag);
	web_text_release(&sum);
}

static void part_store(struct web_req *req, const char *name, struct web_object *source,
		       size_t from, size_t len)
{
	struct web_upload *upload = upload_lock(req);
	if (!upload)
		return;
	if (upload->result)
		fail_no_upload(req);
	else if (!sum_is_promised(req, upload))
		fail(req, 400, "InvalidRequest", "Checksum Type mismatch occurred.");
	else
		reply_part(req, upload, part_add(req, upload, name, source, from, len), source);
	web_uploads_unlock(req->web->uploads);
}

static void part_copy(struct web_req *req, const char *name)
{
	const char *range = web_header(req, "x-amz-copy-source-range");
	size_t from = 0, len;
	struct web_object *source = web_s3_copy_source(req);
	if (!source)
		return;
	len = source->len;
	/* The whole range must be there. */
	if (range && (web_range_parse(range, false, source->len, &from, &len) != WEB_RANGE_PART ||
		      strtoull(strchr(range, '-') + 1, NULL, 10) != from + len - 1))
		fail(req, 400, "InvalidArgument", "Range specified is not valid for source object");
	else
		part_store(req, name, source, from, len);
	web_object_unref(source);
}

static void part_put(struct web_req *req)
{
	char name[8];
	if (!part_name(web_param(req, "partNumber"), name))
		return fail(req, 400, "InvalidArgument",
			    "Part number must be an integer between 1 and 10000, inclusive");
	if (web_header(req, "x-amz-copy-source"))
		return part_copy(req, name);
	part_store(req, name, NULL, 0, 0);
}

/* ---- completion ---- */

static bool is_etag_of(const char *given, const struct web_part *part)
{
	struct web_text etag = { 0 };
	put_etag(&etag, part);
	size_t n = strlen(given);
	bool same = strcmp(given, etag.s) == 0 ||
		    (n == 32 && strncmp(given, etag.s + 1, n) == 0);
	web_text_release(&etag);
	return same;
}

/* Each part of a summed upload is named with its sum, and they are counted from 1 on. */
static bool is_sum_of(const struct web_xml_item *item, const struct web_part *part, size_t i)
{
	struct web_text sum = { 0 };
	const char *given = web_xml_field(item, "ChecksumCRC32C");
	put_sum(&sum, part->crc32c);
	bool same = given && strcmp(given, sum.s) == 0 && strtoul(part->name, NULL, 10) == i + 1;
	web_text_release(&sum);
	return same;
}

/* Finds the listed parts. NULL, or the error's code. */
static const char *parts_find(const struct web_upload *upload, const struct web_xml *xml,
			      const struct web_part **ret)
{
	char name[8], before[8] = "";
	for (size_t i = 0; i < xml->n; i++) {
		const char *etag = web_xml_field(&xml->items[i], "ETag");
		if (!part_name(web_xml_field(&xml->items[i], "PartNumber"), name) || !etag)
			return "MalformedXML";
		if (strcmp(before, name) >= 0)
			return "InvalidPartOrder";
		strcpy(before, name);
		ret[i] = web_upload_part(upload, name);
		if (!ret[i] || !is_etag_of(etag, ret[i]) ||
		    (upload->summed && !is_sum_of(&xml->items[i], ret[i], i)))
			return "InvalidPart";
	}
	for (size_t i = 0; i + 1 < xml->n; i++)
		if (ret[i]->len < PART_MIN)
			return "EntityTooSmall";
	return NULL;
}

static void put_object_etag(struct web_object *object, const struct web_part *const *parts,
			    size_t n)
{
	struct web_text sums = { 0 }, etag = { 0 };
	uint8_t md5[16];
	for (size_t i = 0; i < n; i++)
		web_text_put(&sums, parts[i]->md5, 16);
	EVP_Digest(sums.s, sums.len, md5, NULL, EVP_md5(), NULL);
	web_text_hex(&etag, md5, sizeof(md5));
	snprintf(object->etag, sizeof(object->etag), "%s-%zu", etag.s, n);
	web_text_release(&sums);
	web_text_release(&etag);
}

/* The sum of the sums, and their number. */
static void put_object_sum(struct web_object *object, const struct web_part *const *parts, size_t n)
{
	struct web_text sums = { 0 }, value = { 0 };
	uint8_t bytes[4];
	for (size_t i = 0; i < n; i++) {
		web_crc32c_bytes(parts[i]->crc32c, bytes);
		web_text_put(&sums, bytes, sizeof(bytes));
	}
	put_sum(&value, web_crc32c(0, sums.s, sums.len));
	web_text_printf(&value, "-%zu", n);
	object->sum.name = web_strdup("x-amz-checksum-crc32c");
	object->sum.value = web_strdup(value.s);
	web_text_release(&sums);
	web_text_release(&value);
}

/* Whether a checksum of the whole that came with the completion is right. */
static bool sum_holds(struct web_object *object, const struct web_req *req, const char *header,
		      const uint8_t *sum, size_t n)
{
	uint8_t given[8];
	const char *value = web_header(req, header);
	if (!value)
		return true;
	object->sum.name = web_strdup(header);
	object->sum.value = web_strdup(value);
	return web_base64_decode(value, given, sizeof(given)) == (ssize_t)n &&
	       memcmp(given, sum, n) == 0;
}

static bool sums_hold(struct web_object *object, const struct web_req *req)
{
	uint8_t crc32c[4], crc64[8];
	object->crc32c = web_crc32c(0, object->data, object->len);
	web_crc32c_bytes(object->crc32c, crc32c);
	web_crc64_bytes(web_crc64(0, object->data, object->len), false, crc64);
	return sum_holds(object, req, "x-amz-checksum-crc32c", crc32c, sizeof(crc32c)) &&
	       sum_holds(object, req, "x-amz-checksum-crc64nvme", crc64, sizeof(crc64));
}

static void reply_complete(struct web_req *req, const char *etag)
{
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>",
			req->bucket);
	web_text_xml(xml, req->key);
	web_text_printf(xml, "</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
			etag);
}

static void object_publish(struct web_req *req, struct web_upload *upload,
			   struct web_object *object, const struct web_part *const *parts, size_t n)
{
	if (upload->summed)
		put_object_sum(object, parts, n);
	if (web_s3_store(req, object))
		return;
	web_upload_finish(upload, object->etag);
	reply_complete(req, object->etag);
}

static void object_complete(struct web_req *req, struct web_upload *upload,
			    const struct web_part *const *parts, size_t n)
{
	struct web_blob *blob = web_parts_join(parts, n);
	if (!blob)
		return fail(req, 503, NULL, "no memory for the object");
	struct web_object *object = web_object_copy(upload->model, req->key);
	web_object_set_blob(object, blob);
	object->has_md5 = false;
	put_object_etag(object, parts, n);
	const char *size = web_header(req, "x-amz-mp-object-size");
	if (upload->summed && (web_header(req, "x-amz-checksum-crc32c") ||
			       web_header(req, "x-amz-checksum-crc64nvme")))
		fail(req, 501, "NotImplemented", "The checksum of a composite is not verified.");
	else if (size && strtoull(size, NULL, 10) != object->len)
		fail(req, 400, "InvalidRequest", "The size of the object is another one.");
	else if (!sums_hold(object, req))
		fail(req, 400, "BadDigest", "The checksum did not match.");
	else
		object_publish(req, upload, object, parts, n);
	web_object_unref(object);
}

static void complete(struct web_req *req)
{
	struct web_xml xml;
	bool good = web_xml_parse((const char *)req->body->data, req->body->len, &xml) && xml.n &&
		    strcmp(xml.root, "CompleteMultipartUpload") == 0;
	struct web_upload *upload = good ? upload_lock(req) : NULL;
	if (!good)
		fail(req, 400, "MalformedXML", "The XML is not well-formed.");
	if (upload && upload->result) {
		reply_complete(req, upload->result);
	} else if (upload) {
		const struct web_part **parts = web_alloc(xml.n * sizeof(*parts));
		const char *wrong = parts_find(upload, &xml, parts);
		if (wrong)
			fail(req, 400, wrong, "The list of parts is not acceptable.");
		else
			object_complete(req, upload, parts, xml.n);
		free(parts);
	}
	if (upload)
		web_uploads_unlock(req->web->uploads);
	web_xml_release(&xml);
}

/* ---- the rest ---- */

static void abort_upload(struct web_req *req)
{
	if (!upload_lock(req))
		return;
	web_uploads_unlock(req->web->uploads);
	web_uploads_forget(req->web->uploads, web_param(req, "uploadId"));
	req->reply.status = 204;
}

static int part_order(const void *a, const void *b)
{
	const struct web_part *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static void list_parts(struct web_req *req)
{
	struct web_upload *upload = upload_lock(req);
	if (!upload)
		return;
	if (upload->nparts)
		qsort(upload->parts, upload->nparts, sizeof(upload->parts[0]), part_order);
	struct web_text *xml = web_s3_xml(req);
	web_text_printf(xml, "<ListPartsResult><UploadId>%s</UploadId><IsTruncated>false"
			"</IsTruncated>", upload->id);
	for (size_t i = 0; i < upload->nparts; i++) {
		const struct web_part *part = &upload->parts[i];
		struct web_text etag = { 0 };
		put_etag(&etag, part);
		web_text_printf(xml, "<Part><PartNumber>%d</PartNumber><Size>%zu</Size><ETag>",
				atoi(part->name), part->len);
		web_text_xml(xml, etag.s);
		web_text_puts(xml, "</ETag></Part>");
		web_text_release(&etag);
	}
	web_text_puts(xml, "</ListPartsResult>");
	web_uploads_unlock(req->web->uploads);
}

struct listing {
	struct web_text *xml;
	const char *bucket, *prefix;
};

static void list_one(const struct web_upload *upload, void *arg)
{
	struct listing *l = arg;
	if (strcmp(upload->bucket, l->bucket) != 0 ||
	    strncmp(upload->key, l->prefix, strlen(l->prefix)) != 0)
		return;
	web_text_puts(l->xml, "<Upload><Key>");
	web_text_xml(l->xml, upload->key);
	web_text_printf(l->xml, "</Key><UploadId>%s</UploadId></Upload>", upload->id);
}

static void list_uploads(struct web_req *req)
{
	struct listing l = { .bucket = req->bucket, .prefix = web_param_or_empty(req, "prefix") };
	if (!web_store_bucket_exists(req->web->store, req->bucket))
		return web_s3_fail_cond(req, WEB_NO_BUCKET);
	l.xml = web_s3_xml(req);
	web_text_puts(l.xml, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>");
	web_uploads_each(req->web->uploads, list_one, &l);
	web_text_puts(l.xml, "</ListMultipartUploadsResult>");
}

void web_s3_upload(struct web_req *req)
{
	switch ((enum web_s3_verb)req->verb) {
	case S3_UPLOAD_START: return start(req);
	case S3_UPLOAD_PART: return part_put(req);
	case S3_UPLOAD_COMPLETE: return complete(req);
	case S3_UPLOAD_ABORT: return abort_upload(req);
	case S3_UPLOADS: return list_uploads(req);
	default: return list_parts(req);
	}
}
