/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Uploads in several requests: S3's multipart uploads, Azure's uncommitted blocks, GCS's resumable
 * sessions. One lock guards all of them; who holds it may call the store, never the other way.
 */

#include "web_store.h"

struct web_uploads;

struct web_part {
	char *name;                     /* the dialect's: a number, a block id, an offset */
	struct web_blob *blob;          /* data and len are a slice of it */
	const uint8_t *data;
	size_t len;
	uint8_t md5[16];                /* S3 only */
	uint32_t crc32c;                /* S3 only */
};

struct web_upload {
	char *id, *bucket, *key;
	struct web_object *model;       /* the headers of the object to come, or NULL */
	void *conditions;               /* the dialect's, or NULL; freed with it */
	bool summed;                    /* S3: begun with CRC-32C, which each part then has */
	char *description;              /* GCS: the JSON of the object to come */
	struct web_part *parts;         /* in the order in which they came */
	size_t nparts;
	size_t len;                     /* of all parts */
	char *result;                   /* the answer, once complete */
	/* private */
	struct web_upload *next;
};

struct web_uploads *web_uploads_new(void);
void web_uploads_free(struct web_uploads *);

/* Returns with the lock held, or NULL without it when there is no such upload. */
struct web_upload *web_uploads_lock(struct web_uploads *, const char *id);
/* The same, and begins the upload when there is none. */
struct web_upload *web_uploads_begin(struct web_uploads *, const char *id, const char *bucket,
				     const char *key);
void web_uploads_unlock(struct web_uploads *);
/* Calls back for each that is not complete, under the lock; the callback must not call us. */
void web_uploads_each(struct web_uploads *, void (*each)(const struct web_upload *, void *arg),
		      void *arg);
/* Forgets the upload, if there is one. The lock is not held before nor after. */
void web_uploads_forget(struct web_uploads *, const char *id);

/* Shares the blob; replaces a part of that name. Returns the part, borrowed under the lock. */
struct web_part *web_upload_add(struct web_upload *, const char *name, struct web_blob *,
				const uint8_t *data, size_t len);
const struct web_part *web_upload_part(const struct web_upload *, const char *name);
/* Complete: the answer is kept, the parts are not. */
void web_upload_finish(struct web_upload *, const char *result);

/* The parts one after the other, or NULL when there is no memory. */
struct web_blob *web_parts_join(const struct web_part *const *, size_t n);
