/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/fuse.h"
#include "tools/commands.h"
#include "tools/mounts.h"
#include "tools/utab.h"

/*
 * The daemon's life: check what can be checked at once, fork, open the volume, serve the kernel,
 * close. The parent waits at a pipe: one zero byte says that the mount answers; anything else is
 * the sentence of what went wrong; nothing at all, that the daemon died.
 */
#define CLOSE_NS (600 * NS_PER_S)
#define SENTENCE_MAX 1024

static bool folder_is_empty(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n <= 2;
}

/* A folder that is there, empty, and not mounted on; what a killed daemon left is taken away. */
static int check_mount_point(struct mount_options *o, const char *dir)
{
	enum mount_kind kind;
	struct stat st;

	o->dir = mount_point_path(dir);
	kind = o->dir ? mount_kind_at(o->dir) : MOUNT_NONE;
	if (kind == MOUNT_STALE && mount_detach(o->dir, true)) {
		ui_error("%s: a dead mount is there and cannot be taken away: %s", dir,
			 strerror(errno));
		return -EBUSY;
	}
	if (kind == MOUNT_OURS) {
		ui_error("%s: already mounted; 'mangrove umount %s' first", dir, dir);
		return -EBUSY;
	}
	if (!o->dir || stat(o->dir, &st)) {
		ui_error("mount point %s: %s", dir, strerror(errno));
		return -ENOENT;
	}
	if (!S_ISDIR(st.st_mode)) {
		ui_error("mount point %s: not a directory", dir);
		return -ENOTDIR;
	}
	if (!folder_is_empty(o->dir)) {
		ui_error("mount point %s: the directory is not empty", dir);
		return -ENOTEMPTY;
	}
	return 0;
}

static int find_config(const struct mount_options *o, const struct text_list *words,
		       struct config **ret)
{
	char err[SENTENCE_MAX];
	int r;

	if (words->n > 2 && o->config) {
		snprintf(err, sizeof(err),
			 "buckets are named on the command line or in %s, not both", o->config);
		r = -EINVAL;
	} else if (words->n > 2) {
		r = config_of_buckets(words->all, words->n - 1, ret, err, sizeof(err));
	} else {
		r = config_find(o->source, o->config, ret, err, sizeof(err));
	}
	if (r)
		ui_error("%s", err);
	return r;
}

/* The daemon has many files and connections open. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int between(uint64_t low, uint64_t x, uint64_t high)
{
	return (int)MAX(low, MIN(x, high));
}

/*
 * Pieces of a megabyte come and go by the thousand: from fresh mappings each time, the kernel would
 * clear every page of them first, a fifth of a cold read's work. What is kept for that belongs to
 * the budget.
 */
static void keep_memory(uint64_t budget)
{
	mallopt(M_MMAP_THRESHOLD, between(2 * MiB, budget / 128, 32 * MiB));
	mallopt(M_TRIM_THRESHOLD, between(MiB, budget / 32, 128 * MiB));
	mallopt(M_TOP_PAD, between(256 * KiB, budget / 64, 64 * MiB));
}

/*
 * Standard streams away from the terminal, so that nobody waits for their end. The session of its
 * own begins with the mount (fuse_serve()).
 */
static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (chdir("/"))
		log_warn("mount", "cannot leave the folder", "error=%s", strerror(errno));
}

/* From configuration to the end. 0, or negative errno with a sentence. */
static int live(struct config *takes_cfg, const struct mount_options *o, int ready_fd, char *err,
		size_t err_size)
{
	_cleanup_(control_freep) struct control *control = NULL;
	struct volume *v;
	int r, left;

	if (sodium_start()) {
		config_free(takes_cfg);
		snprintf(err, err_size, "libsodium does not start");
		return -EIO;
	}
	raise_limits();
	mallopt(M_ARENA_MAX, 4); /* before there are threads */
	signal(SIGPIPE, SIG_IGN);
	r = volume_open(takes_cfg, o, &v, err, err_size);
	if (r)
		return r;
	keep_memory(v->memory_bytes);
	r = control_new(v, &control, err, err_size);
	if (!r) {
		if (!o->foreground)
			let_go_of_terminal();
		utab_add(o->source, o->dir);
		r = fuse_serve(v, o, ready_fd, err, err_size);
		utab_remove(o->dir);
	}
	control = control_free(control);
	left = volume_close(v, clock_now() + CLOSE_NS);
	if (left)
		log_error("mount", "not everything reached the stores before the end", "error=%s",
			  strerror(-left));
	if (!r && left)
		snprintf(err, err_size, "not everything reached the stores: %s", strerror(-left));
	return r ? r : left;
}

