/* SPDX-License-Identifier: Apache-2.0 */
/* AWS credentials that are asked for: roles (STS), containers, instances. */
#include "backends/creds_aws_i.h"
#include "backends/faults.h"
#include "backends/sigv4.h"
#include "backends/uri.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/sodium.h"
#include "base/text.h"
#include "base/xml.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int aws_answer_error(struct aws_answer *a, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->err, a->err_size, fmt, ap);
	va_end(ap);
	return fail(error);
}

static int answer_value(struct aws_answer *ret, const char *id, const char *secret,
			const char *session, const char *expires)
{
	time_t t = 0;

	if (!id || !secret || !*id || !*secret)
		return aws_answer_error(ret, -EACCES, "an answer without keys");
	if (expires && iso_date_parse(expires, &t) < 0)
		return aws_answer_error(ret, -EACCES, "an expiration that is no date");
	ret->value = creds_value_new(CREDS_AWS, id, secret, session, (uint64_t)t);
	return ret->value ? 0 : fail(-ENOMEM);
}

int aws_parse_json(struct span text, struct aws_answer *ret)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *session;

	if (json_parse(text, &j) < 0)
		return aws_answer_error(ret, -EACCES, "credentials that are no JSON");
	session = json_str(j, "Token");
	if (!session)
		session = json_str(j, "SessionToken");
	return answer_value(ret, json_str(j, "AccessKeyId"), json_str(j, "SecretAccessKey"),
			    session, json_str(j, "Expiration"));
}

/* Runs r; a sentence for everything but 200. */
static int ask(struct creds *c, struct request *r, const char *whom, struct aws_answer *ret)
{
	struct fault f = {};
	int error;

	if (!r)
		return fail(-ENOMEM);
	error = creds_http(c, r);
	if (error < 0)
		return error;
	if (r->end != REQUEST_ANSWERED)
		return aws_answer_error(ret, -EAGAIN, "%s does not answer: %s", whom, r->why);
	if (r->status == 200)
		return 0;
	if (!fault_parse_xml(buf_span(&r->text), &f))
		fault_parse_json(buf_span(&r->text), &f);
	return aws_answer_error(ret, r->status >= 500 || r->status == 429 ? -EAGAIN : -EACCES,
				"%s answers %d %s: %s", whom, r->status, f.code, f.message);
}

/* ---- STS ---- */

struct sts_answer {
	char id[160], secret[160], expires[64];
	char *session;
};

static int sts_element(const char *path, struct span text, void *arg)
{
	struct sts_answer *a = arg;
	const char *at = strstr(path, "/Credentials/");

	if (!at)
		return 0;
	at += strlen("/Credentials/");
	if (strcmp(at, "AccessKeyId") == 0)
		snprintf(a->id, sizeof(a->id), "%.*s", SPAN_FMT(text));
	else if (strcmp(at, "SecretAccessKey") == 0)
		snprintf(a->secret, sizeof(a->secret), "%.*s", SPAN_FMT(text));
	else if (strcmp(at, "Expiration") == 0)
		snprintf(a->expires, sizeof(a->expires), "%.*s", SPAN_FMT(text));
	else if (strcmp(at, "SessionToken") == 0) {
		free(a->session);
		a->session = strndup(text.len ? (const char *)text.data : "", text.len);
		return a->session ? 0 : -ENOMEM;
	}
	return 0;
}

static int sts_parse(struct span text, struct aws_answer *ret)
{
	static const struct xml_handler handler = { .end = sts_element };
	struct sts_answer a = {};
	int error = xml_parse(text, &handler, &a);

	if (error == 0)
		error = answer_value(ret, a.id, a.secret, a.session,
				     a.expires[0] ? a.expires : NULL);
	else if (error != -ENOMEM)
		error = aws_answer_error(ret, -EACCES, "STS answers nonsense");
	if (a.session)
		wipe(a.session, strlen(a.session));
	free(a.session);
	wipe(&a, sizeof(a));
	return error;
}

