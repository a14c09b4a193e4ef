/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Changes of an attached bucket that are one request each: remove, make a directory's marker, move
 * an object. Each waits for the stores; what they did is remembered in the listing.
 *
 * (C1) Conditional on what was listed: what somebody else changed since stays, and is -ESTALE.
 * (C2) A move is a copy inside the store and then a removal: a crash between leaves both, one
 *      within the copy the old one alone (unfinished.h).
 * (C3) Mirrors: the first one decides; what another one missed is noted, and made up later.
 */
#include "fs/attach/attach.h"

/* 0; -ESTALE (C1), -EIO, -EACCES, -ETIMEDOUT. */
must_check int change_remove(struct attached *a, const struct bucket_entry *e,
			     uint64_t deadline_ns);
/* key ends in '/'. -EEXIST. */
must_check int change_make_dir(struct attached *a, const char *key, uint64_t deadline_ns);
/* An empty directory: its marker, if it has one. */
must_check int change_remove_dir(struct attached *a, const struct bucket_entry *e,
				 uint64_t deadline_ns);
/*
 * Copies to `to_key`, over `over` (NULL: nothing may be there), and removes the old one. The new
 * object's versions in *ret. What is larger than the store copies at once it copies by parts;
 * -EXDEV: it does not. -EEXIST, -ESTALE.
 */
must_check int change_move(struct attached *a, const struct bucket_entry *e, const char *to_key,
			   const struct bucket_entry *over, uint64_t deadline_ns,
			   struct bucket_entry *ret);
