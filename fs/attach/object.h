/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading objects of an attached bucket: one version of an object, by pieces of 1 MiB that are
 * fetched once, sealed for this machine, and kept in memory and on disk like those of the volume.
 *
 * (O1) A handle reads one version: the one that was listed when it was opened. Every request is
 *      conditional on it. If the object is another one now, or gone, what was not fetched before is
 *      ESTALE; never a mixture. When the listing has no version, the store is asked for one before
 *      the first byte, and believed if size and time are as listed. Where there are no versions at
 *      all, every answer must have the listed size and time (in seconds): a replacement of the same
 *      size in the same second is not noticed.
 * (O2) A piece is named by a hash of the attachment, the key, the size and the version (or time),
 *      so that an object that changed is never answered from the cache.
 * (O3) A piece at rest is sealed with a key of this machine. One that does not open is fetched
 *      again.
 * (O4) Mirrors: a store is read only when its object has the same size, and the same MD5 if both
 *      tell one, and under the version that was found there; a difference is logged, and that
 *      mirror is left alone for this handle. A mirror that was found after the opening is the
 *      second choice until it was seen beside the listed version, and no choice once that is
 *      replaced (object_mirror.c says more).
 */
#include "cache/pieces.h"
#include "fs/attach/bucket.h"
#include "fs/seal.h"

struct objects; /* the reading service of all attachments of a mount */
struct object;  /* an open object; shared by its handles */

enum object_cond { OBJECT_WOULD_WAIT = 1 };
enum object_wait { OBJECT_NO_WAIT, OBJECT_WAIT };

struct objects_options {
	struct pieces *pieces;  /* borrowed */
	struct sealer *sealer;  /* borrowed: of this machine (O3) */
	uint64_t memory_bytes;  /* the mount's budget; read-ahead gets 30 % */
	uint64_t deadline_ns;   /* how long a read tries before it fails */
	/* how long, at least, before a mirror of second choice is read as well (O4); 0: 1 s */
	uint64_t patience_ns;
};
must_check int objects_new(const struct objects_options *o, struct objects **ret);
struct objects *objects_free(struct objects *s); /* every object was closed */
DEFINE_CLEANUP(struct objects *, objects_free)

/*
 * Opens what the entry names; asks nobody. identity: of the attachment, with its stores. replicas:
 * borrowed, until the service is freed; the first MIRRORS_MAX of them are used. One open object per
 * (attachment, key, version), counted. 0, -ENOMEM.
 */
must_check int object_open(struct objects *s, const char *identity, struct replicas *replicas,
			   const struct bucket_entry *e, struct object **ret);
struct object *object_ref(struct object *o); /* one more handle */
void object_close(struct object *o);

/*
 * Reads up to len bytes at off into dst; *ret_len is less at the end only. With OBJECT_NO_WAIT it
 * takes what is in memory or on disk, or answers OBJECT_WOULD_WAIT: call again with OBJECT_WAIT,
 * from a pool. 0, -ESTALE (O1), -EIO, -EACCES, -ETIMEDOUT, -ENOMEM.
 */
must_check int object_read(struct object *o, uint64_t off, size_t len, enum object_wait wait,
			   uint8_t *dst, size_t *ret_len);
/* Reads [off, off + len), which is within the object, past the cache into the empty *ret. Waits. */
must_check int object_fetch(struct object *o, uint64_t off, size_t len, struct buf *ret);
uint64_t object_size(const struct object *o);
/*
 * True once a read found another object in its place, or none (O1), at any store: the listing is to
 * be doubted. Reads may succeed even so, from what is near or from a mirror.
 */
bool object_changed(const struct object *o);
