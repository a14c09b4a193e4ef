/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tools/commands.h"
#include "tools/ctl.h"

/* What concerns attached buckets alone. */

static int run_refresh(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB);
	_cleanup_free_ char *path = NULL;
	bool deep = false;
	const struct arg table[] = { { 0, "deep", ARG_FLAG, &deep }, { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 1, &words, &status))
		return status;
	m = ctl_at(&mounts, words.all[0], "/refresh?path=", &path, &target);
	if (!m || (deep && buf_add_str(&target, "&deep=1")))
		return EXIT_FAILED;
	return ctl_command(m, "POST", buf_str(&target), 60, NULL);
}

const struct command cmd_refresh = {
	.name = "refresh",
	.usage = "PATH [--deep]",
	.summary = "ask an attached bucket again instead of believing its listing",
	.help = "What others changed is seen by the next look, not only when the listing's "
		"lifetime is over.\n"
		"\n"
		"  --deep    everything below PATH, too\n"
		"\n"
		"Example:\n"
		"  mangrove refresh /mnt/tree/raw/2024 --deep\n",
	.run = run_refresh,
};

/* In a mount, and a bucket of it: lists the names that are mapped. 0, or an exit status. */
int doctor_names(const char *word, bool json)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB), body = BUF_INIT(64 * MiB);
	_cleanup_(json_freep) struct json *names = NULL;
	_cleanup_free_ char *path = NULL;
	struct ctl_mount *m = ctl_at(&mounts, word, "/names?path=", &path, &target);
	int status;

	if (!m)
		return EXIT_FAILED;
	status = ctl_command(m, "GET", buf_str(&target), 600, &body);
	if (status)
		return status;
	if (json_parse(buf_span(&body), &names)) {
		ui_error("%s: the mount's answer is not understood", path);
		return EXIT_FAILED;
	}
	if (json)
		printf("%s\n", buf_str(&body));
	for (size_t i = 0; !json && i < json_count(names); i++)
		printf("%s  is the object  %s\n", json_str(json_at(names, i), "name"),
		       json_str(json_at(names, i), "key"));
	if (!json && !json_count(names))
		printf("%s: every name is its object's key\n", path);
	return EXIT_DONE;
}
