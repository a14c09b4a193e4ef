/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside backends/dir*.c: one operation as blocking file work (dir_file.c, dir_list.c), apart from
 * who waits for it (dir.c).
 */
#include "backends/dir.h"

/* An operation with copies of all it needs, and its answer until the call may have it. */
struct dir_op {
	enum store_op op;
	const char *root; /* the folder; borrowed */
	char name[STORE_NAME_MAX + 1], after[STORE_NAME_MAX + 1];
	char version[STORE_VERSION_MAX]; /* if_match; "" none */
	uint64_t offset, length;
	size_t limit;
	struct blob *body;
	enum put_cond cond;
	char delimiter;
	unsigned max;
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

/* Opens the store's folder; -EIO with a sentence when it is away. */
int dir_root(struct dir_op *op);
/* A failed system call as a store's result. */
int dir_error(struct dir_op *op, const char *what);
struct stat;
void dir_version(const struct stat *st, char ret[STORE_VERSION_MAX]);
#define DIR_TMP_PREFIX ".tmp." /* unfinished objects; not listed */
