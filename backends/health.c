/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/health.h"

#include "backends/store.h"

#define WINDOW           10
#define BAD_OF_WINDOW    5
#define SILENT_IN_A_ROW  3
#define PROBE_FIRST_NS   (500 * NS_PER_MS)
#define PROBE_LONGEST_NS (10 * NS_PER_S)
#define PROBE_LOST_NS    (5 * NS_PER_S)
/* What was seen that long ago is not held against a store. */
#define MEMORY_NS        (30 * NS_PER_S)

#define SLOW_BAD_OF_WINDOW 2
#define SLOW_FACTOR        4
#define SLOW_MARGIN_S      0.1

enum health_verdict health_verdict_of(const struct health *h, enum health_use use, int result,
				      bool answered)
{
	switch (result) {
	case -ECANCELED:
	case -ENOMEM:
	case -EINVAL:
	case -ENOSPC:
		return HEALTH_NOTHING;
	case -EACCES:
		/*
		 * A reader's credentials that may not write leave a store that reads well. S3 says
		 * the same about a missing object to who may not list, so a probe may be told it.
		 */
		if (use == HEALTH_WRITE)
			return HEALTH_NOTHING;
		return use == HEALTH_PROBE && !h->refused_us ? HEALTH_GOOD : HEALTH_BAD;
	case -EAGAIN:
	case -ETIMEDOUT:
	case STORE_UNKNOWN:
		return answered ? HEALTH_BAD : HEALTH_UNREACHABLE;
	default:
		return result >= 0 ? HEALTH_GOOD : HEALTH_BAD;
	}
}

const char *breaker_name(enum breaker b)
{
	static const char *const names[] = { "closed", "open", "half-open" };

	return names[b];
}

static void breaker_close(struct health *h)
{
	h->breaker = BREAKER_CLOSED;
	h->window = 0;
	h->n_window = 0;
	h->silent = 0;
}

/* (H2) */
static void breaker_open(struct health *h, uint64_t now_ns)
{
	if (h->breaker == BREAKER_CLOSED) {
		h->interval_ns = PROBE_FIRST_NS;
		h->opened_ns = now_ns;
	} else {
		h->interval_ns = MIN(2 * h->interval_ns, PROBE_LONGEST_NS);
	}
	h->breaker = BREAKER_OPEN;
	h->probe_ns = now_ns + h->interval_ns;
}

/* (H1) */
static void closed_result(struct health *h, enum health_verdict v, uint64_t now_ns)
{
	if (now_ns > h->seen_ns + MEMORY_NS)
		breaker_close(h); /* forgets */
	h->window = (uint16_t)((h->window << 1 | (v != HEALTH_GOOD)) & ((1u << WINDOW) - 1));
	h->n_window = MIN(h->n_window + 1, (unsigned)WINDOW);
	h->silent = v == HEALTH_UNREACHABLE ? h->silent + 1 : 0;
	if (__builtin_popcount(h->window) >= BAD_OF_WINDOW || h->silent >= SILENT_IN_A_ROW)
		breaker_open(h, now_ns);
}

void health_result(struct health *h, enum health_use use, int result, bool answered,
		   uint64_t started_ns, uint64_t now_ns)
{
	enum health_verdict v = health_verdict_of(h, use, result, answered);

	if (v != HEALTH_NOTHING && use != HEALTH_PROBE)
		h->refused_us = result == -EACCES;
	health_verdict(h, v, started_ns, now_ns);
}

void health_verdict(struct health *h, enum health_verdict v, uint64_t started_ns, uint64_t now_ns)
{
	if (v == HEALTH_NOTHING)
		return;
	if (h->breaker == BREAKER_CLOSED)
		closed_result(h, v, now_ns);
	else if (started_ns >= h->opened_ns && v == HEALTH_GOOD) /* (H3) */
		breaker_close(h);
	else if (started_ns >= h->opened_ns && h->breaker == BREAKER_HALF_OPEN)
		breaker_open(h, now_ns);
	h->seen_ns = now_ns;
}

bool health_allows(struct health *h, uint64_t now_ns)
{
	if (h->breaker == BREAKER_CLOSED)
		return true;
	if (now_ns < h->probe_ns)
		return false;
	h->breaker = BREAKER_HALF_OPEN;
	h->probe_ns = now_ns + MAX(h->interval_ns, PROBE_LOST_NS); /* should this probe never end */
	return true;
}

uint64_t health_probe_at(const struct health *h)
{
	return h->breaker == BREAKER_CLOSED ? NEVER : h->probe_ns;
}

bool health_is_slow(const struct health *h, double best_other_p50_s, uint64_t now_ns)
{
	double p50 = latency_quantile(&h->estimate.latency[TRANSFER_READ], 0.5);

	if (now_ns <= h->seen_ns + MEMORY_NS &&
	    __builtin_popcount(h->window) >= SLOW_BAD_OF_WINDOW)
		return true;
	return best_other_p50_s > 0 && p50 > SLOW_FACTOR * best_other_p50_s + SLOW_MARGIN_S;
}
