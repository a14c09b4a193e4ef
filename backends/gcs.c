/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dialect of Google Cloud Storage: its JSON API, since the other one has no conditions
 * on uploads of parts.
 *
 * (D1) A version is a generation; "must not exist" is generation 0.
 * (D2) The body of an upload is [head | blob | tail] and never copied; its CRC-32C stands in
 *      the head.
 * (D3) `Accept-Encoding: gzip` goes with contents only: then stored bytes come as they are.
 */
#include "backends/dialects.h"
#include "backends/gcs_i.h"
#include "base/json.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>

#define IDLE_S 60
#define LISTING_MAX (16 * MiB)
#define PREFIX_MAX 120

static struct web *web_of(struct store *s)
{
	return container_of(s, struct web, store);
}

static int gcs_sign(struct exchange *x, const struct creds_value *v, uint64_t now_s)
{
	_cleanup_free_ char *bearer = NULL;

	if (!v || gcs_is_session(x))
		return 0;
	if (asprintf(&bearer, "Bearer %s", v->secret) < 0) {
		bearer = NULL;
		return fail(-ENOMEM);
	}
	pairs_set(&x->req->headers, "Authorization", bearer);
	return 0;
}

/* ---- paths ---- */

char *gcs_path(const struct web *w, const char *upload, const char *key)
{
	_cleanup_free_ char *base = NULL;
	_cleanup_buf_ struct buf b = BUF_INIT(16 * KiB);

	if (buf_addf(&b, "%s%s/storage/v1/b/", w->endpoint.path, upload) < 0 ||
	    percent_encode(span_str(w->bucket), false, &b) < 0 || buf_add_str(&b, "/o") < 0 ||
	    !buf_str(&b))
		return NULL;
	base = (char *)buf_take(&b, &(size_t){ 0 });
	return web_path(base, NULL, key, false);
}

static struct exchange *begin(struct store *s, struct store_call *c, enum http_method m,
			      struct span name, uint64_t deadline_ns)
{
	struct web *w = web_of(s);
	_cleanup_free_ char *key = web_key(w, name);
	_cleanup_free_ char *path = key ? gcs_path(w, "", key) : NULL;
	struct exchange *x = path ? exchange_new(w, c, m, path, deadline_ns) : NULL;

	if (!x)
		exchange_refuse(c, fail(-ENOMEM));
	return x;
}

/* (D1) What is no generation (a version of another store) matches nothing: 1 is long past. */
const char *gcs_generation(const char *version)
{
	return version[strspn(version, "0123456789")] ? "1" : version;
}

/* ---- the five operations ---- */

static void gcs_get(struct store *s, const struct get_req *r, struct store_call *c)
{
	struct exchange *x = begin(s, c, HTTP_GET, r->name, r->deadline_ns);

	if (!x)
		return;
	pairs_add(&x->req->query, "alt", "media");
	if (r->if_match)
		pairs_add(&x->req->query, "ifGenerationMatch", gcs_generation(r->if_match));
	pairs_add(&x->req->headers, "Accept-Encoding", "gzip"); /* (D3) */
	exchange_range(x, r, "Range");
	exchange_start(x);
}

static void gcs_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	struct exchange *x = begin(s, c, HTTP_GET, r->name, r->deadline_ns);

	if (!x)
		return;
	pairs_add(&x->req->query, "fields",
		  "name,generation,size,updated,contentEncoding,contentType,md5Hash,metadata");
	exchange_start(x);
}

int gcs_crc32c_text(uint32_t crc, struct buf *ret)
{
	const uint8_t be[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
				(uint8_t)crc };
	int error = base64_encode(span_of(be, sizeof(be)), ret);

	return error < 0 ? error : buf_str(ret) ? 0 : fail(-ENOMEM);
}

static void set_metadata(struct json *j, const struct object_meta *m)
{
	_cleanup_pairs_ struct pairs p = {};
	struct json *metadata;

	object_meta_write(m, META_GCS, &p);
	if (p.n == 0)
		return;
	metadata = json_object_new();
	for (size_t i = 0; i < p.n; i++)
		json_set_str(metadata, p.items[i].name, p.items[i].value);
	json_set(j, "metadata", metadata);
}

