/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ns/op.h"

#include <sys/stat.h>

/*
 * An encoding is: kind, number, time, then those fields that the kind has, in the order of this
 * list. FORMAT.md has it for readers.
 */
enum field {
	F_OWNER = 1u << 0, /* uid, gid */
	F_INO = 1u << 1,
	F_PARENT = 1u << 2,    /* parent, name */
	F_TO_PARENT = 1u << 3, /* to_parent, to_name */
	F_SAW = 1u << 4,
	F_SAW_TO = 1u << 5,
	F_SAW_SLOT = 1u << 6, /* saw as the slot of an orphan's row */
	F_NAME = 1u << 7,
	F_MODE = 1u << 8,
	F_RDEV = 1u << 9,
	F_FLAGS = 1u << 10,
	F_ATTRIBUTES = 1u << 11, /* set, and what it says is there */
	F_MTIME = 1u << 12,
	F_SIZE = 1u << 13,
	F_SIZE_IF = 1u << 14,  /* with OP_WRITE_SIZE only */
	F_RANGE = 1u << 15,    /* off, len */
	F_TO_RANGE = 1u << 16, /* to, to_off */
	F_VALUE = 1u << 17,
	F_EXTENTS = 1u << 18,
	F_CHUNKS = 1u << 19,
	F_COPIES = 1u << 20, /* chunks: id and stores */
	F_OFFSET = 1u << 21, /* off alone */
};
#define F_NEW (F_OWNER | F_INO | F_PARENT)

struct kind {
	enum op_kind kind;
	const char *name;
	uint32_t fields;
	uint32_t flags; /* those allowed */
};
static const struct kind kinds[] = {
	{ OP_FORMAT, "format", F_OWNER | F_MODE | F_VALUE },
	{ OP_MOUNT, "mount", F_NAME | F_VALUE },
	{ OP_UNMOUNT, "unmount", 0 },
	{ OP_FENCE, "fence", F_VALUE },
	{ OP_MORE_INODES, "more-inodes", 0 },
	{ OP_CHECKPOINT, "checkpoint", F_VALUE },
	{ OP_ATTACH, "attach", F_NAME | F_VALUE },
	{ OP_DETACH, "detach", F_NAME },
	{ OP_SOURCE, "source", F_VALUE },
	{ OP_CREATE, "create", F_NEW | F_MODE | F_RDEV },
	{ OP_MKDIR, "mkdir", F_NEW | F_MODE },
	{ OP_SYMLINK, "symlink", F_NEW | F_VALUE },
	{ OP_LINK, "link", F_INO | F_PARENT },
	{ OP_UNLINK, "unlink", F_PARENT | F_SAW },
	{ OP_RMDIR, "rmdir", F_PARENT | F_SAW },
	{ OP_RENAME, "rename", F_PARENT | F_TO_PARENT | F_SAW | F_SAW_TO | F_FLAGS,
	  OP_RENAME_NOREPLACE | OP_RENAME_EXCHANGE },
	{ OP_SETATTR, "setattr", F_INO | F_ATTRIBUTES },
	{ OP_SETXATTR, "setxattr", F_INO | F_NAME | F_FLAGS | F_VALUE,
	  OP_XATTR_CREATE | OP_XATTR_REPLACE },
	{ OP_REMOVEXATTR, "removexattr", F_INO | F_NAME },
	{ OP_WRITE, "write", F_INO | F_FLAGS | F_MTIME | F_SIZE_IF | F_EXTENTS | F_CHUNKS,
	  OP_WRITE_REPLACE | OP_WRITE_APPEND | OP_WRITE_KEEP_MTIME | OP_WRITE_SIZE |
		  OP_WRITE_KILLPRIV },
	{ OP_TRUNCATE, "truncate", F_INO | F_FLAGS | F_MTIME | F_SIZE, OP_WRITE_KILLPRIV },
	{ OP_PUNCH, "punch", F_INO | F_FLAGS | F_MTIME | F_RANGE,
	  OP_PUNCH_GROW | OP_WRITE_KILLPRIV },
	{ OP_CLONE, "clone", F_INO | F_MTIME | F_RANGE | F_TO_RANGE },
	{ OP_ADOPT, "adopt", F_NEW | F_MODE | F_MTIME | F_SIZE | F_VALUE },
	{ OP_STORED, "stored", F_COPIES },
	{ OP_DEFICIT, "deficit", F_COPIES },
	{ OP_REAP, "reap", F_INO | F_SAW_SLOT },
	{ OP_HOLD, "hold", F_INO },
	{ OP_REPACK, "repack", F_INO | F_OFFSET | F_VALUE | F_EXTENTS | F_CHUNKS },
	{ OP_COLLECT, "collect", F_SAW_SLOT | F_SIZE | F_COPIES },
	{ OP_KEYSLOT, "keyslot", F_OFFSET | F_VALUE },
};

