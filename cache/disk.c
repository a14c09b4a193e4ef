/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/disk_i.h"

#include "base/crc.h"
#include "base/log.h"
#include "base/text.h"
#include "cache/evict.h"
#include "cache/room.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WRITERS        2
#define PAUSE_NS       (60 * NS_PER_S)
#define DISK_FOLDER_LEN 3 /* "a7/" */
/* How exactly the files remember their last use across restarts. */
#define TOUCH_EVERY_NS (600 * NS_PER_S)

/* <linux/magic.h> lacks some of them. */
enum { MAGIC_FUSE = 0x65735546, MAGIC_NFS = 0x6969 };
#define MAGIC_CIFS 0xFF534D42u
#define MAGIC_SMB2 0xFE534D42u

void disk_name(const struct piece_id *id, char *ret)
{
	struct span object = span_of(id->object, sizeof(id->object));
	char hex[2 * sizeof(id->object) + 1];

	/* The ids of one mount begin alike, so the folder is taken from a checksum. */
	hex_encode(object, hex);
	snprintf(ret, DISK_NAME_MAX, "%02x/%s-%u", crc32c(0, object) & 0xff, hex, id->index);
}

int disk_name_parse(const char *name, struct piece_id *ret)
{
	size_t hex_len = 2 * sizeof(ret->object);
	char only[DISK_NAME_MAX];
	struct piece_id id;
	uint64_t index;
	int r;

	if (strnlen(name, DISK_NAME_MAX) < hex_len + 2 || name[hex_len] != '-')
		return -EINVAL;
	r = hex_decode(name, hex_len, id.object, sizeof(id.object));
	if (r < 0)
		return r;
	if (uint_parse(name + hex_len + 1, &index) < 0 || index > UINT32_MAX)
		return -EINVAL;
	id.index = (uint32_t)index;
	disk_name(&id, only);
	if (strcmp(only + DISK_FOLDER_LEN, name) != 0)
		return -EINVAL; /* deleting the piece would not delete this file */
	*ret = id;
	return 0;
}

/* (D1) On a network the lock could be a lie; on FUSE the cache could be inside of itself. */
static int check_folder(int dir)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0)
		return fail(-EIO);
	switch ((uint32_t)fs.f_type) {
	case MAGIC_FUSE:
	case MAGIC_NFS:
	case MAGIC_CIFS:
	case MAGIC_SMB2:
		return fail(-EINVAL);
	}
	/* What we make in it is for our eyes only; the folder itself stays as its owner made it. */
	return st.st_uid == geteuid() ? 0 : fail(-EACCES);
}

static int open_folder(struct disk *d, const char *path)
{
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail(errno == EACCES ? -EACCES : -EIO);
	d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir < 0)
		return fail(errno == EACCES ? -EACCES : -EIO);
	r = check_folder(d->dir);
	if (r < 0)
		return r;
	d->lock_file = openat(d->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->lock_file < 0)
		return fail(-EIO);
	if (flock(d->lock_file, LOCK_EX | LOCK_NB) < 0)
		return fail(errno == EWOULDBLOCK ? -EBUSY : -EIO);
	return 0;
}

int disk_open(const char *dir, uint64_t limit_bytes, uint64_t queue_bytes, struct disk **ret)
{
	_cleanup_(disk_closep) struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return fail(-ENOMEM);
	d->dir = d->lock_file = -1;
	snprintf(d->temp_prefix, sizeof(d->temp_prefix), DISK_TEMP_PREFIX "%016lx", random_u64());
	d->limit_bytes = limit_bytes;
	d->queue_bytes = queue_bytes;
	lock_init(&d->sync.lock, RANK_DISK);
	cond_init(&d->sync.settled);
	r = open_folder(d, dir);
	if (r < 0)
		return r;
	d->writers = pool_new("cache-disk", WRITERS, DISK_QUEUED_MAX);
	if (!d->writers)
		return fail(-ENOMEM);
	d->sync.scanning = true;
	d->scanner = task_start("cache-scan", disk_scan_main, d);
	if (!d->scanner)
		return fail(-ENOMEM);
	*ret = take_ptr(&d);
	return 0;
}

