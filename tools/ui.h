/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Words for people: errors on stderr in one line, tables on stdout, progress where somebody
 * looks. */
#include "base/buf.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_DEGRADED = 3, /* done, but a store is down or copies are missing */
	EXIT_DAMAGE = 4,
};

/* "mangrove: ..." */
void ui_error(const char *fmt, ...) printf_like(1, 2);
/* A line that replaces the one before, on a terminal only; NULL clears it. */
void ui_progress(const char *fmt, ...) printf_like(1, 2);
void ui_progress_end(void);
bool ui_is_terminal(void); /* stdout */

/* A page that replaces the one before, on a terminal only; written by the next fflush in one go. */
void ui_screen(void);
/* "1.5ms", "120MiB": of what programs get as numbers. */
void ui_seconds(double s, char ret[16]);
void ui_bytes(double n, char ret[16]);

/* A table: rows of equally many cells; columns as wide as their widest cell. */
#define UI_COLUMNS_MAX 12
struct ui_table {
	size_t columns, n;
	char **cells;
	bool right[UI_COLUMNS_MAX]; /* numbers stand right */
};
/* The headings, separated by '|'; one that begins with '>' stands right. */
void ui_table_init(struct ui_table *t, const char *headings);
void ui_table_add(struct ui_table *t, const char *fmt, ...) printf_like(2, 3); /* the next cell */
void ui_table_print(struct ui_table *t); /* and releases it */