static int sts_form(struct request *r, const struct aws_role *role)
{
	_cleanup_buf_ struct buf token = BUF_INIT(64 * KiB);
	char name[64];
	int error;

	snprintf(name, sizeof(name), "mangrove-%d", (int)getpid());
	error = creds_form(r, "Action",
			   role->token_file ? "AssumeRoleWithWebIdentity" : "AssumeRole");
	if (error == 0)
		error = creds_form(r, "Version", "2011-06-15");
	if (error == 0)
		error = creds_form(r, "RoleArn", role->arn);
	if (error == 0)
		error = creds_form(r, "RoleSessionName",
				   role->session_name ? role->session_name : name);
	if (error == 0 && role->external_id)
		error = creds_form(r, "ExternalId", role->external_id);
	if (error == 0 && role->duration_s)
		error = creds_form(r, "DurationSeconds", role->duration_s);
	if (error == 0 && role->token_file) {
		error = creds_file(role->token_file, &token);
		if (error == 0)
			error = buf_str(&token) ? creds_form(r, "WebIdentityToken", buf_str(&token))
						: -ENOMEM;
	}
	return error;
}

static int sts_sign(struct request *r, const struct aws *a, const struct creds_value *v,
		    const char *host)
{
	const struct sigv4_key key = { v->id, v->secret, v->session, a->region, "sts" };
	_cleanup_buf_ struct buf value = BUF_INIT(8 * KiB);
	uint8_t hash[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1], date[17];
	int error;

	sha256(buf_span(&r->head), hash);
	hex_encode(span_of(hash, sizeof(hash)), hex);
	iso_basic_date((time_t)(clock_wall() / NS_PER_S), date);
	pairs_set(&r->headers, "Host", host);
	pairs_set(&r->headers, "x-amz-date", date);
	if (v->session)
		pairs_set(&r->headers, "x-amz-security-token", v->session);
	error = sigv4_sign(&key,
			   &(struct sigv4_request){ .method = "POST",
						    .path = r->path,
						    .query = "",
						    .headers = &r->headers,
						    .payload_hash = hex,
						    .date = date },
			   &value);
	if (error < 0 || !buf_str(&value))
		return fail(-ENOMEM);
	pairs_set(&r->headers, "Authorization", buf_str(&value));
	return pairs_error(&r->headers);
}

int aws_assume_role(struct creds *c, const struct aws *a, const struct aws_role *role,
		    const struct creds_value *signer, struct aws_answer *ret)
{
	_cleanup_(request_freep) struct request *r = NULL;
	const char *url = creds_env("AWS_ENDPOINT_URL_STS");
	char amazon[128];
	int error;

	snprintf(amazon, sizeof(amazon), "https://sts.%s.amazonaws.com%s/", a->region,
		 strncmp(a->region, "cn-", 3) == 0 ? ".cn" : "");
	r = creds_request(HTTP_POST, url ? url : amazon, false);
	if (!r)
		return aws_answer_error(ret, -EACCES, "AWS_ENDPOINT_URL_STS is not a URL");
	buf_init(&r->head, 64 * KiB); /* web identity tokens are long */
	if (url && a->ca_file) {
		r->ca_file = strdup(a->ca_file);
		if (!r->ca_file)
			return fail(-ENOMEM);
	}
	error = sts_form(r, role);
	if (error < 0 && role->token_file && error != -ENOMEM)
		return aws_answer_error(ret, -EACCES, "the web identity token %s cannot be read",
					role->token_file);
	if (error == 0 && !role->token_file)
		error = sts_sign(r, a, signer, strstr(r->origin, "://") + 3);
	if (error == 0)
		error = ask(c, r, "STS", ret);
	return error < 0 ? error : sts_parse(buf_span(&r->text), ret);
}

/* ---- containers ---- */

/*
 * Plain HTTP carries the keys of a role only to this machine or to the fixed addresses of the
 * platform.
 */
static bool full_uri_is_safe(const char *url)
{
	static const char *const hosts[] = { "localhost",     "127.0.0.1",      "[::1]",
					     "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };
	size_t n;

	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	url += 7;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		n = strlen(hosts[i]);
		if (strncmp(url, hosts[i], n) == 0 &&
		    (url[n] == '\0' || url[n] == '/' || url[n] == ':'))
			return true;
	}
	return false;
}

