/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A listing under way: one task that has up to eight questions open, each for the next page of a
 * range of keys. Nobody knows how the keys are spread: a range is cut when there is a question to
 * spare (split.h).
 *
 * (J1) The ranges lie in the order of keys, side by side, and cover all of the listing.
 * (J2) The task alone changes a job; what others read (cover) it changes under sync.lock, after the
 *      rows were written.
 * (J3) A page that fails is asked again from where it stood, at another mirror if there is one. A
 *      listing ends with an error when a page did not come for the bucket's deadline.
 */
#include "fs/attach/bucket_merge.h"
#include "fs/attach/split.h"

#define JOB_QUESTIONS 8
#define JOB_RANGES 256
#define JOBS_MAX 8
#define JOBS_AHEAD 4

struct range {
	char lo[STORE_NAME_MAX + 1]; /* names after this one */
	char hi[STORE_NAME_MAX + 1]; /* up to this one, if has_hi */
	bool has_lo, has_hi;
	char last[STORE_NAME_MAX + 1]; /* the last that came, if `begun` */
	bool begun, done;
	uint64_t keys;
	struct merge merge;
	/* The question for the next page. */
	struct store_call *call;
	char *token; /* of token_mirror, or NULL */
	unsigned mirror, token_mirror;
	uint64_t asked_ns; /* wall */
	/* Its failures. */
	unsigned tried, failures;
	bool passing;      /* one of them may pass */
	int error;
	uint64_t not_before_ns, give_up_ns;
};

struct job {
	struct job *prev, *next;
	struct bucket *bucket;
	uint64_t id, dir;
	enum job_kind kind;
	struct span prefix; /* in `path` */
	char path[STORE_NAME_MAX + 1];
	struct task *task;
	uint64_t started_ns; /* wall */
	struct range *range[JOB_RANGES]; /* (J1) */
	unsigned n;
	struct cuts cuts;
	struct key_space space;
	uint64_t pages, page_keys, splits;
	bool looked_for_top;
	char top[STORE_NAME_MAX + 1]; /* the last name in it, as of an earlier listing, or "" */
	uint64_t unwanted; /* pages since somebody read there */
	unsigned waiting;  /* who waits for a page */
	bool left;         /* ahead, and nobody came */
	bool outdated;     /* somebody wants to know it anew: it ends */
	int error;
};

static inline bool job_is_flat(const struct job *j)
{
	return j->kind != JOB_DIRECTORY;
}
static inline struct span range_lo(const struct range *r)
{
	return span_str(r->begun ? r->last : r->lo);
}

/* ---- bucket_range.c ---- */

/* NULL: no memory. lo, hi: or NULL. */
struct range *range_new(struct job *j, const struct span *lo, const struct span *hi);
struct range *range_free(struct range *r);
/* Asks for the next page, if it is time. Failures that end the listing: j->error. */
void range_ask(struct job *j, struct range *r);
/* A question came to its end. */
void range_take(struct job *j, struct range *r);
/* Cuts ranges while questions are to spare. */
void ranges_split(struct job *j);
