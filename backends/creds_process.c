/* SPDX-License-Identifier: Apache-2.0 */
/* A helper program of the user's that prints credentials (credential_process of the AWS files). */
#include "backends/creds.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_DEADLINE_NS (30 * NS_PER_S)
#define LOOK_EVERY_NS (20 * NS_PER_MS)

extern char **environ;

static int spawn(const char *command, int out, pid_t *ret)
{
	char *const argv[] = { "sh", "-c", (char *)command, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return fail(-ENOMEM);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	error = posix_spawn(ret, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error ? fail(-EACCES) : 0;
}

/* Everything until the other end closes. */
static int read_all(struct creds *c, int fd, uint64_t deadline, struct buf *ret)
{
	char block[4096];

	for (;;) {
		ssize_t n = read(fd, block, sizeof(block));

		if (n == 0)
			return 0;
		if (n > 0) {
			if (buf_add(ret, block, (size_t)n) < 0)
				return fail(-EACCES);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || clock_now() >= deadline)
			return fail(-EACCES);
		creds_tick(c);
		sleep_for(LOOK_EVERY_NS);
	}
}

int creds_process(struct creds *c, const char *command, struct buf *ret)
{
	_cleanup_close_ int in = -1, out = -1;
	int ends[2], status = 0, error;
	uint64_t deadline = clock_now() + PROCESS_DEADLINE_NS;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(-EACCES);
	in = ends[0];
	out = ends[1];
	if (fcntl(in, F_SETFL, O_NONBLOCK) < 0)
		return fail(-EACCES);
	error = spawn(command, out, &pid);
	if (error < 0)
		return error;
	close(take_fd(&out)); /* ours, so that its end is seen */
	error = read_all(c, in, deadline, ret);
	if (error < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (error == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		error = fail(-EACCES);
	return error;
}
