/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: a file that is written from what was read says the same. */
#include "tests/fuzz/fuzz.h"

#include "base/ini.h"

#define LIMIT (1 * MiB)

struct seen {
	struct buf events, file;
	struct buf section; /* of the last key */
	int line, stop_at;
};

static int on_key(const char *section, const char *name, const char *value, int line, void *arg)
{
	struct seen *s = arg;
	const bool same = name && s->section.len && strcmp(buf_str(&s->section), section) == 0;

	MUST(line >= s->line);
	s->line = line;
	if (line == s->stop_at)
		return -ECANCELED;
	MUST(buf_addf(&s->events, "[%s] %s = %s\n", section, name ? name : "",
		      value ? value : "") == 0);
	if (section[0] && !same)
		MUST(buf_addf(&s->file, "[%s]\n", section) == 0);
	buf_clear(&s->section);
	if (!name)
		return 0;
	MUST(buf_add_str(&s->section, section) == 0);
	/* A value with a quote in it was not in quotes. */
	return buf_addf(&s->file, strchr(value, '"') ? "%s=%s\n" : "%s=\"%s\"\n", name, value);
}

static int parse(struct span text, int stop_at, struct seen *s, int *ret_line)
{
	*s = (struct seen){ BUF_INIT(LIMIT), BUF_INIT(LIMIT), BUF_INIT(LIMIT), 0, stop_at };
	MUST(buf_add_str(&s->file, "; again\n") == 0);
	return ini_parse(text, on_key, s, ret_line);
}

static void release(struct seen *s)
{
	buf_release(&s->events);
	buf_release(&s->file);
	buf_release(&s->section);
}

static void stopping(struct span in, int at)
{
	struct seen s;
	int line = 0;

	MUST(parse(in, at, &s, &line) == -ECANCELED && line >= at);
	release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)16384));
	struct seen first, second;
	int line = -1;
	const int r = parse(in, 0, &first, &line);

	MUST(r == 0 ? line == -1 : r == -EBADMSG && line > 0);
	if (r == 0) {
		MUST(parse(buf_span(&first.file), 0, &second, &line) == 0);
		MUST(span_equal(buf_span(&first.events), buf_span(&second.events)));
		release(&second);
		if (first.line)
			stopping(in, first.line);
	}
	release(&first);
	return 0;
}
