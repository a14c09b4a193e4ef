/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pages of a listing become rows. A page is a range of keys (B4): what the rows have in this range
 * and the page has not is gone. A listing without delimiter goes through many directories, one
 * inside the other, and leaves each complete.
 *
 * A range of keys may begin and end inside of a directory, which is then *cut*: it is complete only
 * when all ranges are, and its own row is left to the end of the listing.
 */
#include "fs/attach/bucket_i.h"

/* A directory that is cut, by its key. */
struct cut {
	char *key;
	bool seen; /* there was a key in it */
};
struct cuts {
	struct cut *cut;
	size_t n;
};
/*
 * All directories below the prefix that hold the key, at which a range is cut. last: a key of the
 * range that came already. 0, -ENOMEM.
 */
must_check int cuts_add(struct cuts *cuts, struct span prefix, struct span key, struct span last);
void cuts_release(struct cuts *cuts);

struct frame; /* a directory under way */

struct merge {
	struct bucket *bucket;
	uint64_t root;
	size_t root_len; /* of its prefix, in `path` */
	bool flat;
	bool cut_at_lo;  /* begins after lo */
	struct cuts *cuts;
	struct frame *frames;
	size_t depth, room;
	struct change *change; /* of the page at hand */
	uint64_t asked_ns;
	bool marked;           /* there was a mark in it */
	char lo[STORE_NAME_MAX + 1];
	char path[STORE_NAME_MAX + 1]; /* of the innermost directory */
};

/* lo: NULL: from the root's first key. prefix and lo are no longer than a name. */
void merge_init(struct merge *m, struct bucket *b, uint64_t root, struct span prefix, bool flat,
		const struct span *lo, struct cuts *cuts);
void merge_release(struct merge *m);

struct merge_page {
	const struct list_entry *entries; /* in order, in the range, of names that fit */
	size_t n;
	unsigned mirror;
	uint64_t asked_ns;     /* wall */
	bool last;             /* of the range */
	const struct span *hi; /* where the range ends; NULL: at the root's end */
};
must_check int merge_page(struct merge *m, const struct merge_page *page);
/* All ranges were merged. whole: from the root's first key on. */
must_check int merge_end(struct merge *m, uint64_t asked_ns, bool whole);
