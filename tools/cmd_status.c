/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* What the mounts say about themselves, as a table or as it is. */
#define POLL_NS (NS_PER_S / 2)

struct view_options {
	bool json, wait, watch;
	uint64_t deadline_ns;
};

static double real(const struct json *j, const char *key)
{
	return json_number(j, key, 0);
}

static const char *text(const struct json *j, const char *key)
{
	const char *s = json_str(j, key);

	return s ? s : "";
}

static void store_row(struct ui_table *t, const struct json *s)
{
	const struct json *latency = json_get(s, "latency_seconds");
	char p50[16], lag[16], deficit[16], read[16], written[16];

	ui_seconds(real(latency, "p50"), p50);
	ui_seconds(real(s, "lag_seconds"), lag);
	ui_bytes(real(s, "deficit_bytes"), deficit);
	ui_bytes(real(s, "bytes_read"), read);
	ui_bytes(real(s, "bytes_written"), written);
	ui_table_add(t, "%s", text(s, "name"));
	ui_table_add(t, "%s", text(s, "state"));
	ui_table_add(t, "%s", real(latency, "p50") > 0 ? p50 : "-");
	ui_table_add(t, "%s", real(s, "lag_seconds") > 0 ? lag : "-");
	ui_table_add(t, "%.0f", real(s, "deficit_chunks"));
	ui_table_add(t, "%s", deficit);
	ui_table_add(t, "%s", read);
	ui_table_add(t, "%s", written);
	ui_table_add(t, "%.0f", real(s, "requests"));
	ui_table_add(t, "%.2f", real(s, "cost"));
	/* What is over is in --json and the log. */
	ui_table_add(t, "%s", strcmp(text(s, "state"), "healthy") ? text(s, "last_error") : "");
}

static void print_stores(const struct json *stores)
{
	struct ui_table t;

	ui_table_init(&t, "STORE|STATE|>LATENCY|>LAG|>MISSING|>BYTES|>READ|>WRITTEN|>REQUESTS|"
			  ">COST|LAST ERROR");
	for (size_t i = 0; i < json_count(stores); i++)
		store_row(&t, json_at(stores, i));
	ui_table_print(&t);
}

static void attached_row(struct ui_table *t, const struct json *a, const struct json *s)
{
	const struct json *latency = json_get(s, "latency_seconds");
	char p50[16], size[16], read[16];

	ui_seconds(real(latency, "p50"), p50);
	ui_bytes(real(a, "bytes"), size);
	ui_bytes(real(s, "bytes_read"), read);
	ui_table_add(t, "%s", text(a, "name"));
	ui_table_add(t, "%s", text(s, "state"));
	ui_table_add(t, "%s", real(latency, "p50") > 0 ? p50 : "-");
	ui_table_add(t, "%.0f", real(a, "files"));
	ui_table_add(t, "%s", size);
	ui_table_add(t, "%s", read);
	ui_table_add(t, "%s", text(s, "url"));
	ui_table_add(t, "%s", strcmp(text(s, "state"), "healthy") ? text(s, "last_error") : "");
}

/* This machine cannot open it. */
static void refused_row(struct ui_table *t, const struct json *a)
{
	ui_table_add(t, "%s", text(a, "name"));
	ui_table_add(t, "refused");
	for (int i = 0; i < 5; i++)
		ui_table_add(t, "-");
	ui_table_add(t, "%s", text(a, "refused"));
}

/* Files and bytes as far as they were listed. */
static void print_attached(const struct json *attached)
{
	struct ui_table t;

	ui_table_init(&t, "BUCKET|STATE|>LATENCY|>FILES SEEN|>BYTES|>READ|URL|LAST ERROR");
	for (size_t i = 0; i < json_count(attached); i++) {
		const struct json *stores = json_get(json_at(attached, i), "stores");

		for (size_t s = 0; s < json_count(stores); s++)
			attached_row(&t, json_at(attached, i), json_at(stores, s));
		if (!json_count(stores))
			refused_row(&t, json_at(attached, i));
	}
	ui_table_print(&t);
}

