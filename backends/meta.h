/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a file is besides its bytes, kept with its object as user metadata under names that other
 * tools read. Pure.
 *
 *   meaning             S3, Azure, folder     GCS
 *   time of the change  mtime                 mtime, goog-reserved-file-mtime
 *   permissions         mode                  goog-reserved-posix-mode
 *   owner, group        uid, gid              goog-reserved-posix-uid, goog-reserved-posix-gid
 *   symbolic link       symlink               gcsfuse_symlink_target
 *   who wrote it        mangrovewriter        mangrovewriter
 *
 * mtime is "SECONDS.FRACTION" in S3 and folders (rclone, s3fs), RFC 3339 in Azure and GCS (rclone);
 * goog-reserved-file-mtime has whole seconds (gcloud, gsutil). mode is octal: with a leading zero
 * and the type of the file ("0100644": s3fs, rclone --metadata), at GCS the permissions alone
 * ("644": gsutil). A link's target is percent-encoded in S3 and Azure, whose values are ASCII.
 * Either form of a time or mode is understood everywhere.
 *
 * A listing does not tell metadata: only head and get do.
 */
#include "backends/pairs.h"

#define META_SYMLINK_MAX 1024
#define META_TYPE_MAX 128
#define META_WRITER_MAX 33

enum meta_has { META_MTIME = 1 << 0, META_MODE = 1 << 1, META_OWNER = 1 << 2 };

struct object_meta {
	unsigned has;     /* of enum meta_has: which of the next three lines are known */
	int64_t mtime_ns; /* since 1970 */
	uint32_t mode;    /* permissions: 07777 */
	uint32_t uid, gid;
	/* The target; "": no link. The target as contents as well lets s3fs see the link. */
	char symlink[META_SYMLINK_MAX];
	char content_type[META_TYPE_MAX]; /* "": application/octet-stream */
	/*
	 * Letters and digits that make a writer recognise its own object after STORE_UNKNOWN; "":
	 * none.
	 */
	char writer[META_WRITER_MAX];
};

enum meta_style { META_S3, META_AZURE, META_GCS };

/* Can all of it be written, as a header as well? */
bool object_meta_is_good(const struct object_meta *m);
/* What `change` says, upon what is known already. */
void object_meta_over(const struct object_meta *change, struct object_meta *onto);
/* "application/octet-stream" when m is NULL or says nothing. Borrowed. */
const char *object_meta_type(const struct object_meta *m);
/* Adds names and values, without content type; m may be NULL. Memory: pairs_error(). */
void object_meta_write(const struct object_meta *m, enum meta_style style, struct pairs *ret);
/*
 * Takes note of one name and value, in any order; names that are not ours and values that make no
 * sense are passed over.
 */
void object_meta_read(const char *name, const char *value, struct object_meta *ret);
