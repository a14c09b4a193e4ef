/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A volume that is open on this machine: the tower of its parts, from the stores up to the
 * committed namespace. volume_open() builds it from below, volume_close() takes it down from above.
 *
 * (V1) Store i of the journal's rows is store i of `replicas`, whatever the order of the
 *      configuration.
 * (V2) A mount of nothing but buckets is a volume without stores, namespace, journal and data of
 *      its own: is_bare(), commit == NULL.
 * (V3) Nothing here changes after volume_open() but through the parts' own functions and the hooks.
 */
#include "backends/replicas.h"
#include "base/json.h"
#include "base/sodium.h"
#include "cache/kv.h"
#include "cache/pieces.h"
#include "fs/attach/attach.h"
#include "fs/attach/source.h"
#include "fs/checkpoint.h"
#include "fs/commit.h"
#include "fs/config.h"
#include "fs/data/file.h"
#include "fs/journal/journal.h"
#include "fs/options.h"
#include "fs/seal.h"
#include "fs/staging.h"
#include "fs/super.h"
#include "fs/upkeep/gc.h"
#include "fs/upkeep/repair.h"
#include "fs/upkeep/upkeep.h"

/* What the kernel's side wants to hear from the commit task; see struct commit_events. */
struct volume_hooks {
	struct commit_events events;
	/*
	 * A bucket of the root was attached or detached; called with events.arg, on a task of its
	 * own.
	 */
	void (*attached)(const char *name, void *arg);
};

struct volume {
	struct config *config;                /* owned; stores, cache, key source */
	const struct mount_options *options;  /* borrowed; outlives the volume */
	uint8_t id[16];                       /* the volume's id */
	char id_text[33];                     /* the same as hex */
	char *name;                           /* "demo" */
	uint32_t level;                       /* of operations, as the superblock said */
	uint32_t epoch;                       /* of the journal */

	struct replicas *replicas;            /* (V1) */
	unsigned n_stores;
	uint64_t data_stores, journal_stores; /* bit sets by role */
	uint8_t store_ids[REPLICAS_MAX][16];  /* what a journal link is bound to */
	/* of the superblocks that the opening found, and at which stores */
	uint8_t super_keys[REPLICAS_MAX][SUPER_KEYS_HASH_SIZE];
	uint64_t super_known;
	/* copies before an acknowledgement: min(acknowledge, data stores) */
	unsigned ack;

	struct sealer *sealer;                /* the volume's keys */
	/* absolute; holds ns/, pieces/, seen; locked by this process */
	char *cache_dir;
	int cache_lock_fd;
	uint64_t cache_bytes;                 /* limit of pieces on disk */
	/* the mount's budget: buffers 40 %, read-ahead 30 %, pieces 20 %, RocksDB 10 % */
	uint64_t memory_bytes;

	struct kv *ns;                        /* the namespace at the applied slot */
	struct journal *journal;              /* belongs to the commit task */
	struct commit *commit;
	struct staging *staging;              /* NULL: read-only */
	struct pieces *pieces;
	struct sources *sources;              /* foreign objects as contents of files */
	struct data *data;
	struct repair *repair;                /* makes missing copies, rewrites bad ones */
	struct checkpoint_keeper *checkpoints; /* writes them; NULL: read-only */

	struct {                              /* of earlier mounts, found at the start */
		uint64_t replayed;            /* operations submitted again */
		uint64_t conflicts;           /* of them, that others' changes kept from it */
		uint64_t lost;                /* writes and batches that the disk lost */
	} staged;

	struct attach *attach;                /* the attached buckets */
	struct attach_keeper *attach_keeper;  /* of those that the namespace names; bare: NULL */
	struct event attach_changed;          /* the namespace names others */
	struct sealer *attach_sealer;         /* of a mount of nothing but buckets; else NULL */
	uint64_t opened_ns;                   /* clock_now() when it was ready */

	struct {
		struct lock lock;             /* RANK_LEAF */
		const struct volume_hooks *hooks; /* or NULL */
		unsigned hearing;             /* those who call them */
		struct cond heard;
		char stopped[200];            /* why it turned read-only, or "" */
	} sync;
};

static inline bool is_bare(const struct volume *v)
{
	return !v->commit;
}

/*
 * Opens a volume for a mount: stores, superblock, keys, namespace, journal, commit, pieces,
 * data. Works with a minority of the stores away. Takes cfg (also on failure); o is borrowed. 0;
 * negative errno with one sentence for people in err.
 */
