/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The S3 dialect: Amazon and what speaks like it.
 *
 * (D1) A HEAD has no error body, so its 404 cannot tell a missing key from a missing bucket;
 *      a GET of one byte then does.
 * (D2) On plain HTTP the body's SHA-256 is signed; on TLS the CRC guards it and the rest is TLS.
 */
#include "backends/dialects.h"
#include "backends/s3_i.h"
#include "backends/sigv4.h"
#include "base/crypto.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>

#define IDLE_S 4 /* S3 closes a connection that was idle for 5 s */
#define LISTING_MAX (16 * MiB)
#define PREFIX_MAX 120

/* ---- addresses and signatures ---- */

static void region_copy(struct s3 *s, char ret[48])
{
	LOCK_SCOPE(&s->web.store.sync.lock);
	memcpy(ret, s->region, sizeof(s->region));
}

/* "http://host" for this try and its Host header. */
static int set_address(struct exchange *x, const char *region)
{
	struct s3 *s = s3_of(x->web);
	const struct endpoint *e = &s->web.endpoint;
	_cleanup_free_ char *host = NULL, *origin = NULL;
	const char *before = s->path_style ? "" : s->web.bucket, *dot = s->path_style ? "" : ".";
	int n;

	if (s->amazon)
		n = asprintf(&host, "%s%ss3.%s.amazonaws.com%s", before, dot, region,
			     strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	else
		n = asprintf(&host, "%s%s%s", before, dot, e->host);
	if (n < 0) {
		host = NULL;
		return fail(-ENOMEM);
	}
	if (asprintf(&origin, "http%s://%s", s->amazon || e->tls ? "s" : "", host) < 0) {
		origin = NULL;
		return fail(-ENOMEM);
	}
	pairs_set(&x->req->headers, "Host", host);
	return request_set_origin(x->req, origin);
}

/* (D2) */
static const char *payload_hash(struct exchange *x)
{
	static const char empty[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	uint8_t hash[SHA256_LEN];

	if (!x->req->body)
		return empty;
	if (s3_of(x->web)->amazon || x->web->endpoint.tls)
		return SIGV4_UNSIGNED;
	if (!x->body_hash) {
		x->body_hash = malloc(2 * SHA256_LEN + 1);
		if (!x->body_hash)
			return NULL;
		sha256(blob_span(x->req->body), hash);
		hex_encode(span_of(hash, sizeof(hash)), x->body_hash);
	}
	return x->body_hash;
}

static int authorize(struct exchange *x, const struct creds_value *v, const char *region,
		     const char *date, const char *hash)
{
	_cleanup_buf_ struct buf query = BUF_INIT(16 * KiB), value = BUF_INIT(8 * KiB);
	struct request *r = x->req;
	const struct sigv4_key key = { v->id, v->secret, v->session, region, "s3" };
	int error = pairs_query(&r->query, &query);

	if (error == 0 && !buf_str(&query))
		error = -ENOMEM;
	if (error == 0)
		error = sigv4_sign(&key,
				   &(struct sigv4_request){
					   .method = http_method_name(r->method),
					   .path = r->path,
					   .query = buf_str(&query),
					   .headers = &r->headers,
					   .payload_hash = hash,
					   .date = date,
				   },
				   &value);
	if (error < 0 || !buf_str(&value))
		return fail(-ENOMEM);
	pairs_set(&r->headers, "Authorization", buf_str(&value));
	return 0;
}

static int s3_sign(struct exchange *x, const struct creds_value *v, uint64_t now_s)
{
	char date[17], region[48];
	const char *hash;
	int error;

	region_copy(s3_of(x->web), region);
	error = set_address(x, region);
	if (error < 0 || !v)
		return error;
	hash = payload_hash(x);
	if (!hash)
		return fail(-ENOMEM);
	iso_basic_date((time_t)now_s, date);
	pairs_set(&x->req->headers, "x-amz-date", date);
	pairs_set(&x->req->headers, "x-amz-content-sha256", hash);
	pairs_remove(&x->req->headers, "x-amz-security-token");
	if (v->session)
		pairs_set(&x->req->headers, "x-amz-security-token", v->session);
	return authorize(x, v, region, date, hash);
}

/* ---- the five operations ---- */

static char *path_of(struct web *w, const char *key)
{
	const struct s3 *s = s3_of(w);

	return web_path(s->amazon ? "" : w->endpoint.path, s->path_style ? w->bucket : NULL, key,
			true);
}

struct exchange *s3_begin(struct store *st, struct store_call *c, enum http_method m,
			  struct span name, uint64_t deadline_ns)
{
	struct web *w = container_of(st, struct web, store);
	_cleanup_free_ char *key = web_key(w, name);
	_cleanup_free_ char *path = key ? path_of(w, key) : NULL;
	struct exchange *x = path ? exchange_new(w, c, m, path, deadline_ns) : NULL;

	if (!x)
		exchange_refuse(c, fail(-ENOMEM));
	return x;
}

static void s3_get(struct store *s, const struct get_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_GET, r->name, r->deadline_ns);

	if (!x)
		return;
	exchange_range(x, r, "Range");
	if (r->if_match)
		pairs_add(&x->req->headers, "If-Match", r->if_match);
	exchange_start(x);
}

static void s3_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_HEAD, r->name, r->deadline_ns);

	if (x)
		exchange_start(x);
}

