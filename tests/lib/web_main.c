/* SPDX-License-Identifier: Apache-2.0 */
#include "web.h"
#include "web_control.h"
#include "web_fault.h"
#include "web_token.h"
#include "web_upload.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: mangrove-standin --dialect s3|azure|gcs [OPTION]...\n"
	"An object store in memory, on 127.0.0.1, for tests and measurements.\n"
	"\n"
	"  --dialect NAME         which protocol to speak\n"
	"  --port N               port; 0, the default, takes a free one\n"
	"  --port-file FILE       write the port there when ready\n"
	"  --bucket NAME          create this bucket or container (repeatable)\n"
	"  --cert FILE --key FILE speak TLS\n"
	"  --page N               most keys in one page of a listing\n"
	"  --empty-pages          put an empty page with a token before each page\n"
	"  --copy-max N           S3: larger objects are copied by parts only (5 GiB)\n"
	"  --copy-steps N         copies take N steps (Azure: of 100 ms; GCS: requests)\n"
	"  --idle SECONDS         close connections that are idle for so long\n"
	"  --now TIME             freeze the clock, as 20130524T000000Z\n"
	"  --help                 this text\n"
	"S3:\n"
	"  --access-key ID        default: test-access-key\n"
	"  --secret-key KEY       default: test-secret-key\n"
	"  --session-token TOKEN  demand this session token\n"
	"  --region NAME          default: us-east-1\n"
	"Azure:\n"
	"  --account NAME         default: mangrovetest\n"
	"  --account-key BASE64   default: of the text test-account-key\n"
	"Azure and GCS:\n"
	"  --token TOKEN          accept this bearer token\n"
	"GCS:\n"
	"  --jwt-pubkey FILE      accept JWTs signed for this public key (PEM)\n"
	"  --refresh-token TOKEN  accept this refresh token at /token\n"
	"  --token-life SECONDS   life of tokens handed out at /token (default 3600)\n"
	"  --gcs-name-rate        one change a second of each object name, else 429\n";

enum option_id {
	OPT_DIALECT = 1, OPT_PORT, OPT_PORT_FILE, OPT_BUCKET, OPT_CERT, OPT_KEY, OPT_PAGE,
	OPT_EMPTY_PAGES, OPT_COPY_MAX, OPT_COPY_STEPS, OPT_IDLE, OPT_NOW, OPT_HELP, OPT_ACCESS_KEY,
	OPT_SECRET_KEY,
	OPT_SESSION_TOKEN, OPT_REGION, OPT_ACCOUNT, OPT_ACCOUNT_KEY, OPT_TOKEN, OPT_JWT_PUBKEY,
	OPT_REFRESH_TOKEN, OPT_TOKEN_LIFE, OPT_NAME_RATE,
};

