/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mounts.h"

#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* "\040" and the like stand for blanks. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /dir opts - type source": the type of the line's mount if it is at dir. */
static bool line_is_at(char *line, const char *dir, char type[64])
{
	char at[PATH_MAX], *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1)
		return false;
	unescape(at);
	return !strcmp(at, dir) && sscanf(dash + 3, "%63s", type) == 1;
}

enum mount_kind mount_kind_at(const char *dir)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, type[64] = "", found[64];
	size_t size = 0;
	struct statfs st;

	while (f && getline(&line, &size, f) > 0)
		if (line_is_at(line, dir, found))
			memcpy(type, found, sizeof(type)); /* the last one is on top */
	free(line);
	if (f)
		fclose(f);
	if (!*type)
		return MOUNT_NONE;
	if (strcmp(type, "fuse.mangrove"))
		return MOUNT_OTHER;
	/* Not stat(2): the kernel may answer that from its cache. */
	return statfs(dir, &st) && (errno == ENOTCONN || errno == ECONNABORTED) ? MOUNT_STALE :
										  MOUNT_OURS;
}

char *mount_point_path(const char *dir)
{
	_cleanup_free_ char *one = strdup(dir), *two = strdup(dir), *parent = NULL;
	char *whole = realpath(dir, NULL), *base;

	if (whole || !one || !two)
		return whole;
	/* A dead mount cannot be looked into, but its parent can. */
	parent = realpath(dirname(one), NULL);
	base = basename(two);
	if (!parent || !strcmp(base, "/") || !strcmp(base, ".."))
		return NULL;
	return asprintf(&whole, "%s/%s", strcmp(parent, "/") ? parent : "", base) < 0 ? NULL :
											whole;
}

int program_run(char *const argv[], int *ret_status)
{
	pid_t pid;
	int r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (r)
		return -r;
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int fusermount(const char *dir, bool lazy)
{
	char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "-q", "--", (char *)dir, NULL };
	int status, r = program_run(argv, &status);

	return r ? r : status ? -EBUSY : 0;
}

int mount_detach(const char *dir, bool lazy)
{
	if (!umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
		return 0;
	return errno == EPERM ? fusermount(dir, lazy) : -errno;
}
