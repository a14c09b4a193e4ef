/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/wait.h"
#include "tools/commands.h"
#include "tools/ctl.h"
#include "tools/mounts.h"

/* Who did what, from the journal: once (log), or on and on (changes). */
#define SLOTS_AT_ONCE "1000"
#define FOLLOW_NS NS_PER_S
#define ANSWER_S 120u
#define POSITION_NONE UINT64_MAX

struct feed {
	struct ctl_mount *m;
	const char *from, *since, *last; /* of the command line; or NULL */
	const char *position_file;       /* or NULL */
	uint64_t position;               /* the next slot; POSITION_NONE: as the above say */
	char *path;                      /* what it is about, from the volume's root; or NULL */
	uint64_t ino;                    /* its inode; 0: it is not there */
	bool json, all, follow;
};

static bool is_at_or_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return path && !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

static bool is_wanted(const struct feed *f, const struct json *c)
{
	uint64_t ino = 0;

	if (!f->path)
		return true;
	if (f->ino && json_uint(c, "inode", &ino) == 0 && ino == f->ino)
		return true;
	return is_at_or_below(json_str(c, "path"), f->path) ||
	       is_at_or_below(json_str(c, "to"), f->path);
}

/* What a person wants to know besides. */
static void print_details(const struct json *c)
{
	const char *to = json_str(c, "to"), *mode = json_str(c, "mode"),
		   *attribute = json_str(c, "attribute"), *target = json_str(c, "target");
	char size[16];

	if (to)
		printf(" -> %s", to);
	if (target)
		printf(" -> %s", target);
	if (json_get(c, "bytes")) {
		ui_bytes(json_number(c, "bytes", 0), size);
		printf("  %s", size);
	}
	if (json_get(c, "size")) {
		ui_bytes(json_number(c, "size", 0), size);
		printf("  to %s", size);
	}
	if (mode)
		printf("  mode %s", mode);
	if (json_get(c, "new_uid"))
		printf("  owner %.0f", json_number(c, "new_uid", 0));
	if (json_get(c, "new_gid"))
		printf("  group %.0f", json_number(c, "new_gid", 0));
	if (attribute)
		printf("  %s", attribute);
}

static void print_change(const struct json *c)
{
	const char *path = json_str(c, "path"), *name = json_str(c, "name"),
		   *host = json_str(c, "host"), *id = json_str(c, "mount");

	printf("%s  %-20s  uid %-5.0f  %-11s  ", json_str(c, "time"), host ? host : id,
	       json_number(c, "uid", 0), json_str(c, "operation"));
	if (path)
		fputs(path, stdout);
	else if (name)
		printf("(gone)/%s", name);
	else if (json_get(c, "inode"))
		printf("(gone) inode %.0f", json_number(c, "inode", 0));
	print_details(c);
	putchar('\n');
}

static int print_one(const struct feed *f, const struct json *c)
{
	_cleanup_buf_ struct buf line = BUF_INIT(MiB);

	if (!is_wanted(f, c))
		return 0;
	if (!f->json) {
		print_change(c);
		return 0;
	}
	if (json_write(c, 0, &line))
		return -ENOMEM;
	puts(buf_str(&line));
	return 0;
}

/* The file has the old position or the new one. */
static int note_position(const struct feed *f)
{
	_cleanup_free_ char *temporary = NULL;
	FILE *to;
	bool bad;

	if (!f->position_file)
		return 0;
	if (asprintf(&temporary, "%s.new", f->position_file) < 0)
		return -ENOMEM;
	to = fopen(temporary, "we");
	if (!to)
		return -errno;
	bad = fprintf(to, "%llu\n", (unsigned long long)f->position) < 0 || fflush(to) ||
	      fsync(fileno(to));
	bad = fclose(to) || bad;
	return bad || rename(temporary, f->position_file) ? -errno : 0;
}

static int read_position(struct feed *f)
{
	char text[32] = "";
	FILE *from = f->position_file ? fopen(f->position_file, "re") : NULL;

	if (!from)
		return f->position_file && errno != ENOENT ? -errno : 0;
	if (!fgets(text, sizeof(text), from))
		*text = '\0';
	fclose(from);
	text[strcspn(text, "\n")] = '\0';
	return uint_parse(text, &f->position);
}

