/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How long a store takes: running estimates of the time to an answer and of the speed
 * of its bytes, in which old observations fade. Pure.
 *
 * A request of n bytes is taken to last latency + n / rate. What an observation says
 * about the one is what the other leaves over.
 */
#include "base/defs.h"

#define LATENCY_BUCKETS 48 /* 100 us, each 1.35 times the one before: to 100 s, and all above */

struct latency {
	float weight[LATENCY_BUCKETS];
	float total;
};
void latency_add(struct latency *l, double s);
/* Seconds, interpolated; 0 without observations. */
double latency_quantile(const struct latency *l, double q);

enum transfer { TRANSFER_READ, TRANSFER_WRITE };

struct estimate {
	struct latency latency[2]; /* both by enum transfer */
	double rate[2];            /* bytes/s; 0: never seen */
	uint64_t seen_ns;          /* the last observation; 0: never */
};
/* A request that succeeded. */
void estimate_add(struct estimate *e, enum transfer t, uint64_t now_ns, uint64_t duration_ns,
		  uint64_t bytes);
/* One that had not answered by then and was given up. */
void estimate_add_late(struct estimate *e, enum transfer t, uint64_t now_ns, uint64_t duration_ns);
/*
 * Seconds from the start to the last byte. Without observations a hopeful guess, so that it is
 * asked.
 */
double estimate_expected_s(const struct estimate *e, enum transfer t, uint64_t bytes);
/*
 * When is an answer late enough to ask somebody else in addition? Three times the time that 95 in
 * 100 need, 0.5 to 5 s.
 */
uint64_t estimate_hedge_ns(const struct estimate *e, uint64_t bytes);
/* When does a request count against its store although it has not ended? Not before 2 s. */
uint64_t estimate_stall_ns(const struct estimate *e, enum transfer t, uint64_t bytes);
/* Nothing was heard for a minute: what it says may be wrong by now. */
bool estimate_is_stale(const struct estimate *e, uint64_t now_ns);
