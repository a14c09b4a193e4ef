/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/status.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/metrics.h"
#include "base/text.h"
#include "fs/ns/lookup.h"
#include "fs/status_i.h"

#define GB 1e9
/* Rows read per hold of the namespace's lock, so that a long list does not stop the mount. */
#define DEFICIT_PAGE 256u
/* A count stands for so many times what it took. */
#define DEFICIT_REST 10u

struct status {
	struct volume *v;
	struct {
		struct lock lock;
		uint64_t lag_since_ns
			[REPLICAS_MAX]; /* clock; 0: nothing was lacking when last asked */
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

int status_new(struct volume *v, struct status **ret)
{
	struct status *s = calloc(1, sizeof(*s));

	if (!s)
		return fail(-ENOMEM);
	s->v = v;
	lock_init(&s->sync.lock, RANK_LEAF);
	*ret = s;
	return 0;
}

struct status *status_free(struct status *s)
{
	if (s)
		lock_release(&s->sync.lock);
	free(s);
	return NULL;
}

struct volume *status_volume(struct status *s)
{
	return s->v;
}

/* One page of deficits. */
struct deficit_page {
	struct view *view;
	struct snapshot *to;
	uint8_t id[CHUNK_ID_SIZE]; /* the last one seen */
	unsigned store;
	unsigned n;
};

static int add_deficit(const uint8_t id[CHUNK_ID_SIZE], unsigned store, void *arg)
{
	struct deficit_page *p = arg;
	struct chunk_row row;
	int r = ns_chunk(p->view, id, &row);

	if (r < 0)
		return r;
	if (!r && store < REPLICAS_MAX) {
		p->to->deficit_chunks[store]++;
		p->to->deficit_bytes[store] += row.length;
	}
	memcpy(p->id, id, CHUNK_ID_SIZE);
	p->store = store;
	return ++p->n == DEFICIT_PAGE;
}

static int count_deficits(struct volume *v, struct snapshot *s)
{
	struct deficit_page p = { .to = s };
	const uint8_t *after = NULL;
	int r;

	do {
		p.n = 0;
		p.view = commit_lock(v->commit);
		r = ns_deficits(p.view, after, p.store, add_deficit, &p);
		commit_unlock(v->commit);
		after = p.id;
	} while (!r && p.n == DEFICIT_PAGE);
	return r;
}

static bool remembered_deficits(struct status *st, struct snapshot *to)
{
	LOCK_SCOPE(&st->sync.lock);

	if (clock_now() >= st->sync.deficits_until_ns)
		return false;
	memcpy(to->deficit_chunks, st->sync.deficit_chunks, sizeof(to->deficit_chunks));
	memcpy(to->deficit_bytes, st->sync.deficit_bytes, sizeof(to->deficit_bytes));
	return true;
}

static int read_deficits(struct status *st, struct snapshot *to)
{
	uint64_t begun = clock_now(), now;
	int r;

	if (remembered_deficits(st, to))
		return 0;
	r = count_deficits(st->v, to);
	if (r)
		return r;
	now = clock_now();
	lock_take(&st->sync.lock);
	memcpy(st->sync.deficit_chunks, to->deficit_chunks, sizeof(to->deficit_chunks));
	memcpy(st->sync.deficit_bytes, to->deficit_bytes, sizeof(to->deficit_bytes));
	st->sync.deficits_until_ns = now + DEFICIT_REST * (now - begun);
	lock_give(&st->sync.lock);
	return 0;
}

static int read_namespace(struct volume *v, struct snapshot *s)
{
	struct totals_row row;
	struct checkpoint_row checkpoint;
	struct view *view = commit_lock(v->commit);
	int r = ns_totals(view, &row), known = ns_checkpoint(view, &checkpoint);

	commit_unlock(v->commit);
	if (r < 0 || known < 0)
		return MIN(r, known);
	s->checkpoint_slot = known ? UINT64_MAX : checkpoint.slot;
	if (!r) {
		s->files = row.files;
		s->directories = row.directories;
		s->bytes = row.bytes;
	}
	return 0;
}

/* Since when does this store lack something? */
static double lag(struct status *s, unsigned i, bool lacking)
{
	LOCK_SCOPE(&s->sync.lock);
	uint64_t now = clock_now(), *since = &s->sync.lag_since_ns[i];

	if (!lacking)
		*since = 0;
	else if (!*since)
		*since = now;
	return *since ? (double)(now - *since) / NS_PER_S : 0;
}

static void read_stores(struct status *s, struct snapshot *to)
{
	for (unsigned i = 0; i < s->v->n_stores; i++) {
		struct replica_health *h = &to->health[i];
		bool lacking;

		replicas_health(s->v->replicas, i, h);
		lacking = h->in_flight_bytes || to->deficit_chunks[i] || h->state == REPLICA_DOWN;
		to->lag_s[i] = lag(s, i, lacking);
		if (h->state == REPLICA_DOWN || h->state == REPLICA_FROZEN || to->deficit_chunks[i])
			to->degraded = true;
	}
}

static int take_snapshot(struct status *s, struct snapshot *to)
{
	struct volume *v = s->v;
	int r;

	*to = (struct snapshot){ .checkpoint_slot = UINT64_MAX };
	pieces_stats_get(v->pieces, &to->pieces);
	to->degraded = status_attached_degraded(v);
	if (is_bare(v))
		return 0;
	commit_status_get(v->commit, &to->commit);
	data_status_get(v->data, &to->data);
	repair_status_get(v->repair, &to->repair);
	volume_stopped(v, to->stopped, sizeof(to->stopped));
	r = read_namespace(v, to);
	if (!r)
		r = read_deficits(s, to);
	if (r < 0)
		return r;
	read_stores(s, to);
	if (*to->stopped)
		to->degraded = true;
	return 0;
}

static double age_s(uint64_t since_ns)
{
	return since_ns ? (double)(clock_now() - since_ns) / NS_PER_S : 0;
}

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
	json_set_real(j, "uptime", age_s(v->opened_ns));
	json_set_bool(j, "degraded", s->degraded);
	json_set_bool(j, "read_only", v->options->read_only || s->commit.read_only);
	json_set_str(j, "stopped", *s->stopped ? s->stopped : NULL);
	json_set_str(j, "socket", socket);
	json_set_str(j, "listen", listen);
	json_set_str(j, "subdir", v->options->subdir);
	return j;
}

static struct json *seconds_part(const char *first, double a, const char *second, double b)
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
	json_set(j, "commit_seconds", seconds_part("p50", c->commit_p50_s, "p99", c->commit_p99_s));
	json_set_str(j, "state_hash", hash);
	json_set_real(j, "verified_seconds", age_s(c->verified_ns));
	if (s->checkpoint_slot == UINT64_MAX)
		json_set_str(j, "checkpoint_slot", NULL);
	else
		json_set_uint(j, "checkpoint_slot", s->checkpoint_slot);
	return j;
}

