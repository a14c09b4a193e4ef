/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* What the mount does by itself, done now. */

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
	const char *timeout = "600s";
	bool as_json = false;
	const struct arg table[] = { { 0, "timeout", ARG_TEXT, &timeout },
				     { 0, "json", ARG_FLAG, &as_json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	if (strcmp(words.all[0], "checkpoint") != 0) {
		ui_error("debug %s: expected checkpoint", words.all[0]);
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n > 1 ? words.all[1] : NULL);
	return m ? run_checkpoint(m, timeout, as_json) : EXIT_FAILED;
}

const struct command cmd_debug = {
	.name = "debug",
	.usage = "checkpoint [DIR] [--timeout 600s] [--json]",
	.summary = "write a checkpoint of the namespace now",
	.help = "A mount that starts with an empty cache begins with the newest checkpoint. Mounts "
		"write\n"
		"them by themselves, every 10,000 entries of the journal; this does it at once.\n"
		"\n"
		"Example:\n"
		"  mangrove debug checkpoint /mnt/demo\n",
	.run = run_debug,
};
