/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What writing and loading share: objects by their places. */
#include "fs/checkpoint.h"

enum checkpoint_get_cond {
	CHECKPOINT_LOST = 1, /* no store has it whole */
};
/*
 * The plaintext of an object, from whichever store has it whole; appends. 0, CHECKPOINT_LOST
 * (logged where it is damage), -ENOMEM.
 */
must_check int checkpoint_object_get(const struct checkpoint_stores *s,
				     const struct checkpoint_place *p, struct buf *ret);
/* 0, CHECKPOINT_LOST, -ENOMEM. ret_hash: MANIFEST_HASH_SIZE bytes. */
must_check int checkpoint_manifest_get(const struct checkpoint_stores *s,
				       const struct checkpoint_place *p, struct manifest *ret,
				       uint8_t *ret_hash);

/* The checkpoints that stores list, the newest first. */
struct checkpoint_list {
	struct checkpoint_place *all;
	size_t n;
};
must_check int checkpoint_list_get(const struct checkpoint_stores *s, struct checkpoint_list *ret);
void checkpoint_list_release(struct checkpoint_list *l);
