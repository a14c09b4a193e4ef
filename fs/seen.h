/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What this machine remembers of a volume's superblocks, so that a store which shows an older
 * one (restored from a backup, or by somebody with bad intent) is noticed. A small file in the
 * cache folder; losing it loses the memory, nothing else.
 */
#include "base/span.h"

enum seen_cond {
	SEEN_ROLLBACK = 1, /* older than what was seen here, or another one under the same number */
};
/* Compares with what `file` remembers of this store. 0 (also when nothing is remembered),
 * SEEN_ROLLBACK. */
must_check int seen_check(const char *file, const uint8_t store_id[16], uint64_t slot,
			  const uint8_t hash[32]);
/* Remembers it. Never fails for the caller: what can't be written is logged. */
void seen_note(const char *file, const uint8_t store_id[16], uint64_t slot, const uint8_t hash[32]);