static double price_of(const struct volume *v, const char *name)
{
	for (size_t i = 0; i < v->config->n_stores; i++)
		if (!strcmp(v->config->stores[i].name, name))
			return v->config->stores[i].read_price;
	return 0;
}

struct json *status_store(const struct store *st, const struct replica_health *h)
{
	struct json *j = json_object_new();

	json_set_str(j, "name", st->name);
	json_set_str(j, "url", st->url);
	json_set_str(j, "state", replica_state_name(h->state));
	json_set_str(j, "breaker", h->breaker);
	json_set(j, "latency_seconds",
		 seconds_part("p50", h->latency_p50_s, "p95", h->latency_p95_s));
	json_set_real(j, "throughput", h->throughput);
	json_set_uint(j, "requests", h->stats.requests);
	json_set_uint(j, "errors", h->stats.errors);
	json_set_uint(j, "hedged", h->hedged);
	json_set_uint(j, "bytes_read", h->stats.bytes_read);
	json_set_uint(j, "bytes_written", h->stats.bytes_written);
	json_set_uint(j, "in_flight_chunks", h->in_flight);
	json_set_str(j, "last_error", *h->stats.last_error ? h->stats.last_error : NULL);
	return j;
}

static struct json *store_part(const struct volume *v, const struct snapshot *s, unsigned i)
{
	const struct store *st = replicas_store(v->replicas, i);
	const struct replica_health *h = &s->health[i];
	struct json *j = status_store(st, h);

	json_set_uint(j, "deficit_chunks", s->deficit_chunks[i]);
	json_set_uint(j, "deficit_bytes", s->deficit_bytes[i]);
	json_set_uint(j, "bad_chunks", s->repair.bad_chunks[i]);
	json_set_real(j, "lag_seconds", s->lag_s[i]);
	json_set_real(j, "cost", (double)h->stats.bytes_read / GB * price_of(v, st->name));
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
	json_set_real(j, "oldest_seconds", age_s(s->data.oldest_dirty_ns));
	return j;
}

/* Counted where the kernel is answered; the same name finds the same counter. */
static struct metric *program_errors(void)
{
	return metric_get("mangrove_fuse_io_errors_total",
			  "Calls of programs that were answered with EIO.", METRIC_COUNTER, "");
}

static struct json *counters_part(const struct snapshot *s)
{
	struct json *j = json_object_new();

	json_set_uint(j, "lost_operations", s->commit.lost_operations);
	json_set_uint(j, "corrupt_frames", s->data.corrupt_frames);
	json_set_uint(j, "repaired_chunks", s->repair.repaired_chunks);
	json_set_uint(j, "program_errors", (uint64_t)metric_value(program_errors()));
	return j;
}

int status_json(struct status *st, const char *socket, const char *listen, struct buf *ret)
{
	_cleanup_(json_freep) struct json *root = json_object_new();
	struct json *stores = json_array_new();
	struct volume *v = st->v;
	struct snapshot s;
	int r = take_snapshot(st, &s);

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
	if (v->attach)
		json_set(root, "attached", status_attached(v));
	json_set(root, "namespace", namespace_part(&s));
	json_set(root, "cache", cache_part(v, &s));
	json_set(root, "pending", pending_part(&s));
	json_set(root, "counters", counters_part(&s));
	return json_write(root, 1, ret);
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
	const char *name = replicas_store(v->replicas, i)->name;
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
	set_counter("mangrove_store_cost_total",
		    "Price of what was read, in the currency of read_price.", name,
		    (double)h->stats.bytes_read / GB * price_of(v, name));
}

static void set_mount_gauges(const struct volume *v, const struct snapshot *s)
{
	char labels[160];

	snprintf(labels, sizeof(labels), "volume=\"%s\",version=\"" MANGROVE_VERSION "\"",
		 v->name);
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
		  age_s(s->data.oldest_dirty_ns));
	set_gauge("mangrove_files", "Files in the volume.", NULL, (double)s->files);
	set_gauge("mangrove_bytes", "Bytes of all files.", NULL, (double)s->bytes);
}

int status_metrics(struct status *st, struct buf *ret)
{
	struct snapshot s;
	int r = take_snapshot(st, &s);

	if (r)
		return r;
	for (unsigned i = 0; i < st->v->n_stores; i++)
		set_store_gauges(st->v, &s, i);
	set_mount_gauges(st->v, &s);
	set_local_gauges(&s);
	if (st->v->attach)
		status_attached_gauges(st->v);
	program_errors();
	return metrics_write(ret);
}
