/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A volume's journal on a few stores in memory, and its members: each one incarnation of a mount,
 * with its own way to the stores, its own database, journal and commit queue. For tests and for the
 * simulator: no assertion library, waits only through base/wait.h. Every function that may fail
 * answers 0 or a negative errno.
 */
#include "fs/commit.h"
#include "tests/lib/store_mem.h"

#define CLUSTER_STORES 3u

struct cluster {
	struct mem_bucket *buckets[CLUSTER_STORES];
	mem_plan_fn *plan; /* of every request; or NULL. arg: struct member_store */
	void *plan_arg;
};

/* Who asks which store: what a plan is told. */
struct member_store {
	struct cluster *cluster;
	unsigned member, store;
};

struct member {
	struct cluster *cluster;
	unsigned number;
	struct member_store ways[CLUSTER_STORES];
	struct replicas *replicas;
	struct sealer *sealer;
	struct journal *journal;
	struct kv *kv; /* borrowed: outlives an incarnation */
	struct commit *commit;
};

int cluster_open(struct cluster *c);
void cluster_close(struct cluster *c);
/* Gets a FORMAT chosen in slot 0. */
int cluster_format(struct cluster *c);
extern const uint8_t cluster_volume_id[16];
void cluster_store_id(unsigned i, uint8_t ret[16]);

/* A way to the stores and a journal upon it. */
int member_open(struct member *m, struct cluster *c, unsigned number, bool read_only);
/* A commit queue upon the database; started. The options' host and volume are filled in. */
int member_mount(struct member *m, struct kv *kv, const struct commit_options *o,
		 const struct commit_events *ev, uint64_t deadline_ns);
/* Takes it all down as it is, whatever is pending. */
void member_close(struct member *m);
