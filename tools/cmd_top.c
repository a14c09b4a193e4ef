/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/* What a mount does this moment: the difference of two looks at its status. */
#define KINDS_SHOWN 10
#define USERS_SHOWN 5
#define DELAY_MIN_NS (NS_PER_S / 10)

struct sample {
	struct json *status; /* returns owned */
	uint64_t at_ns;
};

static double number(const struct json *j, const char *part, const char *key)
{
	return json_number(part ? json_get(j, part) : j, key, 0);
}

/* The entry of an array with this name, or NULL: it is new. */
static const struct json *named(const struct json *array, const char *name)
{
	for (size_t i = 0; i < json_count(array); i++) {
		const char *s = json_str(json_at(array, i), "name");

		if (s && name && !strcmp(s, name))
			return json_at(array, i);
	}
	return NULL;
}

/* Since the sample before, a second. A counter that went back is of another daemon. */
static double rate(const struct json *was, const struct json *is, const char *key, double elapsed_s)
{
	double d = json_number(is, key, 0) - json_number(was, key, 0);

	return d > 0 && elapsed_s > 0 ? d / elapsed_s : 0;
}

static void copy_number(struct json *to, const char *key, const struct json *from,
			const char *key_there)
{
	json_set_real(to, key, json_number(from, key_there, 0));
}

static struct json *store_rates(const struct json *was, const struct json *is, double s)
{
	struct json *all = json_array_new();

	for (size_t i = 0; i < json_count(is); i++) {
		const struct json *one = json_at(is, i),
				  *before = named(was, json_str(one, "name"));
		struct json *j = json_object_new();

		json_set_str(j, "name", json_str(one, "name"));
		json_set_str(j, "state", json_str(one, "state"));
		copy_number(j, "p50", json_get(one, "latency_seconds"), "p50");
		copy_number(j, "p95", json_get(one, "latency_seconds"), "p95");
		json_set_real(j, "read", rate(before, one, "bytes_read", s));
		json_set_real(j, "written", rate(before, one, "bytes_written", s));
		json_set_real(j, "requests", rate(before, one, "requests", s));
		json_set_real(j, "errors", rate(before, one, "errors", s));
		copy_number(j, "in_flight_chunks", one, "in_flight_chunks");
		copy_number(j, "deficit_chunks", one, "deficit_chunks");
		json_append(all, j);
	}
	return all;
}

/* Of a list of counted things: kinds of calls, or users. */
static struct json *call_rates(const struct json *was, const struct json *is, const char *list,
			       double s)
{
	const struct json *before = json_get(was, list), *kinds = json_get(is, list);
	struct json *all = json_array_new();

	for (size_t i = 0; i < json_count(kinds); i++) {
		const struct json *one = json_at(kinds, i);
		const char *name = json_str(one, "name");
		struct json *j = json_object_new();

		json_set_str(j, "name", name);
		json_set_real(j, "calls", rate(named(before, name), one, "count", s));
		copy_number(j, "total", one, "count");
		copy_number(j, "p50", one, "p50");
		copy_number(j, "p99", one, "p99");
		json_append(all, j);
	}
	return all;
}

/* Of the pieces that were wanted since the sample before, those that were here; -1: none were. */
static double hit_share(const struct json *was, const struct json *is)
{
	double hits = rate(was, is, "hits", 1), misses = rate(was, is, "misses", 1);

	return hits + misses > 0 ? hits / (hits + misses) : -1;
}

static struct json *rates_of(const struct sample *was, const struct sample *is)
{
	const struct json *a = was->status, *b = is->status;
	double s = (double)(is->at_ns - was->at_ns) / NS_PER_S;
	struct json *j = json_object_new();

	json_set_real(j, "seconds", s);
	json_set(j, "stores", store_rates(json_get(a, "stores"), json_get(b, "stores"), s));
	json_set_real(j, "calls",
		      rate(json_get(a, "operations"), json_get(b, "operations"), "count", s));
	json_set_real(j, "program_errors",
		      rate(json_get(a, "counters"), json_get(b, "counters"), "program_errors", s));
	json_set(j, "kinds",
		 call_rates(json_get(a, "operations"), json_get(b, "operations"), "kinds", s));
	json_set(j, "users",
		 call_rates(json_get(a, "operations"), json_get(b, "operations"), "users", s));
	json_set_real(j, "slots",
		      rate(json_get(a, "journal"), json_get(b, "journal"), "applied_slot", s));
	json_set_real(j, "cache_hit_share", hit_share(json_get(a, "cache"), json_get(b, "cache")));
	return j;
}

