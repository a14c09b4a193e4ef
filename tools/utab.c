/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/utab.h"

#include <libmount/libmount.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* A line for fs; without it, no line for gone any more. 0, or positive: there is no such table. */
static int update(struct libmnt_fs *fs, const char *gone)
{
	struct libmnt_update *u = mnt_new_update();
	int r = u ? mnt_update_set_fs(u, 0, gone, fs) : -ENOMEM;

	if (!r)
		r = mnt_update_table(u, NULL);
	mnt_free_update(u);
	return r;
}

static int add(const char *source, const char *dir)
{
	struct libmnt_fs *fs = mnt_new_fs();
	int r = fs ? mnt_fs_set_source(fs, source) : -ENOMEM;

	if (!r)
		r = mnt_fs_set_target(fs, dir);
	if (!r)
		r = mnt_fs_set_fstype(fs, "fuse.mangrove");
	if (!r)
		r = mnt_fs_set_options(fs, "uhelper=mangrove");
	if (!r)
		r = update(fs, NULL);
	mnt_unref_fs(fs);
	return r;
}

void utab_add(const char *source, const char *dir)
{
	int r;

	if (geteuid())
		return;
	utab_remove(dir); /* what a killed daemon left */
	r = add(source, dir);
	if (r < 0)
		log_warn("mount", "umount(8) does not know this mount; use mangrove umount",
			 "dir=%s error=%s", dir, strerror(-r));
}

void utab_remove(const char *dir)
{
	if (!geteuid())
		(void)update(NULL, dir); /* a line too many does no harm */
}
