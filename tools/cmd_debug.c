/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "tools/bundle.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* For who looks for a fault. */

static int run_checkpoint(struct ctl_mount *m, const char *timeout, bool as_json)
{
	_cleanup_buf_ struct buf body = BUF_INIT(64 * KiB);
	_cleanup_(json_freep) struct json *j = NULL;
	char target[64], size[16];
	uint64_t ns;
	int status;

	if (duration_parse(timeout, &ns)) {
		ui_error("--timeout %s: expected a duration such as 60s", timeout);
		return EXIT_USAGE;
	}
	snprintf(target, sizeof(target), "/checkpoint?timeout=%llus",
		 (unsigned long long)(ns / NS_PER_S));
	status = ctl_command(m, "POST", target, (unsigned)(ns / NS_PER_S) + 10, &body);
	if (status)
		return status;
	if (as_json) {
		printf("%.*s", SPAN_FMT(buf_span(&body)));
		return EXIT_DONE;
	}
	if (json_parse(buf_span(&body), &j))
		return EXIT_FAILED;
	size_format((uint64_t)json_number(j, "bytes", 0), size);
	printf("slot %.0f: %.0f rows in %.0f parts (%s), %.0f of them written\n",
	       json_number(j, "slot", 0), json_number(j, "rows", 0), json_number(j, "parts", 0),
	       size, json_number(j, "parts_written", 0));
	return EXIT_DONE;
}

static int run_debug(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	const char *timeout = "600s", *output = NULL;
	bool as_json = false, bundle;
	const struct arg table[] = { { 0, "timeout", ARG_TEXT, &timeout },
				     { 0, "output", ARG_TEXT, &output },
				     { 0, "json", ARG_FLAG, &as_json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	bundle = !strcmp(words.all[0], "bundle");
	if (!bundle && strcmp(words.all[0], "checkpoint") != 0) {
		ui_error("debug %s: expected bundle or checkpoint", words.all[0]);
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n > 1 ? words.all[1] : NULL);
	if (!m)
		return EXIT_FAILED;
	return bundle ? bundle_write(m, output) : run_checkpoint(m, timeout, as_json);
}

const struct command cmd_debug = {
	.name = "debug",
	.usage = "bundle|checkpoint [DIR] [--output FILE] [--timeout 600s] [--json]",
	.summary = "pack what a fault report needs, or write a checkpoint now",
	.help = "bundle: status, metrics, the last messages, the configuration, versions and "
		"limits in one\n"
		"file, without keys, passwords and credentials. Names of stores and of the mount's "
		"folder are in it.\n"
		"\n"
		"checkpoint: a mount that starts with an empty cache begins with the newest one. "
		"Mounts write\n"
		"them by themselves, every 10,000 entries of the journal; this does it at once.\n"
		"\n"
		"  --output     of the bundle: the file (mangrove-VOLUME-TIME.tar.gz here)\n"
		"  --timeout    of the checkpoint: how long to wait for it\n"
		"\n"
		"Example:\n"
		"  mangrove debug bundle /mnt/demo\n",
	.run = run_debug,
};
