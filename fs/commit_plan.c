/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/commit_plan.h"

/* A record is cut at once when it has grown so large. */
#define CUT_BYTES (512 * KiB)
/* Who waits for the tip looks this often, and so does who found a slot undetermined. */
#define LOOK_NS (200 * NS_PER_MS)
#define LOOK_RUNG_NS (50 * NS_PER_MS)
#define PATIENCE_HOLDS 6

bool commit_tip_busy(const struct commit_tip *t, uint64_t now)
{
	return !t->owns && !t->nobody && now < t->learned_ns + t->quiet_ns;
}

static uint64_t patience_end(const struct commit_tip *t, const struct commit_options *o)
{
	return t->oldest_ns + PATIENCE_HOLDS * o->hold_ns;
}

static bool due(const struct commit_tip *t, const struct commit_options *o, uint64_t now)
{
	return t->waiting || t->stopping || t->pending_bytes >= CUT_BYTES ||
	       now >= t->oldest_ns + o->delay_ns;
}

/* When the tip is looked at next, without a special reason. */
static uint64_t next_look(const struct commit_tip *t, const struct commit_options *o,
			  bool waits_for_tip)
{
	uint64_t gap = o->freshness_ns;

	if (waits_for_tip || t->help_ns || !t->booted)
		gap = MIN(gap, t->rung ? LOOK_RUNG_NS : LOOK_NS);
	return t->polled_ns + gap - gap / 4 * t->jitter / 255;
}

static bool keeps_hold(const struct commit_tip *t)
{
	return t->writes && t->booted && t->owns && t->held > 0;
}

static uint64_t renewal(const struct commit_tip *t, const struct commit_options *o)
{
	return t->hold_end_ns - MIN(t->hold_end_ns, o->hold_ns / 4);
}

enum commit_act commit_plan(const struct commit_tip *t, const struct commit_options *o,
			    uint64_t now, uint64_t *ret_until)
{
	const bool work = t->writes && t->booted && t->pending > t->held;
	const bool may = work && !commit_tip_busy(t, now);     /* (P2) */
	const bool contest = work && !may && now >= patience_end(t, o);
	uint64_t look;

	*ret_until = NEVER;
	if (t->halted)
		return COMMIT_WAIT;
	if (now < t->retry_ns) {
		*ret_until = t->retry_ns;
		return COMMIT_WAIT;
	}
	if (t->frozen || (may && due(t, o, now))) /* (P1) */
		return COMMIT_PROPOSE;
	if (t->writes && t->booted && t->owns && (t->knocked || t->lent)) /* (P3) */
		return COMMIT_PROPOSE;
	if (t->writes && t->help_ns && now >= t->help_ns)
		return COMMIT_PROPOSE;
	if (keeps_hold(t) && now >= renewal(t, o)) /* (P5) */
		return COMMIT_PROPOSE;
	if (work && !may && !t->rung && due(t, o, now)) /* (P3) */
		return COMMIT_RING;
	if (t->behind || t->refresh)
		return COMMIT_LEARN;
	if (contest) /* (P2) */
		return COMMIT_PROPOSE;
	look = commit_tip_early(t, now) ? t->hold_end_ns : next_look(t, o, work && !may); /* (P4) */
	if (now >= look)
		return COMMIT_LEARN;
	*ret_until = look;
	if (work && !due(t, o, now))
		*ret_until = MIN(*ret_until, t->oldest_ns + o->delay_ns);
	if (work && !may)
		*ret_until = MIN(*ret_until, patience_end(t, o));
	if (work && !may)
		*ret_until = MIN(*ret_until, t->learned_ns + t->quiet_ns);
	if (t->writes && t->help_ns)
		*ret_until = MIN(*ret_until, t->help_ns);
	if (keeps_hold(t))
		*ret_until = MIN(*ret_until, renewal(t, o));
	return COMMIT_WAIT;
}