static int target_of(const struct feed *f, struct buf *ret)
{
	int r = buf_add_str(ret, f->all ? "/changes?all=1&max=" SLOTS_AT_ONCE :
					  "/changes?max=" SLOTS_AT_ONCE);

	if (r)
		return r;
	if (f->position != POSITION_NONE)
		return buf_addf(ret, "&from=%llu", (unsigned long long)f->position);
	if (f->from)
		return buf_addf(ret, "&from=%s", f->from);
	if (f->since)
		return buf_addf(ret, "&since=%s", f->since);
	return f->last ? buf_addf(ret, "&last=%s", f->last) : 0;
}

/* Says where to go on, for who reads lines. Flushed before the position is noted: a change may be
 * seen twice, and is never missed. */
static int end_batch(struct feed *f)
{
	int r = 0;

	if (f->json)
		printf("{\"position\": %llu}\n", (unsigned long long)f->position);
	if (fflush(stdout))
		return EXIT_FAILED;
	r = note_position(f);
	if (r)
		ui_error("%s: %s", f->position_file, strerror(-r));
	return r ? EXIT_FAILED : EXIT_DONE;
}

/* One question. *ret_end: there is no more for now. */
static int batch(struct feed *f, bool *ret_end)
{
	_cleanup_buf_ struct buf target = BUF_INIT(4096), body = BUF_INIT(64 * MiB);
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *changes;
	uint64_t position, applied, before = f->position;
	int status;

	if (target_of(f, &target))
		return EXIT_FAILED;
	status = ctl_command(f->m, "GET", buf_str(&target), ANSWER_S, &body);
	if (status)
		return status;
	if (json_parse(buf_span(&body), &j) || json_uint(j, "position", &position) ||
	    json_uint(j, "applied_slot", &applied)) {
		ui_error("%s: the mount's answer is not understood", ctl_dir(f->m));
		return EXIT_FAILED;
	}
	changes = json_get(j, "changes");
	for (size_t i = 0; i < json_count(changes); i++)
		if (print_one(f, json_at(changes, i)))
			return EXIT_FAILED;
	f->position = position;
	*ret_end = position > applied;
	return position == before ? EXIT_DONE : end_batch(f);
}

static int run_feed(struct feed *f)
{
	bool end = false;
	int status;

	do {
		status = batch(f, &end);
		if (!status && end && f->follow)
			sleep_for(FOLLOW_NS);
	} while (!status && (!end || f->follow));
	return status;
}

/* A duration before now, or a date, as seconds since 1970. */
static int since_parse(const char *text, char ret[24])
{
	uint64_t ns, now = clock_wall();
	time_t t;

	if (!duration_parse(text, &ns))
		t = (time_t)((now - MIN(ns, now)) / NS_PER_S);
	else if (iso_date_parse(text, &t))
		return -EINVAL;
	snprintf(ret, 24, "%lld", (long long)t);
	return 0;
}

static bool is_number(const char *option, const char *text)
{
	uint64_t n;

	if (!text || !uint_parse(text, &n))
		return true;
	ui_error("--%s %s: expected a number", option, text);
	return false;
}

static bool check(struct feed *f, char since[24])
{
	if (!is_number("from", f->from) || !is_number("last", f->last))
		return false;
	if (f->since && since_parse(f->since, since)) {
		ui_error("--since %s: expected a duration such as 2h, or a date such as "
			 "2026-01-02T03:04:05Z",
			 f->since);
		return false;
	}
	if (f->since)
		f->since = since;
	return true;
}

/* A path in a mount, which may be gone; else the name of a volume. */
static bool choose(struct feed *f, struct ctl_list *l, const char *word)
{
	_cleanup_free_ char *whole = word ? realpath(word, NULL) : NULL;
	const char *subdir, *below;
	struct stat st;

	if (word && !whole && strchr(word, '/'))
		whole = mount_point_path(word);
	ctl_list_read(l);
	f->m = ctl_choose(l, whole ? whole : word);
	if (!f->m || !whole)
		return f->m;
	subdir = json_str(json_get(f->m->status, "mount"), "subdir");
	below = whole + strlen(ctl_dir(f->m));
	if (!*below && !subdir)
		return true;
	f->ino = stat(whole, &st) ? 0 : st.st_ino;
	return asprintf(&f->path, "%s%s", subdir ? subdir : "", below) >= 0;
}

/* The feed of a path or a volume; word: or NULL, the only mount. */
static int run_on(struct feed *f, const char *word)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	const int status = choose(f, &mounts, word) ? run_feed(f) : EXIT_FAILED;

	free(f->path);
	return status;
}

