/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials are found, in which order, and how they are renewed. */
#include "tests/lib/canned.h"
#include "tests/lib/tmpdir.h"

#include "backends/creds.h"
#include "backends/http.h"
#include "base/json.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

static struct canned server;
static char dir[TMPDIR_MAX];

static const char *const names[] = {
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_PROFILE",
	"AWS_ROLE_ARN",
	"AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CONFIG_FILE",
	"AWS_ENDPOINT_URL_STS",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT",
	"AWS_EC2_METADATA_DISABLED",
	"AZURE_STORAGE_CONNECTION_STRING",
	"AZURE_STORAGE_ACCOUNT",
	"AZURE_STORAGE_KEY",
	"AZURE_STORAGE_SAS_TOKEN",
	"AZURE_TENANT_ID",
	"AZURE_CLIENT_ID",
	"AZURE_CLIENT_SECRET",
	"AZURE_FEDERATED_TOKEN_FILE",
	"AZURE_AUTHORITY_HOST",
	"IDENTITY_ENDPOINT",
	"IDENTITY_HEADER",
	"GOOGLE_APPLICATION_CREDENTIALS",
	"CLOUDSDK_CONFIG",
	"GCE_METADATA_HOST",
};

static int clean(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	setenv("HOME", dir, 1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.origin, 1);
	setenv("IDENTITY_ENDPOINT", server.origin, 1);
	setenv("IDENTITY_HEADER", "identity-secret", 1);
	setenv("GCE_METADATA_HOST", strstr(server.origin, "//") + 2, 1);
	canned_reset(&server);
	return 0;
}

