/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An object that is being written: what is there now stays until the whole new object is published,
 * at close or fsync, under the condition that it still is what was opened.
 *
 * (F1) Nothing of a draft is visible in the bucket before draft_publish() succeeds, and then all.
 * (F2) The condition is the version that was opened, or that there is none: a lost race is -ESTALE
 *      (-EEXIST for O_EXCL), and the other's object stays.
 * (F3) A small draft is in memory and may be written anywhere. One that grows beyond DRAFT_WHOLE
 *      in one run from its beginning is uploaded by parts while it is written; from then on it
 *      can only be appended to, and what was sent cannot be read.
 * (F4) What is not published is dropped at the store, too: no parts are left behind.
 * (F5) Mirrors: every store gets the whole object; published is what at least one has. Which lack
 *      it is answered, for the repair.
 */
#include "backends/replicas.h"
#include "backends/upload.h"
#include "base/budget.h"
#include "fs/attach/bucket.h"

#define DRAFT_WHOLE (32 * MiB)

enum draft_cond {
	DRAFT_WOULD_WAIT = 1, /* needs the network or memory: again where it may wait */
};
enum draft_wait { DRAFT_NO_WAIT, DRAFT_WAIT };

struct draft_options {
	struct replicas *replicas;  /* borrowed */
	const char *key;
	const struct bucket_entry *base; /* what is there; NULL: nothing */
	bool excl;                  /* O_EXCL, for the errno of a lost race */
	uint64_t deadline_ns;       /* of one publication and of one wait for memory, relative */
	struct budget *budget;      /* borrowed: the memory of all drafts */
};
struct draft;
must_check int draft_new(const struct draft_options *o, struct draft **ret);
/* What was not published is gone (F4); may wait for the stores. */
struct draft *draft_free(struct draft *d);
DEFINE_CLEANUP(struct draft *, draft_free)

/* The new contents begin with those of the object: read by the caller, at most DRAFT_WHOLE. */
must_check int draft_load(struct draft *d, struct span bytes);
/*
 * 0; DRAFT_WOULD_WAIT; -EOPNOTSUPP (F3); -ESTALE, -EIO, -ENOMEM: then it stays failed. append: at
 * the end, wherever that is.
 */
must_check int draft_write(struct draft *d, uint64_t off, struct span bytes, bool append,
			   enum draft_wait wait);
must_check int draft_truncate(struct draft *d, uint64_t size, enum draft_wait wait);
/* -EOPNOTSUPP: those bytes were sent (F3). */
must_check int draft_read(struct draft *d, uint64_t off, size_t len, uint8_t *dst, size_t *ret_len);
uint64_t draft_size(struct draft *d);
uint64_t draft_modified_s(struct draft *d);
bool draft_dirty(struct draft *d);
/* chmod, chown, utimes before the publication. */
void draft_meta(struct draft *d, const struct object_meta *m);
/*
 * Publishes and waits. Nothing to publish: 0 with *ret as it was. 0 with size, time and versions in
 * *ret, and the stores that lack it in *ret_lacking; -ESTALE, -EEXIST (F2); -EIO, -EACCES, -ENOSPC,
 * -ETIMEDOUT.
 */
must_check int draft_publish(struct draft *d, struct bucket_entry *ret, uint64_t *ret_lacking);
