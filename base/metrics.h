/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counters, gauges and histograms, declared beside the code that counts, in
 * Prometheus' terms. A metric with labels is a family; a child is made once and kept.
 * Updates are atomic and cheap.
 */
#include "base/buf.h"

struct metric;
enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_SECONDS /* histogram of seconds, 100 us .. 60 s */
};

/*
 * labels: "store=\"aws\",operation=\"get\"" or "". Same (name, labels): the same metric. Never
 * freed. Never NULL: without memory a shared dummy counts into the void.
 */
struct metric *metric_get(const char *name, const char *help, enum metric_kind kind,
			  const char *labels);
void metric_add(struct metric *m, double v);
void metric_set(struct metric *m, double v);
void metric_raise(struct metric *m, double v); /* to v, if it is less */
void metric_observe_ns(struct metric *m, uint64_t ns); /* METRIC_SECONDS */
double metric_value(const struct metric *m);
uint64_t metric_count(const struct metric *m);            /* observations of a histogram */
/* seconds, interpolated; 0 without observations */
double metric_quantile(const struct metric *m, double q);
/* Every metric of a family that exists, with its labels; no order. */
void metrics_each(const char *name, void (*fn)(struct metric *m, const char *labels, void *arg),
		  void *arg);
/* The histograms of a family taken together; seconds, 0 without observations. */
struct metric_family {
	uint64_t count;
	double p50_s, p99_s;
};
void metric_family_get(const char *name, struct metric_family *ret);
/* Text exposition format 0.0.4 of all metrics, sorted by name; appends. */
must_check int metrics_write(struct buf *ret);
