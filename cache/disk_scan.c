/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier daemon left in the folder, found out in the background. */
#include "base/log.h"
#include "cache/disk_i.h"
#include "cache/evict.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool closing(struct disk *d)
{
	LOCK_SCOPE(&d->sync.lock);
	return d->sync.closing;
}

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * NS_PER_S + (uint64_t)st->st_mtim.tv_nsec;
}

/* Files of others are left alone; ours that are of no use are deleted. */
static void scan_file(struct disk *d, int folder, const char *name)
{
	struct piece_id id;
	struct stat st;
	bool keep;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (strncmp(name, DISK_TEMP_PREFIX, strlen(DISK_TEMP_PREFIX)) == 0) {
		if (strncmp(name, d->temp_prefix, strlen(d->temp_prefix)) != 0)
			unlinkat(folder, name, 0);
		return;
	}
	if (disk_name_parse(name, &id) < 0)
		return;
	lock_take(&d->sync.lock);
	keep = disk_find_locked(d, &id) ||
	       (st.st_size > 0 && st.st_size <= UINT32_MAX &&
		disk_note_locked(d, &id, (uint64_t)st.st_size, mtime_ns(&st)));
	lock_give(&d->sync.lock);
	if (!keep)
		unlinkat(folder, name, 0);
}

static void scan_folder(struct disk *d, unsigned number)
{
	char name[4];
	struct dirent *e;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%02x", number & 0xff);
	fd = openat(d->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return; /* not made yet */
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)) && !closing(d))
		scan_file(d, fd, e->d_name);
	closedir(dir);
}

void disk_scan_main(void *disk)
{
	struct disk *d = disk;
	uint64_t excess;

	for (unsigned i = 0; i < 256 && !closing(d); i++)
		scan_folder(d, i);
	lock_take(&d->sync.lock);
	d->sync.scanning = false;
	excess = evict_excess(d->sync.bytes, d->limit_bytes);
	cond_broadcast(&d->sync.settled);
	lock_give(&d->sync.lock);
	if (excess) /* the limit was lowered */
		disk_evict(d, excess);
}
