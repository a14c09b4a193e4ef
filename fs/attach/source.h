/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Contents of files that are objects of somebody's bucket: reading what a reference
 * (fs/ns/foreign.h) names, with the credentials that this machine has for its bucket.
 *
 * (G1) Bytes are of the version that the reference names, or there are none: an object that is
 *      another one now, or gone, is -EIO, and one line of the log says its key.
 * (G2) The bucket is opened when something of it is first read, by whoever may wait. What cannot be
 *      opened or read is tried again, after a while; meanwhile readers get the error, not a wait.
 * (G3) An open object is kept for a while after its last read: a stream goes on where it was.
 */
#include "fs/attach/object.h"
#include "fs/ns/foreign.h"

struct sources;
struct sources_options {
	struct pieces *pieces;  /* borrowed */
	struct sealer *sealer;  /* borrowed */
	uint64_t memory_bytes, deadline_ns;
	/* The URL of a source: 0, appended; positive: there is none; -errno. */
	int (*url)(uint32_t number, struct buf *ret, void *arg);
	/* Its store, as this machine may reach it (config_open_store). */
	int (*open)(const char *url, struct store **ret, char *err, size_t err_size, void *arg);
	void *arg;
};
must_check int sources_new(const struct sources_options *o, struct sources **ret);
struct sources *sources_free(struct sources *s);
DEFINE_CLEANUP(struct sources *, sources_free)

/*
 * Reads exactly [off, off + len) of the object into dst. OBJECT_WOULD_WAIT as of object_read. 0;
 * -EIO (G1), -EACCES, -ETIMEDOUT, -ENOMEM.
 */
must_check int sources_read(struct sources *s, struct span reference, uint64_t off, size_t len,
			    enum object_wait wait, uint8_t *dst);
/* The same past this machine's cache, into the empty *ret. Waits. */
must_check int sources_fetch(struct sources *s, struct span reference, uint64_t off, size_t len,
			     struct buf *ret);
/*
 * The store of a source, opened if need be (waits); borrowed until the sources are freed. 0, or
 * -errno with a sentence in err.
 */
must_check int sources_store(struct sources *s, uint32_t number, struct store **ret, char *err,
			     size_t err_size);
