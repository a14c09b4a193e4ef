/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "fs/keys.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* What opens a volume: listed, added, removed at a running mount of it. */

/* Wrapping stretches a passphrase (seconds) and waits for the journal. */
#define ANSWER_S 120u

struct key_words {
	const char *file, *passphrase, *command, *memory, *passes;
	bool recovery, force, json;
};

static int print_list(struct ctl_mount *m, bool as_json)
{
	_cleanup_buf_ struct buf body = BUF_INIT(64 * KiB);
	_cleanup_(json_freep) struct json *j = NULL;
	struct ui_table t;
	int status = ctl_command(m, "GET", "/keys", ANSWER_S, &body);

	if (status)
		return status;
	if (as_json) {
		printf("%.*s", SPAN_FMT(buf_span(&body)));
		return EXIT_DONE;
	}
	if (json_parse(buf_span(&body), &j))
		return EXIT_FAILED;
	ui_table_init(&t, ">SLOT|OPENED BY|ARGON2ID");
	for (size_t i = 0; i < json_count(j); i++) {
		const struct json *k = json_at(j, i);
		char size[16];

		size_format((uint64_t)json_number(k, "kdf_memory", 0), size);
		ui_table_add(&t, "%.0f", json_number(k, "number", 0));
		ui_table_add(&t, "%s", json_str(k, "kind"));
		if (json_number(k, "kdf_passes", 0) > 0)
			ui_table_add(&t, "%s, %.0f passes", size, json_number(k, "kdf_passes", 0));
		else
			ui_table_add(&t, "-");
	}
	ui_table_print(&t);
	return EXIT_DONE;
}

/* What a change has led to. */
static int tell(const struct buf *body, bool as_json, const char *done)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *lacking;
	const char *recovery;

	if (json_parse(buf_span(body), &j))
		return EXIT_FAILED;
	recovery = json_str(j, "recovery_key");
	if (as_json)
		printf("%.*s", SPAN_FMT(buf_span(body)));
	else
		printf("Key slot %.0f %s.\n", json_number(j, "number", 0), done);
	if (recovery && !as_json)
		printf("Recovery key, shown only now:\n\n    %s\n\n", recovery);
	lacking = json_get(j, "lacking");
	for (size_t i = 0; i < json_count(lacking); i++)
		ui_error("store %s does not have the new superblock yet; the next mount that "
			 "reaches it writes it",
			 json_text(json_at(lacking, i)));
	return json_count(lacking) ? EXIT_DEGRADED : EXIT_DONE;
}

/* The kind and where the secret is; false: not exactly one was given. */
static bool source(const struct key_words *w, const char **ret_kind, const char **ret_where)
{
	const struct {
		const char *kind, *where;
	} all[] = { { "file", w->file },
		    { "passphrase", w->passphrase },
		    { "command", w->command },
		    { "recovery", w->recovery ? "" : NULL } };
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (!all[i].where)
			continue;
		*ret_kind = all[i].kind;
		*ret_where = all[i].where;
		n++;
	}
	if (n != 1)
		ui_error("give one of --key-file, --passphrase-file, --key-command, --recovery");
	return n == 1;
}

static int add_target(const struct key_words *w, const char *kind, const char *where,
		      struct buf *ret)
{
	_cleanup_free_ char *path = NULL;
	uint64_t memory, passes;

	if (kdf_parse(w->memory, w->passes, &memory, &passes))
		return EXIT_USAGE;
	/* the mount has another working directory */
	path = strcmp(kind, "command") && *where ? absolute_path(where) : strdup(where);
	if (!path || buf_addf(ret, "/key/add?kind=%s&kdf_memory=%llu&kdf_passes=%llu&where=", kind,
			      (unsigned long long)memory, (unsigned long long)passes))
		return EXIT_FAILED;
	return percent_encode(span_str(path), false, ret) ? EXIT_FAILED : EXIT_DONE;
}

