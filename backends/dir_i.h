/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside backends/dir*.c: one operation as blocking file work (dir_file.c, dir_list.c,
 * dir_upload.c), apart from who waits for it (dir.c).
 */
#include "backends/dir.h"
#include "backends/upload_i.h"

/* An operation with copies of all it needs, and its answer until the call may have it. */
struct dir_op {
	enum store_op op;
	const char *root; /* the folder; borrowed */
	_Atomic bool *was_there; /* it has been seen; borrowed */
	char name[STORE_NAME_MAX + 1], after[STORE_NAME_MAX + 1];
	char version[STORE_VERSION_MAX]; /* if_match; "" none */
	uint64_t offset, length;
	size_t limit;
	struct blob *body;
	enum put_cond cond;
	char delimiter;
	unsigned max;
	/* copy, upload_part: the object that is read, and its version; "" any */
	char from[STORE_NAME_MAX + 1];
	char from_version[STORE_VERSION_MAX];
	struct object_meta meta;     /* put, copy, describe: to be written. get, head: the answer */
	bool keep_meta;              /* copy: that of the source */
	struct store_upload *upload; /* of the call */
	unsigned index;
	/* the answer */
	struct buf bytes;
	uint64_t size, modified_s;
	char new_version[STORE_VERSION_MAX];
	struct list_entry *entries;
	size_t n_entries;
	char *next_token;
	char detail[256];
};
int dir_get(struct dir_op *op);
int dir_put(struct dir_op *op);
int dir_head(struct dir_op *op);
int dir_remove(struct dir_op *op);
int dir_list(struct dir_op *op);
int dir_copy(struct dir_op *op);
int dir_describe(struct dir_op *op);
int dir_upload_begin(struct dir_op *op);
int dir_upload_part(struct dir_op *op);
int dir_upload_finish(struct dir_op *op);
int dir_upload_abort(struct dir_op *op);

/*
 * Opens the store's folder. A sentence and -EIO when it is not there; -EAGAIN when it was there
 * before: what was moved away or unmounted may come back.
 */
int dir_root(struct dir_op *op);
/* A failed system call as a store's result. */
int dir_error(struct dir_op *op, const char *what);
/*
 * Opens `name` for reading as an object of this version ("" any) and describes it in the answer. A
 * descriptor; or -1 and in *ret STORE_MISSING, STORE_CHANGED, or a negative result.
 */
int dir_open_object(struct dir_op *op, const char *name, const char *version, int *ret);
/*
 * Opens the folder of op->name below root, making it where needed; *ret_leaf is the rest of the
 * name. A descriptor or a negative result.
 */
int dir_open_parent(struct dir_op *op, int root, const char **ret_leaf);
/* A new temporary name. */
void dir_tmp_name(char ret[64]);
int dir_write(struct dir_op *op, int fd, struct span s, uint64_t offset);
/* The open file gets its contents from another one. */
int dir_copy_range(struct dir_op *op, int from, uint64_t from_offset, int to, uint64_t to_offset,
		   uint64_t len);
/*
 * Syncs a finished temporary file of the parent and gives it its name, on op's condition (B1). The
 * temporary name is gone in any case. 0, STORE_*, a negative result.
 */
int dir_publish(struct dir_op *op, int fd, int parent, const char *tmp, const char *leaf);
/* dir_meta.c: metadata as extended attributes. 0 or a negative result. */
int dir_write_meta(struct dir_op *op, int fd, const struct object_meta *m);
void dir_read_meta(int fd, struct object_meta *ret);
struct stat;
void dir_version(const struct stat *st, char ret[STORE_VERSION_MAX]);
#define DIR_TMP_PREFIX ".tmp." /* unfinished objects; not listed */
