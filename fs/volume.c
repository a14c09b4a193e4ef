/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/volume_i.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define ASK_NS (15 * NS_PER_S)	 /* for a superblock */
#define LATE_NS (15 * NS_PER_S)	 /* at the end, for copies beyond the acknowledged ones */
#define LATE_LOOK_NS (50 * NS_PER_MS)
#define BOOT_NS (300 * NS_PER_S) /* to follow the journal to its tip */

/* The commit task's events go to whoever serves the kernel just now. */
const struct volume_hooks *volume_hooks_enter(struct volume *v)
{
	LOCK_SCOPE(&v->sync.lock);

	v->sync.hearing++;
	return v->sync.hooks;
}

void volume_hooks_leave(struct volume *v)
{
	LOCK_SCOPE(&v->sync.lock);

	v->sync.hearing--;
	cond_broadcast(&v->sync.heard);
}

static void on_applied(const struct op *op, const struct result *res, void *arg)
{
	const struct volume_hooks *h = volume_hooks_enter(arg);

	if (h && h->events.applied)
		h->events.applied(op, res, h->events.arg);
	volume_hooks_leave(arg);
}

void volume_tell(struct volume *v, const struct op *op, const struct result *res)
{
	on_applied(op, res, v);
}

static void on_lost(const struct op *op, const struct result *said, const struct result *now,
		    void *arg)
{
	const struct volume_hooks *h = volume_hooks_enter(arg);

	if (h && h->events.lost)
		h->events.lost(op, said, now, h->events.arg);
	volume_hooks_leave(arg);
}

static void on_attached(void *arg)
{
	struct volume *v = arg;

	event_set(&v->attach_changed);
}

static void on_stopped(const char *why, void *arg)
{
	struct volume *v = arg;
	const struct volume_hooks *h = volume_hooks_enter(v);

	log_error("volume", "the mount is read-only from now on", "why=\"%s\"", why);
	lock_take(&v->sync.lock);
	snprintf(v->sync.stopped, sizeof(v->sync.stopped), "%s", why);
	lock_give(&v->sync.lock);
	if (h && h->events.stopped)
		h->events.stopped(why, h->events.arg);
	volume_hooks_leave(v);
}

void volume_hooks_set(struct volume *v, const struct volume_hooks *h)
{
	LOCK_SCOPE(&v->sync.lock);

	v->sync.hooks = h;
	while (v->sync.hearing)
		cond_wait(&v->sync.heard, &v->sync.lock, NEVER);
}

void volume_stopped(struct volume *v, char *ret, size_t size)
{
	LOCK_SCOPE(&v->sync.lock);

	snprintf(ret, size, "%s", v->sync.stopped);
}

/* The key's source: what the mount was told, else the configuration's. */
struct key_source volume_key_source(const struct volume *v)
{
	const struct mount_options *o = v->options;

	if (o->key_file)
		return (struct key_source){ KEY_FILE, o->key_file };
	if (o->passphrase_file)
		return (struct key_source){ KEY_PASSPHRASE, o->passphrase_file };
	if (o->key_command)
		return (struct key_source){ KEY_COMMAND, o->key_command };
	if (o->recovery_key_file)
		return (struct key_source){ KEY_RECOVERY, o->recovery_key_file };
	return config_key_source(v->config);
}

static int name_volume(struct volume *v, const struct super *s)
{
	const char *name = v->config->name ? v->config->name : s->name;

	free(v->name);
	v->name = strdup(name);
	return v->name ? 0 : fail(-ENOMEM);
}

static void take_identity(struct volume *v, const struct super *s)
{
	memcpy(v->id, s->volume_id, 16);
	hex_encode(span_of(v->id, 16), v->id_text);
	v->level = s->level;
}

/* From URLs to replicas and keys. */
static int open_stores(struct volume *v, char *err, size_t err_size)
{
	_cleanup_(candidates_release) struct candidates c = { .n = 0 };
	const struct key_source key = volume_key_source(v);
	struct candidate *chosen;
	const struct super *s;
	int r = candidates_open(&c, v->config, err, err_size);

	if (!r)
		r = candidates_ask(&c, clock_now() + ASK_NS);
	if (!r)
		r = candidates_renew(&c, clock_now() + ASK_NS);
	if (!r)
		r = candidates_choose(&c, v->config, &chosen, err, err_size);
	if (r)
		return r;
	take_identity(v, chosen->super);
	r = volume_unlock(chosen->super, &key, &v->sealer, err, err_size);
	/* The name of the folder: the configuration's, or (for bare URLs) the id until the name
	 * is known. */
	if (!r)
		r = (v->name = strdup(v->config->name ? v->config->name : v->id_text)) ? 0 :
											 -ENOMEM;
	if (!r)
		r = volume_local_open(v, err, err_size);
	if (!r)
		r = candidates_place(&c, v, &s, err, err_size);
	if (!r)
		r = name_volume(v, s);
	if (r)
		return r;
	v->epoch = s->epoch;
	v->ack = MIN(v->config->acknowledge, (unsigned)__builtin_popcountll(v->data_stores));
	return 0;
}