static void print_stores(const struct json *stores)
{
	char p50[16], p95[16], read[16], written[16];
	struct ui_table t;

	ui_table_init(&t, "STORE|STATE|>LATENCY|>P95|>READ/s|>WRITTEN/s|>REQUESTS/s|>ERRORS/s|"
			  ">IN FLIGHT|>MISSING");
	for (size_t i = 0; i < json_count(stores); i++) {
		const struct json *s = json_at(stores, i);

		ui_seconds(number(s, NULL, "p50"), p50);
		ui_seconds(number(s, NULL, "p95"), p95);
		ui_bytes(number(s, NULL, "read"), read);
		ui_bytes(number(s, NULL, "written"), written);
		ui_table_add(&t, "%s", json_str(s, "name"));
		ui_table_add(&t, "%s", json_str(s, "state"));
		ui_table_add(&t, "%s", p50);
		ui_table_add(&t, "%s", p95);
		ui_table_add(&t, "%s", read);
		ui_table_add(&t, "%s", written);
		ui_table_add(&t, "%.1f", number(s, NULL, "requests"));
		ui_table_add(&t, "%.1f", number(s, NULL, "errors"));
		ui_table_add(&t, "%.0f", number(s, NULL, "in_flight_chunks"));
		ui_table_add(&t, "%.0f", number(s, NULL, "deficit_chunks"));
	}
	ui_table_print(&t);
}

/* The busiest now, then those that were ever called most. */
static int busier(const void *a, const void *b)
{
	const struct json *x = *(const struct json *const *)a, *y = *(const struct json *const *)b;
	double calls = number(y, NULL, "calls") - number(x, NULL, "calls");
	double total = number(y, NULL, "total") - number(x, NULL, "total");
	double d = calls < 0 || calls > 0 ? calls : total;

	return (d > 0) - (d < 0);
}

/* The list in order; owned by the caller. NULL: no memory. */
static const struct json **ordered(const struct json *list)
{
	size_t n = json_count(list);
	const struct json **order = calloc(n + 1, sizeof(const struct json *));

	for (size_t i = 0; order && i < n; i++)
		order[i] = json_at(list, i);
	if (order)
		qsort(order, n, sizeof(const struct json *), busier);
	return order;
}

static void print_kinds(const struct json *kinds)
{
	_cleanup_free_ const struct json **order = ordered(kinds);
	char p50[16], p99[16];
	struct ui_table t;

	if (!order)
		return;
	ui_table_init(&t, "CALL|>/s|>TOTAL|>LATENCY|>P99");
	for (size_t i = 0; order[i] && i < KINDS_SHOWN; i++) {
		ui_seconds(number(order[i], NULL, "p50"), p50);
		ui_seconds(number(order[i], NULL, "p99"), p99);
		ui_table_add(&t, "%s", json_str(order[i], "name"));
		ui_table_add(&t, "%.1f", number(order[i], NULL, "calls"));
		ui_table_add(&t, "%.0f", number(order[i], NULL, "total"));
		ui_table_add(&t, "%s", p50);
		ui_table_add(&t, "%s", p99);
	}
	ui_table_print(&t);
}

static void print_users(const struct json *users)
{
	_cleanup_free_ const struct json **order = ordered(users);

	for (size_t i = 0; order && order[i] && i < USERS_SHOWN; i++)
		printf("%s uid %s: %.1f calls/s", i ? "," : "users   ",
		       json_str(order[i], "name"), number(order[i], NULL, "calls"));
	putchar('\n');
}