static void print_journal(const struct json *j)
{
	char p50[16], p99[16];

	ui_seconds(real(json_get(j, "commit_seconds"), "p50"), p50);
	ui_seconds(real(json_get(j, "commit_seconds"), "p99"), p99);
	printf("journal  slot %.0f of %.0f, %s, %.0f operations pending, commit %s (p99 %s)\n",
	       real(j, "applied_slot"), real(j, "tip_slot"),
	       json_bool(j, "owned", false) ? "this mount orders" : "another mount orders",
	       real(j, "pending_operations"), p50, p99);
}

/* What an earlier mount had staged and could not be done any more. */
static void print_staged(const struct json *counters)
{
	const double conflicts = real(counters, "staged_conflicts"),
		     lost = real(counters, "staged_lost");

	if (conflicts > 0 || lost > 0)
		printf("staged   %.0f changes of an earlier mount met those of others, %.0f were "
		       "lost with the disk; see the log\n",
		       conflicts, lost);
}

static void print_rest(const struct ctl_mount *m)
{
	const struct json *ns = json_get(m->status, "namespace"),
			  *cache = json_get(m->status, "cache");
	const struct json *pending = json_get(m->status, "pending"),
			  *counters = json_get(m->status, "counters");
	char all[16], used[16], limit[16], dirty[16], staged[16];
	double lost = real(counters, "lost_operations"), corrupt = real(counters, "corrupt_frames");

	ui_bytes(real(ns, "bytes"), all);
	ui_bytes(real(cache, "bytes"), used);
	ui_bytes(real(cache, "limit"), limit);
	ui_bytes(real(pending, "dirty_bytes"), dirty);
	ui_bytes(real(pending, "staged_bytes"), staged);
	if (json_get(m->status, "journal")) {
		print_journal(json_get(m->status, "journal"));
		printf("tree     %.0f files, %.0f directories, %s\n", real(ns, "files"),
		       real(ns, "directories"), all);
		printf("pending  %s not uploaded, %s on their way\n", dirty, staged);
	}
	printf("cache    %s of %s in %s\n", used, limit, text(cache, "dir"));
	print_staged(counters);
	if (lost > 0 || corrupt > 0)
		printf("errors   %.0f operations lost, %.0f corrupt frames found, "
		       "%.0f chunks repaired\n",
		       lost, corrupt, real(counters, "repaired_chunks"));
}

static void print_mount(const struct ctl_mount *m)
{
	const struct json *mount = json_get(m->status, "mount");
	char up[16];

	ui_seconds(real(mount, "uptime"), up);
	printf("%s on %s: %s%s, up %s\n", text(json_get(m->status, "volume"), "name"), ctl_dir(m),
	       ctl_degraded(m) ? "DEGRADED" : "healthy",
	       json_bool(mount, "read_only", false) ? ", read-only" : "", up);
	if (*text(mount, "stopped"))
		printf("stopped: %s\n", text(mount, "stopped"));
	if (json_count(json_get(m->status, "stores")))
		print_stores(json_get(m->status, "stores"));
	if (json_get(m->status, "attached"))
		print_attached(json_get(m->status, "attached"));
	print_rest(m);
}

/* One mount: an object; several: an array of them. */
static int print_json(const struct ctl_list *l)
{
	_cleanup_buf_ struct buf out = BUF_INIT(64 * MiB);
	int r = l->n == 1 ? 0 : buf_add_str(&out, "[");

	for (size_t i = 0; !r && i < l->n; i++) {
		if (i)
			r = buf_add_str(&out, ",\n");
		if (!r)
			r = json_write(l->all[i].status, 1, &out);
	}
	if (!r && l->n != 1)
		r = buf_add_str(&out, "]");
	if (r)
		return EXIT_FAILED;
	printf("%s\n", buf_str(&out));
	return EXIT_DONE;
}

