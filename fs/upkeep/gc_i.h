/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside fs/upkeep/gc*.c. */
#include "fs/upkeep/gc.h"

#define GC_COMMIT_NS (120 * NS_PER_S) /* for an operation, and to be as new as the tip */

struct gc {
	const struct gc_options *o;
	struct gc_report rep;
	struct pool *pool;
	bool dry_run, is_new_grace, judges_orphans;
	uint8_t me[INCARNATION_SIZE];
};

static inline bool gc_is_stopped(const struct gc *g)
{
	return g->o->progress->stop;
}

/* An object of a listing that may go. */
struct gc_object {
	struct gc *g;
	unsigned store;
	char *name;
	uint64_t size;
	struct gc_count *count; /* where it counts when it is gone */
	int result;
};
/*
 * Every object of a store below a prefix, a page at a time. fn: fills *ret_count with where the
 * object counts if it may go, else leaves it NULL; `page` comes before each page, with the store's
 * clock in seconds. What may go is removed before the next page. 0, also where the store does not
 * answer (noted); -ECANCELED, -ENOMEM, what the functions answer.
 */
struct gc_sweep {
	const char *prefix;
	int (*page)(struct gc *g, uint64_t date_s, void *arg); /* or NULL */
	int (*judge)(struct gc *g, unsigned store, const struct list_entry *e,
		     struct gc_count **ret_count, void *arg);
	void *arg;
};
must_check int gc_sweep(struct gc *g, unsigned store, const struct gc_sweep *s);

must_check int gc_rows(struct gc *g);        /* orphans and dead chunks, by operations */
must_check int gc_chunks(struct gc *g);      /* chunk objects, and what a probe left */
must_check int gc_checkpoints(struct gc *g); /* old ones */
