/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/check_i.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define WINDOW (512 * 1024)
#define FINDING_MAX 512

static const struct {
	const char *code, *meaning;
} rules[CHECK_RULES] = {
	[CHECK_ROW] = { "R1", "a key or a value is none" },
	[CHECK_HASH] = { "R2", "the sum of the rows is not the state hash" },
	[CHECK_SLOT] = { "R3", "a row is of a slot that the state has not seen" },
	[CHECK_BUCKET] = { "N1", "names of one hash do not stand in the order of their ties" },
	[CHECK_NAME_HASH] = { "N3", "a name does not stand under its hash" },
	[CHECK_ENTRY] = { "D1", "a name does not lead to an inode of its type" },
	[CHECK_PARENT] = { "D2", "a name is in no directory" },
	[CHECK_CHILDREN] = { "D3", "a directory counts its entries wrongly" },
	[CHECK_LINKS] = { "D4", "an inode counts its names wrongly" },
	[CHECK_ONE_NAME] = { "D5", "a directory has not one name, in its parent" },
	[CHECK_REACHABLE] = { "D6", "a directory is not below the root" },
	[CHECK_ORPHAN] = { "D7", "orphans are not the inodes without a name" },
	[CHECK_TOTALS] = { "D8", "the volume's totals are wrong" },
	[CHECK_INO] = { "D9", "an inode's number was never given" },
	[CHECK_XATTR] = { "D10", "an attribute belongs to no inode" },
	[CHECK_EXTENT] = { "X1", "extents overlap, end behind the file, or belong to no file" },
	[CHECK_JOINED] = { "X3", "neighbours that continue each other are two extents" },
	[CHECK_BYTES] = { "X4", "a file counts its bytes wrongly" },
	[CHECK_CHUNK] = { "X5", "an extent is in no chunk" },
	[CHECK_LIVE] = { "K1", "a chunk counts its live bytes wrongly" },
	[CHECK_DEAD] = { "K2", "a chunk is neither dead nor alive" },
	[CHECK_DEFICIT] = { "K3", "a copy is missed that is there, or that nobody wants" },
	[CHECK_MOUNT] = { "M1", "numbers of mounts and blocks contradict each other" },
	[CHECK_RESULT] = { "M2", "a result belongs to no mount" },
};

const char *check_rule_code(enum check_rule r)
{
	return rules[r].code;
}

const char *check_rule_meaning(enum check_rule r)
{
	return rules[r].meaning;
}

void check_found(struct check *c, enum check_rule rule, const char *fmt, ...)
{
	char text[FINDING_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->rep.findings++;
	c->o->found(rule, text, c->o->arg);
}

int check_walk(struct check *c, enum column column, struct span from, check_row_fn *fn, void *arg)
{
	struct kv_iter *it = c->snap->columns[column];

	for (kv_iter_seek(it, from); kv_iter_valid(it); kv_iter_next(it)) {
		int r;

		if (c->o->progress) {
			c->o->progress->done++;
			if (c->o->progress->stop)
				return fail(-ECANCELED);
		}
		r = fn(c, kv_iter_key(it), kv_iter_value(it), arg);
		if (r)
			return r < 0 ? r : 0;
	}
	return kv_iter_error(it);
}

int check_get(struct check *c, enum column column, struct span key, struct span *ret)
{
	struct kv_iter *it = c->snap->columns[column];

	kv_iter_seek(it, key);
	if (!kv_iter_valid(it) || !span_equal(kv_iter_key(it), key)) {
		const int r = kv_iter_error(it);

		return r ? r : 1;
	}
	*ret = kv_iter_value(it);
	return 0;
}

static void check_totals(struct check *c)
{
	const struct totals_row *said = &c->totals, *is = &c->counted;

	if (said->files != is->files)
		check_found(c, CHECK_TOTALS, "files: %" PRIu64 ", counted %" PRIu64, said->files,
			    is->files);
	if (said->directories != is->directories)
		check_found(c, CHECK_TOTALS, "directories: %" PRIu64 ", counted %" PRIu64,
			    said->directories, is->directories);
	if (said->bytes != is->bytes)
		check_found(c, CHECK_TOTALS, "bytes: %" PRIu64 ", counted %" PRIu64, said->bytes,
			    is->bytes);
}

int check_namespace(struct commit_snapshot *snap, const struct check_options *o,
		    struct check_report *ret)
{
	struct check_options options = *o;
	struct check c = { .o = &options, .snap = snap, .rep.slot = snap->mark.slot };
	int r;

	if (!options.window)
		options.window = WINDOW;
	r = check_rows(&c);
	if (!r)
		r = check_inodes(&c);
	if (!r)
		r = check_chunks(&c);
	if (!r)
		r = check_ways(&c);
	free(c.dirs);
	if (r)
		return r;
	check_totals(&c);
	*ret = c.rep;
	return 0;
}
