/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "base/wait.h"
#include "cache/stage.h"
#include "cache/stage_log.h"
#include "fs/volume.h"
#include "tools/commands.h"
#include "tools/ctl.h"

/*
 * What close=staged left on this machine's disk. Read from the files, so it needs neither a mount
 * nor a key; what the stores have by now is known to a mount only, so it is what waits at most.
 */
struct staged {
	char *dir; /* the cache folder */
	struct stage_stats chunks;
	struct stage_log_stats operations;
};

/* The cache folder of a mount, of a volume, or as it was given. NULL after a line on stderr. */
static char *folder_of(const char *word, const char *cache_dir, struct ctl_list *mounts)
{
	_cleanup_(config_freep) struct config *cfg = NULL;
	char err[512], *dir;

	if (cache_dir)
		return strdup(cache_dir);
	if (ctl_is_mounted(mounts, word)) {
		const struct ctl_mount *m = ctl_choose(mounts, word);
		const char *of_mount = m ? json_str(json_get(m->status, "cache"), "dir") : NULL;

		return of_mount ? strdup(of_mount) : NULL;
	}
	if (!word) {
		ui_error("status --staged: nothing is mounted; name a volume, or use --cache-dir");
		return NULL;
	}
	if (config_find(word, NULL, &cfg, err, sizeof(err))) {
		ui_error("%s", err);
		return NULL;
	}
	dir = volume_cache_folder(cfg);
	if (!dir)
		ui_error("%s: where is its cache folder? use --cache-dir", word);
	return dir;
}

/* 0; -ENOENT: there is no log, so nothing waits. */
static int look(struct staged *s)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/staged", s->dir) < 0)
		return fail(-ENOMEM);
	r = stage_look(dir, &s->chunks);
	if (r == 0)
		r = stage_log_look(dir, &s->operations);
	return r == -ENOENT ? 0 : r;
}

static double oldest_seconds(const struct staged *s)
{
	const uint64_t now = clock_wall(), then = s->operations.oldest_ns;

	return then && then < now ? (double)(now - then) / NS_PER_S : 0;
}

static int print_json(const struct staged *s)
{
	_cleanup_(json_freep) struct json *j = json_object_new();
	_cleanup_buf_ struct buf out = BUF_INIT(MiB);

	json_set_str(j, "dir", s->dir);
	json_set_uint(j, "staged_chunks", s->chunks.objects);
	json_set_uint(j, "staged_bytes", s->chunks.bytes + s->operations.bytes);
	json_set_uint(j, "staged_operations", s->operations.operations);
	json_set_real(j, "oldest_seconds", oldest_seconds(s));
	json_set_uint(j, "lost_bytes", s->chunks.lost_bytes + s->operations.lost_bytes);
	if (json_write(j, 1, &out))
		return EXIT_FAILED;
	printf("%s\n", buf_str(&out));
	return EXIT_DONE;
}

static void print_text(const struct staged *s)
{
	char size[16], age[16], lost[16];

	ui_bytes((double)(s->chunks.bytes + s->operations.bytes), size);
	ui_bytes((double)(s->chunks.lost_bytes + s->operations.lost_bytes), lost);
	ui_seconds(oldest_seconds(s), age);
	if (!s->chunks.objects && !s->operations.operations)
		printf("%s: nothing is staged\n", s->dir);
	else if (s->operations.operations)
		printf("%s: %llu operations and %llu chunks are staged, %s, the oldest for %s\n",
		       s->dir, (unsigned long long)s->operations.operations,
		       (unsigned long long)s->chunks.objects, size, age);
	else
		printf("%s: %llu chunks are staged, %s\n", s->dir,
		       (unsigned long long)s->chunks.objects, size);
	if (s->chunks.lost_bytes + s->operations.lost_bytes)
		printf("%s: %s of the log are damaged\n", s->dir, lost);
}

int status_staged(const char *word, const char *cache_dir, bool json)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_free_ char *dir = NULL;
	struct staged s = { .dir = NULL };
	int r;

	ctl_list_read(&mounts);
	s.dir = dir = folder_of(word, cache_dir, &mounts);
	if (!dir)
		return EXIT_FAILED;
	r = look(&s);
	if (r) {
		ui_error("%s/staged: %s", dir, strerror(-r));
		return EXIT_FAILED;
	}
	if (json && print_json(&s))
		return EXIT_FAILED;
	if (!json)
		print_text(&s);
	return s.chunks.lost_bytes + s.operations.lost_bytes ? EXIT_DAMAGE : EXIT_DONE;
}
