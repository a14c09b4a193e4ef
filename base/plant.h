/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bugs to be planted. The simulator compiles its own copy of the code with MANGROVE_PLANTS and must
 * find each of them; everywhere else a planted bug is the constant false and leaves no trace.
 */
#include "base/defs.h"

enum plant {
	PLANT_NONE,
	/* an unknown outcome is taken for a failure, and answered as one */
	PLANT_UNKNOWN_IS_FAILURE,
	PLANT_COMPARE_BY_AUTHOR,  /* what exists is mine if I wrote it, whatever it says */
	PLANT_COUNT_ANY,          /* accepts are counted per record instead of per ballot */
	PLANT_ANY_VALUE,          /* two phases propose one's own though others were accepted */
	PLANT_BLIND,              /* a link is made upon one that was not read */
	/* one's own record, chosen under another's ballot, is taken for lost */
	PLANT_LOST_BY_BALLOT,
	PLANT_REUSE_0,            /* ballot 0 is used again after a restart */
	PLANT_LINK_0,             /* the learner reads the first link of a chain only */
	PLANT_ONE_STORE,          /* one empty chain means that nothing was chosen */
	PLANT_HIGH_WATER_SET,     /* any number above the last one is evaluated */
	PLANT_NAME_ONLY,          /* an early answer does not carry what it saw */
	PLANT_COUNT,
};

#ifdef MANGROVE_PLANTS
struct commit;
struct op;
struct record;
struct result;
struct state_hash;
bool plant(enum plant p);
void plant_incarnation(uint8_t ret[16]);
void plant_give_up(struct commit *c);
void plant_resubmit(struct commit *c, const struct record *r);
/* What a mount has applied, for whoever compares. */
void watch_applied(const uint8_t who[16], const struct record *r, const struct op *ops,
		   const struct result *results, size_t n, const struct state_hash *after);
#else
#define plant(p) false
#define plant_incarnation(ret) ((void)0)
#define plant_give_up(c) ((void)0)
#define plant_resubmit(c, r) ((void)0)
#define watch_applied(who, r, ops, results, n, after) ((void)0)
#endif
