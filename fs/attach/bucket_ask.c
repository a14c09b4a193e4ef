/* SPDX-License-Identifier: Apache-2.0 */
/* Which mirror is asked, and for how long: all mirrors say the same, so the nearest healthy one. */
#include "fs/attach/bucket_i.h"

#define ATTEMPT_NS (15 * NS_PER_S)
/* With another one to turn to: within a second. */
#define PATIENCE_MIN_NS (500 * NS_PER_MS)
#define PATIENCE_MAX_NS (900 * NS_PER_MS)

struct candidate {
	bool down;
	double rank; /* seconds; healthy ones first */
	uint64_t patience_ns;
};

static struct candidate judge(struct bucket *b, unsigned i)
{
	struct candidate c = { 0 };
	struct replica_health h;

	replicas_health(b->o.replicas, i, &h);
	c.down = h.state == REPLICA_DOWN;
	c.rank = h.latency_p50_s + (h.state == REPLICA_HEALTHY ? 0 : 1000);
	c.patience_ns = MIN((uint64_t)(h.latency_p95_s * 3 * (double)NS_PER_S), PATIENCE_MAX_NS);
	c.patience_ns = MAX(c.patience_ns, PATIENCE_MIN_NS);
	return c;
}

/* Everybody is down: whoever may be probed just now. */
static int choose_probe(struct bucket *b, unsigned n, unsigned tried, unsigned *ret)
{
	for (unsigned i = 0; i < n; i++)
		if (!(tried & 1u << i) && replicas_allows(b->o.replicas, i)) {
			*ret = i;
			return 0;
		}
	return ASK_NOBODY;
}

int ask_choose(struct bucket *b, unsigned tried, uint64_t until_ns, unsigned *ret,
	       uint64_t *ret_deadline_ns)
{
	const unsigned n = MIN(replicas_count(b->o.replicas), (unsigned)MIRRORS_MAX);
	struct candidate best = { 0 };
	unsigned at = 0, able = 0;
	uint64_t patience = ATTEMPT_NS;

	for (unsigned i = 0; i < n; i++) {
		const struct candidate c = judge(b, i);

		if (c.down || tried & 1u << i)
			continue;
		if (!able++ || c.rank < best.rank) {
			best = c;
			at = i;
		}
	}
	if (!able && choose_probe(b, n, tried, &at))
		return ASK_NOBODY;
	if (able > 1)
		patience = best.patience_ns;
	*ret = at;
	*ret_deadline_ns = MIN(until_ns, clock_now() + patience);
	return 0;
}

int ask_ended(struct bucket *b, unsigned mirror, struct store_call *c)
{
	const int result = call_wait(&c->call, 0);

	replicas_observe(b->o.replicas, mirror, result, c->call.finished_ns - c->call.started_ns,
			 0);
	return result;
}

int ask_error(int result)
{
	switch (result) {
	case -EACCES:
	case -ETIMEDOUT:
	case -ENOMEM:
	case -ENOSPC:
		return result;
	default:
		return fail(-EIO);
	}
}
