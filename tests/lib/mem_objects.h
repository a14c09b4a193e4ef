/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The objects of a bucket in memory and the operations on them. No lock of its own. */
#include "backends/upload_i.h"
#include "base/map.h"

/* The parts of an upload that was begun. */
struct mem_upload {
	struct mem_upload *next;
	char id[24];
	struct blob **parts; /* with holes */
	unsigned n;
};

struct mem_objects {
	struct map *map; /* name -> pointer to struct mem_object */
	struct mem_upload *uploads;
	uint64_t version;
	int64_t skew_s;
	bool gone;       /* the bucket itself */
	bool tells_md5;  /* a head does: another digest in its place */
	unsigned page;   /* names in a page; 0: as S3 */
};
struct mem_object {
	struct blob *body;
	struct object_meta meta;
	uint64_t version, modified_s;
};

/* One operation: the request in words that live as long as it does, and its answer. */
struct mem_op {
	enum store_op op;
	char name[STORE_NAME_MAX + 1];
	char after[STORE_NAME_MAX + 1]; /* list: names after this one */
	struct blob *body;              /* put, upload_part: a reference */
	enum put_cond cond;
	char if_match[STORE_VERSION_MAX];
	bool has_match;
	uint64_t offset, length;
	size_t limit;
	char delimiter;
	unsigned max;
	/* copy, upload_part: what is read, on this version ("" any) */
	char from[STORE_NAME_MAX + 1];
	char from_match[STORE_VERSION_MAX];
	bool keep_meta;                 /* copy: that of `from` */
	struct store_upload *upload;    /* a reference */
	unsigned index;
	/* put, copy: to be kept; get, head: the answer */
	struct object_meta meta;

	int result;
	struct buf bytes;
	uint64_t size, modified_s;
	bool has_md5;
	uint8_t md5[16];
	char version[STORE_VERSION_MAX];
	struct list_entry *entries;
	size_t n_entries;
	char *next_token;
};

int mem_objects_init(struct mem_objects *o);
void mem_objects_release(struct mem_objects *o);
struct mem_object *mem_objects_find(const struct mem_objects *o, const char *name);
/* m may be NULL: none. */
int mem_objects_put(struct mem_objects *o, const char *name, struct blob *body,
		    const struct object_meta *m);
bool mem_objects_remove(struct mem_objects *o, const char *name);
/* Executes: the answer stands in op then. */
void mem_objects_run(struct mem_objects *o, struct mem_op *op);
void mem_op_release(struct mem_op *op);
uint64_t mem_objects_date(const struct mem_objects *o);