static int container_authorize(struct request *r, struct aws_answer *ret)
{
	const char *file = creds_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = creds_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);

	if (file) {
		if (creds_file(file, &text) < 0 || !buf_str(&text))
			return aws_answer_error(ret, -EACCES, "%s cannot be read", file);
		token = buf_str(&text);
	}
	if (token && strpbrk(token, "\r\n"))
		return aws_answer_error(ret, -EACCES,
					"the container's token has more than one line");
	if (token)
		pairs_add(&r->headers, "Authorization", token);
	return pairs_error(&r->headers);
}

int aws_from_container(struct creds *c, struct aws_answer *ret)
{
	const char *relative = creds_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *whole = creds_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	_cleanup_(request_freep) struct request *r = NULL;
	char url[512];
	int error;

	if (!relative && !whole)
		return AWS_NEXT;
	if (relative)
		snprintf(url, sizeof(url), "http://169.254.170.2%s", relative);
	else if (full_uri_is_safe(whole))
		snprintf(url, sizeof(url), "%s", whole);
	else
		return aws_answer_error(
			ret, -EACCES,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor local");
	r = creds_request(HTTP_GET, url, true);
	if (!r)
		return aws_answer_error(ret, -EACCES,
					"the container's credentials URI is not a URL");
	error = container_authorize(r, ret);
	if (error == 0)
		error = ask(c, r, "the container's credentials service", ret);
	return error < 0 ? error : aws_parse_json(buf_span(&r->text), ret);
}

/* ---- instances ---- */

static struct request *instance_request(enum http_method m, const char *path)
{
	const char *base = creds_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char url[512];

	snprintf(url, sizeof(url), "%s%s", base ? base : "http://169.254.169.254", path);
	return creds_request(m, url, true);
}

static int instance_get(struct creds *c, const char *path, const char *token, struct buf *ret_text,
			struct aws_answer *ret)
{
	_cleanup_(request_freep) struct request *r = instance_request(HTTP_GET, path);
	int error;

	if (!r) /* the path is as the service said */
		return aws_answer_error(ret, -EACCES,
					"the instance's metadata service answers nonsense");
	pairs_add(&r->headers, "X-aws-ec2-metadata-token", token);
	error = ask(c, r, "the instance's metadata service", ret);
	return error < 0 ? error : buf_add_span(ret_text, buf_span(&r->text));
}

int aws_from_instance(struct creds *c, struct aws_answer *ret)
{
	static const char path[] = "/latest/meta-data/iam/security-credentials/";
	_cleanup_(request_freep) struct request *r = instance_request(HTTP_PUT,
								      "/latest/api/token");
	_cleanup_buf_ struct buf role = BUF_INIT(KiB), keys = BUF_INIT(16 * KiB),
				 role_path = BUF_INIT(2 * KiB);
	const char *off = creds_env("AWS_EC2_METADATA_DISABLED");
	int error;

	if (off && strcmp(off, "true") == 0)
		return AWS_NEXT;
	if (!r)
		return aws_answer_error(ret, -EACCES,
					"AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL");
	pairs_add(&r->headers, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
	error = ask(c, r, "the instance's metadata service", ret);
	if (error == -EACCES || (error == -EAGAIN && r->end != REQUEST_ANSWERED))
		return AWS_NEXT; /* not on an instance */
	if (error < 0 || !buf_str(&r->text))
		return error < 0 ? error : -ENOMEM;
	if (strpbrk(buf_str(&r->text), "\r\n"))
		return aws_answer_error(ret, -EACCES,
					"the instance's metadata service answers nonsense");
	error = instance_get(c, path, buf_str(&r->text), &role, ret);
	if (error < 0 || !buf_str(&role))
		return error < 0 ? error : -ENOMEM;
	error = buf_addf(&role_path, "%s%.*s", path, (int)strcspn(buf_str(&role), "\r\n"),
			 buf_str(&role));
	if (error == 0 && buf_str(&role_path))
		error = instance_get(c, buf_str(&role_path), buf_str(&r->text), &keys, ret);
	return error < 0 ? error : aws_parse_json(buf_span(&keys), ret);
}
