/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backends/open.h"
#include "backends/probe.h"
#include "base/sodium.h"
#include "base/text.h"
#include "base/wait.h"
#include "fs/config.h"
#include "fs/super.h"
#include "tools/commands.h"
#include "tools/doctor.h"

/* Checks of the machine and the configuration, each with advice. */
#define CHECK_NS (15 * NS_PER_S)
#define SKEW_WARN_S 30
#define SKEW_BAD_S 300
#define DISK_LOW (1 * GiB)

void tell(struct doctor *d, enum verdict v, const char *what, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "advice", "problem" };
	struct json *one;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->worst = MAX(d->worst, v);
	if (!d->json) {
		printf("%-8s %-14s %s\n", words[v], what, text);
		return;
	}
	one = json_object_new();
	json_set_str(one, "check", what);
	json_set_str(one, "result", words[v]);
	json_set_str(one, "text", text);
	json_append(d->results, one);
}

static void check_key(struct doctor *d, const struct config *cfg)
{
	const struct key_source src = config_key_source(cfg);
	_cleanup_(secret_freep) struct secret *s = NULL;
	char err[512];

	if (src.type == KEY_NONE)
		tell(d, ADVICE, "key",
		     "the configuration names none; give it at each mount (-o key_file=...)");
	else if (key_source_read(&src, &s, err, sizeof(err)))
		tell(d, BAD, "key", "%s", err);
	else
		tell(d, GOOD, "key", "the %s is there", key_type_name(src.type));
}

static void check_cache(struct doctor *d, const struct config *cfg)
{
	_cleanup_free_ char *dir = NULL;
	struct statvfs st;
	char left[16];
	char *slash;

	if (cfg->cache_dir)
		dir = strdup(cfg->cache_dir);
	else if (asprintf(&dir, "/var/cache/mangrove/%s", cfg->name ? cfg->name : "") < 0)
		dir = NULL;
	/* What is not there yet will be made: the nearest folder above tells about the disk. */
	while (dir && statvfs(dir, &st) && (slash = strrchr(dir, '/')) && slash != dir)
		*slash = '\0';
	if (!dir || statvfs(dir, &st)) {
		tell(d, BAD, "cache", "%s: %s", dir ? dir : "?", strerror(errno));
		return;
	}
	size_format((uint64_t)st.f_bavail * st.f_frsize, left);
	if ((uint64_t)st.f_bavail * st.f_frsize < DISK_LOW)
		tell(d, ADVICE, "cache",
		     "only %s free at %s; choose a larger disk with [cache] dir", left, dir);
	else
		tell(d, GOOD, "cache", "%s free at %s", left, dir);
}

/* What a refusal asks for. */
static void advise_rights(struct doctor *d, const char *what, bool write)
{
	tell(d, ADVICE, what, "the rights that it needs: mangrove doctor VOLUME --policy %s",
	     write ? "writer" : "reader");
}

static void check_super(struct doctor *d, struct store *s, const char *what)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	_cleanup_(super_freep) struct super *super = NULL;
	char name[SUPER_NAME_SIZE], id[33];
	struct get_req req = { .limit = SUPER_SIZE_MAX, .deadline_ns = clock_now() + CHECK_NS };
	int r;

	super_object_name(0, name);
	req.name = span_str(name);
	r = store_get_wait(s, &req, &call);
	if (r == STORE_MISSING) {
		tell(d, ADVICE, what, "no volume there yet");
	} else if (r) {
		tell(d, BAD, what, "the superblock cannot be read: %s",
		     call ? call->detail : strerror(ENOMEM));
	} else if (super_parse(buf_span(&call->body), &super)) {
		tell(d, BAD, what, "damaged superblock, or of a newer version");
	} else {
		hex_encode(span_of(super->volume_id, 16), id);
		tell(d, GOOD, what, "holds volume %s", id);
	}
}

