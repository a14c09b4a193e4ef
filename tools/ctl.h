/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The other end of the control socket: finds the mounts of this machine and talks to them. */
#include "base/buf.h"
#include "base/json.h"

#define CTL_MOUNTS_MAX 64

/* A running mount. */
struct ctl_mount {
	char *socket;
	struct json *status; /* as GET /status answered */
};
struct ctl_list {
	struct ctl_mount all[CTL_MOUNTS_MAX];
	size_t n;
};
void ctl_list_release(struct ctl_list *l);
/* Every mount that answers; sockets that nobody listens on any more are removed. */
void ctl_list_read(struct ctl_list *ret);
/*
 * Which of them is meant: a path inside a mount, or a volume's name; NULL: the only one. NULL
 * after a line on stderr.
 */
struct ctl_mount *ctl_choose(struct ctl_list *l, const char *what);
/* Is that a path inside one of them, or a volume's name of one? NULL: are there any? */
bool ctl_is_mounted(struct ctl_list *l, const char *what);
const char *ctl_dir(const struct ctl_mount *m); /* its mount point */
/* "/where?path=" and the part of the path below the mount, percent-encoded. Appends. 0, -ENOMEM. */
must_check int ctl_target(const struct ctl_mount *m, const char *what, const char *path,
			  struct buf *ret);

/*
 * The mount that a file or directory is in, and ctl_target() of it. NULL after a line on stderr.
 */
struct ctl_mount *ctl_at(struct ctl_list *l, const char *word, const char *what, char **ret_path,
			 struct buf *ret_target);

/*
 * One request. 0 with the HTTP status and the body; -errno (-ECONNREFUSED: nobody is there;
 * -ETIMEDOUT).
 */
must_check int ctl_request(const char *socket, const char *method, const char *target,
			   unsigned timeout_s, int *ret_status, struct buf *ret_body);
/* The same for commands: says what is wrong on stderr (the mount's own sentence) and answers an
 * exit status. ret_body: or NULL. */
int ctl_command(const struct ctl_mount *m, const char *method, const char *target,
		unsigned timeout_s, struct buf *ret_body);
/* Asks for the status again. false: the mount is gone. */
bool ctl_refresh(struct ctl_mount *m);
/* Is a store down, a copy missing, or the mount stopped? */
bool ctl_degraded(const struct ctl_mount *m);
