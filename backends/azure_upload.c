/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block lists and copies at Azure.
 *
 * (L1) Blocks that are not committed belong to the name, whoever sent them. Those of one upload
 * have a random beginning, so that two writers never take each other's; whoever commits first drops
 *      the other's, who then hears that its upload is gone.
 * (L2) Nothing tells the service of a beginning or an abort.
 * (L4) A part that is copied is read by the service as anybody would: the source's address carries
 *      an access signature, or a header the token. Who cannot be given one refuses, and is sent it.
 * (L3) A copy may go on after its answer: until it says "success" it is asked for again.
 */
#include "backends/azure_i.h"

#include "backends/sharedkey.h"
#include "base/text.h"

#include <stdio.h>

#define LIST_MAX (8 * MiB)
#define NONCE_BYTES 16

const struct upload_limits azure_upload_limits = {
	.part_min = 1,
	.part_max = 4000 * MiB,
	.part_unit = 1,
	.object_max = 50000 * 4000 * MiB,
	.parts_max = 50000,
	.parts_at_once = 64,
	.copies_parts = true,
};

#define ACCESS_S 3600 /* how long a source may be read for a copy of a part */

/* What the service reads by itself. */
static void add_source(struct exchange *x, struct span name, const char *from_match)
{
	_cleanup_free_ char *from = azure_path(x->web, name);
	struct pairs *h = &x->req->headers;

	if (from)
		pairs_addf(h, "x-ms-copy-source", "%s%s", x->web->endpoint.origin, from);
	else
		h->no_memory = true;
	x->source_match = from_match != NULL;
	if (from_match)
		pairs_add(h, "x-ms-source-if-match", from_match);
}

/* ---- uploads ---- */

/* (L2) */
void azure_upload_begin(struct store *s, const struct upload_req *r, struct store_call *c)
{
	uint8_t nonce[NONCE_BYTES];
	char *id = malloc(2 * sizeof(nonce) + 1);

	if (!id) {
		exchange_refuse(c, fail(-ENOMEM));
		return;
	}
	random_fill(nonce, sizeof(nonce));
	hex_encode(span_of(nonce, sizeof(nonce)), id);
	c->upload->id = id;
	exchange_done(c);
}

void azure_upload_abort(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	exchange_done(c);
}

/* (L1) All of one length, as the service wants it. Appends. */
static int block_id(const struct store_upload *u, unsigned index, struct buf *ret)
{
	char id[2 * NONCE_BYTES + 9];

	snprintf(id, sizeof(id), "%s%08x", u->id, index);
	return base64_encode(span_str(id), ret);
}

void azure_upload_part(struct store *s, const struct upload_part_req *r, struct store_call *c)
{
	_cleanup_buf_ struct buf id = BUF_INIT(128);
	struct exchange *x;

	if (block_id(c->upload, r->index, &id) < 0 || !buf_str(&id)) {
		exchange_refuse(c, fail(-ENOMEM));
		return;
	}
	x = azure_begin(s, c, HTTP_PUT, span_str(c->upload->name), r->deadline_ns);
	if (!x)
		return;
	pairs_add(&x->req->query, "comp", "block");
	pairs_add(&x->req->query, "blockid", buf_str(&id));
	if (r->body) {
		exchange_body(x, r->body);
		pairs_add(&x->req->headers, "Content-Type", "application/octet-stream");
		azure_add_crc64(&x->req->headers, r->body);
	} else {
		add_source(x, r->from, r->from_match);
		pairs_addf(&x->req->headers, "x-ms-source-range", "bytes=%llu-%llu",
			   (unsigned long long)r->offset,
			   (unsigned long long)(r->offset + r->length - 1));
	}
	exchange_start(x);
}

static int add_block(const struct store_upload *u, unsigned index, struct buf *xml)
{
	int error = buf_add_str(xml, "<Uncommitted>");

	if (error == 0)
		error = block_id(u, index, xml);
	return error < 0 ? error : buf_add_str(xml, "</Uncommitted>");
}

