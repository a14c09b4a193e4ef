/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/volume_i.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "backends/probe.h"
#include "base/text.h"
#include "fs/ns/op.h"

/*
 * The birth of a volume: check every place, get slot 0 chosen, then write the superblocks.
 *
 * (B1) Nothing is written outside of "probe/" before every place was found fit and empty.
 * (B2) Slot 0 decides between two formats at one time: who loses it writes no superblock.
 */
#define CHECK_NS (30 * NS_PER_S)
#define CREATE_NS (60 * NS_PER_S)
#define CLOCK_SKEW_MAX_S 300

struct birth {
	const struct format_options *o;
	struct candidates stores;
	struct super *super;
	uint8_t volume_key[32];
	uint8_t name_key[16];
	struct secret *recovery, *recovery_text;
	struct sealer *sealer;
	struct replicas *replicas;
	struct journal *journal;
	char *err;
	size_t err_size;
};

static void birth_release(struct birth *b)
{
	journal_free(b->journal);
	replicas_free(b->replicas);
	sealer_free(b->sealer);
	secret_free(b->recovery);
	secret_free(b->recovery_text);
	super_free(b->super);
	candidates_release(&b->stores);
	wipe(b->volume_key, sizeof(b->volume_key));
}

/* Is the place fit, and nobody's yet? */
static int check_store(struct birth *b, struct candidate *one)
{
	char why[512] = "";
	int64_t skew_s = 0;
	int r = store_probe(one->store, clock_now() + CHECK_NS, &skew_s, why, sizeof(why));

	if (r)
		return *why ? say(r, b->err, b->err_size, "%s", why) :
			      say(r, b->err, b->err_size, "store %s: %s", one->cfg->name,
				  strerror(-r));
	if (skew_s > CLOCK_SKEW_MAX_S || skew_s < -CLOCK_SKEW_MAX_S)
		return say(-EINVAL, b->err, b->err_size,
			   "store %s: its clock differs from this machine's by %" PRId64
			   " s; set the clock (timedatectl set-ntp true)",
			   one->cfg->name, skew_s);
	return 0;
}

static int check_empty(struct birth *b, struct candidate *one)
{
	char id[33] = "";

	if (one->result == STORE_MISSING)
		return 0;
	if (one->result)
		return say(one->result < 0 ? one->result : -EIO, b->err, b->err_size,
			   "store %s: %s", one->cfg->name, one->call->detail);
	if (one->super)
		hex_encode(span_of(one->super->volume_id, 16), id);
	return say(-EEXIST, b->err, b->err_size,
		   "store %s already holds a volume%s%s (%s); nothing was changed", one->cfg->name,
		   *id ? " " : "", id, one->store->url);
}

static int check_places(struct birth *b)
{
	int r = 0;

	for (size_t i = 0; !r && i < b->stores.n; i++)
		r = check_store(b, &b->stores.all[i]);
	if (!r)
		r = candidates_ask(&b->stores, clock_now() + CHECK_NS);
	for (size_t i = 0; !r && i < b->stores.n; i++)
		r = check_empty(b, &b->stores.all[i]);
	return r;
}

static int add_slot(struct birth *b, enum key_type type, const struct secret *secret)
{
	const struct kdf_options kdf = { b->o->kdf_memory, b->o->kdf_passes };
	struct super *s = b->super;
	int r = key_slot_wrap(s->volume_id, 1, b->volume_key, (uint8_t)s->n_slots, type, secret,
			      &kdf, &s->slots[s->n_slots]);

	if (r == KEY_WEAK)
		return say(-EINVAL, b->err, b->err_size, KEY_WEAK_TEXT, KDF_MEMORY_MIN / MiB,
			   KDF_PASSES_MIN);
	if (!r)
		s->n_slots++;
	return r;
}

static int make_keys(struct birth *b)
{
	_cleanup_(secret_freep) struct secret *secret = NULL;
	int r = 0;

	random_fill(b->volume_key, sizeof(b->volume_key));
	random_fill(b->name_key, sizeof(b->name_key));
	if (b->o->key->type != KEY_NONE) {
		r = key_source_read(b->o->key, &secret, b->err, b->err_size);
		if (!r)
			r = add_slot(b, b->o->key->type, secret);
	}
	if (!r)
		r = recovery_key_new(&b->recovery, &b->recovery_text);
	if (!r)
		r = add_slot(b, KEY_RECOVERY, b->recovery);
	if (!r)
		r = sealer_new(b->super->volume_id, &b->sealer);
	if (!r)
		r = sealer_add_key(b->sealer, 1, b->volume_key);
	return r;
}

static int describe(struct birth *b)
{
	const struct config *cfg = b->o->config;
	struct super *s = b->super = super_new();

	if (!s)
		return fail(-ENOMEM);
	random_fill(s->volume_id, sizeof(s->volume_id));
	s->level = SUPER_LEVEL;
	s->epoch = 1;
	s->name = strdup(cfg->name);
	for (size_t i = 0; i < cfg->n_stores; i++) {
		struct super_store *st = &s->stores[i];

		random_fill(st->id, sizeof(st->id));
		st->roles = cfg->stores[i].roles;
		st->name = strdup(cfg->stores[i].name);
		st->url = strdup(cfg->stores[i].url);
		s->n_stores++;
		if (!st->name || !st->url)
			return fail(-ENOMEM);
	}
	return s->name ? 0 : fail(-ENOMEM);
}

