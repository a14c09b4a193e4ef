/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal/slot.h"

#include "base/log.h"
#include "base/plant.h"

#define ATTEMPT_NS (5 * NS_PER_S)
#define FAST_NS (3 * NS_PER_S)
/* So many copies on their way to a slow store: it is not asked first until some have arrived. */
#define LATE_MOST 16u

int journal_new(const struct journal_options *o, struct journal **ret)
{
	struct journal *j;

	if (o->stores == 0 || o->stores >> REPLICAS_MAX)
		return fail(-EINVAL);
	j = calloc(1, sizeof(*j));
	if (!j)
		return fail(-ENOMEM);
	j->o = *o;
	if (!j->o.attempt_ns)
		j->o.attempt_ns = ATTEMPT_NS;
	if (!j->o.fast_ns)
		j->o.fast_ns = FAST_NS;
	j->n_stores = (unsigned)__builtin_popcountll(o->stores);
	j->window.store = (unsigned)__builtin_ctzll(o->stores);
	j->window.limit = FOLLOW_WINDOW;
	random_fill(j->me, sizeof(j->me));
	if (plant(PLANT_REUSE_0))
		plant_incarnation(j->me);
	journal_begin(j, UINT64_MAX, NULL, NULL);
	*ret = j;
	return 0;
}

static void late_cancel_all(struct journal *j)
{
	for (struct late *l = j->late; l; l = l->next)
		call_cancel(&l->call->call);
	for (struct late *l = j->late; l; l = l->next)
		call_wait(&l->call->call, NEVER);
	journal_reap(j);
}

struct journal *journal_free(struct journal *j)
{
	if (!j)
		return NULL;
	slot_close(j);
	bell_release(j);
	late_cancel_all(j);
	follow_release(j);
	free(j);
	return NULL;
}

const uint8_t *journal_incarnation(const struct journal *j)
{
	return j->me;
}

void journal_begin(struct journal *j, uint64_t slot, const uint8_t *hash, const uint8_t *next)
{
	slot_close(j);
	follow_release(j);
	memset(&j->last, 0, sizeof(j->last));
	j->last.slot = slot;
	if (hash)
		memcpy(j->last.hash, hash, RECORD_HASH_SIZE);
	if (next)
		memcpy(j->last.next, next, INCARNATION_BYTES);
}

uint64_t journal_slot(const struct journal *j)
{
	return j->last.slot;
}

/* The owner of the next slot, and ballot 0 not used there or above (README, rule 6). */
bool journal_owns_next(const struct journal *j)
{
	if (!incarnation_equal(j->last.next, j->me))
		return false;
	return plant(PLANT_REUSE_0) || !j->mine.used_0 || journal_tip(j) > j->mine.slot_0;
}

struct link_place journal_place(const struct journal *j, unsigned store, uint64_t slot, uint64_t k)
{
	struct link_place p = { .epoch = j->o.epoch, .slot = slot, .k = k };

	memcpy(p.store, j->o.store_ids[store], sizeof(p.store));
	return p;
}

int journal_open_link(struct journal *j, struct span sealed, const struct link_place *place,
		      struct link *ret)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(LINK_PLAIN_MAX);
	uint8_t id[16];
	int r;

	link_object_id(place, id);
	r = seal_object_open(j->o.sealer, SEAL_LINK, id, sealed, &plain, NULL);
	if (r)
		return r > 0 ? fail(-EBADMSG) : r;
	return link_decode(buf_span(&plain), place, ret);
}

int journal_get_link(struct journal *j, const struct link_place *place, unsigned store,
		     struct store_call **ret)
{
	char name[LINK_NAME_MAX];
	struct get_req r = { .limit = LINK_SEALED_MAX,
			     .deadline_ns = clock_now() + j->o.attempt_ns };

	link_name(place, name);
	r.name = span_str(name);
	return store_get(replicas_store(j->o.replicas, store), &r, ret);
}

