/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages for people. A short fixed sentence, then key=value:
 *   log_warn("replicas", "breaker opened", "store=%s errors=%u", name, n);
 * stderr with journald's <N> prefixes or plain, or syslog; never a secret, and no
 * file name of a user at info or above. Each call site is limited to 10 lines in 10 s;
 * the next line says how many were left out. The key=value part may be missing. The last
 * lines are kept in memory, too.
 */
#include "base/buf.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

void log_open(enum log_target target, enum log_level level);
/* Appends to a file (for daemons that were told so). 0, -errno. */
must_check int log_open_file(const char *path, enum log_level level);
void log_level_set(enum log_level level);
enum log_level log_level_get(void);
/* "error" "warn" "info" "debug"; -EINVAL. */
must_check int log_level_parse(const char *s, enum log_level *ret);
/*
 * Debug messages of these subsystems only, "http,journal"; NULL or "": all when the level is debug.
 */
void log_debug_only(const char *subsystems);

/* The last lines that were written, whatever the target, each with its time; appends. */
must_check int log_tail(struct buf *ret);

struct log_site {
	uint64_t window_ns;
	unsigned count, dropped;
};
/* fmt begins with a blank or is only that; use the macros, which put it there. Keeps errno. */
void log_write(struct log_site *site, enum log_level level, const char *subsystem,
	       const char *sentence, const char *fmt, ...) printf_like(5, 6);
#define log_at(level, subsystem, sentence, ...)                                                    \
	do {                                                                                       \
		static struct log_site site_;                                                      \
		if ((level) <= log_level_get())                                                    \
			log_write(&site_, (level), (subsystem), (sentence), " " __VA_ARGS__);      \
	} while (0)
#define log_error(subsystem, sentence, ...)                                                        \
	log_at(LOG_LEVEL_ERROR, subsystem, sentence, __VA_ARGS__)
#define log_warn(subsystem, sentence, ...) log_at(LOG_LEVEL_WARN, subsystem, sentence, __VA_ARGS__)
#define log_info(subsystem, sentence, ...) log_at(LOG_LEVEL_INFO, subsystem, sentence, __VA_ARGS__)
#define log_debug(subsystem, sentence, ...)                                                        \
	log_at(LOG_LEVEL_DEBUG, subsystem, sentence, __VA_ARGS__)
