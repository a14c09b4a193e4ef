/* SPDX-License-Identifier: Apache-2.0 */
/* The session: mounting, what is agreed with the kernel, the loop, and the end. */
#include "fs/fuse_i.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define READ_AHEAD_KB 1024

static void want(struct fuse_conn_info *conn, unsigned flag)
{
	if (conn->capable & flag)
		conn->want |= flag;
}

/* The device number of the mount, from the kernel's own list: a stat would ask ourselves. */
static bool device_of(const char *dir, unsigned *ret_major, unsigned *ret_minor)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], where[2048];
	bool found = false;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) /* the last one counts: mounts stack */
		if (sscanf(line, "%*d %*d %u:%u %*s %2047s", ret_major, ret_minor, where) == 3 &&
		    strcmp(where, dir) == 0)
			found = true;
	fclose(f);
	return found;
}

/*
 * The kernel reads 128 KiB ahead unless told otherwise; only root may. It takes the least of what
 * stands there when INIT is answered and what the answer says.
 */
static void set_read_ahead(const struct mountfs *fs, struct fuse_conn_info *conn)
{
	const uint64_t kb = fs->o->max_read_ahead ? fs->o->max_read_ahead / KiB : READ_AHEAD_KB;
	unsigned major, minor;
	char path[64];
	FILE *f;

	conn->max_readahead = (unsigned)MIN(kb * KiB, (uint64_t)UINT32_MAX);
	if (!device_of(fs->o->dir, &major, &minor))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major, minor);
	f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%llu", (unsigned long long)kb);
	fclose(f);
}

/*
 * Writes that wait for room are in memory too: one of each thread of each program. On a small
 * budget they are small.
 */
static uint64_t write_max(const struct mountfs *fs)
{
	uint64_t max = MiB;

	while (max > 128 * KiB && max * 1024 > fs->v->memory_bytes)
		max /= 2;
	return max;
}

void do_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mountfs *fs = userdata;

	conn->max_write = (unsigned)write_max(fs);
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	want(conn, FUSE_CAP_EXPORT_SUPPORT);
	want(conn, FUSE_CAP_CACHE_SYMLINKS);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
#ifdef FUSE_CAP_EXPIRE_ONLY
	fs->can_expire = conn->capable & FUSE_CAP_EXPIRE_ONLY;
#endif
	set_read_ahead(fs, conn);
	if (fs->ready_fd >= 0) {
		const char ready = 0;

		if (write(fs->ready_fd, &ready, 1) != 1)
			log_warn("fuse", "nobody waits for the mount", "dir=%s", fs->o->dir);
		fs->ready_fd = -1;
	}
	log_info("fuse", "mounted", "protocol=%u.%u max_write=%u", conn->proto_major,
		 conn->proto_minor, conn->max_write);
}

/* A comma in a value would end it. */
static int escape(const char *s, struct buf *ret)
{
	int r = 0;

	for (; r == 0 && *s; s++) {
		if (*s == ',' || *s == '\\')
			r = buf_add_byte(ret, '\\');
		if (r == 0)
			r = buf_add_byte(ret, (uint8_t)*s);
	}
	return r;
}

static int mount_argument(const struct mount_options *o, struct buf *ret)
{
	int r = buf_add_str(ret, "default_permissions,subtype=mangrove,fsname=");

	if (r == 0)
		r = escape(o->source ? o->source : "mangrove", ret);
	if (r == 0 && o->read_only)
		r = buf_add_str(ret, ",ro");
	if (r == 0 && o->allow_other)
		r = buf_add_str(ret, ",allow_other");
	if (r == 0 && o->kernel && *o->kernel)
		r = buf_addf(ret, ",%s", o->kernel);
	return r;
}

static int session_new(struct mountfs *fs)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64 * KiB);
	int r = mount_argument(fs->o, &text);
	const char *options = r == 0 ? buf_str(&text) : NULL;

	if (!options)
		return fail(-ENOMEM);

	char *argv[] = { "mangrove", "-o", (char *)options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	fs->session = fuse_session_new(&args, &timed_ops, sizeof(timed_ops), fs);
	fuse_opt_free_args(&args);
	return fs->session ? 0 : fail(-EINVAL);
}

/* A dead daemon leaves a mount behind that answers ENOTCONN to everything: it is taken away. */
static void clear_stale(const char *dir)
{
	struct statfs st; /* a stat might be answered from the kernel's memory */

	if (statfs(dir, &st) < 0 && errno == ENOTCONN) {
		log_warn("fuse", "the mount point held a dead mount, it was removed", "dir=%s",
			 dir);
		if (umount2(dir, MNT_DETACH) < 0)
			log_warn("fuse", "a dead mount could not be removed", "error=%s",
				 strerror(errno));
	}
}

