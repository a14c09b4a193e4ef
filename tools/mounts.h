/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the kernel says about mount points (/proc/self/mountinfo). */
#include "base/defs.h"

enum mount_kind {
	MOUNT_NONE,  /* nothing is mounted there */
	MOUNT_OTHER, /* something that is not ours */
	MOUNT_OURS,  /* a mangrove mount that answers */
	MOUNT_STALE, /* a mangrove mount whose daemon is gone */
};
/* dir: absolute and without symbolic links. */
enum mount_kind mount_kind_at(const char *dir);
/* The path as the kernel knows it, also when the mount itself does not answer: its parent is
 * resolved. NULL: no such parent. */
char *mount_point_path(const char *dir);
/* Unmounts; lazy: detaches now, the rest when it is no longer busy. By umount2(2), or
 * fusermount3 for those who may not. 0, -errno. */
must_check int mount_detach(const char *dir, bool lazy);
/* Runs a program found by PATH to its end. 0 with what waitpid said; it did not start: -errno. */
must_check int program_run(char *const argv[], int *ret_status);
