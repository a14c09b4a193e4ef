/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every directory's way up ends at the root. A parent that does not exist is found elsewhere; what
 * is left is a ring of directories that name each other, which no count betrays.
 */
#include <inttypes.h>

#include "fs/upkeep/check_i.h"

enum way { WAY_UNKNOWN, WAY_WALKED, WAY_GOOD, WAY_BAD };

static int by_ino(const void *a, const void *b)
{
	const struct check_dir *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* dirs rise. SIZE_MAX: there is none of that number. */
static size_t place_of(const struct check *c, uint64_t ino)
{
	const struct check_dir key = { .ino = ino };
	const struct check_dir *d = bsearch(&key, c->dirs, c->n_dirs, sizeof(key), by_ino);

	return d ? (size_t)(d - c->dirs) : SIZE_MAX;
}

/* Walks up from a directory until something is known, then writes it along the same way. */
static enum way walk_up(const struct check *c, uint8_t *ways, size_t from)
{
	enum way end = WAY_UNKNOWN;
	size_t at = from;

	while (end == WAY_UNKNOWN) {
		if (at == SIZE_MAX || ways[at] == WAY_WALKED || ways[at] == WAY_BAD)
			end = WAY_BAD;
		else if (c->dirs[at].ino == ROOT_INO || ways[at] == WAY_GOOD)
			end = WAY_GOOD;
		else {
			ways[at] = WAY_WALKED;
			at = place_of(c, c->dirs[at].parent);
		}
	}
	for (at = from; at != SIZE_MAX && ways[at] == WAY_WALKED;
	     at = place_of(c, c->dirs[at].parent))
		ways[at] = (uint8_t)end;
	return end;
}

int check_ways(struct check *c)
{
	uint8_t *ways = calloc(c->n_dirs + 1, sizeof(*ways));

	if (!ways)
		return fail(-ENOMEM);
	for (size_t i = 0; i < c->n_dirs; i++)
		if (walk_up(c, ways, i) == WAY_BAD)
			check_found(c, CHECK_REACHABLE, "directory %" PRIu64, c->dirs[i].ino);
	free(ways);
	return 0;
}
