/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature V4, verified: the header form and the presigned form.
 *
 * The canonical request is rebuilt from the decoded path and query, not from the bytes that were
 * sent, as AWS does it: a client that escapes differently from what it signs is found out.
 */
#include "web_s3.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { SKEW_S = 15 * 60 };

struct auth {
	bool presigned;
	const char *credential, *signed_headers, *signature, *date, *payload;
	char *access_key, *scope_date, *region, *service;       /* parts of the credential */
	const char *scope;                                      /* from the date on */
};

static void fail(struct web_req *req, int status, const char *code, const char *message)
{
	web_s3_fail(req, status, code, message, "");
}

/* ---- taking the request apart ---- */

/* Cuts "Name=value" out of the Authorization header. */
static const char *auth_part(struct web_req *req, const char *header, const char *name)
{
	const char *found = strstr(header, name);
	if (!found)
		return NULL;
	found += strlen(name);
	return web_req_keep(req, found, strcspn(found, ", "));
}

static bool auth_from_header(struct web_req *req, const char *header, struct auth *auth)
{
	if (strncmp(header, "AWS4-HMAC-SHA256 ", 17) != 0) {
		fail(req, 400, "InvalidRequest",
		     "The authorization mechanism you have provided is not supported.");
		return false;
	}
	auth->credential = auth_part(req, header, "Credential=");
	auth->signed_headers = auth_part(req, header, "SignedHeaders=");
	auth->signature = auth_part(req, header, "Signature=");
	auth->date = web_header(req, "x-amz-date");
	auth->payload = web_header(req, "x-amz-content-sha256");
	if (!auth->date) {
		fail(req, 403, "AccessDenied",
		     "AWS authentication requires a valid Date or x-amz-date header");
		return false;
	}
	if (!auth->payload) {
		fail(req, 400, "InvalidRequest",
		     "Missing required header for this request: x-amz-content-sha256");
		return false;
	}
	return true;
}

static void auth_from_query(const struct web_req *req, struct auth *auth)
{
	auth->presigned = true;
	auth->credential = web_param(req, "X-Amz-Credential");
	auth->signed_headers = web_param(req, "X-Amz-SignedHeaders");
	auth->signature = web_param(req, "X-Amz-Signature");
	auth->date = web_param(req, "X-Amz-Date");
	auth->payload = "UNSIGNED-PAYLOAD";
}

static bool auth_split_credential(struct web_req *req, struct auth *auth)
{
	char *rest = web_req_keep(req, auth->credential, strlen(auth->credential));
	const char *first = strchr(auth->credential, '/');
	auth->access_key = strsep(&rest, "/");
	auth->scope_date = strsep(&rest, "/");
	auth->region = strsep(&rest, "/");
	auth->service = strsep(&rest, "/");
	const char *last = strsep(&rest, "/");
	auth->scope = first ? first + 1 : "";
	return last && strcmp(last, "aws4_request") == 0 && !rest;
}

static void fail_malformed(struct web_req *req, const char *message)
{
	struct web_text region = { 0 };
	web_text_printf(&region, "<Region>%s</Region>", req->web->conf.region);
	web_s3_fail(req, 400, "AuthorizationHeaderMalformed", message, region.s);
	web_text_release(&region);
}

/* ---- what must hold before the signature is computed ---- */

static bool check_payload(struct web_req *req, const struct auth *auth)
{
	uint8_t hash[32];
	if (strcmp(auth->payload, "UNSIGNED-PAYLOAD") == 0 ||
	    web_hex_decode(auth->payload, hash, sizeof(hash)))
		return true;
	if (strncmp(auth->payload, "STREAMING-", 10) == 0)
		fail(req, 501, "NotImplemented", "Streaming signatures are not implemented.");
	else
		fail(req, 400, "InvalidArgument",
		     "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.");
	return false;
}

static bool check_credential(struct web_req *req, struct auth *auth)
{
	const struct web_conf *conf = &req->web->conf;
	if (!auth->credential || !auth->signed_headers || !auth->signature || !auth->date ||
	    !auth_split_credential(req, auth)) {
		fail_malformed(req, "The authorization header is malformed.");
		return false;
	}
	if (strcmp(auth->access_key, conf->access_key) != 0) {
		fail(req, 403, "InvalidAccessKeyId",
		     "The AWS Access Key Id you provided does not exist in our records.");
		return false;
	}
	if (strcmp(auth->region, conf->region) != 0 || strcmp(auth->service, "s3") != 0) {
		fail_malformed(req, "The region or the service in the credential is wrong.");
		return false;
	}
	if (strncmp(auth->date, auth->scope_date, 8) != 0 || strlen(auth->scope_date) != 8) {
		fail_malformed(req, "The dates of the credential and of the request differ.");
		return false;
	}
	return true;
}

