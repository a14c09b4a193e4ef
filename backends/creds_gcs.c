/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google's credentials, as its own libraries find them: GOOGLE_APPLICATION_CREDENTIALS, the
 * well-known file of gcloud, the metadata server. What the file holds says how a token is got:
 *
 * service_account       signs a token itself; nobody is asked authorized_user       exchanges its
 * refresh token external_account      exchanges a token of another provider (file or URL), then
 * perhaps impersonates impersonated_service_account   gets a token as its source, then
 * impersonates
 */
#include "backends/creds.h"
#include "backends/faults.h"
#include "backends/jwt.h"
#include "base/json.h"
#include "base/sodium.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define SCOPE_CLOUD "https://www.googleapis.com/auth/cloud-platform"
#define TOKEN_URL "https://oauth2.googleapis.com/token"
#define JWT_LIFE_S 3600
#define TOKEN_MAX (16 * KiB)

struct gcs_answer {
	struct creds_value *value;
	char *err;
	size_t err_size;
};
#define NEXT 2

static int say(struct gcs_answer *a, int error, const char *fmt, ...) printf_like(3, 4);
static int say(struct gcs_answer *a, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->err, a->err_size, fmt, ap);
	va_end(ap);
	return fail(error);
}

static uint64_t now_s(void)
{
	return clock_wall() / NS_PER_S;
}

static int answer_with(struct gcs_answer *ret, const char *token, uint64_t expires_s)
{
	creds_value_unref(ret->value);
	ret->value = creds_value_new(CREDS_BEARER, NULL, token, NULL, expires_s);
	return ret->value ? 0 : fail(-ENOMEM);
}

/* ---- asking ---- */

static int ask(struct creds *c, struct request *r, const char *whom, struct json **ret_json,
	       struct gcs_answer *ret)
{
	struct fault f = {};
	int error = pairs_error(&r->headers);

	if (error == 0)
		error = creds_http(c, r);
	if (error < 0)
		return error;
	if (r->end != REQUEST_ANSWERED)
		return say(ret, -EAGAIN, "%s does not answer: %s", whom, r->why);
	if (r->status == 200)
		return json_parse(buf_span(&r->text), ret_json) < 0
			       ? say(ret, -EACCES, "%s answers nonsense", whom)
			       : 0;
	fault_parse_json(buf_span(&r->text), &f);
	return say(ret, r->status >= 500 || r->status == 429 ? -EAGAIN : -EACCES,
		   "%s answers %d %s: %s", whom, r->status, f.code, f.message);
}

/* An OAuth answer: access_token, expires_in. */
static int ask_token(struct creds *c, struct request *r, const char *whom, struct gcs_answer *ret)
{
	_cleanup_(json_freep) struct json *j = NULL;
	uint64_t in = JWT_LIFE_S;
	int error = ask(c, r, whom, &j, ret);

	if (error < 0)
		return error;
	(void)!json_uint(j, "expires_in", &in);
	if (!json_str(j, "access_token"))
		return say(ret, -EACCES, "%s answers without a token", whom);
	return answer_with(ret, json_str(j, "access_token"), now_s() + in);
}

static struct request *post(const char *url, struct gcs_answer *ret)
{
	struct request *r = creds_request(HTTP_POST, url, false);

	if (r)
		buf_init(&r->head, 64 * KiB);
	else
		(void)say(ret, -EACCES, "'%s' is not a URL", url);
	return r;
}

/* ---- service accounts ---- */

static int json_text_of(struct json *takes, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = takes;

	return json_write(j, 0, ret);
}

