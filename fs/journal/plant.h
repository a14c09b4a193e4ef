/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bugs to be planted. The simulator compiles its own copy of the code with MANGROVE_PLANTS and must find
 * each of them; everywhere else a planted bug is the constant false and leaves no trace.
 */
#include "base/defs.h"

enum plant {
	PLANT_NONE,
	PLANT_UNKNOWN_IS_FAILURE, /* an unknown outcome is taken for a failure, and answered as one */
	PLANT_COMPARE_BY_AUTHOR,  /* what exists is mine if I wrote it, whatever it says */
	PLANT_COUNT_ANY,          /* accepts are counted per record instead of per ballot */
	PLANT_ANY_VALUE,          /* two phases propose one's own though others were accepted */
	PLANT_BLIND,              /* a link is made upon one that was not read */
	PLANT_LOST_BY_BALLOT,     /* one's own record, chosen under another's ballot, is taken for lost */
	PLANT_REUSE_0,            /* ballot 0 is used again after a restart */
	PLANT_LINK_0,             /* the learner reads the first link of a chain only */
	PLANT_ONE_STORE,          /* one empty chain means that nothing was chosen */
	PLANT_HIGH_WATER_SET,     /* any number above the last one is evaluated */
	PLANT_NAME_ONLY,          /* an early answer does not carry what it saw */
	PLANT_COUNT,
};

#ifdef MANGROVE_PLANTS
bool plant(enum plant p);
#else
#define plant(p) false
#endif
