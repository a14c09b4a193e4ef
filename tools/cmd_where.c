/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* For each store: how many of the file's chunks it has. */

/* An object, and what the bucket and its mirrors have of it. */
static void print_attached(const char *path, const struct json *j)
{
	const struct json *stores = json_get(j, "stores");
	struct ui_table t;

	printf("%s: object %s%s\n", path, json_str(j, "key"),
	       json_str(json_at(stores, 0), "state") ? "" : " (a prefix)");
	ui_table_init(&t, "STORE|OBJECT|COMPARED BY|VERSION");
	for (size_t i = 0; i < json_count(stores); i++) {
		const struct json *s = json_at(stores, i);
		const char *state = json_str(s, "state"), *by = json_str(s, "compared"),
			   *version = json_str(s, "version");

		ui_table_add(&t, "%s", json_str(s, "name"));
		ui_table_add(&t, "%s", state ? state : "-");
		ui_table_add(&t, "%s", by ? by : "-");
		ui_table_add(&t, "%s", version ? version : "not listed");
	}
	ui_table_print(&t);
}

static void print_people(const char *path, const struct json *j)
{
	const struct json *stores = json_get(j, "stores");
	double chunks = json_number(j, "chunks", 0);
	const char *type = json_str(j, "type");
	char size[16];
	struct ui_table t;

	if (json_str(j, "key")) {
		print_attached(path, j);
		return;
	}
	if (!type || strcmp(type, "file")) {
		printf("%s: its name and attributes are in the journal, at every journal store\n",
		       path);
		return;
	}
	size_format((uint64_t)json_number(j, "size", 0), size);
	printf("%s: %s in %.0f chunks\n", path, size, chunks);
	if (json_number(j, "inline_bytes", 0) > 0)
		printf("%.0f bytes are in the journal itself, at every journal store\n",
		       json_number(j, "inline_bytes", 0));
	if (json_number(j, "foreign_bytes", 0) > 0)
		printf("%.0f bytes are in the bucket that they were adopted from; "
		       "'mangrove import --seal' moves them\n",
		       json_number(j, "foreign_bytes", 0));
	if (chunks <= 0)
		return;
	ui_table_init(&t, "STORE|>CHUNKS|COPY");
	for (size_t i = 0; i < json_count(stores); i++) {
		const struct json *s = json_at(stores, i);
		double have = json_number(s, "chunks", 0);

		ui_table_add(&t, "%s", json_str(s, "name"));
		ui_table_add(&t, "%.0f/%.0f", have, chunks);
		ui_table_add(&t, "%s", have < chunks ? "incomplete" : "complete");
	}
	ui_table_print(&t);
}

static bool complete(const struct json *j)
{
	const struct json *stores = json_get(j, "stores");

	for (size_t i = 0; i < json_count(stores); i++) {
		const char *state = json_str(json_at(stores, i), "state");

		if (json_number(json_at(stores, i), "chunks", 0) < json_number(j, "chunks", 0) ||
		    (state && strcmp(state, "same") != 0))
			return false;
	}
	return true;
}

static int run_where(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB), body = BUF_INIT(MiB);
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_free_ char *path = NULL;
	bool json = false;
	const struct arg table[] = { { 0, "json", ARG_FLAG, &json }, { 0, NULL, 0, NULL } };
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 1, &words, &status))
		return status;
	m = ctl_at(&mounts, words.all[0], "/where?path=", &path, &target);
	if (!m)
		return EXIT_FAILED;
	status = ctl_command(m, "GET", buf_str(&target), 60, &body);
	if (status)
		return status;
	if (json_parse(buf_span(&body), &j)) {
		ui_error("%s: the mount's answer is not understood", path);
		return EXIT_FAILED;
	}
	if (json)
		printf("%s\n", buf_str(&body));
	else
		print_people(path, j);
	return complete(j) ? EXIT_DONE : EXIT_DEGRADED;
}

const struct command cmd_where = {
	.name = "where",
	.usage = "PATH [--json]",
	.summary = "show which stores have a file",
	.help = "Of a file in an attached bucket: what it and its mirrors have, and how that was "
		"compared.\nExit 3 when a store lacks a part of it, or has something else.\n"
		"\n"
		"Example:\n"
		"  mangrove where /mnt/demo/model.bin\n",
	.run = run_where,
};
