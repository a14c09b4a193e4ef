/* SPDX-License-Identifier: Apache-2.0 */
#include "base/defs.h"

#include <stdio.h>
#include <unistd.h>

/* Deeper than any chain of callers that says fail(), and a power of two. */
#define FAIL_RING 8

struct fail_entry {
	const char *file;
	int line;
	int error;
};

static _Thread_local struct {
	struct fail_entry entries[FAIL_RING];
	unsigned count; /* since the last fail_trace() */
} ring;

int fail_at(int error, const char *file, int line)
{
	ring.entries[ring.count % FAIL_RING] = (struct fail_entry){ file, line, error };
	ring.count++;
	return error;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* One entry at buf + at; answers the new end, never beyond the last byte. */
static size_t print_entry(char *buf, size_t size, size_t at, const struct fail_entry *e, bool first,
			  bool same_error)
{
	const char *name = e->error < 0 ? strerrorname_np(-e->error) : "condition";
	int n;

	if (same_error)
		n = snprintf(buf + at, size - at, " < %s:%d", last_part(e->file), e->line);
	else
		n = snprintf(buf + at, size - at, "%s%s at %s:%d", first ? "" : " < ",
			     name ? name : "unknown error", last_part(e->file), e->line);
	return n < 0 ? at : MIN((size_t)n + at, size - 1);
}

const char *fail_trace(char *buf, size_t size)
{
	unsigned n = MIN(ring.count, (unsigned)FAIL_RING);
	int previous = 0;
	size_t at = 0;

	assert(size > 0);
	buf[0] = '\0';
	for (unsigned i = 1; i <= n; i++) {
		const struct fail_entry *e = &ring.entries[(ring.count - i) % FAIL_RING];

		at = print_entry(buf, size, at, e, i == 1, i > 1 && e->error == previous);
		previous = e->error;
	}
	ring.count = 0;
	return buf;
}

void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
