/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/volume_i.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

/* A volume's share of this machine: a folder on a local disk, and memory. */

#define FUSE_MAGIC 0x65735546
#define NFS_MAGIC 0x6969
#define CACHE_SHARE_DEFAULT "80%"
#define MEMORY_SHARE 8u /* of the machine's or the cgroup's memory: one part in so many */
#define MEMORY_MIN (256 * MiB)
#define MEMORY_MAX (2 * GiB)

static char *default_folder(const char *name)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int r;

	if (geteuid() == 0)
		r = asprintf(&path, "/var/cache/mangrove/%s", name);
	else if (xdg && *xdg == '/')
		r = asprintf(&path, "%s/mangrove/%s", xdg, name);
	else
		r = asprintf(&path, "%s/.cache/mangrove/%s", home && *home == '/' ? home : "/tmp",
			     name);
	return r < 0 ? NULL : path;
}

char *volume_cache_folder(const struct config *c)
{
	if (c->cache_dir)
		return strdup(c->cache_dir);
	return c->name ? default_folder(c->name) : NULL;
}

/* Makes a folder and those above it; the last one is for its owner alone. */
static int make_folder(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return fail(-ENOMEM);
	for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return mkdir(copy, 0700) && errno != EEXIST ? -errno : 0;
}

/* Is `path` the folder `below`, or in it? Both are absolute and resolved. */
static bool lies_below(const char *path, const char *below)
{
	size_t n = strlen(below);

	return n > 1 && !strncmp(path, below, n) && (!path[n] || path[n] == '/');
}

static int check_fit(const struct volume *v, char *err, size_t err_size)
{
	const char *dir = v->cache_dir;
	struct statfs fs;

	if (statfs(dir, &fs))
		return say(-errno, err, err_size, "cache folder %s: %s", dir, strerror(errno));
	if (fs.f_type == FUSE_MAGIC || fs.f_type == NFS_MAGIC)
		return say(
			-EINVAL, err, err_size,
			"cache folder %s is on a network or FUSE filesystem; "
			"set cache_dir to a local disk",
			dir);
	if (v->options->dir && lies_below(dir, v->options->dir))
		return say(-EINVAL, err, err_size, "cache folder %s lies below the mount point %s",
			   dir, v->options->dir);
	return 0;
}

/*
 * A killed daemon keeps its locks until the kernel has ended the last of its threads, which may be
 * inside a write to the disk: whoever mounts again at once waits that long.
 */
#define DYING_NS (5 * NS_PER_S)

static bool lock_soon(int fd)
{
	const uint64_t deadline = clock_now() + DYING_NS;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || clock_now() >= deadline)
			return false;
		sleep_for(50 * NS_PER_MS);
	}
	return true;
}

static int lock_folder(struct volume *v, char *err, size_t err_size)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/in-use", v->cache_dir) < 0)
		return fail(-ENOMEM);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return say(-errno, err, err_size, "cache folder %s: %s", v->cache_dir,
			   strerror(errno));
	if (!lock_soon(fd))
		return say(
			-EBUSY, err, err_size,
			"cache folder %s is in use by another mount; "
			"give this one its own with -o cache_dir=",
			v->cache_dir);
	v->cache_lock_fd = take_fd(&fd);
	return 0;
}

/* Reads one number of a small file of the kernel's; UINT64_MAX: none ("max"). */
static uint64_t number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n;
	int got = f ? fscanf(f, "%llu", &n) : 0;

	if (f)
		fclose(f);
	return got == 1 ? n : UINT64_MAX;
}

/* The limit of our own control group (version 2), as systemd and containers set it. */
static uint64_t cgroup_limit(void)
{
	char line[512], path[600];
	FILE *f = fopen("/proc/self/cgroup", "re");
	uint64_t limit = UINT64_MAX;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3))
			continue;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", line + 3);
		limit = number_in(path);
	}
	if (f)
		fclose(f);
	return MIN(limit, number_in("/sys/fs/cgroup/memory.max"));
}

