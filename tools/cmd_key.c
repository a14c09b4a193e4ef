/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "fs/keys.h"
#include "tools/commands.h"
#include "tools/ctl.h"
#include "tools/own.h"

/*
 * What opens a volume: listed, added, removed by a mount of it; where there is none the command
 * opens the volume by itself.
 */

/* Wrapping stretches a passphrase (seconds) and waits for the journal. */
#define ANSWER_S 120u

struct key_words {
	const char *file, *passphrase, *command, *memory, *passes, *config;
	bool recovery, force, json;
};

/* Who does it. */
struct keyring {
	struct ctl_mount *m; /* or NULL: */
	struct own own;
	struct buf body; /* the answer, as JSON */
};

static int take_json(struct keyring *k, struct json *takes)
{
	_cleanup_(json_freep) struct json *j = takes;

	return json_write(j, 1, &k->body) ? EXIT_FAILED : EXIT_DONE;
}

static int failed(int r, const char *why)
{
	if (*why)
		ui_error("%s", why);
	else
		ui_error("the key slots: %s", strerror(-r));
	return EXIT_FAILED;
}

static int do_list(struct keyring *k)
{
	struct key_list l;
	int r;

	if (k->m)
		return ctl_command(k->m, "GET", "/keys", ANSWER_S, &k->body);
	r = volume_key_list(k->own.v, &l);
	return r ? failed(r, "") : take_json(k, key_list_json(&l));
}

static int do_add(struct keyring *k, const struct key_source *src, const struct kdf_options *kdf)
{
	_cleanup_buf_ struct buf target = BUF_INIT(16 * KiB);
	_cleanup_(key_added_release) struct key_added added = { .lacking = 0 };
	char why[512];
	int r;

	if (!k->m) {
		r = volume_key_add(k->own.v, src, kdf, &added, why, sizeof(why));
		return r ? failed(r, why) : take_json(k, key_added_json(k->own.v, &added));
	}
	if (buf_addf(&target, "/key/add?kind=%s&kdf_memory=%llu&kdf_passes=%llu&where=",
		     key_type_word(src->type), (unsigned long long)kdf->memory,
		     (unsigned long long)kdf->passes) ||
	    percent_encode(span_str(src->where), false, &target))
		return EXIT_FAILED;
	return ctl_command(k->m, "POST", buf_str(&target), ANSWER_S, &k->body);
}

static int do_remove(struct keyring *k, uint64_t number, bool force)
{
	char target[64], why[512];
	uint64_t lacking = 0;
	int r;

	if (!k->m) {
		r = volume_key_remove(k->own.v,
				      number < KEYSLOTS_MAX ? (unsigned)number : KEYSLOTS_MAX,
				      force, &lacking, why, sizeof(why));
		return r ? failed(r, why) :
			   take_json(k, key_removed_json(k->own.v, (unsigned)number, lacking));
	}
	snprintf(target, sizeof(target), "/key/remove?number=%llu&force=%d",
		 (unsigned long long)number, force);
	return ctl_command(k->m, "POST", target, ANSWER_S, &k->body);
}

static int print_list(const struct buf *body)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct ui_table t;

	if (json_parse(buf_span(body), &j))
		return EXIT_FAILED;
	ui_table_init(&t, ">SLOT|OPENED BY|ARGON2ID");
	for (size_t i = 0; i < json_count(j); i++) {
		const struct json *one = json_at(j, i);
		char size[16];

		size_format((uint64_t)json_number(one, "kdf_memory", 0), size);
		ui_table_add(&t, "%.0f", json_number(one, "number", 0));
		ui_table_add(&t, "%s", json_str(one, "kind"));
		if (json_number(one, "kdf_passes", 0) > 0)
			ui_table_add(&t, "%s, %.0f passes", size,
				     json_number(one, "kdf_passes", 0));
		else
			ui_table_add(&t, "-");
	}
	ui_table_print(&t);
	return EXIT_DONE;
}

/* What a change has led to. */
static int print_change(const struct buf *body, const char *done)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *lacking;
	const char *recovery;

	if (json_parse(buf_span(body), &j))
		return EXIT_FAILED;
	recovery = json_str(j, "recovery_key");
	lacking = json_get(j, "lacking");
	if (done)
		printf("Key slot %.0f %s.\n", json_number(j, "number", 0), done);
	if (recovery && done)
		printf("Recovery key, shown only now:\n\n    %s\n\n", recovery);
	for (size_t i = 0; i < json_count(lacking); i++)
		ui_error("store %s does not have the new superblock yet; the next mount that "
			 "reaches it writes it",
			 json_text(json_at(lacking, i)));
	return json_count(lacking) ? EXIT_DEGRADED : EXIT_DONE;
}

static int show(const struct keyring *k, const char *what, bool as_json)
{
	const bool list = !strcmp(what, "list");

	if (as_json)
		printf("%.*s\n", SPAN_FMT(buf_span(&k->body)));
	if (list)
		return as_json ? EXIT_DONE : print_list(&k->body);
	return print_change(&k->body, as_json ? NULL : !strcmp(what, "add") ? "added" : "removed");
}

