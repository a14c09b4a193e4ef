/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the piece folder share: disk.c (files), disk_index.c (what is there),
 * disk_queue.c (what will be), disk_scan.c (what was there at the start).
 */
#include "base/wait.h"
#include "cache/disk.h"

#define HASH_NONFATAL_OOM 1 /* an entry that found no memory has hh.tbl == NULL */
#include <uthash.h>

#define DISK_NAME_MAX 96

/* One file. */
struct disk_file {
	struct piece_id id;
	uint32_t bytes;
	uint64_t used_ns; /* since 1970, as the file's mtime */
	UT_hash_handle hh;
};

#define DISK_PIECE_MAX  (16 * MiB)
#define DISK_QUEUED_MAX 4096 /* small pieces; the bytes are limited by the caller */

/* One piece on its way into a file. */
struct disk_waiting {
	struct disk *disk;
	struct piece_id id;
	struct blob *blob;
	bool wanted; /* under the lock: found by its id */
	UT_hash_handle hh;
};

struct disk {
	int dir, lock_file;
	char temp_prefix[24]; /* "tmp.<16 hex digits>": of this daemon's files in the making */
	uint64_t limit_bytes, queue_bytes;
	struct pool *writers;
	struct task *scanner;
	struct {
		struct lock lock;
		struct cond settled;
		struct disk_file *files;      /* by id */
		struct disk_waiting *waiting; /* by id */
		uint64_t bytes;
		unsigned writing;        /* asked for and not done */
		uint64_t writing_bytes;
		bool scanning;           /* files may be there that are not in the index */
		bool evicting;
		bool closing;
		uint64_t paused_until_ns; /* (D2) */
		uint64_t counter;        /* names of files in the making */
	} sync;
};

/* "a7/0123...-5"; ret has DISK_NAME_MAX bytes. */
void disk_name(const struct piece_id *id, char *ret);
/* The id of a name within its folder. 0, -EINVAL: not one of ours; each id has one name. */
must_check int disk_name_parse(const char *name, struct piece_id *ret);
/*
 * Files in the making: this, then 16 hex digits of whose making; others' are left over by a crash.
 */
#define DISK_TEMP_PREFIX "tmp."

/* ---- disk_index.c ---- */

struct disk_file *disk_find_locked(struct disk *d, const struct piece_id *id);
/*
 * Notes a file that is there now. Without memory, or when there are too many, it is deleted by the
 * caller: false.
 */
bool disk_note_locked(struct disk *d, const struct piece_id *id, uint64_t bytes, uint64_t used_ns);
/* Forgets it. false: it was not known. */
bool disk_drop_locked(struct disk *d, const struct piece_id *id);
void disk_drop_all_locked(struct disk *d);
/* Deletes the longest unused files until `excess` bytes are gone. No lock is held. */
void disk_evict(struct disk *d, uint64_t excess);

/* ---- disk_queue.c ---- */

/* On the disk, or on the way there? */
bool disk_has_locked(struct disk *d, const struct piece_id *id);
/* Its bytes, if it is on the way: the caller's reference. */
struct blob *disk_waiting_find_locked(struct disk *d, const struct piece_id *id);
void disk_waiting_forget_locked(struct disk *d, const struct piece_id *id);
void disk_waiting_forget_object_locked(struct disk *d, const uint8_t object[32]);

/* ---- disk.c, for those above ---- */

bool disk_may_write_locked(const struct disk *d); /* (D2) */
void disk_write_now(struct disk *d, const struct disk_waiting *w);

/* ---- disk_scan.c ---- */

void disk_scan_main(void *disk);
