/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of GET /status. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/status_i.h"

static struct json *volume_part(const struct volume *v)
{
	struct json *j = json_object_new();

	json_set_str(j, "name", v->name);
	json_set_str(j, "id", v->id_text);
	json_set_uint(j, "format", v->level);
	return j;
}

static struct json *mount_part(const struct volume *v, const struct snapshot *s, const char *socket,
			       const char *listen)
{
	struct json *j = json_object_new();
	char incarnation[2 * INCARNATION_SIZE + 1];

	hex_encode(span_of(s->commit.incarnation, INCARNATION_SIZE), incarnation);
	json_set_str(j, "dir", v->options->dir);
	json_set_uint(j, "pid", (uint64_t)getpid());
	json_set_str(j, "incarnation", incarnation);
	json_set_real(j, "uptime", status_age_s(v->opened_ns));
	json_set_bool(j, "degraded", s->degraded);
	json_set_bool(j, "read_only", v->options->read_only || s->commit.read_only);
	json_set_str(j, "stopped", *s->stopped ? s->stopped : NULL);
	json_set_str(j, "socket", socket);
	json_set_str(j, "listen", listen);
	json_set_str(j, "subdir", v->options->subdir);
	json_set_str(j, "config", v->config->file);
	return j;
}

struct json *status_seconds(const char *first, double a, const char *second, double b)
{
	struct json *j = json_object_new();

	json_set_real(j, first, a);
	json_set_real(j, second, b);
	return j;
}

static struct json *journal_part(const struct snapshot *s)
{
	const struct commit_status *c = &s->commit;
	struct json *j = json_object_new();
	char owner[2 * INCARNATION_SIZE + 1], hash[33];

	hex_encode(span_of(c->owner, INCARNATION_SIZE), owner);
	snprintf(hash, sizeof(hash), "%016llx%016llx", (unsigned long long)c->hash.hi,
		 (unsigned long long)c->hash.lo);
	json_set_uint(j, "applied_slot", c->applied_slot);
	json_set_uint(j, "tip_slot", c->tip_slot);
	json_set_str(j, "owner", owner);
	json_set_bool(j, "owned", c->owned);
	json_set_uint(j, "pending_operations", c->pending_operations);
	json_set(j, "commit_seconds",
		 status_seconds("p50", c->commit_p50_s, "p99", c->commit_p99_s));
	json_set_str(j, "state_hash", hash);
	json_set_real(j, "verified_seconds", status_age_s(c->verified_ns));
	if (s->checkpoint_slot == UINT64_MAX)
		json_set_str(j, "checkpoint_slot", NULL);
	else
		json_set_uint(j, "checkpoint_slot", s->checkpoint_slot);
	return j;
}

struct json *status_store(struct store *st, const struct replica_health *h)
{
	struct json *j = json_object_new();
	enum drill_mode mode;

	json_set_str(j, "name", st->name);
	json_set_str(j, "url", st->url);
	json_set_str(j, "state", replica_state_name(h->state));
	json_set_str(j, "breaker", h->breaker);
	json_set(j, "latency_seconds",
		 status_seconds("p50", h->latency_p50_s, "p95", h->latency_p95_s));
	json_set_real(j, "throughput", h->throughput);
	json_set_uint(j, "requests", h->stats.requests);
	json_set_uint(j, "errors", h->stats.errors);
	json_set_uint(j, "hedged", h->hedged);
	json_set_uint(j, "bytes_read", h->stats.bytes_read);
	json_set_uint(j, "bytes_written", h->stats.bytes_written);
	json_set_uint(j, "in_flight_chunks", h->in_flight);
	json_set_str(j, "last_error", *h->stats.last_error ? h->stats.last_error : NULL);
	mode = store_drill_get(st);
	json_set_str(j, "drill", mode == DRILL_NONE ? NULL : drill_mode_name(mode));
	if (st->credentials_expire_s)
		json_set_uint(j, "credentials_expire", st->credentials_expire_s);
	else
		json_set_str(j, "credentials_expire", NULL);
	return j;
}

