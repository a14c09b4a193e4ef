/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line by line. A comment inside a line needs a blank before it, so that a URL or a path may
 * hold ; and #; a value in double quotes is taken as it is.
 */
#include "base/ini.h"
#include "base/buf.h"

#include <fcntl.h>
#include <unistd.h>

#define FILE_MAX (1 * MiB)

struct parse {
	ini_fn *fn;
	void *arg;
	struct buf section, line; /* C strings */
	int number;		  /* of the line, from 1 */
	int section_number;	  /* where the section began; 0: before the first */
	bool section_has_keys;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Without the blanks around it; cuts in place. */
static char *trim(char *s)
{
	char *end;

	while (is_blank(*s))
		s++;
	end = s + strlen(s);
	while (end > s && is_blank(end[-1]))
		end--;
	*end = '\0';
	return s;
}

static bool is_comment(char c)
{
	return c == ';' || c == '#';
}

/* Ends s where a comment begins. */
static void cut_comment(char *s)
{
	for (char *at = s; *at; at++) {
		if (is_comment(*at) && (at == s || is_blank(at[-1]))) {
			*at = '\0';
			return;
		}
	}
}

/* What stands between quotes with nothing but a comment behind; NULL: an open quote, or more. */
static char *unquote(char *s)
{
	char *end = strchr(s + 1, '"');

	if (!end)
		return NULL;
	*end = '\0';
	cut_comment(end + 1);
	return *trim(end + 1) ? NULL : s + 1;
}

static int end_section(struct parse *p)
{
	if (!p->section_number || p->section_has_keys)
		return 0;
	return p->fn((const char *)p->section.data, NULL, NULL, p->section_number, p->arg);
}

/* line: "[name" and so on, trimmed. */
static int begin_section(struct parse *p, char *line)
{
	char *end = strchr(line, ']'), *name;
	int r;

	if (!end)
		return fail(-EBADMSG);
	*end = '\0';
	cut_comment(end + 1);
	name = trim(line + 1);
	if (!*name || *trim(end + 1))
		return fail(-EBADMSG);
	r = end_section(p);
	if (r < 0)
		return r;
	buf_clear(&p->section);
	r = buf_add(&p->section, name, strlen(name) + 1);
	p->section_number = p->number;
	p->section_has_keys = false;
	return r;
}

static int key_and_value(struct parse *p, char *line)
{
	char *equals = strchr(line, '='), *name, *value;

	if (!equals)
		return fail(-EBADMSG);
	*equals = '\0';
	name = trim(line);
	value = trim(equals + 1);
	if (*value == '"') {
		value = unquote(value);
	} else {
		cut_comment(value);
		value = trim(value);
	}
	if (!*name || !value)
		return fail(-EBADMSG);
	p->section_has_keys = true;
	return p->fn((const char *)p->section.data, name, value, p->number, p->arg);
}

static int parse_line(struct parse *p, struct span text)
{
	char *line;
	int r;

	if (text.len && memchr(text.data, '\0', text.len))
		return fail(-EBADMSG);
	buf_clear(&p->line);
	r = buf_add_span(&p->line, text);
	if (!r)
		r = buf_add_byte(&p->line, '\0');
	if (r)
		return r;
	line = trim((char *)p->line.data);
	if (!*line || is_comment(*line))
		return 0;
	return *line == '[' ? begin_section(p, line) : key_and_value(p, line);
}

static struct span take_line(struct span *rest)
{
	const uint8_t *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
	struct span line = span_sub(*rest, 0, end ? (size_t)(end - rest->data) : SIZE_MAX);

	*rest = span_sub(*rest, line.len + 1, SIZE_MAX);
	return line;
}

static int parse_lines(struct parse *p, struct span rest)
{
	int r;

	if (span_starts(rest, SPAN_LITERAL("\xef\xbb\xbf"))) /* some editors' byte order mark */
		rest = span_sub(rest, 3, SIZE_MAX);
	r = buf_add_byte(&p->section, '\0');
	for (p->number = 1; rest.len && r >= 0; p->number++) {
		r = parse_line(p, take_line(&rest));
		if (r < 0)
			return r;
	}
	return r < 0 ? r : end_section(p);
}

int ini_parse(struct span text, ini_fn *fn, void *arg, int *ret_line)
{
	struct parse p = {
		.fn = fn,
		.arg = arg,
		.section = BUF_INIT(text.len + 1),
		.line = BUF_INIT(text.len + 1),
	};
	int r = parse_lines(&p, text);

	if (r < 0)
		*ret_line = p.number;
	buf_release(&p.section);
	buf_release(&p.line);
	return r < 0 ? r : 0;
}

static int read_all(int fd, struct buf *ret)
{
	uint8_t part[4096];
	ssize_t n;
	int r = 0;

	do {
		n = read(fd, part, sizeof(part));
		if (n > 0)
			r = buf_add(ret, part, n);
	} while (!r && (n > 0 || (n < 0 && errno == EINTR)));
	return n < 0 ? fail(-errno) : r;
}

int ini_read(const char *file, ini_fn *fn, void *arg, int *ret_line)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf text = BUF_INIT(FILE_MAX);
	int r;

	*ret_line = 0;
	if (fd < 0)
		return fail(-errno);
	r = read_all(fd, &text);
	return r ? r : ini_parse(buf_span(&text), fn, arg, ret_line);
}
