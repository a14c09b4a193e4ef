/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/store.h"
#include "fs/config.h"
#include "fs/ns/rows.h"
#include "fs/options.h"
#include "tests/lib/cm.h"

static char err[512];

static int parse(const char *text, struct config **ret)
{
	*err = '\0';
	return config_parse(span_str(text), "/etc/mangrove/demo.conf", ret, err, sizeof(err));
}

static void refused(const char *text, const char *why)
{
	struct config *c;

	assert_int_equal(parse(text, &c), -EINVAL);
	if (!strstr(err, why))
		print_error("\"%s\" does not say \"%s\"\n", err, why);
	assert_non_null(strstr(err, why));
}

#define STORE "[store a]\nurl = file:///a\n"

static void test_the_example(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;
	struct key_source key;

	assert_int_equal(parse("[volume]\n"
			       "name = demo\n"
			       "key_command = vault kv get -field=key kv/demo\n"
			       "\n"
			       "[store aws]\n"
			       "url = s3://ml-data/mangrove?region=eu-central-1\n"
			       "read_price = 0.09    ; per GB\n"
			       "[store azure]\n"
			       "url = azblob://mlstore/mangrove\n"
			       "roles = journal\n"
			       "[cache]\n"
			       "dir = /var/cache/mangrove/demo\n"
			       "size = 200G\n",
			       &c),
			 0);
	assert_string_equal(c->name, "demo");
	assert_int_equal(c->n_stores, 2);
	assert_string_equal(c->stores[0].name, "aws");
	assert_string_equal(c->stores[0].url, "s3://ml-data/mangrove?region=eu-central-1");
	assert_true(c->stores[0].prices.read_gb > 0.08 && c->stores[0].prices.read_gb < 0.1);
	assert_int_equal(c->stores[1].roles, STORE_ROLE_JOURNAL);
	assert_string_equal(c->cache_size, "200G");
	key = config_key_source(c);
	assert_int_equal(key.type, KEY_COMMAND);
	assert_string_equal(key.where, "vault kv get -field=key kv/demo");
}

static void test_errors_have_an_address(void **state)
{
	refused("[volume]\nkye_file = x\n" STORE,
		"/etc/mangrove/demo.conf:2: unknown key 'kye_file' in [volume]; "
		"did you mean 'key_file'?");
	refused("[volume]\nzzzzzz = x\n" STORE, "demo.conf:2: unknown key 'zzzzzz' in [volume]");
	refused("[volme]\nname = x\n" STORE,
		"demo.conf:2: unknown section [volme]; did you mean [volume]?");
	refused(STORE "[cache]\nsize = much\n",
		"demo.conf:4: size = much: expected a size such as 200G");
	refused(STORE "[cache]\nsize = 120%\n", "size = 120%");
	refused("[volume]\nname = a/b\n" STORE, "demo.conf:2: name = a/b");
	refused("[volume]\nid = 12\n" STORE, "32 hex digits");
	refused("[volume]\nacknowledge = 0\n" STORE, "demo.conf:2: acknowledge = 0");
	refused("[store a]\nurl = ftp://x\n", "demo.conf:2: url = ftp://x: expected a URL");
	refused("[store a]\nread_price = -1\n", "demo.conf:2: read_price");
	refused("[store a]\nroles = cook\n", "expected data, journal");
	refused("[volume]\nname = x\n", "no [store NAME] and no [attach NAME] section");
	refused("[store a]\nread_price = 1\n", "demo.conf:2: [store a] has no url");
	refused("[store]\nurl = file:///a\n", "expected [store NAME]");
	refused(STORE "[attach raw]\nread_only = true\n", "demo.conf:4: [attach raw] has no url");
	refused(STORE "[attach a/b]\nurl = s3://b\n", "expected [attach NAME]");
	refused(STORE "[attach raw]\nurl = s3://b\nmirror = b\n", "expected URLs joined by commas");
	refused(STORE "[attach raw]\nurl = s3://b\nttl = soon\n", "expected a time such as 60s");
	refused(STORE "[attach raw]\nread_only = perhaps\n", "expected true or false");
	refused("[volume]\nkey_file = /a\npassphrase_file = /b\n" STORE, "only one of");
	refused("name = x\n", "demo.conf:1:");
	refused("[volume]\nwhat is this\n", "demo.conf:2:");
}

static void test_paths_are_beside_the_file(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;

	assert_int_equal(parse("[volume]\nkey_file = demo.key\n" STORE, &c), 0);
	assert_string_equal(c->key_file, "/etc/mangrove/demo.key");
}

