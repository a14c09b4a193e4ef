/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/watch.h"

#include "base/plant.h"
#include "fs/journal/link.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* What one operation did, as the first mount that applied it saw. */
struct done_op {
	uint8_t who[INCARNATION_SIZE];
	uint64_t no, time_ns, identity, slot;
	struct result res;
};
struct told_op {
	uint8_t who[INCARNATION_SIZE];
	uint64_t no, identity;
	enum told_how how;
	struct result said;
	bool synced, lost;
};
struct slot_seen {
	bool known;
	uint8_t record[RECORD_HASH_SIZE];
	struct state_hash state;
};

static struct {
	struct slot_seen *slots;
	size_t n_slots;
	struct done_op *done;
	size_t n_done, cap_done;
	struct told_op *told;
	size_t n_told, cap_told;
	uint64_t highest, records, lost;
} watch;

bool watch_verbose;

void watch_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "seed %llu: ", (unsigned long long)sim_seed());
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	_exit(1);
}

void watch_say(const char *fmt, ...)
{
	const uint64_t now = clock_now();
	va_list args;

	if (!watch_verbose)
		return;
	printf("%5llu.%06llu  ", (unsigned long long)(now / NS_PER_S),
	       (unsigned long long)(now % NS_PER_S / 1000));
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

void watch_end(void)
{
	free(watch.slots);
	free(watch.done);
	free(watch.told);
	memset(&watch, 0, sizeof(watch));
}

void watch_begin(void)
{
	watch_end();
}

uint64_t watch_slot(void)
{
	return watch.highest;
}

uint64_t watch_records(void)
{
	return watch.records;
}

uint64_t watch_lost_count(void)
{
	return watch.lost;
}

static uint64_t hash_bytes(uint64_t h, struct span s)
{
	h = (h ^ s.len) * 0x100000001b3u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 0x100000001b3u;
	return h;
}

/* What the program asked for. */
static uint64_t identity_of(const struct op *op)
{
	const uint64_t numbers[] = { op->kind, op->ino, op->parent, op->to_parent };
	uint64_t h = hash_bytes(0xcbf29ce484222325u, span_of(numbers, sizeof(numbers)));

	return hash_bytes(hash_bytes(h, op->name), op->to_name);
}

/* Room for one more element of an array that doubles. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	*cap = *cap ? 2 * *cap : 256;
	array = reallocarray(array, *cap, size);
	if (!array)
		abort();
	return array;
}

static struct done_op *done_find(const uint8_t who[INCARNATION_SIZE], uint64_t no)
{
	for (size_t i = watch.n_done; i > 0; i--) {
		struct done_op *d = &watch.done[i - 1];

		if (d->no == no && incarnation_equal(d->who, who))
			return d;
	}
	return NULL;
}

static void check_once(const struct done_op *new)
{
	for (size_t i = 0; i < watch.n_done; i++) {
		const struct done_op *d = &watch.done[i];

		if (!incarnation_equal(d->who, new->who))
			continue;
		if (d->no == new->no)
			watch_fail(
				"operation %llu of %02x%02x was evaluated in slot %llu and again "
				"in slot %llu",
				(unsigned long long)d->no, d->who[0], d->who[1],
				(unsigned long long)d->slot, (unsigned long long)new->slot);
		if (d->time_ns == new->time_ns && d->identity == new->identity)
			watch_fail(
				"operation %llu of %02x%02x was applied again as number %llu in "
				"slot %llu",
				(unsigned long long)d->no, d->who[0], d->who[1],
				(unsigned long long)new->no, (unsigned long long)new->slot);
	}
}

static void first_applied(const struct record *r, const struct op *ops,
			  const struct result *results, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct done_op d = { .no = ops[i].number,
				     .time_ns = ops[i].time_ns,
				     .slot = r->slot };

		if (results[i].error == APPLY_IGNORED)
			continue;
		memcpy(d.who, r->authors[r->ops[i].author], INCARNATION_SIZE);
		d.identity = identity_of(&ops[i]);
		d.res = results[i];
		check_once(&d);
		watch.done = grow(watch.done, watch.n_done, &watch.cap_done, sizeof(d));
		watch.done[watch.n_done++] = d;
	}
}

static struct slot_seen *slot_of(uint64_t slot)
{
	while (slot >= watch.n_slots) {
		const size_t n = watch.n_slots ? 2 * watch.n_slots : 256;

		watch.slots = reallocarray(watch.slots, n, sizeof(*watch.slots));
		if (!watch.slots)
			abort();
		memset(watch.slots + watch.n_slots, 0, (n - watch.n_slots) * sizeof(*watch.slots));
		watch.n_slots = n;
	}
	return &watch.slots[slot];
}

void watch_chosen(const uint8_t who[INCARNATION_SIZE], const struct record *r)
{
	struct slot_seen *s = slot_of(r->slot);

	watch_say("%02x%02x knows slot %llu: %02x%02x", who[0], who[1], (unsigned long long)r->slot,
		  r->hash[0], r->hash[1]);
	if (s->known && memcmp(s->record, r->hash, RECORD_HASH_SIZE) != 0)
		watch_fail("slot %llu has two records", (unsigned long long)r->slot);
	if (!s->known)
		watch.records++;
	s->known = true;
	memcpy(s->record, r->hash, RECORD_HASH_SIZE);
	watch.highest = MAX(watch.highest, r->slot);
}

/* Called by the code under test for every record that a mount has applied. */
void watch_applied(const uint8_t who[INCARNATION_SIZE], const struct record *r,
		   const struct op *ops, const struct result *results, size_t n,
		   const struct state_hash *after)
{
	struct slot_seen *s = slot_of(r->slot);

	watch_say("%02x%02x applied slot %llu of %02x%02x: %zu operations, next %02x%02x", who[0],
		  who[1], (unsigned long long)r->slot, r->author[0], r->author[1], n, r->next[0],
		  r->next[1]);
	if (!s->known) {
		s->known = true;
		memcpy(s->record, r->hash, RECORD_HASH_SIZE);
		s->state = *after;
		watch.records++;
		watch.highest = MAX(watch.highest, r->slot);
		first_applied(r, ops, results, n);
		return;
	}
	if (memcmp(s->record, r->hash, RECORD_HASH_SIZE) != 0)
		watch_fail("slot %llu has two records", (unsigned long long)r->slot);
	if (s->state.lo != after->lo || s->state.hi != after->hi)
		watch_fail("after slot %llu there are two states", (unsigned long long)r->slot);
}

void watch_told(const uint8_t who[INCARNATION_SIZE], uint64_t no, const struct op *op,
		enum told_how how, const struct result *said)
{
	struct told_op t = { .no = no, .identity = identity_of(op), .how = how, .said = *said };

	memcpy(t.who, who, INCARNATION_SIZE);
	watch.told = grow(watch.told, watch.n_told, &watch.cap_told, sizeof(t));
	watch.told[watch.n_told++] = t;
}

void watch_synced(const uint8_t who[INCARNATION_SIZE])
{
	for (size_t i = 0; i < watch.n_told; i++)
		if (incarnation_equal(watch.told[i].who, who))
			watch.told[i].synced = true;
}

void watch_lost(const uint8_t who[INCARNATION_SIZE], const struct op *op, const struct result *now)
{
	watch_say("%02x%02x lost operation %llu (%s): %d", who[0], who[1],
		  (unsigned long long)op->number, op_kind_name(op->kind), now->error);
	watch.lost++;
	if (now->error == 0)
		watch_fail(
			"operation %llu of %02x%02x (%s) had an effect on another object than was "
			"answered",
			(unsigned long long)op->number, who[0], who[1], op_kind_name(op->kind));
	for (size_t i = 0; i < watch.n_told; i++)
		if (watch.told[i].no == op->number && incarnation_equal(watch.told[i].who, who))
			watch.told[i].lost = true;
}

static void check_one(const struct told_op *t)
{
	const struct done_op *d = done_find(t->who, t->no);
	const bool settled = t->how == TOLD_COMMITTED || t->synced;

	if (!d && settled)
		watch_fail("operation %llu of %02x%02x was acknowledged and is lost",
			   (unsigned long long)t->no, t->who[0], t->who[1]);
	if (!d)
		return;
	if (d->identity != t->identity)
		watch_fail("number %llu of %02x%02x stands for two operations",
			   (unsigned long long)t->no, t->who[0], t->who[1]);
	if (!settled || t->lost)
		return;
	if (d->res.error != t->said.error || d->res.value != t->said.value)
		watch_fail("operation %llu of %02x%02x was answered %d (%llu), and is %d (%llu)",
			   (unsigned long long)t->no, t->who[0], t->who[1], t->said.error,
			   (unsigned long long)t->said.value, d->res.error,
			   (unsigned long long)d->res.value);
}

void watch_check_told(void)
{
	for (size_t i = 0; i < watch.n_told; i++)
		check_one(&watch.told[i]);
}

/* The chains */

struct accepted {
	uint64_t slot;
	struct ballot ballot;
	uint8_t hash[RECORD_HASH_SIZE];
	unsigned stores;
};
struct chains {
	struct sealer *sealer;
	uint8_t store_id[16];
	unsigned store;
	struct accepted *v;
	size_t n, cap;
};

static void note_accept(struct chains *c, const struct link *l)
{
	struct accepted a = { .slot = l->place.slot,
			      .ballot = l->accepted,
			      .stores = 1u << c->store };

	memcpy(a.hash, l->hash, RECORD_HASH_SIZE);
	for (size_t i = 0; i < c->n; i++) {
		struct accepted *b = &c->v[i];

		if (b->slot != a.slot || ballot_compare(&b->ballot, &a.ballot) != 0)
			continue;
		if (memcmp(b->hash, a.hash, RECORD_HASH_SIZE) != 0)
			watch_fail("slot %llu has two records under one ballot (round %llu)",
				   (unsigned long long)a.slot, (unsigned long long)a.ballot.round);
		b->stores |= a.stores;
		return;
	}
	c->v = grow(c->v, c->n, &c->cap, sizeof(a));
	c->v[c->n++] = a;
}

static void read_object(const char *name, struct span body, void *arg)
{
	struct chains *c = arg;
	_cleanup_buf_ struct buf plain = BUF_INIT(LINK_PLAIN_MAX);
	_cleanup_link_ struct link l = { 0 };
	struct link_place p = { .epoch = 1 };
	unsigned long long epoch, slot, k;
	uint8_t id[16];

	if (sscanf(name, "j/%llx/%llx.%llx", &epoch, &slot, &k) != 3)
		return;
	p.slot = slot;
	p.k = k;
	memcpy(p.store, c->store_id, sizeof(p.store));
	link_object_id(&p, id);
	if (seal_object_open(c->sealer, SEAL_LINK, id, body, &plain, NULL) ||
	    link_decode(buf_span(&plain), &p, &l))
		watch_fail("an object that is no link: %s", name);
	if (l.record)
		note_accept(c, &l);
}

static void check_chosen(const struct accepted *a)
{
	struct slot_seen *s = slot_of(a->slot);

	if (__builtin_popcount(a->stores) < (int)CLUSTER_STORES / 2 + 1)
		return;
	if (!s->known) {
		s->known = true;
		memcpy(s->record, a->hash, RECORD_HASH_SIZE);
	}
	if (memcmp(s->record, a->hash, RECORD_HASH_SIZE) != 0)
		watch_fail("the stores chose two records in slot %llu",
			   (unsigned long long)a->slot);
}

void watch_check_stores(struct cluster *cluster)
{
	struct member m;
	struct chains c = { 0 };

	if (member_open(&m, cluster, 0, true))
		abort();
	c.sealer = m.sealer;
	for (c.store = 0; c.store < CLUSTER_STORES; c.store++) {
		cluster_store_id(c.store, c.store_id);
		mem_bucket_each(cluster->buckets[c.store], read_object, &c);
	}
	for (size_t i = 0; i < c.n; i++)
		check_chosen(&c.v[i]);
	free(c.v);
	member_close(&m);
}
