/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A checkpoint's table of contents: of which slot it is, what it amounts to, and where its parts
 * are, which may be other checkpoints' parts. Pure; byte by byte in FORMAT.md.
 */
#include "fs/checkpoint_part.h"
#include "fs/commit.h"
#include "fs/seal.h"

/* Where an object of a checkpoint lies: "k/<slot>-<mount>/<number>", or "manifest" at the end. */
struct checkpoint_place {
	uint64_t slot;	 /* of the checkpoint it was written for */
	uint32_t mount;	 /* number of its writer */
	uint32_t number; /* of the part */
};
#define PLACE_MANIFEST	  UINT32_MAX
#define PLACE_NAME_MAX	  80
#define CHECKPOINT_PREFIX "k/"
void checkpoint_place_name(const struct checkpoint_place *p, char ret[PLACE_NAME_MAX]);
/* The object id that binds the sealed bytes to their place. */
void checkpoint_place_id(const struct checkpoint_place *p, uint8_t ret[OBJECT_ID_SIZE]);
/* "k/<slot>-<mount>/" and what follows -> its slot and mount; false: no such name. */
bool checkpoint_place_parse(struct span name, struct checkpoint_place *ret);

struct manifest_part {
	struct checkpoint_place place;
	uint8_t hash[PART_HASH_SIZE];
	uint64_t rows, size; /* as in struct part */
	uint64_t length;     /* of its plaintext, as sealed */
	uint64_t stores;     /* bit set: who had it when the manifest was written */
	struct buf first;    /* place of its first row */
};
struct manifest {
	struct commit_mark mark;
	struct part_totals totals;
	struct manifest_part *parts; /* in the order of their rows */
	size_t n_parts;
};
#define MANIFEST_MAX (256 * MiB)
void manifest_release(struct manifest *m);
/* Takes `first`, also on failure; the rest is copied. 0, -ENOMEM. */
must_check int manifest_add(struct manifest *m, struct manifest_part *p);
must_check int manifest_encode(const struct manifest *m, struct buf *ret);
/* 0, -EBADMSG, -ENOMEM. */
must_check int manifest_decode(struct span s, struct manifest *ret);
/* Of the encoding: how a CHECKPOINT operation names it. */
void manifest_hash(struct span encoded, uint8_t ret[32]);
