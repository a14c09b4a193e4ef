/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/volume.h"
#include "tools/commands.h"

/* The creation of a volume: everything that can be wrong is found before anything is written. */
struct format {
	const char *name, *file;
	/* how to call it: by name where the configuration is in its usual place */
	const char *mount_by;
	struct config *cfg;
	char *key_path;	  /* the key file, absolute; or NULL */
	bool key_created; /* by us: removed again when the rest fails */
	uint64_t kdf_memory, kdf_passes;
	bool json;
};

static void format_release(struct format *f)
{
	config_free(f->cfg);
	free(f->key_path);
}

/* Where no key was named: a key file beside the configuration. */
static char *default_key_path(const char *file)
{
	size_t n = strlen(file);
	char *path;

	if (n > 5 && !strcmp(file + n - 5, ".conf"))
		n -= 5;
	return asprintf(&path, "%.*s.key", (int)n, file) < 0 ? NULL : path;
}

static int key_file(struct format *f, const char *given)
{
	int r;

	f->key_path = given ? absolute_path(given) : default_key_path(f->file);
	f->cfg->key_file = f->key_path ? strdup(f->key_path) : NULL;
	if (!f->cfg->key_file)
		return -ENOMEM;
	r = key_file_create(f->key_path);
	f->key_created = !r;
	if (!r || r == -EEXIST)
		return 0;
	ui_error("key file %s: %s", f->key_path, strerror(-r));
	return r;
}

static int choose_key(struct format *f, const char *file, const char *passphrase,
		      const char *command)
{
	if (!!file + !!passphrase + !!command > 1) {
		ui_error(
			"only one of --key-file, --passphrase-file and --key-command may be given");
		return -EINVAL;
	}
	if (passphrase)
		f->cfg->passphrase_file = absolute_path(passphrase);
	else if (command)
		f->cfg->key_command = strdup(command);
	else
		return key_file(f, file);
	return 0;
}

static int add_stores(struct format *f, const struct text_list *stores)
{
	char err[512];

	for (size_t i = 0; i < stores->n; i++) {
		int r = config_add_store(f->cfg, stores->all[i], err, sizeof(err));

		if (r) {
			ui_error("%s", err);
			return r;
		}
	}
	if (!stores->n)
		ui_error("give at least one --store URL");
	return stores->n ? 0 : -EINVAL;
}

static int copies(struct format *f, const char *text)
{
	uint64_t n;

	if (!text)
		return 0;
	if (uint_parse(text, &n) || n < 1 || n > CONFIG_STORES_MAX) {
		ui_error("--acknowledge %s: expected a number from 1 to %d", text,
			 CONFIG_STORES_MAX);
		return -EINVAL;
	}
	f->cfg->acknowledge = (unsigned)n;
	return 0;
}

static void print_json(const struct format *f, const char *id, const char *recovery)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);

	json_set_str(j, "name", f->name);
	json_set_str(j, "id", id);
	json_set_str(j, "config", f->file);
	json_set_str(j, "key_file", f->key_path);
	json_set_str(j, "recovery_key", recovery);
	if (!json_write(j, 1, &text))
		printf("%s\n", buf_str(&text));
}

static void print_people(const struct format *f, const char *id, const char *recovery)
{
	printf("Created volume %s (%s) on %zu store%s.\n", f->name, id, f->cfg->n_stores,
	       f->cfg->n_stores == 1 ? "" : "s");
	printf("Configuration  %s\n", f->file);
	if (f->key_path)
		printf("Key file       %s%s\n", f->key_path,
		       f->key_created ? " (new; keep a copy elsewhere)" : "");
	printf("Recovery key, shown only now; it opens the volume when the key is lost:\n\n"
	       "    %s\n\n",
	       recovery);
	printf("Mount it:  mangrove mount %s DIR\n", f->mount_by);
}

static int create(struct format *f)
{
	_cleanup_(secret_freep) struct secret *recovery = NULL;
	const struct key_source key = config_key_source(f->cfg);
	const struct format_options o = { .config = f->cfg,
					  .key = &key,
					  .kdf_memory = f->kdf_memory,
					  .kdf_passes = f->kdf_passes,
					  .root_uid = geteuid(),
					  .root_gid = getegid(),
					  .root_mode = 0755 };
	char err[512], id[33];
	int r;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR); /* one sentence at the end says it */
	if (sodium_start()) {
		ui_error("libsodium does not start");
		return EXIT_FAILED;
	}
	r = volume_format(&o, f->cfg->id, &recovery, err, sizeof(err));
	if (r) {
		ui_error("%s", err);
		return EXIT_FAILED;
	}
	f->cfg->has_id = true;
	hex_encode(span_of(f->cfg->id, 16), id);
	r = config_write(f->cfg, f->file, err, sizeof(err));
	if (f->json)
		print_json(f, id, (const char *)secret_bytes(recovery));
	else
		print_people(f, id, (const char *)secret_bytes(recovery));
	if (r)
		ui_error("the volume exists, but its configuration was not written: %s", err);
	return r ? EXIT_FAILED : EXIT_DONE;
}

