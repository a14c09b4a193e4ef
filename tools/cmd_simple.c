/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/config.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* The short ones: sync, config, version. */

static const struct arg nothing[] = { { 0, NULL, 0, NULL } };

static int run_sync(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	bool all = false;
	const char *timeout = "600s";
	const struct arg table[] = { { 0, "all", ARG_FLAG, &all },
				     { 0, "timeout", ARG_TEXT, &timeout },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	char target[128];
	uint64_t ns;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (duration_parse(timeout, &ns)) {
		ui_error("--timeout %s: expected a duration such as 60s", timeout);
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n ? words.all[0] : NULL);
	if (!m)
		return EXIT_FAILED;
	snprintf(target, sizeof(target), "/sync?all=%d&timeout=%llus", all,
		 (unsigned long long)(ns / NS_PER_S));
	status = ctl_command(m, "POST", target, (unsigned)(ns / NS_PER_S) + 10, NULL);
	if (status)
		return status;
	return all && ctl_refresh(m) && ctl_degraded(m) ? EXIT_DEGRADED : EXIT_DONE;
}

const struct command cmd_sync = {
	.name = "sync",
	.usage = "[DIR] [--all] [--timeout 600s]",
	.summary = "wait until everything written so far is safe",
	.help = "  --all      at every store, not only at the acknowledged number (exit 3: copies "
		"are missing)\n"
		"\n"
		"Example:\n"
		"  mangrove sync /mnt/demo\n",
	.run = run_sync,
};

static int run_config(const struct command *c, int argc, char **argv)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	bool explain = false;
	const struct arg table[] = { { 0, "explain", ARG_FLAG, &explain }, { 0, NULL, 0, NULL } };
	_cleanup_(config_freep) struct config *cfg = NULL;
	struct text_list words;
	char err[512];
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (explain || !words.n) {
		if (config_explain(&text))
			return EXIT_FAILED;
		fputs(buf_str(&text), stdout);
		return EXIT_DONE;
	}
	if (config_find(words.all[0], NULL, &cfg, err, sizeof(err))) {
		ui_error("%s", err);
		return EXIT_FAILED;
	}
	printf("%s: %zu stores\n", cfg->file ? cfg->file : words.all[0], cfg->n_stores);
	return EXIT_DONE;
}

const struct command cmd_config = {
	.name = "config",
	.usage = "[--explain] [VOLUME]",
	.summary = "check a configuration, or explain its keys",
	.help = "Example:\n"
		"  mangrove config --explain\n",
	.run = run_config,
};

static int run_version(const struct command *c, int argc, char **argv)
{
	struct text_list words;
	int status;

	if (!command_args(c, argc, argv, nothing, 0, 0, &words, &status))
		return status;
	puts("mangrove " MANGROVE_VERSION);
	return EXIT_DONE;
}

const struct command cmd_version = {
	.name = "version",
	.usage = "",
	.summary = "print the version",
	.help = "",
	.run = run_version,
};
