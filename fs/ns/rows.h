/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The rows of the namespace: what `ns/` holds, column by column, in one canonical encoding
 * (codec.h). A row's encoding is part of the state hash and so of the format: FORMAT.md.
 */
#include "base/buf.h"
#include "base/codec.h"

/* Order and numbers are part of the format. */
enum column {
	COL_META = 0,   /* this machine's bookkeeping of ns/: applied slot, hashes. NOT in the state hash */
	COL_INODE,      /* be64 inode -> struct inode_row */
	COL_DENTRY,     /* be64 parent, be64 (60-bit hash << 3 | tie) -> name, inode, type */
	COL_EXTENT,     /* be64 inode, be64 offset -> struct extent_row */
	COL_CHUNK,      /* chunk id -> struct chunk_row */
	COL_ORPHAN,     /* be64 inode -> slot, time */
	COL_MOUNT,      /* incarnation -> struct mount_row */
	COL_XATTR,      /* be64 inode, name -> value */
	COL_STORE,      /* u8 number -> struct store_row */
	COL_KEYSLOT,    /* u8 number -> opaque */
	COL_ATTACH,     /* be64 inode -> opaque */
	COL_POLICY,     /* be32 number -> opaque */
	COL_PROJECT,    /* be32 number -> opaque */
	COL_VOLUME,     /* "" -> struct volume_row; one row */
	COL_DEFICIT,    /* chunk id, u8 store -> nothing: a copy that should exist and does not, and nobody alive is making it */
	COL_COUNT,
};
extern const char *const column_names[]; /* NULL-terminated, for kv_open */

#define ROOT_INO 1ull
#define NAME_MAX_BYTES 255
#define CHUNK_ID_SIZE 16
#define INCARNATION_SIZE 16
/* An inode number is mount number << 24 | counter. Bit 62 marks attached files. Never reused. */
#define INO_BLOCK_BITS 24

struct inode_row {
	uint32_t mode; /* with the type */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t size;
	uint64_t bytes;      /* allocated: sum of extent lengths (statfs, st_blocks) */
	uint64_t mtime_ns, ctime_ns, btime_ns;
	uint64_t atime_ns;   /* only as set by utimes; 0: show mtime */
	uint32_t rdev;
	uint32_t flags;
	uint64_t parent;     /* directories: their parent; others: 0 */
	uint64_t children;   /* directories: number of entries */
	uint32_t subdirs;    /* directories: for nlink = 2 + subdirs */
	uint32_t policy, project, delegate;
	uint64_t version;    /* grows with each change of contents */
	struct span target;  /* symlinks; borrowed from the row's bytes */
};
must_check int inode_row_encode(const struct inode_row *r, struct buf *ret);
must_check int inode_row_decode(struct span s, struct inode_row *ret);

enum extent_kind { EXTENT_CHUNK = 1, EXTENT_FOREIGN = 2, EXTENT_INLINE = 3 };
struct extent_row {
	enum extent_kind kind;
	uint64_t length;
	uint8_t chunk[CHUNK_ID_SIZE]; /* EXTENT_CHUNK */
	uint32_t chunk_offset;        /* EXTENT_CHUNK: where in the chunk's plaintext the extent begins */
	struct span bytes;            /* EXTENT_INLINE: the contents; EXTENT_FOREIGN: reference; borrowed */
};
must_check int extent_row_encode(const struct extent_row *r, struct buf *ret);
must_check int extent_row_decode(struct span s, struct extent_row *ret);

struct chunk_row {
	uint32_t length;    /* plaintext */
	uint32_t key_epoch;
	uint8_t salt[16];   /* the sealing id: any piece opens without reading the header first */
	uint64_t live;      /* bytes that extents refer to */
	uint64_t stores;    /* bit set: who has it */
	uint64_t want;      /* bit set: who should (policy at its writing) */
	uint32_t policy;
	uint64_t born, dead; /* slots; dead 0: alive */
};
must_check int chunk_row_encode(const struct chunk_row *r, struct buf *ret);
must_check int chunk_row_decode(struct span s, struct chunk_row *ret);

enum mount_status { MOUNT_MOUNTED = 1, MOUNT_UNMOUNTED, MOUNT_FENCED };
#define MOUNT_RESULTS 64
struct mount_row {
	uint32_t number;          /* its first block of inode numbers, and the author in its chunk ids */
	enum mount_status status;
	uint64_t last;            /* last operation number evaluated */
	uint64_t slot;            /* of its last status change */
	struct span name;         /* host name and pid, for people */
	struct {
		int32_t error;    /* 0 or -errno */
		uint64_t value;   /* an inode number or another result */
	} results[MOUNT_RESULTS]; /* of operation n at n % 64 */
};
must_check int mount_row_encode(const struct mount_row *r, struct buf *ret);
must_check int mount_row_decode(struct span s, struct mount_row *ret);

struct store_row {
	uint8_t id[16];      /* random: what a journal link is bound to */
	uint32_t roles;      /* STORE_ROLE_* */
	struct span name, url;
};
#define STORE_ROLE_DATA 1u
#define STORE_ROLE_JOURNAL 2u
must_check int store_row_encode(const struct store_row *r, struct buf *ret);
must_check int store_row_decode(struct span s, struct store_row *ret);

struct volume_row {
	uint8_t id[16];
	uint32_t level;          /* of operations; a mount that does not know it stops */
	uint32_t epoch;          /* of the journal */
	uint32_t key_epoch;
	uint32_t next_mount;     /* number for the next MOUNT or MORE_INODES */
	uint64_t files, directories, bytes; /* totals */
	uint8_t name_key[16];    /* keys the hash of directory entries */
	uint64_t created_ns;
	struct span name;
};
must_check int volume_row_encode(const struct volume_row *r, struct buf *ret);
must_check int volume_row_decode(struct span s, struct volume_row *ret);

/* Keys. */
void key_ino(uint64_t ino, uint8_t ret[8]);
void key_ino_u64(uint64_t ino, uint64_t second, uint8_t ret[16]);
