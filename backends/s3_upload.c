/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S3's multipart uploads and copies.
 *
 * (M1) An upload is begun with CRC-32C as its checksum: every part carries its own, and the end
 *      names them all again. So a copied part whose sum is not told cannot be used, but where all
 *      parts are copies: such an upload has no sums.
 * (M2) 200 is only the beginning of an answer: complete and copy have happened when the right
 *      document follows.
 * (M3) A part that is still on its way when its upload is aborted may arrive afterwards. Where one
 *      may be, the upload is asked for once more.
 */
#include "backends/s3_i.h"

#include "base/text.h"
#include "base/xml.h"

#include <stdio.h>

#define PART_MIN (5 * MiB)
#define PART_MAX (5 * GiB)
#define PARTS_MAX 10000
#define COMPLETE_MAX (4 * MiB)
#define UPLOAD_ID_MAX 2048

const struct upload_limits s3_upload_limits = {
	.part_min = PART_MIN,
	.part_max = PART_MAX,
	.part_unit = 1,
	.object_max = 5 * KiB * GiB, /* what all have; Amazon more */
	.parts_max = PARTS_MAX,
	.parts_at_once = 64,
	.copies_parts = true,
	.named = true,
};

/* ---- copies ---- */

static void add_source(struct exchange *x, struct span from, const char *from_match)
{
	_cleanup_free_ char *key = web_key(x->web, from);
	_cleanup_free_ char *path = key ? web_path("", x->web->bucket, key, true) : NULL;

	if (!path) {
		x->req->headers.no_memory = true;
		return;
	}
	pairs_add(&x->req->headers, "x-amz-copy-source", path);
	x->source_match = from_match != NULL;
	if (from_match)
		pairs_add(&x->req->headers, "x-amz-copy-source-if-match", from_match);
}

void s3_copy(struct store *s, const struct copy_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_PUT, r->to, r->deadline_ns);
	struct pairs *h;

	if (!x)
		return;
	h = &x->req->headers;
	add_source(x, r->from, r->from_match);
	pairs_add(h, "x-amz-metadata-directive", r->meta ? "REPLACE" : "COPY");
	if (r->meta)
		pairs_add(h, "Content-Type", object_meta_type(r->meta));
	exchange_meta(x, S3_META, r->meta, META_S3);
	s3_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

/* ---- uploads ---- */

void s3_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_POST, r->name, r->deadline_ns);

	if (!x)
		return;
	pairs_add(&x->req->query, "uploads", NULL);
	pairs_add(&x->req->headers, "Content-Type", object_meta_type(r->meta));
	if (!r->copies)
		pairs_add(&x->req->headers, "x-amz-checksum-algorithm", "CRC32C"); /* (M1) */
	exchange_meta(x, S3_META, r->meta, META_S3);
	exchange_start(x);
}

static struct exchange *begin_of(struct store *s, struct store_call *c, enum http_method m,
				 uint64_t deadline_ns)
{
	struct exchange *x = s3_begin(s, c, m, span_str(c->upload->name), deadline_ns);

	if (x)
		pairs_add(&x->req->query, "uploadId", c->upload->id);
	return x;
}

void s3_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c)
{
	struct exchange *x = begin_of(s, c, HTTP_PUT, r->deadline_ns);

	if (!x)
		return;
	pairs_addf(&x->req->query, "partNumber", "%u", r->index + 1);
	if (r->body) {
		exchange_body(x, r->body);
		s3_add_crc32c(&x->req->headers, blob_crc32c(r->body));
	} else {
		add_source(x, r->from, r->from_match);
		pairs_addf(&x->req->headers, "x-amz-copy-source-range", "bytes=%llu-%llu",
			   (unsigned long long)r->offset,
			   (unsigned long long)(r->offset + r->length - 1));
	}
	exchange_start(x);
}

static void crc_bytes(uint32_t crc, uint8_t ret[4])
{
	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint8_t)(crc >> (24 - 8 * i));
}

static int add_part(const struct upload_part *p, unsigned number, struct buf *xml)
{
	uint8_t crc[4];
	int error = buf_addf(xml, "<Part><PartNumber>%u</PartNumber><ETag>", number);

	if (error == 0)
		error = xml_escape(span_str(p->version), xml);
	if (error == 0)
		error = buf_add_str(xml, "</ETag>");
	if (error == 0 && p->has_crc32c) {
		crc_bytes(p->crc32c, crc);
		error = buf_add_str(xml, "<ChecksumCRC32C>");
		if (error == 0)
			error = base64_encode(span_of(crc, sizeof(crc)), xml);
		if (error == 0)
			error = buf_add_str(xml, "</ChecksumCRC32C>");
	}
	return error < 0 ? error : buf_add_str(xml, "</Part>");
}

static struct blob *list_of_parts(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	_cleanup_buf_ struct buf xml = BUF_INIT(COMPLETE_MAX);
	int error = buf_add_str(&xml, "<CompleteMultipartUpload "
				      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");

	for (unsigned i = 0; i < u->sync.n && error == 0; i++)
		error = add_part(&u->sync.parts[i], i + 1, &xml);
	if (error == 0)
		error = buf_add_str(&xml, "</CompleteMultipartUpload>");
	return error < 0 ? NULL : blob_copy(buf_span(&xml));
}

void s3_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	_cleanup_(blob_unrefp) struct blob *body = list_of_parts(c->upload);
	struct exchange *x;

	if (!body) {
		exchange_refuse(c, fail(-ENOMEM));
		return;
	}
	x = begin_of(s, c, HTTP_POST, deadline_ns);
	if (!x)
		return;
	exchange_body(x, body);
	pairs_add(&x->req->headers, "Content-Type", "application/xml");
	s3_condition(x, c->upload->cond, c->upload->if_match);
	exchange_start(x);
}

