/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/retry.h"

#include "backends/store.h"

#define BASE_NS       (100 * NS_PER_MS)
#define LONGEST_NS    (10 * NS_PER_S)
#define SHORTEST_NS   (10 * NS_PER_MS)
#define ASKED_MAX_NS  (120 * NS_PER_S)
#define DOUBLINGS_MAX 7

static enum retry retry_failure_class(int result)
{
	switch (result) {
	case -EAGAIN:
	case -ETIMEDOUT:
	case -ENOMEM:
	case -ECANCELED:
	case STORE_UNKNOWN:
		return RETRY_LATER;
	default:
		return RETRY_NEVER;
	}
}

enum retry retry_get_class(int result)
{
	if (result == 0 || result == STORE_MISSING || result == STORE_RANGE ||
	    result == STORE_CHANGED)
		return RETRY_DONE;
	return retry_failure_class(result);
}

enum retry retry_put_class(int result)
{
	return result == 0 || result == STORE_EXISTS ? RETRY_DONE : retry_failure_class(result);
}

uint64_t retry_delay_ns(unsigned failed_attempts, uint64_t retry_after_ms, uint64_t draw)
{
	unsigned before = failed_attempts ? failed_attempts - 1 : 0;
	unsigned doublings = MIN(before, (unsigned)DOUBLINGS_MAX);
	uint64_t most = MIN(BASE_NS << doublings, LONGEST_NS);
	uint64_t asked = MIN(retry_after_ms, ASKED_MAX_NS / NS_PER_MS) * NS_PER_MS;

	uint64_t delay = draw % (most + 1);

	delay = MAX(delay, SHORTEST_NS);
	return MAX(delay, asked);
}
