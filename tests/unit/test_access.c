/* SPDX-License-Identifier: Apache-2.0 */
/* Whom we trust, and who trusts us: certificates, tokens, shared access signatures. */
#include "tests/lib/standin.h"

#include "backends/creds.h"
#include "backends/open.h"
#include "backends/sharedkey.h"
#include "base/json.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char dir[TMPDIR_MAX];

static const char *path_of(const char *name)
{
	static char paths[8][TMPDIR_MAX + 32];
	static unsigned next;
	char *p = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* ---- keys and certificates ---- */

static EVP_PKEY *key_write(const char *name)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	return key;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* A certificate that signs itself, for `host` ("IP:127.0.0.1"). */
static void certificate_write(const char *name, EVP_PKEY *key, const char *host)
{
	X509 *cert = X509_new();
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 24 * 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
				   (const uint8_t *)name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(cert, NID_subject_alt_name, host);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	X509_free(cert);
}

/* ---- one put against one store ---- */

struct outcome {
	int result;
	bool executed_not;
	char detail[256];
};

static struct outcome put_at(const char *url, const char *credentials)
{
	struct store *s = NULL;
	struct store_call *c = NULL;
	struct outcome o = {};
	struct blob *b = blob_copy(SPAN_LITERAL("hello"));
	const struct store_config cfg = { .name = "t", .url = url, .credentials = credentials };

	o.result = store_open(&cfg, &s, o.detail, sizeof(o.detail));
	if (o.result == 0) {
		const struct put_req r = { .name = SPAN_LITERAL("x"),
					   .body = b,
					   .deadline_ns = clock_now() + 20 * NS_PER_S };

		o.result = store_put_wait(s, &r, &c);
		o.executed_not = c->executed_not;
		snprintf(o.detail, sizeof(o.detail), "%s", c->detail);
		store_call_unref(c);
	}
	store_free(s);
	blob_unref(b);
	return o;
}

static void assert_fine(struct outcome o)
{
	if (o.result)
		print_error("%d %s\n", o.result, o.detail);
	assert_int_equal(o.result, 0);
}

static char *url_of(const char *fmt, ...) printf_like(1, 2);
static char *url_of(const char *fmt, ...)
{
	static char url[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(url, sizeof(url), fmt, ap);
	va_end(ap);
	return url;
}

/* ---- certificates ---- */

static void test_certificates(void **state)
{
	EVP_PKEY *key = key_write("tls.key"), *other_key = key_write("other.key");
	struct standin s;
	struct outcome o;
	const char *args[] = { "--cert", NULL, "--key", NULL, NULL };

	certificate_write("tls.pem", key, "IP:127.0.0.1");
	certificate_write("other.pem", other_key, "IP:127.0.0.1");
	args[1] = path_of("tls.pem");
	args[3] = path_of("tls.key");
	assert_true(standin_start(&s, "s3", args));
	assert_fine(put_at(url_of("s3://testbucket?endpoint=https://127.0.0.1:%u&ca_file=%s",
				  s.port, path_of("tls.pem")),
			   NULL));
	o = put_at(url_of("s3://testbucket?endpoint=https://127.0.0.1:%u", s.port), NULL);
	assert_int_equal(o.result, -EIO);
	assert_true(o.executed_not);
	assert_non_null(strstr(o.detail, "ca_file="));
	o = put_at(url_of("s3://testbucket?endpoint=https://127.0.0.1:%u&ca_file=%s", s.port,
			  path_of("other.pem")),
		   NULL);
	assert_int_equal(o.result, -EIO);
	o = put_at(url_of("s3://testbucket?endpoint=https://localhost:%u&ca_file=%s", s.port,
			  path_of("tls.pem")),
		   NULL);
	assert_int_equal(o.result, -EIO); /* another name than the certificate's */
	o = put_at(url_of("s3://testbucket?endpoint=https://127.0.0.1:%u&ca_file=/nonexistent.pem",
			  s.port),
		   NULL);
	assert_int_equal(o.result, -EINVAL);
	standin_stop(&s);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
}

/* ---- keys that are wrong ---- */

static void test_wrong_keys(void **state)
{
	struct standin s3, azure;
	struct outcome o;

	assert_true(standin_start(&s3, "s3", NULL));
	assert_true(standin_start(&azure, "azure", NULL));
	write_file(
		"aws",
		"[default]\naws_access_key_id = test-access-key\naws_secret_access_key = wrong\n");
	o = put_at(url_of("s3://testbucket?endpoint=%s", s3.origin), path_of("aws"));
	assert_int_equal(o.result, -EACCES);
	assert_non_null(strstr(o.detail, "403 SignatureDoesNotMatch"));
	assert_null(strstr(o.detail, "wrong\n"));
	o = put_at(url_of("s3://testbucket?anonymous=true&endpoint=%s", s3.origin), NULL);
	assert_int_equal(o.result, -EACCES);
	write_file("azure", "AZURE_STORAGE_KEY=d3Jvbmc=\n");
	o = put_at(url_of("azblob://mangrovetest/testbucket?endpoint=%s", azure.origin),
		   path_of("azure"));
	assert_int_equal(o.result, -EACCES);
	assert_non_null(strstr(o.detail, "the account key is wrong"));
	standin_stop(&s3);
	standin_stop(&azure);
}

/* ---- tokens ---- */

static void test_gcs_signs_its_own_token(void **state)
{
	EVP_PKEY *key = key_write("sa.key"), *other = key_write("sa2.key");
	FILE *f = fopen(path_of("sa.pub"), "we");
	const char *args[] = { "--jwt-pubkey", path_of("sa.pub"), NULL };
	struct standin s;
	struct outcome o;

	assert_int_equal(PEM_write_PUBKEY(f, key), 1);
	fclose(f);
	assert_true(standin_start(&s, "gcs", args));
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_buf_ struct buf pem = BUF_INIT(8 * KiB), json = BUF_INIT(16 * KiB);
		struct json *j = json_object_new();

		assert_int_equal(creds_file(path_of(i ? "sa2.key" : "sa.key"), &pem), 0);
		json_set_str(j, "type", "service_account");
		json_set_str(j, "client_email", "me@project");
		json_set_str(j, "private_key", buf_str(&pem));
		assert_int_equal(json_write(j, 0, &json), 0);
		json_free(j);
		write_file("sa.json", buf_str(&json));
		o = put_at(url_of("gs://testbucket?endpoint=%s", s.origin), path_of("sa.json"));
		if (i == 0)
			assert_fine(o);
		else
			assert_int_equal(o.result, -EACCES);
	}
	standin_stop(&s);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* A token that lives for 2 s, in the middle of a stream of requests. */
static void test_gcs_renews_a_short_token(void **state)
{
	static const char *const args[] = { "--refresh-token", "1//refresh", "--token-life", "2",
					    NULL };
	char json[512];
	struct standin s;
	struct store *store = NULL;
	char err[256];
	uint64_t until = clock_now() + 5 * NS_PER_S;

	assert_true(standin_start(&s, "gcs", args));
	snprintf(json, sizeof(json),
		 "{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s\","
		 "\"refresh_token\":\"1//refresh\",\"token_uri\":\"%s/token\"}",
		 s.origin);
	write_file("user.json", json);
	assert_int_equal(
		store_open(&(struct store_config){ .name = "t",
						   .url = url_of("gs://testbucket?endpoint=%s",
								 s.origin),
						   .credentials = path_of("user.json") },
			   &store, err, sizeof(err)),
		0);
	while (clock_now() < until) {
		struct store_call *c = NULL;
		const struct head_req r = { .name = SPAN_LITERAL("none"),
					    .deadline_ns = clock_now() + 20 * NS_PER_S };

		assert_int_equal(store_head_wait(store, &r, &c), STORE_MISSING);
		store_call_unref(c);
		sleep_for(50 * NS_PER_MS);
	}
	store_free(store);
	standin_stop(&s);
}

static void test_azure_shared_access_signature(void **state)
{
	struct standin s;
	_cleanup_buf_ struct buf sig = BUF_INIT(KiB), escaped = BUF_INIT(KiB);
	char text[1024];

	assert_true(standin_start(&s, "azure", NULL));
	assert_int_equal(
		sharedkey_hmac(
			"dGVzdC1hY2NvdW50LWtleQ==",
			SPAN_LITERAL(
				"rwdlac\n2020-01-01T00:00:00Z\n2100-01-01T00:00:00Z\n"
				"/blob/mangrovetest/testbucket\n\n\n\n2021-12-02\nc\n\n\n\n\n\n\n"),
			&sig),
		0);
	assert_int_equal(percent_encode(buf_span(&sig), false, &escaped), 0);
	snprintf(
		text, sizeof(text),
		"AZURE_STORAGE_SAS_TOKEN=?sp=rwdlac&st=2020-01-01T00:00:00Z&se=2100-01-01T00:00:00Z"
		"&sv=2021-12-02&sr=c&sig=%s\n",
		buf_str(&escaped));
	write_file("sas", text);
	assert_fine(put_at(url_of("azblob://mangrovetest/testbucket?endpoint=%s", s.origin),
			   path_of("sas")));
	standin_stop(&s);
}

static int group_up(void **state)
{
	setenv("AWS_ACCESS_KEY_ID", "test-access-key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key", 1);
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AZURE_STORAGE_CONNECTION_STRING");
	tmpdir_make(dir);
	return getenv("MANGROVE_STANDIN") ? 0 : -1;
}
static int group_down(void **state)
{
	http_stop();
	tmpdir_remove(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_gcs_signs_its_own_token),
		cmocka_unit_test(test_gcs_renews_a_short_token),
		cmocka_unit_test(test_azure_shared_access_signature),
	};

	return cmocka_run_group_tests(tests, group_up, group_down);
}
