/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SharedKey, shared access signatures (of a service or an account) and bearer tokens, verified.
 */
#include "web_azure.h"

#include "web_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SKEW_S = 15 * 60 };

static void fail_auth(struct web_req *req, const char *detail)
{
	struct web_text extra = { 0 };
	web_text_puts(&extra, "<AuthenticationErrorDetail>");
	web_text_xml(&extra, detail);
	web_text_puts(&extra, "</AuthenticationErrorDetail>");
	web_azure_fail(req, 403, "AuthenticationFailed",
		       "Server failed to authenticate the request. Make sure the value of "
		       "Authorization header is formed correctly including the signature.",
		       extra.s);
	web_text_release(&extra);
}

static bool signature_is(const struct web_req *req, const struct web_text *to_sign,
			 const char *base64)
{
	const struct web_conf *conf = &req->web->conf;
	uint8_t expected[32], given[32];
	if (!HMAC(EVP_sha256(), conf->account_key, (int)conf->account_key_len,
		  (const uint8_t *)to_sign->s, to_sign->len, expected, NULL))
		abort();
	return web_base64_decode(base64, given, sizeof(given)) == sizeof(given) &&
	       memcmp(given, expected, sizeof(given)) == 0;
}

/* ---- SharedKey ---- */

static void put_standard_headers(struct web_text *out, const struct web_req *req)
{
	static const char *const names[] = {
		"content-encoding", "content-language", "content-length", "content-md5",
		"content-type", "date", "if-modified-since", "if-match", "if-none-match",
		"if-unmodified-since", "range",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = web_header(req, names[i]);
		bool zero = i == 2 && value && strcmp(value, "0") == 0;
		bool replaced = i == 5 && web_header(req, "x-ms-date");
		if (value && !zero && !replaced)
			web_text_puts(out, value);
		web_text_putc(out, '\n');
	}
}

