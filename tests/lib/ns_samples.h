/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One operation of each kind, with something in every field that the kind has. */
#include <sys/stat.h>

#include "fs/ns/op.h"

#define SAMPLE_ID "\0\0\0\1abcdefghijkl"

static const struct op_extent sample_extents[] = {
	{ .offset = 0,
	  .row = { .kind = EXTENT_INLINE, .length = 5, .bytes = SPAN_LITERAL("hello") } },
	{ .offset = 65536,
	  .row = { .kind = EXTENT_CHUNK, .length = 300, .chunk = SAMPLE_ID, .chunk_offset = 128 } },
	{ .offset = 1 << 20,
	  .row = { .kind = EXTENT_FOREIGN,
		   .length = 7,
		   .foreign_offset = 9,
		   .bytes = SPAN_LITERAL("s3:k") } },
};
static const struct op_chunk sample_chunks[] = {
	{ .id = SAMPLE_ID,
	  .length = 428,
	  .key_epoch = 1,
	  .salt = "0123456789abcde",
	  .stores = 5,
	  .want = 7,
	  .policy = 2 },
};

/* Of slot 0, by mount 1. */
#define SAMPLE_CHECKPOINT "\0\1the hash of a manifest, 32 bytes"
/* Read-only, 60 s, two URLs. */
#define SAMPLE_ATTACH "\1\200\260\235\302\337\1\2\4s3:a\4gs:b"
#define SAMPLE_HEAD .number = 300, .time_ns = 1700000000000000000u
#define SAMPLE_NAME .parent = 1, .name = SPAN_LITERAL("name")
#define SAMPLE_NEW  SAMPLE_NAME, .ino = 0x1000002, .uid = 1000, .gid = 100

static const struct op sample_ops[] = {
	{ .kind = OP_FORMAT,
	  SAMPLE_HEAD,
	  .uid = 0,
	  .gid = 0,
	  .mode = S_IFDIR | 0755,
	  .value = SPAN_LITERAL("value") },
	{ .kind = OP_MOUNT,
	  SAMPLE_HEAD,
	  .name = SPAN_LITERAL("host/17"),
	  .value = SPAN_LITERAL("incarnation-0001") },
	{ .kind = OP_UNMOUNT, SAMPLE_HEAD },
	{ .kind = OP_FENCE, SAMPLE_HEAD, .value = SPAN_LITERAL("incarnation-0002") },
	{ .kind = OP_MORE_INODES, SAMPLE_HEAD },
	{ .kind = OP_CHECKPOINT, SAMPLE_HEAD, .value = SPAN_LITERAL(SAMPLE_CHECKPOINT) },
	{ .kind = OP_ATTACH,
	  SAMPLE_HEAD,
	  .name = SPAN_LITERAL("raw"),
	  .value = SPAN_LITERAL(SAMPLE_ATTACH) },
	{ .kind = OP_DETACH, SAMPLE_HEAD, .name = SPAN_LITERAL("raw") },
	{ .kind = OP_CREATE, SAMPLE_HEAD, SAMPLE_NEW, .mode = S_IFCHR | 0644, .rdev = 0x0103 },
	{ .kind = OP_MKDIR, SAMPLE_HEAD, SAMPLE_NEW, .mode = 0755 },
	{ .kind = OP_SYMLINK, SAMPLE_HEAD, SAMPLE_NEW, .value = SPAN_LITERAL("../to") },
	{ .kind = OP_LINK, SAMPLE_HEAD, SAMPLE_NAME, .ino = 0x1000002 },
	{ .kind = OP_UNLINK, SAMPLE_HEAD, SAMPLE_NAME, .saw = SAW_ANYTHING },
	{ .kind = OP_RMDIR, SAMPLE_HEAD, SAMPLE_NAME, .saw = 0x1000003 },
	{ .kind = OP_RENAME,
	  SAMPLE_HEAD,
	  SAMPLE_NAME,
	  .to_parent = 0x1000003,
	  .to_name = SPAN_LITERAL("new"),
	  .saw = 0x1000002,
	  .saw_to = 0,
	  .flags = OP_RENAME_NOREPLACE },
	{ .kind = OP_SETATTR,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .set = 31,
	  .mode = 04755,
	  .uid = 1,
	  .gid = 2,
	  .mtime_ns = 3,
	  .atime_ns = 4 },
	{ .kind = OP_SETXATTR,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .name = SPAN_LITERAL("user.a"),
	  .flags = OP_XATTR_CREATE,
	  .value = SPAN_LITERAL("v") },
	{ .kind = OP_REMOVEXATTR, SAMPLE_HEAD, .ino = 0x1000002, .name = SPAN_LITERAL("user.a") },
	{ .kind = OP_WRITE,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .flags = OP_WRITE_REPLACE | OP_WRITE_SIZE,
	  .mtime_ns = 5,
	  .size = 1 << 21,
	  .extents = sample_extents,
	  .n_extents = ARRAY_SIZE(sample_extents),
	  .chunks = sample_chunks,
	  .n_chunks = ARRAY_SIZE(sample_chunks) },
	{ .kind = OP_TRUNCATE,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .flags = OP_WRITE_KILLPRIV,
	  .mtime_ns = 5,
	  .size = 4096 },
	{ .kind = OP_PUNCH,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .flags = OP_PUNCH_GROW,
	  .mtime_ns = 5,
	  .off = 1,
	  .len = 2 },
	{ .kind = OP_CLONE,
	  SAMPLE_HEAD,
	  .ino = 0x1000002,
	  .mtime_ns = 5,
	  .off = 1,
	  .len = 2,
	  .to = 0x1000003,
	  .to_off = 3 },
	{ .kind = OP_STORED, SAMPLE_HEAD, .chunks = sample_chunks, .n_chunks = 1 },
	{ .kind = OP_DEFICIT, SAMPLE_HEAD, .chunks = sample_chunks, .n_chunks = 1 },
	{ .kind = OP_REAP, SAMPLE_HEAD, .ino = 0x1000002, .saw = 77 },
	{ .kind = OP_HOLD, SAMPLE_HEAD, .ino = 0x1000002 },
};
