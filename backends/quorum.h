/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Counting copies. Sets of stores are bit masks. Pure. */
#include "base/defs.h"

enum quorum { QUORUM_WAIT, QUORUM_WON, QUORUM_LOST };

static inline unsigned quorum_count(uint64_t stores)
{
	return (unsigned)__builtin_popcountll(stores);
}
/* Can `stores` make up what is asked? */
static inline bool quorum_possible(uint64_t stores, unsigned enough)
{
	return quorum_count(stores) >= enough;
}
/* have: copies that are there; hopeful: those that may yet be. */
static inline enum quorum quorum_state(uint64_t have, uint64_t hopeful, unsigned enough)
{
	if (quorum_possible(have, enough))
		return QUORUM_WON;
	return quorum_possible(have | hopeful, enough) ? QUORUM_WAIT : QUORUM_LOST;
}
