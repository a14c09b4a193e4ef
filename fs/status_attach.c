/* SPDX-License-Identifier: Apache-2.0 */
/* What status and metrics say of attached buckets. */
#include "fs/status_i.h"

#include <stdio.h>

#include "base/metrics.h"

static bool is_away(const struct replica_health *h)
{
	return h->state == REPLICA_DOWN || h->state == REPLICA_FROZEN;
}

static struct json *one_part(const struct attached *a)
{
	struct json *j = json_object_new(), *stores = json_array_new();
	struct bucket_status st;

	bucket_status_get(a->bucket, &st);
	for (unsigned i = 0; i < replicas_count(a->replicas); i++) {
		struct replica_health h;

		replicas_health(a->replicas, i, &h);
		json_append(stores, status_store(replicas_store(a->replicas, i), &h));
	}
	json_set_str(j, "name", a->name);
	json_set_bool(j, "of_volume", a->of_volume);
	json_set_bool(j, "read_only", a->read_only);
	json_set_real(j, "ttl_seconds", (double)a->ttl_ns / NS_PER_S);
	json_set_uint(j, "files", st.files);
	json_set_uint(j, "directories", st.directories);
	json_set_uint(j, "bytes", st.bytes);
	json_set_uint(j, "lists", st.lists);
	json_set_uint(j, "heads", st.heads);
	json_set_uint(j, "missed", attach_missing(a));
	json_set_str(j, "refused", a->refused);
	json_set(j, "stores", stores);
	return j;
}

struct json *status_attached(const struct volume *v)
{
	struct json *all = json_array_new();

	const struct attached *a = NULL;

	while ((a = attach_next(v->attach, a ? a->number : 0)))
		json_append(all, one_part(a));
	return all;
}

bool status_attached_degraded(const struct volume *v)
{
	const struct attached *a = NULL;

	while ((a = attach_next(v->attach, a ? a->number : 0))) {
		for (unsigned s = 0; s < replicas_count(a->replicas); s++) {
			struct replica_health h;

			replicas_health(a->replicas, s, &h);
			if (is_away(&h))
				return true;
		}
		if (attach_missing(a))
			return true;
	}
	return false;
}

static void gauge(const char *name, const char *help, const char *labels, double value)
{
	metric_set(metric_get(name, help, METRIC_GAUGE, labels), value);
}

void status_attached_gauges(const struct volume *v)
{
	const struct attached *a = NULL;

	while ((a = attach_next(v->attach, a ? a->number : 0))) {
		struct bucket_status st;
		char labels[160];

		bucket_status_get(a->bucket, &st);
		snprintf(labels, sizeof(labels), "bucket=\"%s\"", a->name);
		gauge("mangrove_attached_files", "Files of the bucket that are known here.", labels,
		      (double)st.files);
		gauge("mangrove_attached_bytes", "Their bytes.", labels, (double)st.bytes);
		for (unsigned s = 0; s < replicas_count(a->replicas); s++) {
			struct replica_health h;

			replicas_health(a->replicas, s, &h);
			snprintf(labels, sizeof(labels), "bucket=\"%s\",mirror=\"%u\"", a->name, s);
			gauge("mangrove_attached_up", "1 while the bucket's store answers.", labels,
			      !is_away(&h));
		}
	}
}
