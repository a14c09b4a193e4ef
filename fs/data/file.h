/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Contents of files: what was written and not flushed yet, over what the namespace says, over the
 * sealed pieces near at hand or in the stores.
 *
 * (D1) Data before metadata: a WRITE goes into a record only when its chunks have their
 *      acknowledged copies; one with staged chunks is submitted before, and held until then.
 * (D2) Reads look through the buffer of their inode; so does the size, and mtime of the last
 *      write(2).
 * (D3) A failed upload keeps the bytes dirty and pinned; the next flush tries again.
 * (D4) O_TRUNC is kept in the buffer and committed with the data in one WRITE: until then others,
 *      and this mount after a crash, see the old contents.
 * (D5) No lock is held while anything waits. An inode's lock is taken before the namespace's.
 */
#include "base/budget.h"
#include "cache/pieces.h"
#include "fs/commit.h"
#include "fs/ns/lookup.h"
#include "fs/seal.h"
#include "backends/replicas.h"

struct data; /* the data service of one mounted volume */
struct file; /* an inode that is open here, or has dirty data; shared by its handles */

enum file_cond {
	/* with FILE_NO_WAIT: needs the network or memory; call again from a pool */
	FILE_WOULD_WAIT = 1,
};
enum file_use {
	FILE_PLAIN,
	FILE_TRUNCATE,                /* as by O_TRUNC (D4) */
	FILE_TRUNCATE_UNLESS_RUNNING, /* -ETXTBSY while a handle is open to execute it */
	FILE_EXECUTE,
};
enum file_wait { FILE_NO_WAIT, FILE_WAIT };

struct data_options {
	struct replicas *replicas; /* all of these are borrowed */
	struct sealer *sealer;
	struct pieces *pieces;
	struct commit *commit;
	/* bit set: where new data goes (all of the volume's data stores) */
	uint64_t stores;
	unsigned ack;              /* copies before an acknowledgement: min(2, stores) */
	/* The mount's budget: dirty data gets 24 %, what is being sent 16 %, read-ahead 30 %. */
	uint64_t memory_bytes;
	uint64_t deadline_ns;      /* how long a flush or read tries before -EIO: 60 s */
	/* how long a removed file stays for other mounts, where they do not say that it is open */
	uint64_t orphan_grace_ns;
	/*
	 * Reads bytes of the foreign object that a reference names. 0, FILE_WOULD_WAIT, -EIO,
	 * -EACCES, ...
	 */
	int (*foreign)(struct span reference, uint64_t off, size_t len, enum file_wait wait,
		       uint8_t *dst, void *arg);
	void *foreign_arg;
	bool read_only;
	struct staging *staging;   /* or NULL: there is none */
	bool close_staged;         /* close=staged */
};
must_check int data_new(const struct data_options *o, struct data **ret);
/*
 * Who hears of a replica that does not verify, or is missing where it should be; set once, before
 * the first read.
 */
void data_on_bad(struct data *d,
		 void (*fn)(const struct chunk_seal *seal, unsigned store, void *arg), void *arg);
/* Flushes nothing: data_flush_all first. Joins its tasks, waits for the last reports of stores. */
struct data *data_free(struct data *d);
DEFINE_CLEANUP(struct data *, data_free)

/*
 * Opens an inode. One reference for the caller. 0, -ENOMEM, -ETXTBSY; -ESTALE: no such inode, or it
 * has no name and nobody here has it open.
 */
must_check int file_open(struct data *d, uint64_t ino, enum file_use use, struct file **ret);
/* Keeps it alive beyond its handle, for what is under way. */
struct file *file_ref(struct file *f);
void file_unpin(struct file *f);
/* The last one out reaps an inode that has no name any more. use: as it was opened. */
void file_close(struct file *f, enum file_use use);

/*
 * Reads up to len bytes at off into dst; *ret_len is less at the end of the file only. 0,
 * FILE_WOULD_WAIT, -EIO, -ESTALE.
 */
