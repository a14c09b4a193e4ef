/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/volume_i.h"

#include <stdio.h>

#include "backends/open.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/seen.h"

/* How long a store may be silent once another one has answered. */
#define SILENCE_NS (2 * NS_PER_S)

void candidates_release(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++) {
		store_call_unrefp(&c->all[i].call);
		super_free(c->all[i].super);
		store_free(c->all[i].store);
	}
	c->n = 0;
}

static int open_one(const struct config_store *cfg, struct store **ret, char *err, size_t err_size)
{
	const struct store_config sc = { .name = cfg->name,
					 .url = cfg->url,
					 .credentials = cfg->credentials,
					 .profile = cfg->profile };
	char why[512] = "";
	int r = store_open(&sc, ret, why, sizeof(why));

	return r ? say(r, err, err_size, "store %s: %s", cfg->name, *why ? why : strerror(-r)) : 0;
}

int candidates_open(struct candidates *c, const struct config *cfg, char *err, size_t err_size)
{
	for (size_t i = 0; i < cfg->n_stores; i++) {
		struct candidate *one = &c->all[i];
		int r;

		*one = (struct candidate){ .cfg = &cfg->stores[i] };
		r = open_one(one->cfg, &one->store, err, err_size);
		if (r)
			return r;
		c->n++;
	}
	return 0;
}

/* What the GET brought. */
static void judge(struct candidate *one)
{
	one->result = call_finished(&one->call->call) ? one->call->call.result : -ETIMEDOUT;
	if (one->result)
		return;
	one->verdict = super_parse(buf_span(&one->call->body), &one->super);
}

static bool any_good(const struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (call_finished(&c->all[i].call->call) && !c->all[i].call->call.result)
			return true;
	return false;
}

int candidates_ask(struct candidates *c, uint64_t deadline_ns)
{
	struct call *calls[CONFIG_STORES_MAX];
	char name[SUPER_NAME_SIZE];
	uint64_t patience = clock_now() + SILENCE_NS;
	int finished = 0;

	super_object_name(0, name);
	for (size_t i = 0; i < c->n; i++) {
		const struct get_req req = { .name = span_str(name),
					     .limit = SUPER_SIZE_MAX,
					     .deadline_ns = deadline_ns };
		int r = store_get(c->all[i].store, &req, &c->all[i].call);

		if (r)
			return r;
		calls[i] = &c->all[i].call->call;
	}
	calls_wait(calls, c->n, c->n, MIN(patience, deadline_ns));
	while (!any_good(c) && finished < (int)c->n) {
		/* Nobody has answered well yet: each further answer may be the one. */
		int r = calls_wait(calls, c->n, (size_t)finished + 1, deadline_ns);

		if (r == -ETIMEDOUT)
			break;
		finished = r;
	}
	for (size_t i = 0; i < c->n; i++) {
		call_cancel(calls[i]);
		judge(&c->all[i]);
	}
	return 0;
}

/* Nothing usable came: why, in the order of how much it tells. */
static int explain_nothing(const struct candidates *c, char *err, size_t err_size)
{
	const struct candidate *failed = NULL;
	size_t missing = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct candidate *one = &c->all[i];

		if (!one->result && one->verdict == SUPER_NEW_FORMAT)
			return say(
				-EPROTO, err, err_size,
				"store %s: the volume was written by a newer mangrove than %s; "
				"upgrade this machine",
				one->cfg->name, MANGROVE_VERSION);
		if (!one->result)
			return say(
				-EBADMSG, err, err_size,
				"store %s: damaged superblock (%s), "
				"and no other store has a good one",
				one->cfg->name, one->store->url);
		if (one->result == STORE_MISSING)
			missing++;
		else if (!failed)
			failed = one;
	}
	if (failed)
		return say(failed->result < 0 ? failed->result : -EIO, err, err_size,
			   "store %s: %s (%s)%s", failed->cfg->name,
			   *failed->call->detail ? failed->call->detail :
			   failed->result < 0	 ? strerror(-failed->result) :
						   "it does not answer",
			   failed->store->url, missing ? "; the others hold no volume" : "");
	return say(-ENOENT, err, err_size, "no volume at %s%s; 'mangrove format' creates one",
		   c->all[0].store->url, c->n > 1 ? " and the other stores" : "");
}

