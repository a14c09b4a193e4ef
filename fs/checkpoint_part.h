/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Parts of a checkpoint: sorted runs of rows in compressed frames. Pure; byte by byte in FORMAT.md.
 *
 * (P1) Rows are sorted by column and key, over all columns. The two as one, the column a byte in
 *      front, are the row's *place*.
 * (P2) Whether a part ends before a row depends on that row alone, but for a limit that hardly any
 *      part reaches. So a change touches the parts around it, and all others stay as they are,
 *      whoever writes them.
 * (P3) A part is known by the hash of its frames before compression: rows decide it, and neither
 *      the compressor nor its version.
 */
#include "fs/ns/apply.h"

#define PART_HASH_SIZE	32
#define PART_MEAN	(1 * MiB) /* of the rows' sizes, place and value */
#define PART_MOST	(8 * MiB)
#define PART_FRAME_SIZE 65536u		/* of a frame before compression, but for one long row */
#define PART_PLACE_MAX	512		/* no place is longer */
#define PART_RAW_MAX	(2 * PART_MOST) /* all frames of a part */
#define PART_PLAIN_MAX	(PART_RAW_MAX + MiB)

/* One part on its way out. */
struct part {
	uint8_t hash[PART_HASH_SIZE];
	uint64_t rows, size; /* size: of the places and values */
	struct buf raw;	     /* its frames, not compressed */
	struct buf frames;   /* uint32_t: length of each */
	struct buf first;    /* place of its first row */
};
struct part *part_free(struct part *p);
DEFINE_CLEANUP(struct part *, part_free)
/* The bytes to be sealed: compressed. Safe on any thread. 0, -ENOMEM, -EIO. */
must_check int part_pack(const struct part *p, struct buf *ret);

/* What a whole checkpoint amounts to. */
struct part_totals {
	struct state_hash hash;
	struct {
		uint64_t rows, size;
	} columns[COL_COUNT];
};

/* Cuts rows into parts. `fn` takes each part; an error of its ends the cutting. */
typedef int part_fn(struct part *takes, void *arg);
struct part_cutter;
must_check int part_cutter_new(part_fn *fn, void *arg, struct part_cutter **ret);
struct part_cutter *part_cutter_free(struct part_cutter *c);
DEFINE_CLEANUP(struct part_cutter *, part_cutter_free)
/* The next row. 0; -EBADMSG: not behind the last one, or longer than a row may be; -ENOMEM. */
must_check int part_cutter_add(struct part_cutter *c, unsigned column, struct span key,
			       struct span value);
/* The last part. */
must_check int part_cutter_end(struct part_cutter *c, struct part_totals *ret);
/* Does a part begin with this row? Its size is that of place and value. (P2) */
bool part_begins(struct state_hash row, size_t size);

/*
 * Every row of a part in order, each checked to stand behind the one before. fn: 0 go on, negative:
 * returned. 0 with the part's hash; -EBADMSG: this is no part; -ENOMEM.
 */
typedef int part_row_fn(unsigned column, struct span key, struct span value, void *arg);
must_check int part_walk(struct span plain, part_row_fn *fn, void *arg,
			 uint8_t ret_hash[PART_HASH_SIZE]);

/* Adds a row to what a checkpoint amounts to. */
void part_totals_add(struct part_totals *t, unsigned column, struct span key, struct span value,
		     struct state_hash row);
bool part_totals_equal(const struct part_totals *a, const struct part_totals *b);
