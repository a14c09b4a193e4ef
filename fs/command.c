/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sodium.h"
#include "base/wait.h"

extern char **environ;

/* The reading end: a task reads until the command closes its output, so that the starter can
 * wait with a deadline. */
struct reading {
	int fd;
	struct buf *to;
	int error;
	struct event ended;
};

static int read_some(int fd, struct buf *to)
{
	uint8_t part[4096];
	ssize_t n = read(fd, part, sizeof(part));
	int r = n < 0 ? -errno : 0;

	if (n > 0)
		r = buf_add(to, part, (size_t)n);
	wipe(part, sizeof(part)); /* what commands print are keys */
	return r ? r : n > 0;
}

static void reading_task(void *arg)
{
	struct reading *rd = arg;
	int r;

	do
		r = read_some(rd->fd, rd->to);
	while (r > 0 || r == -EINTR);
	rd->error = r;
	event_set(&rd->ended);
}

static int spawn_shell(const char *command, int out_fd, pid_t *ret)
{
	char *argv[] = { "sh", "-c", (char *)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	if (posix_spawn_file_actions_init(&files))
		return fail(-ENOMEM);
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return fail(-ENOMEM);
	}
	r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out_fd, 1);
	/* A group of its own, so that the deadline ends its children, too. */
	if (!r)
		r = posix_spawnattr_setpgroup(&attr, 0);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if (!r)
		r = posix_spawn(ret, "/bin/sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r ? fail(-r) : 0;
}

/* Kills the group once the time is over and takes the status in any case. */
static int reap(pid_t pid, struct reading *rd, uint64_t deadline_ns)
{
	int status = 0, timeout = event_wait(&rd->ended, deadline_ns);

	if (timeout || rd->error)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return timeout ? -ETIMEDOUT : status;
}

int command_run(const char *command, uint64_t deadline_ns, struct buf *ret, int *ret_status)
{
	_cleanup_close_ int in = -1, out = -1;
	struct reading rd = { .to = ret };
	struct task *task;
	pid_t pid;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC))
		return fail(-errno);
	in = rd.fd = ends[0];
	out = ends[1];
	r = spawn_shell(command, out, &pid);
	if (r)
		return r;
	close(take_fd(&out));
	event_init(&rd.ended);
	task = task_start("command", reading_task, &rd);
	r = task ? reap(pid, &rd, deadline_ns) : reap(pid, &rd, 0);
	if (task)
		task_join(task);
	event_release(&rd.ended);
	if (r < 0 || rd.error)
		return r < 0 ? r : rd.error;
	*ret_status = r;
	return r ? -ECHILD : 0;
}