static void test_urls_are_a_volume(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;

	assert_int_equal(config_find("file:///x/one,s3://b/p?a=1,file:///x/two,cloud=s3://c", NULL,
				     &c, err, sizeof(err)),
			 0);
	assert_int_equal(c->n_stores, 4);
	assert_string_equal(c->stores[0].name, "one");
	assert_string_equal(c->stores[1].name, "aws");
	assert_string_equal(c->stores[1].url, "s3://b/p?a=1");
	assert_string_equal(c->stores[2].name, "two");
	assert_string_equal(c->stores[3].name, "cloud");
	c = config_free(c);
	assert_int_equal(config_find("ftp://x", NULL, &c, err, sizeof(err)), -EINVAL);
	assert_int_equal(config_find("no-such-volume", NULL, &c, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "no volume 'no-such-volume' is configured"));
	assert_int_equal(config_find("../up", NULL, &c, err, sizeof(err)), -ENOENT);
}

static void test_attached_buckets(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;
	const char *const words[] = { "s3://raw", "azblob://acct/images/2024/",
				      "logs=gs://logs?a=b", "s3://other/raw" };

	assert_int_equal(parse("[attach raw]\nurl = s3://b/p\nmirror = gs://c, azblob://d/e\n"
			       "read_only = true\nttl = 5s\n",
			       &c),
			 0);
	assert_int_equal(c->n_attach, 1);
	assert_int_equal(c->attach[0].n_urls, 3);
	assert_string_equal(c->attach[0].urls[0], "s3://b/p");
	assert_string_equal(c->attach[0].urls[2], "azblob://d/e");
	assert_true(c->attach[0].read_only);
	assert_int_equal(c->attach[0].ttl_ns, 5 * NS_PER_S);
	c = config_free(c);
	assert_int_equal(config_of_buckets(words, 4, &c, err, sizeof(err)), 0);
	assert_string_equal(c->attach[0].name, "raw");
	assert_string_equal(c->attach[1].name, "2024");
	assert_string_equal(c->attach[2].name, "logs");
	assert_string_equal(c->attach[3].name, "raw2");
	c = config_free(c);
	assert_int_equal(config_of_buckets((const char *[]){ "x=s3://a", "x=s3://b" }, 2, &c, err,
					   sizeof(err)),
			 -EINVAL);
	assert_non_null(strstr(err, "two buckets are named x"));
}

/* Opens, and asks for something: credentials are looked for then, and none are there. */
static int open_store(const struct config *c, const char *name, const char *url)
{
	const struct get_req q = { .name = SPAN_LITERAL("x"),
				   .limit = 4096,
				   .deadline_ns = clock_now() + 20 * NS_PER_S };
	struct store_call *call = NULL;
	struct store *st = NULL;
	int r = config_open_store(c, name, url, &st, err, sizeof(err));

	if (!r && strstr(url, "s3://")) {
		r = store_get_wait(st, &q, &call);
		snprintf(err, sizeof(err), "%s", call->detail);
		store_call_unref(call);
	}
	store_free(st);
	return r;
}

static void test_any_store_as_this_machine_says(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;

	assert_int_equal(parse("[store one]\nurl = s3://bucket/mangrove?region=x\n"
			       "credentials = /none/one\n"
			       "[attach raw]\nurl = s3://bucket/data/raw?region=x\n"
			       "credentials = /none/raw\n"
			       "[attach own]\nurl = gs://elsewhere\ncredentials = /none/own\n",
			       &c),
			 0);
	assert_int_equal(open_store(c, NULL, "s3://bucket/data/raw/deep?region=x"), -EACCES);
	assert_non_null(strstr(err, "/none/raw"));
	assert_int_equal(open_store(c, "else", "s3://bucket/mangrove/x?region=x"), -EACCES);
	assert_non_null(strstr(err, "/none/one"));
	assert_int_equal(open_store(c, "own", "s3://bucket/data/raw?region=x"), -EACCES);
	assert_non_null(strstr(err, "/none/own"));
	assert_int_equal(open_store(c, NULL, "ftp://bucket"), -EINVAL);
	assert_non_null(strstr(err, "ftp"));
}

static void test_a_volume_chooses_no_folder_and_no_server(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;

	assert_int_equal(parse("[attach own]\nurl = gs://own?endpoint=http://127.0.0.1:1\n"
			       "[store one]\nurl = file:///var/tmp\n",
			       &c),
			 0);
	assert_int_equal(open_store(c, NULL, "file:///etc"), -EACCES);
	assert_non_null(strstr(err, "file:///etc"));
	assert_int_equal(open_store(c, NULL, "file:///var/tmpx"), -EACCES);
	assert_int_equal(open_store(c, NULL, "file:///var/tmp/../../etc"), -EACCES);
	assert_int_equal(open_store(c, NULL, "file:///var/tmp/deeper"), 0);
	assert_int_equal(open_store(c, NULL, "s3://own?region=x&endpoint=http://127.0.0.1:1"),
			 -EACCES);
	assert_non_null(strstr(err, "a url with this endpoint"));
	assert_int_equal(open_store(c, NULL, "gs://other?endpoint=http://127.0.0.1:2"), -EACCES);
	assert_int_equal(open_store(c, NULL, "gs://other?endpoint=http://127.0.0.1:1"), 0);
	assert_int_equal(open_store(c, NULL,
				    "gs://other?endpoint=http://127.0.0.1:2&anonymous=true"),
			 0);
}

