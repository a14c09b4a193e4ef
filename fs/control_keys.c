/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket does for the keys of the volume. Secrets never pass through it, but for a
 * new recovery key on its way to the person who asked for it. */
#include "fs/control_i.h"

#include "base/json.h"
#include "base/text.h"

/* The volume, or NULL with *ret_status. */
static struct volume *volume_of(struct control *c, struct buf *ret, unsigned *ret_status)
{
	if (!is_bare(c->volume))
		return c->volume;
	*ret_status = act_refuse(409, ret, "a mount of buckets has no keys");
	return NULL;
}

static struct json *describe(unsigned number, bool known, const struct key_slot *k)
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

unsigned act_keys(struct control *c, const struct request_line *r, struct buf *ret)
{
	_cleanup_(json_freep) struct json *slots = json_array_new();
	struct key_list l;
	unsigned status;
	struct volume *v = volume_of(c, ret, &status);
	int e;

	if (!v)
		return status;
	e = volume_key_list(v, &l);
	if (e)
		return act_refuse(500, ret, "the key slots: %s", strerror(-e));
	for (unsigned i = 0; i < KEYSLOTS_MAX; i++)
		if (l.there >> i & 1)
			json_append(slots, describe(i, l.known >> i & 1, &l.slots[i]));
	return json_write(slots, 1, ret) ? 500 : 200;
}

static struct json *names_of(struct volume *v, uint64_t stores)
{
	struct json *names = json_array_new();

	for (unsigned i = 0; i < v->n_stores; i++)
		if (stores >> i & 1)
			json_append_str(names, replicas_store(v->replicas, i)->name);
	return names;
}

static unsigned answer(struct volume *v, unsigned number, uint64_t lacking, const char *recovery,
		       struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = json_object_new();

	json_set_uint(j, "number", number);
	json_set(j, "lacking", names_of(v, lacking));
	if (recovery)
		json_set_str(j, "recovery_key", recovery);
	return json_write(j, 1, ret) ? 500 : 200;
}

static unsigned refuse(int e, const char *why, struct buf *ret)
{
	const unsigned status = e == -ENOENT ? 404 : e == -EBUSY || e == -ENOSPC ? 409 : 500;

	if (*why)
		return act_refuse(status, ret, "%s", why);
	return act_refuse(status, ret, "the key slots were not changed: %s", strerror(-e));
}

static bool number_param(const struct request_line *r, const char *name, uint64_t *ret)
{
	const char *text = r->param(r, name);

	return !text || !uint_parse(text, ret);
}

unsigned act_key_add(struct control *c, const struct request_line *r, struct buf *ret)
{
	static const char *const kinds[] = { [KEY_NONE] = "recovery",
					     [KEY_PASSPHRASE] = "passphrase",
					     [KEY_FILE] = "file",
					     [KEY_COMMAND] = "command" };
	const char *kind = r->param(r, "kind");
	struct key_source src = { .where = r->param(r, "where") };
	struct key_added added = { .lacking = 0 };
	struct kdf_options kdf = { 0 };
	char why[512];
	unsigned status;
	struct volume *v = volume_of(c, ret, &status);
	int e;

	if (!v)
		return status;
	while (src.type < ARRAY_SIZE(kinds) && (!kind || strcmp(kinds[src.type], kind) != 0))
		src.type++;
	if (src.type == ARRAY_SIZE(kinds) || (src.type != KEY_NONE && !src.where))
		return act_refuse(400, ret, "kind= is one of file, passphrase, command (with "
					    "where=), recovery");
	if (!number_param(r, "kdf_memory", &kdf.memory) ||
	    !number_param(r, "kdf_passes", &kdf.passes))
		return act_refuse(400, ret, "kdf_memory= and kdf_passes= are numbers");
	e = volume_key_add(v, &src, &kdf, &added, why, sizeof(why));
	if (e)
		return refuse(e, why, ret);
	status = answer(v, added.number, added.lacking,
			added.recovery ? (const char *)secret_bytes(added.recovery) : NULL, ret);
	secret_free(added.recovery);
	return status;
}

unsigned act_key_remove(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *force = r->param(r, "force");
	uint64_t number = UINT64_MAX, lacking = 0;
	char why[512];
	unsigned status;
	struct volume *v = volume_of(c, ret, &status);
	int e;

	if (!v)
		return status;
	if (!number_param(r, "number", &number) || number > UINT8_MAX)
		return act_refuse(400, ret, "number= is the number of a key slot");
	e = volume_key_remove(v, (unsigned)number, force && !strcmp(force, "1"), &lacking, why,
			      sizeof(why));
	return e ? refuse(e, why, ret) : answer(v, (unsigned)number, lacking, NULL, ret);
}