static void print_table(const struct ctl_mount *m, const struct json *r)
{
	const struct json *st = m->status;
	double share = number(r, NULL, "cache_hit_share");
	char up[16], used[16], limit[16], dirty[16], staged[16], p50[16];

	ui_seconds(number(st, "mount", "uptime"), up);
	ui_bytes(number(st, "cache", "bytes"), used);
	ui_bytes(number(st, "cache", "limit"), limit);
	ui_bytes(number(st, "pending", "dirty_bytes"), dirty);
	ui_bytes(number(st, "pending", "staged_bytes"), staged);
	printf("%s on %s: %s, up %s\n", json_str(json_get(st, "volume"), "name"), ctl_dir(m),
	       ctl_degraded(m) ? "DEGRADED" : "healthy", up);
	printf("programs %.1f calls/s, %.1f errors/s; cache %s of %s", number(r, NULL, "calls"),
	       number(r, NULL, "program_errors"), used, limit);
	printf(share < 0 ? "\n" : ", %.0f %% found here\n", 100 * share);
	if (json_get(st, "journal")) {
		ui_seconds(number(json_get(st, "journal"), "commit_seconds", "p50"), p50);
		printf("journal  %.1f entries/s, commit %s, %.0f operations pending; %s not "
		       "uploaded, %s on their way\n",
		       number(r, NULL, "slots"), p50, number(st, "journal", "pending_operations"),
		       dirty, staged);
	}
	print_users(json_get(r, "users"));
	putchar('\n');
	if (json_count(json_get(r, "stores")))
		print_stores(json_get(r, "stores"));
	putchar('\n');
	print_kinds(json_get(r, "kinds"));
}

static int print(const struct ctl_mount *m, const struct json *rates, bool as_json)
{
	_cleanup_buf_ struct buf line = BUF_INIT(MiB);

	if (!as_json) {
		ui_screen();
		print_table(m, rates);
	} else if (json_write(rates, 0, &line)) {
		return EXIT_FAILED;
	} else {
		puts(buf_str(&line));
	}
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int watch(struct ctl_mount *m, uint64_t delay_ns, uint64_t count, bool as_json)
{
	struct sample was = { NULL, 0 };
	int status = EXIT_DONE;

	for (uint64_t i = 0; (!count || i < count) && !status; i++) {
		_cleanup_(json_freep) struct json *rates = NULL;
		struct sample is;

		json_free(was.status);
		was = (struct sample){ take_ptr(&m->status), clock_now() };
		sleep_for(delay_ns);
		if (!ctl_refresh(m)) {
			ui_error("the mount is gone");
			status = EXIT_FAILED;
			break;
		}
		is = (struct sample){ m->status, clock_now() };
		rates = rates_of(&was, &is);
		status = print(m, rates, as_json);
	}
	json_free(was.status);
	return status;
}

static int run_top(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	const char *delay = "1s", *count = NULL;
	bool as_json = false;
	const struct arg table[] = { { 0, "delay", ARG_TEXT, &delay },
				     { 0, "count", ARG_TEXT, &count },
				     { 0, "json", ARG_FLAG, &as_json },
				     { 0, NULL, 0, NULL } };
	uint64_t delay_ns, n = 0;
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (duration_parse(delay, &delay_ns) || delay_ns < DELAY_MIN_NS) {
		ui_error("--delay %s: expected a duration of at least 100ms, such as 1s", delay);
		return EXIT_USAGE;
	}
	if (count && (uint_parse(count, &n) || !n)) {
		ui_error("--count %s: expected a number", count);
		return EXIT_USAGE;
	}
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n ? words.all[0] : NULL);
	return m ? watch(m, delay_ns, n, as_json) : EXIT_FAILED;
}

const struct command cmd_top = {
	.name = "top",
	.usage = "[DIR|VOLUME] [--delay 1s] [--count N] [--json]",
	.summary = "show what a mount does this moment",
	.help = "The traffic of every store, the calls of programs by kind and their latency, the "
		"cache, the\n"
		"journal; a second after the other, until Ctrl-C.\n"
		"\n"
		"  --delay    the time between two looks\n"
		"  --count    so many, then end\n"
		"  --json     a line for each look; everything is a second\n"
		"\n"
		"Example:\n"
		"  mangrove top /mnt/demo\n",
	.run = run_top,
};
