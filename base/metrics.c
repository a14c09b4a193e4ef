/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (M1) Metrics are made seldom and never freed: they hang in one list that only grows at
 *      its head. So reading and counting need no lock, and counting is allowed wherever
 *      a lock is held.
 */
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdio.h>

/* Upper bounds in ns; what is above all of them is in the last, "+Inf". */
static const uint64_t bounds_ns[] = {
	100 * NS_PER_US, 250 * NS_PER_US, 500 * NS_PER_US, NS_PER_MS,	    2500 * NS_PER_US,
	5 * NS_PER_MS,	 10 * NS_PER_MS,  25 * NS_PER_MS,  50 * NS_PER_MS,  100 * NS_PER_MS,
	250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,	   2500 * NS_PER_MS, 5 * NS_PER_S,
	10 * NS_PER_S,	 30 * NS_PER_S,	  60 * NS_PER_S,
};
#define BUCKETS (ARRAY_SIZE(bounds_ns) + 1)

struct metric {
	struct metric *next;
	char *name, *help, *labels;
	enum metric_kind kind;
	_Atomic double value;
	_Atomic uint64_t buckets[BUCKETS]; /* not cumulative */
	_Atomic uint64_t sum_ns;
};

static struct metric *_Atomic all;
static struct metric void_metric;

static struct metric *metric_free(struct metric *m)
{
	if (!m)
		return NULL;
	free(m->name);
	free(m->help);
	free(m->labels);
	return free_null(m);
}
DEFINE_CLEANUP(struct metric *, metric_free)

static struct metric *metric_new(const char *name, const char *help, enum metric_kind kind,
				 const char *labels)
{
	_cleanup_(metric_freep) struct metric *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->name = strdup(name);
	m->help = strdup(help);
	m->labels = strdup(labels);
	m->kind = kind;
	if (!m->name || !m->help || !m->labels)
		return NULL;
	return take_ptr(&m);
}

static struct metric *find(struct metric *from, const char *name, const char *labels)
{
	while (from && (strcmp(from->name, name) != 0 || strcmp(from->labels, labels) != 0))
		from = from->next;
	return from;
}

struct metric *metric_get(const char *name, const char *help, enum metric_kind kind,
			  const char *labels)
{
	_cleanup_(metric_freep) struct metric *made = NULL;
	struct metric *head = atomic_load(&all), *found = find(head, name, labels);

	if (found)
		return found;
	made = metric_new(name, help, kind, labels);
	if (!made)
		return &void_metric;
	do {
		found = find(head, name, labels); /* another thread may have been faster */
		if (found)
			return found;
		made->next = head;
	} while (!atomic_compare_exchange_weak(&all, &head, made)); /* (M1) */
	return take_ptr(&made);
}

