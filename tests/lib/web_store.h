/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the stand-in server holds: buckets of objects, in memory, under one lock.
 *
 * 1. An object never changes; replacing one puts another in its place. Who holds a reference may
 *    send its bytes without the lock.
 * 2. A condition is judged and the change made under one hold of the lock, so of several
 *    conditional writes exactly one wins.
 * 3. A bucket is ordered by the bytes of its keys.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web_store;

/* Raw bytes, shared by the objects that are slices of them. */
struct web_blob {
	atomic_uint refs;
	size_t len;
	uint8_t *data;
};

/* Uninitialised bytes, or NULL when there is no memory. */
struct web_blob *web_blob_new(size_t len);
struct web_blob *web_blob_ref(struct web_blob *);
void web_blob_unref(struct web_blob *);         /* takes NULL */

struct web_pair {
	char *name, *value;
};

struct web_object {
	atomic_uint refs;
	char *key;
	struct web_blob *blob;          /* data and len are a slice of it */
	const uint8_t *data;
	size_t len;
	uint64_t generation, metageneration;
	int64_t created_ns, modified_ns;
	char etag[48];                  /* without quotes */
	/* Or NULL: makes the ETag when put into the store has assigned the generation. */
	void (*seal)(struct web_object *);
	bool has_md5;
	uint8_t md5[16];
	uint32_t crc32c;
	struct web_pair sum;            /* S3: the one checksum header that was sent */
	struct web_pair *attrs;         /* answer headers, or GCS metadata */
	size_t nattrs;
	char *content_type;             /* or NULL */
	int64_t copied_ns;              /* Azure: when it is complete, as a copy; 0: no copy */
	char *extra;                    /* GCS: further members of the JSON resource, or NULL */
};

/* Takes the blob; the slice is the whole of it. */
struct web_object *web_object_new(const char *key, struct web_blob *);
/* Other bytes; takes the blob. Checksums and ETag stay as they are. */
void web_object_set_blob(struct web_object *, struct web_blob *);
void web_object_attr(struct web_object *, const char *name, const char *value);
void web_object_attrs_clear(struct web_object *);
/* A copy of all but the times, generation and reference count. */
struct web_object *web_object_copy(const struct web_object *, const char *key);
struct web_object *web_object_ref(struct web_object *);
void web_object_unref(struct web_object *);     /* takes NULL */

struct web_store *web_store_new(void);
void web_store_free(struct web_store *);

/*
 * Conditions of the calls below, beside 0. A judge returns 0 or a value above WEB_JUDGED, which
 * the call then returns without having changed anything.
 */
enum web_store_cond {
	WEB_NO_BUCKET = 1,
	WEB_NO_KEY,
	WEB_BUCKET_EXISTS,
	WEB_BUCKET_FULL,
	WEB_JUDGED,
};

/* Judges under the lock; now is the current object or NULL. */
typedef int web_judge_fn(const struct web_object *now, const void *arg);

int web_store_bucket_add(struct web_store *, const char *bucket);
int web_store_bucket_remove(struct web_store *, const char *bucket);
bool web_store_bucket_exists(struct web_store *, const char *bucket);
/* Calls back for each bucket in order; the callback must not call the store. */
void web_store_buckets(struct web_store *, void (*each)(const char *bucket, void *arg), void *arg);

int web_store_get(struct web_store *, const char *bucket, const char *key,
		  struct web_object **ret);
/*
 * Shares the object. Its times and, unless it has one, its generation are assigned here: above
 * all before, near the microseconds of the time.
 * judge may be NULL.
 */
int web_store_put(struct web_store *, const char *bucket, struct web_object *, int64_t now_ns,
		  web_judge_fn *judge, const void *arg);
int web_store_remove(struct web_store *, const char *bucket, const char *key,
		     web_judge_fn *judge, const void *arg);
struct web_list_req {
	const char *prefix, *delimiter; /* "" for none */
	const char *from;               /* "" for the beginning */
	bool inclusive;                 /* from itself is wanted */
	const char *until;              /* exclusive; "" for none */
	size_t max;                     /* objects and prefixes together */
};

struct web_list_item {
	struct web_object *object;      /* or NULL for a common prefix */
	char *prefix;
};

struct web_list {
	struct web_list_item *items;
	size_t n;
	bool truncated;
	char *next;                     /* where to go on when truncated */
	bool next_inclusive;
};

int web_store_list(struct web_store *, const char *bucket, const struct web_list_req *,
		   struct web_list *ret);
void web_list_release(struct web_list *);