static void fail_skew(struct web_req *req, const char *date)
{
	struct web_text extra = { 0 };
	web_text_printf(&extra, "<RequestTime>%s</RequestTime><ServerTime>", date);
	web_text_iso_date(&extra, web_now_ns(req->web));
	web_text_printf(&extra, "</ServerTime><MaxAllowedSkewMilliseconds>%d"
			"</MaxAllowedSkewMilliseconds>", SKEW_S * 1000);
	web_s3_fail(req, 403, "RequestTimeTooSkewed",
		    "The difference between the request time and the current time is too large.",
		    extra.s);
	web_text_release(&extra);
}

static bool check_date(struct web_req *req, const struct auth *auth)
{
	int64_t when = web_parse_basic_date(auth->date);
	int64_t late_s = web_now_ns(req->web) / 1000000000 - when;
	uint64_t life_s = SKEW_S;
	if (when < 0) {
		fail(req, 403, "AccessDenied",
		     "AWS authentication requires a valid Date or x-amz-date header");
		return false;
	}
	if (auth->presigned &&
	    !web_parse_u64(web_param_or_empty(req, "X-Amz-Expires"), 604800, &life_s)) {
		fail(req, 400, "AuthorizationQueryParametersError",
		     "X-Amz-Expires must be at most 604800");
		return false;
	}
	if (late_s > (int64_t)life_s && auth->presigned) {
		fail(req, 403, "AccessDenied", "Request has expired");
		return false;
	}
	if (late_s < -SKEW_S || late_s > (int64_t)life_s) {
		fail_skew(req, auth->date);
		return false;
	}
	return true;
}

static bool check_session(struct web_req *req, const struct auth *auth)
{
	const char *wanted = req->web->conf.session_token;
	const char *given = auth->presigned ? web_param(req, "X-Amz-Security-Token")
					    : web_header(req, "x-amz-security-token");
	if (!wanted && !given)
		return true;
	if (wanted && given && strcmp(wanted, given) == 0)
		return true;
	if (given)
		fail(req, 400, "InvalidToken", "The provided token is malformed or invalid.");
	else
		fail(req, 403, "InvalidAccessKeyId",
		     "The AWS Access Key Id you provided needs a session token.");
	return false;
}

static bool is_signed(const struct auth *auth, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = auth->signed_headers; (at = strstr(at, name)); at += n)
		if ((at == auth->signed_headers || at[-1] == ';') && (!at[n] || at[n] == ';'))
			return true;
	return false;
}

static bool check_signed_headers(struct web_req *req, const struct auth *auth)
{
	for (size_t i = 0; i < req->nheaders; i++) {
		const char *name = req->headers[i].name;
		bool must = strcmp(name, "host") == 0 || strcmp(name, "content-md5") == 0 ||
			    strncmp(name, "x-amz-", 6) == 0;
		if (!must || is_signed(auth, name))
			continue;
		struct web_text extra = { 0 };
		web_text_printf(&extra, "<HeadersNotSigned>%s</HeadersNotSigned>", name);
		web_s3_fail(req, 403, "AccessDenied",
			    "There were headers present in the request which were not signed",
			    extra.s);
		web_text_release(&extra);
		return false;
	}
	return true;
}

/* ---- the canonical request ---- */

