/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* Plays a failure and watches how the mount takes it. */
#define POLL_NS (NS_PER_S / 20)
#define RECOVERY_NS (600 * NS_PER_S)

struct drill {
	struct ctl_mount *m;
	const char *store, *mode;
	uint64_t begin_ns, detected_ns, over_ns, recovered_ns; /* 0: not yet */
	double errors_before, deficits_before, deficits_most;
	double corrupt_before, repaired_before;
};

static const struct json *store_of(const struct drill *d)
{
	const struct json *stores = json_get(d->m->status, "stores");

	for (size_t i = 0; i < json_count(stores); i++) {
		const char *name = json_str(json_at(stores, i), "name");

		if (name && !strcmp(name, d->store))
			return json_at(stores, i);
	}
	return NULL;
}

static bool is_healthy(const struct drill *d)
{
	const char *state = json_str(store_of(d), "state");

	return state && !strcmp(state, "healthy");
}

static double counter(const struct drill *d, const char *name)
{
	return json_number(json_get(d->m->status, "counters"), name, 0);
}

static double program_errors(const struct drill *d)
{
	return counter(d, "program_errors");
}

static double deficits(const struct drill *d)
{
	return json_number(store_of(d), "deficit_chunks", 0);
}

/* Wrong bytes do not make a store slow or silent: they are counted, and made again. */
static bool is_noticed(const struct drill *d)
{
	return !is_healthy(d) || json_number(store_of(d), "bad_chunks", 0) > 0 ||
	       counter(d, "corrupt_frames") > d->corrupt_before ||
	       (!strcmp(d->mode, "corrupt") &&
		counter(d, "repaired_chunks") > d->repaired_before);
}

static bool is_whole(const struct drill *d)
{
	return is_healthy(d) && deficits(d) <= 0 &&
	       json_number(store_of(d), "bad_chunks", 0) <= 0;
}

static bool look(struct drill *d)
{
	sleep_for(POLL_NS);
	if (ctl_refresh(d->m)) {
		d->deficits_most = MAX(d->deficits_most, deficits(d));
		return true;
	}
	ui_error("%s: the mount is gone", ctl_dir(d->m));
	return false;
}

static bool play(struct drill *d, uint64_t ns)
{
	while (clock_now() < d->begin_ns + ns) {
		if (!look(d))
			return false;
		if (!d->detected_ns && is_noticed(d))
			d->detected_ns = clock_now();
		ui_progress("%s: %s; errors seen by programs: %.0f", d->store,
			    d->detected_ns ? "failing, noticed" : "failing",
			    program_errors(d) - d->errors_before);
	}
	d->over_ns = clock_now();
	return true;
}

static bool recover(struct drill *d)
{
	do {
		if (!look(d))
			return false;
		ui_progress("%s: recovering; %.0f copies missing", d->store,
			    deficits(d));
		if (is_whole(d))
			d->recovered_ns = clock_now();
	} while (!d->recovered_ns && clock_now() < d->over_ns + RECOVERY_NS);
	return true;
}

static void since(uint64_t from_ns, uint64_t to_ns, char ret[16])
{
	if (to_ns)
		duration_format(to_ns - from_ns, ret);
	else
		snprintf(ret, 16, "never");
}

static double errors_seen(const struct drill *d)
{
	return program_errors(d) - d->errors_before;
}

static double longest_stall(const struct drill *d)
{
	return json_number(json_get(d->m->status, "operations"), "longest_seconds", 0);
}

static double deficits_made(const struct drill *d)
{
	return MAX(d->deficits_most - d->deficits_before, 0);
}

static double deficits_repaired(const struct drill *d)
{
	return MAX(d->deficits_most - MAX(deficits(d), d->deficits_before), 0);
}

static void print_report(const struct drill *d)
{
	char detect[16], recovery[16], stall[16];

	since(d->begin_ns, d->detected_ns, detect);
	since(d->over_ns, d->recovered_ns, recovery);
	ui_seconds(longest_stall(d), stall);
	printf("store                    %s, %s\n", d->store, d->mode);
	printf("errors seen by programs  %.0f\n", errors_seen(d));
	printf("longest stall            %s\n", stall);
	printf("time to detect           %s\n", detect);
	printf("time to recover          %s\n", recovery);
	printf("deficits made, repaired  %.0f, %.0f\n", deficits_made(d), deficits_repaired(d));
}

