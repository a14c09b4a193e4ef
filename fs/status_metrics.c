/* SPDX-License-Identifier: Apache-2.0 */
/* The gauges of GET /metrics, and what is counted elsewhere. */
#include "fs/status_i.h"

#include <stdio.h>

struct metric *status_program_errors(void)
{
	return metric_get("mangrove_fuse_io_errors_total",
			  "Calls of programs that were answered with EIO.", METRIC_COUNTER, "");
}

struct metric *status_longest_call(void)
{
	return metric_get("mangrove_fuse_longest_operation_seconds",
			  "The longest call of a program since the start or the last drill.",
			  METRIC_GAUGE, "");
}

static void set(const char *name, const char *help, enum metric_kind kind, const char *store,
		double value)
{
	char labels[96] = "";

	if (store)
		snprintf(labels, sizeof(labels), "store=\"%s\"", store);
	metric_set(metric_get(name, help, kind, labels), value);
}

static void set_gauge(const char *name, const char *help, const char *store, double value)
{
	set(name, help, METRIC_GAUGE, store, value);
}

/* Of what is counted elsewhere: it only grows. */
static void set_counter(const char *name, const char *help, const char *store, double value)
{
	set(name, help, METRIC_COUNTER, store, value);
}

static void set_store_gauges(const struct volume *v, const struct snapshot *s, unsigned i)
{
	const struct store *st = replicas_store(v->replicas, i);
	const char *name = st->name;
	const struct replica_health *h = &s->health[i];
	bool up = h->state != REPLICA_DOWN && h->state != REPLICA_FROZEN;

	set_gauge("mangrove_store_up", "1 while the store answers.", name, up);
	set_gauge("mangrove_replication_lag_seconds", "Since when the store lacks something.", name,
		  s->lag_s[i]);
	set_gauge("mangrove_deficit_chunks", "Copies that should exist at the store and do not.",
		  name, (double)s->deficit_chunks[i]);
	set_gauge("mangrove_deficit_bytes", "Their bytes.", name, (double)s->deficit_bytes[i]);
	set_gauge("mangrove_store_in_flight", "Requests under way.", name, (double)h->in_flight);
	set_counter("mangrove_store_read_bytes_total", "Bytes read from the store.", name,
		    (double)h->stats.bytes_read);
	set_counter("mangrove_store_written_bytes_total", "Bytes written to the store.", name,
		    (double)h->stats.bytes_written);
	set_gauge("mangrove_store_credentials_expiry_seconds",
		  "When the credentials in use expire, seconds since 1970; 0: never.", name,
		  (double)st->credentials_expire_s);
	set_counter("mangrove_store_cost_total",
		    "Price of requests and bytes, in the currency of the configured prices.", name,
		    status_cost(v, st, &h->stats));
}

static void set_mount_gauges(const struct volume *v, const struct snapshot *s)
{
	char labels[160];

	snprintf(labels, sizeof(labels), "volume=\"%s\",version=\"" MANGROVE_VERSION "\"", v->name);
	metric_set(metric_get("mangrove_info", "Always 1: what is mounted, and by which version.",
			      METRIC_GAUGE, labels),
		   1);
	set_gauge("mangrove_degraded", "1 while a store is down or a copy is missing.", NULL,
		  s->degraded);
	set_gauge("mangrove_read_only", "1 while nothing can be written.", NULL,
		  v->options->read_only || s->commit.read_only);
	set_gauge("mangrove_stopped", "1 when the mount has stopped taking part in the journal.",
		  NULL, *s->stopped != '\0');
	set_gauge("mangrove_journal_applied_slot", "The slot whose state this mount shows.", NULL,
		  (double)s->commit.applied_slot);
	if (s->checkpoint_slot != UINT64_MAX)
		set_gauge("mangrove_journal_checkpoint_slot",
			  "The slot of the newest checkpoint: a new mount begins there.", NULL,
			  (double)s->checkpoint_slot);
	set_gauge("mangrove_journal_pending_operations", "Operations that are not committed yet.",
		  NULL, (double)s->commit.pending_operations);
}

static void set_local_gauges(const struct snapshot *s)
{
	set_gauge("mangrove_cache_bytes", "Bytes of pieces on disk.", NULL,
		  (double)s->pieces.disk_bytes);
	set_gauge("mangrove_cache_limit_bytes", "The most they may be.", NULL,
		  (double)s->pieces.disk_limit);
	set_counter("mangrove_cache_hits_total", "Pieces found in memory or on disk.", NULL,
		    (double)(s->pieces.hits + s->pieces.disk_hits));
	set_counter("mangrove_cache_misses_total", "Pieces that had to be fetched.", NULL,
		    (double)s->pieces.misses);
	set_gauge("mangrove_dirty_bytes", "Bytes written and not uploaded yet.", NULL,
		  (double)s->data.dirty_bytes);
	set_gauge("mangrove_dirty_seconds", "Age of the oldest of them.", NULL,
		  status_age_s(s->data.oldest_dirty_ns));
	set_gauge("mangrove_files", "Files in the volume.", NULL, (double)s->files);
	set_gauge("mangrove_bytes", "Bytes of all files.", NULL, (double)s->bytes);
}

int status_metrics(struct status *st, struct buf *ret)
{
	struct snapshot s;
	int r = status_take(st, &s);

	if (r)
		return r;
	for (unsigned i = 0; i < st->v->n_stores; i++)
		set_store_gauges(st->v, &s, i);
	set_mount_gauges(st->v, &s);
	set_local_gauges(&s);
	if (attach_any(st->v->attach))
		status_attached_gauges(st->v);
	status_program_errors();
	status_longest_call();
	return metrics_write(ret);
}
