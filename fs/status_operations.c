/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of programs, as fs/fuse_timed.c measures them. */
#include "fs/status_i.h"

#include <stdio.h>

#define FAMILY "mangrove_fuse_operation_seconds"

/* One kind: its labels are operation="NAME". */
static void add_kind(struct metric *m, const char *labels, void *arg)
{
	struct json *all = arg, *one;
	char name[64];

	if (sscanf(labels, "operation=\"%63[^\"]", name) != 1 || !metric_count(m))
		return;
	one = json_object_new();
	json_set_str(one, "name", name);
	json_set_uint(one, "count", metric_count(m));
	json_set_real(one, "p50", metric_quantile(m, 0.5));
	json_set_real(one, "p99", metric_quantile(m, 0.99));
	json_append(all, one);
}

/* One person: uid="NUMBER", or "other". */
static void add_person(struct metric *m, const char *labels, void *arg)
{
	struct json *all = arg, *one = json_object_new();
	char uid[16];

	if (sscanf(labels, "uid=\"%15[^\"]", uid) != 1)
		*uid = '\0';
	json_set_str(one, "name", uid);
	json_set_uint(one, "count", (uint64_t)metric_value(m));
	json_append(all, one);
}

struct json *status_operations(void)
{
	struct json *j = json_object_new(), *kinds = json_array_new(), *users = json_array_new();
	struct metric_family f;

	metric_family_get(FAMILY, &f);
	metrics_each(FAMILY, add_kind, kinds);
	metrics_each("mangrove_fuse_calls_total", add_person, users);
	json_set_uint(j, "count", f.count);
	json_set(j, "latency_seconds", status_seconds("p50", f.p50_s, "p99", f.p99_s));
	json_set_real(j, "longest_seconds", metric_value(status_longest_call()));
	json_set(j, "kinds", kinds);
	json_set(j, "users", users);
	return j;
}
