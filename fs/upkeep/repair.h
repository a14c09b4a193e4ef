/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Making copies that should exist: deficits (a store missed a chunk) and bad replicas (what a store
 * has does not verify, or is gone).
 *
 * (Q1) Nothing is sent that did not verify, frame by frame.
 * (Q2) Any mount may repair: creating a copy twice is harmless. The owner of the tip does; the
 *      others only what is left lying.
 * (Q3) A store that is down is not tried; when it is back the work goes on by itself.
 */
#include "fs/commit.h"
#include "fs/seal.h"

struct repair;
struct repair_options {
	struct replicas *replicas; /* all borrowed */
	struct sealer *sealer;
	struct commit *commit;
};
/* Starts the task. */
must_check int repair_new(const struct repair_options *o, struct repair **ret);
struct repair *repair_free(struct repair *r);
DEFINE_CLEANUP(struct repair *, repair_free)

/*
 * A replica did not verify, or is missing though it should be there: it is rewritten from a good
 * one. Never blocks.
 */
void repair_bad(struct repair *r, const struct chunk_seal *seal, unsigned store);

struct repair_status {
	uint64_t bad_chunks[REPLICAS_MAX]; /* found and not rewritten yet */
	uint64_t repaired_chunks;          /* copies made, since the start */
};
void repair_status_get(struct repair *r, struct repair_status *ret);
