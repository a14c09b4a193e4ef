/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One object store, seen the same way whoever runs it: S3, Azure Blob, Google Cloud
 * Storage, a folder, or a test's memory.
 *
 * (S1) A store operation is ONE attempt (but for one renewal of credentials and one
 *      correction of the clock, which prove that nothing was executed). Retrying is
 *      the caller's policy (retry.h).
 * (S2) Every operation has a deadline and ends by it.
 * (S3) Results: 0; a condition STORE_*; or -EIO (the store refused for good or answered
 *      nonsense), -EACCES (credentials), -ENOSPC, -EAGAIN (throttled or a passing
 *      failure, surely not executed), -ETIMEDOUT (reads), -ECANCELED, -ENOMEM.
 * (S4) A write whose outcome is not known ends as STORE_UNKNOWN, whatever the reason (time-out, cut
 *      connection, 5xx). It may have been executed, or may yet be.
 * (S5) STORE_MISSING means that the object is absent in an existing bucket. A missing bucket
 *      is -EIO.
 * (S6) A body is delivered whole or not at all: a short body is -EAGAIN, never 0.
 */
#include "backends/meta.h"
#include "base/blob.h"
#include "base/call.h"

enum store_cond {
	STORE_MISSING = 1, /* get, head, describe: no such object */
	/* PUT_IF_ABSENT: there is one already (perhaps one's own earlier attempt) */
	STORE_EXISTS,
	STORE_CHANGED, /* if_match, from_match: another version, or none */
	STORE_RANGE,   /* get: the range begins at or after the end */
	/* put, remove, copy, describe, upload_finish: perhaps done, perhaps not (S4) */
	STORE_UNKNOWN,
	/*
	 * upload_part, upload_finish: there is no such upload (any more): it was aborted or dropped
	 * by the provider, or finished, perhaps by one's own earlier attempt
	 */
	STORE_GONE,
	/* copy, describe: more than this store copies at once (upload.h: in parts) */
	STORE_TOO_LARGE,
};
const char *store_condition_name(int cond);

#define STORE_NAME_MAX 900
#define STORE_VERSION_MAX 128

enum put_cond { PUT_ALWAYS, PUT_IF_ABSENT, PUT_IF_MATCH };

/* What an object is known to be at one store. */
struct get_match {
	const char *version; /* NULL or "": not known, then the time decides */
	uint64_t size;
	uint64_t modified_s; /* 0: not known */
};
struct get_req {
	struct span name;
	uint64_t offset;
	uint64_t length;      /* 0: to the end of the object */
	size_t limit;         /* the most bytes that may come; more is -EIO */
	const char *if_match; /* a version, or NULL */
	/* of replicas_get alone: by the store's number; wins over if_match */
	const struct get_match *if_match_at;
	uint64_t deadline_ns; /* clock_now() */
};
struct put_req {
	struct span name;
	struct blob *body; /* shares */
	enum put_cond cond;
	const char *if_match;
	const struct object_meta *meta; /* or NULL: none */
	uint64_t deadline_ns;
};
struct head_req {
	struct span name;
	uint64_t deadline_ns;
};
struct list_req {
	struct span prefix;
	struct span after; /* names after this one only; empty: from the start */
	const char *token; /* of the page before, or NULL; wins over after */
	char delimiter;    /* '/' or 0 */
	unsigned max;      /* 0: the provider's page size */
	uint64_t deadline_ns;
};
struct remove_req {
	struct span name;
	const char *if_match; /* or NULL */
	uint64_t deadline_ns;
};

/*
 * Inside the store, without moving a byte. STORE_MISSING and STORE_CHANGED speak of `from`; with
 * PUT_IF_MATCH, STORE_CHANGED may mean either. Some S3 servers ignore the condition of `to`.
 */
struct copy_req {
	struct span from;
	const char *from_match; /* the version to copy, or NULL: whatever is there */
	struct span to;         /* another name */
	enum put_cond cond;     /* of `to` */
	const char *if_match;
	const struct object_meta *meta; /* instead of that of `from`; NULL: as it is there */
	uint64_t deadline_ns;
};

/*
 * The metadata of an object changes, its contents do not: what meta->has names, and a link's
 * target. The rest stays, what other tools have written as well; so does the content type. At S3 it
 * is a copy of the object onto itself, which only its owner may read then, as any new one.
 * STORE_TOO_LARGE: over 5 GiB there.
 */