static const struct kind *kind_of(uint64_t kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

const char *op_kind_name(enum op_kind kind)
{
	const struct kind *k = kind_of(kind);

	return k ? k->name : "unknown";
}

/* Ascending, disjoint, and not beyond the largest file. */
static bool extents_valid(const struct op *op)
{
	uint64_t end = 0;

	for (size_t i = 0; i < op->n_extents; i++) {
		const struct op_extent *e = &op->extents[i];

		if (!extent_row_valid(&e->row) || e->offset < end ||
		    e->offset > FILE_SIZE_MAX - e->row.length)
			return false;
		end = e->offset + e->row.length;
	}
	return true;
}

static bool chunks_valid(const struct op *op)
{
	for (size_t i = 0; i < op->n_chunks; i++)
		if (op->chunks[i].length == 0)
			return false;
	return true;
}

#define SET_ALL	 (OP_SET_MODE | OP_SET_UID | OP_SET_GID | OP_SET_MTIME | OP_SET_ATIME)
#define MODE_ALL (S_IFMT | 07777u)

bool op_valid(const struct op *op)
{
	const struct kind *k = kind_of(op->kind);
	const uint32_t both = OP_WRITE_APPEND | OP_WRITE_SIZE;

	if (!k)
		return false;
	if ((k->fields & F_FLAGS) && (op->flags & ~k->flags))
		return false;
	if ((k->fields & (F_NAME | F_PARENT)) && op->name.len > OP_NAME_MAX)
		return false;
	if ((k->fields & F_TO_PARENT) && op->to_name.len > OP_NAME_MAX)
		return false;
	if ((k->fields & F_VALUE) && op->value.len > OP_VALUE_MAX)
		return false;
	if ((k->fields & (F_MODE | F_ATTRIBUTES)) && (op->mode & ~MODE_ALL))
		return false;
	if ((k->fields & F_ATTRIBUTES) && (op->set & ~SET_ALL))
		return false;
	if ((k->fields & F_SIZE_IF) && (op->flags & both) == both)
		return false;
	if ((k->fields & F_EXTENTS) && !extents_valid(op))
		return false;
	return !(k->fields & F_CHUNKS) || chunks_valid(op);
}

static void write_attributes(struct writer *w, const struct op *op)
{
	write_varint(w, op->set);
	if (op->set & OP_SET_MODE)
		write_varint(w, op->mode);
	if (op->set & OP_SET_UID)
		write_varint(w, op->uid);
	if (op->set & OP_SET_GID)
		write_varint(w, op->gid);
	if (op->set & OP_SET_MTIME)
		write_varint(w, op->mtime_ns);
	if (op->set & OP_SET_ATIME)
		write_varint(w, op->atime_ns);
}

static void write_extents(struct writer *w, const struct op *op)
{
	write_varint(w, op->n_extents);
	for (size_t i = 0; i < op->n_extents; i++) {
		write_varint(w, op->extents[i].offset);
		extent_row_write(w, &op->extents[i].row);
	}
}

static void write_chunks(struct writer *w, const struct op *op, bool copies_only)
{
	write_varint(w, op->n_chunks);
	for (size_t i = 0; i < op->n_chunks; i++) {
		const struct op_chunk *c = &op->chunks[i];

		write_raw(w, span_of(c->id, CHUNK_ID_SIZE));
		write_varint(w, c->stores);
		if (copies_only)
			continue;
		write_varint(w, c->length);
		write_varint(w, c->key_epoch);
		write_raw(w, span_of(c->salt, sizeof(c->salt)));
		write_varint(w, c->want);
		write_varint(w, c->policy);
	}
}

/* What was seen under a name is written plus one: "anything" becomes the shortest number. */
static void write_saw(struct writer *w, uint64_t saw)
{
	write_varint(w, saw + 1);
}

/* The fields that say where: objects, names, and what was seen under them. */
static void write_places(struct writer *w, const struct op *op, uint32_t fields)
{
	if (fields & F_OWNER) {
		write_varint(w, op->uid);
		write_varint(w, op->gid);
	}
	if (fields & F_INO)
		write_varint(w, op->ino);
	if (fields & F_PARENT) {
		write_varint(w, op->parent);
		write_bytes(w, op->name);
	}
	if (fields & F_TO_PARENT) {
		write_varint(w, op->to_parent);
		write_bytes(w, op->to_name);
	}
	if (fields & F_SAW)
		write_saw(w, op->saw);
	if (fields & F_SAW_TO)
		write_saw(w, op->saw_to);
	if (fields & F_SAW_SLOT)
		write_varint(w, op->saw == SAW_ANYTHING ? 0 : op->saw);
	if (fields & F_NAME)
		write_bytes(w, op->name);
}

/* The fields that say what. */
static void write_contents(struct writer *w, const struct op *op, uint32_t fields)
{
	if (fields & F_MODE)
		write_varint(w, op->mode);
	if (fields & F_RDEV)
		write_varint(w, op->rdev);
	if (fields & F_FLAGS)
		write_varint(w, op->flags);
	if (fields & F_ATTRIBUTES)
		write_attributes(w, op);
	if (fields & F_MTIME)
		write_varint(w, op->mtime_ns);
	if ((fields & F_SIZE) || ((fields & F_SIZE_IF) && (op->flags & OP_WRITE_SIZE)))
		write_varint(w, op->size);
	if (fields & (F_RANGE | F_OFFSET))
		write_varint(w, op->off);
	if (fields & F_RANGE)
		write_varint(w, op->len);
	if (fields & F_TO_RANGE) {
		write_varint(w, op->to);
		write_varint(w, op->to_off);
	}
	if (fields & F_VALUE)
		write_bytes(w, op->value);
	if (fields & F_EXTENTS)
		write_extents(w, op);
	if (fields & (F_CHUNKS | F_COPIES))
		write_chunks(w, op, fields & F_COPIES);
}

int op_encode(const struct op *op, struct buf *ret)
{
	const struct kind *k = kind_of(op->kind);
	const size_t begin = ret->len;
	struct writer w = WRITER(ret);

	if (!op_valid(op))
		return -EINVAL;
	write_varint(&w, op->kind);
	write_varint(&w, op->number);
	write_varint(&w, op->time_ns);
	write_places(&w, op, k->fields);
	write_contents(&w, op, k->fields);
	if (w.error)
		ret->len = begin;
	return w.error;
}

static void read_attributes(struct reader *rd, struct op *op)
{
	op->set = read_varint32(rd);
	if (op->set & OP_SET_MODE)
		op->mode = read_varint32(rd);
	if (op->set & OP_SET_UID)
		op->uid = read_varint32(rd);
	if (op->set & OP_SET_GID)
		op->gid = read_varint32(rd);
	if (op->set & OP_SET_MTIME)
		op->mtime_ns = read_varint(rd);
	if (op->set & OP_SET_ATIME)
		op->atime_ns = read_varint(rd);
}

/*
 * Room for as many items as the count says, which is believed only as far as there are bytes for
 * them.
 */
static void *read_count(struct reader *rd, size_t least_bytes, size_t item_size, size_t *ret_n,
			int *error)
{
	const uint64_t n = read_varint(rd);
	void *items;

	*ret_n = 0;
	if (n > rd->rest.len / least_bytes) {
		read_fail(rd);
		return NULL;
	}
	if (n == 0)
		return NULL;
	items = calloc(n, item_size);
	if (!items) {
		*error = -ENOMEM;
		read_fail(rd);
		return NULL;
	}
	*ret_n = n;
	return items;
}

#define EXTENT_LEAST_BYTES 4 /* offset, kind, length, one byte of contents */
#define COPIES_LEAST_BYTES (CHUNK_ID_SIZE + 1)

static void read_extents(struct reader *rd, struct op *op, int *error)
{
	size_t n;
	struct op_extent *extents = read_count(rd, EXTENT_LEAST_BYTES, sizeof(*extents), &n, error);

	op->extents = extents;
	op->n_extents = n;
	for (size_t i = 0; i < n; i++) {
		extents[i].offset = read_varint(rd);
		extent_row_read(rd, &extents[i].row);
	}
}

static void read_chunks(struct reader *rd, bool copies_only, struct op *op, int *error)
{
	size_t n;
	struct op_chunk *chunks = read_count(rd, COPIES_LEAST_BYTES, sizeof(*chunks), &n, error);

	op->chunks = chunks;
	op->n_chunks = n;
	for (size_t i = 0; i < n; i++) {
		struct op_chunk *c = &chunks[i];

		read_copy(rd, c->id, CHUNK_ID_SIZE);
		c->stores = read_varint(rd);
		if (copies_only)
			continue;
		c->length = read_varint32(rd);
		c->key_epoch = read_varint32(rd);
		read_copy(rd, c->salt, sizeof(c->salt));
		c->want = read_varint(rd);
		c->policy = read_varint32(rd);
	}
}

static void read_places(struct reader *rd, uint32_t fields, struct op *op)
{
	if (fields & F_OWNER) {
		op->uid = read_varint32(rd);
		op->gid = read_varint32(rd);
	}
	if (fields & F_INO)
		op->ino = read_varint(rd);
	if (fields & F_PARENT) {
		op->parent = read_varint(rd);
		op->name = read_bytes(rd, OP_NAME_MAX);
	}
	if (fields & F_TO_PARENT) {
		op->to_parent = read_varint(rd);
		op->to_name = read_bytes(rd, OP_NAME_MAX);
	}
	if (fields & F_SAW)
		op->saw = read_varint(rd) - 1;
	if (fields & F_SAW_TO)
		op->saw_to = read_varint(rd) - 1;
	if (fields & F_SAW_SLOT)
		op->saw = read_varint(rd);
	if (fields & F_NAME)
		op->name = read_bytes(rd, OP_NAME_MAX);
}

static void read_contents(struct reader *rd, uint32_t fields, struct op *op, int *error)
{
	if (fields & F_MODE)
		op->mode = read_varint32(rd);
	if (fields & F_RDEV)
		op->rdev = read_varint32(rd);
	if (fields & F_FLAGS)
		op->flags = read_varint32(rd);
	if (fields & F_ATTRIBUTES)
		read_attributes(rd, op);
	if (fields & F_MTIME)
		op->mtime_ns = read_varint(rd);
	if ((fields & F_SIZE) || ((fields & F_SIZE_IF) && (op->flags & OP_WRITE_SIZE)))
		op->size = read_varint(rd);
	if (fields & (F_RANGE | F_OFFSET))
		op->off = read_varint(rd);
	if (fields & F_RANGE)
		op->len = read_varint(rd);
	if (fields & F_TO_RANGE) {
		op->to = read_varint(rd);
		op->to_off = read_varint(rd);
	}
	if (fields & F_VALUE)
		op->value = read_bytes(rd, OP_VALUE_MAX);
	if (fields & F_EXTENTS)
		read_extents(rd, op, error);
	if (fields & (F_CHUNKS | F_COPIES))
		read_chunks(rd, fields & F_COPIES, op, error);
}

int op_decode(struct span s, struct op *ret)
{
	struct reader rd = READER(s);
	const uint64_t number_of_kind = read_varint(&rd);
	const struct kind *k = kind_of(number_of_kind);
	struct op op = {};
	int error = 0;

	if (read_error(&rd))
		return -EBADMSG;
	if (!k)
		return OP_UNKNOWN_KIND;
	op.kind = k->kind;
	op.number = read_varint(&rd);
	op.time_ns = read_varint(&rd);
	read_places(&rd, k->fields, &op);
	read_contents(&rd, k->fields, &op, &error);
	if (!error)
		error = read_end(&rd);
	if (!error && !op_valid(&op))
		error = -EBADMSG;
	/* A slot that stands for "anything" has one form. */
	if (!error && (k->fields & F_SAW_SLOT) && op.saw == SAW_ANYTHING)
		error = -EBADMSG;
	if (error) {
		op_release(&op);
		return error;
	}
	*ret = op;
	return 0;
}

void op_release(struct op *op)
{
	free((void *)op->extents);
	free((void *)op->chunks);
	op->extents = NULL;
	op->chunks = NULL;
	op->n_extents = 0;
	op->n_chunks = 0;
}
