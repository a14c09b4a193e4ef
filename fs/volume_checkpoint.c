/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount that knows nothing of its volume, or has not looked at it for long, begins with a
 * checkpoint. Where there are rows already it is loaded into a database beside theirs, which stays
 * until the new one is whole: whatever goes wrong, the old one and the journal are there still.
 */
#include "fs/volume_i.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

/* A database younger than this is not far behind: nobody asks the stores. */
#define YOUNG_NS (15 * 60 * NS_PER_S)
/* So many slots are sooner read than a checkpoint loaded. */
#define NEAR_SLOTS 2000u

static struct checkpoint_stores stores_of(const struct volume *v)
{
	const uint64_t all = v->data_stores | v->journal_stores;
	const unsigned majority = (unsigned)__builtin_popcountll(all) / 2 + 1;

	return (struct checkpoint_stores){ .replicas = v->replicas,
					   .sealer = v->sealer,
					   .stores = all,
					   .enough = MAX(v->ack, majority) };
}

int volume_checkpoints_open(struct volume *v)
{
	const struct checkpoint_keeper_options o = { .stores = stores_of(v), .commit = v->commit };

	return v->options->read_only ? 0 : checkpoint_keeper_new(&o, &v->checkpoints);
}

/* May the stores have a checkpoint that is worth loading? *ret_above: only of slots above it. */
static int worth_asking(struct volume *v, uint64_t *ret_above)
{
	struct commit_mark m;
	const int r = commit_mark_load(v->ns, v->id, &m);

	*ret_above = UINT64_MAX;
	if (r)
		return r < 0 ? r : 1;
	*ret_above = m.slot + NEAR_SLOTS;
	return clock_wall() > m.time_ns && clock_wall() - m.time_ns > YOUNG_NS;
}

/* 1: it has no row at all; 0; negative errno. */
static int is_empty(struct kv *kv)
{
	for (unsigned column = 0; column < COL_COUNT; column++) {
		_cleanup_(kv_iter_freep) struct kv_iter *it = kv_iter_new_once(kv, column);

		if (!it)
			return fail(-ENOMEM);
		kv_iter_seek(it, SPAN_NULL);
		if (kv_iter_valid(it))
			return 0;
	}
	return 1;
}

/* The database, the one that is loaded, and the one that was there before. */
struct folders {
	char *now, *new, *old;
};

static void folders_release(struct folders *f)
{
	free(f->now);
	free(f->new);
	free(f->old);
}

static int folders_init(struct folders *f, const struct volume *v)
{
	if (asprintf(&f->now, "%s/ns", v->cache_dir) < 0 ||
	    asprintf(&f->new, "%s.new", f->now) < 0 || asprintf(&f->old, "%s.old", f->now) < 0)
		return fail(-ENOMEM);
	return 0;
}

static void remove_database(const char *dir)
{
	if (access(dir, F_OK) == 0 && kv_destroy(dir))
		log_warn("checkpoint", "a local database could not be removed", "dir=%s", dir);
}

static void leave_one(const struct folders *f)
{
	remove_database(f->new);
	remove_database(f->old);
}

/* Fills a new database. 0, CHECKPOINT_NONE, negative errno. */
static int fill(struct volume *v, const char *dir, uint64_t above, struct checkpoint_report *ret)
{
	const struct checkpoint_stores s = stores_of(v);
	_cleanup_(kv_closep) struct kv *kv = NULL;
	int r = volume_kv_open(v, dir, &kv);

	return r ? r : checkpoint_load(&s, above, kv, ret);
}

/* The new one takes the place of the old one; if it cannot, the old one is open again. */
static int exchange(struct volume *v, const struct folders *f)
{
	int r = 0, opened;

	v->ns = kv_close(v->ns);
	if (rename(f->now, f->old) < 0)
		r = fail(-errno);
	else if (rename(f->new, f->now) < 0)
		r = rename(f->old, f->now) < 0 ? fail(-EIO) : fail(-errno);
	opened = volume_kv_open(v, f->now, &v->ns);
	return r ? r : opened;
}

/* An empty one takes the rows itself, which come in when all are there. */
static int load(struct volume *v, const struct folders *f, uint64_t above)
{
	const struct checkpoint_stores s = stores_of(v);
	struct checkpoint_report rep;
	int r = is_empty(v->ns);

	if (r < 0)
		return r;
	if (r)
		r = checkpoint_load(&s, above, v->ns, &rep);
	else {
		r = fill(v, f->new, above, &rep);
		if (!r)
			r = exchange(v, f);
	}
	if (r)
		return r;
	log_info("checkpoint", "the namespace was loaded from a checkpoint",
		 "slot=%llu rows=%llu parts=%llu bytes=%llu seconds=%.2f",
		 (unsigned long long)rep.slot, (unsigned long long)rep.rows,
		 (unsigned long long)rep.parts, (unsigned long long)rep.bytes, rep.seconds);
	return 0;
}

int volume_catch_up(struct volume *v, char *err, size_t err_size)
{
	_cleanup_(folders_release) struct folders f = { NULL };
	uint64_t above;
	int r = folders_init(&f, v);

	if (r)
		return r;
	leave_one(&f); /* a load may have been interrupted */
	r = worth_asking(v, &above);
	if (r <= 0)
		return r;
	r = load(v, &f, above);
	leave_one(&f);
	if (r == 0)
		return 0;
	if (!v->ns)
		return say(r, err, err_size, "%s: %s", f.now, strerror(-r));
	if (r < 0)
		log_warn("checkpoint", "no checkpoint could be loaded; the journal is read instead",
			 "error=\"%s\"", strerror(-r));
	return 0;
}
