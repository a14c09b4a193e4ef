/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside an attached bucket.
 *
 * Rows, in the columns of "local/" (numbers big-endian, so that they sort):
 *
 *   entry   directory's number, relative key -> struct row. The relative key is what LIST with a
 *           delimiter says, without the directory's prefix: "file", "sub/", "" (the object of the
 *           directory's own key).
 *   inode   number -> directory's number; the whole key of a directory, the relative key of a file
 *   dir     directory's number -> struct dir_row
 *   meta    "bucket", number of the attachment -> struct totals, whose they are
 *
 * (R1) Rows are written under `rows.lock`, read under none. A batch is whole or not at all.
 * (R2) A row that went stays a day as ROW_GONE, so that its number, which is a cookie of readdir
 *      and a file handle, still says where it was; and who comes back has it again.
 * (R3) What was learned later is never replaced by what was asked earlier: `seen_ns` against the
 *      time at which a page was asked for.
 * (R4) A directory's row ("sub/") and what marks it without content ("sub", "sub_$folder$":
 *      ROW_MARK) have one number.
 *
 * Locks: rows.lock (RANK_TREE) before sync.lock (RANK_QUEUE); neither is held across a store call.
 */
#include "base/map.h"
#include "fs/attach/bucket.h"
#include "fs/attach/keys.h"

#define FOLDER_SUFFIX "_$folder$"

enum row_flag {
	ROW_GONE = 1 << 0,  /* (R2) */
	ROW_MARK = 1 << 1,  /* an object that stands for a directory (R4) */
	ROW_DOUBT = 1 << 2, /* said to be another one than was listed: not believed */
};
enum row_cond { ROW_NONE = 1 };

struct row {
	unsigned flags;
	uint64_t ino, size, modified_s;
	uint64_t seen_ns; /* on the wall's clock: asked for by itself, or gone; 0: only listed */
	char version[MIRRORS_MAX][STORE_VERSION_MAX];
};

enum dir_flag {
	DIR_COMPLETE = 1 << 0, /* was listed to its end, once */
	DIR_HAS_DIRS = 1 << 1, /* there is or was a directory in it */
};
struct dir_row {
	unsigned flags;
	/* on the wall's clock: when its listing was asked for, and when it ended */
	uint64_t asked_ns, listed_ns;
};

struct totals {
	uint64_t next; /* counter of the next inode number */
	uint64_t files, directories, bytes;
	uint64_t marks; /* "_$folder$" were seen in this bucket */
};

/* Where an inode is. */
struct place {
	uint64_t parent;
	bool is_dir;
	size_t rel_len;
	char rel[STORE_NAME_MAX + 1];
	char key[STORE_NAME_MAX + 1]; /* of a directory: its prefix */
};

/* A refresh: what was learned before it is not believed. Forgotten when that is too old anyway. */
struct refresh {
	struct refresh *prev, *next;
	uint64_t at_ns; /* wall */
	bool deep;
	char prefix[];
};

/* What could not be listed just now; not asked again before `until_ns`. */
struct failure {
	uint64_t dir, until_ns;
	int error;
};
#define FAILURES 32

/* A directory whose subdirectories are read one after the other. */
struct walker {
	uint64_t dir, at_ns;
	unsigned seen;
	char last[STORE_NAME_MAX + 1];
};
#define WALKERS 16

struct job;

struct bucket {
	struct bucket_options o;
	char *identity;
	uint64_t root;
	struct {
		struct lock lock;
		struct totals totals;
	} rows;
	struct {
		struct lock lock;
		struct cond changed; /* a page came, a listing ended, a slot is free */
		bool stopping;
		struct job *jobs, *ended;
		unsigned n_jobs;
		uint64_t next_job;
		struct refresh *refreshes;
		unsigned n_refreshes;
		struct failure failures[FAILURES];
		unsigned next_failure;
		struct walker walkers[WALKERS];
		unsigned next_walker;
		/* "no such name": directory, component -> until when, wall */
		struct map *negatives;
		bool told_stale;
	} sync;
	uint64_t _Atomic lists, heads;
	bool _Atomic has_marks; /* totals.marks, for those who hold no lock */
};

/* ---- bucket_row.c: rows ---- */

must_check int row_get(struct bucket *b, uint64_t dir, struct span rel, struct row *ret);
must_check int row_read(struct span value, struct row *ret);
static inline bool row_is_live(const struct row *r)
{
	return !(r->flags & ROW_GONE);
}
/* 0, ROW_NONE, -errno */
must_check int place_get(struct bucket *b, uint64_t ino, struct place *ret);
/* All zeros when there is none. */
must_check int dir_row_get(struct bucket *b, uint64_t dir, struct dir_row *ret);
/* The last component of a directory's key, with its '/'. */
struct span key_last(struct span key);
static inline bool rel_is_dir(struct span rel)
{
	return rel.len && rel.data[rel.len - 1] == '/';
}

