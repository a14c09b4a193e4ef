/* SPDX-License-Identifier: Apache-2.0 */
#include "web_token.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	TOKENS = 64,                    /* so many live ones; the oldest makes room */
	SKEW_S = 300,
	JWT_LIFE_MAX_S = 3600,
};

struct issued {
	char token[64];
	int64_t expires_ns;
};

struct web_tokens {
	struct {
		pthread_mutex_t lock;
		struct issued issued[TOKENS];
		size_t next;
	} sync;
};

struct web_tokens *web_tokens_new(void)
{
	struct web_tokens *tokens = web_alloc(sizeof(*tokens));
	pthread_mutex_init(&tokens->sync.lock, NULL);
	return tokens;
}

void web_tokens_free(struct web_tokens *tokens)
{
	if (!tokens)
		return;
	pthread_mutex_destroy(&tokens->sync.lock);
	free(tokens);
}

bool web_tokens_wanted(const struct web *web)
{
	return web->conf.token || web->conf.refresh_token || web->jwt_key;
}

/* ---- JWT ---- */

static bool jwt_signature_holds(EVP_PKEY *key, const char *jwt, const char *signature)
{
	uint8_t bytes[1024];
	ssize_t n = web_base64url_decode(signature + 1, strlen(signature + 1), bytes,
					 sizeof(bytes));
	EVP_MD_CTX *state = EVP_MD_CTX_new();
	bool holds = n > 0 && state &&
		     EVP_DigestVerifyInit(state, NULL, EVP_sha256(), NULL, key) == 1 &&
		     EVP_DigestVerify(state, bytes, (size_t)n, (const uint8_t *)jwt,
				      (size_t)(signature - jwt)) == 1;
	EVP_MD_CTX_free(state);
	return holds;
}

static json_t *jwt_part(const char *s, const char *end)
{
	char bytes[4096];
	ssize_t n = web_base64url_decode(s, (size_t)(end - s), bytes, sizeof(bytes));
	return n > 0 ? json_loadb(bytes, (size_t)n, 0, NULL) : NULL;
}

static const char *member(json_t *json, const char *name)
{
	const char *s = json_string_value(json_object_get(json, name));
	return s ? s : "";
}

/* The claims of a JWT whose signature and times hold, or NULL. */
static json_t *jwt_claims(const struct web *web, const char *jwt)
{
	const char *first = strchr(jwt, '.');
	const char *second = first ? strchr(first + 1, '.') : NULL;
	if (!web->jwt_key || !second || !jwt_signature_holds(web->jwt_key, jwt, second))
		return NULL;
	json_t *header = jwt_part(jwt, first), *claims = jwt_part(first + 1, second);
	bool rs256 = strcmp(member(header, "alg"), "RS256") == 0;
	int64_t now_s = web_now_ns(web) / 1000000000;
	int64_t from_s = json_integer_value(json_object_get(claims, "iat"));
	int64_t to_s = json_integer_value(json_object_get(claims, "exp"));
	bool timely = from_s <= now_s + SKEW_S && to_s > now_s && to_s - from_s <= JWT_LIFE_MAX_S;
	json_decref(header);
	if (rs256 && timely && *member(claims, "iss"))
		return claims;
	json_decref(claims);
	return NULL;
}

/* A JWT as bearer: for itself, and with either a scope or an audience. */
static bool jwt_accepts(const struct web *web, const char *jwt)
{
	json_t *claims = jwt_claims(web, jwt);
	bool scope = *member(claims, "scope"), audience = *member(claims, "aud");
	bool accepted = claims && strcmp(member(claims, "iss"), member(claims, "sub")) == 0 &&
			scope != audience;
	json_decref(claims);
	return accepted;
}

/* A JWT to be exchanged names the token endpoint and the scope. */
static bool jwt_exchangeable(const struct web *web, const char *jwt)
{
	json_t *claims = jwt_claims(web, jwt);
	const char *audience = member(claims, "aud");
	size_t n = strlen(audience);
	bool good = n > 6 && strcmp(audience + n - 6, "/token") == 0 && *member(claims, "scope");
	json_decref(claims);
	return good;
}

/* ---- tokens handed out ---- */