static int from_service_account(const struct json *j, struct gcs_answer *ret)
{
	const char *email = json_str(j, "client_email"), *pem = json_str(j, "private_key"),
		   *key_id = json_str(j, "private_key_id");
	_cleanup_buf_ struct buf header = BUF_INIT(KiB), claims = BUF_INIT(4 * KiB),
				 token = BUF_INIT(TOKEN_MAX);
	struct json *h = json_object_new(), *c = json_object_new();
	uint64_t now = now_s();
	int error;

	json_set_str(h, "alg", "RS256");
	json_set_str(h, "typ", "JWT");
	if (key_id)
		json_set_str(h, "kid", key_id);
	json_set_str(c, "iss", email);
	json_set_str(c, "sub", email);
	json_set_str(c, "scope", SCOPE);
	json_set_uint(c, "iat", now);
	json_set_uint(c, "exp", now + JWT_LIFE_S);
	error = json_text_of(h, &header);
	if (error < 0) {
		json_free(c);
		return error;
	}
	error = json_text_of(c, &claims);
	if (error < 0)
		return error;
	if (!email || !pem)
		return say(ret, -EACCES,
			   "the service account's file lacks client_email or private_key");
	error = jwt_sign(buf_span(&header), buf_span(&claims), span_str(pem), &token);
	if (error == -EINVAL)
		return say(ret, -EACCES, "the service account's private_key is not a PEM key");
	if (error < 0 || !buf_str(&token))
		return error < 0 ? error : fail(-ENOMEM);
	return answer_with(ret, buf_str(&token), now + JWT_LIFE_S);
}

/* ---- people ---- */

static int from_user(struct creds *c, const struct json *j, struct gcs_answer *ret)
{
	const char *id = json_str(j, "client_id"), *secret = json_str(j, "client_secret"),
		   *refresh = json_str(j, "refresh_token"), *url = json_str(j, "token_uri");
	_cleanup_(request_freep) struct request *r = NULL;
	int error;

	if (!id || !secret || !refresh)
		return say(ret, -EACCES,
			   "the user's file lacks client_id, client_secret or refresh_token");
	r = post(url ? url : TOKEN_URL, ret);
	if (!r)
		return -EACCES;
	error = creds_form(r, "grant_type", "refresh_token");
	if (error == 0)
		error = creds_form(r, "client_id", id);
	if (error == 0)
		error = creds_form(r, "client_secret", secret);
	if (error == 0)
		error = creds_form(r, "refresh_token", refresh);
	return error < 0
		       ? error
		       : ask_token(
				 c, r,
				 "Google's log-in (see gcloud auth application-default login)",
				 ret);
}

/* ---- impersonation: the last step of two kinds ---- */

static int impersonate(struct creds *c, const char *url, struct gcs_answer *ret)
{
	_cleanup_(request_freep) struct request *r = post(url, ret);
	_cleanup_(json_freep) struct json *j = NULL;
	time_t expires = 0;
	int error;

	if (!r)
		return -EACCES;
	pairs_addf(&r->headers, "Authorization", "Bearer %s", ret->value->secret);
	pairs_add(&r->headers, "Content-Type", "application/json");
	error = buf_add_str(&r->head, "{\"scope\":[\"" SCOPE "\"],\"lifetime\":\"3600s\"}");
	if (error == 0)
		error = ask(c, r, "impersonation", &j, ret);
	if (error < 0)
		return error;
	if (!json_str(j, "accessToken") || !json_str(j, "expireTime") ||
	    iso_date_parse(json_str(j, "expireTime"), &expires) < 0)
		return say(ret, -EACCES, "impersonation answers without a token");
	return answer_with(ret, json_str(j, "accessToken"), (uint64_t)expires);
}

/* ---- other providers' identities ---- */

struct header_adder {
	struct pairs *to;
};

static void add_header(const char *key, const struct json *value, void *arg)
{
	struct header_adder *a = arg;

	if (json_text(value) && !strpbrk(json_text(value), "\r\n"))
		pairs_add(a->to, key, json_text(value));
}

static int subject_from_url(struct creds *c, const struct json *source, struct buf *ret_text,
			    struct gcs_answer *ret)
{
	_cleanup_(request_freep) struct request *r = creds_request(HTTP_GET,
								   json_str(source, "url"), true);
	int error;