static int loop(struct mountfs *fs)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned threads = (unsigned)MAX(4l, MIN(2 * cores, 16l));
	int r;

	if (!config)
		return fail(-ENOMEM);
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	r = fuse_session_loop_mt(fs->session, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? r : 0; /* positive: a signal asked for the end */
}

static int subdir_root(struct mountfs *fs, char *err, size_t err_size)
{
	_cleanup_free_ char *path = fs->o->subdir ? strdup(fs->o->subdir) : NULL;
	char *rest = path, *part;

	fs->root = ROOT_INO;
	if (!fs->o->subdir)
		return 0;
	if (is_bare(fs->v)) {
		snprintf(err, err_size, "subdir=%s: there is no volume", fs->o->subdir);
		return -EINVAL;
	}
	if (!path)
		return fail(-ENOMEM);
	while ((part = strsep(&rest, "/"))) {
		uint32_t type = 0;
		int r;

		if (!*part)
			continue;
		r = ns_lookup(commit_lock(commit_of(fs)), fs->root, span_str(part), &fs->root,
			      &type);
		commit_unlock(commit_of(fs));
		if (r == NS_MISSING || (r == 0 && type != S_IFDIR)) {
			snprintf(err, err_size, "subdir=%s: no such directory in the volume",
				 fs->o->subdir);
			return -ENOENT;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Of the memory: what volumes keep for dirty data is free where there is none. */
static uint64_t draft_share(const struct mountfs *fs)
{
	return fs->v->memory_bytes / (is_bare(fs->v) ? 4 : 16);
}

static int prepare(struct mountfs *fs, char *err, size_t err_size)
{
	int r = subdir_root(fs, err, err_size);

	if (r < 0)
		return r;
	fs->readers = pool_new("reader", 32, 4096);
	fs->writers = pool_new("writer", 64, 4096);
	fs->at_budget = budget_new("attached", MAX(draft_share(fs), (uint64_t)64 * MiB));
	/* beside the pieces, which may fill their share */
	fs->at_disk = budget_new("attached-disk", fs->v->cache_bytes / 4);
	if (!fs->readers || !fs->writers || !fs->at_budget || !fs->at_disk)
		return fail(-ENOMEM);
	r = session_new(fs);
	if (r == 0)
		r = interrupts_start(fs);
	return r;
}

static void release(struct mountfs *fs)
{
	pool_free(fs->readers); /* ends what is under way: it still answers through the session */
	pool_free(fs->writers);
	interrupts_stop(fs);
	notify_stop(fs);
	if (fs->session)
		fuse_session_destroy(fs->session);
}

static int serve(struct mountfs *fs, char *err, size_t err_size)
{
	int r;

	clear_stale(fs->o->dir);
	if (fuse_session_mount(fs->session, fs->o->dir) != 0) {
		snprintf(err, err_size, "cannot mount at %s: %s", fs->o->dir,
			 access("/dev/fuse", F_OK) < 0 ? "there is no /dev/fuse (modprobe fuse)"
						       : strerror(errno ? errno : EPERM));
		return -EIO;
	}
	/*
	 * Not earlier: below an automount point only the process group that systemd trusts may look
	 * at the directory; all others wait for this very mount.
	 */
	if (!fs->o->foreground)
		setsid();
	r = notify_start(fs); /* the kernel remembers nothing before, and is not there to be told */
	if (r == 0)
		r = fuse_set_signal_handlers(fs->session);
	if (r == 0) {
		r = loop(fs);
		fuse_remove_signal_handlers(fs->session);
	}
	fuse_session_unmount(fs->session);
	return r;
}

int fuse_serve(struct volume *v, const struct mount_options *o, int ready_fd, char *err,
	       size_t err_size)
{
	struct mountfs *fs = calloc(1, sizeof(*fs));
	int r;

	err[0] = 0;
	if (!fs)
		return fail(-ENOMEM);
	fs->v = v;
	fs->o = o;
	fs->ready_fd = ready_fd;
	lock_init(&fs->at_lock, RANK_LEAF);
	r = prepare(fs, err, err_size);
	if (r == 0)
		r = serve(fs, err, err_size);
	if (r < 0 && !err[0])
		snprintf(err, err_size, "the mount at %s failed: %s", o->dir, strerror(-r));
	release(fs);
	budget_free(fs->at_disk);
	budget_free(fs->at_budget);
	lock_release(&fs->at_lock);
	free(fs);
	return r;
}
