/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The objects of a bucket in memory and the five operations on them. No lock of its own. */
#include "backends/store.h"
#include "base/map.h"

struct mem_objects {
	struct map *map; /* name -> pointer to struct mem_object */
	uint64_t version;
	int64_t skew_s;
	bool gone;       /* the bucket itself */
};
struct mem_object {
	struct blob *body;
	uint64_t version, modified_s;
};

/* One operation: the request in words that live as long as it does, and its answer. */
struct mem_op {
	enum store_op op;
	char name[STORE_NAME_MAX + 1];
	char after[STORE_NAME_MAX + 1]; /* list: names after this one */
	struct blob *body;              /* put: a reference */
	enum put_cond cond;
	char if_match[STORE_VERSION_MAX];
	bool has_match;
	uint64_t offset, length;
	size_t limit;
	char delimiter;
	unsigned max;

	int result;
	struct buf bytes;
	uint64_t size, modified_s;
	char version[STORE_VERSION_MAX];
	struct list_entry *entries;
	size_t n_entries;
	char *next_token;
};

int mem_objects_init(struct mem_objects *o);
void mem_objects_release(struct mem_objects *o);
struct mem_object *mem_objects_find(const struct mem_objects *o, const char *name);
int mem_objects_put(struct mem_objects *o, const char *name, struct blob *body);
bool mem_objects_remove(struct mem_objects *o, const char *name);
/* Executes: the answer stands in op then. */
void mem_objects_run(struct mem_objects *o, struct mem_op *op);
void mem_op_release(struct mem_op *op);
uint64_t mem_objects_date(const struct mem_objects *o);
