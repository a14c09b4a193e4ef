/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Uploads that were begun and not ended: noted on this machine, so that the parts that a program
 * leaves behind when it is killed do not stay with the provider.
 *
 * (L1) An upload is noted before its first part is sent, and the note goes when it was published or
 *      aborted.
 * (L2) What an earlier process has noted is aborted by the next one that has the same bucket
 *      attached, as soon as its store answers; so is what this one could not abort.
 * (L3) Only where an upload has a name that outlives the process (S3, GCS). Azure has nothing to
 *      abort, and drops the parts itself after a week.
 */
#include "backends/upload.h"
#include "cache/kv.h"

struct unfinished;
struct attached;
struct unfinished_options {
	struct kv *local; /* borrowed */
	/* By the number of an attachment; NULL: it is not attached now, its notes wait. */
	struct attached *(*find)(unsigned number, void *arg);
	void *arg;
};
must_check int unfinished_new(const struct unfinished_options *o, struct unfinished **ret);
struct unfinished *unfinished_free(struct unfinished *u);
DEFINE_CLEANUP(struct unfinished *, unfinished_free)

/*
 * (L1) *ret is the note; 0 where none is needed. store: its number among the attachment's. When the
 * note cannot be written, that is logged, and *ret is 0.
 */
void unfinished_begun(struct unfinished *u, const struct attached *a, unsigned store,
		      const struct store_upload *upload, uint64_t *ret);
/* Published or aborted; or, when it could be neither, left to (L2). note 0: nothing. */
void unfinished_ended(struct unfinished *u, uint64_t note);
void unfinished_left(struct unfinished *u, uint64_t note);