must_check int file_read(struct file *f, uint64_t off, size_t len, enum file_wait wait,
			 uint8_t *dst, size_t *ret_len);
/*
 * Writes; time_ns is the mtime to be. append: an O_APPEND write (off is where the kernel believes
 * the end to be; the end wins). 0, FILE_WOULD_WAIT, -EFBIG, -EIO (no room for dirty data by the
 * deadline), -ENOMEM.
 */
must_check int file_write(struct file *f, uint64_t off, struct span bytes, bool append,
			  uint64_t time_ns, enum file_wait wait);
/* Does a flush have anything to do (dirty data or an uncommitted truncation)? */
bool file_dirty(struct file *f);
/*
 * fsync, or close after a write: uploads what is dirty, waits for the acknowledged copies (on this
 * thread: a pool's), submits the WRITE, then commit_sync: `done` runs when it is committed, or with
 * the error; exactly once, possibly before this returns. An inode without a name is not made
 * durable by close (closing = true): nobody could ever open it again. With close_staged, a close is
 * done when this machine's disk has it (fs/staging.h).
 */
void file_sync(struct file *f, bool closing, commit_done_fn *done, void *arg);
/* Everything dirty of this mount is uploaded and submitted. 0, or the first error. */
int data_flush_all(struct data *d, uint64_t deadline_ns);

/* Overlays the buffer's size, allocated bytes and times on a row just read from the namespace. */
void data_overlay(struct data *d, uint64_t ino, struct inode_row *row);
/* utimes with an explicit mtime: the buffer's own time of last write is forgotten. */
void data_times_set(struct data *d, uint64_t ino);
/*
 * setattr(size). Early operation; 0 or -errno of its result (or COMMIT_LATER is waited for on this
 * thread).
 */
must_check int data_truncate(struct data *d, uint64_t ino, uint64_t size, uint64_t time_ns);
/* fallocate. grow: the size may grow. */
must_check int data_allocate(struct data *d, uint64_t ino, uint64_t off, uint64_t len,
			     bool keep_size, uint64_t time_ns);
must_check int data_punch(struct data *d, uint64_t ino, uint64_t off, uint64_t len, bool keep_size,
			  uint64_t time_ns);
/* lseek SEEK_DATA / SEEK_HOLE. 0, -ENXIO. */
must_check int file_seek(struct file *f, uint64_t off, bool data, uint64_t *ret);
/* copy_file_range as shared extents; both are flushed first (waits). *ret_len: bytes cloned. */
must_check int file_clone(struct file *from, uint64_t off, struct file *to, uint64_t to_off,
			  uint64_t len, uint64_t time_ns, uint64_t *ret_len);
/*
 * A WRITE of an earlier mount was submitted again, held, as number `no`: its chunks go on from the
 * staging log, and it is released when they have their copies. 0, -ENOMEM.
 */
must_check int data_adopt(struct data *d, const struct op *write, uint64_t no);

/* The mount ends: copies that only slow stores lack are lacking from now on, and reported. */
void data_give_up_late(struct data *d);

/* An inode lost its last name here: reaped soon (orphan.c), or after its last handle closes. */
void data_orphaned(struct data *d, uint64_t ino);
uint64_t file_ino(const struct file *f);

/* Chunks of a file and how many of them each store has. */
struct file_replicas {
	uint64_t chunks, inline_bytes, foreign_bytes;
	uint64_t have[REPLICAS_MAX];
};
must_check int data_where(struct data *d, uint64_t ino, struct file_replicas *ret);

struct data_status {
	uint64_t dirty_bytes, in_flight_chunks, in_flight_bytes;
	uint64_t oldest_dirty_ns; /* clock_now() of the oldest dirty byte; 0: none */
	uint64_t oldest_staged_ns; /* of the oldest write whose chunks are staged still; 0: none */
	uint64_t corrupt_frames; /* that did not verify, in stores or the cache */
};
void data_status_get(struct data *d, struct data_status *ret);