struct describe_req {
	struct span name;
	const char *if_match; /* or NULL */
	const struct object_meta *meta;
	uint64_t deadline_ns;
};

struct list_entry {
	char *name;
	bool is_prefix; /* with a delimiter: a common prefix, which ends in it */
	bool is_folder; /* no file: it stands for a directory of its name (Azure) */
	uint64_t size;
	uint64_t modified_s; /* seconds since 1970 */
	char version[STORE_VERSION_MAX];
};

/* Letters and digits by which an object is known again after STORE_UNKNOWN. */
void store_draw_writer(struct object_meta *m);

enum store_op {
	STORE_GET,
	STORE_PUT,
	STORE_HEAD,
	STORE_LIST,
	STORE_REMOVE,
	STORE_COPY,
	/* upload.h */
	STORE_UPLOAD_BEGIN,
	STORE_UPLOAD_PART,
	STORE_UPLOAD_FINISH,
	STORE_UPLOAD_ABORT,
	STORE_DESCRIBE,
};
#define STORE_OPS (STORE_DESCRIBE + 1)
const char *store_op_name(enum store_op op);

struct store;
struct store_upload;
struct upload_req;
struct upload_part_req;

/* One operation under way; made by the store_*() functions, freed with its last call_unref. */
struct store_call {
	struct call call;
	struct store *store;
	enum store_op op;
	/* The answer; valid when the call has finished. */
	struct buf body;                 /* get */
	uint64_t size;                   /* get, head: of the whole object, bytes */
	char version[STORE_VERSION_MAX]; /* get, head, put, copy, describe, upload_finish */
	uint64_t modified_s;             /* get, head; 0: not told */
	bool is_folder;                  /* head: as of struct list_entry */
	bool has_md5;                    /* head: the store tells what the contents' MD5 is */
	uint8_t md5[16];
	/* head; get, but at GCS. From objects of others as far as there is any. */
	struct object_meta meta;
	struct store_upload *upload; /* upload_*: the call's reference */
	/*
	 * the store's own clock in its answer (Date), seconds since 1970; 0: none. Also with
	 * conditions.
	 */
	uint64_t date_s;
	struct list_entry *entries; /* list, in the order of names */
	size_t n_entries;
	char *next_token;        /* list: more pages, or NULL at the end */
	bool executed_not;       /* a failure that proves that nothing was executed */
	uint64_t retry_after_ms; /* as the server asked; 0: did not */
	/* for people: "403 AccessDenied: no s3:PutObject"; no secrets */
	char detail[256];
	struct { /* of store.c alone */
		call_fn *then;
		void *then_arg;
		uint64_t bytes_out;
		unsigned part; /* upload_part: its index */
		struct drill *drill;
		bool corrupt; /* a drill */
	} entrance;
	/* of the implementer; freed with the call, so that a late cancel finds it alive */
	struct {
		void *data;
		void (*free)(void *data);
	} impl;
};
void store_call_unref(struct store_call *c);
static inline void store_call_unrefp(struct store_call **c)
{
	if (*c)
		store_call_unref(*c);
	*c = NULL;
}

/*
 * What a dialect implements. Each starts an operation and must later store_call_finish() it, from
 * any thread, never inside the start. The request's spans are borrowed for the start
 * only (copy what is needed later).
 */
struct store_ops {
	void (*get)(struct store *s, const struct get_req *r, struct store_call *c);
	void (*put)(struct store *s, const struct put_req *r, struct store_call *c);
	void (*head)(struct store *s, const struct head_req *r, struct store_call *c);
	void (*list)(struct store *s, const struct list_req *r, struct store_call *c);
	void (*remove)(struct store *s, const struct remove_req *r, struct store_call *c);
	/* NULL: the store has none */
	void (*copy)(struct store *s, const struct copy_req *r, struct store_call *c);
	void (*describe)(struct store *s, const struct describe_req *r, struct store_call *c);
	/* NULL, and no limits: the store has none. c->upload is there from the start. */
	void (*upload_begin)(struct store *s, const struct upload_req *r, struct store_call *c);
	void (*upload_part)(struct store *s, const struct upload_part_req *r, struct store_call *c);
	void (*upload_finish)(struct store *s, uint64_t deadline_ns, struct store_call *c);
	void (*upload_abort)(struct store *s, uint64_t deadline_ns, struct store_call *c);
	const struct upload_limits *upload_limits;
	void (*free)(struct store *s); /* nothing is under way */
};