static int pair_order(const void *a, const void *b)
{
	const struct web_pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

static void put_query(struct web_text *out, const struct web_req *req)
{
	struct web_pair pairs[WEB_QUERY_MAX];
	size_t n = 0;
	for (size_t i = 0; i < req->nparams; i++) {
		struct web_text name = { 0 }, value = { 0 };
		if (strcmp(req->params[i].name, "X-Amz-Signature") == 0)
			continue;
		web_text_percent(&name, req->params[i].name, false);
		web_text_percent(&value, req->params[i].value, false);
		web_text_puts(&name, "");
		web_text_puts(&value, "");
		pairs[n++] = (struct web_pair){ name.s, value.s };
	}
	qsort(pairs, n, sizeof(pairs[0]), pair_order);
	for (size_t i = 0; i < n; i++) {
		web_text_printf(out, "%s%s=%s", i ? "&" : "", pairs[i].name, pairs[i].value);
		free(pairs[i].name);
		free(pairs[i].value);
	}
}

/* Trimmed already; runs of spaces become one. */
static void put_header_value(struct web_text *out, const char *value)
{
	for (const char *p = value; *p; p++)
		if (*p != ' ' || p[1] != ' ')
			web_text_putc(out, *p);
}

/* False when a signed header was not sent, or the names are not in order. */
static bool put_headers(struct web_text *out, struct web_req *req, const struct auth *auth)
{
	char *names = web_req_keep(req, auth->signed_headers, strlen(auth->signed_headers));
	const char *before = "";
	for (char *name; (name = strsep(&names, ";"));) {
		bool sent = false;
		if (strcmp(before, name) >= 0)
			return false;
		before = name;
		web_text_printf(out, "%s:", name);
		for (size_t i = 0; i < req->nheaders; i++) {
			if (strcmp(req->headers[i].name, name) != 0)
				continue;
			if (sent)
				web_text_putc(out, ',');
			put_header_value(out, req->headers[i].value);
			sent = true;
		}
		web_text_putc(out, '\n');
		if (!sent)
			return false;
	}
	return true;
}

static bool canonical_request(struct web_req *req, const struct auth *auth, struct web_text *out)
{
	char *path = web_req_keep(req, req->path, strlen(req->path));
	web_percent_decode(path, false);
	web_text_printf(out, "%s\n", req->method);
	web_text_percent(out, path, true);
	web_text_putc(out, '\n');
	put_query(out, req);
	web_text_putc(out, '\n');
	bool usable = put_headers(out, req, auth);
	web_text_printf(out, "\n%s\n%s", auth->signed_headers, auth->payload);
	return usable;
}

/* ---- the signature ---- */

static void hmac(const void *key, size_t key_len, const char *message, uint8_t ret[32])
{
	if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)message, strlen(message), ret,
		  NULL))
		abort();
}

/* The signing key of the credential's scope, kept with the connection. */
static const uint8_t *signing_key(struct web_req *req, const struct auth *auth)
{
	struct web_conn *conn = req->conn;
	uint8_t *key = conn->signing_key;
	if (strcmp(conn->signing_scope, auth->scope) == 0)
		return key;
	struct web_text secret = { 0 };
	web_text_printf(&secret, "AWS4%s", req->web->conf.secret_key);
	hmac(secret.s, secret.len, auth->scope_date, key);
	web_text_release(&secret);
	hmac(key, 32, auth->region, key);
	hmac(key, 32, auth->service, key);
	hmac(key, 32, "aws4_request", key);
	conn->signing_scope[0] = '\0';
	if (strlen(auth->scope) < sizeof(conn->signing_scope))
		strcpy(conn->signing_scope, auth->scope);
	return key;
}

static void string_to_sign(const struct auth *auth, const struct web_text *canonical,
			   struct web_text *out)
{
	uint8_t hash[32];
	SHA256((const uint8_t *)canonical->s, canonical->len, hash);
	web_text_printf(out, "AWS4-HMAC-SHA256\n%s\n%s\n", auth->date, auth->scope);
	web_text_hex(out, hash, sizeof(hash));
}

static void fail_signature(struct web_req *req, const struct web_text *canonical,
			   const struct web_text *to_sign)
{
	struct web_text extra = { 0 };
	web_text_puts(&extra, "<StringToSign>");
	web_text_xml(&extra, to_sign->s);
	web_text_puts(&extra, "</StringToSign><CanonicalRequest>");
	web_text_xml(&extra, canonical->s);
	web_text_puts(&extra, "</CanonicalRequest>");
	web_s3_fail(req, 403, "SignatureDoesNotMatch",
		    "The request signature we calculated does not match the signature you "
		    "provided. Check your key and signing method.", extra.s);
	web_text_release(&extra);
}

static void check_signature(struct web_req *req, const struct auth *auth)
{
	struct web_text canonical = { 0 }, to_sign = { 0 };
	uint8_t expected[32], given[32];
	bool usable = canonical_request(req, auth, &canonical);
	string_to_sign(auth, &canonical, &to_sign);
	hmac(signing_key(req, auth), 32, to_sign.s, expected);
	if (!usable || !web_hex_decode(auth->signature, given, sizeof(given)) ||
	    memcmp(expected, given, sizeof(given)) != 0)
		fail_signature(req, &canonical, &to_sign);
	web_text_release(&canonical);
	web_text_release(&to_sign);
}

void web_s3_authenticate(struct web_req *req)
{
	struct auth auth = { 0 };
	const char *header = web_header(req, "authorization");
	if (header) {
		if (!auth_from_header(req, header, &auth))
			return;
	} else if (web_param(req, "X-Amz-Signature")) {
		auth_from_query(req, &auth);
	} else {
		return fail(req, 403, "AccessDenied", "Access Denied");
	}
	if (check_credential(req, &auth) && check_payload(req, &auth) &&
	    check_date(req, &auth) && check_session(req, &auth) &&
	    check_signed_headers(req, &auth))
		check_signature(req, &auth);
}
