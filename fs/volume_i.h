/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of volume_*.c share: the way from a configuration to stores, keys and this
 * machine's folders. */
#include "fs/super.h"
#include "fs/volume.h"

/* A sentence for people into err; answers `error`. */
#define say(error, err, err_size, ...)                                                             \
	({                                                                                         \
		snprintf((err), (err_size), __VA_ARGS__);                                          \
		fail(error);                                                                       \
	})

/* One configured store on its way into the replicas. */
struct candidate {
	const struct config_store *cfg; /* borrowed */
	struct store *store;            /* owned until it is handed to the replicas */
	struct store_call *call;        /* the superblock's GET */
	int result;                     /* its result; 0: super holds the clear part */
	int verdict;                    /* SUPER_* of parsing, when the GET brought bytes */
	struct super *super;            /* or NULL */
	bool unlisted;                  /* there may be a newer one that it did not tell */
};
struct candidates {
	struct candidate all[CONFIG_STORES_MAX];
	size_t n;
};
void candidates_release(struct candidates *c);
/* Opens every store of the configuration. */
must_check int candidates_open(struct candidates *c, const struct config *cfg, char *err,
			       size_t err_size);
/* Asks all for the superblock of the format; answers when all have answered or it has enough and
 * the slow ones had their time. */
must_check int candidates_ask(struct candidates *c, uint64_t deadline_ns);
/*
 * Looks for newer ones at the stores that answered. Where a store does not let itself be listed,
 * the one of the format is all there is.
 */
must_check int candidates_renew(struct candidates *c, uint64_t deadline_ns);
/* The newest whole superblock, compared with the others and the configuration. Borrowed. */
must_check int candidates_choose(struct candidates *c, const struct config *cfg,
				 struct candidate **ret, char *err, size_t err_size);
/*
 * Opens the sealed parts and puts every store where the volume's list has it; stores that the
 * configuration does not name are opened by the list's URL. Fills v->replicas and what goes with
 * it. *ret: the newest superblock, opened; borrowed.
 */
must_check int candidates_place(struct candidates *c, struct volume *v, const struct super **ret,
				char *err, size_t err_size);

#define KEY_WEAK_TEXT "weak KDF parameters: at least %llu MiB and %u passes are needed"

/*
 * volume_super.c. Writes the copy of the superblock for store `number`; one that is there already
 * stays. 0; negative errno with a sentence in err.
 */
must_check int super_put(struct store *store, unsigned number, const struct super *s,
			 struct sealer *sealer, uint64_t deadline_ns, char *err, size_t err_size);
/* The present state becomes the newest superblock; *ret_lacking: stores that did not take it. */
must_check int volume_super_write(struct volume *v, uint64_t *ret_lacking);
/* What a store showed at the opening; and, once the journal was followed, those that are behind
 * get the newest one (S2). */
void volume_super_note(struct volume *v, unsigned store, const struct super *s);
must_check int volume_super_mend(struct volume *v);

/* Where this mount's own secret comes from. Borrows. */
struct key_source volume_key_source(const struct volume *v);
/* The secret and with it the volume's keys. */
must_check int volume_unlock(const struct super *s, const struct key_source *src,
			     struct sealer **ret, char *err, size_t err_size);

/* The cache folder: chosen, made, found fit, locked; and the shares of disk and memory. */
must_check int volume_local_open(struct volume *v, char *err, size_t err_size);
/* The namespace's database; emptied when damaged or another volume's. */
must_check int volume_namespace_open(struct volume *v, char *err, size_t err_size);

/* Opens a database of the namespace, with this mount's share of memory. */
must_check int volume_kv_open(const struct volume *v, const char *dir, struct kv **ret);
/* Begins with a checkpoint where that is shorter than what the journal holds. */
must_check int volume_catch_up(struct volume *v, char *err, size_t err_size);
/* From here on checkpoints are written. */
must_check int volume_checkpoints_open(struct volume *v);

/* Foreign objects as contents of files; before the data service. */
must_check int volume_sources_open(struct volume *v);
/* As struct data_options wants it; arg: the volume. */
int volume_foreign_read(struct span reference, uint64_t off, size_t len, enum file_wait wait,
			uint8_t *dst, void *arg);

/* Who hears events now, or NULL; they stay until volume_hooks_leave(). */
const struct volume_hooks *volume_hooks_enter(struct volume *v);
void volume_hooks_leave(struct volume *v);

/* The attached buckets of the configuration, then those of the namespace. */
must_check int volume_attach_open(struct volume *v, char *err, size_t err_size);
/* Borrows from the section, or the row that is like one. */
struct attach_spec volume_attach_spec(const struct volume *v, const struct config_attach *a,
				      bool of_volume);
/* Shows a bucket that the namespace names; if it cannot be opened here, as one that is refused. */
must_check int volume_attach_row(struct volume *v, const struct config_attach *row);
/* A mount of nothing but buckets: the name, the folder and the key of this machine. */
must_check int volume_bare_open(struct volume *v, char *err, size_t err_size);

/* Notes this mount in the cache folder, before the journal hears of it. */
must_check int volume_past_note(struct volume *v);
/* What close=staged left on this disk, and where it is put next. Nothing of it is lost by that. */
must_check int volume_staging_open(struct volume *v, char *err, size_t err_size);
/* Earlier mounts' operations go on, before anything else is submitted. */
must_check int volume_staging_replay(struct volume *v, char *err, size_t err_size);

/* Gets a FENCE committed, unless that mount has ended. */
must_check int volume_fence(struct volume *v, const uint8_t incarnation[INCARNATION_SIZE]);
/* Fences the mounts that used this cache folder and ended without a word. */
must_check int volume_past_fence(struct volume *v);