static int run_log(const struct command *c, int argc, char **argv)
{
	struct feed f = { .last = SLOTS_AT_ONCE, .position = POSITION_NONE };
	const struct arg table[] = { { 0, "since", ARG_TEXT, &f.since },
				     { 0, "last", ARG_TEXT, &f.last },
				     { 0, "all", ARG_FLAG, &f.all },
				     { 0, "json", ARG_FLAG, &f.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	char since[24];
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (!check(&f, since))
		return EXIT_USAGE;
	return run_on(&f, words.n ? words.all[0] : NULL);
}

const struct command cmd_log = {
	.name = "log",
	.usage = "[PATH|VOLUME] [--since TIME] [--last N] [--all] [--json]",
	.summary = "show who did what, from the journal",
	.help = "Every change of the volume, or of PATH and what is below it: when, by which "
		"mount, by whom.\n"
		"\n"
		"  --since    a duration before now (2h), or a date (2026-01-02T03:04:05Z)\n"
		"  --last     the last so many entries of the journal (1000), without --since\n"
		"  --all      also the volume's own affairs: mounts, copies, checkpoints\n"
		"  --json     a line for each\n"
		"\n"
		"Example:\n"
		"  mangrove log /mnt/demo/models --since 24h\n",
	.run = run_log,
};

static int run_changes(const struct command *c, int argc, char **argv)
{
	struct feed f = { .position = POSITION_NONE };
	const struct arg table[] = { { 0, "from", ARG_TEXT, &f.from },
				     { 0, "since", ARG_TEXT, &f.since },
				     { 0, "position-file", ARG_TEXT, &f.position_file },
				     { 0, "follow", ARG_FLAG, &f.follow },
				     { 0, "all", ARG_FLAG, &f.all },
				     { 0, "json", ARG_FLAG, &f.json },
				     { 0, NULL, 0, NULL } };
	struct text_list words;
	char since[24];
	int status;

	if (!command_args(c, argc, argv, table, 0, 1, &words, &status))
		return status;
	if (!check(&f, since))
		return EXIT_USAGE;
	status = read_position(&f);
	if (status) {
		ui_error("%s: no position is in it", f.position_file);
		return EXIT_FAILED;
	}
	return run_on(&f, words.n ? words.all[0] : NULL);
}

const struct command cmd_changes = {
	.name = "changes",
	.usage = "[PATH|VOLUME] [--from SLOT|--since TIME] [--follow] [--json]",
	.summary = "give the changes of a volume to a program, in order",
	.help = "Without a beginning: what comes from now on. A program that begins again where it "
		"ended may\n"
		"get a change twice, and misses none.\n"
		"\n"
		"  --from             a position that was given before\n"
		"  --since            a duration before now (2h), or a date\n"
		"  --follow           on and on, a second behind\n"
		"  --position-file    begin where the file says; note in it how far one has come\n"
		"  --all              also the volume's own affairs: mounts, copies, checkpoints\n"
		"  --json             a line for each; {\"position\": N} after those of a look\n"
		"\n"
		"Example:\n"
		"  mangrove changes /mnt/demo --follow --json --position-file /var/lib/feed\n",
	.run = run_changes,
};

static int run_level(const struct command *c, int argc, char **argv)
{
	_cleanup_(ctl_list_release) struct ctl_list mounts = { .n = 0 };
	const char *only = NULL;
	const struct arg table[] = { { 0, "only", ARG_TEXT, &only }, { 0, NULL, 0, NULL } };
	_cleanup_buf_ struct buf target = BUF_INIT(4096);
	struct text_list words;
	struct ctl_mount *m;
	int status;

	if (!command_args(c, argc, argv, table, 1, 2, &words, &status))
		return status;
	ctl_list_read(&mounts);
	m = ctl_choose(&mounts, words.n > 1 ? words.all[1] : NULL);
	if (!m || buf_add_str(&target, "/loglevel?level=") ||
	    percent_encode(span_str(words.all[0]), false, &target))
		return EXIT_FAILED;
	if (only &&
	    (buf_add_str(&target, "&only=") || percent_encode(span_str(only), false, &target)))
		return EXIT_FAILED;
	return ctl_command(m, "POST", buf_str(&target), 10, NULL);
}

const struct command cmd_log_level = {
	.name = "log-level",
	.usage = "error|warn|info|debug [DIR] [--only SUBSYSTEM,...]",
	.summary = "change what messages a running mount writes",
	.help = "  --only    debug messages of these subsystems only (http, journal, ...)\n"
		"\n"
		"Example:\n"
		"  mangrove log-level debug /mnt/demo --only http,journal\n",
	.run = run_level,
};