/* Rows of a directory in order, from a relative key on; as of now. */
struct kv_iter *rows_iter(struct bucket *b, uint64_t dir, struct span from);
struct span rows_rel(const struct kv_iter *it); /* borrowed until the next move */

/* A batch of changes; holds rows.lock from begin to end. */
struct change {
	struct bucket *bucket;
	struct kv_batch *batch;
	struct totals totals;
};
must_check int change_begin(struct bucket *b, struct change *ret);
/* Writes (0, -EIO, -ENOSPC, -ENOMEM) or, when `error` is one, forgets; in both cases ends it. */
must_check int change_end(struct change *c, int error);
/* Writes what there is and goes on. */
must_check int change_flush(struct change *c);
uint64_t change_number(struct change *c);
/* old: as it is now, or NULL. new: or NULL, to delete. */
must_check int change_row(struct change *c, uint64_t dir, struct span rel, const struct row *old,
			  const struct row *new);
/* Where a number is: key is the whole key of a directory, the relative one of a file. */
must_check int change_place(struct change *c, uint64_t ino, uint64_t parent, struct span key);
must_check int change_dir(struct change *c, uint64_t dir, const struct dir_row *row);
/* A row of an entry that went long ago goes for good, and what was below it. */
must_check int change_purge(struct change *c, uint64_t dir, struct span rel,
			    const struct row *row);
#define GONE_KEEP_NS (24 * 3600 * NS_PER_S)

must_check int rows_open(struct bucket *b);
/* "_$folder$" were seen in the bucket. */
static inline bool rows_have_marks(struct bucket *b)
{
	return b->has_marks;
}

/* ---- bucket_spot.c: what was seen becomes rows ---- */

/* A directory in which something was seen. */
struct spot {
	uint64_t dir;
	struct span prefix;
	uint64_t asked_ns; /* wall: when the question went out (R3) */
	bool by_itself;    /* asked for alone, not listed */
	unsigned flags;    /* DIR_HAS_DIRS: known to be noted */
};
/* The row as it is, or NULL: what the next two take. 0, -errno. */
must_check int spot_old(struct bucket *b, const struct spot *at, struct span rel,
			struct row *room, const struct row **ret);
/*
 * seen: flags, size, time, version; its number, or 0. *ret_ino: the number that it has, also when
 * what is remembered is newer.
 */
must_check int spot_found(struct change *c, struct spot *at, struct span rel,
			  const struct row *old, const struct row *seen, uint64_t *ret_ino);
must_check int spot_gone(struct change *c, struct spot *at, struct span rel,
			 const struct row *old);

/* ---- bucket_entry.c: one entry from the rows ---- */

/* A component of a directory, and as what it is looked for. */
struct want {
	uint64_t dir;
	struct span prefix, component;
	/*
	 * KEY_IS_FILE: a directory, or else a file; KEY_IS_BESIDE: the file, by_name only if there
	 * is a directory as well
	 */
	enum key_kind kind;
	bool by_name;
};
/*
 * The row that a want means, alive. 0, ROW_NONE, -errno. ret_dir: it is a directory. The prefix and
 * a directory's component together are no longer than a name.
 */
must_check int entry_find(struct bucket *b, const struct want *w, struct row *ret, bool *ret_dir);
/*
 * The live row, of the directory or of a mark, that stands for a directory. Its relative key is the
 * component and *ret_suffix (static). 0, ROW_NONE, -errno.
 */
must_check int entry_find_dir(struct bucket *b, uint64_t dir, struct span component,
			      struct row *ret, struct span *ret_suffix);
void entry_fill(const struct want *w, const struct row *row, bool is_dir, struct bucket_entry *ret);
void entry_root(struct bucket *b, struct bucket_entry *ret);
/* ROW_MARK if an object of such a name and size marks a directory. */
unsigned mark_flag(struct span rel, uint64_t size);
/* "sub/" -> "sub"; "sub_$folder$" of a mark -> "sub" */
struct span rel_component(struct span rel, const struct row *row);

/* ---- bucket_belief.c: what is believed ---- */

/* When it was last refreshed, on the wall's clock, or 0. prefix: of a directory. */
uint64_t belief_refreshed(struct bucket *b, struct span prefix);
/* The listing of a directory; a row of it that was asked for by itself. */
bool belief_dir(struct bucket *b, struct span prefix, const struct dir_row *row, uint64_t ttl_ns);
bool belief_row(struct bucket *b, struct span prefix, const struct row *row);
void belief_refresh(struct bucket *b, struct span prefix, bool deep);
void belief_negative(struct bucket *b, uint64_t dir, struct span component, bool add);
bool belief_is_negative(struct bucket *b, uint64_t dir, struct span component);
/* Failures: remembered for a moment. error 0: it works again. */
void belief_failed(struct bucket *b, uint64_t dir, int error);
int belief_failure(struct bucket *b, uint64_t dir); /* 0, or the error */
void belief_served_stale(struct bucket *b);