struct disk *disk_close(struct disk *d)
{
	if (!d)
		return NULL;
	lock_take(&d->sync.lock);
	d->sync.closing = true;
	lock_give(&d->sync.lock);
	if (d->scanner)
		task_join(d->scanner);
	pool_free(d->writers);
	lock_take(&d->sync.lock);
	disk_drop_all_locked(d);
	lock_give(&d->sync.lock);
	closep(&d->lock_file);
	closep(&d->dir);
	cond_release(&d->sync.settled);
	lock_release(&d->sync.lock);
	free(d);
	return NULL;
}

/* ---- reading ---- */

/* The whole file, or NULL. */
static struct blob *read_whole(int fd)
{
	_cleanup_(blob_unrefp) struct blob *b = NULL;
	struct stat st;
	size_t at = 0;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    (uint64_t)st.st_size > DISK_PIECE_MAX)
		return NULL;
	b = blob_new((size_t)st.st_size);
	while (b && at < (size_t)st.st_size) {
		n = pread(fd, blob_bytes(b) + at, (size_t)st.st_size - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		at += (size_t)n;
	}
	return take_ptr(&b);
}

/* Notes the use; in the file itself only now and then. */
static void note_use(struct disk *d, const struct piece_id *id, int fd, uint64_t bytes)
{
	const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	uint64_t now_ns = clock_wall();
	struct disk_file *f;
	bool touch = true;

	lock_take(&d->sync.lock);
	f = disk_find_locked(d, id);
	if (f) {
		touch = now_ns > f->used_ns + TOUCH_EVERY_NS;
		f->used_ns = MAX(f->used_ns, now_ns);
	} else if (d->sync.scanning) {
		(void)disk_note_locked(d, id, bytes, now_ns);
	}
	lock_give(&d->sync.lock);
	if (touch)
		(void)futimens(fd, now);
}

/* What waits to be written is answered by itself. */
static bool may_be_there(struct disk *d, const struct piece_id *id, struct blob **ret_waiting)
{
	LOCK_SCOPE(&d->sync.lock);
	*ret_waiting = disk_waiting_find_locked(d, id);
	return d->sync.scanning || disk_find_locked(d, id);
}

