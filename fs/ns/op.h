/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An operation: an intention with preconditions. Applied to a state it gives a new state and a
 * result, and nothing else matters: no clock, no randomness; times and ids are in it.
 *
 * (O1) One canonical encoding per kind (op_encode); a number stands for the same bytes for ever.
 * (O2) `saw` and `saw_to` are what an early answer saw under its names: the inode, or 0 for
 *      absence. Applied later, an operation has the same effect on the same objects or fails
 *      (-ESTALE, or the natural error). SAW_ANYTHING: it was not answered yet, whatever is there is
 *      right.
 */
#include "fs/ns/rows.h"

/*
 * The numbers are part of the format. mtime_ns of the operations on contents is when the change
 * happened as far as its mount has shown it (a flush comes after the write(2)); 0: time_ns.
 */
enum op_kind {
	/* The volume and its mounts. */
	OP_FORMAT = 1, /* uid, gid, mode: of the root; value = struct volume_format */
	OP_MOUNT = 2,  /* value = incarnation, name = host; result value = its number */
	OP_UNMOUNT = 3,
	/* value = incarnation; result value = the last of its operations evaluated */
	OP_FENCE = 4,
	OP_MORE_INODES = 5, /* result value = another block number */
	/* value = struct checkpoint_row; -ESTALE: a newer one was announced before */
	OP_CHECKPOINT = 6,
	/* name, value = struct attach_row: a bucket as a directory of the root; -EEXIST */
	OP_ATTACH = 7,
	OP_DETACH = 9, /* name; -ENOENT */
	/* value = a URL for foreign extents; result value = its number, as it was or new */
	OP_SOURCE = 8,

	/* Names. */
	OP_CREATE = 10,  /* parent, name, ino, mode, rdev: regular file, fifo, socket, device */
	OP_MKDIR = 11,   /* parent, name, ino, mode */
	OP_SYMLINK = 12, /* parent, name, ino, value = target */
	OP_LINK = 13,    /* ino, parent, name */
	OP_UNLINK = 14,  /* parent, name, saw */
	OP_RMDIR = 15,   /* the same */
	OP_RENAME = 16,  /* parent, name -> to_parent, to_name; saw, saw_to; flags OP_RENAME_* */

	/* Attributes. */
	OP_SETATTR = 20,     /* ino, set, mode, uid, gid, mtime, atime; for the size: OP_TRUNCATE */
	OP_SETXATTR = 21,    /* ino, name, value, flags OP_XATTR_* */
	OP_REMOVEXATTR = 22, /* ino, name */

	/* Contents. */
	OP_WRITE = 30, /* ino, extents (rising, disjoint), chunks, flags OP_WRITE_*, mtime, size */
	OP_TRUNCATE = 31, /* ino, size, mtime, flags OP_WRITE_KILLPRIV */
	/* ino, off, len, mtime, flags OP_PUNCH_GROW, OP_WRITE_KILLPRIV: a hole */
	OP_PUNCH = 32,
	OP_CLONE = 33, /* ino (from), off, len -> to (ino), to_off, mtime: shared extents;
			* result value = bytes cloned, less where the source ends */
	/*
	 * parent, name, ino, mode (permissions), mtime, size, value = reference: a regular file
	 * whose contents are a whole foreign object
	 */
	OP_ADOPT = 34,

	/* Copies, and inodes without a name. */
	OP_STORED = 40,  /* chunks: id and the stores that now have it */
	OP_DEFICIT = 41, /* chunks: id and the stores that lack it and nobody is sending */
	OP_REAP = 42, /* ino: an orphan that nobody holds; frees its extents. saw = the slot of its
		       * orphan row; 0: whatever */
	OP_HOLD = 43, /* ino: an orphan that somebody holds: its grace begins anew */
	/*
	 * ino, off, value = an extent's row that began there, extents, chunks: the same bytes at
	 * another place. What is still where that row says is replaced, the rest left alone, and
	 * no time changes. Result value = bytes replaced
	 */
	OP_REPACK = 44,
	/*
	 * chunks: ids of dead ones, which are collected if they died at or before slot `saw`; size
	 * = the grace in seconds that was waited, from now on that of all mounts. -EINVAL: less
	 * than GRACE_LEAST_S. Result value = chunks collected
	 */
	OP_COLLECT = 45,

	/*
	 * What opens the volume. off = number of the slot (below KEYSLOTS_MAX), value = the slot:
	 * -EEXIST where there is one. Empty: it is removed; -ENOENT; -EBUSY: it is the only one.
	 */
	OP_KEYSLOT = 50,
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
/* Offsets of extents are absolute, but for APPEND. */
#define OP_WRITE_REPLACE 1u  /* O_TRUNC: the new contents replace the old in this one step */
#define OP_WRITE_APPEND 2u   /* to the size at apply, which is the result's value; not with SIZE */
#define OP_WRITE_KEEP_MTIME 4u
/* the size becomes `size`, whatever the extents say; else max(old, end) */
#define OP_WRITE_SIZE 8u
#define OP_WRITE_KILLPRIV 16u /* clears setuid, and setgid where the group may execute */
#define OP_PUNCH_GROW 1u     /* the size becomes off + len if it was less (zero range) */

/* Longest parts of an encoding. Names over NAME_MAX_BYTES get their ENAMETOOLONG from apply(). */
#define OP_NAME_MAX 1024
#define OP_VALUE_MAX (XATTR_VALUE_MAX + 4096)

struct op_extent {
	uint64_t offset;
	struct extent_row row;
};
/*
 * WRITE names every chunk that its extents refer to and that may not be known yet: a chunk shared
 * by several files (a pack) is named in full by each of their WRITEs, since none may rely on
 * another. STORED and DEFICIT: id and stores only.
 */
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
	/* who did it; new objects belong to them (setgid directories aside) */
	uint32_t uid, gid;
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

/*
 * Appends. Fields that the kind does not have are left out. -EINVAL: flags, sizes or an order that
 * the kind does not allow.
 */
must_check int op_encode(const struct op *op, struct buf *ret);
/* What op_encode would refuse with -EINVAL, and op_decode as -EBADMSG. */
bool op_valid(const struct op *op);
/*
 * Decodes one operation; extents and chunks are allocated in *ret (op_release). -EBADMSG, -ENOMEM;
 * OP_UNKNOWN_KIND.
 */
enum op_cond { OP_UNKNOWN_KIND = 1 };
must_check int op_decode(struct span s, struct op *ret);
void op_release(struct op *op);
const char *op_kind_name(enum op_kind kind);

/* The value of OP_FORMAT. */
struct volume_format {
	uint8_t id[16];
	uint32_t level, epoch, key_epoch;
	uint8_t name_key[16];
	struct span name;
	size_t n_stores, n_keyslots; /* up to STORES_MAX each; store i becomes number i */
	struct store_row stores[STORES_MAX];
	struct span keyslots[STORES_MAX];
};
must_check int volume_format_encode(const struct volume_format *f, struct buf *ret);
must_check int volume_format_decode(struct span s, struct volume_format *ret); /* borrows from s */

struct result {
	int error;      /* 0 or -errno: the POSIX answer */
	/* the inode made, moved, removed or in the way (-EEXIST); or as the kind says */
	uint64_t value;
};