void s3_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct exchange *x = begin_of(s, c, HTTP_DELETE, deadline_ns);

	if (x)
		exchange_start(x);
}

/* ---- second looks ---- */

int s3_upload_look(struct exchange *x)
{
	char *path = strdup(x->req->path);

	if (!path)
		return fail(-ENOMEM);
	if (x->call->op == STORE_COPY) { /* is there an object of that name? */
		request_retarget(x->req, HTTP_HEAD, path);
		return 0;
	}
	request_retarget(x->req, HTTP_GET, path); /* (M3) */
	pairs_add(&x->req->query, "uploadId", x->call->upload->id);
	return 0;
}

/*
 * The copy was refused, by a condition that could be of either object or because one of them is
 * missing.
 */
int s3_copy_looked(struct exchange *x)
{
	bool there = x->req->status == 200;

	if (!there && x->req->status != 404)
		return exchange_because(x, -EAGAIN, "the copy was refused, and why is not known");
	if (x->cond == PUT_IF_ABSENT)
		return there ? STORE_EXISTS : STORE_CHANGED;
	return there ? STORE_MISSING : STORE_CHANGED;
}

/* ---- answers ---- */

struct wanted {
	const char *etag, *sum; /* paths */
	const char *id;
	char etag_text[STORE_VERSION_MAX], sum_text[16], id_text[UPLOAD_ID_MAX];
	bool found;
};

static void copy_text(const char *path, const char *wanted, struct span text, char *ret,
		      size_t size)
{
	if (wanted && strcmp(path, wanted) == 0 && text.len < size)
		snprintf(ret, size, "%.*s", SPAN_FMT(text));
}

static int on_element(const char *path, struct span text, void *arg)
{
	struct wanted *w = arg;

	copy_text(path, w->etag, text, w->etag_text, sizeof(w->etag_text));
	copy_text(path, w->sum, text, w->sum_text, sizeof(w->sum_text));
	copy_text(path, w->id, text, w->id_text, sizeof(w->id_text));
	return 0;
}

static bool read_document(struct exchange *x, struct wanted *w)
{
	static const struct xml_handler handler = { .end = on_element };

	return xml_parse(buf_span(&x->req->text), &handler, w) == 0;
}

static int begun(struct exchange *x)
{
	struct wanted w = { .id = "/InitiateMultipartUploadResult/UploadId" };
	struct store_upload *u = x->call->upload;

	if (!read_document(x, &w) || !w.id_text[0]) {
		exchange_explain(x, "an answer that names no upload");
		return fail(-EIO);
	}
	u->id = strdup(w.id_text);
	return u->id ? 0 : fail(-ENOMEM);
}

static int part_copied(struct exchange *x)
{
	struct wanted w = { .etag = "/CopyPartResult/ETag",
			    .sum = "/CopyPartResult/ChecksumCRC32C" };
	_cleanup_buf_ struct buf crc = BUF_INIT(8);

	if (!read_document(x, &w) || !w.etag_text[0]) {
		s3_hidden_error(x);
		exchange_explain(x, "the part was not copied");
		return -EAGAIN;
	}
	etag_copy(span_str(w.etag_text), x->call->version);
	if (x->call->upload->copies)
		return 0;
	/* without it, or with that of parts of its own, the end would be refused (M1) */
	if (base64_decode(span_str(w.sum_text), &crc) < 0 || crc.len != 4)
		return exchange_because(x, fail(-EIO), "a part was copied without its checksum");
	upload_know_crc32c(x->call->upload, x->call->entrance.part,
			   (uint32_t)crc.data[0] << 24 | (uint32_t)crc.data[1] << 16 |
				   (uint32_t)crc.data[2] << 8 | crc.data[3]);
	return 0;
}

static int part_sent(struct exchange *x)
{
	if (!x->req->body)
		return part_copied(x);
	if (x->call->version[0])
		return 0;
	exchange_explain(x, "an answer that does not name the part");
	return fail(-EIO);
}

/* (M2) */
static int published(struct exchange *x, const char *etag)
{
	struct wanted w = { .etag = etag };

	if (!read_document(x, &w) || !w.etag_text[0]) {
		if (!s3_hidden_error(x))
			exchange_explain(x, "an answer that means nothing");
		return STORE_UNKNOWN;
	}
	etag_copy(span_str(w.etag_text), x->call->version);
	return 0;
}

/* (M3) */
static int aborted(struct exchange *x)
{
	if (x->looked) {
		exchange_explain(x, "parts of the upload are still there");
		return -EAGAIN;
	}
	return upload_is_doubtful(x->call->upload) ? AGAIN_LOOK : 0;
}

int s3_upload_succeeded(struct exchange *x)
{
	switch (x->call->op) {
	case STORE_COPY:
	case STORE_DESCRIBE:
		return published(x, "/CopyObjectResult/ETag");
	case STORE_UPLOAD_FINISH:
		return published(x, "/CompleteMultipartUploadResult/ETag");
	case STORE_UPLOAD_BEGIN:
		return begun(x);
	case STORE_UPLOAD_PART:
		return part_sent(x);
	default:
		return aborted(x);
	}
}
