/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/estimate.h"

#define FIRST_BUCKET_S 100e-6
#define BUCKET_RATIO   1.35
/* About the last thirty observations count. */
#define FADE           0.97f
#define RATE_GAIN      0.1

/* Smaller bodies say nothing about the rate. */
#define RATE_BYTES_MIN (64 * KiB)

/*
 * Guesses before the first observation. Writes begin lower: uplinks are slow, and a wrong alarm
 * costs copies.
 */
#define LATENCY_GUESS_S  0.05
#define READ_RATE_GUESS  (16.0 * MiB)
#define WRITE_RATE_GUESS (2.0 * MiB)

#define LATE_FACTOR  3
#define HEDGE_MIN_NS (500 * NS_PER_MS)
#define HEDGE_MAX_NS (5 * NS_PER_S)
#define STALL_MIN_NS (2 * NS_PER_S)
#define STALE_NS     (60 * NS_PER_S)

void latency_add(struct latency *l, double s)
{
	double bound = FIRST_BUCKET_S;
	unsigned i = 0;

	while (i < LATENCY_BUCKETS - 1 && s > bound) {
		bound *= BUCKET_RATIO;
		i++;
	}
	for (unsigned k = 0; k < LATENCY_BUCKETS; k++)
		l->weight[k] *= FADE;
	l->weight[i] += 1;
	l->total = l->total * FADE + 1;
}

double latency_quantile(const struct latency *l, double q)
{
	double upper = FIRST_BUCKET_S, lower = 0, below = 0, wanted = q * l->total;

	if (l->total <= 0)
		return 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS - 1; i++) {
		if (l->weight[i] > 0 && below + l->weight[i] >= wanted)
			return lower + (upper - lower) * (wanted - below) / l->weight[i];
		below += l->weight[i];
		lower = upper;
		upper *= BUCKET_RATIO;
	}
	return lower;
}

static double rate_of(const struct estimate *e, enum transfer t)
{
	if (e->rate[t] > 0)
		return e->rate[t];
	return t == TRANSFER_READ ? READ_RATE_GUESS : WRITE_RATE_GUESS;
}

static double quantile_or_guess(const struct estimate *e, enum transfer t, double q)
{
	return e->latency[t].total > 0 ? latency_quantile(&e->latency[t], q) : LATENCY_GUESS_S;
}

void estimate_add(struct estimate *e, enum transfer t, uint64_t now_ns, uint64_t duration_ns,
		  uint64_t bytes)
{
	double s = (double)duration_ns / NS_PER_S;
	double transfer_s, rate, rest;

	e->seen_ns = now_ns;
	if (bytes < RATE_BYTES_MIN) {
		latency_add(&e->latency[t], s);
		return;
	}
	/*
	 * At least a tenth of the time is the bytes', so that one fast answer can't tell of
	 * infinite speed.
	 */
	transfer_s = s - latency_quantile(&e->latency[t], 0.5);
	transfer_s = MAX(transfer_s, s / 10);
	rate = (double)bytes / MAX(transfer_s, 1e-6);
	e->rate[t] = e->rate[t] > 0 ? e->rate[t] + RATE_GAIN * (rate - e->rate[t]) : rate;
	rest = s - (double)bytes / e->rate[t];
	latency_add(&e->latency[t], MAX(rest, 0.0));
}

void estimate_add_late(struct estimate *e, enum transfer t, uint64_t now_ns, uint64_t duration_ns)
{
	e->seen_ns = now_ns;
	latency_add(&e->latency[t], (double)duration_ns / NS_PER_S);
}

double estimate_expected_s(const struct estimate *e, enum transfer t, uint64_t bytes)
{
	return quantile_or_guess(e, t, 0.5) + (double)bytes / rate_of(e, t);
}

static uint64_t late_ns(const struct estimate *e, enum transfer t, uint64_t bytes)
{
	double s = LATE_FACTOR * (quantile_or_guess(e, t, 0.95) + (double)bytes / rate_of(e, t));

	return (uint64_t)(MIN(s, 3600.0) * NS_PER_S);
}

uint64_t estimate_hedge_ns(const struct estimate *e, uint64_t bytes)
{
	uint64_t late = late_ns(e, TRANSFER_READ, bytes);

	late = MAX(late, HEDGE_MIN_NS);
	return MIN(late, HEDGE_MAX_NS);
}

uint64_t estimate_stall_ns(const struct estimate *e, enum transfer t, uint64_t bytes)
{
	return MAX(late_ns(e, t, bytes), STALL_MIN_NS);
}

bool estimate_is_stale(const struct estimate *e, uint64_t now_ns)
{
	return e->seen_ns == 0 || now_ns > e->seen_ns + STALE_NS;
}