static int pair_order(const void *a, const void *b)
{
	const struct web_pair *x = a, *y = b;
	int order = strcasecmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

static void put_own_headers(struct web_text *out, const struct web_req *req)
{
	struct web_pair own[WEB_HEADERS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < req->nheaders; i++)
		if (strncmp(req->headers[i].name, "x-ms-", 5) == 0)
			own[n++] = req->headers[i];
	qsort(own, n, sizeof(own[0]), pair_order);
	for (size_t i = 0; i < n; i++)
		web_text_printf(out, "%s:%s\n", own[i].name, own[i].value);
}

/* Parameters of one name are joined by commas, in order. */
static void put_params(struct web_text *out, const struct web_req *req)
{
	struct web_pair params[WEB_QUERY_MAX];
	memcpy(params, req->params, req->nparams * sizeof(params[0]));
	qsort(params, req->nparams, sizeof(params[0]), pair_order);
	for (size_t i = 0; i < req->nparams; i++) {
		if (i && strcasecmp(params[i].name, params[i - 1].name) == 0) {
			web_text_printf(out, ",%s", params[i].value);
			continue;
		}
		web_text_putc(out, '\n');
		for (const char *p = params[i].name; *p; p++)
			web_text_putc(out, *p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
		web_text_printf(out, ":%s", params[i].value);
	}
}

static bool check_date(struct web_req *req)
{
	const char *date = web_header(req, "x-ms-date");
	if (!date)
		date = web_header(req, "date");
	int64_t when = date ? web_parse_http_date(date) : -1;
	int64_t late_s = web_now_ns(req->web) / 1000000000 - when;
	if (when < 0) {
		fail_auth(req, "The Date header in the request is missing or incorrect.");
		return false;
	}
	if (late_s < -SKEW_S || late_s > SKEW_S) {
		fail_auth(req, "Request date header too old");
		return false;
	}
	return true;
}

static void shared_key(struct web_req *req, const char *credentials)
{
	const struct web_conf *conf = &req->web->conf;
	size_t n = strlen(conf->account);
	if (strncmp(credentials, conf->account, n) != 0 || credentials[n] != ':')
		return fail_auth(req, "The account is not known.");
	if (!check_date(req))
		return;
	struct web_text text = { 0 };
	web_text_printf(&text, "%s\n", req->method);
	put_standard_headers(&text, req);
	put_own_headers(&text, req);
	web_text_printf(&text, "/%s%s", conf->account, req->path);
	put_params(&text, req);
	if (!signature_is(req, &text, credentials + n + 1)) {
		struct web_text detail = { 0 };
		web_text_printf(&detail, "The MAC signature found in the HTTP request is not the "
				"same as any computed signature. Server used following string to "
				"sign: '%s'.", text.s);
		fail_auth(req, detail.s);
		web_text_release(&detail);
	}
	web_text_release(&text);
}

/* ---- shared access signatures ---- */

static void put_lines(struct web_text *out, const struct web_req *req, const char *const *names,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		web_text_printf(out, "%s\n", web_param_or_empty(req, names[i]));
}

/* The 16 fields of version 2020-12-06, without a newline at the end. */
static void put_service_sas(struct web_text *out, const struct web_req *req)
{
	static const char *const first[] = { "sp", "st", "se" };
	static const char *const rest[] = { "si", "sip", "spr", "sv", "sr", "snapshot", "ses",
					    "rscc", "rscd", "rsce", "rscl", "rsct" };
	put_lines(out, req, first, 3);
	web_text_printf(out, "/blob/%s/%s", req->web->conf.account, req->bucket);
	/* In a listing the key is only its prefix. */
	if (strcmp(web_param_or_empty(req, "sr"), "b") == 0)
		web_text_printf(out, "/%s", req->key);
	web_text_putc(out, '\n');
	put_lines(out, req, rest, 12);
	out->s[--out->len] = '\0';
}

/* Of an account: with a newline at the end. */
static void put_account_sas(struct web_text *out, const struct web_req *req)
{
	static const char *const names[] = { "sp", "ss", "srt", "st", "se", "sip", "spr", "sv",
					     "ses" };
	web_text_printf(out, "%s\n", req->web->conf.account);
	put_lines(out, req, names, 9);
}

static bool sas_is_timely(const struct web_req *req)
{
	int64_t now_s = web_now_ns(req->web) / 1000000000;
	const char *start = web_param_or_empty(req, "st");
	int64_t end_s = web_parse_iso_date(web_param_or_empty(req, "se"));
	return end_s > now_s && (!*start || web_parse_iso_date(start) <= now_s);
}

static void check_account_sas_scope(struct web_req *req)
{
	bool object = *req->key && req->verb != AZURE_LIST;
	char type = object ? 'o' : *req->bucket ? 'c' : 's';
	if (!strchr(web_param_or_empty(req, "ss"), 'b'))
		web_azure_fail(req, 403, "AuthorizationServiceMismatch",
			       "This request is not authorized using this service.", "");
	else if (!strchr(web_param_or_empty(req, "srt"), type))
		web_azure_fail(req, 403, "AuthorizationResourceTypeMismatch",
			       "This request is not authorized using this resource type.", "");
}

static void shared_access(struct web_req *req)
{
	struct web_text text = { 0 };
	bool account = web_param(req, "ss");
	if (strcmp(web_param_or_empty(req, "sv"), "2020-12-06") < 0)
		return fail_auth(req, "Versions before 2020-12-06 are not implemented.");
	if (account)
		put_account_sas(&text, req);
	else
		put_service_sas(&text, req);
	bool good = signature_is(req, &text, web_param_or_empty(req, "sig"));
	web_text_release(&text);
	if (!good)
		return fail_auth(req, "Signature did not match.");
	if (!sas_is_timely(req))
		return fail_auth(req, "Signature not valid in the specified time frame.");
	char needed = web_azure_permission(req);
	const char *given = web_param_or_empty(req, "sp");
	/* Creating needs either of two; a client that only creates has only "c". */
	bool permitted = strchr(given, needed) || (needed == 'w' && strchr(given, 'c'));
	if (!permitted)
		return web_azure_fail(req, 403, "AuthorizationPermissionMismatch",
				      "This request is not authorized to perform this operation "
				      "using this permission.", "");
	if (account)
		check_account_sas_scope(req);
}

/* The parameters of a query, which is changed. */
static void params_read(struct web_req *req, char *query)
{
	char *next = NULL;
	req->nparams = 0;
	for (char *p = strtok_r(query, "&", &next); p && req->nparams < WEB_QUERY_MAX;
	     p = strtok_r(NULL, "&", &next)) {
		char *value = strchr(p, '=');
		if (!value)
			continue;
		*value++ = '\0';
		web_percent_decode(value, false);
		req->params[req->nparams++] = (struct web_pair){ p, value };
	}
}

bool web_azure_source_is_open(struct web_req *req, const char *container, const char *blob,
			      char *query)
{
	const char *token = web_header(req, "x-ms-copy-source-authorization");
	bool open = token && strncmp(token, "Bearer ", 7) == 0 &&
		    web_token_accepts(req->web, token + 7);
	if (!open && query) {
		struct web_req *source = web_alloc(sizeof(*source));
		*source = (struct web_req){ .web = req->web, .verb = AZURE_GET,
					    .bucket = container, .key = blob };
		params_read(source, query);
		shared_access(source);
		open = !source->reply.status;
		web_reply_reset(&source->reply);
		free(source);
	}
	if (!open)
		web_azure_fail(req, 401, "NoAuthenticationInformation",
			       "Server failed to authenticate the request to the copy source.", "");
	return open;
}

void web_azure_authenticate(struct web_req *req)
{
	const char *header = web_header(req, "authorization");
	if (!header && web_param(req, "sig"))
		return shared_access(req);
	if (header && strncmp(header, "SharedKey ", 10) == 0)
		return shared_key(req, header + 10);
	if (header && strncmp(header, "Bearer ", 7) == 0 &&
	    web_token_accepts(req->web, header + 7))
		return;
	web_azure_fail(req, 401, header ? "InvalidAuthenticationInfo"
					: "NoAuthenticationInformation",
		       "Server failed to authenticate the request. Please refer to the information "
		       "in the www-authenticate header.", "");
	web_reply_header(req, "WWW-Authenticate", "Bearer authorization_uri="
			 "https://login.microsoftonline.com/stand-in/oauth2/authorize "
			 "resource_id=https://storage.azure.com");
}
