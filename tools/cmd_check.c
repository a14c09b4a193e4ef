/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/upkeep/upkeep.h"
#include "tools/commands.h"
#include "tools/ctl.h"
#include "tools/own.h"

/*
 * fsck and scrub: the mount does them where the volume is mounted; else the command opens the
 * volume by itself. Either way they are asked how they stand until they have ended.
 */
#define LOOK_NS	  (200 * NS_PER_MS)
#define REPAIR_NS (60 * NS_PER_S)
#define REQUEST_S 30

/* Whom to ask: a mount, or what was opened here. */
struct checker {
	struct ctl_mount *m; /* or NULL */
	struct own own;
	struct upkeep *u;
	struct json *now; /* as it stands */
};

struct check_args {
	const char *volume, *config, *cache_dir;
	const char *store, *share, *rate;
	bool json, from_stores;
};

static int own_start(struct checker *k, const struct check_args *a, enum upkeep_kind kind)
{
	const struct own_ask ask = { .volume = a->volume,
				     .config = a->config,
				     .cache_dir = a->cache_dir,
				     .read_only = kind == UPKEEP_FSCK,
				     .afresh = kind == UPKEEP_FSCK };
	struct upkeep_scrub scrub = { .store = -1, .share = 1 };
	const struct volume *v;
	int r;

	if (own_open(&ask, &k->own))
		return EXIT_FAILED;
	v = k->own.v;
	if (a->store)
		scrub.store = replicas_find(v->replicas, a->store);
	if (a->store && scrub.store < 0) {
		ui_error("no store is named %s", a->store);
		return EXIT_FAILED;
	}
	if ((a->share && upkeep_share_parse(a->share, &scrub.share)) ||
	    (a->rate && size_parse(a->rate, &scrub.rate)))
		return EXIT_USAGE; /* looked at before */
	r = volume_upkeep_new(v, &k->u);
	if (!r)
		r = upkeep_start(k->u, kind, &scrub);
	if (r)
		ui_error("%s", strerror(-r));
	return r ? EXIT_FAILED : EXIT_DONE;
}

static int add_param(struct buf *target, const char *name, const char *value)
{
	int r;

	if (!value)
		return 0;
	r = buf_addf(target, "%c%s=", strchr(buf_str(target), '?') ? '&' : '?', name);
	return r ? r : percent_encode(span_str(value), false, target);
}

static int mount_start(struct checker *k, const struct check_args *a, enum upkeep_kind kind)
{
	_cleanup_buf_ struct buf target = BUF_INIT(4096);
	int r = buf_add_str(&target, kind == UPKEEP_FSCK ? "/fsck" : "/scrub");

	if (!r)
		r = add_param(&target, "store", a->store);
	if (!r)
		r = add_param(&target, "share", a->share);
	if (!r)
		r = add_param(&target, "rate", a->rate);
	return r ? EXIT_FAILED : ctl_command(k->m, "POST", buf_str(&target), REQUEST_S, NULL);
}

/* How it stands. An exit status. */
static int look(struct checker *k)
{
	_cleanup_buf_ struct buf body = BUF_INIT(16 * MiB);
	int status;

	k->now = json_free(k->now);
	if (k->u) {
		k->now = upkeep_json(k->u);
		return k->now ? EXIT_DONE : EXIT_FAILED;
	}
	status = ctl_command(k->m, "GET", "/upkeep", REQUEST_S, &body);
	if (!status && json_parse(buf_span(&body), &k->now))
		status = EXIT_FAILED;
	return status;
}

static void show_progress(const struct json *j)
{
	const double done = json_number(j, "done", 0), total = json_number(j, "total", 0),
		     seconds = json_number(j, "seconds", 0), bytes = json_number(j, "bytes", 0);
	char rate[16];

	size_format((uint64_t)(seconds > 0 ? bytes / seconds : 0), rate);
	if (bytes > 0)
		ui_progress("%.0f of %.0f copies, %s/s, found: %.0f", done, total, rate,
			    json_number(j, "found", 0));
	else
		ui_progress("%.0f rows, found: %.0f", done, json_number(j, "found", 0));
}

