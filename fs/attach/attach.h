/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The attached buckets of a mount: each a directory of its name in the mount's root. They come and
 * go while the mount is there.
 *
 * (A1) An attachment keeps its number, and with it its inode numbers, as long as its name is in use
 *      on this machine; another bucket under the same name begins anew (bucket.h).
 * (A2) What was handed out stays valid until attach_free(): one that was removed is found no more,
 *      and whoever reads or writes in it goes on. Added again as it was, it is the same one.
 */
#include "fs/attach/bucket.h"
#include "fs/attach/object.h"

/* What is to be attached. */
struct attach_spec {
	const char *name;
	const char *const *urls; /* of its stores */
	size_t n_urls;
	bool of_volume;          /* every mount of the volume shows it; else this machine alone */
	bool read_only;
	uint64_t ttl_ns;
	const char *refused;     /* why none of its stores can be opened here, or NULL */
};

struct attach;
struct attached {
	struct attach *owner;
	char *name;
	char *identity; /* the URLs of its stores */
	char *refused;  /* it is shown, and everything in it is -EACCES; or NULL */
	bool of_volume, read_only;
	uint64_t ttl_ns;
	unsigned number;
	bool removed;   /* under the owner's lock */
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
/*
 * Adds one; by one task at a time. Takes the stores, one for each URL or none, also on failure. 0;
 * -EEXIST; -ENOMEM, -EIO, -ENOSPC.
 */
must_check int attach_add(struct attach *a, const struct attach_spec *spec,
			  struct store *const *takes);
/* (A2) By the same task. */
void attach_remove(struct attach *a, struct attached *one);

bool attach_any(const struct attach *a);
/* The one with the next number after `number` (0: the first), or NULL. */
struct attached *attach_next(struct attach *a, unsigned number);
struct attached *attach_find(struct attach *a, struct span name); /* or NULL */
/* By an inode number of it, or NULL. */
struct attached *attach_of(struct attach *a, uint64_t ino);
/* Is it exactly what the spec says, its being refused aside? */
bool attached_is(const struct attached *one, const struct attach_spec *spec);
/*
 * A path from the mount's root: the attachment that its first name is, and the entry (may wait for
 * the store). 0, -ENOENT, -ENOTDIR, -EIO, ...
 */
must_check int attach_path(struct attach *a, const char *path, struct attached **ret,
			   struct bucket_entry *ret_entry);
/* Stores that missed a change of the key (bit set; 0: none): noted, and made up later. */
must_check int attach_missed(struct attached *one, const char *key, uint64_t stores);
/* Notes of it that are left. */
uint64_t attach_missing(const struct attached *one);
struct objects *attach_objects(const struct attach *a);
struct unfinished *attach_unfinished(const struct attach *a);
