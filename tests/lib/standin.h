/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Runs the stand-in server for a test program in C: a free port on loopback, ended by its pid.
 * The program's path is in MANGROVE_STANDIN.
 */
#include "backends/http.h"
#include "base/wait.h"
#include "tests/lib/cm.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

extern char **environ;

struct standin {
	pid_t pid;
	unsigned port;
	char dir[TMPDIR_MAX];
	char origin[64]; /* "http://127.0.0.1:1234" */
};

#define STANDIN_ARGS_MAX 24

static inline unsigned standin_port_(const char *file)
{
	unsigned port = 0;

	for (int i = 0; i < 600 && !port; i++) {
		FILE *f = fopen(file, "re");

		if (f && fscanf(f, "%u", &port) != 1)
			port = 0;
		if (f)
			fclose(f);
		if (!port)
			sleep_for(20 * NS_PER_MS);
	}
	return port;
}

/*
 * args: further options, ended by NULL. "--bucket testbucket" is always there. false: no server on
 * this machine.
 */
static inline bool standin_start(struct standin *s, const char *dialect, const char *const *args)
{
	const char *program = getenv("MANGROVE_STANDIN");
	const char *argv[STANDIN_ARGS_MAX] = { program,    "--dialect",  dialect,
					       "--bucket", "testbucket", "--port-file" };
	posix_spawn_file_actions_t quiet;
	char file[TMPDIR_MAX + 16];
	int n = 6;

	*s = (struct standin){};
	if (!program)
		return false;
	tmpdir_make(s->dir);
	snprintf(file, sizeof(file), "%s/port", s->dir);
	argv[n++] = file;
	while (args && *args)
		argv[n++] = *args++;
	assert_true(n < STANDIN_ARGS_MAX);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	assert_int_equal(posix_spawn(&s->pid, program, &quiet, NULL, (char **)argv, environ), 0);
	posix_spawn_file_actions_destroy(&quiet);
	s->port = standin_port_(file);
	assert_int_not_equal(s->port, 0);
	snprintf(s->origin, sizeof(s->origin), "http://127.0.0.1:%u", s->port);
	return true;
}

static inline void standin_stop(struct standin *s)
{
	if (!s->pid)
		return;
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	tmpdir_remove(s->dir);
	*s = (struct standin){};
}

/*
 * A request to the server's own side ("/-/fault"); its answer's status; the text in *ret when that
 * is not NULL.
 */
static inline int standin_ask(struct standin *s, enum http_method m, const char *path,
			      const char *body, char *ret, size_t ret_size)
{
	struct request *r = request_new(m, s->origin, path);
	int status;

	assert_non_null(r);
	if (body)
		assert_int_equal(buf_add_str(&r->head, body), 0);
	r->deadline_ns = clock_now() + 10 * NS_PER_S;
	assert_int_equal(http_run(r), 0);
	assert_int_equal(r->end, REQUEST_ANSWERED);
	if (ret)
		snprintf(ret, ret_size, "%.*s", SPAN_FMT(buf_span(&r->text)));
	status = r->status;
	request_free(r);
	return status;
}

static inline void standin_fault(struct standin *s, const char *json)
{
	assert_int_equal(standin_ask(s, HTTP_POST, "/-/fault", json, NULL, 0) / 100, 2);
}

static inline void standin_heal(struct standin *s)
{
	assert_int_equal(standin_ask(s, HTTP_DELETE, "/-/fault", NULL, NULL, 0) / 100, 2);
}

/* How many requests of all kinds came since the last reset, from /-/stats. */
static inline void standin_stats(struct standin *s, char *ret, size_t size)
{
	assert_int_equal(standin_ask(s, HTTP_GET, "/-/stats", NULL, ret, size), 200);
}
