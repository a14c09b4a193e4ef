/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The long walks of a volume, one at a time on a task of its own: fsck, scrub. Who began one asks
 * how it stands, in JSON, until it has ended; a mount and a command without a mount do it alike.
 */
#include "base/json.h"
#include "fs/upkeep/check.h"
#include "fs/upkeep/scrub.h"

enum upkeep_kind { UPKEEP_FSCK, UPKEEP_SCRUB };

struct upkeep;
struct upkeep_options {
	struct replicas *replicas; /* all borrowed */
	struct sealer *sealer;
	struct commit *commit;
	struct repair *repair; /* NULL: nothing is repaired */
	const char *dir;       /* this volume's folder on this machine */
	uint64_t data_stores;
};
must_check int upkeep_new(const struct upkeep_options *o, struct upkeep **ret);
/* Ends what is going on. */
struct upkeep *upkeep_free(struct upkeep *u);
DEFINE_CLEANUP(struct upkeep *, upkeep_free)

/* What scrub is to read. */
struct upkeep_scrub {
	int store; /* its number; -1: all */
	double share;
	uint64_t rate;
};
/* "5%", "0.5%", "100%" as 0.05 ...; -EINVAL. */
must_check int upkeep_share_parse(const char *text, double *ret);
/* 0; -EBUSY: one is going on; -ENOMEM. scrub: of UPKEEP_SCRUB. */
must_check int upkeep_start(struct upkeep *u, enum upkeep_kind kind,
			    const struct upkeep_scrub *scrub);
/* Does not wait for the end. */
void upkeep_stop(struct upkeep *u);
/*
 * The one going on, or the last: {"job", "running", "error", "done", "total", "bytes", "seconds",
 * "found", "findings": [{"code", "meaning", "text"}], ...}; "job" is null before the first one. At
 * most 1000 findings are kept; "found" counts all. NULL: no memory.
 */
struct json *upkeep_json(struct upkeep *u);
