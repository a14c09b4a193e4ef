/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a long walk tells while it goes on, and how it is ended; on any thread. */
#include "base/defs.h"

struct progress {
	_Atomic bool stop;            /* ends the walk with -ECANCELED */
	_Atomic uint64_t done, total; /* rows or replicas; total 0: not known yet */
	_Atomic uint64_t bytes;       /* read from stores */
};