must_check int volume_open(struct config *takes_cfg, const struct mount_options *o,
			   struct volume **ret, char *err, size_t err_size);
/* Flushes, commits, unmounts from the journal, takes the tower down. 0; -EIO, -ETIMEDOUT:
 * something is left unsaved. */
int volume_close(struct volume *v, uint64_t deadline_ns);
/* Where a volume's cache folder is when nothing else is said. NULL: it has no name; no memory. */
char *volume_cache_folder(const struct config *c);
/* Takes it down as it is. */
struct volume *volume_free(struct volume *v);
DEFINE_CLEANUP(struct volume *, volume_free)

/*
 * What follows the namespace's list of attached buckets. settle: returns when the mount shows what
 * the namespace says by now; 0, -ETIMEDOUT.
 */
struct attach_keeper;
must_check int attach_keeper_new(struct volume *v, struct attach_keeper **ret);
struct attach_keeper *attach_keeper_free(struct attach_keeper *k);
int attach_keeper_settle(struct attach_keeper *k, uint64_t deadline_ns);

/*
 * From now on `h` (borrowed until replaced; NULL: nobody) hears the events; when it returns, nobody
 * is in the functions of the ones before. Holds no lock.
 */
void volume_hooks_set(struct volume *v, const struct volume_hooks *h);
/* An operation of this mount that did not come through its kernel: which is told like others'. */
void volume_tell(struct volume *v, const struct op *op, const struct result *res);
/* Why the mount turned read-only; "" while it has not. */
void volume_stopped(struct volume *v, char *ret, size_t size);
/* Writes back everything: dirty data, then every operation. `all`: waits for late copies at
 * every store, too. 0 or -errno. */
int volume_sync(struct volume *v, bool all, uint64_t deadline_ns);

/*
 * Removes garbage; o: grace_s, dry_run, progress, the rest is filled in. As gc_run.
 */
must_check int volume_gc(const struct volume *v, const struct gc_options *o, struct gc_report *ret);
/* The long walks of a volume; it must not outlive the volume. */
must_check int volume_upkeep_new(const struct volume *v, struct upkeep **ret);

/* The key slots by their numbers; an unknown kind is there, but not known. Bit sets. */
struct key_list {
	uint64_t there, known;
	struct key_slot slots[KEYSLOTS_MAX];
};
must_check int volume_key_list(struct volume *v, struct key_list *ret);

struct key_added {
	unsigned number;
	uint64_t lacking;        /* stores that do not have the new superblock yet (bit set) */
	struct secret *recovery; /* its letters, or NULL */
};
void key_added_release(struct key_added *a);
/*
 * Another secret opens the volume from now on; a source of KEY_RECOVERY: one that is drawn now. 0;
 * negative errno, with a sentence in err or none: -EINVAL (weak parameters), -ENOSPC (all slots are
 * in use), -EROFS, what reading the source and the journal answer.
 */
must_check int volume_key_add(struct volume *v, const struct key_source *src,
			      const struct kdf_options *kdf, struct key_added *ret, char *err,
			      size_t err_size);
/*
 * Mounts that begin from now on are not opened by that slot. No revocation: who had the secret may
 * have the volume's key. 0; -ENOENT; -EBUSY: the only slot, or (without force) the only one that
 * this mount's own secret opens; -EROFS, ...
 */
must_check int volume_key_remove(struct volume *v, unsigned number, bool force,
				 uint64_t *ret_lacking, char *err, size_t err_size);

/* As programs read them. Owned by the caller. */
struct json *key_list_json(const struct key_list *l);
struct json *key_added_json(const struct volume *v, const struct key_added *a);
struct json *key_removed_json(const struct volume *v, unsigned number, uint64_t lacking);

struct format_options {
	const struct config *config;     /* name, stores; borrowed */
	const struct key_source *key;    /* borrowed; NONE: the recovery key alone opens it */
	uint64_t kdf_memory, kdf_passes; /* of Argon2id; 0: 256 MiB, 3 passes */
	uint32_t root_uid, root_gid, root_mode;
};
/*
 * Creates a volume at the stores of the configuration: checks every store, refuses a place that
 * holds one already, writes slot 0 and the superblocks. *ret_recovery: the recovery key as text,
 * to be shown once (secret_free). 0; negative errno with a sentence in err: -EEXIST (there is a
 * volume), -EACCES, -EIO, ...
 */
must_check int volume_format(const struct format_options *o, uint8_t ret_id[16],
			     struct secret **ret_recovery, char *err, size_t err_size);