static struct json *store_part(const struct volume *v, const struct snapshot *s, unsigned i)
{
	struct store *st = replicas_store(v->replicas, i);
	const struct replica_health *h = &s->health[i];
	struct json *j = status_store(st, h);

	json_set_uint(j, "deficit_chunks", s->deficit_chunks[i]);
	json_set_uint(j, "deficit_bytes", s->deficit_bytes[i]);
	json_set_uint(j, "bad_chunks", s->repair.bad_chunks[i]);
	json_set_real(j, "lag_seconds", s->lag_s[i]);
	json_set_real(j, "cost", status_cost(v, st, &h->stats));
	json_set(j, "spending", status_spending(v, st, &h->stats));
	return j;
}

static struct json *namespace_part(const struct snapshot *s)
{
	struct json *j = json_object_new();

	json_set_uint(j, "files", s->files);
	json_set_uint(j, "directories", s->directories);
	json_set_uint(j, "bytes", s->bytes);
	return j;
}

static struct json *cache_part(const struct volume *v, const struct snapshot *s)
{
	struct json *j = json_object_new();

	json_set_str(j, "dir", v->cache_dir);
	json_set_uint(j, "bytes", s->pieces.disk_bytes);
	json_set_uint(j, "limit", s->pieces.disk_limit);
	json_set_uint(j, "hits", s->pieces.hits + s->pieces.disk_hits);
	json_set_uint(j, "misses", s->pieces.misses);
	json_set_uint(j, "memory_bytes", s->pieces.memory_bytes);
	return j;
}

static struct json *pending_part(const struct snapshot *s)
{
	struct json *j = json_object_new();

	json_set_uint(j, "dirty_bytes", s->data.dirty_bytes);
	json_set_uint(j, "staged_chunks", s->data.in_flight_chunks);
	json_set_uint(j, "staged_bytes", s->data.in_flight_bytes);
	json_set_real(j, "oldest_seconds",
		      MAX(status_age_s(s->data.oldest_dirty_ns),
			  status_age_s(s->data.oldest_staged_ns)));
	return j;
}

static struct json *counters_part(const struct volume *v, const struct snapshot *s)
{
	struct json *j = json_object_new();

	json_set_uint(j, "lost_operations", s->commit.lost_operations);
	json_set_uint(j, "corrupt_frames", s->data.corrupt_frames);
	json_set_uint(j, "repaired_chunks", s->repair.repaired_chunks);
	json_set_uint(j, "staged_replayed", v->staged.replayed);
	json_set_uint(j, "staged_conflicts", v->staged.conflicts);
	json_set_uint(j, "staged_lost", v->staged.lost);
	json_set_uint(j, "program_errors", (uint64_t)metric_value(status_program_errors()));
	return j;
}

int status_json(struct status *st, const char *socket, const char *listen, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = json_object_new();
	struct json *stores = json_array_new();
	struct volume *v = st->v;
	struct snapshot s;
	int r = status_take(st, &s);

	if (r) {
		json_free(stores);
		return r;
	}
	for (unsigned i = 0; i < v->n_stores; i++)
		json_append(stores, store_part(v, &s, i));
	json_set_str(root, "version", MANGROVE_VERSION);
	json_set(root, "volume", volume_part(v));
	json_set(root, "mount", mount_part(v, &s, socket, listen));
	if (!is_bare(v))
		json_set(root, "journal", journal_part(&s));
	json_set(root, "stores", stores);
	if (attach_any(v->attach))
		json_set(root, "attached", status_attached(v));
	json_set(root, "namespace", namespace_part(&s));
	json_set(root, "cache", cache_part(v, &s));
	json_set(root, "pending", pending_part(&s));
	json_set(root, "operations", status_operations());
	json_set(root, "counters", counters_part(v, &s));
	return json_write(root, 1, ret);
}