static int refuse_other(const struct candidate *one, const uint8_t found[16],
			const char *expected_of, char *err, size_t err_size)
{
	char id[33];

	hex_encode(span_of(found, 16), id);
	return say(-EINVAL, err, err_size, "store %s: another volume (%s) is at %s than %s",
		   one->cfg->name, id, one->store->url, expected_of);
}

static void tell_damaged(const struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->all[i].result && !c->all[i].super)
			log_error("super", "damaged superblock", "store=%s", c->all[i].cfg->name);
		else if (c->all[i].result == STORE_MISSING)
			log_error("super",
				  "a store of this volume holds no superblock; was it emptied?",
				  "store=%s", c->all[i].cfg->name);
		else if (c->all[i].result)
			log_warn("super", "a store does not answer", "store=%s detail=\"%s\"",
				 c->all[i].cfg->name, c->all[i].call->detail);
}

int candidates_choose(struct candidates *c, const struct config *cfg, struct candidate **ret,
		      char *err, size_t err_size)
{
	struct candidate *best = NULL;

	for (size_t i = 0; i < c->n; i++) {
		struct candidate *one = &c->all[i];

		if (!one->super)
			continue;
		if (cfg->has_id && memcmp(one->super->volume_id, cfg->id, 16))
			return refuse_other(one, one->super->volume_id, "the configuration names",
					    err, err_size);
		if (best && memcmp(one->super->volume_id, best->super->volume_id, 16))
			return refuse_other(one, one->super->volume_id, best->cfg->name, err,
					    err_size);
		if (!best || one->super->slot > best->super->slot)
			best = one;
	}
	if (!best)
		return explain_nothing(c, err, err_size);
	tell_damaged(c);
	*ret = best;
	return 0;
}

int volume_unlock(const struct super *s, const struct key_source *src, struct sealer **ret,
		  char *err, size_t err_size)
{
	_cleanup_(secret_freep) struct secret *secret = NULL;
	int r = key_source_read(src, &secret, err, err_size);

	if (r)
		return r;
	r = super_unlock(s, src->type, secret, ret);
	if (r == SUPER_WRONG_KEY)
		return say(-EACCES, err, err_size, "wrong key: the %s %s does not open this volume",
			   key_type_name(src->type), src->where);
	if (r == SUPER_WEAK)
		return say(
			-EACCES, err, err_size,
			"weak KDF parameters: the superblock asks for less than %llu MiB and %u "
			"passes; somebody may have changed it",
			KDF_MEMORY_MIN / MiB, KDF_PASSES_MIN);
	if (r == SUPER_DAMAGED)
		return say(-EBADMSG, err, err_size,
			   "damaged superblock: its key slot does not open");
	return r;
}

/* Opens the sealed parts; a copy that does not open is as good as none. */
static int open_sealed(struct candidates *c, struct volume *v, const struct super **ret, char *err,
		       size_t err_size)
{
	for (size_t i = 0; i < c->n; i++) {
		struct candidate *one = &c->all[i];
		int r;

		if (!one->super)
			continue;
		r = super_open(one->super, v->sealer, buf_span(&one->call->body));
		if (r < 0)
			return r;
		if (r) {
			log_error("super", "damaged superblock", "store=%s", one->cfg->name);
			one->super = super_free(one->super);
		} else if (!*ret || one->super->slot > (*ret)->slot) {
			*ret = one->super;
		}
	}
	if (!*ret)
		return say(-EBADMSG, err, err_size,
			   "damaged superblock at every store that answers");
	return 0;
}

static int by_name(const struct super *s, const char *name)
{
	for (size_t i = 0; i < s->n_stores; i++)
		if (!strcmp(s->stores[i].name, name))
			return (int)i;
	return -1;
}

static int by_url(const struct super *s, const char *url)
{
	for (size_t i = 0; i < s->n_stores; i++)
		if (!strcmp(s->stores[i].url, url))
			return (int)i;
	return -1;
}

/*
 * Which of the volume's stores is it? Its own superblock says it; where there is none, the name
 * that a person gave it, and its URL. -1: none.
 */