/* In the daemon: never returns. */
static void be_daemon(struct config *cfg, const struct mount_options *o, int ready_fd)
{
	char err[SENTENCE_MAX] = "";
	int r;

	log_open(LOG_TO_SYSLOG, o->log_level);
	if (o->log_file && log_open_file(o->log_file, o->log_level) < 0) {
		snprintf(err, sizeof(err), "log file %s cannot be opened", o->log_file);
		(void)!write(ready_fd, err, strlen(err));
		_exit(EXIT_FAILED);
	}
	r = live(cfg, o, ready_fd, err, sizeof(err));
	if (r) {
		log_error("mount", "the mount ended badly", "why=\"%s\"", err);
		/* Useless, and harmless, when the parent has gone with its zero byte. */
		(void)!write(ready_fd, err, strlen(err));
	}
	_exit(r ? EXIT_FAILED : EXIT_DONE);
}

static int wait_ready(int fd)
{
	char said[SENTENCE_MAX] = "";
	size_t n = 0;
	ssize_t got;

	do {
		got = read(fd, said + n, sizeof(said) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
		if (n && !said[0])
			return EXIT_DONE;
	} while (got > 0 || (got < 0 && errno == EINTR));
	said[n] = '\0';
	ui_error(
		"%s",
		n ? said :
		    "the daemon died before the mount answered; "
		    "see its log (journalctl -t mangrove)");
	return EXIT_FAILED;
}

static int in_background(struct config *cfg, const struct mount_options *o)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC)) {
		ui_error("%s", strerror(errno));
		return EXIT_FAILED;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		ui_error("%s", strerror(errno));
		return EXIT_FAILED;
	}
	if (!pid) {
		close(ends[0]);
		be_daemon(cfg, o, ends[1]);
	}
	close(ends[1]);
	return wait_ready(ends[0]);
}

static int in_foreground(struct config *cfg, const struct mount_options *o)
{
	char err[SENTENCE_MAX] = "";
	int r;

	log_open(LOG_TO_STDERR, o->log_level);
	r = live(cfg, o, -1, err, sizeof(err));
	if (r)
		ui_error("%s", *err ? err : strerror(-r));
	return r ? EXIT_FAILED : EXIT_DONE;
}

/* What /proc/mounts shows: all words but the last, joined by commas. */
static char *source_of(const struct text_list *words)
{
	_cleanup_buf_ struct buf all = BUF_INIT(64 * KiB);

	for (size_t i = 0; i + 1 < words->n; i++)
		if (buf_addf(&all, "%s%s", i ? "," : "", words->all[i]))
			return NULL;
	return strdup(buf_str(&all));
}

static int mount_volume(struct mount_options *o, const struct text_list *words)
{
	struct config *cfg = NULL;
	int status;

	o->source = source_of(words);
	if (!o->source)
		return EXIT_FAILED;
	if (find_config(o, words, &cfg))
		return EXIT_FAILED;
	if (check_mount_point(o, words->all[words->n - 1])) {
		config_free(cfg);
		return EXIT_FAILED;
	}
	if (o->foreground)
		return in_foreground(cfg, o);
	status = in_background(cfg, o);
	config_free(cfg);
	return status;
}

static int add_options(struct mount_options *o, const struct text_list *lists)
{
	char err[SENTENCE_MAX];

	for (size_t i = 0; i < lists->n; i++) {
		if (mount_options_add(o, lists->all[i], err, sizeof(err))) {
			ui_error("%s", err);
			return -EINVAL;
		}
	}
	return 0;
}

