/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The namespace lives on the same disk, and needs room more than pieces and staged data do. */
#include "base/defs.h"

#include <sys/vfs.h>

/* So much of the disk is left free, or a share of a small one. */
#define ROOM_KEEP_FREE (128 * MiB)
#define ROOM_KEEP_FREE_SHARE 4

/* Is there room on the disk of this open file or folder? */
static inline bool room_left(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	return fs.f_bavail > MIN(fs.f_blocks / ROOM_KEEP_FREE_SHARE,
				 ROOM_KEEP_FREE / (uint64_t)fs.f_bsize);
}
