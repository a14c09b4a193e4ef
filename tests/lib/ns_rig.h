/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A formatted volume in memory with one mount, for tests of the state machine. Every operation
 * takes the way through its encoding, and one that fails is checked to have changed nothing but its
 * mount's rows.
 */
#include "fs/ns/apply.h"
#include "fs/ns/lookup.h"

struct rig {
	struct kv *kv;
	struct view *view;
	uint8_t incarnation[INCARNATION_SIZE];
	uint64_t number; /* of the last operation */
	uint64_t next_ino;
	uint64_t slot;
	uint64_t time_ns;  /* of the last operation; each is a second later */
	struct result res; /* of the last operation */
};

void rig_open(struct rig *r); /* on memory */
/* Takes the kv, which may be that of an open volume. */
void rig_open_on(struct rig *r, struct kv *kv);
void rig_close(struct rig *r);

/* Applies; sets number and time where they are 0. Answers the result's error. */
int rig_apply(struct rig *r, struct op op);
/* The same as another mount, whose number is given. */
int rig_apply_as(struct rig *r, const uint8_t incarnation[INCARNATION_SIZE], struct op op);
/* What is open becomes the base. */
void rig_commit(struct rig *r);

/* These fail the test when the operation fails. */
uint64_t rig_create(struct rig *r, uint64_t parent, const char *name);
uint64_t rig_mkdir(struct rig *r, uint64_t parent, const char *name);

/* Operations half made: what they are about. */
struct op op_at(enum op_kind kind, uint64_t parent, const char *name);
struct op op_rename(uint64_t parent, const char *name, uint64_t to_parent, const char *to_name);

/* 0: no such name. */
uint64_t rig_lookup(struct rig *r, uint64_t parent, const char *name);
/* Without what it borrows; fails the test when there is none. */
struct inode_row rig_inode(struct rig *r, uint64_t ino);
bool rig_exists(struct rig *r, uint64_t ino);
struct totals_row rig_totals(struct rig *r);

/*
 * The state that the view shows: like the state hash, but of all layers; the mounts' rows are left
 * out on request.
 */
struct state_hash view_hash(struct view *v, bool with_mounts);
static inline bool state_hash_equal(struct state_hash a, struct state_hash b)
{
	return a.lo == b.lo && a.hi == b.hi;
}
/* The value of a FORMAT for tests: two stores, one key slot. */
void rig_format_value(struct buf *ret);