/* A file in the test's folder; its path, valid until the next call. */
static const char *file(const char *name, const char *text)
{
	static char path[TMPDIR_MAX + 64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* ---- one value, waited for ---- */

struct waiting {
	struct creds_wait wait;
	struct event over;
	int result;
	struct creds_value *value;
	char why[256];
};

static void on_ready(struct creds_wait *w, int result, struct creds_value *v, const char *why)
{
	struct waiting *a = container_of(w, struct waiting, wait);

	a->result = result;
	a->value = v;
	snprintf(a->why, sizeof(a->why), "%s", why ? why : "");
	event_set(&a->over);
}

/* 0 and a value, or the error and its sentence. */
static int value_of(struct creds *c, struct creds_value **ret, char *why, size_t size)
{
	struct waiting w = { .wait = { .ready = on_ready,
				       .deadline_ns = clock_now() + 20 * NS_PER_S } };
	int r;

	event_init(&w.over);
	r = creds_get(c, &w.wait, ret, why, size);
	if (r == CREDS_LATER) {
		assert_int_equal(event_wait(&w.over, clock_now() + 60 * NS_PER_S), 0);
		r = w.result;
		*ret = w.value;
		snprintf(why, size, "%s", w.why);
	}
	event_release(&w.over);
	return r;
}

struct found {
	int result;
	struct creds_value *value;
	char why[256];
};

static struct found finish(int opened, struct creds *c, struct found f)
{
	f.result = opened;
	if (opened == 0)
		f.result = value_of(c, &f.value, f.why, sizeof(f.why));
	if (f.result == -EACCES || f.result == -EAGAIN)
		assert_true(f.why[0]);
	creds_free(c);
	return f;
}

static struct found aws(const char *path, const char *profile)
{
	const struct creds_aws_options o = { .file = path,
					     .profile = profile,
					     .region = "eu-west-1" };
	struct creds *c = NULL;
	struct found f = {};
	int r = creds_aws_new(&o, &c, f.why, sizeof(f.why));

	return finish(r, c, f);
}

static struct found azure(const char *path, const char *account)
{
	const struct creds_azure_options o = { .file = path, .account = account };
	struct creds *c = NULL;
	struct found f = {};
	int r = creds_azure_new(&o, &c, f.why, sizeof(f.why));

	return finish(r, c, f);
}

static struct found gcs(const char *path)
{
	const struct creds_gcs_options o = { .file = path };
	struct creds *c = NULL;
	struct found f = {};
	int r = creds_gcs_new(&o, &c, f.why, sizeof(f.why));

	return finish(r, c, f);
}

static void assert_found(struct found f, enum creds_kind kind, const char *id, const char *secret,
			 const char *session)
{
	if (f.result)
		print_error("%d %s\n", f.result, f.why);
	assert_int_equal(f.result, 0);
	assert_int_equal(f.value->kind, kind);
	if (id)
		assert_string_equal(f.value->id, id);
	if (secret)
		assert_string_equal(f.value->secret, secret);
	if (session)
		assert_string_equal(f.value->session, session);
	creds_value_unref(f.value);
}

static void assert_refused(struct found f, const char *words)
{
	assert_int_equal(f.result, -EACCES);
	if (!strstr(f.why, words))
		print_error("%s\n", f.why);
	assert_non_null(strstr(f.why, words));
}

static bool was_asked(unsigned i, const char *words)
{
	return i < server.n_requests && strstr(server.requests[i], words);
}

/* ---- AWS ---- */

static void test_aws_environment(void **state)
{
	setenv("AWS_ACCESS_KEY_ID", "id", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "id", "secret", NULL);
	setenv("AWS_SESSION_TOKEN", "session", 1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "id", "secret", "session");
}

static void test_aws_files(void **state)
{
	_cleanup_free_ char *region = NULL;

	setenv("AWS_SHARED_CREDENTIALS_FILE",
	       file("credentials",
		    "[default]\naws_access_key_id = d\naws_secret_access_key = ds\n"
		    "[other]\naws_access_key_id=o\naws_secret_access_key=os\n"
		    "aws_session_token=ot\n"),
	       1);
	setenv("AWS_CONFIG_FILE",
	       file("config",
		    "[default]\nregion = eu-north-1\naws_access_key_id = never\n"
		    "s3 =\n  max_concurrent_requests = 20\n"
		    "[profile third]\naws_access_key_id = t\naws_secret_access_key = ts\n"),
	       1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "d", "ds", NULL);
	assert_found(aws(NULL, "other"), CREDS_AWS, "o", "os", "ot");
	setenv("AWS_PROFILE", "third", 1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "t", "ts", NULL);
	unsetenv("AWS_PROFILE");
	assert_refused(aws(NULL, "fourth"), "no credentials for profile fourth");
	assert_int_equal(creds_aws_setting(&(struct creds_aws_options){}, "region", &region), 0);
	assert_string_equal(region, "eu-north-1");
	assert_int_equal(creds_aws_setting(&(struct creds_aws_options){}, "endpoint_url", &region),
			 -ENOENT);
}

static void test_aws_own_file_stands_alone(void **state)
{
	const char *path = file("own",
				"[default]\naws_access_key_id = own\naws_secret_access_key = s\n");

	setenv("AWS_ACCESS_KEY_ID", "id", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_found(aws(path, NULL), CREDS_AWS, "own", "s", NULL);
	assert_refused(aws(path, "none"), "no credentials for profile none");
	assert_refused(aws(file("broken", "[default\nwhat"), NULL), "is not INI");
}

static void test_aws_process(void **state)
{
	setenv("AWS_CONFIG_FILE",
	       file("config",
		    "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"p\","
		    "\"SecretAccessKey\":\"ps\",\"SessionToken\":\"pt\","
		    "\"Expiration\":\"2100-01-01T00:00:00Z\"}'\n"
		    "[profile bad]\ncredential_process = exit 3\n"),
	       1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "p", "ps", "pt");
	assert_refused(aws(NULL, "bad"), "credential_process failed");
}

#define STS_BODY                                                                   \
	"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
	"<AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"           \
	"<SecretAccessKey>rs</SecretAccessKey><SessionToken>rt</SessionToken>"     \
	"<Expiration>2100-01-01T00:00:00Z</Expiration>"                            \
	"</Credentials></AssumeRoleResult></AssumeRoleResponse>"

static void test_aws_role(void **state)
{
	canned_add(&server, "POST /", 200, STS_BODY);
	setenv("AWS_ENDPOINT_URL_STS", server.origin, 1);
	setenv("AWS_CONFIG_FILE",
	       file("config", "[profile r]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = s\n"
			      "external_id = e/1\n[profile s]\naws_access_key_id = b\n"
			      "aws_secret_access_key = bs\n"
			      "[profile loop]\nrole_arn = a\nsource_profile = loop\n"),
	       1);
	assert_found(aws(NULL, "r"), CREDS_AWS, "ASIA", "rs", "rt");
	assert_true(was_asked(0, "Action=AssumeRole&"));
	assert_true(was_asked(0, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx"));
	assert_true(was_asked(0, "ExternalId=e%2F1"));
	assert_true(was_asked(0, "Credential=b/"));
	assert_refused(aws(NULL, "loop"), "circle");
}

static void test_aws_web_identity(void **state)
{
	canned_add(&server, "POST /", 200, STS_BODY);
	setenv("AWS_ENDPOINT_URL_STS", server.origin, 1);
	setenv("AWS_ROLE_ARN", "arn:role", 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file("token", "web.token\n"), 1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "ASIA", "rs", "rt");
	assert_true(was_asked(0, "Action=AssumeRoleWithWebIdentity"));
	assert_true(was_asked(0, "WebIdentityToken=web.token"));
	assert_false(was_asked(0, "Authorization"));
	canned_reset(&server);
	canned_add(
		&server, "POST /", 400,
		"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>");
	assert_refused(aws(NULL, NULL), "STS answers 400");
}

#define KEYS_BODY                                                                                  \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"c\",\"SecretAccessKey\":\"cs\",\"Token\":\"ct\"," \
	"\"Expiration\":\"2100-01-01T00:00:00Z\"}"

static void test_aws_container(void **state)
{
	char url[128];

	snprintf(url, sizeof(url), "%s/creds?x=1", server.origin);
	canned_add(&server, "GET /creds?x=1 ", 200, KEYS_BODY);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token", 1);
	assert_found(aws(NULL, NULL), CREDS_AWS, "c", "cs", "ct");
	assert_true(was_asked(0, "Authorization: container-token"));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/creds", 1);
	assert_refused(aws(NULL, NULL), "neither https nor local");
}

static void test_aws_instance(void **state)
{
	canned_add(&server, "PUT /latest/api/token", 200, "imds-token");
	canned_add(&server, "GET /latest/meta-data/iam/security-credentials/ ", 200, "my-role\n");
	canned_add(&server, "GET /latest/meta-data/iam/security-credentials/my-role ", 200,
		   KEYS_BODY);
	assert_found(aws(NULL, NULL), CREDS_AWS, "c", "cs", "ct");
	assert_int_equal(server.n_requests, 3);
	assert_true(was_asked(0, "X-aws-ec2-metadata-token-ttl-seconds: 21600"));
	assert_true(was_asked(2, "X-aws-ec2-metadata-token: imds-token"));
}

static void test_aws_nothing(void **state)
{
	assert_refused(aws(NULL, NULL), "set AWS_ACCESS_KEY_ID");
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	canned_reset(&server);
	assert_refused(aws(NULL, NULL), "set AWS_ACCESS_KEY_ID");
	assert_int_equal(server.n_requests, 0);
}

/* ---- Azure ---- */

static void test_azure_environment(void **state)
{
	_cleanup_free_ char *endpoint = NULL;

	setenv("AZURE_STORAGE_KEY", "a2V5", 1);
	assert_found(azure(NULL, "account"), CREDS_KEY, "account", "a2V5", NULL);
	setenv("AZURE_STORAGE_ACCOUNT", "account", 1);
	assert_found(azure(NULL, "account"), CREDS_KEY, "account", "a2V5", NULL);
	setenv("AZURE_STORAGE_ACCOUNT", "another", 1);
	assert_refused(azure(NULL, "account"), "account");
	unsetenv("AZURE_STORAGE_ACCOUNT");
	unsetenv("AZURE_STORAGE_KEY");
	setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=a%2Fb", 1);
	assert_found(azure(NULL, "account"), CREDS_SAS, "account", "sv=1&sig=a%2Fb", NULL);
	setenv("AZURE_STORAGE_CONNECTION_STRING",
	       "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5Mg==;"
	       "EndpointSuffix=core.example",
	       1);
	assert_found(azure(NULL, "account"), CREDS_KEY, "account", "a2V5Mg==", NULL);
	assert_int_equal(creds_azure_endpoint(&(struct creds_azure_options){ .account = "account" },
					      &endpoint),
			 0);
	assert_string_equal(endpoint, "https://account.blob.core.example");
	setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=account;AccountKey=???", 1);
	assert_refused(azure(NULL, "account"), "not base64");
}

static void test_azure_development(void **state)
{
	_cleanup_free_ char *endpoint = NULL;
	const struct creds_azure_options o = { .account = "devstoreaccount1" };

	setenv("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true", 1);
	assert_found(azure(NULL, "devstoreaccount1"), CREDS_KEY, "devstoreaccount1", NULL, NULL);
	assert_int_equal(creds_azure_endpoint(&o, &endpoint), 0);
	assert_string_equal(endpoint, "http://127.0.0.1:10000/devstoreaccount1");
}

static void test_azure_files(void **state)
{
	setenv("AZURE_STORAGE_KEY", "bm90IHRoaXM=", 1);
	assert_found(azure(file("az", "# mine\nexport AZURE_STORAGE_KEY = \"a2V5\"\n"), "account"),
		     CREDS_KEY, "account", "a2V5", NULL);
	assert_found(azure(file("az", "AccountName=account;AccountKey=a2V5\n"), "account"),
		     CREDS_KEY, "account", "a2V5", NULL);
	assert_refused(azure(file("az", "nothing\n"), "account"), "holds no credentials");
	assert_refused(azure("/nonexistent/az", "account"), "cannot be read");
}

static void test_azure_log_in(void **state)
{
	canned_add(&server, "POST /tenant/oauth2/v2.0/token", 200,
		   "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"T\"}");
	setenv("AZURE_AUTHORITY_HOST", server.origin, 1);
	setenv("AZURE_TENANT_ID", "tenant", 1);
	setenv("AZURE_CLIENT_ID", "client", 1);
	setenv("AZURE_CLIENT_SECRET", "s&cret", 1);
	assert_found(azure(NULL, "account"), CREDS_BEARER, NULL, "T", NULL);
	assert_true(was_asked(0, "client_secret=s%26cret"));
	assert_true(was_asked(0, "scope=https%3A%2F%2Fstorage.azure.com%2F.default"));
	unsetenv("AZURE_CLIENT_SECRET");
	setenv("AZURE_FEDERATED_TOKEN_FILE", file("federated", "fed.token"), 1);
	assert_found(azure(NULL, "account"), CREDS_BEARER, NULL, "T", NULL);
	assert_true(was_asked(1, "client_assertion=fed.token"));
	canned_reset(&server);
	canned_add(&server, "POST /tenant", 401,
		   "{\"error\":\"invalid_client\",\"error_description\":\"wrong secret\"}");
	assert_refused(azure(NULL, "account"), "401 invalid_client: wrong secret");
}

static void test_azure_managed_identity(void **state)
{
	canned_add(&server, "GET /?api-version=2019-08-01", 200,
		   "{\"access_token\":\"M\",\"expires_on\":\"4102444800\"}");
	assert_found(azure(NULL, "account"), CREDS_BEARER, NULL, "M", NULL);
	assert_true(was_asked(0, "X-IDENTITY-HEADER: identity-secret"));
	assert_true(was_asked(0, "resource=https%3A%2F%2Fstorage.azure.com%2F"));
}

/* ---- Google ---- */

static const char *pem_as_json(void)
{
	static char text[8192];
	EVP_PKEY *key = EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem());
	char pem[4096];
	int n, at = 0;

	PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_read(bio, pem, sizeof(pem));
	for (int i = 0; i < n; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, pem[i] == '\n' ? "\\n" : "%c",
			       pem[i]);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return text;
}

static void test_gcs_service_account(void **state)
{
	char json[10000];
	struct found f;
	_cleanup_buf_ struct buf claims = BUF_INIT(4 * KiB);
	_cleanup_(json_freep) struct json *j = NULL;
	const char *dot;

	snprintf(
		json, sizeof(json),
		"{\"type\":\"service_account\",\"client_email\":\"me@x\",\"private_key_id\":\"k1\","
		"\"private_key\":\"%s\"}",
		pem_as_json());
	setenv("GOOGLE_APPLICATION_CREDENTIALS", file("adc", json), 1);
	f = gcs(NULL);
	assert_int_equal(f.result, 0);
	assert_int_equal(f.value->kind, CREDS_BEARER);
	assert_true(f.value->expires_s > clock_wall() / NS_PER_S + 3000);
	dot = strchr(f.value->secret, '.');
	assert_int_equal(base64_decode(span_of(dot + 1, strcspn(dot + 1, ".")), &claims), 0);
	assert_int_equal(json_parse(buf_span(&claims), &j), 0);
	assert_string_equal(json_str(j, "iss"), "me@x");
	assert_non_null(strstr(json_str(j, "scope"), "devstorage.read_write"));
	creds_value_unref(f.value);
	assert_int_equal(server.n_requests, 0);
	assert_refused(
		gcs(file(
			"adc",
			"{\"type\":\"service_account\",\"client_email\":\"a\","
			"\"private_key\":\"x\"}")),
		"PEM");
}

static void test_gcs_user(void **state)
{
	char json[512];

	canned_add(&server, "POST /token", 200, "{\"access_token\":\"U\",\"expires_in\":3599}");
	snprintf(json, sizeof(json),
		 "{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s\","
		 "\"refresh_token\":\"1//r\",\"token_uri\":\"%s/token\"}",
		 server.origin);
	setenv("CLOUDSDK_CONFIG", dir, 1);
	file("application_default_credentials.json", json);
	assert_found(gcs(NULL), CREDS_BEARER, NULL, "U", NULL);
	assert_true(was_asked(0, "grant_type=refresh_token"));
	assert_true(was_asked(0, "refresh_token=1%2F%2Fr"));
	canned_reset(&server);
	canned_add(&server, "POST /token", 400,
		   "{\"error\":\"invalid_grant\",\"error_description\":\"revoked\"}");
	assert_refused(gcs(NULL), "invalid_grant: revoked");
}

static void test_gcs_external_account(void **state)
{
	char json[1024], token[TMPDIR_MAX + 64];

	snprintf(token, sizeof(token), "%s", file("subject", "{\"id_token\":\"SUB\"}"));
	canned_add(&server, "POST /v1/token", 200, "{\"access_token\":\"E\",\"expires_in\":3599}");
	canned_add(&server, "POST /impersonate", 200,
		   "{\"accessToken\":\"I\",\"expireTime\":\"2100-01-01T00:00:00Z\"}");
	snprintf(
		json, sizeof(json),
		"{\"type\":\"external_account\",\"audience\":\"//iam/x\","
		"\"subject_token_type\":\"jwt\","
		"\"token_url\":\"%s/v1/token\","
		"\"service_account_impersonation_url\":\"%s/impersonate\","
		"\"credential_source\":{\"file\":\"%s\",\"format\":{\"type\":\"json\","
		"\"subject_token_field_name\":\"id_token\"}}}",
		server.origin, server.origin, token);
	assert_found(gcs(file("adc", json)), CREDS_BEARER, NULL, "I", NULL);
	assert_true(was_asked(0, "subject_token=SUB"));
	assert_true(was_asked(0, "audience=%2F%2Fiam%2Fx"));
	assert_true(was_asked(1, "Authorization: Bearer E"));
}

static void test_gcs_metadata(void **state)
{
	canned_add(&server, "GET /computeMetadata/v1/instance/service-accounts/default/token", 200,
		   "{\"access_token\":\"G\",\"expires_in\":3599}");
	assert_found(gcs(NULL), CREDS_BEARER, NULL, "G", NULL);
	assert_true(was_asked(0, "Metadata-Flavor: Google"));
	assert_refused(gcs("/nonexistent/adc"), "cannot be read");
	assert_refused(gcs(file("adc", "no json")), "is not JSON");
	assert_refused(gcs(file("adc", "{\"type\":\"gdch\"}")), "unknown type 'gdch'");
}

/* ---- the cache ---- */

struct counter {
	unsigned fetched;
	uint64_t life_s;
	int result;
	bool slow;
};

static int counted_fetch(struct creds *c, void *self, bool local, struct creds_value **ret,
			 char *err, size_t err_size)
{
	struct counter *n = self;
	char name[16];

	if (local)
		return CREDS_LATER;
	n->fetched++;
	if (n->slow)
		sleep_for(100 * NS_PER_MS);
	snprintf(err, err_size, "no luck");
	if (n->result)
		return n->result;
	snprintf(name, sizeof(name), "v%u", n->fetched);
	*ret = creds_value_new(CREDS_BEARER, NULL, name, NULL,
			       n->life_s ? clock_wall() / NS_PER_S + n->life_s : 0);
	return 0;
}
static void keep(void *self)
{
}
static const struct creds_source counted = { counted_fetch, keep };

static struct creds *counted_new(struct counter *n)
{
	struct creds *c = NULL;
	char err[256];

	assert_int_equal(creds_new(&counted, n, &c, err, sizeof(err)), 0);
	return c;
}

static void test_one_renewal_for_many(void **state)
{
	enum { N = 20 };
	struct counter n = { .slow = true };
	struct creds *c = counted_new(&n);
	struct waiting w[N] = {};
	char err[256];

	for (unsigned i = 0; i < N; i++) {
		w[i].wait = (struct creds_wait){ .ready = on_ready, .deadline_ns = NEVER };
		event_init(&w[i].over);
		assert_int_equal(creds_get(c, &w[i].wait, &w[i].value, err, sizeof(err)),
				 CREDS_LATER);
	}
	assert_true(creds_leave(c, &w[0].wait));
	assert_false(creds_leave(c, &w[0].wait));
	for (unsigned i = 1; i < N; i++) {
		assert_int_equal(event_wait(&w[i].over, clock_now() + 20 * NS_PER_S), 0);
		assert_int_equal(w[i].result, 0);
		assert_string_equal(w[i].value->secret, "v1");
		creds_value_unref(w[i].value);
		event_release(&w[i].over);
	}
	assert_false(w[0].over.set);
	event_release(&w[0].over);
	creds_free(c);
	assert_int_equal(n.fetched, 1);
}

static void test_refused_ones_are_renewed(void **state)
{
	struct counter n = {};
	struct creds *c = counted_new(&n);
	struct creds_value *first = NULL, *same = NULL, *second = NULL;
	char err[256];

	assert_int_equal(value_of(c, &first, err, sizeof(err)), 0);
	assert_int_equal(value_of(c, &same, err, sizeof(err)), 0);
	assert_ptr_equal(first, same);
	creds_refused(c, first);
	assert_int_equal(value_of(c, &second, err, sizeof(err)), 0);
	assert_string_equal(second->secret, "v2");
	creds_refused(c, first); /* old news */
	assert_int_equal(creds_get(c, NULL, &same, err, sizeof(err)), 0);
	assert_ptr_equal(same, second);
	creds_value_unref(first);
	creds_value_unref(first);
	creds_value_unref(second);
	creds_value_unref(second);
	creds_free(c);
}

static void test_old_ones_serve_until_they_expire(void **state)
{
	struct counter n = { .life_s = 2 };
	struct creds *c = counted_new(&n);
	struct creds_value *v = NULL;
	char err[256] = "";
	uint64_t until = clock_now() + 20 * NS_PER_S;
	int r;

	assert_int_equal(value_of(c, &v, err, sizeof(err)), 0);
	v = creds_value_unref(v);
	n.result = -EAGAIN;
	assert_int_equal(value_of(c, &v, err, sizeof(err)), 0);
	v = creds_value_unref(v);
	while ((r = value_of(c, &v, err, sizeof(err))) == 0 && clock_now() < until) {
		v = creds_value_unref(v);
		sleep_for(50 * NS_PER_MS);
	}
	assert_int_equal(r, -EAGAIN);
	assert_string_equal(err, "no luck");
	assert_true(n.fetched < 10); /* not one for each request */
	creds_free(c);
}

static int group_up(void **state)
{
	tmpdir_make(dir);
	canned_start(&server);
	return 0;
}
static int group_down(void **state)
{
	canned_stop(&server);
	tmpdir_remove(dir);
	http_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_aws_environment, clean),
		cmocka_unit_test_setup(test_aws_files, clean),
		cmocka_unit_test_setup(test_aws_own_file_stands_alone, clean),
		cmocka_unit_test_setup(test_aws_process, clean),
		cmocka_unit_test_setup(test_aws_role, clean),
		cmocka_unit_test_setup(test_aws_web_identity, clean),
		cmocka_unit_test_setup(test_aws_container, clean),
		cmocka_unit_test_setup(test_aws_instance, clean),
		cmocka_unit_test_setup(test_aws_nothing, clean),
		cmocka_unit_test_setup(test_azure_environment, clean),
		cmocka_unit_test_setup(test_azure_development, clean),
		cmocka_unit_test_setup(test_azure_files, clean),
		cmocka_unit_test_setup(test_azure_log_in, clean),
		cmocka_unit_test_setup(test_azure_managed_identity, clean),
		cmocka_unit_test_setup(test_gcs_service_account, clean),
		cmocka_unit_test_setup(test_gcs_user, clean),
		cmocka_unit_test_setup(test_gcs_external_account, clean),
		cmocka_unit_test_setup(test_gcs_metadata, clean),
		cmocka_unit_test(test_one_renewal_for_many),
		cmocka_unit_test(test_refused_ones_are_renewed),
		cmocka_unit_test(test_old_ones_serve_until_they_expire),
	};

	return cmocka_run_group_tests(tests, group_up, group_down);
}