static int number_of(const struct candidate *one, const struct super *s, bool named)
{
	int at;

	if (one->super)
		return (int)one->super->self;
	at = named ? by_name(s, one->cfg->name) : by_url(s, one->cfg->url);
	if (at >= 0)
		return at;
	return named ? by_url(s, one->cfg->url) : by_name(s, one->cfg->name);
}

static int assign(struct candidates *c, const struct super *s, bool named,
		  struct candidate *ret[SUPER_STORES_MAX], char *err, size_t err_size)
{
	for (size_t i = 0; i < c->n; i++) {
		struct candidate *one = &c->all[i];
		int at = number_of(one, s, named);

		if (at < 0 || at >= (int)s->n_stores)
			return say(-EINVAL, err, err_size,
				   "store %s (%s) is not one of this volume's", one->cfg->name,
				   one->store->url);
		if (ret[at])
			return say(
				-EINVAL, err, err_size,
				"stores %s and %s hold the same replica; "
				"one is a copy of the other",
				ret[at]->cfg->name, one->cfg->name);
		ret[at] = one;
	}
	return 0;
}

static int check_rollback(const struct candidate *one, const struct volume *v,
			  const struct super_store *st, char *err, size_t err_size)
{
	_cleanup_free_ char *file = NULL;
	const struct super *s = one->super;

	if (asprintf(&file, "%s/seen", v->cache_dir) < 0)
		return fail(-ENOMEM);
	if (!v->options->accept_rollback && seen_check(file, st->id, s->slot, s->hash))
		return say(
			-ESTALE, err, err_size,
			"store %s shows an older superblock than this machine has seen there "
			"(rollback); if it was restored on purpose, mount with -o accept_rollback",
			one->cfg->name);
	seen_note(file, st->id, s->slot, s->hash);
	return 0;
}

/* Number `at` of the volume: the configured store, or one that the superblock alone knows. */
static int add_replica(struct volume *v, struct candidate *one, const struct super_store *st,
		       bool rename, char *err, size_t err_size)
{
	const struct config_store by_list = { .name = st->name, .url = st->url };
	struct replica_options ro = { .read_price = one ? MAX(0, one->cfg->prices.read_gb) : 0 };
	struct store *store = NULL;
	int r;

	if (one)
		store = take_ptr(&one->store);
	else {
		r = open_one(&by_list, &store, err, err_size);
		if (r)
			return r;
	}
	if (rename)
		snprintf(store->name, sizeof(store->name), "%s", st->name);
	r = replicas_add(v->replicas, store, &ro);
	if (r < 0)
		return r;
	assert((unsigned)r == v->n_stores); /* (V1) */
	memcpy(v->store_ids[r], st->id, 16);
	if (st->roles & STORE_ROLE_DATA)
		v->data_stores |= 1ull << r;
	if (st->roles & STORE_ROLE_JOURNAL)
		v->journal_stores |= 1ull << r;
	v->n_stores++;
	if (one && one->super)
		volume_super_note(v, (unsigned)r, one->super);
	if (one && one->result && one->result != STORE_MISSING)
		replicas_observe(v->replicas, (unsigned)r, one->result, SILENCE_NS, 0);
	return 0;
}

int candidates_place(struct candidates *c, struct volume *v, const struct super **ret, char *err,
		     size_t err_size)
{
	struct candidate *at[SUPER_STORES_MAX] = { NULL };
	const struct super *s = NULL;
	int r = open_sealed(c, v, &s, err, err_size);

	if (!r)
		r = assign(c, s, v->config->file != NULL, at, err, err_size);
	if (!r)
		r = replicas_new(&(struct replicas_options){ 0 }, &v->replicas);
	for (size_t i = 0; !r && i < s->n_stores; i++) {
		if (at[i] && at[i]->super && !at[i]->unlisted)
			r = check_rollback(at[i], v, &s->stores[i], err, err_size);
		/* Of bare URLs nobody chose the names: the volume's own are better. */
		if (!r)
			r = add_replica(v, at[i], &s->stores[i], !v->config->file, err, err_size);
	}
	if (!r)
		*ret = s;
	return r;
}