static void stop(struct checker *k)
{
	if (k->u)
		upkeep_stop(k->u);
	else
		ctl_command(k->m, "POST", "/upkeep/stop", REQUEST_S, NULL);
}

static int watch(struct checker *k)
{
	bool told = false;
	int status;

	while (!(status = look(k)) && json_bool(k->now, "running", false)) {
		show_progress(k->now);
		if (own_interrupted() && !told)
			stop(k);
		told = own_interrupted();
		sleep_for(LOOK_NS);
	}
	ui_progress_end();
	return status;
}

/* What was found bad is rewritten before the command's own mount ends. */
static void await_repair(struct repair *r)
{
	const uint64_t until_ns = clock_now() + REPAIR_NS;
	uint64_t bad;

	do {
		struct repair_status st;

		repair_status_get(r, &st);
		bad = 0;
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			bad += st.bad_chunks[i];
		if (bad)
			sleep_for(LOOK_NS);
	} while (bad && clock_now() < until_ns && !own_interrupted());
}

static void print_findings(const struct json *j)
{
	const struct json *all = json_get(j, "findings");
	const double found = json_number(j, "found", 0);

	for (size_t i = 0; i < json_count(all); i++) {
		const struct json *one = json_at(all, i);

		printf("%-4s %s: %s\n", json_str(one, "code"), json_str(one, "meaning"),
		       json_str(one, "text"));
	}
	if (found > (double)json_count(all))
		printf("and %.0f more\n", found - (double)json_count(all));
}

static void print_summary(const struct json *j, enum upkeep_kind kind)
{
	char size[16];

	if (kind == UPKEEP_FSCK) {
		printf("slot %.0f, state hash %s: %.0f rows, %.0f inodes, %.0f chunks; %.0f "
		       "contradictions\n",
		       json_number(j, "slot", 0), json_str(j, "state_hash"),
		       json_number(j, "rows", 0), json_number(j, "inodes", 0),
		       json_number(j, "chunks", 0), json_number(j, "found", 0));
		return;
	}
	size_format((uint64_t)json_number(j, "bytes", 0), size);
	printf("%.0f chunks, %.0f copies (%s) read: %.0f damaged, %.0f missing, %.0f could not be "
	       "read%s\n",
	       json_number(j, "chunks", 0), json_number(j, "copies", 0), size,
	       json_number(j, "damaged", 0), json_number(j, "missing", 0),
	       json_number(j, "unread", 0),
	       json_bool(j, "ended", true) ? "" : "; the next run goes on from here");
}

static int report(const struct json *j, enum upkeep_kind kind, bool as_json)
{
	_cleanup_buf_ struct buf text = BUF_INIT(16 * MiB);
	const char *error = json_str(j, "error");

	if (as_json) {
		if (json_write(j, 1, &text))
			return EXIT_FAILED;
		printf("%s\n", buf_str(&text));
	} else {
		print_findings(j);
		if (!error || kind == UPKEEP_SCRUB)
			print_summary(j, kind);
	}
	if (error)
		ui_error("%s: %s", kind == UPKEEP_FSCK ? "fsck" : "scrub", error);
	if (json_number(j, "found", 0) > 0)
		return EXIT_DAMAGE;
	if (error)
		return EXIT_FAILED;
	return json_number(j, "unread", 0) > 0 ? EXIT_DEGRADED : EXIT_DONE;
}

