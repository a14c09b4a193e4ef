/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers' side of the bargain with gc: what is dead stays in the stores for the grace, so a
 * mount that has not seen the tip for half of that (a machine that slept, a network that was away)
 * shows nothing until it has caught up. An operation that only ends something goes on.
 */
#include "fs/fuse_i.h"

#include "base/log.h"
#include "fs/ns/lookup.h"

static bool shows_something(const char *operation)
{
	static const char *const others[] = { "release", "releasedir", "flush", "fsync",
					      "fsyncdir", "write" };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(others[i], operation))
			return false;
	return true;
}

static bool is_too_old(struct commit *c, uint64_t age_ns)
{
	struct grace_row grace;
	const int r = ns_grace(commit_lock(c), &grace);

	commit_unlock(c);
	return r < 0 || age_ns > grace.seconds * NS_PER_S / 2;
}

bool is_awake(fuse_req_t req, const char *operation)
{
	struct mountfs *fs = fs_of(req);
	struct commit *c = commit_of(fs);
	const uint64_t now = clock_now();
	uint64_t verified;
	int r;

	if (!c)
		return true;
	verified = commit_verified_ns(c);
	if (now < verified + GRACE_LEAST_S * NS_PER_S / 2 || !shows_something(operation) ||
	    !is_too_old(c, now - verified))
		return true;
	log_warn("fuse", "the mount was cut off for long and catches up before it goes on",
		 "seconds=%llu", (unsigned long long)((now - verified) / NS_PER_S));
	r = commit_refresh(c, now + fs->o->deadline_ns);
	if (r < 0)
		reply_err(req, r);
	return r == 0;
}