/* A patch: what it does not name stays. */
static void gcs_describe(struct store *s, const struct describe_req *r, struct store_call *c)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	struct exchange *x = begin(s, c, HTTP_PATCH, r->name, r->deadline_ns);
	int error;

	if (!x)
		return;
	set_metadata(j, r->meta);
	error = json_write(j, 0, &x->req->head);
	if (error < 0) {
		exchange_refuse(c, error == -EINVAL ? error : -ENOMEM);
		return;
	}
	pairs_add(&x->req->headers, "Content-Type", "application/json; charset=UTF-8");
	pairs_add(&x->req->query, "fields", "generation");
	gcs_condition(x, r->if_match ? PUT_IF_MATCH : PUT_ALWAYS, r->if_match);
	exchange_start(x);
}

/* The server checks the contents against it. */
int gcs_description(const char *name, const struct object_meta *m, const uint32_t *crc,
		    struct buf *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(16);
	_cleanup_(json_freep) struct json *j = json_object_new();
	int error = crc ? gcs_crc32c_text(*crc, &text) : 0;

	if (error < 0)
		return error;
	if (name)
		json_set_str(j, "name", name);
	json_set_str(j, "contentType", object_meta_type(m));
	json_set_str(j, "cacheControl", "no-store, no-transform");
	if (crc)
		json_set_str(j, "crc32c", buf_str(&text));
	set_metadata(j, m);
	return json_write(j, 0, ret);
}

/* (D2). The boundary is 128 random bits, so that no data holds it. */
static int frame(struct request *r, const char *key, const struct put_req *put)
{
	const uint32_t crc = blob_crc32c(put->body);
	uint8_t bits[16];
	char mark[2 * sizeof(bits) + 1];
	int error;

	random_fill(bits, sizeof(bits));
	hex_encode(span_of(bits, sizeof(bits)), mark);
	pairs_addf(&r->headers, "Content-Type", "multipart/related; boundary=%s", mark);
	error = buf_addf(&r->head, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n",
			 mark);
	if (error == 0)
		error = gcs_description(key, put->meta, &crc, &r->head);
	if (error == 0)
		error = buf_addf(&r->head, "\r\n--%s\r\nContent-Type: %s\r\n\r\n", mark,
				 object_meta_type(put->meta));
	return error < 0 ? error : buf_addf(&r->tail, "\r\n--%s--\r\n", mark);
}

/* (D1) */
void gcs_condition(struct exchange *x, enum put_cond cond, const char *if_match)
{
	exchange_condition(x, cond);
	if (cond != PUT_ALWAYS)
		pairs_add(&x->req->query, "ifGenerationMatch",
			  cond == PUT_IF_ABSENT ? "0" : gcs_generation(if_match));
}

