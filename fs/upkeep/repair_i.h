/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside fs/upkeep/: the worker (repair.c) and one copy (repair_copy.c). */
#include "base/metrics.h"
#include "fs/ns/lookup.h"
#include "fs/upkeep/repair.h"

#define REPAIR_BATCH 64

struct bad_replica {
	struct bad_replica *prev, *next;
	struct chunk_seal seal;
	unsigned store;
	uint64_t retry_ns; /* not before */
};

/* One copy to be made. */
struct copy_job {
	struct repair *r;
	struct chunk_seal seal;
	uint64_t have; /* who can be read */
	unsigned store;
	bool overwrite; /* what is there is bad */
	int result;     /* 0: the copy is there */
};

struct repair {
	struct repair_options o;
	struct task *task;
	struct pool *pool;
	struct event wake;
	bool stopping;
	struct {
		struct lock lock; /* RANK_LEAF */
		struct bad_replica *bad;
		struct repair_status status;
		uint64_t lacking_since[REPLICAS_MAX];
	} sync;
	struct metric *m_repaired;
};

/* Reads a good copy of the chunk, verifies it whole and puts it at the store. */
int repair_copy(struct copy_job *job);
/* Runs n jobs on the pool and waits for all. */
void repair_run(struct repair *r, struct copy_job *jobs, size_t n);
