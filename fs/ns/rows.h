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
	COL_META = 0,   /* this machine's own: applied slot, hashes. NOT in the state hash */
	COL_INODE,      /* be64 inode -> struct inode_row */
	COL_DENTRY,     /* be64 parent, be64 hash -> its entries: a bucket (dentry.h) */
	COL_EXTENT,     /* be64 inode, be64 offset of its LAST byte -> struct extent_row */
	COL_CHUNK,      /* chunk id -> struct chunk_row */
	COL_ORPHAN,     /* be64 inode -> struct orphan_row */
	COL_MOUNT,      /* incarnation -> struct mount_row */
	COL_XATTR,      /* be64 inode, name -> value */
	COL_STORE,      /* u8 number -> struct store_row */
	COL_KEYSLOT,    /* u8 number -> opaque */
	COL_ATTACH,     /* name in the root -> struct attach_row */
	COL_POLICY,     /* be32 number -> opaque */
	COL_PROJECT,    /* be32 number -> opaque */
	/* "" -> volume_row; "t" -> totals_row; "c" -> checkpoint_row; "g" -> grace_row */
	COL_VOLUME,
	/* chunk id, u8 store -> nothing: a copy that is wanted and nobody is making */
	COL_DEFICIT,
	COL_RESULT,     /* incarnation, u8 operation mod MOUNT_RESULTS -> struct result_row */
	COL_BLOCK,      /* be32 block of inode numbers -> the incarnation that it was given to */
	COL_SOURCE,     /* be32 number -> struct source_row (foreign.h) */
	COL_COUNT,
};
extern const char *const column_names[]; /* NULL-terminated, for kv_open */

#define ROOT_INO 1ull
#define NAME_MAX_BYTES 255
#define TARGET_MAX_BYTES 4095
#define XATTR_VALUE_MAX 65536
#define CHUNK_ID_SIZE 16
#define INCARNATION_SIZE 16
#define FILE_SIZE_MAX ((uint64_t)INT64_MAX)
#define INLINE_MAX (16 * 1024)         /* bytes of one inline extent */
#define LINKS_MAX 65000                /* names of a file; subdirectories are not limited */
#define ROW_MAX (128 * 1024)           /* no row is longer: the limit of buffers that receive one */
#define STORES_MAX 64                  /* bit sets of stores are 64 bits wide */
#define FOREIGN_REFERENCE_MAX 4096
#define KEYSLOTS_MAX 32
#define KEYSLOT_SIZE_MAX 512

/* An inode number is block number << 24 | counter. Bit 62 marks attached files. Never reused. */
#define INO_BLOCK_BITS 24

struct inode_row {
	uint32_t mode; /* with the type */
	uint32_t uid, gid;
	uint32_t nlink;      /* directories: 2 + subdirs; 0: an orphan */
	uint64_t size;       /* regular files; of a symlink the length of its target; else 0 */
	uint64_t bytes;      /* allocated: sum of extent lengths (statfs, st_blocks) */
	uint64_t mtime_ns, ctime_ns, btime_ns;
	uint64_t atime_ns;   /* only as set by utimes; 0: show mtime */
	uint32_t rdev;       /* devices */
	uint32_t flags;
	/* directories: their parent (the root: itself; orphans: 0); others: 0 */
	uint64_t parent;
	uint64_t children;   /* directories: number of entries */
	uint32_t subdirs;    /* directories */
	uint32_t policy, project, delegate;
	uint64_t version;    /* grows with each change of contents */
	struct span target;  /* symlinks; borrowed from the row's bytes */
};
/* All encoders append. 0, -EINVAL (not a row), -ENOMEM, -EMSGSIZE. All decoders: 0, -EBADMSG. */
must_check int inode_row_encode(const struct inode_row *r, struct buf *ret);
must_check int inode_row_decode(struct span s, struct inode_row *ret);

enum extent_kind { EXTENT_CHUNK = 1, EXTENT_FOREIGN = 2, EXTENT_INLINE = 3 };
struct extent_row {
	enum extent_kind kind;
	uint64_t length;
	uint8_t chunk[CHUNK_ID_SIZE]; /* EXTENT_CHUNK */
	/* EXTENT_CHUNK: where in the chunk's plaintext the extent begins */
	uint32_t chunk_offset;
	uint64_t foreign_offset;      /* EXTENT_FOREIGN: where in the foreign object it begins */
	/* EXTENT_INLINE: contents; EXTENT_FOREIGN: reference; borrowed */
	struct span bytes;
};
must_check int extent_row_encode(const struct extent_row *r, struct buf *ret);
must_check int extent_row_decode(struct span s, struct extent_row *ret);
bool extent_row_valid(const struct extent_row *r);
/* As a part of something longer (an operation). */
void extent_row_write(struct writer *w, const struct extent_row *r);
void extent_row_read(struct reader *rd, struct extent_row *ret);

