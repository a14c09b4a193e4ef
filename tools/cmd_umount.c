/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"
#include "tools/mounts.h"
#include "tools/utab.h"

/* Flush with progress, unmount, wait for the daemon's end: what is not safe keeps the mount. */
#define SLICE_SECONDS 2u
#define POLL_NS (NS_PER_S / 20)
/* Scanners and indexers look into every mount for a moment: a mount is in use when it stays so. */
#define BUSY_NS (3 * NS_PER_S)

struct umount {
	bool lazy;
	uint64_t deadline_ns;
};

static uint64_t number(const struct ctl_mount *m, const char *part, const char *key)
{
	uint64_t v = 0;

	return json_uint(json_get(m->status, part), key, &v) ? 0 : v;
}

static void tell_pending(const struct ctl_mount *m, const char *dir)
{
	char dirty[16], staged[16];

	size_format(number(m, "pending", "dirty_bytes"), dirty);
	size_format(number(m, "pending", "staged_bytes"), staged);
	ui_error(
		"%s: not unmounted: %s written and not uploaded, %s on their way, "
		"%llu operations not committed; "
		"'mangrove status %s' shows which store is missing",
		dir, dirty, staged, (unsigned long long)number(m, "journal", "pending_operations"),
		dir);
}

/* In slices, so that there is progress to show. */
static bool flush(struct ctl_mount *m, const struct umount *u)
{
	char target[64];

	snprintf(target, sizeof(target), "/sync?timeout=%us", SLICE_SECONDS);
	while (clock_now() < u->deadline_ns) {
		int status = 0;
		int r = ctl_request(m->socket, "POST", target, SLICE_SECONDS + 30, &status, NULL);
		char dirty[16];

		if (!r && status == 200)
			return true;
		if (r && r != -ETIMEDOUT)
			return false;
		if (!ctl_refresh(m))
			return false;
		size_format(number(m, "pending", "dirty_bytes") +
				    number(m, "pending", "staged_bytes"),
			    dirty);
		ui_progress("%s: %s to go", ctl_dir(m), dirty);
		if (!r && status != 504)
			sleep_for(NS_PER_S / 2); /* it failed at once: a store may come back */
	}
	return false;
}

/* A process that has ended stays visible until its parent asks for it, which may be much later. */
static bool is_running(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(f);
	return state != 'Z' && state != 'X';
}

/* The daemon ends after the mount: when it has closed the volume. */
static bool wait_end(pid_t pid, uint64_t deadline_ns)
{
	while (pid > 0 && is_running(pid)) {
		if (clock_now() >= deadline_ns)
			return false;
		sleep_for(POLL_NS);
	}
	return true;
}

static int detach(const char *dir, const struct umount *u)
{
	const uint64_t patience_ns = clock_now() + BUSY_NS;
	int r;

	while ((r = mount_detach(dir, u->lazy)) == -EBUSY && clock_now() < patience_ns)
		sleep_for(POLL_NS);
	if (r == -EBUSY)
		ui_error("%s: in use; 'fuser -vm %s' shows by whom, --lazy detaches it now", dir,
			 dir);
	else if (r)
		ui_error("%s: %s", dir, strerror(-r));
	return r ? EXIT_FAILED : EXIT_DONE;
}

static struct ctl_mount *find(struct ctl_list *mounts, const char *dir)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (!strcmp(ctl_dir(&mounts->all[i]), dir))
			return &mounts->all[i];
	return NULL;
}

static int unmount(const char *word, const struct umount *u)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	_cleanup_free_ char *dir = mount_point_path(word);
	enum mount_kind kind = dir ? mount_kind_at(dir) : MOUNT_NONE;
	struct ctl_mount *m;
	pid_t pid;

	if (kind != MOUNT_OURS && kind != MOUNT_STALE) {
		ui_error("%s: not a mangrove mount", word);
		return EXIT_FAILED;
	}
	ctl_list_read(&mounts);
	m = find(&mounts, dir);
	if (!m) { /* no daemon to ask: nothing can be flushed, and nobody else clears the note */
		utab_remove(dir);
		return detach(dir, u);
	}
	pid = (pid_t)number(m, "mount", "pid");
	if (!json_bool(json_get(m->status, "mount"), "read_only", false) && !flush(m, u)) {
		ui_progress_end();
		if (!u->lazy) {
			tell_pending(m, dir);
			return EXIT_FAILED;
		}
	}
	ui_progress_end();
	if (detach(dir, u))
		return EXIT_FAILED;
	if (u->lazy || wait_end(pid, u->deadline_ns))
		return EXIT_DONE;
	ui_error("%s: unmounted, but its daemon (pid %d) still works on what is left", dir,
		 (int)pid);
	return EXIT_FAILED;
}

static int run_umount(const struct command *c, int argc, char **argv)
{
	struct umount u = { .lazy = false };
	const char *timeout = "600s";
	const struct arg table[] = { { 'l', "lazy", ARG_FLAG, &u.lazy },
				     { 0, "timeout", ARG_TEXT, &timeout },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	uint64_t ns;
	int status;

	if (!command_args(c, argc, argv, table, 1, 1, &words, &status))
		return status;
	if (duration_parse(timeout, &ns)) {
		ui_error("--timeout %s: expected a duration such as 60s", timeout);
		return EXIT_USAGE;
	}
	u.deadline_ns = clock_now() + ns;
	return unmount(words.all[0], &u);
}

int helper_umount(int argc, char **argv)
{
	struct umount u = { .deadline_ns = clock_now() + 600 * NS_PER_S };
	bool ignored = false;
	const char *type = NULL, *space = NULL;
	const struct arg table[] = {
		{ 'l', NULL, ARG_FLAG, &u.lazy },  { 'f', NULL, ARG_FLAG, &ignored },
		{ 'n', NULL, ARG_FLAG, &ignored }, { 'v', NULL, ARG_FLAG, &ignored },
		{ 'r', NULL, ARG_FLAG, &ignored }, { 't', NULL, ARG_TEXT, &type },
		{ 'N', NULL, ARG_TEXT, &space },   { 0, NULL, 0, NULL }
	};
	struct text_list words;

	if (args_parse(argc, argv, table, &words) || words.n != 1) {
		ui_error("usage: umount DIR");
		return EXIT_USAGE;
	}
	return unmount(words.all[0], &u);
}

const struct command cmd_umount = {
	.name = "umount",
	.usage = "DIR [--lazy] [--timeout 600s]",
	.summary = "make everything safe, then unmount",
	.help = "Fails rather than lose data, and says what is pending.\n"
		"\n"
		"  -l, --lazy    detach now, even when busy or when something cannot be flushed\n"
		"\n"
		"Example:\n"
		"  mangrove umount /mnt/demo\n",
	.run = run_umount,
};
