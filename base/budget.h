/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A share of memory with a hard limit. Who wants bytes takes them first and gives
 * them back; when there are none, the taker waits, or is told so.
 */
#include "base/wait.h"

struct budget;
struct budget *budget_new(const char *name, uint64_t limit_bytes);
struct budget *budget_free(struct budget *b);
DEFINE_CLEANUP(struct budget *, budget_free)
/*
 * 0; -EAGAIN: not now. A taker that asks for more than the limit gets it when all is free, so that
 * nobody starves.
 */
must_check int budget_try(struct budget *b, uint64_t bytes);
/* Waits its turn (first come, first served). 0, -ETIMEDOUT. */
must_check int budget_take(struct budget *b, uint64_t bytes, uint64_t deadline_ns);
void budget_give(struct budget *b, uint64_t bytes);
uint64_t budget_used(struct budget *b);
uint64_t budget_limit(struct budget *b);
