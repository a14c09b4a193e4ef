/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Notes for umount(8). Root's `umount /DIR` guesses a type from statfs(2), which is "fuse" for all
 * FUSE file systems, and would unmount without asking umount.fuse.mangrove, that is without making
 * anything safe. Where util-linux's own table has a line for the mount, it looks closer, and reads
 * there whom to call.
 *
 * For root only; both do nothing otherwise: what other people mount, umount(8) always looks at
 * closely. A note that cannot be written is logged.
 */
void utab_add(const char *source, const char *dir);
void utab_remove(const char *dir);
