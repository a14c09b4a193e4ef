/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure's credentials: connection string, account key, shared access signature, client
 * secret, federated token, managed identity. The names are those of the environment, be they
 * in it or in a file of lines NAME=VALUE.
 */
#include "backends/creds.h"
#include "backends/faults.h"
#include "base/json.h"
#include "base/sodium.h"
#include "base/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define DEVELOPMENT_ACCOUNT "devstoreaccount1"
/* Microsoft's published key of the emulator: the same for everybody. */
#define DEVELOPMENT_KEY                                                                            \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define DEVELOPMENT_ENDPOINT "http://127.0.0.1:10000/devstoreaccount1"

struct azure {
	char *file, *account;
};
struct azure_answer {
	struct creds_value *value;
	char *err;
	size_t err_size;
};
#define NEXT 2

static int say(struct azure_answer *a, int error, const char *fmt, ...) printf_like(3, 4);
static int say(struct azure_answer *a, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->err, a->err_size, fmt, ap);
	va_end(ap);
	return fail(error);
}

static int answer_with(struct azure_answer *ret, enum creds_kind kind, const char *id,
		       const char *secret, uint64_t expires_s)
{
	ret->value = creds_value_new(kind, id, secret, NULL, expires_s);
	return ret->value ? 0 : fail(-ENOMEM);
}

/* ---- settings: the environment, or the file instead ---- */

struct settings {
	struct pairs file;
	bool from_file;
};

static void settings_release(struct settings *s)
{
	pairs_release(&s->file);
}

static const char *setting(const struct settings *s, const char *name)
{
	const char *v = s->from_file ? pairs_get(&s->file, name) : creds_env(name);

	return v && v[0] ? v : NULL;
}

static void add_trimmed(struct pairs *to, char *name, char *value)
{
	size_t n;

	while (isspace((unsigned char)*name))
		name++;
	if (strncmp(name, "export ", 7) == 0)
		name += 7;
	for (n = strlen(name); n && isspace((unsigned char)name[n - 1]); n--)
		name[n - 1] = '\0';
	while (isspace((unsigned char)*value))
		value++;
	for (n = strlen(value); n && isspace((unsigned char)value[n - 1]); n--)
		value[n - 1] = '\0';
	if (n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0]) {
		value[n - 1] = '\0';
		value++;
	}
	pairs_add(to, name, value);
}

