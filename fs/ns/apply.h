/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state machine: state + operation -> state, result.
 *
 * (A1) Deterministic: depends on the view and the operation (and who submitted it) only.
 * (A2) Nothing is written before everything is known to be right: an operation that fails changes
 *      its mount's rows only.
 * (A3) Ends in one of two ways: a result (also a POSIX error: the state is unchanged then, but for
 *      the mount's row), or a negative errno of THIS machine (disk, memory), after which this mount
 *      stops applying: a local failure is never a result.
 */
#include "cache/view.h"
#include "fs/ns/op.h"

struct apply_context {
	uint64_t slot;                         /* of the record; early: the slot it would have */
	uint8_t incarnation[INCARNATION_SIZE]; /* who submitted it */
	/*
	 * For an early answer: at-most-once and the mount's rows are not touched. What stands in
	 * the view then is for answers only: the record's operations are applied again, not early,
	 * in their slot.
	 */
	bool early;
};

/* In result.error: not evaluated (done before, out of order, mount fenced or unknown). */
#define APPLY_IGNORED 1
/*
 * One operation, at-most-once rules of its mount included: evaluated iff the mount is mounted and
 * number == last + 1, else ret->error = APPLY_IGNORED. FORMAT: iff there is no volume. MOUNT: iff
 * its incarnation is new. Early, all kinds below OP_CREATE are ignored. 0, or the machine's
 * negative errno.
 */
must_check int apply(struct view *v, const struct apply_context *ctx, const struct op *op,
		     struct result *ret);

/*
 * The state hash: sum mod 2^128 of BLAKE2b-128 over (column, key, value) of all columns but
 * COL_META.
 */
struct state_hash {
	uint64_t lo, hi;
};
/* Adds what the view's flying overlay changes, before it is committed. */
must_check int state_hash_update(struct state_hash *h, struct view *v);
/* A row's share of the sum. */
struct state_hash state_hash_row(unsigned column, struct span key, struct span value);
void state_hash_add(struct state_hash *h, struct state_hash row);
/* From nothing, over a whole database (fsck, tests). */
must_check int state_hash_of(struct kv *kv, struct state_hash *ret);
