/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside the staging log's objects: stage.c and, for what was left, stage_find.c. */
#include "base/wait.h"
#include "cache/stage.h"
#include "cache/stage_segment.h"

#include <uthash.h>

#define STAGE_RECORD_OBJECT 1u

struct stage_file {
	struct stage_file *prev, *next;
	struct stage_segment *segment; /* NULL: was found (S3) */
	int fd;                        /* for reading */
	uint64_t number, bytes;
	unsigned items, users;         /* objects in it; threads at work on it */
};

struct stage_item {
	UT_hash_handle hh;
	struct stage_item *prev, *next; /* oldest first */
	struct stage_item *unsynced_prev, *unsynced_next;
	uint8_t id[STAGE_ID_SIZE];
	struct stage_file *file;
	uint64_t offset, length, order;
	struct blob *unsynced;    /* (T2) */
	size_t head_len;
	uint8_t head[];
};

struct stage {
	int dir;
	uint64_t limit;
	struct {
		struct lock lock; /* RANK_DISK */
		struct cond idle; /* writing or syncing ended */
		bool writing, syncing;
		struct stage_item *index, *items;
		struct stage_item *unsynced;
		struct stage_file *files, *active;
		uint64_t number, order; /* of the next file, object */
		uint64_t bytes, disk_bytes, unsynced_bytes;
		uint64_t lost_bytes;
	} sync;
};

/* stage.c */
struct stage_item *stage_item_new(const uint8_t id[STAGE_ID_SIZE], struct span head,
				  uint64_t length);
struct stage_item *stage_item_find_locked(struct stage *s, const uint8_t id[STAGE_ID_SIZE]);
void stage_item_insert_locked(struct stage *s, struct stage_item *i, struct stage_file *f,
			      uint64_t offset);
void stage_item_remove_locked(struct stage *s, struct stage_item *i, struct stage_file **ret_gone);
/* (T3); `ret_gone` collects what is to be closed and removed without the lock. */
void stage_file_unused_locked(struct stage *s, struct stage_file *f, struct stage_file **ret_gone);
void stage_files_remove(struct stage *s, struct stage_file *gone);
void stage_file_free(struct stage_file *f);

/* stage_find.c */
void stage_file_name(uint64_t number, char ret[STAGE_SEGMENT_NAME_MAX]);
/* The numbers of the files in a folder, rising. 0; negative errno. */
must_check int stage_list_files(int dir, uint64_t **ret, size_t *ret_n);
/* Takes in what a file holds. By who opens. */
must_check int stage_find_file(struct stage *s, uint64_t number);
