/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (G1) A message is one line and one write: values that came from elsewhere cannot
 *      begin a line of their own.
 * (G2) No lock: a message may be written wherever a lock is held.
 * (G3) A kept line is whole when its number stands at it before and after it was read.
 */
#include "base/log.h"
#include "base/text.h"
#include "base/wait.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define KEPT_LINES 256
#define KEPT_BYTES 512
#define WINDOW_NS (10 * NS_PER_S)
#define WINDOW_LINES 10

/* Set at the start of the program, then read by all. */
static struct {
	enum log_target target;
	enum log_level level;
	int fd;
	bool journald;
	char only[256]; /* ",http,journal," or "" */
} out = { .target = LOG_TO_STDERR, .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO };

/* (G3) Written and read a byte at a time, since readers and writers take no turns. */
static struct {
	_Atomic uint64_t next;
	struct {
		_Atomic uint64_t number; /* 1 + which line it is; 0: being written */
		_Atomic char text[KEPT_BYTES];
	} lines[KEPT_LINES];
} kept;

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

/*
 * systemd names the device and inode of the stream that it reads; a redirected stderr is another.
 */
static bool stderr_is_journald(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!named || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(own, named) == 0;
}

void log_open(enum log_target target, enum log_level level)
{
	out.target = target;
	out.fd = STDERR_FILENO;
	out.journald = target == LOG_TO_STDERR && stderr_is_journald();
	if (target == LOG_TO_SYSLOG)
		openlog("mangrove", LOG_PID, LOG_DAEMON);
	log_level_set(level);
}

int log_open_file(const char *path, enum log_level level)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(-errno);
	log_open(LOG_TO_FILE, level);
	out.fd = fd;
	return 0;
}

void log_level_set(enum log_level level)
{
	__atomic_store_n(&out.level, level, __ATOMIC_RELAXED);
}

enum log_level log_level_get(void)
{
	return __atomic_load_n(&out.level, __ATOMIC_RELAXED);
}

int log_level_parse(const char *s, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(s, levels[i].name) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

void log_debug_only(const char *subsystems)
{
	if (subsystems && *subsystems)
		snprintf(out.only, sizeof(out.only), ",%s,", subsystems);
	else
		out.only[0] = '\0';
}

static bool is_wanted(enum log_level level, const char *subsystem)
{
	char word[64];

	if (level > log_level_get())
		return false;
	if (level < LOG_LEVEL_DEBUG || !out.only[0])
		return true;
	snprintf(word, sizeof(word), ",%s,", subsystem);
	return strstr(out.only, word) != NULL;
}

/*
 * false: this site has had its lines. Two threads at the border of a window may both
 * begin it; then it has a line more, which is cheaper than a lock (G2).
 */
static bool may_write(struct log_site *site, unsigned *ret_dropped)
{
	uint64_t now = clock_now();
	uint64_t window = __atomic_load_n(&site->window_ns, __ATOMIC_RELAXED);

	*ret_dropped = 0;
	if (now - window >= WINDOW_NS || window == 0) {
		__atomic_store_n(&site->window_ns, now, __ATOMIC_RELAXED);
		__atomic_store_n(&site->count, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_add_fetch(&site->count, 1, __ATOMIC_RELAXED) > WINDOW_LINES) {
		__atomic_add_fetch(&site->dropped, 1, __ATOMIC_RELAXED);
		return false;
	}
	*ret_dropped = __atomic_exchange_n(&site->dropped, 0, __ATOMIC_RELAXED);
	return true;
}

static const char *level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "?";
}

/* A line under construction; what does not fit is left out, but for one byte for '\n'. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static void line_vadd(struct line *l, const char *fmt, va_list args)
{
	size_t room = sizeof(l->text) - l->len - 1;
	int n = vsnprintf(l->text + l->len, room, fmt, args);

	if (n > 0)
		l->len += MIN((size_t)n, room - 1);
}

static printf_like(2, 3) void line_add(struct line *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_vadd(l, fmt, args);
	va_end(args);
}

static void line_begin(struct line *l, enum log_level level)
{
	uint64_t wall = clock_wall();
	time_t t = wall / NS_PER_S;
	struct tm tm;

	if (out.target == LOG_TO_SYSLOG)
		return;
	if (out.journald) {
		line_add(l, "<%d>", level);
		return;
	}
	if (out.target == LOG_TO_FILE) {
		gmtime_r(&t, &tm);
		l->len += strftime(l->text, sizeof(l->text), "%Y-%m-%dT%H:%M:%S", &tm);
		line_add(l, ".%03uZ ", (unsigned)(wall / NS_PER_MS % 1000));
	}
	line_add(l, "%s ", level_name(level));
}

/* (G1) */
static void line_clean(struct line *l)
{
	for (size_t i = 0; i < l->len; i++)
		if ((unsigned char)l->text[i] < ' ' || l->text[i] == 0x7f)
			l->text[i] = '?';
}

/* The message again, from `head` on; what is too long is cut. */
static void line_keep(const struct line *l, size_t head, enum log_level level)
{
	const uint64_t number = atomic_fetch_add(&kept.next, 1);
	char text[KEPT_BYTES], when[25];
	size_t i = 0;

	iso_date(clock_wall(), when);
	snprintf(text, sizeof(text), "%s %s %.*s", when, level_name(level), (int)(l->len - head),
		 l->text + head);
	atomic_store(&kept.lines[number % KEPT_LINES].number, 0);
	do
		kept.lines[number % KEPT_LINES].text[i] = text[i];
	while (text[i++]);
	atomic_store(&kept.lines[number % KEPT_LINES].number, number + 1);
}

int log_tail(struct buf *ret)
{
	const uint64_t end = atomic_load(&kept.next);
	int r = 0;

	for (uint64_t n = end - MIN(end, (uint64_t)KEPT_LINES); n < end && !r; n++) {
		char text[KEPT_BYTES];
		size_t i = 0;

		if (atomic_load(&kept.lines[n % KEPT_LINES].number) != n + 1)
			continue;
		do
			text[i] = kept.lines[n % KEPT_LINES].text[i];
		while (text[i] && ++i < sizeof(text) - 1);
		text[i] = '\0';
		if (atomic_load(&kept.lines[n % KEPT_LINES].number) == n + 1)
			r = buf_addf(ret, "%s\n", text);
	}
	return r;
}

static void line_write(struct line *l, enum log_level level)
{
	ssize_t n;

	if (out.target == LOG_TO_SYSLOG) {
		syslog(level, "%.*s", (int)l->len, l->text);
		return;
	}
	l->text[l->len++] = '\n';
	do
		n = write(out.fd, l->text, l->len);
	while (n < 0 && errno == EINTR);
	/* There is nobody left to tell. */
}

void log_write(struct log_site *site, enum log_level level, const char *subsystem,
	       const char *sentence, const char *fmt, ...)
{
	const int saved = errno;
	struct line line = { .len = 0 };
	unsigned dropped;
	va_list args;
	size_t head;

	if (!is_wanted(level, subsystem) || !may_write(site, &dropped))
		goto out;
	line_begin(&line, level);
	head = line.len;
	line_add(&line, "%s: %s", subsystem, sentence);
	va_start(args, fmt);
	line_vadd(&line, fmt, args);
	va_end(args);
	while (line.len && line.text[line.len - 1] == ' ')
		line.len--;
	if (dropped)
		line_add(&line, " left_out=%u", dropped);
	line_clean(&line);
	line_keep(&line, head, level);
	line_write(&line, level);
out:
	errno = saved;
}