static struct blob *list_of_blocks(struct store_upload *u)
{
	_cleanup_buf_ struct buf xml = BUF_INIT(LIST_MAX);
	unsigned n = upload_parts(u);
	int error = buf_add_str(&xml, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");

	for (unsigned i = 0; i < n && error == 0; i++)
		error = add_block(u, i, &xml);
	if (error == 0)
		error = buf_add_str(&xml, "</BlockList>");
	return error < 0 ? NULL : blob_copy(buf_span(&xml));
}

void azure_upload_finish(struct store *s, uint64_t deadline_ns, struct store_call *c)
{
	struct store_upload *u = c->upload;
	_cleanup_(blob_unrefp) struct blob *body = list_of_blocks(u);
	struct exchange *x;
	struct pairs *h;

	if (!body) {
		exchange_refuse(c, fail(-ENOMEM));
		return;
	}
	x = azure_begin(s, c, HTTP_PUT, span_str(u->name), deadline_ns);
	if (!x)
		return;
	h = &x->req->headers;
	pairs_add(&x->req->query, "comp", "blocklist");
	exchange_body(x, body);
	pairs_add(h, "Content-Type", "application/xml");
	pairs_add(h, "x-ms-blob-content-type", object_meta_type(&u->meta));
	exchange_meta(x, AZURE_META, &u->meta, META_AZURE);
	azure_add_crc64(h, body);
	azure_condition(x, u->cond, u->if_match);
	exchange_start(x);
}

/* ---- copies ---- */

void azure_copy(struct store *s, const struct copy_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_PUT, r->to, r->deadline_ns);

	if (!x)
		return;
	add_source(x, r->from, r->from_match);
	exchange_meta(x, AZURE_META, r->meta, META_AZURE);
	azure_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

/* "/container/name" of the source, as it is. Appends. */
static int source_path(const struct exchange *x, struct buf *ret)
{
	const char *url = pairs_get(&x->req->headers, "x-ms-copy-source");
	const size_t skip = strlen(x->web->endpoint.origin) + strlen(azure_of(x->web)->base);
	int error = percent_decode(span_of(url + skip, strcspn(url + skip, "?")), false, ret);

	return error < 0 ? error : buf_str(ret) ? 0 : fail(-ENOMEM);
}

int azure_open_source(struct exchange *x, const struct creds_value *v, uint64_t now_s)
{
	_cleanup_buf_ struct buf path = BUF_INIT(4 * KiB), sas = BUF_INIT(KiB);
	struct pairs *h = &x->req->headers;
	int error;

	if (x->call->op != STORE_UPLOAD_PART || !pairs_get(h, "x-ms-copy-source"))
		return 0;
	if (v->kind == CREDS_BEARER) {
		pairs_remove(h, "x-ms-copy-source-authorization");
		pairs_addf(h, "x-ms-copy-source-authorization", "Bearer %s", v->secret);
	}
	if (v->kind != CREDS_KEY)
		return 0;
	error = source_path(x, &path);
	if (error == 0)
		error = sharedkey_read_access(v->secret, azure_of(x->web)->account, buf_str(&path),
					      now_s + ACCESS_S, &sas);
	if (error == 0 && buf_str(&sas))
		azure_sign_source(x, buf_str(&sas));
	return error < 0 ? error : pairs_error(h);
}

void azure_sign_source(struct exchange *x, const char *sas)
{
	struct pairs *h = &x->req->headers;
	const char *url = pairs_get(h, "x-ms-copy-source");
	char *signed_url;

	if (!url)
		return;
	/* of an earlier try: what is escaped holds no '?' */
	if (asprintf(&signed_url, "%.*s?%s", (int)strcspn(url, "?"), url, sas) < 0) {
		h->no_memory = true;
		return;
	}
	pairs_set(h, "x-ms-copy-source", signed_url);
	free(signed_url);
}

int azure_copy_look(struct exchange *x)
{
	char *path = strdup(x->req->path);

	if (!path)
		return fail(-ENOMEM);
	request_retarget(x->req, HTTP_HEAD, path);
	return 0;
}

int azure_copy_unseen(struct exchange *x)
{
	if (x->req->status == 429 || x->req->status >= 500)
		return AGAIN_WAIT;
	if (x->req->status == 401 && x->value)
		return AGAIN_RENEW;
	exchange_explain(x, "a copy is under way, and how far it is cannot be seen");
	return STORE_UNKNOWN;
}

/* (L3) */
int azure_copied(struct exchange *x)
{
	char status[16];

	request_header_copy(x->req, "x-ms-copy-status", status, sizeof(status));
	if (strcmp(status, "success") == 0)
		return 0;
	if (strcmp(status, "pending") == 0)
		return AGAIN_WAIT;
	exchange_explain(x, status[0] ? "the service gave the copy up" : "no word about the copy");
	return status[0] ? fail(-EIO) : STORE_UNKNOWN;
}