static int print_all(const struct ctl_list *l, const struct view_options *o)
{
	int status = EXIT_DONE;

	if (o->json)
		status = print_json(l);
	for (size_t i = 0; i < l->n; i++) {
		if (!o->json && i)
			putchar('\n');
		if (!o->json)
			print_mount(&l->all[i]);
		if (ctl_degraded(&l->all[i]) && !status)
			status = EXIT_DEGRADED;
	}
	fflush(stdout);
	return status;
}

/* Keeps the one that is meant. */
static bool narrow(struct ctl_list *l, const char *what)
{
	struct ctl_mount *m = ctl_choose(l, what);

	if (!m)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		if (&l->all[i] == m)
			continue;
		free(l->all[i].socket);
		json_free(l->all[i].status);
	}
	l->all[0] = *m;
	l->n = 1;
	return true;
}

static bool any_degraded(const struct ctl_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (ctl_degraded(&l->all[i]))
			return true;
	return false;
}

static bool refresh_all(struct ctl_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (ctl_refresh(&l->all[i]))
			continue;
		ui_error("%s: the mount is gone", ctl_dir(&l->all[i]));
		return false;
	}
	return true;
}

static int wait_healthy(struct ctl_list *l, const struct view_options *o)
{
	while (any_degraded(l)) {
		if (clock_now() >= o->deadline_ns)
			break;
		ui_progress("waiting for missing copies");
		sleep_for(POLL_NS);
		if (!refresh_all(l))
			return EXIT_FAILED;
	}
	ui_progress_end();
	return print_all(l, o);
}

static int watch(struct ctl_list *l, const struct view_options *o)
{
	do {
		if (!o->json)
			ui_screen();
		print_all(l, o);
		sleep_for(2 * POLL_NS);
	} while (refresh_all(l));
	return EXIT_FAILED;
}

static int run_status(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	struct view_options o = { .deadline_ns = NEVER };
	const char *timeout = NULL, *cache_dir = NULL;
	bool staged = false;
	const struct arg table[] = { { 0, "json", ARG_FLAG, &o.json },
				     { 0, "staged", ARG_FLAG, &staged },
				     { 0, "cache-dir", ARG_TEXT, &cache_dir },
				     { 0, "wait", ARG_FLAG, &o.wait },
				     { 0, "watch", ARG_FLAG, &o.watch },
				     { 0, "timeout", ARG_TEXT, &timeout },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	uint64_t ns = 0;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (timeout && duration_parse(timeout, &ns)) {
		ui_error("--timeout %s: expected a duration such as 60s", timeout);
		return EXIT_USAGE;
	}
	if (timeout)
		o.deadline_ns = clock_now() + ns;
	if (staged)
		return status_staged(words.n ? words.all[0] : NULL, cache_dir, o.json);
	ctl_list_read(&mounts);
	if (words.n && !narrow(&mounts, words.all[0]))
		return EXIT_FAILED;
	if (!mounts.n && !o.json)
		puts("nothing is mounted");
	if (o.watch)
		return watch(&mounts, &o);
	return o.wait ? wait_healthy(&mounts, &o) : print_all(&mounts, &o);
}

const struct command cmd_status = {
	.name = "status",
	.usage = "[DIR|VOLUME] [--json] [--wait [--timeout 60s]] [--watch] [--staged]",
	.summary = "show where every replica stands",
	.help = "Without an argument: all mounts of this machine. Exit 3 while a store is down or "
		"a copy\n"
		"is missing.\n"
		"\n"
		"  --json     one mount: an object; several: an array of them\n"
		"  --wait     until no copy is missing\n"
		"  --watch    again every second\n"
		"  --staged   what close=staged left on this machine's disk; needs no mount\n"
		"  --cache-dir DIR\n"
		"             look in this cache folder\n"
		"\n"
		"Example:\n"
		"  mangrove status /mnt/demo --wait\n",
	.run = run_status,
};
