/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect of Azure Blob Storage: block blobs, XML, Shared Key, SAS or a bearer token. */
#include "backends/azure_i.h"
#include "backends/dialects.h"
#include "backends/sharedkey.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>

#define API_VERSION "2021-12-02" /* the oldest that has all that is used here */
#define IDLE_S 60
#define IDLE_EMULATOR_S 4 /* Azurite closes after 5 s */
#define LISTING_MAX (16 * MiB)
#define PREFIX_MAX 120

/* ---- signing ---- */

static int sign_shared_key(struct exchange *x, const struct creds_value *v)
{
	_cleanup_buf_ struct buf value = BUF_INIT(KiB);
	struct request *r = x->req;
	int error = sharedkey_sign(v->secret,
				   &(struct sharedkey_request){
					   .account = azure_of(x->web)->account,
					   .method = http_method_name(r->method),
					   .path = r->path,
					   .query = &r->query,
					   .headers = &r->headers,
					   .body_len = request_body_len(r),
				   },
				   &value);

	if (error < 0 || !buf_str(&value))
		return fail(-ENOMEM);
	pairs_set(&r->headers, "Authorization", buf_str(&value));
	return 0;
}

static int azure_sign(struct exchange *x, const struct creds_value *v, uint64_t now_s)
{
	struct request *r = x->req;
	_cleanup_free_ char *bearer = NULL;
	char date[30];

	http_date((time_t)now_s, date);
	pairs_set(&r->headers, "x-ms-version", API_VERSION);
	pairs_set(&r->headers, "x-ms-date", date);
	if (pairs_error(&r->headers) < 0)
		return -ENOMEM;
	if (!v)
		return 0;
	if (azure_open_source(x, v, now_s) < 0)
		return -ENOMEM;
	if (v->kind == CREDS_KEY)
		return sign_shared_key(x, v);
	if (v->kind == CREDS_SAS) {
		azure_sign_source(x, v->secret);
		free(r->raw_query);
		r->raw_query = strdup(v->secret);
		return r->raw_query ? pairs_error(&r->headers) : fail(-ENOMEM);
	}
	if (asprintf(&bearer, "Bearer %s", v->secret) < 0) {
		bearer = NULL;
		return fail(-ENOMEM);
	}
	pairs_set(&r->headers, "Authorization", bearer);
	return 0;
}

/* ---- the five operations ---- */

char *azure_path(struct web *w, struct span name)
{
	_cleanup_free_ char *key = web_key(w, name);

	return key ? web_path(azure_of(w)->base, w->bucket, key, true) : NULL;
}

struct exchange *azure_begin(struct store *st, struct store_call *c, enum http_method m,
			     struct span name, uint64_t deadline_ns)
{
	struct web *w = container_of(st, struct web, store);
	_cleanup_free_ char *path = azure_path(w, name);
	struct exchange *x = path ? exchange_new(w, c, m, path, deadline_ns) : NULL;

	if (!x)
		exchange_refuse(c, fail(-ENOMEM));
	return x;
}

static void azure_get(struct store *s, const struct get_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_GET, r->name, r->deadline_ns);

	if (!x)
		return;
	exchange_range(x, r, "x-ms-range");
	if (r->if_match)
		pairs_add(&x->req->headers, "If-Match", r->if_match);
	exchange_start(x);
}

static void azure_head(struct store *s, const struct head_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_HEAD, r->name, r->deadline_ns);

	if (x)
		exchange_start(x);
}

void azure_add_crc64(struct pairs *headers, struct blob *body)
{
	uint64_t crc = blob_crc64(body);
	uint8_t le[8];
	_cleanup_buf_ struct buf b = BUF_INIT(16);

	for (unsigned i = 0; i < 8; i++)
		le[i] = (uint8_t)(crc >> (8 * i));
	if (base64_encode(span_of(le, sizeof(le)), &b) == 0 && buf_str(&b))
		pairs_add(headers, "x-ms-content-crc64", buf_str(&b));
	else
		headers->no_memory = true;
}

