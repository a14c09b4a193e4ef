/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Is a namespace what its invariants say? Every row of one state is read and compared with the
 * others; nothing is changed. The letters are those of fs/ns/: dentry.h (N), extent.h (X), chunk.h
 * (K), and of README.md there.
 *
 * Memory is bounded whatever the size: inodes and chunks are counted a window at a time, and the
 * rows that refer to them are walked once for each window. Directories alone stay in memory,
 * sixteen bytes each.
 */
#include "fs/commit.h"
#include "fs/upkeep/progress.h"

enum check_rule {
	CHECK_ROW,       /* R1: a key or a value that is none */
	CHECK_HASH,      /* R2: the sum of the rows */
	CHECK_SLOT,      /* R3: a row of a later slot than the state's */
	CHECK_BUCKET,    /* N1 */
	CHECK_NAME_HASH, /* N3 */
	CHECK_ENTRY,     /* D1: a name leads to an inode of its type */
	CHECK_PARENT,    /* D2: a name is in a directory */
	CHECK_CHILDREN,  /* D3: children and subdirs */
	CHECK_LINKS,     /* D4: nlink */
	CHECK_ONE_NAME,  /* D5: a directory has one name, and its parent */
	CHECK_REACHABLE, /* D6: every directory is below the root */
	CHECK_ORPHAN,    /* D7: without a name, with a row in `orphan` */
	CHECK_TOTALS,    /* D8 */
	CHECK_INO,       /* D9: an inode's number is of a block that was given */
	CHECK_XATTR,     /* D10: an attribute of an inode that there is */
	CHECK_EXTENT,    /* X1 */
	CHECK_JOINED,    /* X3 */
	CHECK_BYTES,     /* X4 */
	CHECK_CHUNK,     /* X5: an extent lies within a chunk that there is */
	CHECK_LIVE,      /* K1 */
	CHECK_DEAD,      /* K2 */
	CHECK_DEFICIT,   /* K3 */
	CHECK_MOUNT,     /* M1: numbers of mounts and blocks */
	CHECK_RESULT,    /* M2: a result of a mount that there is */
	CHECK_RULES,
};
const char *check_rule_code(enum check_rule r);   /* "N1" */
const char *check_rule_meaning(enum check_rule r); /* a short sentence */

/* One thing that is wrong; `text` says where, and is borrowed for the call. */
typedef void check_found_fn(enum check_rule rule, const char *text, void *arg);

struct check_options {
	size_t window;             /* inodes or chunks counted at once; 0: 512 Ki */
	struct progress *progress; /* borrowed, or NULL */
	check_found_fn *found;
	void *arg;
};
struct check_report {
	uint64_t slot;
	struct state_hash hash; /* of the rows as they were found */
	uint64_t rows, findings;
	uint64_t inodes, chunks;
};
/*
 * Reads a snapshot through, several times. 0, whatever was found; -ECANCELED; -ENOMEM; -EIO,
 * -EBADMSG: the database itself cannot be read.
 */
must_check int check_namespace(struct commit_snapshot *snap, const struct check_options *o,
			       struct check_report *ret);