/* A failure that is played, for drills: the same path as a real one. */
enum drill_mode {
	DRILL_NONE,
	DRILL_DOWN,
	DRILL_SLOW,
	DRILL_ERRORS,
	DRILL_CORRUPT, /* what is read comes with a wrong bit */
};
const char *drill_mode_name(enum drill_mode m); /* "none" "down" ... */
/* The mode of this name. 0, -EINVAL. */
must_check int drill_mode_parse(const char *name, enum drill_mode *ret);

struct store_stats {
	uint64_t requests, errors, bytes_read, bytes_written;
	uint64_t by_op[STORE_OPS]; /* the requests again */
	char last_error[256]; /* "" : none */
	uint64_t last_error_wall_ns;
};

struct store {
	const struct store_ops *ops;
	/* made at their first use */
	struct metric *_Atomic m_seconds[STORE_OPS], *_Atomic m_errors;
	char name[64]; /* "aws", from the configuration */
	char *url;     /* without secrets, for people */
	/* when the credentials of the last request expire, seconds since 1970; 0: never */
	_Atomic uint64_t credentials_expire_s;
	/* set by the implementer: `after` of a list costs nothing, wherever it is */
	bool starts_after;
	struct {
		struct lock lock;
		struct store_stats stats;
		enum drill_mode drill;
		uint64_t drill_until_ns;
		unsigned under_way; /* operations whose end was not yet counted */
		struct cond idle;
	} sync;
};
/* By implementers: fills the base part. 0, -ENOMEM. store_release belongs into their `free`. */
must_check int store_init(struct store *s, const struct store_ops *ops, const char *name,
			  const char *url);
void store_release(struct store *s);
/*
 * Takes NULL, answers NULL. The caller has no call under way; waits no longer than the last one's
 * `done` needs to return.
 */
struct store *store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free)

/*
 * The checked, counted entrances. 0 with a started call (one reference for the caller), or
 * -ENOMEM, -EINVAL (a name or request that can't be).
 */
must_check int store_get(struct store *s, const struct get_req *r, struct store_call **ret);
must_check int store_put(struct store *s, const struct put_req *r, struct store_call **ret);
must_check int store_head(struct store *s, const struct head_req *r, struct store_call **ret);
must_check int store_list(struct store *s, const struct list_req *r, struct store_call **ret);
must_check int store_remove(struct store *s, const struct remove_req *r, struct store_call **ret);
must_check int store_copy(struct store *s, const struct copy_req *r, struct store_call **ret);
must_check int store_describe(struct store *s, const struct describe_req *r,
			      struct store_call **ret);
/* The same with a function to run at the end (call_on_done), set before the start. */
must_check int store_get_then(struct store *s, const struct get_req *r, call_fn *done, void *arg,
			      struct store_call **ret);
must_check int store_put_then(struct store *s, const struct put_req *r, call_fn *done, void *arg,
			      struct store_call **ret);
must_check int store_head_then(struct store *s, const struct head_req *r, call_fn *done, void *arg,
			       struct store_call **ret);

/*
 * Start, wait to the deadline and a little more, answer the call's result; *ret_call (owned) also
 * with conditions; NULL on -ENOMEM.
 */
int store_get_wait(struct store *s, const struct get_req *r, struct store_call **ret_call);
int store_put_wait(struct store *s, const struct put_req *r, struct store_call **ret_call);
int store_head_wait(struct store *s, const struct head_req *r, struct store_call **ret_call);
int store_list_wait(struct store *s, const struct list_req *r, struct store_call **ret_call);
int store_remove_wait(struct store *s, const struct remove_req *r, struct store_call **ret_call);
int store_copy_wait(struct store *s, const struct copy_req *r, struct store_call **ret_call);
int store_describe_wait(struct store *s, const struct describe_req *r,
			struct store_call **ret_call);

void store_stats_get(struct store *s, struct store_stats *ret);
void store_drill(struct store *s, enum drill_mode mode, uint64_t until_ns);
enum drill_mode store_drill_get(struct store *s);

/* For implementers: the end of the operation, exactly once. */
void store_call_finish(struct store_call *c, int result);
/* For implementers: a person's sentence about the failure. */
void store_call_detail(struct store_call *c, const char *fmt, ...) printf_like(2, 3);
