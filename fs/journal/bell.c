/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell: how a mount asks whoever owns the tip for it. A bell is named by the slot for which it
 * is rung; the owner looks at the bell of a slot while it puts its record there. A hint, and
 * nothing more: nothing depends on its being seen, or on who rang.
 */
#include "fs/journal/journal_i.h"

#include <inttypes.h>
#include <stdio.h>

#define BELL_VERSION 1
#define BELL_PLAIN_MAX 64u
#define BELL_SEALED_MAX 512u

static void bell_name(const struct journal *j, uint64_t slot, char ret[LINK_NAME_MAX])
{
	snprintf(ret, LINK_NAME_MAX, "b/%016" PRIx64 "/%016" PRIx64, (uint64_t)j->o.epoch, slot);
}

static int bell_seal(struct journal *j, uint64_t slot, struct blob **ret)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(BELL_PLAIN_MAX);
	struct writer w = WRITER(&plain);
	uint8_t id[16];

	write_u8(&w, BELL_VERSION);
	write_be32(&w, j->o.epoch);
	write_be64(&w, slot);
	write_raw(&w, span_of(j->me, INCARNATION_BYTES));
	if (w.error)
		return w.error;
	random_fill(id, sizeof(id));
	return seal_object(j->o.sealer, SEAL_LANE, id, buf_span(&plain), ret);
}

static bool bell_open(struct journal *j, uint64_t slot, struct span sealed,
		      uint8_t ret[INCARNATION_BYTES])
{
	_cleanup_buf_ struct buf plain = BUF_INIT(BELL_PLAIN_MAX);
	uint8_t who[INCARNATION_BYTES];
	struct reader r;

	if (seal_object_open(j->o.sealer, SEAL_LANE, NULL, sealed, &plain, NULL))
		return false;
	r = READER(buf_span(&plain));
	if (read_u8(&r) != BELL_VERSION || read_be32(&r) != j->o.epoch || read_be64(&r) != slot)
		return false;
	read_copy(&r, who, sizeof(who));
	if (read_end(&r))
		return false;
	memcpy(ret, who, sizeof(who));
	return true;
}

void journal_ring(struct journal *j, uint64_t distance)
{
	const uint64_t slot = j->last.slot + distance;
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	struct put_req r = { .cond = PUT_IF_ABSENT, .deadline_ns = clock_now() + j->o.attempt_ns };
	char name[LINK_NAME_MAX];

	journal_reap(j);
	if (j->o.read_only || bell_seal(j, slot, &body))
		return;
	bell_name(j, slot, name);
	r.name = span_str(name);
	r.body = body;
	for_each_store(i, journal_pick(j)) {
		struct store_call *c = NULL;

		if (store_put(replicas_store(j->o.replicas, i), &r, &c) == 0)
			journal_let_go(j, i, SLOT_NONE, c, BELL_SEALED_MAX);
	}
}

/* One of the stores in turn: a bell is rung at all of them. */
static unsigned listen_at(struct journal *j)
{
	uint64_t pick = replicas_up(j->o.replicas) & j->o.stores;

	if (!pick)
		pick = j->o.stores;
	do
		j->bell.store = (j->bell.store + 1) % REPLICAS_MAX;
	while (!(pick & (1ull << j->bell.store)));
	return j->bell.store;
}

void bell_release(struct journal *j)
{
	if (!j->bell.call)
		return;
	call_cancel(&j->bell.call->call);
	journal_let_go(j, j->bell.store, SLOT_NONE, take_ptr(&j->bell.call), 0);
}

void bell_listen(struct journal *j, uint64_t slot)
{
	const unsigned store = listen_at(j);
	struct get_req r = { .limit = BELL_SEALED_MAX,
			     .deadline_ns = clock_now() + j->o.attempt_ns };
	char name[LINK_NAME_MAX];

	bell_release(j);
	bell_name(j, slot, name);
	r.name = span_str(name);
	j->bell.slot = slot;
	if (store_get(replicas_store(j->o.replicas, store), &r, &j->bell.call))
		j->bell.call = NULL;
}

bool journal_knocked(struct journal *j, uint8_t ret[INCARNATION_BYTES])
{
	struct store_call *c = j->bell.call;
	bool rung;

	if (!c || !call_finished(&c->call))
		return false;
	rung = c->call.result == 0 && bell_open(j, j->bell.slot, buf_span(&c->body), ret);
	journal_let_go(j, j->bell.store, SLOT_NONE, take_ptr(&j->bell.call), 0);
	return rung && !incarnation_equal(ret, j->me);
}
