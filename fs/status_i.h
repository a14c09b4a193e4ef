/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of status*.c share. */
#include "base/json.h"
#include "fs/volume.h"

/* What is said of any store; url without secrets. */
struct json *status_store(const struct store *st, const struct replica_health *h);

/* status_attach.c: the attached buckets */
struct json *status_attached(const struct volume *v);
/* Is a store of theirs away, or did one miss a change? */
bool status_attached_degraded(const struct volume *v);
void status_attached_gauges(const struct volume *v);