static int new_journal(const struct volume *v, bool read_only, struct journal **ret)
{
	struct journal_options o = { .replicas = v->replicas,
				     .stores = v->journal_stores,
				     .sealer = v->sealer,
				     .epoch = v->epoch,
				     .read_only = read_only };

	memcpy(o.store_ids, v->store_ids, sizeof(o.store_ids));
	return journal_new(&o, ret);
}

static int open_journal(struct volume *v)
{
	return new_journal(v, v->options->read_only, &v->journal);
}

static int open_commit(struct volume *v, char *err, size_t err_size)
{
	const struct commit_events events = { .applied = on_applied,
					      .lost = on_lost,
					      .attached = on_attached,
					      .stopped = on_stopped,
					      .arg = v };
	char host[64] = "?", who[96];
	struct commit_options o = { .hold_ns = 2 * NS_PER_S,
				    .delay_ns = NS_PER_S / 2,
				    .freshness_ns = v->options->freshness_ns,
				    .deadline_ns = v->options->deadline_ns,
				    .read_only = v->options->read_only,
				    .host = who };
	int r;

	gethostname(host, sizeof(host) - 1);
	snprintf(who, sizeof(who), "%s:%d", host, (int)getpid());
	r = volume_past_note(v);
	if (r)
		return say(r, err, err_size, "cache folder %s: %s", v->cache_dir, strerror(-r));
	r = commit_new(&o, v->journal, v->ns, &events, &v->commit);
	if (!r)
		r = commit_start(v->commit, clock_now() + BOOT_NS, err, err_size);
	if (!r)
		r = volume_past_fence(v);
	if (r && !*err)
		return say(r, err, err_size, "the journal cannot be followed: %s", strerror(-r));
	return r;
}

static int open_pieces(struct volume *v, char *err, size_t err_size)
{
	_cleanup_free_ char *dir = NULL;
	struct pieces_options o = { .disk_bytes = v->cache_bytes,
				    .memory_bytes = v->memory_bytes / 100 * 16 };
	int r;

	if (asprintf(&dir, "%s/pieces", v->cache_dir) < 0)
		return fail(-ENOMEM);
	o.dir = dir;
	r = pieces_new(&o, &v->pieces);
	return r ? say(r, err, err_size, "cache folder %s: %s", dir, strerror(-r)) : 0;
}

static int open_data(struct volume *v)
{
	const struct data_options o = { .replicas = v->replicas,
					.sealer = v->sealer,
					.pieces = v->pieces,
					.commit = v->commit,
					.stores = v->data_stores,
					.ack = v->ack,
					.memory_bytes = v->memory_bytes,
					.deadline_ns = v->options->deadline_ns,
					.orphan_grace_ns = v->options->orphan_grace_ns,
					.foreign = volume_foreign_read,
					.foreign_arg = v,
					.read_only = v->options->read_only,
					.staging = v->staging,
					.close_staged = v->options->close_staged };

	return data_new(&o, &v->data);
}

static void on_bad(const struct chunk_seal *seal, unsigned store, void *arg)
{
	struct volume *v = arg;

	repair_bad(v->repair, seal, store);
}

static int open_repair(struct volume *v)
{
	const struct repair_options o = { .replicas = v->replicas,
					  .sealer = v->sealer,
					  .commit = v->commit };
	int r = repair_new(&o, &v->repair);

	if (!r)
		data_on_bad(v->data, on_bad, v);
	return r;
}

/* Nothing but buckets. */
static int open_bare(struct volume *v, char *err, size_t err_size)
{
	int r = volume_bare_open(v, err, err_size);

	if (!r)
		r = open_pieces(v, err, err_size);
	if (!r)
		r = volume_attach_open(v, err, err_size);
	if (r && !*err)
		return say(r, err, err_size, "cannot attach the buckets: %s", strerror(-r));
	v->opened_ns = clock_now();
	return r;
}

static int open_all(struct volume *v, char *err, size_t err_size)
{
	int r = v->config->n_stores ? open_stores(v, err, err_size) : 0;

	if (r == -ENOENT && v->config->bare)
		r = config_make_bucket(v->config, err, err_size);
	if (r || !v->config->n_stores)
		return r ? r : open_bare(v, err, err_size);
	if (!r)
		r = volume_namespace_open(v, err, err_size);
	if (!r)
		r = volume_catch_up(v, err, err_size);
	if (!r)
		r = open_journal(v);
	if (!r)
		r = open_commit(v, err, err_size);
	if (!r)
		r = volume_super_mend(v);
	if (!r)
		r = open_pieces(v, err, err_size);
	if (!r)
		r = volume_sources_open(v);
	if (!r)
		r = volume_staging_open(v, err, err_size);
	if (!r)
		r = open_data(v);
	if (!r)
		r = volume_staging_replay(v, err, err_size);
	if (!r)
		r = open_repair(v);
	if (!r)
		r = volume_attach_open(v, err, err_size);
	if (!r)
		r = volume_checkpoints_open(v);
	if (r && !*err)
		return say(r, err, err_size, "cannot open the volume: %s", strerror(-r));
	v->opened_ns = clock_now();
	return r;
}

