/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the piece folder share: disk.c (files), disk_index.c (what is there),
 * disk_scan.c (what was there at the start).
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

struct disk {
	int dir, lock_file;
	char temp_prefix[24]; /* "tmp.<16 hex digits>": of this daemon's files in the making */
	uint64_t limit_bytes, queue_bytes;
	struct pool *writers;
	struct task *scanner;
	struct {
		struct lock lock;
		struct cond settled;
		struct disk_file *files; /* by id */
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

/* ---- disk_scan.c ---- */

void disk_scan_main(void *disk);