void journal_observe(struct journal *j, unsigned store, struct store_call *c, uint64_t bytes)
{
	const struct call *call = &c->call;

	if (call->result != -ECANCELED)
		replicas_observe(j->o.replicas, store, call->result,
				 call->finished_ns - call->started_ns, bytes + c->body.len);
	if (c->date_s)
		j->skew_s[store] = (int64_t)c->date_s - (int64_t)(clock_wall() / NS_PER_S);
}

void journal_note_seen(struct journal *j, unsigned store, uint64_t slot)
{
	j->seen[store] = MAX(j->seen[store], slot + 1);
}

static void late_end(struct journal *j, unsigned store, uint64_t slot, struct store_call *c,
		     uint64_t bytes)
{
	journal_observe(j, store, c, bytes);
	if (c->op == STORE_PUT && c->call.result == 0 && slot != SLOT_NONE)
		journal_note_seen(j, store, slot);
	store_call_unref(c);
}

void journal_let_go(struct journal *j, unsigned store, uint64_t slot, struct store_call *takes,
		    uint64_t bytes)
{
	struct late *l;

	if (call_finished(&takes->call)) {
		late_end(j, store, slot, takes, bytes);
		return;
	}
	l = malloc(sizeof(*l));
	if (!l) { /* nothing to remember it with: wait for its end instead */
		call_cancel(&takes->call);
		call_wait(&takes->call, NEVER);
		late_end(j, store, slot, takes, bytes);
		return;
	}
	*l = (struct late){
		.next = j->late, .call = takes, .store = store, .slot = slot, .bytes = bytes
	};
	j->late = l;
	j->n_late[store]++;
}