/* ---- bucket_ask.c: which store ---- */

enum ask_cond { ASK_NOBODY = 1 };
/*
 * The mirror to ask next, none of `tried`, and how long to wait for it: less than a second while
 * another one could answer. 0, ASK_NOBODY.
 */
must_check int ask_choose(struct bucket *b, unsigned tried, uint64_t until_ns, unsigned *ret,
			  uint64_t *ret_deadline_ns);
/* Tells the stores' health what a finished call says. Answers its result. */
int ask_ended(struct bucket *b, unsigned mirror, struct store_call *c);
/* The error that programs see. */
int ask_error(int result);

/* ---- bucket_look.c: one name by itself (B1) ---- */

/* Asks for the object and the directory and writes what it learned. 0, -errno. */
must_check int look(struct bucket *b, const struct want *w);

/* ---- bucket_job.c: listings under way (bucket_job.h) ---- */

/* How far a directory is known by a listing that is under way. */
struct cover {
	uint64_t job;  /* 0: none */
	bool exact;    /* it is of this directory itself */
	bool begun;    /* the directory's first key was reached */
	bool all;      /* everything that it has to say of the directory is known */
	uint64_t pages;
	unsigned active; /* questions at once */
	size_t upto_len;
	char upto[STORE_NAME_MAX + 1]; /* keys up to this one are certain */
};
void job_cover(struct bucket *b, uint64_t dir, struct span prefix, struct cover *ret);
/* Is the key, which is in the directory, certain? */
bool cover_has(const struct cover *c, struct span prefix, struct span rel, struct span suffix);

enum job_kind {
	JOB_DIRECTORY, /* with a delimiter: one directory */
	JOB_SUBTREE,   /* without: all below it */
	JOB_AHEAD,     /* the same, for somebody who may come: as far as he comes */
};
/*
 * Starts a listing of a directory, of the keys after `from` (empty: all), if none of the kind is
 * under way. Waits for its turn; ahead: -EAGAIN instead. 0, -EAGAIN, -ETIMEDOUT, -ENOMEM.
 */
must_check int job_start(struct bucket *b, uint64_t dir, struct span prefix, struct span from,
			 enum job_kind kind, uint64_t deadline_ns);
/* Waits for another page than were seen, or the end. 0, -ETIMEDOUT. */
must_check int job_wait(struct bucket *b, const struct cover *seen, uint64_t deadline_ns);
/* Somebody reads in this directory: a listing ahead of him goes on. */
void job_demand(struct bucket *b, struct span prefix);
/* Listings of what is in the directory end: they have seen what was before. */
void jobs_outdate(struct bucket *b, struct span prefix);
/* Ends all listings and waits for them. */
void jobs_stop(struct bucket *b);

/* ---- bucket_walk.c ---- */

/*
 * Starts what is best for a directory that must be listed now: a listing of it, or, when its
 * siblings were read one after the other, a flat one of the rest of its parent. 0, as job_start.
 */
must_check int walk_start(struct bucket *b, uint64_t dir, const struct place *place,
			  uint64_t deadline_ns);

/* ---- bucket_dir.c: all of a directory ---- */

struct dir_read {
	struct bucket *bucket;
	uint64_t dir;
	struct place place;
	struct span prefix; /* in `place` */
	uint64_t ttl_ns, deadline_ns;
	uint64_t begun_ns;  /* wall: what was listed since is believed */
	struct dir_row row;
	struct cover cover;
	uint64_t first_job, first_pages;
	bool alone;         /* nothing better than a listing of its own is tried any more */
};
/* 0, BUCKET_MISSING, -ENOTDIR, -errno */
must_check int dir_read_begin(struct bucket *b, uint64_t dir, struct dir_read *ret);
/* How much is known now: all (also `cover.all`), or as far as `cover` says, or an error. */
enum dir_known { DIR_ALL = 1, DIR_PART };
must_check int dir_read_known(struct dir_read *d);
/* Waits for more. 0, -errno. */
must_check int dir_read_more(struct dir_read *d);
/* May an old listing be served instead of this error? Says so in the log. */
bool dir_read_stale(struct dir_read *d, int error);

/* ---- bucket_read.c ---- */

/*
 * Tells what is known (dir_read_known) of the entries at or after `from`; from_too: `from` itself
 * as well. *ret_told: how many; *ret_stopped: fn stopped. 0, -errno, what fn said.
 */
must_check int dir_tell(struct dir_read *d, struct span from, bool from_too, bucket_entry_fn *fn,
			void *arg, uint64_t *ret_told, bool *ret_stopped);
/* Waits until all of a directory is known. 0, BUCKET_*, -errno. */
must_check int dir_read_all(struct dir_read *d, enum bucket_wait wait);