static bool is_connection_string(const char *text)
{
	static const char *const begins[] = { "DefaultEndpointsProtocol=",
					      "AccountName=",
					      "AccountKey=",
					      "BlobEndpoint=",
					      "SharedAccessSignature=",
					      "EndpointSuffix=",
					      "UseDevelopmentStorage=" };

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		if (strncasecmp(text, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static int settings_read(const char *file, struct settings *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	char *rest, *line;
	int error;

	if (!file)
		return 0;
	ret->from_file = true;
	error = creds_file(file, &text);
	if (error < 0 || !buf_str(&text))
		return error < 0 ? error : -ENOMEM;
	rest = (char *)text.data;
	if (is_connection_string(rest))
		pairs_add(&ret->file, "AZURE_STORAGE_CONNECTION_STRING", rest);
	else
		while ((line = strsep(&rest, "\n"))) {
			char *eq = strchr(line, '=');

			if (!eq || line[strspn(line, " \t")] == '#')
				continue;
			*eq = '\0';
			add_trimmed(&ret->file, line, eq + 1);
		}
	wipe(text.data, text.len);
	return pairs_error(&ret->file);
}

/* ---- connection strings ---- */

static int connection_parse(const char *text, struct pairs *ret)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	if (!copy)
		return fail(-ENOMEM);
	while ((part = strsep(&rest, ";"))) {
		char *eq = strchr(part, '=');

		if (!eq)
			continue;
		*eq = '\0';
		add_trimmed(ret, part, eq + 1);
	}
	wipe(copy, strlen(text));
	return pairs_error(ret);
}

static bool is_development(const struct pairs *c)
{
	const char *v = pairs_get(c, "UseDevelopmentStorage");

	return v && strcasecmp(v, "true") == 0;
}

/* Does this string speak of our account? One that names none does. */
static bool is_ours(const struct pairs *c, const char *account)
{
	const char *name = is_development(c) ? DEVELOPMENT_ACCOUNT : pairs_get(c, "AccountName");

	return !name || strcmp(name, account) == 0;
}

static int from_connection(const struct settings *s, const char *account, struct azure_answer *ret)
{
	const char *text = setting(s, "AZURE_STORAGE_CONNECTION_STRING"), *key, *sas;
	_cleanup_pairs_ struct pairs c = {};

	if (!text)
		return NEXT;
	if (connection_parse(text, &c) < 0)
		return fail(-ENOMEM);
	if (!is_ours(&c, account))
		return NEXT;
	if (is_development(&c))
		return answer_with(ret, CREDS_KEY, account, DEVELOPMENT_KEY, 0);
	key = pairs_get(&c, "AccountKey");
	sas = pairs_get(&c, "SharedAccessSignature");
	if (key)
		return answer_with(ret, CREDS_KEY, account, key, 0);
	if (sas)
		return answer_with(ret, CREDS_SAS, account, sas + (sas[0] == '?'), 0);
	return say(ret, -EACCES,
		   "the connection string has neither AccountKey nor SharedAccessSignature");
}

static int from_settings(const struct settings *s, const char *account, struct azure_answer *ret)
{
	const char *key = setting(s, "AZURE_STORAGE_KEY"),
		   *sas = setting(s, "AZURE_STORAGE_SAS_TOKEN"),
		   *name = setting(s, "AZURE_STORAGE_ACCOUNT");

	if (name && strcmp(name, account) != 0)
		return NEXT;
	if (key)
		return answer_with(ret, CREDS_KEY, account, key, 0);
	if (sas)
		return answer_with(ret, CREDS_SAS, account, sas + (sas[0] == '?'), 0);
	return NEXT;
}

/* ---- tokens of Entra ID ---- */

/* access_token with expires_in or expires_on, which some services write as strings. */
static int token_parse(struct span text, struct azure_answer *ret)
{
	_cleanup_(json_freep) struct json *j = NULL;
	uint64_t in = 3600, on = 0;

	if (json_parse(text, &j) < 0 || !json_str(j, "access_token"))
		return say(ret, -EACCES, "an answer without a token");
	if (json_uint(j, "expires_on", &on) < 0) {
		(void)!json_uint(j, "expires_in", &in);
		on = clock_wall() / NS_PER_S + in;
	}
	return answer_with(ret, CREDS_BEARER, NULL, json_str(j, "access_token"), on);
}

static int ask(struct creds *c, struct request *r, const char *whom, struct azure_answer *ret)
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
		return token_parse(buf_span(&r->text), ret);
	fault_parse_json(buf_span(&r->text), &f);
	return say(ret,
		   r->status >= 500 || r->status == 429 || r->status == 410 ? -EAGAIN : -EACCES,
		   "%s answers %d %s: %s", whom, r->status, f.code, f.message);
}

static int login_form(struct request *r, const struct settings *s, struct azure_answer *ret)
{
	const char *secret = setting(s, "AZURE_CLIENT_SECRET"),
		   *file = setting(s, "AZURE_FEDERATED_TOKEN_FILE");
	_cleanup_buf_ struct buf token = BUF_INIT(64 * KiB);
	int error = creds_form(r, "client_id", setting(s, "AZURE_CLIENT_ID"));

	if (error == 0)
		error = creds_form(r, "scope", "https://storage.azure.com/.default");
	if (error == 0)
		error = creds_form(r, "grant_type", "client_credentials");
	if (error < 0)
		return error;
	if (secret)
		return creds_form(r, "client_secret", secret);
	if (creds_file(file, &token) < 0 || !buf_str(&token))
		return say(ret, -EACCES, "AZURE_FEDERATED_TOKEN_FILE %s cannot be read", file);
	error = creds_form(r, "client_assertion_type",
			   "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
	return error < 0 ? error : creds_form(r, "client_assertion", buf_str(&token));
}

static int from_login(struct creds *c, const struct settings *s, bool local,
		      struct azure_answer *ret)
{
	const char *tenant = setting(s, "AZURE_TENANT_ID"),
		   *host = setting(s, "AZURE_AUTHORITY_HOST");
	_cleanup_(request_freep) struct request *r = NULL;
	char url[512];
	size_t n;
	int error;

	if (!tenant || !setting(s, "AZURE_CLIENT_ID") ||
	    (!setting(s, "AZURE_CLIENT_SECRET") && !setting(s, "AZURE_FEDERATED_TOKEN_FILE")))
		return NEXT;
	if (local)
		return CREDS_LATER;
	if (!host)
		host = "https://login.microsoftonline.com";
	n = strlen(host);
	snprintf(url, sizeof(url), "%s%s%s/oauth2/v2.0/token", host, host[n - 1] == '/' ? "" : "/",
		 tenant);
	r = creds_request(HTTP_POST, url, false);
	if (!r)
		return say(ret, -EACCES, "AZURE_AUTHORITY_HOST is not a URL");
	buf_init(&r->head, 64 * KiB);
	error = login_form(r, s, ret);
	return error < 0 ? error : ask(c, r, "the log-in of Entra ID", ret);
}

/* App Service and its kin have an endpoint of their own; virtual machines the metadata service. */
static int from_managed_identity(struct creds *c, const struct settings *s,
				 struct azure_answer *ret)
{
	const char *endpoint = setting(s, "IDENTITY_ENDPOINT"),
		   *secret = setting(s, "IDENTITY_HEADER");
	const char *client = setting(s, "AZURE_CLIENT_ID");
	bool service = endpoint && secret;
	_cleanup_(request_freep) struct request *r = creds_request(
		HTTP_GET,
		service ? endpoint : "http://169.254.169.254/metadata/identity/oauth2/token", true);
	int error;

	if (!r)
		return say(ret, -EACCES, "IDENTITY_ENDPOINT is not a URL");
	pairs_add(&r->query, "api-version", service ? "2019-08-01" : "2018-02-01");
	pairs_add(&r->query, "resource", "https://storage.azure.com/");
	if (client)
		pairs_add(&r->query, "client_id", client);
	pairs_add(&r->headers, service ? "X-IDENTITY-HEADER" : "Metadata",
		  service ? secret : "true");
	if (pairs_error(&r->query) < 0)
		return -ENOMEM;
	error = ask(c, r, "the managed identity", ret);
	if (error == -EAGAIN && r->end != REQUEST_ANSWERED && !service)
		return NEXT; /* not on a machine of Azure's */
	return error;
}

/* ---- the chain ---- */

static int chain(struct creds *c, const struct azure *a, bool local, struct azure_answer *ret)
{
	_cleanup_(settings_release) struct settings s = {};
	int result = settings_read(a->file, &s);

	if (result == -ENOMEM)
		return result;
	if (result < 0)
		return say(ret, -EACCES, "%s cannot be read", a->file);
	result = from_connection(&s, a->account, ret);
	if (result == NEXT)
		result = from_settings(&s, a->account, ret);
	if (result == NEXT)
		result = from_login(c, &s, local, ret);
	if (result != NEXT)
		return result;
	if (a->file)
		return say(ret, -EACCES, "%s holds no credentials for account %s", a->file,
			   a->account);
	if (local)
		return CREDS_LATER;
	result = from_managed_identity(c, &s, ret);
	if (result == NEXT || result == -EACCES)
		result = say(
			ret, -EACCES,
			"no Azure credentials for account %s, and no managed identity: set "
			"AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, "
			"AZURE_STORAGE_CONNECTION_STRING, or credentials = FILE",
			a->account);
	return result;
}

static int azure_fetch(struct creds *c, void *self, bool local, struct creds_value **ret, char *err,
		       size_t err_size)
{
	struct azure_answer answer = { .err = err, .err_size = err_size };
	int result = chain(c, self, local, &answer);
	_cleanup_buf_ struct buf key = BUF_INIT(KiB);

	if (result == 0 && answer.value->kind == CREDS_KEY &&
	    base64_decode(span_str(answer.value->secret), &key) < 0)
		result = say(&answer, -EACCES, "the account key is not base64");
	if (key.len)
		wipe(key.data, key.len);
	if (result == 0)
		*ret = answer.value;
	else
		creds_value_unref(answer.value);
	return result;
}

static void azure_free(void *self)
{
	struct azure *a = self;

	free(a->file);
	free(a->account);
	free(a);
}

static const struct creds_source source = { .fetch = azure_fetch, .free = azure_free };

int creds_azure_new(const struct creds_azure_options *o, struct creds **ret, char *err,
		    size_t err_size)
{
	struct azure *a = calloc(1, sizeof(*a));

	if (!a)
		return fail(-ENOMEM);
	a->file = o->file ? strdup(o->file) : NULL;
	a->account = strdup(o->account);
	if (!a->account || (o->file && !a->file)) {
		azure_free(a);
		return fail(-ENOMEM);
	}
	return creds_new(&source, a, ret, err, err_size);
}

static int endpoint_of(const struct pairs *c, const char *account, char **ret)
{
	const char *whole = pairs_get(c, "BlobEndpoint"), *suffix = pairs_get(c, "EndpointSuffix"),
		   *protocol = pairs_get(c, "DefaultEndpointsProtocol");

	if (is_development(c))
		whole = DEVELOPMENT_ENDPOINT;
	if (!whole && !suffix)
		return -ENOENT;
	if (whole)
		*ret = strdup(whole);
	else if (asprintf(ret, "%s://%s.blob.%s", protocol ? protocol : "https", account, suffix) <
		 0)
		*ret = NULL;
	return *ret ? 0 : fail(-ENOMEM);
}

int creds_azure_endpoint(const struct creds_azure_options *o, char **ret)
{
	_cleanup_(settings_release) struct settings s = {};
	_cleanup_pairs_ struct pairs c = {};
	const char *text;

	if (settings_read(o->file, &s) < 0)
		return -ENOENT; /* the credentials will say what is wrong */
	text = setting(&s, "AZURE_STORAGE_CONNECTION_STRING");
	if (!text || connection_parse(text, &c) < 0 || !is_ours(&c, o->account))
		return -ENOENT;
	return endpoint_of(&c, o->account, ret);
}
