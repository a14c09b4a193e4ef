/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One run: three stores that lie, and a few machines with programs that use a volume. Everything is
 * drawn from the seed.
 */
#include "tests/lib/cluster.h"
#include "tests/sim/sim.h"

#define MACHINES_MAX 3u
#define PROPOSERS 5u /* at least as many */
#define NAMES 4u

enum outage { OUTAGE_NONE, OUTAGE_REFUSES, OUTAGE_MUTE };

struct machine {
	unsigned number;
	unsigned group;       /* of its present incarnation */
	struct member member;
	bool up;
	struct kv *kv;
	unsigned restarts;
	struct task *task;    /* its programs */
	uint64_t made;        /* names so far */
};

struct world {
	struct cluster cluster;
	struct commit_options options;
	unsigned n_machines;
	struct machine machines[MACHINES_MAX];
	unsigned steps;       /* of each machine's programs */
	unsigned bad_percent; /* of requests that meet a fault of their own */
	uint64_t flap_ns;     /* ways to stores open and close this often; 0: they do not */
	unsigned shut_percent; /* of the time they are closed */
	unsigned drop_percent; /* of puts that are not executed, while everything else works */
	uint64_t latency_ns[CLUSTER_STORES];
	enum outage outage[CLUSTER_STORES];
	uint64_t outage_until[CLUSTER_STORES];
	uint64_t cut_until[PROPOSERS][CLUSTER_STORES]; /* between a machine and a store */
	bool healed;
	bool stop;
};
extern struct world world;

/* Runs the scenario of the seed from begin to end. Does not return if it goes wrong. */
void world_run(uint64_t seed);

void world_heal(void);

/* register.c: proposers instead of machines. */
void register_run(void);

/* programs.c */
void machine_programs(void *arg);
/* Brings an incarnation up; goes on trying. */
void machine_start(struct machine *m);
/* Unmounts it: everything must be committed in time. */
void machine_stop(struct machine *m, uint64_t deadline_ns);
/* After everything has healed: its operations get through. */
void machine_must_work(struct machine *m);