void metric_add(struct metric *m, double v)
{
	double before = atomic_load_explicit(&m->value, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&m->value, &before, before + v,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void metric_set(struct metric *m, double v)
{
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_raise(struct metric *m, double v)
{
	double before = atomic_load_explicit(&m->value, memory_order_relaxed);

	while (before < v &&
	       !atomic_compare_exchange_weak_explicit(&m->value, &before, v, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void metric_observe_ns(struct metric *m, uint64_t ns)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(bounds_ns) && ns > bounds_ns[i])
		i++;
	atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->sum_ns, ns, memory_order_relaxed);
}

double metric_value(const struct metric *m)
{
	return atomic_load_explicit(&m->value, memory_order_relaxed);
}

static uint64_t bucket(const struct metric *m, size_t i)
{
	return atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
}

uint64_t metric_count(const struct metric *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < BUCKETS; i++)
		n += bucket(m, i);
	return n;
}

static double seconds(uint64_t ns)
{
	return (double)ns / NS_PER_S;
}

double metric_quantile(const struct metric *m, double q)
{
	double rank = q * metric_count(m), below = 0, low, high;

	if (rank <= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(bounds_ns); i++) {
		double n = bucket(m, i);

		if (n > 0 && below + n >= rank) {
			low = i ? seconds(bounds_ns[i - 1]) : 0;
			high = seconds(bounds_ns[i]);
			return low + (high - low) * (rank - below) / n;
		}
		below += n;
	}
	return seconds(bounds_ns[ARRAY_SIZE(bounds_ns) - 1]);
}

void metrics_each(const char *name, void (*fn)(struct metric *m, const char *labels, void *arg),
		  void *arg)
{
	for (struct metric *m = atomic_load(&all); m; m = m->next)
		if (!strcmp(m->name, name))
			fn(m, m->labels, arg);
}

static void add_buckets(struct metric *m, const char *labels, void *arg)
{
	struct metric *sum = arg;

	for (size_t i = 0; i < BUCKETS; i++)
		sum->buckets[i] += bucket(m, i);
}

void metric_family_get(const char *name, struct metric_family *ret)
{
	struct metric sum = { .kind = METRIC_SECONDS };

	metrics_each(name, add_buckets, &sum);
	*ret = (struct metric_family){ metric_count(&sum), metric_quantile(&sum, 0.5),
				       metric_quantile(&sum, 0.99) };
}

static int compare(const void *a, const void *b)
{
	const struct metric *x = *(struct metric *const *)a, *y = *(struct metric *const *)b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->labels, y->labels);
}

/* All, sorted by name and labels; returns owned. */
static int sorted(struct metric ***ret, size_t *ret_n)
{
	struct metric *head = atomic_load(&all), **list;
	size_t n = 0;

	for (struct metric *m = head; m; m = m->next)
		n++;
	list = calloc(n + 1, sizeof(struct metric *));
	if (!list)
		return fail(-ENOMEM);
	n = 0;
	for (struct metric *m = head; m; m = m->next)
		list[n++] = m;
	qsort(list, n, sizeof(struct metric *), compare);
	*ret = list;
	*ret_n = n;
	return 0;
}

static int write_histogram(const struct metric *m, struct buf *ret)
{
	const char *comma = m->labels[0] ? "," : "";
	uint64_t n = 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bounds_ns) && !r; i++) {
		n += bucket(m, i);
		r = buf_addf(ret, "%s_bucket{%s%sle=\"%g\"} %ju\n", m->name, m->labels, comma,
			     seconds(bounds_ns[i]), (uintmax_t)n);
	}
	n += bucket(m, BUCKETS - 1);
	if (!r)
		r = buf_addf(ret, "%s_bucket{%s%sle=\"+Inf\"} %ju\n", m->name, m->labels, comma,
			     (uintmax_t)n);
	if (!r)
		r = buf_addf(ret, m->labels[0] ? "%s_sum{%s} %.9g\n" : "%s_sum%s %.9g\n", m->name,
			     m->labels, seconds(atomic_load(&m->sum_ns)));
	if (!r)
		r = buf_addf(ret, m->labels[0] ? "%s_count{%s} %ju\n" : "%s_count%s %ju\n", m->name,
			     m->labels, (uintmax_t)n);
	return r;
}

static int write_metric(const struct metric *m, bool first_of_family, struct buf *ret)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };
	int r = 0;

	if (first_of_family)
		r = buf_addf(ret, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
			     kinds[m->kind]);
	if (r)
		return r;
	if (m->kind == METRIC_SECONDS)
		return write_histogram(m, ret);
	return buf_addf(ret, m->labels[0] ? "%s{%s} %.17g\n" : "%s%s %.17g\n", m->name, m->labels,
			metric_value(m));
}

int metrics_write(struct buf *ret)
{
	_cleanup_free_ struct metric **list = NULL;
	size_t n = 0;
	int r;

	r = sorted(&list, &n);
	for (size_t i = 0; i < n && !r; i++)
		r = write_metric(list[i], i == 0 || strcmp(list[i - 1]->name, list[i]->name) != 0,
				 ret);
	return r;
}
