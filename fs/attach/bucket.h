/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The tree of an attached bucket: what LIST says, remembered on this machine.
 *
 * (B1) A LIST answer gives everything a program sees of an entry. A name is asked for by itself
 *      only when it is looked up in a directory that has not been listed, or whose listing is too
 *      old; a LIST answers that, too.
 * (B2) What was listed is believed for `ttl_ns`; "no such name" as well. Then a look asks again,
 *      and waits for the answer. A store that does not answer leaves the old listing standing: it
 *      is served, and said so once in the log.
 * (B3) An inode number belongs to (directory, name) for ever, on this machine: bit 62, the number
 *      of the attachment << 40, a counter. The root of an attachment has counter 1. It is never
 *      given to another; who comes back a day after having gone may have a new one.
 * (B4) Entries of a directory are kept in the order of their keys (a directory's ends in '/'), so a
 *      page of a LIST is a range of them: readdir starts after the first page, and what a complete
 *      listing did not name is gone.
 * (B5) Nothing is hidden: names that are no file names are mapped (keys.h), markers without content
 *      ("dir/", "dir_$folder$", Azure's hdi_isfolder) are the directories that they mark.
 */
#include "backends/replicas.h"
#include "cache/kv.h"

#define ATTACHED_BIT (1ull << 62)
#define ATTACHED_SHIFT 40
#define ATTACHED_ROOT 1ull
#define MIRRORS_MAX 4

/* "local/": columns of the database of this machine, for kv_open. */
enum local_column { LOCAL_META, LOCAL_ENTRY, LOCAL_INODE, LOCAL_DIR, LOCAL_COUNT };
extern const char *const local_columns[];

enum bucket_cond {
	BUCKET_MISSING = 1,
	BUCKET_WOULD_WAIT, /* needs the network: call again with BUCKET_WAIT, from a pool */
};
enum bucket_wait { BUCKET_NO_WAIT, BUCKET_WAIT };

/* One file or directory, as of its listing. */
struct bucket_entry {
	uint64_t ino, parent;
	bool is_dir;
	uint64_t size, modified_s; /* of a directory: 0, and when it was first seen */
	/*
	 * The object's version at the store that was asked ("" elsewhere: not known), by the number
	 * of the mirror.
	 */
	char version[MIRRORS_MAX][STORE_VERSION_MAX];
	/* of the object; of a directory: its prefix, ends in '/' or is "" */
	char key[STORE_NAME_MAX + 1];
};

struct bucket_options {
	unsigned number;            /* of the attachment: 1.. ; the same over remounts */
	const char *identity;       /* (B3) what the numbers belong to: the URLs of the stores */
	struct replicas *replicas;  /* borrowed: one store, or mirrors with the same content */
	struct kv *local;           /* borrowed */
	uint64_t ttl_ns;            /* (B2) */
	uint64_t deadline_ns;       /* how long a look may take */
	bool refused;               /* there are no stores: all that would ask one is -EACCES */
};
struct bucket;
must_check int bucket_new(const struct bucket_options *o, struct bucket **ret);
struct bucket *bucket_free(struct bucket *b);
DEFINE_CLEANUP(struct bucket *, bucket_free)
uint64_t bucket_root(const struct bucket *b);

/*
 * All: 0; BUCKET_MISSING; BUCKET_WOULD_WAIT (with BUCKET_NO_WAIT only); -EIO, -EACCES, -ETIMEDOUT
 * when the store cannot be asked and nothing is remembered; -ENOTDIR.
 */
must_check int bucket_lookup(struct bucket *b, uint64_t dir, struct span name,
			     enum bucket_wait wait, struct bucket_entry *ret);
must_check int bucket_get(struct bucket *b, uint64_t ino, enum bucket_wait wait,
			  struct bucket_entry *ret);
/*
 * Entries of a directory after the one whose inode number is `after` (0: from the start). fn: 0 go
 * on, 1 stop (that entry counts as told), negative: error. Returns when fn stopped, or at the end,
 * or, while a listing streams in, after what there is of it: *ret_end tells whether it was the end.
 */
typedef int bucket_entry_fn(struct span name, const struct bucket_entry *e, void *arg);
must_check int bucket_readdir(struct bucket *b, uint64_t dir, uint64_t after, enum bucket_wait wait,
			      bucket_entry_fn *fn, void *arg, bool *ret_end);
/* What is remembered of the directory (and, with `deep`, below it) is not believed any more. */
void bucket_refresh(struct bucket *b, uint64_t dir, bool deep);
/* The object was found to be another one than was listed, or gone: the next look asks. */
void bucket_doubt(struct bucket *b, uint64_t ino);

/*
 * What this mount writes. A number for a name that is not there yet (not kept before bucket_note).
 * 0, -EIO, -ENOMEM, -ENOSPC.
 */
must_check int bucket_number(struct bucket *b, uint64_t dir, struct span name, uint64_t *ret);
/*
 * The object (or the directory's marker) is there now, as e says: listed from now on, whatever a
 * listing under way has seen before. Replaces what is remembered under its key. 0, -EIO, -ENOMEM,
 * -ENOSPC.
 */
must_check int bucket_note(struct bucket *b, const struct bucket_entry *e);
/* It is gone now. */
void bucket_note_gone(struct bucket *b, uint64_t ino);

/* Every name that is not its key's component, below a directory, for people. */
must_check int bucket_odd_names(struct bucket *b, uint64_t dir,
				int (*fn)(const char *path, const char *key, void *arg), void *arg);

struct bucket_status {
	uint64_t files, directories, bytes; /* remembered */
	uint64_t lists, heads;              /* requests made since the start */
};
void bucket_status_get(struct bucket *b, struct bucket_status *ret);