static uint64_t memory_budget(const struct volume *v)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), share;

	if (v->options->memory_bytes)
		return v->options->memory_bytes;
	if (v->config->memory)
		return v->config->memory;
	share = MIN(all, cgroup_limit()) / MEMORY_SHARE;
	return MIN(MAX(share, MEMORY_MIN), MEMORY_MAX);
}

/* What was given, or the volume's own; beside that for a command that is not the mount. */
static char *folder_path(const struct volume *v)
{
	const struct mount_options *o = v->options;
	_cleanup_free_ char *usual = v->config->cache_dir ? strdup(v->config->cache_dir) :
							    default_folder(v->name);
	char *path;

	if (o->cache_dir)
		return strdup(o->cache_dir);
	if (!usual || asprintf(&path, "%s%s", usual, o->aside ? ".upkeep" : "") < 0)
		return NULL;
	return path;
}

static int choose_folder(struct volume *v, char *err, size_t err_size)
{
	_cleanup_free_ char *path = folder_path(v);
	int r;

	if (!path)
		return fail(-ENOMEM);
	r = make_folder(path);
	if (r)
		return say(r, err, err_size, "cache folder %s: %s", path, strerror(-r));
	v->cache_dir = realpath(path, NULL);
	return v->cache_dir ?
		       0 :
		       say(-errno, err, err_size, "cache folder %s: %s", path, strerror(errno));
}

int volume_local_open(struct volume *v, char *err, size_t err_size)
{
	const char *size = v->options->cache_size ? v->options->cache_size : v->config->cache_size;
	int r = choose_folder(v, err, err_size);

	if (!r)
		r = check_fit(v, err, err_size);
	if (!r)
		r = lock_folder(v, err, err_size);
	if (r)
		return r;
	if (cache_size_parse(size ? size : CACHE_SHARE_DEFAULT, v->cache_dir, &v->cache_bytes))
		return say(
			-EINVAL, err, err_size,
			"cache size %s: expected a size such as 200G, "
			"or a share of the disk such as 80%%",
			size);
	v->memory_bytes = memory_budget(v);
	return 0;
}

/* The namespace of another volume has no business here; an empty one belongs to nobody yet. */
static bool belongs(const struct volume *v, struct kv *kv)
{
	_cleanup_buf_ struct buf bytes = BUF_INIT(64 * KiB);
	struct volume_row row;
	int r = kv_get(kv, COL_VOLUME, SPAN_NULL, &bytes);

	if (r == KV_MISSING)
		return true;
	return !r && !volume_row_decode(buf_span(&bytes), &row) && !memcmp(row.id, v->id, 16);
}

int volume_kv_open(const struct volume *v, const char *dir, struct kv **ret)
{
	const struct kv_options opts = { .cache_bytes = v->memory_bytes / 10,
					 .compact_on_deletion = true };

	return kv_open(dir, column_names, &opts, ret);
}

int volume_namespace_open(struct volume *v, char *err, size_t err_size)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/ns", v->cache_dir) < 0)
		return fail(-ENOMEM);
	r = v->options->afresh && !access(dir, F_OK) ? kv_destroy(dir) : 0;
	if (r)
		return say(r, err, err_size, "%s cannot be emptied: %s", dir, strerror(-r));
	for (int attempt = 0; attempt < 2; attempt++) {
		r = volume_kv_open(v, dir, &v->ns);
		if (!r && belongs(v, v->ns))
			return 0;
		v->ns = kv_close(v->ns);
		if (r && r != -EBADMSG)
			break;
		log_warn("volume", "the local copy of the namespace is useless; it is built anew",
			 "dir=%s error=%s", dir, r ? strerror(-r) : "another volume's");
		r = kv_destroy(dir);
		if (r)
			break;
		r = -EBADMSG;
	}
	return say(r, err, err_size, "%s: %s", dir,
		   r == -EBUSY ? "in use by another process" : strerror(-r));
}
