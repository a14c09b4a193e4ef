/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which bug is planted (base/plant.h). */
#include "base/defs.h"

/* 0, -EINVAL: no such name. */
int plant_set(const char *name);
/* NULL: no more. */
const char *plant_name(unsigned i);
/* Which machine the calling code starts an incarnation on. */
extern uint8_t plant_machine;
