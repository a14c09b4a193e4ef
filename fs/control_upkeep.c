/* SPDX-License-Identifier: Apache-2.0 */
/* fsck and scrub of a mounted volume: begun, looked at and ended by requests of their own. */
#include <stdio.h>

#include "base/text.h"
#include "fs/control_i.h"

static struct upkeep *upkeep_of(struct control *c, struct buf *ret, unsigned *ret_status)
{
	if (!c->upkeep)
		*ret_status = act_refuse(409, ret, "this is a mount of buckets; nothing of a "
						   "volume is here to be checked");
	return c->upkeep;
}

static unsigned tell(struct control *c, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = upkeep_json(c->upkeep);

	return json_write(j, 0, ret) ? act_refuse(500, ret, "not enough memory") : 200;
}

static unsigned begin(struct control *c, enum upkeep_kind kind, const struct upkeep_scrub *scrub,
		      struct buf *ret)
{
	const int r = upkeep_start(c->upkeep, kind, scrub);

	if (r == -EBUSY)
		return act_refuse(409, ret, "a check is going on already");
	return r ? act_refuse(500, ret, "%s", strerror(-r)) : tell(c, ret);
}

unsigned act_upkeep(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned status;

	return upkeep_of(c, ret, &status) ? tell(c, ret) : status;
}

unsigned act_upkeep_stop(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned status;

	if (!upkeep_of(c, ret, &status))
		return status;
	upkeep_stop(c->upkeep);
	return tell(c, ret);
}

unsigned act_fsck(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned status;

	return upkeep_of(c, ret, &status) ? begin(c, UPKEEP_FSCK, NULL, ret) : status;
}

unsigned act_scrub(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *store = r->param(r, "store"), *share = r->param(r, "share"),
		   *rate = r->param(r, "rate");
	struct upkeep_scrub ask = { .store = -1, .share = 1 };
	unsigned status;

	if (!upkeep_of(c, ret, &status))
		return status;
	if (store)
		ask.store = replicas_find(c->volume->replicas, store);
	if (store && ask.store < 0)
		return act_refuse(404, ret, "no store is named %s here", store);
	if (share && upkeep_share_parse(share, &ask.share))
		return act_refuse(400, ret, "share= is a percentage such as 5%%");
	if (rate && size_parse(rate, &ask.rate))
		return act_refuse(400, ret, "rate= is bytes a second such as 20M");
	return begin(c, UPKEEP_SCRUB, &ask, ret);
}
