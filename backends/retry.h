/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which answers of a store are worth asking again, and when. Pure: randomness is passed in. */
#include "base/defs.h"

enum retry {
	RETRY_DONE,  /* it is there, or a condition that the asker must handle */
	RETRY_LATER, /* a passing failure, or an outcome that is not known: the same bytes again */
	RETRY_NEVER, /* the same question gets the same answer */
};
enum retry retry_get_class(int result);
/* put_if_absent of a name that is never reused: "exists" is done */
enum retry retry_put_class(int result);

/*
 * How long to wait before the next attempt: a random part (`draw`: 64 random bits) of 100 ms,
 * doubling with each failed attempt (from 1) to 10 s; not less than 10 ms, nor than the store asked
 * for (to 2 minutes; 0: did not ask).
 */
uint64_t retry_delay_ns(unsigned failed_attempts, uint64_t retry_after_ms, uint64_t draw);
