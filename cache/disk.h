/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pieces as files: DIR/<two hex digits>/<object in hex>-<index>, written under another name and
 * renamed. Nothing is synced: after a power cut a file may be torn, and whoever opens the piece
 * finds out (P2).
 *
 * (D1) One daemon to a folder: DIR/lock is held for as long as it is open.
 * (D2) Whatever fails here costs speed only: a file that can't be read is missing, one that
 *      can't be written is not cached, and after such a failure nothing is written for a minute.
 * (D3) No file operation happens under the lock.
 */
#include "cache/pieces.h"

struct disk;
/*
 * Makes the folder (0700) where it is missing. 0; -EBUSY (D1); -EINVAL: the folder is on a network
 * or FUSE filesystem; -EACCES: it belongs to somebody else; -EIO; -ENOMEM. queue_bytes: what may
 * wait to be written, beyond it pieces are not cached.
 */
must_check int disk_open(const char *dir, uint64_t limit_bytes, uint64_t queue_bytes,
			 struct disk **ret);
/* Drops what is not written yet. Takes NULL, answers NULL. */
struct disk *disk_close(struct disk *d);
DEFINE_CLEANUP(struct disk *, disk_close)

enum disk_cond { DISK_MISSING = 1 };
/* 0 with an owned blob, or DISK_MISSING. Blocks on the disk. */
must_check int disk_read(struct disk *d, const struct piece_id *id, struct blob **ret);
/* It is there, or waits to be written: a read will find it. */
bool disk_has(struct disk *d, const struct piece_id *id);
/*
 * Soon, on a task of its own; shares the blob. True: as disk_has(). False: too much waits already,
 * or nothing is written for now.
 */
bool disk_write(struct disk *d, const struct piece_id *id, struct blob *blob);
void disk_forget(struct disk *d, const struct piece_id *id);
void disk_forget_object(struct disk *d, const uint8_t object[32]);
uint64_t disk_bytes(struct disk *d);
/*
 * Everything that was asked to be written is, and what was there at the start is known. 0,
 * -ETIMEDOUT. For tests and `cache warm`.
 */
int disk_settle(struct disk *d, uint64_t deadline_ns);
