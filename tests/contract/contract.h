/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a `struct store` is (backends/store.h), as checks that every implementation passes: in
 * memory, a folder, three dialects, servers of other people.
 *
 * (T1) A server's known deviation is a named feature that the target lacks. The check then demands
 *      the deviation: a server that has learnt better makes the check fail, and the list shorter.
 * (T2) Every check uses names below its own prefix, on a store that was empty before the program
 *      started.
 */
#include "backends/upload.h"
#include "tests/lib/cm.h"
#include "tests/lib/store_mem.h"

#include <sys/types.h>

enum feature {
	MATCH_ON_REMOVE = 1 << 0,     /* a removal with if_match is judged */
	/* a get with if_match tells a missing object from a changed one */
	MATCH_SEES_MISSING = 1 << 1,
	CREDENTIALS = 1 << 2,         /* wrong ones are refused */
	CLOCK = 1 << 3,               /* the server's clock is that of this machine */
	MISSING_ON_REMOVE = 1 << 4,   /* a removal with if_match of what is not there is refused */
	PREFIXES_IN_PAGES = 1 << 5,   /* common prefixes count when a page is filled */
	COPY_SOURCE = 1 << 6,         /* a copy is judged by the version of its source */
	COPY_TARGET = 1 << 7,         /* and by what its target is */
	PART_AGAIN = 1 << 8,          /* a part may be sent again */
	ABORTS = 1 << 9,              /* an upload that was aborted cannot be finished */
	ABORTED_IS_ABSENT = 1 << 10,  /* what an upload has left does not count as an object */
	UPLOAD_SUMS = 1 << 11,        /* the checksum of an upload is looked at */
	PATCH_CONDITION = 1 << 12,    /* a change of metadata is judged by the version */
	COPIED_PARTS = 1 << 13,       /* a part of an upload may be a copy */
};
enum dialect { DIALECT_NONE, DIALECT_S3, DIALECT_AZURE, DIALECT_GCS };

struct target {
	const char *url;         /* NULL: the store in memory */
	unsigned lacks;          /* enum feature */
	enum dialect dialect;    /* by the URL's scheme */
	const char *absent_url;  /* a bucket that does not exist */
	const char *wrong_file;  /* credentials that are wrong, or NULL */
	/* origin of the stand-in server's own side, or NULL: another server */
	const char *control;
	pid_t server;            /* 0: none */

	struct store *store;
	struct mem_bucket *bucket; /* of the store in memory */
	struct store_call *last;   /* of the newest operation */
};

static inline bool lacks(const struct target *t, enum feature f)
{
	return t->lacks & f;
}

#define LONG_MS 60000 /* for what should succeed: liveness, not speed */

uint64_t in_ms(uint64_t ms);
/* Bytes that differ from seed to seed and from place to place; one reference. */
struct blob *pattern(unsigned seed, size_t len);
/* Opens a store or ends the check. */
struct store *target_open(const struct target *t, const char *url, const char *credentials);

/*
 * One operation each, waited for; they answer the result and leave the call in t->last. `of_put`
 * shares no body: a pattern of `seed` and `len` is written.
 */
int put_blob(struct target *t, const char *name, struct blob *body, enum put_cond cond,
	     const char *match);
int put_seed(struct target *t, const char *name, unsigned seed, size_t len, enum put_cond cond,
	     const char *match);
int get_req(struct target *t, const struct get_req *r);
int get(struct target *t, const char *name);
int get_range(struct target *t, const char *name, uint64_t offset, uint64_t length);
int head(struct target *t, const char *name);
int remove_it(struct target *t, const char *name, const char *match);
int list_req(struct target *t, const struct list_req *r);
int copy_req(struct target *t, const struct copy_req *r); /* its deadline is set here */
/* Takes the call into t->last; answers the result. */
int ended(struct target *t, int result, struct store_call *c);

/* ---- uploads ---- */

/* The smallest part but the last. */
size_t part_size(const struct target *t);
/* *ret: a reference, when it is 0. */
int upload_begin(struct target *t, const char *name, enum put_cond cond, const char *match,
		 const struct object_meta *m, struct store_upload **ret);
/* A pattern of the seed. */
int upload_part(struct target *t, struct store_upload *u, unsigned index, unsigned seed,
		size_t len);
int upload_finish(struct target *t, struct store_upload *u);
int upload_abort(struct target *t, struct store_upload *u);
/*
 * How many uploads are neither finished nor aborted below this name; -1: this server does not tell.
 */
int uploads_left(struct target *t, const char *name);

/* The result of an operation on t, with the operation's own words when it is another one. */
void want_at(struct target *t, int result, int wanted, const char *what, const char *file,
	     int line);
#define want(t, operation, wanted) want_at(t, operation, wanted, #operation, __FILE__, __LINE__)
/* The object is there and holds this pattern. */
void want_content(struct target *t, const char *name, unsigned seed, size_t len);
/* The newest operation failed with a sentence for people. */
void want_sentence(struct target *t, const char *part);

/* The groups; each fills in up to `room` checks and answers how many. */
size_t checks_write(struct CMUnitTest *to, const struct target *t);
size_t checks_read(struct CMUnitTest *to, const struct target *t);
size_t checks_list(struct CMUnitTest *to, const struct target *t);
size_t checks_race(struct CMUnitTest *to, const struct target *t);
size_t checks_refusal(struct CMUnitTest *to, const struct target *t);
size_t checks_fault(struct CMUnitTest *to, const struct target *t);
size_t checks_upload(struct CMUnitTest *to, const struct target *t);
size_t checks_upload_fault(struct CMUnitTest *to, const struct target *t);
size_t checks_copy(struct CMUnitTest *to, const struct target *t);
/* contract_fault.c: rules of the stand-in server, in JSON; all are gone after the check. */
void fault(const struct target *t, const char *fmt, ...) printf_like(2, 3);
int heal(void **state);

#define CHECKS_MAX 128
#define ADD(to, n, check) (to)[(n)++] = (struct CMUnitTest){ .name = #check, .test_func = check }