static const struct option options[] = {
	{ "dialect", required_argument, NULL, OPT_DIALECT },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "port-file", required_argument, NULL, OPT_PORT_FILE },
	{ "bucket", required_argument, NULL, OPT_BUCKET },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "page", required_argument, NULL, OPT_PAGE },
	{ "empty-pages", no_argument, NULL, OPT_EMPTY_PAGES },
	{ "copy-max", required_argument, NULL, OPT_COPY_MAX },
	{ "copy-steps", required_argument, NULL, OPT_COPY_STEPS },
	{ "idle", required_argument, NULL, OPT_IDLE },
	{ "now", required_argument, NULL, OPT_NOW },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "access-key", required_argument, NULL, OPT_ACCESS_KEY },
	{ "secret-key", required_argument, NULL, OPT_SECRET_KEY },
	{ "session-token", required_argument, NULL, OPT_SESSION_TOKEN },
	{ "region", required_argument, NULL, OPT_REGION },
	{ "account", required_argument, NULL, OPT_ACCOUNT },
	{ "account-key", required_argument, NULL, OPT_ACCOUNT_KEY },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "jwt-pubkey", required_argument, NULL, OPT_JWT_PUBKEY },
	{ "refresh-token", required_argument, NULL, OPT_REFRESH_TOKEN },
	{ "token-life", required_argument, NULL, OPT_TOKEN_LIFE },
	{ "gcs-name-rate", no_argument, NULL, OPT_NAME_RATE },
	{ NULL, 0, NULL, 0 },
};

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("mangrove-standin: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

static const struct web_dialect *dialect_of(const char *name)
{
	static const struct web_dialect *const dialects[] = { &web_s3, &web_azure, &web_gcs };
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
		if (strcmp(dialects[i]->name, name) == 0)
			return dialects[i];
	die("unknown dialect %s", name);
}

static uint64_t number(const char *s, uint64_t max)
{
	uint64_t n;
	if (!web_parse_u64(s, max, &n))
		die("%s is no number up to %llu", s, (unsigned long long)max);
	return n;
}

static void set_account_key(struct web_conf *conf, const char *base64)
{
	ssize_t n = web_base64_decode(base64, conf->account_key, sizeof(conf->account_key));
	if (n <= 0)
		die("the account key is not base64");
	conf->account_key_len = (size_t)n;
}

static int64_t frozen_time(const char *s)
{
	int64_t when = web_parse_basic_date(s);
	if (when <= 0)
		die("%s is no time of the form 20130524T000000Z", s);
	return when;
}

static void option_set(struct web *web, enum option_id id, const char *arg)
{
	struct web_conf *conf = &web->conf;
	switch (id) {
	case OPT_DIALECT: conf->dialect = dialect_of(arg); break;
	case OPT_PORT: conf->port = (uint16_t)number(arg, UINT16_MAX); break;
	case OPT_PORT_FILE: conf->port_file = arg; break;
	case OPT_BUCKET: web_store_bucket_add(web->store, arg); break;
	case OPT_CERT: conf->cert = arg; break;
	case OPT_KEY: conf->key = arg; break;
	case OPT_PAGE: conf->page = number(arg, 100000); break;
	case OPT_EMPTY_PAGES: conf->empty_pages = true; break;
	case OPT_COPY_MAX: conf->copy_max = number(arg, INT64_MAX); break;
	case OPT_COPY_STEPS: conf->copy_steps = number(arg, 1000); break;
	case OPT_IDLE: conf->idle_s = number(arg, 86400); break;
	case OPT_NOW: conf->fixed_now_s = frozen_time(arg); break;
	case OPT_ACCESS_KEY: conf->access_key = arg; break;
	case OPT_SECRET_KEY: conf->secret_key = arg; break;
	case OPT_SESSION_TOKEN: conf->session_token = arg; break;
	case OPT_REGION: conf->region = arg; break;
	case OPT_ACCOUNT: conf->account = arg; break;
	case OPT_ACCOUNT_KEY: set_account_key(conf, arg); break;
	case OPT_TOKEN: conf->token = arg; break;
	case OPT_JWT_PUBKEY: conf->jwt_pubkey = arg; break;
	case OPT_REFRESH_TOKEN: conf->refresh_token = arg; break;
	case OPT_TOKEN_LIFE: conf->token_life_s = number(arg, 86400); break;
	case OPT_NAME_RATE: conf->gcs_name_rate = true; break;
	case OPT_HELP:
		fputs(help, stdout);
		exit(0);
	}
}

static void options_read(struct web *web, int argc, char **argv)
{
	web->conf = (struct web_conf){
		.access_key = "test-access-key", .secret_key = "test-secret-key",
		.region = "us-east-1", .account = "mangrovetest", .token_life_s = 3600,
	};
	set_account_key(&web->conf, "dGVzdC1hY2NvdW50LWtleQ==");
	for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (id == '?')
			exit(2);
		option_set(web, (enum option_id)id, optarg);
	}
	if (optind < argc || !web->conf.dialect)
		die("--dialect is needed and takes no further words; see --help");
}

static SSL_CTX *tls_new(const struct web_conf *conf)
{
	if (!conf->cert)
		return NULL;
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	if (!tls || SSL_CTX_use_certificate_chain_file(tls, conf->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, conf->key ? conf->key : conf->cert,
					SSL_FILETYPE_PEM) != 1)
		die("cannot load the certificate: %s", ERR_error_string(ERR_get_error(), NULL));
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	return tls;
}

static EVP_PKEY *jwt_key_read(const char *path)
{
	if (!path)
		return NULL;
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = file ? PEM_read_PUBKEY(file, NULL, NULL, NULL) : NULL;
	if (!key)
		die("cannot read a public key from %s", path);
	fclose(file);
	return key;
}

/* The file appears whole or not at all, so that a test may wait for it. */
static void port_file_write(const char *path, uint16_t port)
{
	struct web_text temporary = { 0 };
	web_text_printf(&temporary, "%s.new", path);
	FILE *file = fopen(temporary.s, "we");
	if (!file || fprintf(file, "%u\n", port) < 0 || fclose(file) ||
	    rename(temporary.s, path))
		die("cannot write %s: %s", path, strerror(errno));
	web_text_release(&temporary);
}

static void on_term(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

int main(int argc, char **argv)
{
	/*
	 * Bodies come and go in the same sizes: their memory is kept, of all threads in one place,
	 * because clearing new pages is half of the cost of a PUT. 32 MiB is the most that is
	 * taken.
	 */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	struct web *web = web_alloc(sizeof(*web));
	web->store = web_store_new();
	web->faults = web_faults_new();
	web->stats = web_stats_new();
	web->tokens = web_tokens_new();
	web->uploads = web_uploads_new();
	options_read(web, argc, argv);
	web->tls = tls_new(&web->conf);
	web->jwt_key = jwt_key_read(web->conf.jwt_pubkey);
	uint16_t port;
	int listener = web_listen(web->conf.port, &port);
	if (listener < 0)
		die("cannot listen: %s", strerror(-listener));
	if (web->conf.port_file)
		port_file_write(web->conf.port_file, port);
	printf("listening on 127.0.0.1:%u\n", port);
	fflush(stdout);
	web_accept_forever(web, listener);
}
