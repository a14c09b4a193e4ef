/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of status*.c share. */
#include "base/json.h"
#include "base/metrics.h"
#include "fs/status.h"

struct status {
	struct volume *v;
	struct {
		struct lock lock;
		uint64_t
		    lag_since_ns[REPLICAS_MAX]; /* clock; 0: nothing was lacking when last asked */
		/* Counting a long list costs: who asks often gets the last count again for a
		 * while. */
		uint64_t deficits_until_ns;
		uint64_t deficit_chunks[REPLICAS_MAX], deficit_bytes[REPLICAS_MAX];
	} sync;
};

/* Everything that is asked of the parts, in one place, so that JSON and metrics agree. */
struct snapshot {
	struct commit_status commit;
	struct data_status data;
	struct repair_status repair;
	struct pieces_stats pieces;
	struct replica_health health[REPLICAS_MAX];
	uint64_t deficit_chunks[REPLICAS_MAX], deficit_bytes[REPLICAS_MAX];
	double lag_s[REPLICAS_MAX];
	uint64_t files, directories, bytes;
	uint64_t checkpoint_slot; /* UINT64_MAX: none */
	bool degraded;
	char stopped[200];
};

/* status_snapshot.c. 0, -EIO, -ENOMEM. */
must_check int status_take(struct status *s, struct snapshot *to);
/* Seconds since a moment of the clock; 0: never. */
double status_age_s(uint64_t since_ns);
/* Counted where the kernel is answered; the same name finds the same counter. */
struct metric *status_program_errors(void);
/* The longest call of a program, seconds, since the start or the last drill. */
struct metric *status_longest_call(void);

/* {first: a, second: b} */
struct json *status_seconds(const char *first, double a, const char *second, double b);
/* What is said of any store; url without secrets. */
struct json *status_store(struct store *st, const struct replica_health *h);

/* status_cost.c: what the store's requests cost, and how that is counted */
struct prices status_prices(const struct volume *v, const struct store *st);
double status_cost(const struct volume *v, const struct store *st, const struct store_stats *stats);
struct json *status_spending(const struct volume *v, const struct store *st,
			     const struct store_stats *stats);

/* status_operations.c: the calls of programs, by kind and together */
struct json *status_operations(void);

/* status_attach.c: the attached buckets */
struct json *status_attached(const struct volume *v);
/* Is a store of theirs away, or did one miss a change? */
bool status_attached_degraded(const struct volume *v);
void status_attached_gauges(const struct volume *v);