static void gcs_put(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct web *w = web_of(s);
	_cleanup_free_ char *key = web_key(w, r->name);
	_cleanup_free_ char *path = key ? gcs_path(w, "/upload", NULL) : NULL;
	struct exchange *x = path ? exchange_new(w, c, HTTP_POST, path, r->deadline_ns) : NULL;
	int error = x ? frame(x->req, key, r) : fail(-ENOMEM);

	if (error < 0) {
		/* a name that is no UTF-8 */
		exchange_refuse(c, error == -EINVAL ? error : -ENOMEM);
		return;
	}
	exchange_body(x, r->body);
	pairs_add(&x->req->query, "uploadType", "multipart");
	pairs_add(&x->req->query, "fields", "generation,size");
	gcs_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

static void gcs_remove(struct store *s, const struct remove_req *r, struct store_call *c)
{
	struct exchange *x = begin(s, c, HTTP_DELETE, r->name, r->deadline_ns);

	if (!x)
		return;
	x->conditional = r->if_match != NULL;
	if (r->if_match)
		pairs_add(&x->req->query, "ifGenerationMatch", gcs_generation(r->if_match));
	exchange_start(x);
}

static void gcs_list(struct store *s, const struct list_req *r, struct store_call *c)
{
	struct web *w = web_of(s);
	_cleanup_free_ char *prefix = web_key(w, r->prefix);
	_cleanup_free_ char *path = gcs_path(w, "", NULL);
	struct exchange *x = prefix && path ? exchange_new(w, c, HTTP_GET, path, r->deadline_ns)
					    : NULL;
	struct pairs *q;
	int error = x ? exchange_page(x, r) : fail(-ENOMEM);

	if (error < 0) {
		exchange_refuse(c, error);
		return;
	}
	q = &x->req->query;
	buf_init(&x->req->text, LISTING_MAX);
	pairs_add(q, "fields", "kind,nextPageToken,prefixes,items(name,size,generation,updated)");
	if (prefix[0])
		pairs_add(q, "prefix", prefix);
	if (r->delimiter)
		pairs_add(q, "delimiter", "/");
	if (r->max) /* the page begins with `after` itself, which we drop */
		pairs_addf(q, "maxResults", "%u",
			   MIN(r->max + (x->page.after && !x->page.token), 1000u));
	if (x->page.after)
		pairs_add(q, "startOffset", x->page.after);
	if (x->page.token)
		pairs_add(q, "pageToken", x->page.token);
	exchange_start(x);
}

/* ---- opening ---- */

static const struct store_ops ops = {
	.get = gcs_get,
	.put = gcs_put,
	.head = gcs_head,
	.list = gcs_list,
	.remove = gcs_remove,
	.copy = gcs_copy,
	.describe = gcs_describe,
	.upload_begin = gcs_upload_begin,
	.upload_part = gcs_upload_part,
	.upload_finish = gcs_upload_finish,
	.upload_abort = gcs_upload_abort,
	.upload_limits = &gcs_upload_limits,
	.free = web_free,
};
static const struct dialect dialect = { .sign = gcs_sign, .judge = gcs_judge, .look = gcs_look };

/* The emulator of the environment has no authentication. */
static int set_endpoint(struct web *w, const struct uri *u, bool *ret_emulator, char *err,
			size_t err_size)
{
	const char *text = uri_param(u, "endpoint"), *emulator = creds_env("STORAGE_EMULATOR_HOST");
	int error;

	*ret_emulator = !text && emulator;
	if (!text)
		text = emulator ? emulator : "https://storage.googleapis.com";
	error = endpoint_parse(text, *ret_emulator ? "http" : "https", &w->endpoint);
	if (error == -EINVAL)
		snprintf(err, err_size, "endpoint '%s' is not like https://HOST[:PORT]", text);
	return error;
}

static int check_bucket(const struct uri *u, char *err, size_t err_size)
{
	size_t n = strlen(u->authority);

	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)u->authority[i]) &&
		    !isdigit((unsigned char)u->authority[i]) && !strchr(".-_", u->authority[i]))
			n = 0;
	if (n < 3 || n > 222) {
		snprintf(err, err_size, "'%s' is not a bucket's name (3 to 63 of a-z 0-9 - _ .)",
			 u->authority);
		return fail(-EINVAL);
	}
	if (strlen(u->path) > PREFIX_MAX) {
		snprintf(err, err_size, "the prefix after the bucket is longer than %d bytes",
			 PREFIX_MAX);
		return fail(-EINVAL);
	}
	return 0;
}

static int set_up(struct web *w, const struct store_config *cfg, const struct uri *u, char *err,
		  size_t err_size)
{
	bool anonymous, emulator;
	int error = web_init(w, &ops, &dialect, cfg->name, cfg->url, u->path,
			     uri_param(u, "ca_file"));

	w->store.starts_after = true;
	if (error == 0)
		error = set_endpoint(w, u, &emulator, err, err_size);
	if (error == 0)
		error = uri_param_bool(u, "anonymous", false, &anonymous, err, err_size);
	if (error == 0 && !anonymous && !emulator)
		error = creds_gcs_new(&(struct creds_gcs_options){ .file = cfg->credentials },
				      &w->creds, err, err_size);
	w->idle_s = IDLE_S;
	w->bucket = strdup(u->authority);
	return error < 0 ? error : w->bucket ? 0 : fail(-ENOMEM);
}

int gcs_open(const struct store_config *cfg, const struct uri *u, struct store **ret, char *err,
	     size_t err_size)
{
	static const char *const known[] = { "endpoint", "ca_file", "anonymous", NULL };
	struct web *w;
	int error = uri_check_params(u, known, cfg->url, err, err_size);

	if (error == 0)
		error = web_check_ca(uri_param(u, "ca_file"), err, err_size);
	if (error == 0)
		error = check_bucket(u, err, err_size);
	if (error < 0)
		return error;
	if (cfg->profile) {
		snprintf(err, err_size, "profile is for S3 only; use credentials = FILE");
		return fail(-EINVAL);
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return fail(-ENOMEM);
	error = set_up(w, cfg, u, err, err_size);
	if (error < 0) {
		web_free(&w->store);
		return error;
	}
	*ret = &w->store;
	return 0;
}