	if (!r)
		return say(ret, -EACCES, "credential_source.url is not a URL");
	json_each(json_get(source, "headers"), add_header, &(struct header_adder){ &r->headers });
	error = pairs_error(&r->headers);
	if (error == 0)
		error = creds_http(c, r);
	if (error < 0)
		return error;
	if (r->end != REQUEST_ANSWERED)
		return say(ret, -EAGAIN, "the identity's URL does not answer: %s", r->why);
	if (r->status != 200)
		return say(ret, r->status >= 500 ? -EAGAIN : -EACCES,
			   "the identity's URL answers %d", r->status);
	return buf_add_span(ret_text, buf_span(&r->text));
}

/* The other provider's token, plain or as a field of JSON. */
static int subject(struct creds *c, const struct json *source, struct buf *ret_token,
		   struct gcs_answer *ret)
{
	const struct json *format = json_get(source, "format");
	const char *type = json_str(format, "type"),
		   *field = json_str(format, "subject_token_field_name");
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	int error;

	if (json_str(source, "file")) {
		error = creds_file(json_str(source, "file"), &text);
		if (error < 0 && error != -ENOMEM)
			return say(ret, -EACCES, "%s cannot be read", json_str(source, "file"));
	} else if (json_str(source, "url")) {
		error = subject_from_url(c, source, &text, ret);
	} else {
		return say(ret, -EACCES,
			   "this kind of credential_source is not supported (file and url are)");
	}
	if (error < 0)
		return error;
	if (!type || strcmp(type, "json") != 0)
		return buf_add_span(ret_token, buf_span(&text));
	if (json_parse(buf_span(&text), &j) < 0 || !field || !json_str(j, field))
		return say(ret, -EACCES, "the identity's answer has no field %s",
			   field ? field : "(unnamed)");
	return buf_add_str(ret_token, json_str(j, field));
}

static int exchange_form(struct request *r, const struct json *j, const char *token,
			 bool impersonates)
{
	const char *const fields[][2] = {
		{ "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange" },
		{ "audience", json_str(j, "audience") },
		{ "scope", impersonates ? SCOPE_CLOUD : SCOPE },
		{ "requested_token_type", "urn:ietf:params:oauth:token-type:access_token" },
		{ "subject_token", token },
		{ "subject_token_type", json_str(j, "subject_token_type") },
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && error == 0; i++)
		error = creds_form(r, fields[i][0], fields[i][1] ? fields[i][1] : "");
	return error;
}

static int from_external(struct creds *c, const struct json *j, struct gcs_answer *ret)
{
	const char *as = json_str(j, "service_account_impersonation_url"),
		   *url = json_str(j, "token_url");
	_cleanup_buf_ struct buf token = BUF_INIT(64 * KiB);
	_cleanup_(request_freep) struct request *r = NULL;
	int error = subject(c, json_get(j, "credential_source"), &token, ret);

	if (error < 0 || !buf_str(&token))
		return error < 0 ? error : fail(-ENOMEM);
	r = post(url ? url : "https://sts.googleapis.com/v1/token", ret);
	if (!r)
		return -EACCES;
	error = exchange_form(r, j, buf_str(&token), as != NULL);
	if (error == 0)
		error = ask_token(c, r, "Google's token exchange", ret);
	return error < 0 || !as ? error : impersonate(c, as, ret);
}

/* ---- files ---- */

static int from_json(struct creds *c, const struct json *j, bool local, const char *file,
		     struct gcs_answer *ret)
{
	const char *type = json_str(j, "type"),
		   *as = json_str(j, "service_account_impersonation_url");
	const struct json *source = json_get(j, "source_credentials");
	int error;

