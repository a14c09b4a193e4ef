/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"

#define POLL_NS (NS_PER_S / 4)
#define ANSWER_SECONDS 60u

struct import_args {
	bool adopt, copy, seal, json;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

static uint64_t count(const struct json *j, const char *key)
{
	uint64_t n = 0;

	return json_uint(j, key, &n) ? 0 : n;
}

static bool is_state(const struct json *j, const char *state)
{
	const char *is = json_str(j, "state");

	return is && !strcmp(is, state);
}

static void draw(const struct json *j, uint64_t begun_ns)
{
	const double seconds = (double)(clock_now() - begun_ns) / NS_PER_S + 0.001;
	const char *phase = json_str(j, "phase");
	char bytes[16];

	if (phase && !strcmp(phase, "sealing")) {
		size_format(count(j, "sealed_bytes"), bytes);
		ui_progress("%llu files sealed, %s, %.0f MB/s",
			    (unsigned long long)count(j, "sealed_files"), bytes,
			    (double)count(j, "sealed_bytes") / 1e6 / seconds);
		return;
	}
	ui_progress("%llu keys listed, %llu files made, %llu there already, %.0f/s",
		    (unsigned long long)count(j, "listed"), (unsigned long long)count(j, "files"),
		    (unsigned long long)count(j, "present"),
		    (double)(count(j, "files") + count(j, "present")) / seconds);
}

static int ask(struct ctl_mount *m, const char *method, const char *target, struct buf *body,
	       struct json **ret)
{
	int status;

	buf_clear(body);
	status = ctl_command(m, method, target, ANSWER_SECONDS, body);
	if (status)
		return status;
	json_free(*ret);
	*ret = NULL;
	if (json_parse(buf_span(body), ret) == 0)
		return EXIT_DONE;
	ui_error("%s: the mount's answer is not understood", ctl_dir(m));
	return EXIT_FAILED;
}

static int follow(struct ctl_mount *m, struct buf *body, struct json **ret)
{
	const uint64_t begun = clock_now();
	bool asked_to_stop = false;
	char progress[64], stop[64];
	int status = EXIT_DONE;

	snprintf(progress, sizeof(progress), "/import?id=%llu",
		 (unsigned long long)count(*ret, "id"));
	snprintf(stop, sizeof(stop), "/import/stop?id=%llu",
		 (unsigned long long)count(*ret, "id"));
	while (status == EXIT_DONE && is_state(*ret, "running")) {
		draw(*ret, begun);
		if (interrupted && !asked_to_stop)
			status = ask(m, "POST", stop, body, ret);
		asked_to_stop |= interrupted;
		sleep_for(POLL_NS);
		if (status == EXIT_DONE)
			status = ask(m, "GET", progress, body, ret);
	}
	ui_progress_end();
	return status;
}

static void print_end(const struct json *j)
{
	const struct json *names = json_get(j, "names");
	const char *mode = json_str(j, "mode");
	char bytes[16];

	if (mode && strcmp(mode, "seal")) {
		size_format(count(j, "bytes"), bytes);
		printf("%llu files (%s) and %llu directories made, %llu there already\n",
		       (unsigned long long)count(j, "files"), bytes,
		       (unsigned long long)count(j, "directories"),
		       (unsigned long long)count(j, "present"));
	}
	if (mode && strcmp(mode, "adopt")) {
		size_format(count(j, "sealed_bytes"), bytes);
		printf("%llu files (%s) sealed, %llu of them without a checksum to compare with\n",
		       (unsigned long long)count(j, "sealed_files"), bytes,
		       (unsigned long long)count(j, "unverified"));
	}
	for (size_t i = 0; i < json_count(names); i++)
		fprintf(stderr, "  %s\n", json_text(json_at(names, i)));
}

static int judge(const struct json *j, const char *path)
{
	const uint64_t left = count(j, "refused") + count(j, "failed");

	if (is_state(j, "failed"))
		ui_error("%s: %s", path, json_str(j, "error"));
	else if (is_state(j, "stopped"))
		ui_error("%s: stopped; the same command goes on", path);
	else if (left)
		ui_error("%s: %llu objects are left as they were; the daemon's log names them all",
			 path, (unsigned long long)left);
	else
		return EXIT_DONE;
	return EXIT_FAILED;
}

static int add_param(struct buf *target, const char *name, const char *value)
{
	int r = buf_addf(target, "&%s=", name);

	return r ? r : percent_encode(span_str(value), false, target);
}

static int run(const struct import_args *a, const char *url, const char *word)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_buf_ struct buf target = BUF_INIT(64 * KiB), body = BUF_INIT(MiB);
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_free_ char *path = NULL;
	struct ctl_mount *m;
	int status;

	if (url && mkdir(word, 0755) && errno != EEXIST) {
		ui_error("%s: %s", word, strerror(errno));
		return EXIT_FAILED;
	}
	m = ctl_at(&mounts, word, "/import?path=", &path, &target);
	if (!m || add_param(&target, "mode", a->adopt ? "adopt" : a->copy ? "copy" : "seal") ||
	    (url && add_param(&target, "url", url)))
		return EXIT_FAILED;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	status = ask(m, "POST", buf_str(&target), &body, &j);
	if (status == EXIT_DONE)
		status = follow(m, &body, &j);
	if (status)
		return status;
	if (a->json)
		printf("%s\n", buf_str(&body));
	else
		print_end(j);
	return judge(j, path);
}

static int run_import(const struct command *c, int argc, char **argv)
{
	struct import_args a = { .json = false };
	const struct arg table[] = { { 0, "adopt", ARG_FLAG, &a.adopt },
				     { 0, "copy", ARG_FLAG, &a.copy },
				     { 0, "seal", ARG_FLAG, &a.seal },
				     { 0, "json", ARG_FLAG, &a.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	if (a.adopt + a.copy + a.seal != 1 || words.n != (a.seal ? 1u : 2u)) {
		ui_error("usage: mangrove %s %s", c->name, c->usage);
		return EXIT_USAGE;
	}
	return run(&a, a.seal ? NULL : words.all[0], words.all[words.n - 1]);
}

const struct command cmd_import = {
	.name = "import",
	.usage = "--adopt|--copy URL DIR | --seal PATH [--json]",
	.summary = "make the objects of a bucket files of the volume",
	.help = "The mount does it; Ctrl-C stops it, and the same command goes on where it was.\n"
		"\n"
		"  --adopt    names only: no byte is read, the contents stay in the bucket\n"
		"  --copy     and then seal the contents into the volume\n"
		"  --seal     seal what was adopted, so that the bucket is not needed any more\n"
		"  --json     for programs\n"
		"\n"
		"Example:\n"
		"  mangrove import --adopt s3://raw/2024?region=eu-west-1 /mnt/demo/raw\n"
		"  mangrove import --seal /mnt/demo/raw/labels\n",
	.run = run_import,
};