void journal_reap(struct journal *j)
{
	struct late **at = &j->late;

	while (*at) {
		struct late *l = *at;

		if (!call_finished(&l->call->call)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		j->n_late[l->store]--;
		late_end(j, l->store, l->slot, l->call, l->bytes);
		free(l);
	}
}

uint64_t journal_pick(struct journal *j)
{
	uint64_t pick = 0;

	for_each_store(i, j->o.stores)
		if (j->n_late[i] < LATE_MOST && replicas_allows(j->o.replicas, i))
			pick |= 1ull << i;
	if ((unsigned)__builtin_popcountll(pick) < j->n_stores / 2 + 1)
		return j->o.stores;
	return pick;
}

void journal_learned(struct journal *j, const struct record *r)
{
	slot_close(j);
	j->last.slot = r->slot;
	memcpy(j->last.hash, r->hash, RECORD_HASH_SIZE);
	memcpy(j->last.next, r->next, INCARNATION_BYTES);
}

int journal_record(struct journal *j, struct span bytes, struct record **ret)
{
	_cleanup_(record_freep) struct record *r = NULL;
	int error = record_decode(bytes, &r);

	if (error == -EBADMSG)
		return JOURNAL_CONFLICT;
	if (error)
		return error;
	if (r->slot != journal_tip(j) || r->epoch != j->o.epoch ||
	    memcmp(r->prev, j->last.hash, RECORD_HASH_SIZE) != 0)
		return JOURNAL_CONFLICT;
	*ret = take_ptr(&r);
	return 0;
}

static int learn_tip(struct journal *j, uint64_t deadline_ns, struct record **ret)
{
	const struct tally_accept *chosen = NULL;
	struct slot *s = slot_open(j);
	const uint8_t *name;
	int r;

	if (!s)
		return fail(-ENOMEM);
	if (follow_names(j, s->number, &name))
		tally_name(&s->tally, name);
	r = slot_learn(s, deadline_ns, &chosen);
	return r ? r : journal_record(j, blob_span(chosen->record), ret);
}

int journal_learn(struct journal *j, uint64_t deadline_ns, struct record **ret)
{
	struct record *rec = NULL;
	int r;

	journal_reap(j);
	r = follow_next(j, deadline_ns, &rec);
	if (r == 1)
		r = learn_tip(j, deadline_ns, &rec);
	if (r) {
		j->window.streak = 0;
		return r == JOURNAL_NOTHING && journal_tip(j) == 0 ? JOURNAL_EMPTY : r;
	}
	j->window.streak++;
	journal_learned(j, rec);
	*ret = rec;
	return 0;
}

int journal_ahead(struct journal *j, uint64_t distance, uint64_t deadline_ns)
{
	journal_reap(j);
	return slot_empty(j, j->last.slot + distance, deadline_ns);
}

/* From here on this record, and no other, is proposed in the slot. */
static int freeze(struct journal *j, struct record *r)
{
	const uint64_t slot = journal_tip(j);
	int error;

	if (j->mine.frozen && j->mine.frozen_slot == slot && !plant(PLANT_UNKNOWN_IS_FAILURE)) {
		if (memcmp(j->mine.frozen_hash, r->hash, RECORD_HASH_SIZE) != 0)
			return fail(-EINVAL);
		return 0;
	}
	r->slot = slot;
	r->epoch = j->o.epoch;
	memcpy(r->author, j->me, INCARNATION_BYTES);
	memcpy(r->prev, j->last.hash, RECORD_HASH_SIZE);
	memcpy(r->seen, j->seen, sizeof(r->seen));
	error = record_seal(r);
	if (error)
		return error;
	j->mine.frozen = true;
	j->mine.frozen_slot = slot;
	memcpy(j->mine.frozen_hash, r->hash, RECORD_HASH_SIZE);
	return 0;
}

/* The fast path if we may, then two phases. */
static int choose(struct journal *j, struct slot *s, struct record *r, uint64_t deadline_ns,
		  const struct tally_accept **ret)
{
	if (journal_owns_next(j)) {
		int result;

		j->mine.used_0 = true;
		j->mine.slot_0 = s->number;
		bell_listen(j, s->number);
		result = slot_fast(s, r, MIN(deadline_ns, clock_now() + j->o.fast_ns), ret);
		if (result != JOURNAL_UNDETERMINED)
			return result;
	}
	return slot_two_phase(s, r, deadline_ns, ret);
}

int journal_propose(struct journal *j, struct record *r, uint64_t deadline_ns,
		    struct record **ret_other)
{
	_cleanup_(record_freep) struct record *other = NULL;
	const struct tally_accept *chosen = NULL;
	struct slot *s;
	int result;

	if (j->o.read_only)
		return fail(-EROFS);
	journal_reap(j);
	result = freeze(j, r);
	if (result)
		return result;
	s = slot_open(j);
	if (!s)
		return fail(-ENOMEM);
	result = choose(j, s, r, deadline_ns, &chosen);
	if (result == 0 && memcmp(chosen->hash, r->hash, RECORD_HASH_SIZE) != 0) {
		result = journal_record(j, blob_span(chosen->record), &other);
		result = result ? result : JOURNAL_LOST;
	}
	if (result == 0 && plant(PLANT_LOST_BY_BALLOT) &&
	    !incarnation_equal(chosen->ballot.incarnation, j->me)) {
		result = journal_record(j, blob_span(chosen->record), &other);
		result = result ? result : JOURNAL_LOST;
	}
	if (result == 0)
		journal_learned(j, r);
	if (result == JOURNAL_LOST) {
		journal_learned(j, other);
		*ret_other = take_ptr(&other);
	}
	return result;
}

uint64_t journal_seen(const struct journal *j, unsigned store)
{
	return store < REPLICAS_MAX ? j->seen[store] : 0;
}

int64_t journal_clock_skew_s(const struct journal *j)
{
	int64_t most = 0;

	for_each_store(i, j->o.stores)
		if (llabs(j->skew_s[i]) > llabs(most))
			most = j->skew_s[i];
	return most;
}
