/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside fs/upkeep/check*.c: the three passes over one state. */
#include "fs/ns/rows.h"
#include "fs/upkeep/check.h"

/* A directory with a name, for its way to the root. */
struct check_dir {
	uint64_t ino, parent;
};

struct check {
	const struct check_options *o;
	struct commit_snapshot *snap;
	struct check_report rep;
	bool has_volume;
	struct volume_row volume; /* without its name */
	struct totals_row totals, counted;
	struct check_dir *dirs; /* rising */
	size_t n_dirs, cap_dirs;
};

void check_found(struct check *c, enum check_rule rule, const char *fmt, ...) printf_like(3, 4);
/*
 * Rows of a column in order, from a key on (or NULL); fn: 0 go on, 1 stop, negative: ends and is
 * returned.
 */
typedef int check_row_fn(struct check *c, struct span key, struct span value, void *arg);
must_check int check_walk(struct check *c, enum column column, struct span from, check_row_fn *fn,
			  void *arg);
/* 0 with the value, borrowed until the column is used again; 1: no such row. */
must_check int check_get(struct check *c, enum column column, struct span key, struct span *ret);

/* Each row by itself, and their sum. */
must_check int check_rows(struct check *c);
/* Inodes with their names, extents and attributes; fills dirs. */
must_check int check_inodes(struct check *c);
/* Chunks with their extents and deficits. */
must_check int check_chunks(struct check *c);
/* Every directory's way up. */
must_check int check_ways(struct check *c);
