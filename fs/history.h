/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What was done, from the journal's records at the stores: read again, for people and for what
 * follows the changes. Each call has a reader of its own, so any thread may ask.
 */
#include "fs/volume.h"

enum history_cond { HISTORY_GONE = 1 /* the journal no longer has the slot */ };

struct history_op {
	uint64_t slot, recorded_ns; /* of its record: when by its author's clock */
	const uint8_t *mount;       /* incarnation of who asked for it */
	const struct op *op;
};
/* 0 go on; 1: no slot after this one; negative: ends it and is returned. */
typedef int history_fn(const struct history_op *op, void *arg);
/*
 * The operations of the slots from `from` on, at most `max` slots, up to the one that this mount
 * has applied. *ret_position: the first slot not given, from where to go on. Operations that failed
 * when their turn came are among them. 0; HISTORY_GONE; -EIO, -ETIMEDOUT, -EBADMSG, -ENOMEM.
 */
must_check int history_read(struct volume *v, uint64_t from, uint64_t max, uint64_t deadline_ns,
			    history_fn *fn, void *arg, uint64_t *ret_position);
/* The first slot that the journal has whose record is not older than this. 0, errors as above. */
must_check int history_find(struct volume *v, uint64_t time_ns, uint64_t deadline_ns,
			    uint64_t *ret_slot);

/*
 * The paths of what operations name, as they are known: of names that were given within what was
 * read, as they were then; of all else, as they are now.
 */
struct history_paths;
/* NULL: no memory. The volume is borrowed. */
struct history_paths *history_paths_new(struct volume *v);
struct history_paths *history_paths_free(struct history_paths *p);
DEFINE_CLEANUP(struct history_paths *, history_paths_free)
/* An operation gave or took a name: what comes later is called so. 0, -ENOMEM. */
must_check int history_paths_note(struct history_paths *p, const struct op *op);
/* Of a name in a directory, of an inode. Appends "/a/b". 0; NS_MISSING; -EIO, -ENOMEM. */
must_check int history_path(struct history_paths *p, uint64_t parent, struct span name,
			    struct buf *ret);
must_check int history_path_of(struct history_paths *p, uint64_t ino, struct buf *ret);
/* Names of files are not kept in them: reads the volume's names once for all that are wanted. */
must_check int history_paths_want(struct history_paths *p, uint64_t ino);
must_check int history_paths_find(struct history_paths *p);