/* An option of the command line that is one of -o, too. */
static int as_option(struct mount_options *o, const char *name, const char *value)
{
	_cleanup_free_ char *text = NULL;
	struct text_list one = { .n = 1 };

	if (!value)
		return 0;
	if (strchr(value, ',')) {
		ui_error("--%s %s: a comma cannot stand here", name, value);
		return -EINVAL;
	}
	if (asprintf(&text, "%s=%s", name, value) < 0)
		return -ENOMEM;
	one.all[0] = text;
	return add_options(o, &one);
}

static int run_mount(const struct command *c, int argc, char **argv)
{
	_cleanup_(mount_options_release) struct mount_options o = { 0 };
	const char *config = NULL, *level = NULL, *log_file = NULL, *recovery = NULL;
	struct text_list options = { .n = 0 }, words;
	const struct arg table[] = { { 'o', "options", ARG_MANY, &options },
				     { 'f', "foreground", ARG_FLAG, &o.foreground },
				     { 0, "config", ARG_TEXT, &config },
				     { 0, "log-level", ARG_TEXT, &level },
				     { 0, "log-file", ARG_TEXT, &log_file },
				     { 0, "recovery-key", ARG_TEXT, &recovery },
				     { 0, NULL, 0, NULL } };
	int status;

	mount_options_init(&o);
	if (!command_args(c, argc, argv, table, 2, WORDS_MAX, &words, &status))
		return status;
	if (add_options(&o, &options) || as_option(&o, "config", config) ||
	    as_option(&o, "log_level", level) || as_option(&o, "log_file", log_file) ||
	    as_option(&o, "recovery_key_file", recovery))
		return EXIT_USAGE;
	return mount_volume(&o, &words);
}

int helper_mount(int argc, char **argv)
{
	_cleanup_(mount_options_release) struct mount_options o = { 0 };
	bool fake = false, ignored = false;
	const char *type = NULL, *space = NULL;
	struct text_list options = { .n = 0 }, words;
	const struct arg table[] = {
		{ 'o', NULL, ARG_MANY, &options }, { 'f', NULL, ARG_FLAG, &fake },
		{ 's', NULL, ARG_FLAG, &ignored }, { 'n', NULL, ARG_FLAG, &ignored },
		{ 'v', NULL, ARG_FLAG, &ignored }, { 't', NULL, ARG_TEXT, &type },
		{ 'N', NULL, ARG_TEXT, &space },   { 'r', NULL, ARG_FLAG, &o.read_only },
		{ 'w', NULL, ARG_FLAG, &ignored }, { 0, NULL, 0, NULL }
	};
	int r;

	mount_options_init(&o);
	r = args_parse(argc, argv, table, &words);
	if (r || words.n != 2) {
		ui_error("usage: mount -t mangrove VOLUME DIR -o OPTIONS");
		return EXIT_USAGE;
	}
	if (add_options(&o, &options))
		return EXIT_USAGE;
	return fake ? EXIT_DONE : mount_volume(&o, &words);
}

const struct command cmd_mount = {
	.name = "mount",
	.usage = "VOLUME DIR | URL URL ... DIR [-o OPTIONS] [-f]",
	.summary = "mount a volume, or existing buckets",
	.help = "VOLUME is a name, a configuration file, or store URLs joined by commas.\n"
		"Several URLs are existing buckets, each a directory named after it; NAME=URL "
		"names\n"
		"it otherwise. They need no format, and are read as they are.\n"
		"\n"
		"  -o OPTIONS     ro, allow_other, strict, names=committed, freshness=1s, "
		"deadline=60s,\n"
		"                 cache_dir=, cache_size=, memory=, listen=ADDR:PORT|none, "
		"max_read_ahead=,\n"
		"                 uid=, gid=, umask=, acl, subdir=, config=, key_file=, "
		"passphrase_file=,\n"
		"                 key_command=, and what mount(8) and fstab pass along\n"
		"  -f             stay in the foreground, log to stderr\n"
		"  --config FILE, --log-level error|warn|info|debug, "
		"--log-file FILE (else syslog)\n"
		"  --recovery-key FILE   open it with the recovery key that format printed\n"
		"\n"
		"Example:\n"
		"  mangrove mount demo /mnt/demo -o allow_other,cache_size=200G\n"
		"  mangrove mount s3://raw azblob://acct/images logs=gs://logs /mnt/tree\n",
	.run = run_mount,
};
