/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tools/commands.h"
#include "tools/ctl.h"

#include "base/text.h"

/* What concerns attached buckets alone. */

static int add_param(struct buf *target, const char *name, const char *value)
{
	int r = buf_add_str(target, name);

	return r ? r : percent_encode(span_str(value), false, target);
}

/* A change of the volume's list of buckets. An exit status. */
static int change_list(const struct ctl_mount *m, const char *target)
{
	_cleanup_buf_ struct buf body = BUF_INIT(64 * KiB);
	_cleanup_(json_freep) struct json *j = NULL;
	int status = ctl_command(m, "POST", target, 150, &body);

	if (!status && !json_parse(buf_span(&body), &j) && json_str(j, "note"))
		printf("%s\n", json_str(j, "note"));
	return status;
}

static int run_attach(const struct command *c, int argc, char **argv)
{
	static const char *const names[] = { "&mirror1=", "&mirror2=", "&mirror3=" };
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB);
	struct text_list words, mirrors = { .n = 0 };
	const char *ttl = NULL;
	bool read_only = false;
	const struct arg table[] = { { 0, "mirror", ARG_MANY, &mirrors },
				     { 0, "read-only", ARG_FLAG, &read_only },
				     { 0, "ttl", ARG_TEXT, &ttl },
				     { 0, NULL, 0, NULL } };
	struct ctl_mount *m;
	int status, r;

	if (!command_args(c, argc, argv, table, 2, 2, &words, &status))
		return status;
	if (mirrors.n > ARRAY_SIZE(names)) {
		ui_error("more than %zu mirrors", ARRAY_SIZE(names));
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.all[1]);
	r = m ? add_param(&target, "/attach?bucket=", words.all[0]) : -ENOENT;
	for (size_t i = 0; !r && i < mirrors.n; i++)
		r = add_param(&target, names[i], mirrors.all[i]);
	if (!r && ttl)
		r = add_param(&target, "&ttl=", ttl);
	if (!r && read_only)
		r = buf_add_str(&target, "&read_only=1");
	return r ? EXIT_FAILED : change_list(m, buf_str(&target));
}

const struct command cmd_attach = {
	.name = "attach",
	.usage = "[NAME=]URL DIR [--mirror URL]... [--read-only] [--ttl TIME]",
	.summary = "show an existing bucket in the root of a mounted volume",
	.help = "Every mount of the volume shows it as the directory NAME, each with the "
		"credentials that its\nmachine has for the bucket.\n"
		"\n"
		"  --mirror URL   a bucket with the same content; up to three\n"
		"  --read-only    nothing is written to it\n"
		"  --ttl TIME     how long a listing is believed (default 60s)\n"
		"\n"
		"Example:\n"
		"  mangrove attach raw=s3://my-images/raw?region=eu-west-1 /mnt/demo --read-only\n",
	.run = run_attach,
};

static int run_detach(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB);
	const struct arg table[] = { { 0, NULL, 0, NULL } };
	_cleanup_free_ char *path = NULL;
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	if (strchr(words.all[0], '/')) {
		m = ctl_at(&mounts, words.all[0], "/detach?path=", &path, &target);
	} else {
		ctl_list_read(&mounts);
		m = ctl_choose(&mounts, words.n > 1 ? words.all[1] : NULL);
		if (m && add_param(&target, "/detach?path=", words.all[0]))
			m = NULL;
	}
	return m ? change_list(m, buf_str(&target)) : EXIT_FAILED;
}

const struct command cmd_detach = {
	.name = "detach",
	.usage = "PATH | NAME [DIR]",
	.summary = "stop showing a bucket in the root of a mounted volume",
	.help = "For every mount of the volume. Nothing in the bucket is touched; files that are "
		"open stay readable.\n"
		"\n"
		"Example:\n"
		"  mangrove detach /mnt/demo/raw\n",
	.run = run_detach,
};

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
