/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata of objects that others wrote: what is understood of it can be written in each style, and
 * reads the same. The input is lines of NAME VALUE.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/meta.h"

static void same(const struct object_meta *a, const struct object_meta *b)
{
	MUST(a->has == b->has && a->mtime_ns == b->mtime_ns && a->mode == b->mode);
	if (a->has & META_OWNER)
		MUST(a->uid == b->uid && a->gid == b->gid);
	MUST(strcmp(a->symlink, b->symlink) == 0 && strcmp(a->writer, b->writer) == 0);
}

static void write_and_read(const struct object_meta *m, enum meta_style style)
{
	_cleanup_pairs_ struct pairs p = {};
	struct object_meta again = {};

	object_meta_write(m, style, &p);
	MUST(pairs_error(&p) == 0);
	for (size_t i = 0; i < p.n; i++) {
		MUST(!strpbrk(p.items[i].value, "\r\n") || m->symlink[0]);
		object_meta_read(p.items[i].name, p.items[i].value, &again);
	}
	same(m, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, MIN(size, (size_t)4096));
	struct object_meta m = {};

	while (in.len) {
		_cleanup_free_ char *line = text_of(take_line(&in));
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value = '\0';
		object_meta_read(line, value + 1, &m);
	}
	MUST((m.mode & ~07777u) == 0);
	MUST(memchr(m.symlink, 0, sizeof(m.symlink)) && memchr(m.writer, 0, sizeof(m.writer)));
	if (object_meta_is_good(&m))
		for (unsigned style = META_S3; style <= META_GCS; style++)
			write_and_read(&m, style);
	return 0;
}