/* The secret that is added; false: not exactly one was given. */
static bool source(const struct key_words *w, struct key_source *ret)
{
	const struct key_source all[] = { { KEY_FILE, w->file },
					  { KEY_PASSPHRASE, w->passphrase },
					  { KEY_COMMAND, w->command },
					  { KEY_RECOVERY, w->recovery ? "" : NULL } };
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i].where)
			continue;
		*ret = all[i];
		n++;
	}
	if (n != 1)
		ui_error("give one of --key-file, --passphrase-file, --key-command, --recovery");
	return n == 1;
}

static int run_add(struct keyring *k, const struct key_words *w)
{
	_cleanup_free_ char *path = NULL;
	struct key_source src;
	struct kdf_options kdf;
	int r;

	if (!source(w, &src) || kdf_parse(w->memory, w->passes, &kdf.memory, &kdf.passes))
		return EXIT_USAGE;
	if (src.type == KEY_FILE || src.type == KEY_PASSPHRASE) {
		path = absolute_path(src.where); /* the mount has another working directory */
		src.where = path;
		if (!path)
			return EXIT_FAILED;
	}
	r = src.type == KEY_FILE ? key_file_create(path) : 0;
	if (r && r != -EEXIST) {
		ui_error("key file %s: %s", path, strerror(-r));
		return EXIT_FAILED;
	}
	return do_add(k, &src, &kdf);
}

static int run_remove(struct keyring *k, const struct key_words *w, const char *text)
{
	uint64_t number;

	if (!uint_parse(text, &number))
		return do_remove(k, number, w->force);
	ui_error("%s: expected the number of a key slot; see 'mangrove key list'", text);
	return EXIT_USAGE;
}

static int keyring_open(struct keyring *k, struct ctl_list *mounts, const struct key_words *w,
			const char *volume)
{
	const struct own_ask ask = { .volume = volume, .config = w->config };

	ctl_list_read(mounts);
	if (volume && !ctl_is_mounted(mounts, volume))
		return own_open(&ask, &k->own);
	k->m = ctl_choose(mounts, volume);
	return k->m ? EXIT_DONE : EXIT_FAILED;
}

static int run_with(const struct key_words *w, const struct text_list *words, size_t own)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	struct keyring k = { .body = BUF_INIT(64 * KiB) };
	const char *what = words->all[0];
	int status = keyring_open(&k, &mounts, w, words->n > own ? words->all[own] : NULL);

	if (status)
		return status;
	if (!strcmp(what, "list"))
		status = do_list(&k);
	else if (!strcmp(what, "add"))
		status = run_add(&k, w);
	else
		status = run_remove(&k, w, words->all[1]);
	if (!status)
		status = show(&k, what, w->json);
	buf_release(&k.body);
	return k.own.v ? MAX(status, own_close(&k.own)) : status;
}

static int run_key(const struct command *c, int argc, char **argv)
{
	struct key_words w = { .file = NULL };
	const struct arg table[] = { { 0, "key-file", ARG_TEXT, &w.file },
				     { 0, "passphrase-file", ARG_TEXT, &w.passphrase },
				     { 0, "key-command", ARG_TEXT, &w.command },
				     { 0, "recovery", ARG_FLAG, &w.recovery },
				     { 0, "kdf-memory", ARG_TEXT, &w.memory },
				     { 0, "kdf-passes", ARG_TEXT, &w.passes },
				     { 0, "config", ARG_TEXT, &w.config },
				     { 0, "force", ARG_FLAG, &w.force },
				     { 0, "json", ARG_FLAG, &w.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	const char *what;
	size_t own;
	int status;

	if (!command_args(c, argc, argv, table, 1, 3, &words, &status))
		return status;
	what = words.all[0];
	own = strcmp(what, "remove") ? 1 : 2;
	if ((own == 2 || !strcmp(what, "list") || !strcmp(what, "add")) && words.n >= own &&
	    words.n <= own + 1)
		return run_with(&w, &words, own);
	ui_error("expected 'key list', 'key add' or 'key remove NUMBER'; "
		 "see 'mangrove key --help'");
	return EXIT_USAGE;
}

const struct command cmd_key = {
	.name = "key",
	.usage = "list | add | remove NUMBER [VOLUME|DIR] [OPTIONS]",
	.summary = "what opens a volume: list, add, remove",
	.help = "  --key-file FILE         adds a key file; created where it does not exist\n"
		"  --passphrase-file FILE  adds the words in it\n"
		"  --key-command COMMAND   adds what it prints (a vault, a KMS client)\n"
		"  --recovery              adds a new recovery key, and prints it\n"
		"  --kdf-memory SIZE, --kdf-passes N   of Argon2id (256M, 3)\n"
		"  --force                 removes the slot that opens the volume here, too\n"
		"  --config FILE           of the volume, where it is not mounted\n"
		"  --json\n"
		"\n"
		"Removing a key revokes nothing: who had it may have kept the volume's own key, or "
		"an old\n"
		"superblock.\n"
		"\n"
		"Example:\n"
		"  mangrove key add /mnt/demo --passphrase-file words\n"
		"  mangrove key list /mnt/demo\n"
		"  mangrove key remove 1 /mnt/demo\n",
	.run = run_key,
};