static int run_add(struct ctl_mount *m, const struct key_words *w)
{
	_cleanup_buf_ struct buf target = BUF_INIT(16 * KiB), body = BUF_INIT(64 * KiB);
	const char *kind, *where;
	int status, created;

	if (!source(w, &kind, &where))
		return EXIT_USAGE;
	status = add_target(w, kind, where, &target);
	if (status)
		return status;
	created = w->file ? key_file_create(w->file) : -EEXIST;
	if (created && created != -EEXIST) {
		ui_error("key file %s: %s", w->file, strerror(-created));
		return EXIT_FAILED;
	}
	status = ctl_command(m, "POST", buf_str(&target), ANSWER_S, &body);
	return status ? status : tell(&body, w->json, "added");
}

static int run_remove(struct ctl_mount *m, const struct key_words *w, const char *number)
{
	_cleanup_buf_ struct buf body = BUF_INIT(64 * KiB);
	char target[64];
	uint64_t n;
	int status;

	if (uint_parse(number, &n)) {
		ui_error("%s: expected the number of a key slot; see 'mangrove key list'", number);
		return EXIT_USAGE;
	}
	snprintf(target, sizeof(target), "/key/remove?number=%llu&force=%d", (unsigned long long)n,
		 w->force);
	status = ctl_command(m, "POST", target, ANSWER_S, &body);
	return status ? status : tell(&body, w->json, "removed");
}

static int run_key(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	struct key_words w = { .file = NULL };
	const struct arg table[] = { { 0, "key-file", ARG_TEXT, &w.file },
				     { 0, "passphrase-file", ARG_TEXT, &w.passphrase },
				     { 0, "key-command", ARG_TEXT, &w.command },
				     { 0, "recovery", ARG_FLAG, &w.recovery },
				     { 0, "kdf-memory", ARG_TEXT, &w.memory },
				     { 0, "kdf-passes", ARG_TEXT, &w.passes },
				     { 0, "force", ARG_FLAG, &w.force },
				     { 0, "json", ARG_FLAG, &w.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	const char *what;
	size_t own;
	int status;

	if (!command_args(c, argc, argv, table, 1, 3, &words, &status))
		return status;
	what = words.all[0];
	own = strcmp(what, "remove") ? 1 : 2;
	if ((strcmp(what, "list") && strcmp(what, "add") && own == 1) || words.n < own ||
	    words.n > own + 1) {
		ui_error("expected 'key list', 'key add' or 'key remove NUMBER'; "
			 "see 'mangrove key --help'");
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n > own ? words.all[own] : NULL);
	if (!m)
		return EXIT_FAILED;
	if (own == 2)
		return run_remove(m, &w, words.all[1]);
	return strcmp(what, "add") ? print_list(m, w.json) : run_add(m, &w);
}

const struct command cmd_key = {
	.name = "key",
	.usage = "list | add | remove NUMBER [DIR] [OPTIONS]",
	.summary = "what opens a volume: list, add, remove",
	.help = "  --key-file FILE         adds a key file; created where it does not exist\n"
		"  --passphrase-file FILE  adds the words in it\n"
		"  --key-command COMMAND   adds what it prints (a vault, a KMS client)\n"
		"  --recovery              adds a new recovery key, and prints it\n"
		"  --kdf-memory SIZE, --kdf-passes N   of Argon2id (256M, 3)\n"
		"  --force                 removes the slot that opens the volume here, too\n"
		"  --json\n"
		"\n"
		"The volume is mounted, and stays so. Removing a key revokes nothing: who had it "
		"may have\n"
		"kept the volume's own key, or an old superblock.\n"
		"\n"
		"Example:\n"
		"  mangrove key add /mnt/demo --passphrase-file words\n"
		"  mangrove key list /mnt/demo\n"
		"  mangrove key remove 1 /mnt/demo\n",
	.run = run_key,
};