/* The operation of slot 0: everything that the superblock copies. */
static int format_value(const struct birth *b, struct buf *slots, struct buf *ret)
{
	const struct super *s = b->super;
	struct volume_format f = { .level = s->level,
				   .epoch = s->epoch,
				   .key_epoch = 1,
				   .name = span_str(s->name),
				   .n_stores = s->n_stores,
				   .n_keyslots = s->n_slots };

	memcpy(f.id, s->volume_id, 16);
	memcpy(f.name_key, b->name_key, 16);
	for (size_t i = 0; i < s->n_stores; i++) {
		const struct super_store *st = &s->stores[i];

		f.stores[i] = (struct store_row){ .roles = st->roles,
						  .name = span_str(st->name),
						  .url = span_str(st->url) };
		memcpy(f.stores[i].id, st->id, 16);
	}
	for (size_t i = 0; i < s->n_slots; i++) {
		int r = key_slot_encode(&s->slots[i], &slots[i]);

		if (r)
			return r;
		f.keyslots[i] = buf_span(&slots[i]);
	}
	return volume_format_encode(&f, ret);
}

static int format_op(const struct birth *b, struct buf *ret)
{
	_cleanup_buf_ struct buf value = BUF_INIT(RECORD_MAX / 2);
	struct buf slots[2] = { BUF_INIT(KEY_SLOT_SIZE_MAX), BUF_INIT(KEYSLOT_SIZE_MAX) };
	struct op op = { .kind = OP_FORMAT,
			 .number = 1,
			 .time_ns = clock_wall(),
			 .uid = b->o->root_uid,
			 .gid = b->o->root_gid,
			 .mode = S_IFDIR | (b->o->root_mode ? b->o->root_mode : 0755) };
	int r;

	assert(b->super->n_slots <= ARRAY_SIZE(slots));
	r = format_value(b, slots, &value);
	op.value = buf_span(&value);
	if (!r)
		r = op_encode(&op, ret);
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		buf_release(&slots[i]);
	return r;
}

static int open_journal(struct birth *b)
{
	struct journal_options o = { .sealer = b->sealer, .epoch = b->super->epoch };
	int r = replicas_new(&(struct replicas_options){ 0 }, &b->replicas);

	for (size_t i = 0; !r && i < b->stores.n; i++) {
		r = replicas_add(b->replicas, take_ptr(&b->stores.all[i].store),
				 &(struct replica_options){ 0 });
		if (r < 0)
			return r;
		r = 0;
		memcpy(o.store_ids[i], b->super->stores[i].id, 16);
		if (b->super->stores[i].roles & STORE_ROLE_JOURNAL)
			o.stores |= 1ull << i;
	}
	o.replicas = b->replicas;
	if (!r)
		r = journal_new(&o, &b->journal);
	if (!r)
		journal_begin(b->journal, UINT64_MAX, NULL, NULL);
	return r;
}

/* A record of one operation of ours; nobody owns what follows. */
static int first_record(struct birth *b, struct span op, struct record **ret)
{
	_cleanup_(record_freep) struct record *rec = record_new();

	if (!rec)
		return fail(-ENOMEM);
	rec->authors = malloc(sizeof(*rec->authors));
	rec->ops = malloc(sizeof(*rec->ops));
	if (!rec->authors || !rec->ops)
		return fail(-ENOMEM);
	memcpy(rec->authors[0], journal_incarnation(b->journal), INCARNATION_BYTES);
	rec->n_authors = 1;
	rec->ops[0] = (struct record_op){ .author = 0, .bytes = op };
	rec->n_ops = 1;
	rec->time_ns = clock_wall();
	*ret = take_ptr(&rec);
	return 0;
}

static int win_slot_0(struct birth *b)
{
	_cleanup_buf_ struct buf op = BUF_INIT(RECORD_MAX / 2);
	_cleanup_(record_freep) struct record *rec = NULL, *other = NULL;
	int r = format_op(b, &op);

	if (!r)
		r = open_journal(b);
	if (!r)
		r = first_record(b, buf_span(&op), &rec);
	if (!r)
		r = journal_propose(b->journal, rec, clock_now() + CREATE_NS, &other);
	/* what cannot be opened was made with another volume's key */
	if (r == JOURNAL_LOST || r == JOURNAL_CONFLICT || r == -EBADMSG)
		return say(
			-EEXIST, b->err, b->err_size,
			"another format was here first (its journal has begun); "
			"use an empty prefix");
	if (r)
		return say(r < 0 ? r : -EIO, b->err, b->err_size, "the journal's first slot: %s",
			   r < 0 ? strerror(-r) : "undecided; try again");
	return 0;
}

int volume_format(const struct format_options *o, uint8_t ret_id[16], struct secret **ret_recovery,
		  char *err, size_t err_size)
{
	_cleanup_(birth_release) struct birth b = { .o = o, .err = err, .err_size = err_size };
	int r;

	*err = '\0';
	r = candidates_open(&b.stores, o->config, err, err_size);
	if (!r)
		r = check_places(&b);
	if (!r)
		r = describe(&b);
	if (!r)
		r = make_keys(&b);
	if (!r)
		r = win_slot_0(&b);
	for (unsigned i = 0; !r && i < b.stores.n; i++)
		r = super_put(replicas_store(b.replicas, i), i, b.super, b.sealer,
			      clock_now() + CREATE_NS, err, err_size);
	if (r && !*err)
		return say(r, err, err_size, "cannot create the volume: %s",
			   strerror(r < 0 ? -r : EIO));
	if (r)
		return r;
	memcpy(ret_id, b.super->volume_id, 16);
	*ret_recovery = take_ptr(&b.recovery_text);
	return 0;
}
