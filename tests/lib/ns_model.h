/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The namespace as plain as it can be, for comparison with fs/ns: flat arrays, contents byte by
 * byte, and nothing kept that can be counted (links, children, live bytes, totals are). It shares
 * no code with what it checks but the struct of an operation.
 */
#include "fs/ns/op.h"
#include "fs/ns/apply.h"

#define MODEL_MOUNTS 16
#define MODEL_XATTRS 4
#define MODEL_NAME   300

/*
 * A byte of a file. chunk, foreign: index + 1 of the chunk or of the foreign object that it is in;
 * both 0: inline.
 */
struct model_cell {
	uint8_t byte;
	bool allocated;
	uint16_t chunk, foreign;
	uint32_t at; /* offset in the chunk or object */
};

struct model_xattr {
	char name[MODEL_NAME];
	char value[16];
};

struct model_node {
	uint64_t ino; /* 0: free */
	uint32_t mode, uid, gid, rdev;
	uint64_t mtime, ctime, btime, atime, version;
	uint64_t size;
	struct model_cell *cells; /* of size */
	char target[32];
	struct model_xattr xattrs[MODEL_XATTRS];
	unsigned n_xattrs;
	bool orphan;
	uint64_t orphan_slot, orphan_time;
};

struct model_entry {
	uint64_t parent, ino;
	char name[MODEL_NAME];
};

struct model_chunk {
	struct op_chunk c; /* stores: who has it */
	uint64_t born, dead, deficits;
	bool gone; /* collected; a place in the list all the same */
};

#define MODEL_ATTACHED 12
struct model_attached {
	char name[MODEL_NAME]; /* "": free */
	uint64_t ttl_ns;
};

#define MODEL_REFERENCES 16
struct model_reference {
	char text[32];
};

struct model_mount {
	uint8_t incarnation[INCARNATION_SIZE];
	enum mount_status status;
	uint32_t number;
	uint64_t last, slot;
	struct result results[MOUNT_RESULTS];
};

struct model {
	struct model_node *nodes;
	size_t n_nodes;
	struct model_entry *entries;
	size_t n_entries;
	struct model_chunk *chunks;
	size_t n_chunks;
	struct model_attached attached[MODEL_ATTACHED];
	struct model_mount mounts[MODEL_MOUNTS];
	unsigned n_mounts;
	uint32_t next_block;
	unsigned block_owner[256]; /* mount + 1 */
	struct model_reference references[MODEL_REFERENCES];
	unsigned n_references;
	char sources[MODEL_REFERENCES][16]; /* URLs; number i + 1 */
	unsigned n_sources;
	uint64_t grace_s, grace_since; /* 0: nobody said */
	char keyslots[KEYSLOTS_MAX][16]; /* "": free */
};

/* After the FORMAT of ns_rig.c. */
void model_init(struct model *m, uint64_t time_ns);
void model_copy(const struct model *from, struct model *ret); /* ret is not initialised */
void model_release(struct model *m);

/* As apply(). */
void model_apply(struct model *m, const struct apply_context *ctx, const struct op *op,
		 struct result *ret);

struct model_node *model_node(const struct model *m, uint64_t ino);
struct model_entry *model_find(const struct model *m, uint64_t parent, struct span name);
struct model_attached *model_attached(struct model *m, struct span name);
struct model_mount *model_mount(struct model *m, const uint8_t *incarnation);
struct model_chunk *model_chunk(const struct model *m, const uint8_t *id);
unsigned model_links(const struct model *m, const struct model_node *n); /* as stat would show */
unsigned model_children(const struct model *m, uint64_t dir);
uint64_t model_parent(const struct model *m, uint64_t ino); /* of a directory; 0: it has none */
uint64_t model_live(const struct model *m, const struct model_chunk *c);
uint64_t model_bytes(const struct model_node *n);
/* What stands at an offset of a chunk. */
uint8_t model_pattern(const uint8_t *id, uint64_t offset);

/* Contents: 0 or a POSIX errno. */
int model_write(struct model *m, const struct apply_context *ctx, const struct op *op,
		uint64_t *ret_value);
void model_adopted(struct model *m, struct model_node *n, const struct op *op);
int model_repack(struct model *m, const struct apply_context *ctx, const struct op *op,
		 uint64_t *ret_value);
int model_truncate(struct model *m, const struct op *op);
int model_punch(struct model *m, const struct op *op);
int model_clone(struct model *m, const struct op *op, uint64_t *ret_value);
int model_copies(struct model *m, const struct op *op);
int model_collect(struct model *m, const struct apply_context *ctx, const struct op *op,
		  uint64_t *ret_value);
/* Chunks that lost their last byte die. */
void model_bury(struct model *m, uint64_t slot);

/* Fails the test where the view shows anything else. */
void model_compare(struct model *m, struct view *v);