static void issue(struct web *web, char ret[64])
{
	struct web_tokens *tokens = web->tokens;
	uint8_t random[16];
	struct web_text token = { 0 };
	if (RAND_bytes(random, sizeof(random)) != 1)
		abort();
	web_text_puts(&token, "standin.");
	web_text_hex(&token, random, sizeof(random));
	strcpy(ret, token.s);
	web_text_release(&token);
	pthread_mutex_lock(&tokens->sync.lock);
	struct issued *issued = &tokens->sync.issued[tokens->sync.next++ % TOKENS];
	strcpy(issued->token, ret);
	issued->expires_ns = web_now_ns(web) + (int64_t)web->conf.token_life_s * 1000000000;
	pthread_mutex_unlock(&tokens->sync.lock);
}

static bool was_issued(struct web *web, const char *token)
{
	struct web_tokens *tokens = web->tokens;
	bool good = false;
	int64_t now_ns = web_now_ns(web);
	pthread_mutex_lock(&tokens->sync.lock);
	for (size_t i = 0; i < TOKENS; i++)
		good |= strcmp(tokens->sync.issued[i].token, token) == 0 &&
			tokens->sync.issued[i].expires_ns > now_ns;
	pthread_mutex_unlock(&tokens->sync.lock);
	return good;
}

bool web_token_accepts(struct web *web, const char *token)
{
	if (!*token)
		return false;
	if (web->conf.token && strcmp(web->conf.token, token) == 0)
		return true;
	return was_issued(web, token) || jwt_accepts(web, token);
}

/* ---- endpoints ---- */

static void reply_token(struct web_req *req)
{
	char token[64];
	issue(req->web, token);
	req->reply.status = 200;
	web_reply_header(req, "Content-Type", "application/json; charset=utf-8");
	web_text_printf(&req->reply.body, "{\"access_token\":\"%s\",\"expires_in\":%llu,"
			"\"token_type\":\"Bearer\"}", token,
			(unsigned long long)req->web->conf.token_life_s);
}

static void fail(struct web_req *req, const char *error, const char *description)
{
	req->reply.status = 400;
	web_reply_header(req, "Content-Type", "application/json; charset=utf-8");
	web_text_printf(&req->reply.body, "{\"error\":\"%s\",\"error_description\":\"%s\"}", error,
			description);
}

/* A field of the form in the body, decoded in the caller's copy of it. */
static const char *form_field(struct web_pair *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].value;
	return "";
}

static size_t form_parse(char *form, struct web_pair *fields, size_t max)
{
	size_t n = 0;
	for (char *part; n < max && (part = strsep(&form, "&"));) {
		char *value = strchr(part, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (web_percent_decode(part, true) && web_percent_decode(value, true))
			fields[n++] = (struct web_pair){ part, value };
	}
	return n;
}

static void grant(struct web_req *req, struct web_pair *fields, size_t n)
{
	const struct web_conf *conf = &req->web->conf;
	const char *type = form_field(fields, n, "grant_type");
	bool client = *form_field(fields, n, "client_id") &&
		      *form_field(fields, n, "client_secret");
	if (strcmp(type, "urn:ietf:params:oauth:grant-type:jwt-bearer") == 0) {
		if (jwt_exchangeable(req->web, form_field(fields, n, "assertion")))
			return reply_token(req);
		return fail(req, "invalid_grant", "Invalid JWT.");
	}
	if (strcmp(type, "refresh_token") == 0) {
		const char *token = form_field(fields, n, "refresh_token");
		if (client && conf->refresh_token && strcmp(conf->refresh_token, token) == 0)
			return reply_token(req);
		return fail(req, "invalid_grant", "Bad Request");
	}
	if (strcmp(type, "client_credentials") == 0) {
		if (client && *form_field(fields, n, "scope"))
			return reply_token(req);
		return fail(req, "invalid_client", "Client credentials are missing.");
	}
	fail(req, "unsupported_grant_type", "Invalid grant_type");
}

void web_token_endpoint(struct web_req *req)
{
	struct web_pair fields[16];
	const char *type = web_header(req, "content-type");
	if (!type || strcmp(type, "application/x-www-form-urlencoded") != 0)
		return fail(req, "invalid_request", "The body is no form.");
	struct web_text form = { 0 };
	web_text_put(&form, req->body->data, req->body->len);
	grant(req, fields, form_parse(form.s, fields, 16));
	web_text_release(&form);
}

void web_token_metadata(struct web_req *req)
{
	const char *flavor = web_header(req, "metadata-flavor");
	if (!flavor || strcmp(flavor, "Google") != 0) {
		req->reply.status = 403;
		web_text_puts(&req->reply.body, "Missing Metadata-Flavor:Google header.");
		return;
	}
	reply_token(req);
	web_reply_header(req, "Metadata-Flavor", "Google");
}
