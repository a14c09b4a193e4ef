/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Superblocks after the first: what opens a volume has changed, and the next mount must find it
 * before it can read the journal.
 *
 * (S1) A superblock is the state of one applied slot, and named after it: the key slots, stores and
 *      identity that the journal has agreed on. It is written after the journal has, never before.
 * (S2) A store that missed one gets it from the next mount that writes.
 */
#include "fs/volume_i.h"

#include <stdio.h>

#include "base/log.h"

#define MEND_NS (10 * NS_PER_S)

int super_put(struct store *store, unsigned number, const struct super *s, struct sealer *sealer,
	      uint64_t deadline_ns, char *err, size_t err_size)
{
	_cleanup_(blob_unrefp) struct blob *body = NULL;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	struct put_req req = { .cond = PUT_IF_ABSENT, .deadline_ns = deadline_ns };
	char name[SUPER_NAME_SIZE];
	int r = super_encode(s, sealer, number, &body);

	if (r)
		return r;
	super_object_name(s->slot, name);
	req.name = span_str(name);
	req.body = body;
	for (int attempt = 0; attempt < 4; attempt++) {
		store_call_unrefp(&call);
		r = store_put_wait(store, &req, &call);
		/* One of that slot is as good as ours, or is ours after an unknown answer (S1). */
		if (!r || r == STORE_EXISTS)
			return 0;
		if (r != STORE_UNKNOWN && r != -EAGAIN)
			break;
		sleep_for(NS_PER_S / 4 << attempt);
	}
	return say(r < 0 ? r : -EIO, err, err_size,
		   "store %s: the superblock was not written: %s", store->name,
		   call && *call->detail ? call->detail : "no answer");
}

/* ---- the state as a superblock ---- */

static int take_volume(struct kv_iter *it, struct super *s)
{
	struct volume_row row;
	int r;

	kv_iter_seek(it, VOLUME_KEY);
	if (!kv_iter_valid(it) || kv_iter_key(it).len)
		return fail(-EBADMSG);
	r = volume_row_decode(kv_iter_value(it), &row);
	if (r)
		return r;
	memcpy(s->volume_id, row.id, sizeof(s->volume_id));
	s->level = row.level;
	s->epoch = row.epoch;
	s->name = strndup((const char *)row.name.data, row.name.len);
	return s->name ? 0 : fail(-ENOMEM);
}

static int take_store(struct span value, struct super *s)
{
	struct super_store *to = &s->stores[s->n_stores];
	struct store_row row;
	int r = store_row_decode(value, &row);

	if (r)
		return r;
	memcpy(to->id, row.id, sizeof(to->id));
	to->roles = row.roles;
	to->name = strndup((const char *)row.name.data, row.name.len);
	to->url = strndup((const char *)row.url.data, row.url.len);
	s->n_stores++;
	return to->name && to->url ? 0 : fail(-ENOMEM);
}

static int take_keyslot(struct span value, struct super *s)
{
	/* One of a later kind cannot be told on: then a program that knows it must write. */
	int r = key_slot_decode(value, &s->slots[s->n_slots]);

	if (r)
		return r < 0 ? r : fail(-EPROTO);
	s->n_slots++;
	return 0;
}

static int take_rows(struct kv_iter *it, size_t max, int (*take)(struct span, struct super *),
		     struct super *s)
{
	size_t n = 0;
	int r = 0;

	for (kv_iter_seek(it, SPAN_NULL); !r && kv_iter_valid(it); kv_iter_next(it))
		r = n++ < max ? take(kv_iter_value(it), s) : fail(-EBADMSG);
	return r ? r : kv_iter_error(it);
}

/* (S1) */
static int super_of_state(struct volume *v, struct super **ret)
{
	_cleanup_(commit_snapshot_release) struct commit_snapshot snap = { .mark = { 0 } };
	_cleanup_(super_freep) struct super *s = super_new();
	int r = s ? commit_snapshot(v->commit, &snap) : fail(-ENOMEM);

	if (r)
		return r;
	s->slot = snap.mark.slot;
	r = take_volume(snap.columns[COL_VOLUME], s);
	if (!r)
		r = take_rows(snap.columns[COL_STORE], SUPER_STORES_MAX, take_store, s);
	if (!r)
		r = take_rows(snap.columns[COL_KEYSLOT], KEYSLOTS_MAX, take_keyslot, s);
	if (!r)
		*ret = take_ptr(&s);
	return r;
}

/* ---- writing it ---- */

static uint64_t write_all(struct volume *v, const struct super *s, uint64_t stores)
{
	uint64_t lacking = 0;

	for (unsigned i = 0; i < v->n_stores; i++) {
		char why[512] = "it is down";
		int r = -EIO;

		if (!(stores >> i & 1))
			continue;
		if (replicas_allows(v->replicas, i))
			r = super_put(replicas_store(v->replicas, i), i, s, v->sealer,
				      clock_now() + MEND_NS, why, sizeof(why));
		if (!r)
			continue;
		log_warn("super", "a store misses the newest superblock; a later mount writes it",
			 "store=%s detail=\"%s\"", replicas_store(v->replicas, i)->name, why);
		lacking |= 1ull << i;
	}
	return lacking;
}

int volume_super_write(struct volume *v, uint64_t *ret_lacking)
{
	_cleanup_(super_freep) struct super *s = NULL;
	int r = super_of_state(v, &s);

	if (!r)
		*ret_lacking = write_all(v, s, (1ull << v->n_stores) - 1);
	return r;
}

void volume_super_note(struct volume *v, unsigned store, const struct super *s)
{
	if (super_keys_hash(s, v->super_keys[store]) == 0)
		v->super_known |= 1ull << store;
}

int volume_super_mend(struct volume *v)
{
	_cleanup_(super_freep) struct super *s = NULL;
	uint8_t now[SUPER_KEYS_HASH_SIZE];
	uint64_t behind = 0;
	int r;

	if (v->options->read_only)
		return 0;
	r = super_of_state(v, &s);
	if (!r)
		r = super_keys_hash(s, now);
	if (r)
		return r == -EPROTO ? 0 : r;
	for (unsigned i = 0; i < v->n_stores; i++)
		if ((v->super_known >> i & 1) && memcmp(v->super_keys[i], now, sizeof(now)) != 0)
			behind |= 1ull << i;
	if (behind)
		write_all(v, s, behind);
	return 0;
}