int volume_open(struct config *takes_cfg, const struct mount_options *o, struct volume **ret,
		char *err, size_t err_size)
{
	struct volume *v = calloc(1, sizeof(*v));
	int r;

	*err = '\0';
	if (!v) {
		config_free(takes_cfg);
		return say(-ENOMEM, err, err_size, "not enough memory");
	}
	v->config = takes_cfg;
	v->options = o;
	v->cache_lock_fd = -1;
	event_init(&v->attach_changed);
	lock_init(&v->sync.lock, RANK_LEAF);
	cond_init(&v->sync.heard);
	r = open_all(v, err, err_size);
	if (r)
		volume_free(v);
	else
		*ret = v;
	return r;
}

/* Copies beyond the acknowledged ones, in memory and staged. 0, -ETIMEDOUT. */
static int drain_copies(struct volume *v, uint64_t deadline_ns)
{
	struct data_status st;
	int r;

	for (;;) {
		r = replicas_drain(v->replicas, deadline_ns);
		data_status_get(v->data, &st);
		if (r || !st.in_flight_chunks)
			return r;
		if (clock_now() >= deadline_ns)
			return fail(-ETIMEDOUT);
		sleep_for(LATE_LOOK_NS);
	}
}

int volume_sync(struct volume *v, bool all, uint64_t deadline_ns)
{
	if (is_bare(v))
		return 0;

	int r = v->options->read_only ? 0 : data_flush_all(v->data, deadline_ns);
	int committed = v->options->read_only ? 0 : commit_sync_wait(v->commit, 0, deadline_ns);

	if (!r)
		r = committed;
	if (!r && all)
		r = drain_copies(v, deadline_ns);
	return r;
}

int volume_gc(const struct volume *v, const struct gc_options *o, struct gc_report *ret)
{
	_cleanup_(journal_freep) struct journal *past = NULL;
	struct gc_options all = *o;
	const int r = new_journal(v, true, &past);

	if (r)
		return r;
	all.replicas = v->replicas;
	all.sealer = v->sealer;
	all.commit = v->commit;
	all.past = past;
	all.data_stores = v->data_stores;
	all.stores = v->data_stores | v->journal_stores;
	return gc_run(&all, ret);
}

int volume_upkeep_new(const struct volume *v, struct upkeep **ret)
{
	const struct upkeep_options o = { .replicas = v->replicas,
					  .sealer = v->sealer,
					  .commit = v->commit,
					  .repair = v->options->read_only ? NULL : v->repair,
					  .dir = v->cache_dir,
					  .data_stores = v->data_stores };

	return upkeep_new(&o, ret);
}

int volume_close(struct volume *v, uint64_t deadline_ns)
{
	int r, stopped;

	v->checkpoints = checkpoint_keeper_free(v->checkpoints);
	v->attach_keeper = attach_keeper_free(v->attach_keeper);
	r = volume_sync(v, false, deadline_ns);
	if (is_bare(v)) {
		volume_free(v);
		return r;
	}
	/* Copies still on their way get a while; those that fail become deficits, which
	 * commit_stop commits. */
	drain_copies(v, MIN(deadline_ns, clock_now() + LATE_NS));
	data_give_up_late(v->data);
	if (!r && !v->options->read_only)
		r = data_flush_all(v->data,
				   deadline_ns); /* submits what the stores have reported since */
	stopped = commit_stop(v->commit, deadline_ns);
	volume_free(v);
	return r ? r : stopped;
}

struct volume *volume_free(struct volume *v)
{
	if (!v)
		return NULL;
	checkpoint_keeper_free(v->checkpoints);
	if (v->data)
		data_on_bad(v->data, NULL, NULL);
	attach_keeper_free(v->attach_keeper);
	attach_free(v->attach);
	repair_free(v->repair);
	data_free(v->data);
	sources_free(v->sources);
	staging_close(v->staging);
	pieces_free(v->pieces);
	commit_free(v->commit);
	journal_free(v->journal);
	kv_close(v->ns);
	replicas_free(v->replicas);
	sealer_free(v->sealer);
	sealer_free(v->attach_sealer);
	if (v->cache_lock_fd >= 0)
		close(v->cache_lock_fd);
	cond_release(&v->sync.heard);
	lock_release(&v->sync.lock);
	event_release(&v->attach_changed);
	free(v->cache_dir);
	free(v->name);
	config_free(v->config);
	free(v);
	return NULL;
}
