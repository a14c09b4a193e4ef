/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside fs/data/: the structs that its files share. */
#include "base/log.h"
#include "base/metrics.h"
#include "fs/data/ahead.h"
#include "fs/data/file.h"
#include "fs/data/segment.h"

#include <uthash.h>

#define SEGMENTS_MAX 4096           /* more dirty ranges than this start a flush by themselves */
#define DIRTY_AGE_NS (10 * NS_PER_S) /* written data leaves after this much, asked or not */

/* A chunk on its way, or arrived. */
struct upload {
	struct data *data;
	struct chunk_seal seal;
	uint64_t want;
	uint64_t charged; /* to the budget of what is sent, until the last report */
	struct {
		struct lock lock; /* RANK_LEAF */
		unsigned refs;
		uint64_t stored, failed; /* reports so far */
		uint64_t acknowledged; /* who had it when the put was answered */
		uint64_t told, told_failed; /* what operations have said of them */
		/* its WRITE is in the journal's queue: from now on changes are operations */
		bool submitted;
		bool abandoned;          /* never to be referred to */
		bool queued;             /* in data's list of reports */
	} sync;
	struct upload *next_report;
};

struct file {
	struct data *data;
	uint64_t ino;
	struct lock lock; /* RANK_FILE */
	struct cond cond; /* sending went down, or syncing ended */
	unsigned refs;    /* under the table's lock: handles, and one while dirty */
	UT_hash_handle hh;
	/* under lock */
	unsigned handles, running; /* the handles of FILE_EXECUTE among them */
	struct segments segs;
	bool dirty;            /* holds a reference of its own; segs or replace */
	bool unsynced;         /* written since commit_sync was last asked for it */
	/* O_TRUNC: what the namespace says of contents and size does not count */
	bool replace;
	uint64_t base_size;    /* with replace: the size as truncated since */
	bool append;           /* every dirty write was an append, the first at append_base */
	uint64_t append_base;
	uint64_t mtime_ns;     /* of the last write; 0: keep what the namespace has */
	uint64_t dirty_since;  /* clock_now() */
	unsigned sending;      /* uploads under way */
	int send_error;        /* of the last failed upload since the last sync began */
	bool syncing;          /* one sync at a time */
	bool flushing_by_age;
	struct ahead ahead;
};

struct data {
	struct data_options o;
	struct budget *write_budget; /* dirty bytes */
	struct budget *sent_budget;  /* their sealed copies, until no store needs them */
	struct budget *ahead_budget;
	struct pool *send_pool;  /* seal and upload: blocks on stores */
	struct pool *flush_pool; /* flushes that nobody waits for */
	struct pool *ahead_pool;
	struct task *keeper;     /* ages, reports */
	struct event wake;
	bool stopping;
	uint64_t max_window;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct file *files; /* uthash by ino */
		struct upload *reports;
		/* inodes without a name and without a handle here, to be reaped */
		uint64_t *orphans;
		size_t n_orphans, cap_orphans;
		uint64_t uploads, upload_bytes;
		uint64_t corrupt_frames;
	} sync;
	struct metric *m_corrupt, *m_read, *m_written;
	/* Who rewrites a bad replica (fs/upkeep/repair.c), or NULL. */
	void (*on_bad)(const struct chunk_seal *seal, unsigned store, void *arg);
	void *on_bad_arg;
};

/* data.c */
struct file *file_find(struct data *d, uint64_t ino); /* referenced, or NULL */
struct file *file_peek(struct data *d, uint64_t ino); /* the same, but only if it is in use */
void file_unref(struct file *f);
void file_mark_dirty_locked(struct file *f);
void file_mark_clean_locked(struct file *f, bool *ret_unref);
void file_run_free(struct run *r, void *arg); /* arg: struct data */
uint64_t file_size_locked(struct file *f, uint64_t ns_size);
/*
 * Frees the inode's extents soon, in its own operation, so that whoever removed the name need not
 * wait for it.
 */
void data_reap_later(struct data *d, uint64_t ino);
int data_inode(struct data *d, uint64_t ino, struct inode_row *ret); /* without target; -ESTALE */

/* flush.c */
int file_send_run_locked(struct file *f, struct run *r);
int file_send_open(struct file *f); /* starts sending what is dirty; submits nothing */
int file_flush(struct file *f, uint64_t deadline_ns); /* uploads, submits; not committed yet */
void file_flush_later(struct file *f);

/* upload.c */
int upload_chunk(struct data *d, struct span plain, struct upload **ret);
struct upload *upload_ref(struct upload *u);
void upload_unref(struct upload *u);
/* answers the stores to name in the operation that refers to it */
uint64_t upload_tell(struct upload *u);
/* that operation is in the journal's queue: later news are operations (U2) */
void upload_submitted(struct upload *u);
void upload_abandon(struct upload *u);
uint64_t upload_stores(struct upload *u);
void data_send_reports(struct data *d);

/* fetch.c */
struct chunk_part { /* bytes of a read that are in a chunk, or in a foreign object */
	struct chunk_seal seal;
	uint64_t have;
	uint32_t chunk_off;
	size_t dst, len;
	uint8_t *reference; /* NULL: in a chunk */
	size_t reference_len;
	uint64_t foreign_off;
};
/* Decrypts the part into dst (the whole read's buffer). 0, FILE_WOULD_WAIT, -EIO, FETCH_GONE. */
enum fetch_cond { FETCH_GONE = 2 /* at no store where it should be */ };
int fetch_part(struct data *d, const struct chunk_part *p, enum file_wait wait,
	       uint64_t deadline_ns, uint8_t *dst);
/* Starts bringing the part's pieces near. */
void fetch_ahead(struct data *d, const struct chunk_part *p);

/* plan.c */
struct plan {
	struct chunk_part *parts;
	size_t n, cap;
};
void plan_release(struct plan *p);
/*
 * What [off, off + len) of the file consists of: bytes known here are copied to dst (or not, when
 * NULL), holes zeroed, the rest are parts. len was clamped to the size. Takes the locks.
 */
int plan_make(struct file *f, uint64_t off, size_t len, uint8_t *dst, struct plan *ret);
/* The file's size as its readers see it. */
int file_size(struct file *f, uint64_t *ret);