static void check_store(struct doctor *d, const struct config_store *cfg, bool write)
{
	const struct store_config sc = { cfg->name, cfg->url, cfg->credentials, cfg->profile };
	_cleanup_(store_freep) struct store *s = NULL;
	char what[80], err[512] = "";
	uint64_t deadline = clock_now() + CHECK_NS;
	int64_t skew_s = 0;
	int r;

	snprintf(what, sizeof(what), "store %s", cfg->name);
	r = store_open(&sc, &s, err, sizeof(err));
	if (!r)
		r = write ? store_probe(s, deadline, &skew_s, err, sizeof(err)) :
			    store_check_read(s, deadline, &skew_s, err, sizeof(err));
	if (r) {
		/* "store aws (URL): ..." says whose it is a second time */
		bool twice = !strncmp(err, what, strlen(what)) && err[strlen(what)] == ' ';

		tell(d, BAD, what, "%s",
		     twice ? err + strlen(what) + 1 :
		     *err  ? err :
			     strerror(-r));
		if (r == -EACCES)
			advise_rights(d, what, write);
		return;
	}
	if (skew_s > SKEW_WARN_S || skew_s < -SKEW_WARN_S)
		tell(d, skew_s > SKEW_BAD_S || skew_s < -SKEW_BAD_S ? BAD : ADVICE, what,
		     "its clock differs by %" PRId64
		     " s from this machine's: timedatectl set-ntp true",
		     skew_s);
	tell(d, GOOD, what, write ? "answers, refuses a second create, reads back" : "answers");
	check_super(d, s, what);
}

static void check_volume(struct doctor *d, const char *volume, const char *file, bool write)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	char err[512];

	if (config_find(volume, file, &cfg, err, sizeof(err))) {
		tell(d, BAD, "configuration", "%s", err);
		return;
	}
	tell(d, GOOD, "configuration", "%s", cfg->file ? cfg->file : "URLs");
	if (cfg->n_stores == 2)
		tell(d, ADVICE, "stores",
		     "two stores: either one down stops writing; three are better");
	check_key(d, cfg);
	check_cache(d, cfg);
	for (size_t i = 0; i < cfg->n_stores; i++) {
		doctor_network(d, &cfg->stores[i]);
		check_store(d, &cfg->stores[i], write);
	}
}

static int finish(struct doctor *d)
{
	_cleanup_buf_ struct buf text = BUF_INIT(MiB);

	if (d->json && !json_write(d->results, 1, &text))
		printf("%s\n", buf_str(&text));
	json_free(d->results);
	return d->worst == BAD ? EXIT_FAILED : EXIT_DONE;
}

/* A directory, not a configuration: of a mount. */
static bool is_place(const char *word)
{
	struct stat st;

	return strchr(word, '/') && !store_url_is(word) && !stat(word, &st) && S_ISDIR(st.st_mode);
}

static int run_policy(const char *volume, const char *file, const char *role)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	char err[512];

	if (!volume && !file) {
		ui_error("--policy needs a volume");
		return EXIT_USAGE;
	}
	if (config_find(volume ? volume : "", file, &cfg, err, sizeof(err))) {
		ui_error("%s", err);
		return EXIT_FAILED;
	}
	return doctor_policy(cfg, role);
}

static int run_doctor(const struct command *c, int argc, char **argv)
{
	struct doctor d = { .json = false };
	const char *file = NULL, *role = NULL;
	bool write = false;
	const struct arg table[] = { { 0, "json", ARG_FLAG, &d.json },
				     { 0, "config", ARG_TEXT, &file },
				     { 0, "write", ARG_FLAG, &write },
				     { 0, "policy", ARG_TEXT, &role },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (role)
		return run_policy(words.n ? words.all[0] : NULL, file, role);
	if (words.n && is_place(words.all[0]))
		return doctor_names(words.all[0], d.json);
	if (sodium_start()) {
		ui_error("libsodium does not start");
		return EXIT_FAILED;
	}
	d.results = json_array_new();
	doctor_machine(&d);
	if (words.n || file)
		check_volume(&d, words.n ? words.all[0] : "", file, write);
	return finish(&d);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.usage = "[VOLUME|PATH] [--write] [--policy ROLE] [--config FILE] [--json]",
	.summary = "check the machine, the configuration and the stores, with advice",
	.help = "  --write    also create a small object at each store, as a writing mount would\n"
		"  --policy   print the least rights of a reader, a writer or gc at each store, as "
		"its\n"
		"             provider writes them\n"
		"\n"
		"Of a directory in a mounted bucket: the names that are not their objects' keys.\n"
		"\n"
		"Exit 1 when something would keep a mount from working.\n"
		"\n"
		"Example:\n"
		"  mangrove doctor demo\n",
	.run = run_doctor,
};
