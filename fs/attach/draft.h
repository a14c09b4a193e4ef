/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An object that is being written: what is there now stays until the whole new object is published,
 * at close or fsync, under the condition that it still is what was opened.
 *
 * (F1) Nothing of a draft is visible in the bucket before draft_publish() succeeds, and then all.
 * (F2) The condition is the version that was opened, or that there is none: a lost race is -ESTALE
 *      (-EEXIST for O_EXCL), and the other's object stays.
 * (F3) What was written is kept in blocks (scratch.h), and what was not shows the object below. Up
 *      to DRAFT_WHOLE the whole is one request. A larger one goes by parts, and parts that nobody
 *      touched are copied inside the store, where it does that; else they are read and sent again.
 * (F4) What is not published is dropped at the store, too: no parts are left behind, not even by a
 *      program that is killed (unfinished.h).
 * (F5) Mirrors: every store gets the whole object; published is what at least one has. Which lack
 *      it is answered, for the repair.
 * (F6) Who only writes at the end of a large one sends parts while it is written. They can still be
 *      changed or read as long as the blocks are kept: DRAFT_KEPT bytes, if the disk has the room.
 */
#include "backends/replicas.h"
#include "backends/upload.h"
#include "base/budget.h"
#include "fs/attach/object.h"
#include "fs/attach/scratch.h"
#include "fs/attach/unfinished.h"

#define DRAFT_WHOLE (32 * MiB)
#define DRAFT_KEPT (512 * MiB)
#define DRAFT_HOLE GiB /* the longest hole, which is sent as zeros */

enum draft_cond {
	DRAFT_WOULD_WAIT = 1, /* needs the network or memory: again where it may wait */
	DRAFT_WITH_NEXT,      /* it will be published together with what is to be published */
};
enum draft_wait { DRAFT_NO_WAIT, DRAFT_WAIT };

struct draft_options {
	struct replicas *replicas;  /* borrowed */
	struct objects *objects;    /* borrowed: reads what is there */
	const char *identity;       /* borrowed: of the attachment, with its stores */
	const char *key;
	const struct bucket_entry *base; /* what is there; NULL: nothing */
	bool keep;                  /* the contents begin as those of base */
	bool excl;                  /* O_EXCL, for the errno of a lost race */
	uint64_t deadline_ns;       /* of one publication and of one wait for memory, relative */
	const char *dir;            /* of the blocks that leave memory; NULL: they must not */
	struct budget *memory, *disk; /* borrowed: of all drafts */
	struct unfinished *unfinished; /* borrowed; NULL: nothing is noted */
	const struct attached *attached; /* borrowed; with unfinished */
};
struct draft;
must_check int draft_new(const struct draft_options *o, struct draft **ret);
/* What was not published is gone (F4); may wait for the stores. */
struct draft *draft_free(struct draft *d);
DEFINE_CLEANUP(struct draft *, draft_free)

/*
 * 0; DRAFT_WOULD_WAIT; -EOPNOTSUPP (F6); -EFBIG: more than the stores take, or a longer hole;
 * -ESTALE: what was opened is not there any more; -EIO, -ENOSPC, -ENOMEM: then it stays failed, and
 * is not published. append: at the end, wherever that is.
 */
must_check int draft_write(struct draft *d, uint64_t off, struct span bytes, bool append,
			   enum draft_wait wait);
must_check int draft_truncate(struct draft *d, uint64_t size, enum draft_wait wait);
/* May wait. As draft_write. */
must_check int draft_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst, size_t *ret_len);
uint64_t draft_size(struct draft *d);
uint64_t draft_modified_s(struct draft *d);
bool draft_dirty(struct draft *d);
/*
 * chmod, chown, utimes: DRAFT_WITH_NEXT, when there is something to publish; else at the stores at
 * once, and as draft_publish. -EFBIG: a store cannot do that with so large an object.
 */
must_check int draft_describe(struct draft *d, const struct object_meta *m,
			      struct bucket_entry *ret, uint64_t *ret_lacking);
/*
 * Publishes and waits. Mode, owner and type of what was there stay, where nobody changed them.
 * Nothing to publish: 0 with *ret as it was. 0 with size, time and versions in *ret, and the stores
 * that lack it in *ret_lacking; -ESTALE, -EEXIST (F2); -EIO, -EACCES, -ENOSPC, -ETIMEDOUT.
 */
must_check int draft_publish(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking);
