/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ui.h"

#include "base/text.h"
#include "base/wait.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void ui_error(const char *fmt, ...)
{
	va_list ap;

	ui_progress_end();
	fputs("mangrove: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool ui_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

static bool progress_shown;

void ui_progress(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	progress_shown = true;
}

void ui_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

void ui_screen(void)
{
	static char page[64 * KiB];
	static bool begun;

	if (!ui_is_terminal())
		return;
	if (!begun)
		setvbuf(stdout, page, _IOFBF, sizeof(page));
	begun = true;
	fputs("\033[H\033[2J", stdout);
}

void ui_seconds(double s, char ret[16])
{
	duration_format((uint64_t)(s * NS_PER_S), ret);
}

void ui_bytes(double n, char ret[16])
{
	size_format((uint64_t)n, ret);
}

/* A program for people may give up when there is no memory. */
static char *formatted(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

static void add_cell(struct ui_table *t, char *takes)
{
	t->cells = reallocarray(t->cells, t->n + 1, sizeof(*t->cells));
	if (!t->cells)
		abort();
	t->cells[t->n++] = takes;
}

void ui_table_init(struct ui_table *t, const char *headings)
{
	*t = (struct ui_table){ 0 };
	while (*headings && t->columns < UI_COLUMNS_MAX) {
		size_t len;
		char *cell;

		t->right[t->columns++] = *headings == '>';
		headings += *headings == '>';
		len = strcspn(headings, "|");
		cell = strndup(headings, len);
		if (!cell)
			abort();
		add_cell(t, cell);
		headings += len + (headings[len] == '|');
	}
}

void ui_table_add(struct ui_table *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_cell(t, formatted(fmt, ap));
	va_end(ap);
}

static int width_of(const struct ui_table *t, size_t column)
{
	int width = 0;

	for (size_t i = column; i < t->n; i += t->columns)
		width = MAX(width, (int)strlen(t->cells[i]));
	return width;
}

void ui_table_print(struct ui_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t column = i % t->columns;
		bool last = column + 1 == t->columns;
		int width = last && !t->right[column] ? 0 : width_of(t, column);

		printf(t->right[column] ? "%*s%s" : "%-*s%s", width, t->cells[i],
		       last ? "\n" : "  ");
	}
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct ui_table){ 0 };
}
