/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML of answers: the events nest, and a document that is written from them gives the same events
 * (attributes aside).
 */
#include "tests/fuzz/fuzz.h"

#include "base/xml.h"

#include <ctype.h>

#define LIMIT (1 * MiB)

struct seen {
	struct buf events, document;
	unsigned depth;
	bool plain; /* every name is one also without its namespace */
};

static const char *last_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int on_begin(const char *path, void *arg)
{
	struct seen *s = arg;
	const char *name = last_of(path);

	s->depth++;
	s->plain = s->plain && (isalpha((uint8_t)*name) || *name == '_') && !strchr(name, ':');
	MUST(path[0] == '/' && depth_of(path) == s->depth);
	MUST(buf_addf(&s->events, "begin %s\n", path) == 0);
	MUST(buf_addf(&s->document, "<%s>", name) == 0);
	return 0;
}

static int on_attribute(const char *path, const char *name, const char *value, void *arg)
{
	const struct seen *s = arg;

	MUST(depth_of(path) == s->depth && name && value);
	return 0;
}

static int on_end(const char *path, struct span text, void *arg)
{
	struct seen *s = arg;

	MUST(depth_of(path) == s->depth);
	s->depth--;
	MUST(buf_addf(&s->events, "end %s %zu ", path, text.len) == 0);
	MUST(buf_add_span(&s->events, text) == 0);
	MUST(xml_escape(text, &s->document) == 0);
	MUST(buf_addf(&s->document, "</%s>", last_of(path)) == 0);
	return 0;
}

static int parse(struct span text, struct seen *s)
{
	static const struct xml_handler handler = { on_begin, on_attribute, on_end };

	*s = (struct seen){ BUF_INIT(LIMIT), BUF_INIT(LIMIT), 0, true };
	return xml_parse(text, &handler, s);
}

static void release(struct seen *s)
{
	buf_release(&s->events);
	buf_release(&s->document);
}

static int stop_at_once(const char *path, void *arg)
{
	(*(unsigned *)arg)++;
	return 42;
}

static void stopping(struct span in)
{
	static const struct xml_handler handler = { .begin = stop_at_once };
	unsigned calls = 0;
	const int r = xml_parse(in, &handler, &calls);

	MUST(calls ? calls == 1 && r == 42 : r == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)16384));
	struct seen first, second;
	const int r = parse(in, &first);

	MUST(r == 0 || r == -EBADMSG);
	stopping(in);
	if (r == 0) {
		MUST(first.depth == 0 && first.events.len);
		if (first.plain) {
			MUST(parse(buf_span(&first.document), &second) == 0);
			MUST(span_equal(buf_span(&first.events), buf_span(&second.events)));
			release(&second);
		}
	}
	release(&first);
	return 0;
}