void s3_add_crc32c(struct pairs *headers, uint32_t crc)
{
	const uint8_t be[4] = { (uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
				(uint8_t)crc };
	_cleanup_buf_ struct buf b = BUF_INIT(16);

	if (base64_encode(span_of(be, sizeof(be)), &b) == 0 && buf_str(&b))
		pairs_add(headers, "x-amz-checksum-crc32c", buf_str(&b));
	else
		headers->no_memory = true;
}

void s3_condition(struct exchange *x, enum put_cond cond, const char *if_match)
{
	exchange_condition(x, cond);
	if (cond == PUT_IF_ABSENT)
		pairs_add(&x->req->headers, "If-None-Match", "*");
	if (cond == PUT_IF_MATCH)
		pairs_add(&x->req->headers, "If-Match", if_match);
}

static void s3_put(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_PUT, r->name, r->deadline_ns);
	struct pairs *h;

	if (!x)
		return;
	h = &x->req->headers;
	exchange_body(x, r->body);
	pairs_add(h, "Content-Type", object_meta_type(r->meta));
	exchange_meta(x, S3_META, r->meta, META_S3);
	s3_add_crc32c(h, blob_crc32c(r->body));
	s3_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

static void s3_remove(struct store *s, const struct remove_req *r, struct store_call *c)
{
	struct exchange *x = s3_begin(s, c, HTTP_DELETE, r->name, r->deadline_ns);

	if (!x)
		return;
	x->conditional = r->if_match != NULL;
	if (r->if_match)
		pairs_add(&x->req->headers, "If-Match", r->if_match);
	exchange_start(x);
}

static void s3_list(struct store *st, const struct list_req *r, struct store_call *c)
{
	struct web *w = container_of(st, struct web, store);
	_cleanup_free_ char *prefix = web_key(w, r->prefix);
	_cleanup_free_ char *path = path_of(w, s3_of(w)->path_style ? NULL : "");
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
	pairs_add(q, "list-type", "2");
	pairs_add(q, "encoding-type", "url");
	pairs_add(q, "prefix", prefix);
	if (r->delimiter)
		pairs_add(q, "delimiter", "/");
	if (r->max)
		pairs_addf(q, "max-keys", "%u", MIN(r->max, 1000u));
	if (x->page.token)
		pairs_add(q, "continuation-token", x->page.token);
	else if (x->page.after)
		pairs_add(q, "start-after", x->page.after);
	exchange_start(x);
}

/* (D1) */
static int s3_look(struct exchange *x)
{
	char *path;

	if (x->call->op != STORE_HEAD && x->call->op != STORE_DESCRIBE)
		return s3_upload_look(x);
	path = strdup(x->req->path);
	if (!path)
		return fail(-ENOMEM);
	request_retarget(x->req, HTTP_GET, path);
	pairs_add(&x->req->headers, "Range", "bytes=0-0");
	return 0;
}

/* ---- opening ---- */

static const struct store_ops ops = {
	.get = s3_get,
	.put = s3_put,
	.head = s3_head,
	.list = s3_list,
	.remove = s3_remove,
	.copy = s3_copy,
	.describe = s3_describe,
	.upload_begin = s3_upload_begin,
	.upload_part = s3_upload_part,
	.upload_finish = s3_upload_finish,
	.upload_abort = s3_upload_abort,
	.upload_limits = &s3_upload_limits,
	.free = web_free,
};
static const struct dialect dialect = { .sign = s3_sign, .judge = s3_judge, .look = s3_look };

static int set_region(struct s3 *s, const struct uri *u, const struct creds_aws_options *o,
		      char *err, size_t err_size)
{
	_cleanup_free_ char *of_profile = NULL;
	const char *region = uri_param(u, "region");

	if (!region)
		region = creds_env("AWS_REGION");
	if (!region)
		region = creds_env("AWS_DEFAULT_REGION");
	if (!region && creds_aws_setting(o, "region", &of_profile) == 0)
		region = of_profile;
	if (!region)
		region = "us-east-1";
	if (!s3_region_is_good(region)) {
		snprintf(err, err_size, "'%s' is not a region of S3", region);
		return fail(-EINVAL);
	}
	snprintf(s->region, sizeof(s->region), "%s", region);
	return 0;
}

static int set_endpoint(struct s3 *s, const struct uri *u, const struct creds_aws_options *o,
			char *err, size_t err_size)
{
	_cleanup_free_ char *of_profile = NULL;
	const char *text = uri_param(u, "endpoint");
	int error;

	if (!text)
		text = creds_env("AWS_ENDPOINT_URL_S3");
	if (!text)
		text = creds_env("AWS_ENDPOINT_URL");
	if (!text && creds_aws_setting(o, "endpoint_url", &of_profile) == 0)
		text = of_profile;
	s->amazon = !text;
	if (text) {
		error = endpoint_parse(text, "https", &s->web.endpoint);
		if (error == -EINVAL)
			snprintf(err, err_size, "endpoint '%s' is not like https://HOST[:PORT]",
				 text);
		if (error < 0)
			return error;
	}
	/* a bucket's own host exists at Amazon only, and its certificate covers no dots */
	return uri_param_bool(u, "path_style", text != NULL || strchr(u->authority, '.'),
			      &s->path_style, err, err_size);
}

static int check_bucket(const struct uri *u, char *err, size_t err_size)
{
	size_t n = strlen(u->authority);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)u->authority[i]) && !strchr(".-_", u->authority[i]))
			n = 0;
	if (n < 3 || n > 63) {
		snprintf(err, err_size, "'%s' is not a bucket's name (3 to 63 of a-z 0-9 - .)",
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

static int set_up(struct s3 *s, const struct store_config *cfg, const struct uri *u, char *err,
		  size_t err_size)
{
	const struct creds_aws_options o = { .file = cfg->credentials,
					     .profile = cfg->profile,
					     .region = s->region,
					     .ca_file = uri_param(u, "ca_file") };
	bool anonymous;
	int error = web_init(&s->web, &ops, &dialect, cfg->name, cfg->url, u->path, o.ca_file);

	s->web.store.starts_after = true;
	if (error == 0)
		error = set_region(s, u, &o, err, err_size);
	if (error == 0)
		error = set_endpoint(s, u, &o, err, err_size);
	if (error == 0)
		error = uri_param_bool(u, "anonymous", false, &anonymous, err, err_size);
	if (error == 0 && !anonymous)
		error = creds_aws_new(&o, &s->web.creds, err, err_size);
	s->web.idle_s = IDLE_S;
	s->web.bucket = strdup(u->authority);
	return error < 0 ? error : s->web.bucket ? 0 : fail(-ENOMEM);
}

int s3_open(const struct store_config *cfg, const struct uri *u, struct store **ret, char *err,
	    size_t err_size)
{
	static const char *const known[] = { "endpoint", "region",    "path_style",
					     "ca_file",  "anonymous", NULL };
	struct s3 *s;
	int error = uri_check_params(u, known, cfg->url, err, err_size);

	if (error == 0)
		error = web_check_ca(uri_param(u, "ca_file"), err, err_size);
	if (error == 0)
		error = check_bucket(u, err, err_size);
	if (error < 0)
		return error;
	s = calloc(1, sizeof(*s));
	if (!s)
		return fail(-ENOMEM);
	error = set_up(s, cfg, u, err, err_size);
	if (error < 0) {
		web_free(&s->web.store);
		return error;
	}
	*ret = &s->web.store;
	return 0;
}
