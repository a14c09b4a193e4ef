/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The attached buckets of a mount: each a directory of its name in the mount's root.
 *
 * (A1) An attachment keeps its number, and with it its inode numbers, as long as its name is in use
 *      on this machine; another bucket under the same name begins anew (bucket.h).
 */
#include "fs/attach/bucket.h"
#include "fs/attach/object.h"

struct attach;
struct attached {
	struct attach *owner;
	char *name;
	char *identity; /* the URLs of its stores */
	bool read_only;
	uint64_t ttl_ns;
	unsigned number;
	struct replicas *replicas;
	struct bucket *bucket;
};

struct attach_options {
	const char *dir;        /* the cache folder: local/ is in it */
	struct pieces *pieces;  /* borrowed */
	struct sealer *sealer;  /* borrowed */
	uint64_t memory_bytes, deadline_ns;
};
/* 0; -EBUSY, -EIO, -ENOSPC, -ENOMEM. */
must_check int attach_new(const struct attach_options *o, struct attach **ret);
struct attach *attach_free(struct attach *a); /* no object is open */
DEFINE_CLEANUP(struct attach *, attach_free)
/* Adds one before the mount answers. Takes the stores, also on failure. 0, -ENOMEM, -EIO. */
must_check int attach_add(struct attach *a, const char *name, struct store *const *takes, size_t n,
			  bool read_only, uint64_t ttl_ns);

size_t attach_count(const struct attach *a);
struct attached *attach_at(const struct attach *a, size_t i);
struct attached *attach_find(const struct attach *a, struct span name); /* or NULL */
/* By an inode number of it, or NULL. */
struct attached *attach_of(const struct attach *a, uint64_t ino);
/*
 * A path from the mount's root: the attachment that its first name is, and the entry (may wait for
 * the store). 0, -ENOENT, -ENOTDIR, -EIO, ...
 */
must_check int attach_path(const struct attach *a, const char *path, struct attached **ret,
			   struct bucket_entry *ret_entry);
/* Stores that missed a change of the key (bit set; 0: none): noted, and made up later. */
must_check int attach_missed(struct attached *one, const char *key, uint64_t stores);
/* Notes of it that are left. */
uint64_t attach_missing(const struct attached *one);
struct objects *attach_objects(const struct attach *a);