struct chunk_row {
	uint32_t length;    /* plaintext */
	uint32_t key_epoch;
	uint8_t salt[16];   /* the sealing id: any piece opens without reading the header first */
	uint64_t live;      /* bytes that extents refer to; shared ones count once per extent */
	uint64_t stores;    /* bit set: who has it */
	uint64_t want;      /* bit set: who should (policy at its writing) */
	uint32_t policy;
	/* slots; dead 0: alive. Dead and wanted nowhere: collected (K4 of chunk.h) */
	uint64_t born, dead;
};
must_check int chunk_row_encode(const struct chunk_row *r, struct buf *ret);
must_check int chunk_row_decode(struct span s, struct chunk_row *ret);

struct orphan_row {
	uint64_t slot, time_ns; /* of losing its last name, or of the last HOLD */
};
must_check int orphan_row_encode(const struct orphan_row *r, struct buf *ret);
must_check int orphan_row_decode(struct span s, struct orphan_row *ret);

enum mount_status { MOUNT_MOUNTED = 1, MOUNT_UNMOUNTED, MOUNT_FENCED };
#define MOUNT_RESULTS 64
struct mount_row {
	/* its first block, and the author in its chunk ids; 0: never mounted */
	uint32_t number;
	enum mount_status status;
	uint64_t last;            /* last operation number evaluated */
	uint64_t slot;            /* of its last status change */
	struct span name;         /* host name and pid, for people */
};
must_check int mount_row_encode(const struct mount_row *r, struct buf *ret);
must_check int mount_row_decode(struct span s, struct mount_row *ret);

/* Rows of their own, so that an operation rewrites one of them and not all 64. */
struct result_row {
	int error;      /* 0 or -errno, by Linux's generic numbers */
	uint64_t value; /* an inode number or another result */
};
must_check int result_row_encode(const struct result_row *r, struct buf *ret);
must_check int result_row_decode(struct span s, struct result_row *ret);

struct store_row {
	uint8_t id[16];      /* random: what a journal link is bound to */
	uint32_t roles;      /* STORE_ROLE_* */
	struct span name, url;
};
#define STORE_ROLE_DATA 1u
#define STORE_ROLE_JOURNAL 2u
must_check int store_row_encode(const struct store_row *r, struct buf *ret);
must_check int store_row_decode(struct span s, struct store_row *ret);

/*
 * A bucket that is a directory of the root: where it is, and not how one gets in, which each
 * machine knows for itself.
 */
#define ATTACH_URLS_MAX 4
#define ATTACH_READ_ONLY 1u
struct attach_row {
	uint32_t flags;
	uint64_t ttl_ns;     /* how long a listing is believed */
	size_t n_urls;       /* the bucket and its mirrors, at least one */
	struct span urls[ATTACH_URLS_MAX];
};
must_check int attach_row_encode(const struct attach_row *r, struct buf *ret);
must_check int attach_row_decode(struct span s, struct attach_row *ret);

struct volume_row {
	uint8_t id[16];
	uint32_t level;          /* of operations; a mount that does not know it stops */
	uint32_t epoch;          /* of the journal */
	uint32_t key_epoch;
	uint32_t next_mount;     /* number for the next MOUNT or MORE_INODES */
	uint8_t name_key[16];    /* keys the hash of directory entries */
	uint64_t created_ns;
	struct span name;
};
must_check int volume_row_encode(const struct volume_row *r, struct buf *ret);
must_check int volume_row_decode(struct span s, struct volume_row *ret);

/* A row of its own, because nearly every operation changes it and every lookup needs the other. */
struct totals_row {
	uint64_t files;       /* with a name: all but directories */
	uint64_t directories; /* with a name, the root included */
	uint64_t bytes;       /* of all extents, those of orphans included */
};
must_check int totals_row_encode(const struct totals_row *r, struct buf *ret);
must_check int totals_row_decode(struct span s, struct totals_row *ret);

/* The newest checkpoint that was announced; also the value of OP_CHECKPOINT. */
#define MANIFEST_HASH_SIZE 32
struct checkpoint_row {
	uint64_t slot;  /* of its state */
	uint32_t mount; /* number of its writer */
	uint8_t manifest[MANIFEST_HASH_SIZE];
};
must_check int checkpoint_row_encode(const struct checkpoint_row *r, struct buf *ret);
must_check int checkpoint_row_decode(struct span s, struct checkpoint_row *ret);

/*
 * How long what is dead stays in the stores: what a mount shows that has not seen the tip for half
 * of it could be gone.
 */
struct grace_row {
	uint64_t seconds;
	uint64_t since_ns; /* when it became that */
};
#define GRACE_DEFAULT_S (24 * 3600)
#define GRACE_LEAST_S 60
must_check int grace_row_encode(const struct grace_row *r, struct buf *ret);
must_check int grace_row_decode(struct span s, struct grace_row *ret);

#define VOLUME_KEY SPAN_NULL
#define TOTALS_KEY SPAN_LITERAL("t")
#define CHECKPOINT_KEY SPAN_LITERAL("c")
#define GRACE_KEY SPAN_LITERAL("g")

/* A number that a field of 32 bits holds. */
uint32_t read_varint32(struct reader *rd);

/* Keys. */
void key_ino(uint64_t ino, uint8_t ret[8]);
void key_ino_u64(uint64_t ino, uint64_t second, uint8_t ret[16]);
uint64_t key_u64(const uint8_t *key); /* reads a big-endian number back */