	if (type && strcmp(type, "service_account") == 0)
		return from_service_account(j, ret);
	if (local)
		return CREDS_LATER;
	if (type && strcmp(type, "authorized_user") == 0)
		return from_user(c, j, ret);
	if (type && strcmp(type, "external_account") == 0)
		return from_external(c, j, ret);
	if (type && strcmp(type, "impersonated_service_account") == 0 && source && as &&
	    json_str(source, "type") &&
	    strcmp(json_str(source, "type"), "impersonated_service_account") != 0) {
		error = from_json(c, source, false, file, ret);
		return error < 0 ? error : impersonate(c, as, ret);
	}
	return say(ret, -EACCES, "%s holds credentials of an unknown type '%s'", file,
		   type ? type : "");
}

static int from_file(struct creds *c, const char *file, bool must, bool local,
		     struct gcs_answer *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	_cleanup_(json_freep) struct json *j = NULL;
	int error = creds_file(file, &text);

	if (error == -ENOENT && !must)
		return NEXT;
	if (error < 0 && error != -ENOMEM)
		return say(ret, -EACCES, "%s cannot be read: %s", file, strerror(-error));
	if (error < 0)
		return error;
	error = json_parse(buf_span(&text), &j);
	wipe(text.data, text.len);
	if (error < 0)
		return say(ret, -EACCES, "%s is not JSON", file);
	return from_json(c, j, local, file, ret);
}

static int from_well_known_file(struct creds *c, bool local, struct gcs_answer *ret)
{
	static const char name[] = "application_default_credentials.json";
	const char *folder = creds_env("CLOUDSDK_CONFIG"), *home = creds_env("HOME");
	_cleanup_free_ char *path = NULL;
	int n = folder ? asprintf(&path, "%s/%s", folder, name)
		       : asprintf(&path, "%s/.config/gcloud/%s", home ? home : "/root", name);

	if (n < 0) {
		path = NULL;
		return fail(-ENOMEM);
	}
	return from_file(c, path, false, local, ret);
}

static int from_metadata(struct creds *c, struct gcs_answer *ret)
{
	const char *host = creds_env("GCE_METADATA_HOST");
	_cleanup_(request_freep) struct request *r = NULL;
	char url[256];
	int error;

	snprintf(url, sizeof(url),
		 "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
		 host ? host : "metadata.google.internal");
	r = creds_request(HTTP_GET, url, true);
	if (!r)
		return say(ret, -EACCES, "GCE_METADATA_HOST is not a host");
	pairs_add(&r->headers, "Metadata-Flavor", "Google");
	pairs_add(&r->query, "scopes", SCOPE);
	if (pairs_error(&r->query) < 0)
		return -ENOMEM;
	error = ask_token(c, r, "the metadata server", ret);
	return error == -EACCES || (error == -EAGAIN && r->end != REQUEST_ANSWERED) ? NEXT : error;
}

/* ---- the chain ---- */

static int chain(struct creds *c, const char *file, bool local, struct gcs_answer *ret)
{
	const char *of_env = creds_env("GOOGLE_APPLICATION_CREDENTIALS");
	int result;

	if (file || of_env)
		return from_file(c, file ? file : of_env, true, local, ret);
	result = from_well_known_file(c, local, ret);
	if (result != NEXT)
		return result;
	if (local)
		return CREDS_LATER;
	result = from_metadata(c, ret);
	if (result == NEXT)
		result = say(
			ret, -EACCES,
			"no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS, run gcloud "
			"auth application-default login, or use credentials = FILE");
	return result;
}

static int gcs_fetch(struct creds *c, void *self, bool local, struct creds_value **ret, char *err,
		     size_t err_size)
{
	struct gcs_answer answer = { .err = err, .err_size = err_size };
	int result = chain(c, self, local, &answer);

	if (result == 0)
		*ret = answer.value;
	else
		creds_value_unref(answer.value);
	return result;
}

static const struct creds_source source = { .fetch = gcs_fetch, .free = free };

int creds_gcs_new(const struct creds_gcs_options *o, struct creds **ret, char *err, size_t err_size)
{
	char *file = o->file ? strdup(o->file) : NULL;

	if (o->file && !file)
		return fail(-ENOMEM);
	return creds_new(&source, file, ret, err, err_size);
}
