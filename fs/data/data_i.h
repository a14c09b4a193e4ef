/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside fs/data/: the structs that its files share. */
#include "base/log.h"
#include "base/metrics.h"
#include "fs/data/ahead.h"
#include "fs/data/file.h"
#include "fs/data/segment.h"
#include "fs/staging.h"

#include <uthash.h>

#define SEGMENTS_MAX 4096           /* more dirty ranges than this start a flush by themselves */
#define DIRTY_AGE_NS (10 * NS_PER_S) /* written data leaves after this much, asked or not */

/* A chunk on its way, or arrived. */
struct upload {
	struct data *data;
	unsigned refs; /* atomic */
	struct chunk_seal seal;
	uint64_t want;
	uint64_t charged; /* to the budget of what is sent, until the last report */
	struct {
		struct lock lock; /* RANK_LEAF */
		uint64_t stored, failed; /* reports so far */
		uint64_t late; /* given up for now by stores that are slow */
		uint64_t acknowledged; /* who had it when the put was answered */
		uint64_t told, told_failed; /* what operations have said of them */
		/* its WRITE is in the journal's queue: from now on changes are operations */
		bool submitted;
		bool abandoned;          /* never to be referred to */
		bool queued;             /* in data's list of reports */
		/* of a staged one: the stores that are asked just now, and those that reported */
		uint64_t asked, told_asked;
		bool settled;            /* no store is waited for any more */
		bool committed;          /* the WRITE that refers to it is evaluated */
		bool lost;               /* cannot be read back from the disk */
	} sync;
	struct upload *next_report;
	struct blob *body;   /* while stores are asked for the first time: for the staging log */
	bool staged; /* it is in the staging log, until settled and committed */
	struct upload *staged_prev, *staged_next; /* in data's list of staged ones, until settled */
	/* of a staged one: the next try */
	unsigned failures;
	uint64_t retry_ns;
	struct upload *next_waiting;
};

/* A WRITE with staged chunks, until it is evaluated. */
struct held_write {
	struct held_write *next;
	uint64_t no, since_ns;
	bool released;         /* it may go into a record */
	uint64_t committed_ns; /* since when it is known to be evaluated; 0: it is not */
	size_t n;
	struct upload *uploads[];
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
	struct pool *drain_pool; /* from the staging log to the stores */
	struct pool *late_pool;  /* the same for what only slow stores lack */
	struct task *keeper;     /* ages, reports */
	struct event wake;
	bool stopping;
	/* the keeper's: when it looks for orphans that are open here, and when it held them */
	uint64_t hold_look_ns, held_ns;
	uint64_t max_window;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct file *files; /* uthash by ino */
		struct upload *reports;
		/* without a name and without a handle here, to be reaped: orphan.c */
		struct orphan *orphans;
		size_t n_orphans, cap_orphans;
		struct held_write *held, **held_end; /* in the order of submission */
		struct upload *staged;
		struct upload *waiting; /* staged ones that are tried again later */
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
/* Referenced, NULL-terminated; NULL when there is none (or no memory, then later). */
struct file **data_files(struct data *d);
int data_inode(struct data *d, uint64_t ino, struct inode_row *ret); /* without target; -ESTALE */

/* orphan.c */
/*
 * Frees the inode's extents in an operation of its own, so that whoever removed the name need not
 * wait for it: soon, or when nobody else can have it open any more.
 */
void data_reap_later(struct data *d, uint64_t ino);
void data_reap_orphans(struct data *d);
void data_hold_orphans(struct data *d);

/* flush.c */
enum flush_how {
	FLUSH_STORED, /* chunks have their acknowledged copies */
	FLUSH_STAGED, /* they are in the staging log, or if that cannot be, have their copies */
};
/* What nobody waits for in particular is flushed so. */
static inline enum flush_how flush_how(const struct data *d)
{
	return d->o.staging && d->o.close_staged ? FLUSH_STAGED : FLUSH_STORED;
}
int file_send_run_locked(struct file *f, struct run *r, enum flush_how how);
int file_send_open(struct file *f); /* starts sending what is dirty; submits nothing */
/* Uploads, submits; not committed yet. */
int file_flush(struct file *f, enum flush_how how, uint64_t deadline_ns);
void file_flush_later(struct file *f);

/* upload.c */
int upload_chunk(struct data *d, struct span plain, struct upload **ret);
/* A new chunk: drawn, sealed, charged; two references, the caller's and the reports'. */
int upload_seal(struct data *d, struct span plain, struct upload **ret, struct blob **ret_blob);
struct upload *upload_new(struct data *d);
void upload_count(struct upload *u, bool more); /* in flight */
void upload_report(struct upload *u);           /* there may be news */
/* What was just written is often read next. */
void upload_offer(struct upload *u, struct blob *sealed);
struct upload *upload_ref(struct upload *u);
void upload_unref(struct upload *u);
/* answers the stores to name in the operation that refers to it */
uint64_t upload_tell(struct upload *u);
/* that operation is in the journal's queue: later news are operations (U2) */
void upload_submitted(struct upload *u);
void upload_abandon(struct upload *u);
uint64_t upload_stores(struct upload *u);
void data_send_reports(struct data *d);

/* staged.c */
int upload_stage(struct data *d, struct span plain, struct upload **ret);
/*
 * Every store has reported, and one of those that failed is up: slow. The copy goes on from the
 * staging log, if that has room. Takes the reports' reference.
 */
void upload_stage_late(struct upload *u);
bool upload_acknowledged(struct upload *u);
void upload_leave(struct upload *u); /* the staging log, if nobody needs it there any more */
/* The WRITE that refers to these is submitted as `no`; held unless `released`. */
int data_hold(struct data *d, uint64_t no, bool released, struct upload *const *uploads, size_t n);
/* Releases, forgets, tries again what is due. By the keeper. */
void data_staged_tick(struct data *d);
void data_staged_free(struct data *d);

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
