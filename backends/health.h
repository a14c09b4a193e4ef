/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Does a store work? A circuit breaker over what its requests told. Pure: time is
 * passed in, the caller holds the lock.
 *
 * (H1) Closed -> open: 5 bad of the last 10, or 3 in a row without any answer.
 * (H2) Open -> half-open: after a time that grows from 0.5 s to 10 s with each failure.
 * (H3) Half-open -> closed: one good result; -> open: a bad one. Only requests that began after
 *      the breaker opened count: an answer to an older question says nothing about now.
 */
#include "backends/estimate.h"
#include "base/wait.h"

enum health_verdict {
	HEALTH_NOTHING,     /* says nothing about it: cancelled, no memory here, its quota */
	HEALTH_GOOD,        /* it answered as a store does: with bytes or with a condition */
	HEALTH_BAD,         /* it answered with a failure, or late */
	HEALTH_UNREACHABLE, /* nothing was heard */
};
enum health_use { HEALTH_READ, HEALTH_WRITE, HEALTH_PROBE };
enum breaker { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
const char *breaker_name(enum breaker b);

struct health {
	struct estimate estimate;
	enum breaker breaker;
	bool refused_us;      /* the last request of a user was refused: -EACCES */
	uint16_t window;      /* the last results, newest in bit 0: 1 = bad */
	unsigned n_window;
	unsigned silent;      /* unreachable in a row */
	uint64_t seen_ns;     /* the last result */
	uint64_t opened_ns;
	uint64_t interval_ns; /* between probes */
	uint64_t probe_ns;    /* when the next may be sent */
};

/* The result of a store operation as a verdict. answered: a head of an answer came. */
enum health_verdict health_verdict_of(const struct health *h, enum health_use use, int result,
				      bool answered);
/* A verdict about a request that was started at started_ns. */
void health_verdict(struct health *h, enum health_verdict v, uint64_t started_ns, uint64_t now_ns);
/* Both: the end of a request. */
void health_result(struct health *h, enum health_use use, int result, bool answered,
		   uint64_t started_ns, uint64_t now_ns);
/* Closed: yes. Otherwise once for each interval: the one who is told yes is the probe. */
bool health_allows(struct health *h, uint64_t now_ns);
/* When health_allows() will say yes to a probe; NEVER when none is needed. */
uint64_t health_probe_at(const struct health *h);
/*
 * Works, but not as it should: bad results of late, or much slower than the best of the others
 * (seconds; 0: none).
 */
bool health_is_slow(const struct health *h, double best_other_p50_s, uint64_t now_ns);
