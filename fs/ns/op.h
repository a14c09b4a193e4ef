/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An operation: an intention with preconditions. Applied to a state it gives a new state and
 * a result, and nothing else matters: no clock, no randomness; times and ids are in it.
 *
 * (O1) One canonical encoding per kind (op_encode); a number stands for the same bytes for ever.
 * (O2) `saw` and `saw_to` are what an early answer saw under its names: the inode, or 0 for absence. Applied
 *      later, an operation has the same effect on the same objects or fails (-ESTALE, or the natural error).
 *      SAW_ANYTHING: it was not answered yet, whatever is there is right.
 */
#include "fs/ns/rows.h"

enum op_kind { /* numbers are part of the format */
	OP_FORMAT = 1,   /* slot 0: volume row, root, stores, key slots */
	OP_MOUNT = 2,    /* value = incarnation, name = host; result value = its number */
	OP_UNMOUNT = 3,
	OP_FENCE = 4,    /* value = incarnation */
	OP_MORE_INODES = 5, /* result value = another block number */
	OP_CREATE = 10,  /* parent, name, ino, mode, rdev: regular file, fifo, socket, device */
	OP_MKDIR = 11,
	OP_SYMLINK = 12, /* value = target */
	OP_LINK = 13,    /* ino, parent, name */
	OP_UNLINK = 14,  /* parent, name, saw */
	OP_RMDIR = 15,
	OP_RENAME = 16,  /* parent, name -> to_parent, to_name; saw, saw_to; flags RENAME_* */
	OP_SETATTR = 20, /* ino, set, mode, uid, gid, mtime, atime, size via OP_TRUNCATE */
	OP_SETXATTR = 21,   /* ino, name, value, flags XATTR_* */
	OP_REMOVEXATTR = 22,
	OP_WRITE = 30,   /* ino, extents, chunks, size, flags WRITE_*; off = where the data begins (append: ignored) */
	OP_TRUNCATE = 31,   /* ino, size */
	OP_PUNCH = 32,   /* ino, off, len: a hole; with flags PUNCH_GROW the size may grow (zero range) */
	OP_CLONE = 33,   /* ino (from), off, len -> to (ino), to_off: shared extents */
	OP_STORED = 40,  /* chunks: id and the stores that now have it */
	OP_DEFICIT = 41, /* chunks: id and the stores that lack it and nobody is sending */
	OP_REAP = 42,    /* ino: an orphan that nobody holds; frees its extents */
	OP_HOLD = 43,
};

#define SAW_ANYTHING UINT64_MAX

#define OP_SET_MODE 1u
#define OP_SET_UID 2u
#define OP_SET_GID 4u
#define OP_SET_MTIME 8u      /* as given (utimes) */
#define OP_SET_ATIME 16u
#define OP_RENAME_NOREPLACE 1u
#define OP_RENAME_EXCHANGE 2u
#define OP_XATTR_CREATE 1u
#define OP_XATTR_REPLACE 2u
#define OP_WRITE_REPLACE 1u  /* O_TRUNC: the new contents replace the old in this one step */
#define OP_WRITE_APPEND 2u   /* extents are relative to the size at apply */
#define OP_WRITE_KEEP_MTIME 4u
#define OP_WRITE_SIZE 8u     /* set the size to `size` even if smaller than extents say (else: size = max(old, end)) */
#define OP_WRITE_KILLPRIV 16u /* clears setuid and setgid bits */
#define OP_PUNCH_GROW 1u

struct op_extent {
	uint64_t offset;
	struct extent_row row;
};
struct op_chunk {
	uint8_t id[CHUNK_ID_SIZE];
	uint32_t length, key_epoch;
	uint8_t salt[16];
	uint64_t stores; /* who has it (WRITE, STORED) or lacks it (DEFICIT) */
	uint64_t want;
	uint32_t policy;
};

/* Borrowed parts live as long as what they were built or decoded from. */
struct op {
	enum op_kind kind;
	uint64_t number;         /* of its mount, from 1 */
	uint64_t time_ns;        /* wall clock of who made it */
	uint32_t uid, gid;       /* who did it; new objects belong to them (setgid directories aside) */
	uint64_t ino;
	uint64_t parent, to_parent;
	struct span name, to_name;
	uint64_t saw, saw_to;
	uint32_t mode, rdev, set, flags;
	uint64_t size, off, len, to, to_off;
	uint64_t mtime_ns, atime_ns;
	struct span value;
	const struct op_extent *extents;
	size_t n_extents;
	const struct op_chunk *chunks;
	size_t n_chunks;
};

must_check int op_encode(const struct op *op, struct buf *ret); /* appends; -EINVAL: what the kind does not allow */
/* Decodes one operation; extents and chunks are allocated in *ret (op_release). -EBADMSG, -ENOMEM; OP_UNKNOWN_KIND. */
enum op_cond { OP_UNKNOWN_KIND = 1 };
must_check int op_decode(struct span s, struct op *ret);
void op_release(struct op *op);
const char *op_kind_name(enum op_kind kind);

struct result {
	int error;      /* 0 or -errno: the POSIX answer */
	uint64_t value; /* inode made, found or removed; a mount number */
};