void azure_condition(struct exchange *x, enum put_cond cond, const char *if_match)
{
	exchange_condition(x, cond);
	if (cond == PUT_IF_ABSENT)
		pairs_add(&x->req->headers, "If-None-Match", "*");
	if (cond == PUT_IF_MATCH)
		pairs_add(&x->req->headers, "If-Match", if_match);
}

static void azure_put(struct store *s, const struct put_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_PUT, r->name, r->deadline_ns);
	struct pairs *h;

	if (!x)
		return;
	h = &x->req->headers;
	exchange_body(x, r->body);
	pairs_add(h, "x-ms-blob-type", "BlockBlob");
	pairs_add(h, "Content-Type", object_meta_type(r->meta));
	exchange_meta(x, AZURE_META, r->meta, META_AZURE);
	azure_add_crc64(h, r->body);
	azure_condition(x, r->cond, r->if_match);
	exchange_start(x);
}

static void azure_remove(struct store *s, const struct remove_req *r, struct store_call *c)
{
	struct exchange *x = azure_begin(s, c, HTTP_DELETE, r->name, r->deadline_ns);

	if (!x)
		return;
	x->conditional = r->if_match != NULL;
	if (r->if_match)
		pairs_add(&x->req->headers, "If-Match", r->if_match);
	exchange_start(x);
}

/* There is no way to start after a name: pages before it are read and left out. */
static void azure_list(struct store *st, const struct list_req *r, struct store_call *c)
{
	struct web *w = container_of(st, struct web, store);
	_cleanup_free_ char *prefix = web_key(w, r->prefix);
	_cleanup_free_ char *path = web_path(azure_of(w)->base, w->bucket, NULL, true);
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
	pairs_add(q, "restype", "container");
	pairs_add(q, "comp", "list");
	pairs_add(q, "include", "metadata"); /* tells which blobs stand for directories */
	if (prefix[0])
		pairs_add(q, "prefix", prefix);
	if (r->delimiter)
		pairs_add(q, "delimiter", "/");
	if (r->max)
		pairs_addf(q, "maxresults", "%u", MIN(r->max, 5000u));
	if (x->page.token)
		pairs_add(q, "marker", x->page.token);
	exchange_start(x);
}

/* ---- opening ---- */

static void free_more(struct store *s)
{
	struct azure *a = azure_of(container_of(s, struct web, store));

	free(a->account);
	free(a->base);
}

static const struct store_ops ops = {
	.get = azure_get,
	.put = azure_put,
	.head = azure_head,
	.list = azure_list,
	.remove = azure_remove,
	.copy = azure_copy,
	.describe = azure_describe,
	.upload_begin = azure_upload_begin,
	.upload_part = azure_upload_part,
	.upload_finish = azure_upload_finish,
	.upload_abort = azure_upload_abort,
	.upload_limits = &azure_upload_limits,
	.free = web_free,
};
static const struct dialect dialect = {
	.sign = azure_sign, .judge = azure_judge, .look = azure_copy_look, .free_more = free_more
};

/*
 * In path style the account comes first in the path, unless the endpoint has it already or is the
 * account's own host.
 */
static int set_base(struct azure *a)
{
	const struct endpoint *e = &a->web.endpoint;
	size_t n = strlen(a->account), have = strlen(e->path);
	bool own_host = strncmp(e->host, a->account, n) == 0 &&
			(e->host[n] == '.' || e->host[n] == '-');
	bool named = have > n && e->path[have - n - 1] == '/' &&
		     strcmp(e->path + have - n, a->account) == 0;

	if (asprintf(&a->base, "%s%s%s", e->path, own_host || named ? "" : "/",
		     own_host || named ? "" : a->account) < 0)
		a->base = NULL;
	return a->base ? 0 : fail(-ENOMEM);
}

