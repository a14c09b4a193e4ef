/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_journal: runs the production journal and commit queue over stores that lie, seed after seed.
 *
 *     sim_journal [--seeds N] [--from S]      N seeds from S on; the first wrong one ends it
 *     sim_journal --seed S [-v]               one seed, with what happens
 *     ... --plant NAME                        with a bug; --expect: it must be found
 *     ... --plants                            each bug in turn must be found within N seeds
 *
 * Seeds run in a child process each few dozen: what a killed machine had is never freed.
 */
#include "tests/sim/plants.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 50u

struct shared { /* with the child */
	uint64_t seed, records, lost, switches;
};

struct options {
	uint64_t from, seeds;
	bool one, plants, quiet;
	const char *plant;
};

static void run_batch(const struct options *o, uint64_t from, uint64_t to, struct shared *shared)
{
	if (o->quiet && (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout)))
		_exit(2);
	for (uint64_t seed = from; seed < to; seed++) {
		shared->seed = seed;
		world_run(seed);
		shared->switches += sim_switches();
	}
	fflush(stdout);
	_exit(0);
}

/* 0, or the child's way of ending. */
static int batch(const struct options *o, uint64_t from, uint64_t to, struct shared *shared)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		run_batch(o, from, to, shared);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void how_to_see(const struct options *o, uint64_t seed)
{
	printf("failed: sim_journal --seed %llu -v", (unsigned long long)seed);
	if (o->plant)
		printf(" --plant %s", o->plant);
	printf("\n");
}

/* Answers the first wrong seed + 1, or 0. */
static uint64_t run(const struct options *o, struct shared *shared)
{
	for (uint64_t at = o->from; at < o->from + o->seeds; at += BATCH)
		if (batch(o, at, MIN(at + BATCH, o->from + o->seeds), shared))
			return shared->seed + 1;
	return 0;
}

/* Every bug must be found. */
static int run_plants(struct options *o, struct shared *shared)
{
	int missed = 0;

	o->quiet = true;
	for (unsigned i = 1; plant_name(i); i++) {
		uint64_t found;

		o->plant = plant_name(i);
		if (plant_set(o->plant))
			return 2;
		found = run(o, shared);
		if (found)
			printf("%-20s found by seed %llu\n", o->plant,
			       (unsigned long long)found - 1);
		else
			printf("%-20s NOT FOUND in %llu seeds\n", o->plant,
			       (unsigned long long)o->seeds);
		fflush(stdout);
		missed += !found;
	}
	return missed > 0;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "seeds", required_argument, NULL, 'n' }, { "from", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' }, { "plant", required_argument, NULL, 'p' },
		{ "plants", no_argument, NULL, 'P' },      { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "v", known, NULL)) != -1) {
		if (c == 'n')
			o->seeds = strtoull(optarg, NULL, 10);
		else if (c == 'f' || c == 's')
			o->from = strtoull(optarg, NULL, 10);
		else if (c == 'p')
			o->plant = optarg;
		else if (c == 'P')
			o->plants = true;
		else if (c == 'v')
			watch_verbose = true;
		else
			return false;
		o->one |= c == 's';
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = { .from = 1, .seeds = 1000 };
	struct shared *shared;
	uint64_t wrong;

	if (!parse(argc, argv, &o) || (o.plant && plant_set(o.plant))) {
		fprintf(stderr,
			"usage: sim_journal [--seeds N] [--from S] [--seed S] [-v] [--plant NAME | "
			"--plants]\n");
		return 2;
	}
	if (!watch_verbose)
		log_level_set(LOG_LEVEL_ERROR);
	if (o.one) {
		world_run(o.from);
		printf("seed %llu is right\n", (unsigned long long)o.from);
		return 0;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 2;
	if (o.plants)
		return run_plants(&o, shared);
	wrong = run(&o, shared);
	if (wrong)
		how_to_see(&o, wrong - 1);
	else
		printf("%llu seeds from %llu are right (%llu switches)\n",
		       (unsigned long long)o.seeds, (unsigned long long)o.from,
		       (unsigned long long)shared->switches);
	return wrong != 0;
}