int disk_read(struct disk *d, const struct piece_id *id, struct blob **ret)
{
	_cleanup_close_ int fd = -1;
	char name[DISK_NAME_MAX];
	struct blob *b;
	bool may = may_be_there(d, id, &b);

	if (b) {
		*ret = b;
		return 0;
	}
	if (!may)
		return DISK_MISSING;
	disk_name(id, name);
	fd = openat(d->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	b = fd < 0 ? NULL : read_whole(fd);
	if (!b) {
		disk_forget(d, id); /* (D2) */
		return DISK_MISSING;
	}
	note_use(d, id, fd, blob_span(b).len);
	*ret = b;
	return 0;
}

bool disk_has(struct disk *d, const struct piece_id *id)
{
	LOCK_SCOPE(&d->sync.lock);
	return disk_has_locked(d, id);
}

/* ---- writing ---- */

static int write_whole(int fd, struct span s)
{
	ssize_t n;

	while (s.len) {
		n = write(fd, s.data, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		s = span_sub(s, (size_t)n, s.len);
	}
	return 0;
}

static int create_temp(struct disk *d, const char *temp)
{
	char folder[3] = { temp[0], temp[1], 0 };
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(d->dir, temp, flags, 0600);

	if (fd < 0 && errno == ENOENT && mkdirat(d->dir, folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (fd < 0 && (errno == ENOENT || errno == EEXIST))
		fd = openat(d->dir, temp, flags, 0600);
	return fd < 0 ? -errno : fd;
}

static int write_file(struct disk *d, const struct piece_id *id, struct span content)
{
	char name[DISK_NAME_MAX], temp[DISK_NAME_MAX];
	_cleanup_close_ int fd = -1;
	uint64_t number;
	int r;

	if (!room_left(d->dir)) /* (D2) */
		return -ENOSPC;

	lock_take(&d->sync.lock);
	number = d->sync.counter++;
	lock_give(&d->sync.lock);
	disk_name(id, name);
	snprintf(temp, sizeof(temp), "%.2s/%s.%lu", name, d->temp_prefix, number);
	fd = create_temp(d, temp);
	if (fd < 0)
		return take_fd(&fd);
	/* One extent, known beforehand: ext4 looks for room block by block otherwise. */
	r = fallocate(fd, 0, 0, (off_t)content.len) < 0 && errno == ENOSPC ? -ENOSPC : 0;
	if (!r)
		r = write_whole(fd, content);
	if (!r && renameat(d->dir, temp, d->dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(d->dir, temp, 0);
	return r;
}

/* (D2) A full disk is not ours alone to fill: what is cached gives way. */
static void pause_writing(struct disk *d, int error)
{
	uint64_t bytes;

	lock_take(&d->sync.lock);
	d->sync.paused_until_ns = clock_now() + PAUSE_NS;
	bytes = d->sync.bytes;
	lock_give(&d->sync.lock);
	log_warn("cache", "writing to the cache folder failed: it rests for a minute", "error=%s",
		 strerrorname_np(-error));
	if (error == -ENOSPC)
		disk_evict(d, bytes / 10);
}

bool disk_may_write_locked(const struct disk *d)
{
	return !d->sync.closing && clock_now() >= d->sync.paused_until_ns;
}

static void evict_if_full(struct disk *d)
{
	uint64_t excess;

	lock_take(&d->sync.lock);
	excess = d->sync.evicting ? 0 : evict_excess(d->sync.bytes, d->limit_bytes);
	d->sync.evicting |= excess != 0;
	lock_give(&d->sync.lock);
	if (!excess)
		return;
	disk_evict(d, excess);
	LOCK_SCOPE(&d->sync.lock);
	d->sync.evicting = false;
}

void disk_write_now(struct disk *d, const struct disk_waiting *w)
{
	const struct span content = blob_span(w->blob);
	const struct piece_id *id = &w->id;
	char name[DISK_NAME_MAX];
	bool may, noted;
	int r;

	lock_take(&d->sync.lock);
	may = disk_may_write_locked(d) && w->wanted && !disk_find_locked(d, id);
	lock_give(&d->sync.lock);
	if (!may)
		return;
	r = write_file(d, id, content);
	if (r < 0) {
		pause_writing(d, r);
		return;
	}
	lock_take(&d->sync.lock);
	noted = w->wanted && disk_note_locked(d, id, content.len, clock_wall());
	lock_give(&d->sync.lock);
	if (!noted) {
		disk_name(id, name);
		unlinkat(d->dir, name, 0);
	}
	evict_if_full(d);
}

/* ---- forgetting ---- */

void disk_forget(struct disk *d, const struct piece_id *id)
{
	char name[DISK_NAME_MAX];
	bool known;

	lock_take(&d->sync.lock);
	disk_waiting_forget_locked(d, id);
	known = disk_drop_locked(d, id) || d->sync.scanning;
	lock_give(&d->sync.lock);
	if (!known)
		return;
	disk_name(id, name);
	unlinkat(d->dir, name, 0);
}

/* Up to n files of the object, which is not to be written any more. */
static size_t find_of_object(struct disk *d, const uint8_t object[32], struct piece_id *ret,
			     size_t n)
{
	struct disk_file *f, *next;
	size_t found = 0;

	LOCK_SCOPE(&d->sync.lock);
	disk_waiting_forget_object_locked(d, object);
	HASH_ITER(hh, d->sync.files, f, next) {
		if (found == n)
			break;
		if (memcmp(f->id.object, object, sizeof(f->id.object)) == 0)
			ret[found++] = f->id;
	}
	return found;
}

void disk_forget_object(struct disk *d, const uint8_t object[32])
{
	struct piece_id ids[64];
	size_t n;

	do {
		n = find_of_object(d, object, ids, ARRAY_SIZE(ids));
		for (size_t i = 0; i < n; i++)
			disk_forget(d, &ids[i]);
	} while (n == ARRAY_SIZE(ids));
}

uint64_t disk_bytes(struct disk *d)
{
	LOCK_SCOPE(&d->sync.lock);
	return d->sync.bytes;
}

int disk_settle(struct disk *d, uint64_t deadline_ns)
{
	LOCK_SCOPE(&d->sync.lock);
	while (d->sync.writing || d->sync.scanning)
		if (cond_wait(&d->sync.settled, &d->sync.lock, deadline_ns) == -ETIMEDOUT)
			return -ETIMEDOUT;
	return 0;
}
