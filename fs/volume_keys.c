/* SPDX-License-Identifier: Apache-2.0 */
/* What opens a volume: added, removed, listed while it is mounted. */
#include "fs/volume_i.h"

#include <stdio.h>

#include "fs/ns/lookup.h"
#include "fs/ns/op.h"
#include "fs/seal_i.h"

#define KEYSLOT_NS (60 * NS_PER_S)
/* Others may take the same free number meanwhile. */
#define ADD_ATTEMPTS 4

static int add_to_list(unsigned number, struct span slot, void *arg)
{
	struct key_list *l = arg;

	if (number >= KEYSLOTS_MAX)
		return fail(-EBADMSG);
	l->there |= 1ull << number;
	if (!key_slot_decode(slot, &l->slots[number]))
		l->known |= 1ull << number;
	return 0;
}

int volume_key_list(struct volume *v, struct key_list *ret)
{
	int r;

	*ret = (struct key_list){ .there = 0 };
	r = ns_keyslots(commit_lock(v->commit), add_to_list, ret);
	commit_unlock(v->commit);
	return r;
}

/* Adds the slot, or (slot NULL) removes it. 0, or the operation's error. */
static int change(struct volume *v, unsigned number, const struct key_slot *slot)
{
	_cleanup_buf_ struct buf value = BUF_INIT(KEYSLOT_SIZE_MAX);
	struct op op = { .kind = OP_KEYSLOT, .off = number };
	struct result res;
	int r = slot ? key_slot_encode(slot, &value) : 0;

	if (r)
		return r;
	op.value = buf_span(&value);
	return commit_op_wait(v->commit, &op, clock_now() + KEYSLOT_NS, &res);
}

static int wrap(struct volume *v, unsigned number, enum key_type type, const struct secret *secret,
		const struct kdf_options *kdf, struct key_slot *ret, char *err, size_t err_size)
{
	const uint32_t epoch = sealer_epoch(v->sealer);
	int r = key_slot_wrap(v->id, epoch, sealer_key(v->sealer, epoch), (uint8_t)number, type,
			      secret, kdf, ret);

	return r == KEY_WEAK ? say(-EINVAL, err, err_size, KEY_WEAK_TEXT, KDF_MEMORY_MIN / MiB,
				   KDF_PASSES_MIN) :
			       r;
}

static int add(struct volume *v, enum key_type type, const struct secret *secret,
	       const struct kdf_options *kdf, unsigned *ret_number, char *err, size_t err_size)
{
	int r = -EEXIST;

	for (unsigned i = 0; r == -EEXIST && i < ADD_ATTEMPTS; i++) {
		struct key_list l;
		struct key_slot slot;

		r = volume_key_list(v, &l);
		if (r)
			return r;
		if (l.there == (1ull << KEYSLOTS_MAX) - 1)
			return say(-ENOSPC, err, err_size,
				   "all %u key slots are in use; remove one first", KEYSLOTS_MAX);
		*ret_number = (unsigned)__builtin_ctzll(~l.there);
		r = wrap(v, *ret_number, type, secret, kdf, &slot, err, err_size);
		if (!r)
			r = change(v, *ret_number, &slot);
	}
	return r;
}

int volume_key_add(struct volume *v, const struct key_source *src, const struct kdf_options *kdf,
		   struct key_added *ret, char *err, size_t err_size)
{
	_cleanup_(secret_freep) struct secret *secret = NULL, *text = NULL;
	int r;

	*err = '\0';
	if (src->type == KEY_RECOVERY)
		r = recovery_key_new(&secret, &text);
	else
		r = key_source_read(src, &secret, err, err_size);
	if (!r)
		r = add(v, src->type, secret, kdf, &ret->number, err, err_size);
	if (!r)
		r = volume_super_write(v, &ret->lacking);
	if (!r)
		ret->recovery = take_ptr(&text);
	return r;
}

/* Does this mount's own secret open that slot and no other? */
static int is_ours_alone(struct volume *v, const struct key_list *l, unsigned number, bool *ret,
			 char *err, size_t err_size)
{
	const struct key_source src = volume_key_source(v);
	_cleanup_(secret_freep) struct secret *secret = NULL;
	bool opens = false, others = false;
	int r = key_source_read(&src, &secret, err, err_size);

	for (unsigned i = 0; !r && i < KEYSLOTS_MAX; i++) {
		uint8_t key[32];

		if (!(l->known >> i & 1) || !super_may_open(l->slots[i].type, src.type))
			continue;
		if (key_slot_unwrap(&l->slots[i], v->id, secret, key) != 0)
			continue;
		wipe(key, sizeof(key));
		opens |= i == number;
		others |= i != number;
	}
	*ret = opens && !others;
	return r;
}

int volume_key_remove(struct volume *v, unsigned number, bool force, uint64_t *ret_lacking,
		      char *err, size_t err_size)
{
	struct key_list l;
	bool ours = false;
	int r = volume_key_list(v, &l);

	*err = '\0';
	if (!r && (number >= KEYSLOTS_MAX || !(l.there >> number & 1)))
		return say(-ENOENT, err, err_size, "there is no key slot %u", number);
	if (!r && !force)
		r = is_ours_alone(v, &l, number, &ours, err, err_size);
	if (r)
		return r;
	if (ours)
		return say(-EBUSY, err, err_size,
			   "key slot %u is the one that opens the volume here; add another key "
			   "first, or use --force",
			   number);
	r = change(v, number, NULL);
	if (r == -EBUSY)
		return say(r, err, err_size,
			   "key slot %u is the only one; without it nothing opens the volume",
			   number);
	return r ? r : volume_super_write(v, ret_lacking);
}

/* ---- for programs ---- */

static struct json *slot_json(unsigned number, bool known, const struct key_slot *k)
{
	struct json *one = json_object_new();

	json_set_uint(one, "number", number);
	json_set_str(one, "kind", known ? key_type_name(k->type) : "unknown");
	if (known) {
		json_set_uint(one, "key_epoch", k->epoch);
		json_set_uint(one, "kdf_memory", k->memory);
		json_set_uint(one, "kdf_passes", k->passes);
	}
	return one;
}

struct json *key_list_json(const struct key_list *l)
{
	struct json *slots = json_array_new();

	for (unsigned i = 0; i < KEYSLOTS_MAX; i++)
		if (l->there >> i & 1)
			json_append(slots, slot_json(i, l->known >> i & 1, &l->slots[i]));
	return slots;
}

struct json *key_removed_json(const struct volume *v, unsigned number, uint64_t lacking)
{
	struct json *j = json_object_new(), *names = json_array_new();

	json_set_uint(j, "number", number);
	for (unsigned i = 0; i < v->n_stores; i++)
		if (lacking >> i & 1)
			json_append_str(names, replicas_store(v->replicas, i)->name);
	json_set(j, "lacking", names);
	return j;
}

struct json *key_added_json(const struct volume *v, const struct key_added *a)
{
	struct json *j = key_removed_json(v, a->number, a->lacking);

	if (a->recovery)
		json_set_str(j, "recovery_key", (const char *)secret_bytes(a->recovery));
	return j;
}

void key_added_release(struct key_added *a)
{
	secret_free(a->recovery);
}
