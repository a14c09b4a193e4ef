/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What tests see behind the protocol: counters, faults, the objects themselves (under /-/).
 */

#include "web_fault.h"
#include "web_http.h"

struct web_stats;

struct web_stats *web_stats_new(void);
void web_stats_free(struct web_stats *);
/* Counts a request that is over. A status of 0 in its reply means that it got no answer. */
void web_stats_count(struct web_stats *, const struct web_req *, enum web_fault_kind,
		     size_t bytes_out);