static int set_endpoint(struct azure *a, const struct uri *u, const struct creds_azure_options *o,
			char *err, size_t err_size)
{
	_cleanup_free_ char *found = NULL;
	const char *text = uri_param(u, "endpoint");
	bool custom;
	int error;

	if (!text && creds_azure_endpoint(o, &found) == 0)
		text = found;
	if (!text) {
		if (asprintf(&found, "https://%s.blob.core.windows.net", a->account) < 0) {
			found = NULL;
			return fail(-ENOMEM);
		}
		text = found;
	}
	error = endpoint_parse(text, "https", &a->web.endpoint);
	if (error == -EINVAL)
		snprintf(err, err_size, "endpoint '%s' is not like https://HOST[:PORT]", text);
	if (error < 0)
		return error;
	custom = !strstr(a->web.endpoint.host, ".blob.");
	a->web.idle_s = custom ? IDLE_EMULATOR_S : IDLE_S;
	return set_base(a);
}

static bool is_made_of(const char *s, const char *others, size_t min, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
		    !strchr(others, s[i]))
			return false;
	return n >= min && n <= max;
}

/* The path is CONTAINER[/PREFIX]. */
static int set_names(struct azure *a, const struct uri *u, const char **ret_prefix, char *err,
		     size_t err_size)
{
	size_t n = strcspn(u->path, "/");

	a->account = strdup(u->authority);
	a->web.bucket = strndup(u->path, n);
	if (!a->account || !a->web.bucket)
		return fail(-ENOMEM);
	*ret_prefix = u->path + n + strspn(u->path + n, "/");
	if (!is_made_of(a->account, "", 3, 24))
		snprintf(err, err_size, "'%s' is not an account's name (3 to 24 of a-z 0-9)",
			 a->account);
	else if (!is_made_of(a->web.bucket, "-$", 3, 63))
		snprintf(err, err_size,
			 "'%s' is not a container's name: the URL is "
			 "azblob://ACCOUNT/CONTAINER[/PREFIX]",
			 a->web.bucket);
	else if (strlen(*ret_prefix) > PREFIX_MAX)
		snprintf(err, err_size, "the prefix after the container is longer than %d bytes",
			 PREFIX_MAX);
	else
		return 0;
	return fail(-EINVAL);
}

static int set_up(struct azure *a, const struct store_config *cfg, const struct uri *u, char *err,
		  size_t err_size)
{
	struct creds_azure_options o = { .file = cfg->credentials };
	const char *prefix = "";
	bool anonymous;
	int error = set_names(a, u, &prefix, err, err_size);

	a->web.dialect = &dialect;
	o.account = a->account;
	if (error == 0)
		error = web_init(&a->web, &ops, &dialect, cfg->name, cfg->url, prefix,
				 uri_param(u, "ca_file"));
	if (error == 0)
		error = set_endpoint(a, u, &o, err, err_size);
	if (error == 0)
		error = uri_param_bool(u, "anonymous", false, &anonymous, err, err_size);
	if (error == 0 && !anonymous)
		error = creds_azure_new(&o, &a->web.creds, err, err_size);
	return error;
}

int azure_open(const struct store_config *cfg, const struct uri *u, struct store **ret, char *err,
	       size_t err_size)
{
	static const char *const known[] = { "endpoint", "ca_file", "anonymous", NULL };
	struct azure *a;
	int error = uri_check_params(u, known, cfg->url, err, err_size);

	if (error == 0)
		error = web_check_ca(uri_param(u, "ca_file"), err, err_size);
	if (error < 0)
		return error;
	if (cfg->profile) {
		snprintf(err, err_size, "profile is for S3 only; use credentials = FILE");
		return fail(-EINVAL);
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return fail(-ENOMEM);
	error = set_up(a, cfg, u, err, err_size);
	if (error < 0) {
		web_free(&a->web.store);
		return error;
	}
	*ret = &a->web.store;
	return 0;
}
