/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Mirrors of attached buckets that missed a change are made equal again, by the machine that made
 * the change.
 *
 * (M1) What a mirror missed is noted on disk before the change is acknowledged; a note is removed
 *      when the object there was made as it is at a mirror that did not miss it.
 * (M2) A note names a key, not a content: whatever the object has become since, or that it is gone,
 *      is what the mirror gets.
 * (M3) Mirrors that do not answer are not tried; the work goes on by itself when they are back.
 */
#include "backends/replicas.h"
#include "cache/kv.h"

struct mirrors;
struct attached;
struct mirrors_options {
	struct kv *local; /* borrowed */
	/* By the number of an attachment; NULL: it is not attached now, its notes wait. */
	struct attached *(*find)(unsigned number, void *arg);
	void *arg;
	uint64_t deadline_ns; /* of one request */
};
must_check int mirrors_new(const struct mirrors_options *o, struct mirrors **ret);
struct mirrors *mirrors_free(struct mirrors *m);
DEFINE_CLEANUP(struct mirrors *, mirrors_free)

/* (M1) stores: bit set of those that missed it. 0, -EIO, -ENOSPC, -ENOMEM. */
must_check int mirrors_note(struct mirrors *m, unsigned number, const char *key, uint64_t stores);
/* Notes that are left, of one attachment. */
uint64_t mirrors_left(struct mirrors *m, unsigned number);