static void test_names_never_collide(void **state)
{
	_cleanup_(config_freep) struct config *c = config_new();

	assert_int_equal(config_add_store(c, "s3://a", err, sizeof(err)), 0);
	assert_int_equal(config_add_store(c, "s3://b", err, sizeof(err)), 0);
	assert_int_equal(config_add_store(c, "file:///", err, sizeof(err)), 0);
	assert_string_equal(c->stores[1].name, "aws2");
	assert_string_equal(c->stores[2].name, "disk");
	assert_int_equal(config_add_store(c, "aws=gs://b", err, sizeof(err)), -EINVAL);
	assert_int_equal(config_add_store(c, "/tmp/x", err, sizeof(err)), -EINVAL);
}

static void test_what_is_written_is_read(void **state)
{
	_cleanup_(config_freep) struct config *c = config_new(), *back = NULL;
	char dir[] = "/tmp/mangrove-config-XXXXXX", file[128];
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/deep/demo.conf", dir);
	c->name = strdup("demo");
	c->key_file = strdup("/etc/mangrove/de ;mo#.key");
	c->has_id = true;
	memset(c->id, 0xab, 16);
	c->cache_size = strdup("50%");
	c->memory = 512 * MiB;
	assert_int_equal(config_add_store(c, "s3://b/p?region=eu-west-1", err, sizeof(err)), 0);
	assert_int_equal(config_add_store(c, "file:///x/two", err, sizeof(err)), 0);
	c->stores[1].roles = STORE_ROLE_DATA;
	assert_int_equal(config_write(c, file, err, sizeof(err)), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(config_read(file, &back, err, sizeof(err)), 0);
	assert_true(back->has_id);
	assert_memory_equal(back->id, c->id, 16);
	assert_string_equal(back->key_file, c->key_file);
	assert_int_equal(back->memory, c->memory);
	assert_string_equal(back->stores[0].url, c->stores[0].url);
	assert_int_equal(back->stores[1].roles, STORE_ROLE_DATA);
	assert_int_equal(config_write(c, file, err, sizeof(err)), -EEXIST);
	unlink(file);
	snprintf(file, sizeof(file), "%s/deep", dir);
	rmdir(file);
	rmdir(dir);
}

static int options(struct mount_options *o, const char *text)
{
	mount_options_release(o);
	mount_options_init(o);
	*err = '\0';
	return mount_options_add(o, text, err, sizeof(err));
}

static void test_mount_options(void **state)
{
	_cleanup_(mount_options_release) struct mount_options o = { 0 };

	assert_int_equal(
		options(&o,
			"rw,_netdev,nofail,x-systemd.automount,allow_other,comment=hi,nosuid,"
			"noatime"),
		0);
	assert_true(o.allow_other);
	assert_false(o.read_only);
	assert_string_equal(o.kernel, "nosuid,noatime");
	assert_int_equal(
		options(&o,
			"ro,names=committed,close=staged,freshness=500ms,memory=1G,umask=022,"
			"uid=1000"),
		0);
	assert_true(o.read_only && o.names_committed && o.close_staged && o.set_umask && o.set_uid);
	assert_false(o.set_gid);
	assert_int_equal(o.umask, 022);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.freshness_ns, NS_PER_S / 2);
	assert_int_equal(o.memory_bytes, GiB);
	assert_int_equal(options(&o, "ro,rw"), 0);
	assert_false(o.read_only);
	assert_int_equal(options(&o, ""), 0);
	assert_int_equal(o.freshness_ns, NS_PER_S);
}

static void test_mistaken_options(void **state)
{
	_cleanup_(mount_options_release) struct mount_options o = { 0 };

	assert_int_equal(options(&o, "alow_other"), -EINVAL);
	assert_non_null(
		strstr(err, "unknown mount option 'alow_other'; did you mean 'allow_other'?"));
	assert_int_equal(options(&o, "ro=1"), -EINVAL);
	assert_int_equal(options(&o, "memory"), -EINVAL);
	assert_int_equal(options(&o, "memory=lots"), -EINVAL);
	assert_int_equal(options(&o, "names=later"), -EINVAL);
	assert_non_null(strstr(err, "committed or early"));
	assert_int_equal(options(&o, "umask=9"), -EINVAL);
	assert_int_equal(options(&o, "uid=me"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_example),
		cmocka_unit_test(test_errors_have_an_address),
		cmocka_unit_test(test_paths_are_beside_the_file),
		cmocka_unit_test(test_urls_are_a_volume),
		cmocka_unit_test(test_attached_buckets),
		cmocka_unit_test(test_any_store_as_this_machine_says),
		cmocka_unit_test(test_a_volume_chooses_no_folder_and_no_server),
		cmocka_unit_test(test_names_never_collide),
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_mount_options),
		cmocka_unit_test(test_mistaken_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