static void print_json(const struct drill *d)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);

	json_set_str(j, "store", d->store);
	json_set_str(j, "mode", d->mode);
	json_set_uint(j, "program_errors", (uint64_t)errors_seen(d));
	json_set_real(j, "longest_stall_seconds", longest_stall(d));
	json_set_uint(j, "deficits_made", (uint64_t)deficits_made(d));
	json_set_uint(j, "deficits_repaired", (uint64_t)deficits_repaired(d));
	json_set_bool(j, "detected", d->detected_ns);
	json_set_real(j, "detect_seconds",
		      d->detected_ns ? (double)(d->detected_ns - d->begin_ns) / NS_PER_S : 0);
	json_set_bool(j, "recovered", d->recovered_ns);
	json_set_real(j, "recover_seconds",
		      d->recovered_ns ? (double)(d->recovered_ns - d->over_ns) / NS_PER_S : 0);
	if (!json_write(j, 1, &text))
		printf("%s\n", buf_str(&text));
}

static int start(struct drill *d, const char *mode, const char *duration)
{
	_cleanup_buf_ struct buf target = BUF_INIT(4096);
	int r = buf_add_str(&target, "/drill?store=");

	if (!r)
		r = percent_encode(span_str(d->store), false, &target);
	if (!r)
		r = buf_add_str(&target, "&mode=");
	if (!r)
		r = percent_encode(span_str(mode), false, &target);
	if (!r)
		r = buf_add_str(&target, "&for=");
	if (!r)
		r = percent_encode(span_str(duration), false, &target);
	return r ? EXIT_FAILED : ctl_command(d->m, "POST", buf_str(&target), 10, NULL);
}

static int run_drill(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	const char *duration = "60s", *mode = "down";
	bool json = false;
	const struct arg table[] = { { 0, "for", ARG_TEXT, &duration },
				     { 0, "mode", ARG_TEXT, &mode },
				     { 0, "json", ARG_FLAG, &json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	struct drill d = { .m = NULL };
	uint64_t ns;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	if (duration_parse(duration, &ns)) {
		ui_error("--for %s: expected a duration such as 60s", duration);
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	d.m = ctl_choose(&mounts, words.n > 1 ? words.all[1] : NULL);
	d.store = words.all[0];
	if (!d.m)
		return EXIT_FAILED;
	d.mode = mode;
	d.errors_before = program_errors(&d);
	d.deficits_before = d.deficits_most = deficits(&d);
	d.corrupt_before = counter(&d, "corrupt_frames");
	d.repaired_before = counter(&d, "repaired_chunks");
	d.begin_ns = clock_now();
	status = start(&d, mode, duration);
	if (status || !strcmp(mode, "none"))
		return status;
	if (!play(&d, ns) || !recover(&d))
		return EXIT_FAILED;
	ui_progress_end();
	if (json)
		print_json(&d);
	else
		print_report(&d);
	return d.recovered_ns && program_errors(&d) <= d.errors_before ? EXIT_DONE : EXIT_FAILED;
}

const struct command cmd_drill = {
	.name = "drill",
	.usage = "STORE [DIR] [--for 60s] [--mode down|slow|errors|corrupt] [--json]",
	.summary = "let a mount treat a store as failed, and see how it takes it",
	.help = "Only this mount is affected. Reports the errors that programs saw, their longest "
		"wait, the\n"
		"time to detect and to recover, and the copies that were missed and made again. "
		"Exit 1 when\n"
		"programs saw errors, or the store did not recover.\n"
		"\n"
		"  --for     how long (60s)\n"
		"  --mode    down: refuses; slow: two seconds late; errors: answers 500; corrupt: "
		"gives wrong\n"
		"            bytes; none: ends a drill that is going on\n"
		"\n"
		"Example:\n"
		"  mangrove drill azure /mnt/demo --for 30s\n",
	.run = run_drill,
};
