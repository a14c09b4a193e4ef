/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A store in memory, with conditions exactly as backends/store.h says, and a fate for every
 * request: when it is executed, when (and whether) the answer comes, and what the answer is.
 *
 * A bucket holds the objects and the one task that executes and answers; many stores (of many
 * mounts) may stand on one bucket. Waits only through base/wait.h, so that it runs in the simulator
 * as well.
 */
#include "backends/store.h"

struct mem_bucket;

/* NULL: no memory. */
struct mem_bucket *mem_bucket_new(void);
/* Its stores are freed before. */
struct mem_bucket *mem_bucket_free(struct mem_bucket *b);
DEFINE_CLEANUP(struct mem_bucket *, mem_bucket_free)

/* What happens to one request. All zeros: executed and answered at once. */
struct mem_fate {
	uint64_t execute_ns;  /* after the start */
	uint64_t answer_ns;   /* after the start; not before the execution, unless `early` */
	bool lost;            /* never executed */
	bool mute;            /* never answered: the call ends by its deadline */
	/* the answer may come before the execution: what is known then (a late application) */
	bool early;
	int result;           /* nonzero: answered instead of the truth */
	bool executed_not;    /* with result: it proves that nothing was executed */
};
typedef void mem_plan_fn(enum store_op op, struct span name, struct mem_fate *fate, void *arg);

/* A store upon a bucket; its requests get their fates from plan (or NULL). NULL: no memory. */
struct store *store_mem(struct mem_bucket *b, const char *name, mem_plan_fn *plan, void *arg);

/* Behind the stores' backs. Both answer whether the object is (or was) there. */
bool mem_bucket_get(struct mem_bucket *b, const char *name, struct buf *ret);
bool mem_bucket_remove(struct mem_bucket *b, const char *name);
/* 0, -ENOMEM. */
int mem_bucket_put(struct mem_bucket *b, const char *name, struct span body);
size_t mem_bucket_count(struct mem_bucket *b);
/* Those that were begun and neither finished nor aborted. */
size_t mem_bucket_uploads(struct mem_bucket *b);
/* In the order of names; fn must not touch the bucket. */
void mem_bucket_each(struct mem_bucket *b,
		     void (*fn)(const char *name, struct span body, void *arg), void *arg);
/* The bucket itself is missing: every request is refused. */
void mem_bucket_vanish(struct mem_bucket *b, bool gone);
/* How many names a page of a listing has. */
void mem_bucket_page(struct mem_bucket *b, unsigned names);
/* Its heads tell an MD5 (another digest stands for it), or not, as at first. */
void mem_bucket_tells_md5(struct mem_bucket *b, bool yes);
/* Its clock is ahead of ours by so many seconds. */
void mem_bucket_skew(struct mem_bucket *b, int64_t seconds);