static int target_file(struct format *f, const char *given, struct buf *path)
{
	if (!config_name_ok(f->name)) {
		ui_error("'%s' is no name for a volume: letters, digits, '-', '_' and '.' only",
			 f->name);
		return -EINVAL;
	}
	if (given ? buf_add_str(path, given) : config_path(f->name, path)) {
		ui_error("no place for the configuration: HOME is not set; give --config FILE");
		return -ENOENT;
	}
	f->file = buf_str(path);
	f->mount_by = given ? f->file : f->name;
	if (!access(f->file, F_OK)) {
		ui_error("%s exists already; choose another name, or --config FILE", f->file);
		return -EEXIST;
	}
	return 0;
}

static int run_format(const struct command *c, int argc, char **argv)
{
	const char *file = NULL, *key = NULL, *passphrase = NULL, *command = NULL, *ack = NULL;
	const char *memory = NULL, *passes = NULL, *cache_dir = NULL, *cache_size = NULL;
	struct text_list stores = { .n = 0 }, words;
	_cleanup_(format_release) struct format f = { .cfg = config_new() };
	_cleanup_buf_ struct buf path = BUF_INIT(PATH_MAX);
	const struct arg table[] = { { 0, "store", ARG_MANY, &stores },
				     { 0, "key-file", ARG_TEXT, &key },
				     { 0, "passphrase-file", ARG_TEXT, &passphrase },
				     { 0, "key-command", ARG_TEXT, &command },
				     { 0, "config", ARG_TEXT, &file },
				     { 0, "acknowledge", ARG_TEXT, &ack },
				     { 0, "kdf-memory", ARG_TEXT, &memory },
				     { 0, "kdf-passes", ARG_TEXT, &passes },
				     { 0, "cache-dir", ARG_TEXT, &cache_dir },
				     { 0, "cache-size", ARG_TEXT, &cache_size },
				     { 0, "json", ARG_FLAG, &f.json },
				     { 0, NULL, 0, NULL } };
	uint64_t bytes;
	int status;

	if (!command_args(c, argc, argv, table, 1, 1, &words, &status) || !f.cfg)
		return status;
	f.name = words.all[0];
	f.cfg->name = strdup(f.name);
	f.cfg->cache_dir = cache_dir ? absolute_path(cache_dir) : NULL;
	f.cfg->cache_size = cache_size ? strdup(cache_size) : NULL;
	if (cache_size && cache_size_parse(cache_size, "/", &bytes)) {
		ui_error(
			"--cache-size %s: expected a size such as 200G, "
			"or a share of the disk such as 80%%",
			cache_size);
		return EXIT_USAGE;
	}
	if (add_stores(&f, &stores) || copies(&f, ack) ||
	    kdf_parse(memory, passes, &f.kdf_memory, &f.kdf_passes))
		return EXIT_USAGE;
	if (target_file(&f, file, &path))
		return EXIT_FAILED;
	if (choose_key(&f, key, passphrase, command))
		return EXIT_FAILED;
	status = create(&f);
	if (status && f.key_created && !f.cfg->has_id)
		unlink(f.key_path);
	return status;
}

const struct command cmd_format = {
	.name = "format",
	.usage = "NAME --store URL [--store URL]... [OPTIONS]",
	.summary = "create a volume on object stores",
	.help = "  --store [NAME=]URL      s3://, azblob://, gs:// or file://; "
		"three are a good number\n"
		"  --key-file FILE         opens the volume; created where it does not exist\n"
		"  --passphrase-file FILE  words instead\n"
		"  --key-command COMMAND   what it prints is the key (a vault, a KMS client)\n"
		"  --config FILE           instead of /etc/mangrove/NAME.conf\n"
		"  --acknowledge N         stores that have the data before fsync returns (2)\n"
		"  --cache-dir DIR, --cache-size SIZE\n"
		"  --kdf-memory SIZE, --kdf-passes N   of Argon2id (256M, 3)\n"
		"  --json\n"
		"\n"
		"Example:\n"
		"  mangrove format demo --store s3://ml-data/m --store azblob://acct/m \\\n"
		"      --store gs://ml-data-m --key-file /etc/mangrove/demo.key\n",
	.run = run_format,
};