static int run_check(const struct check_args *a, enum upkeep_kind kind)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	struct checker k = { .m = NULL };
	int status;

	ctl_list_read(&mounts);
	if (!a->from_stores && (!a->volume || ctl_is_mounted(&mounts, a->volume))) {
		k.m = ctl_choose(&mounts, a->volume);
		status = k.m ? mount_start(&k, a, kind) : EXIT_FAILED;
	} else {
		status = own_start(&k, a, kind);
	}
	if (!status)
		status = watch(&k);
	if (!status && k.u && kind == UPKEEP_SCRUB)
		await_repair(k.own.v->repair);
	if (!status)
		status = report(k.now, kind, a->json);
	json_free(k.now);
	upkeep_free(k.u);
	if (k.own.v)
		status = MAX(status, own_close(&k.own));
	return status;
}

static int run_fsck(const struct command *c, int argc, char **argv)
{
	struct check_args a = { .volume = NULL };
	const struct arg table[] = { { 0, "config", ARG_TEXT, &a.config },
				     { 0, "cache-dir", ARG_TEXT, &a.cache_dir },
				     { 0, "from-stores", ARG_FLAG, &a.from_stores },
				     { 0, "json", ARG_FLAG, &a.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	a.volume = words.n ? words.all[0] : NULL;
	if (!a.volume && a.from_stores) {
		ui_error("--from-stores: say which volume");
		return EXIT_USAGE;
	}
	return run_check(&a, UPKEEP_FSCK);
}

const struct command cmd_fsck = {
	.name = "fsck",
	.usage = "[VOLUME|DIR] [--from-stores] [OPTIONS]",
	.summary = "compare the whole namespace with its invariants",
	.help = "Reads only. Where the volume is mounted, what the mount has is checked while it "
		"goes on;\n"
		"else the namespace is built from the stores, which compares the state hash of "
		"every entry\n"
		"of the journal as well.\n"
		"\n"
		"  --from-stores    build it from the stores although the volume is mounted\n"
		"  --config FILE    of the volume\n"
		"  --cache-dir DIR  for what is built, beside the volume's cache otherwise\n"
		"  --json\n"
		"\n"
		"Exit status 4 and a list when something contradicts: mangrove-fsck(1) has the "
		"codes.\n"
		"\n"
		"Example:\n"
		"  mangrove fsck demo\n",
	.run = run_fsck,
};

static int run_scrub(const struct command *c, int argc, char **argv)
{
	struct check_args a = { .volume = NULL };
	const struct arg table[] = { { 0, "store", ARG_TEXT, &a.store },
				     { 0, "share", ARG_TEXT, &a.share },
				     { 0, "rate", ARG_TEXT, &a.rate },
				     { 0, "config", ARG_TEXT, &a.config },
				     { 0, "cache-dir", ARG_TEXT, &a.cache_dir },
				     { 0, "json", ARG_FLAG, &a.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	uint64_t rate;
	double share;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	a.volume = words.n ? words.all[0] : NULL;
	if (a.share && upkeep_share_parse(a.share, &share)) {
		ui_error("--share %s: expected a percentage such as 5%%", a.share);
		return EXIT_USAGE;
	}
	if (a.rate && size_parse(a.rate, &rate)) {
		ui_error("--rate %s: expected bytes a second such as 20M", a.rate);
		return EXIT_USAGE;
	}
	return run_check(&a, UPKEEP_SCRUB);
}

const struct command cmd_scrub = {
	.name = "scrub",
	.usage = "[VOLUME|DIR] [--store S] [--share 5%] [--rate 20M] [OPTIONS]",
	.summary = "read and verify the copies of the volume's data",
	.help = "What is damaged or missing is repaired. Goes on where the last run ended; with "
		"--share\n"
		"around and around, so that a small part each night comes to all.\n"
		"\n"
		"  --store S        this store's copies only\n"
		"  --share 5%       of the chunks, not all\n"
		"  --rate 20M       bytes a second, not as fast as it goes\n"
		"  --config FILE, --cache-dir DIR   where the volume is not mounted\n"
		"  --json\n"
		"\n"
		"Exit status 4 and a list when damage was found, 3 when a store could not be "
		"read.\n"
		"\n"
		"Example:\n"
		"  mangrove scrub demo --share 5%\n",
	.run = run_scrub,
};
