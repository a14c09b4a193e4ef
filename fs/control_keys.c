/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket does for the keys of the volume. Secrets never pass through it, but for a
 * new recovery key on its way to the person who asked for it.
 */
#include "fs/control_i.h"

#include "base/json.h"
#include "base/text.h"

static unsigned answer(struct json *takes, struct buf *ret)
{
	_cleanup_(json_freep) struct json *j = takes;

	return json_write(j, 1, ret) ? act_refuse(500, ret, "not enough memory") : 200;
}

static unsigned refuse(int e, const char *why, struct buf *ret)
{
	const unsigned status = e == -ENOENT ? 404 : e == -EBUSY || e == -ENOSPC ? 409 : 500;

	if (*why)
		return act_refuse(status, ret, "%s", why);
	return act_refuse(status, ret, "the key slots: %s", strerror(-e));
}

/* 0, or that there are none. */
static unsigned no_keys(const struct control *c, struct buf *ret)
{
	return is_bare(c->volume) ? act_refuse(409, ret, "a mount of buckets has no keys") : 0;
}

static bool number_param(const struct request_line *r, const char *name, uint64_t *ret)
{
	const char *text = r->param(r, name);

	return !text || !uint_parse(text, ret);
}

unsigned act_keys(struct control *c, const struct request_line *r, struct buf *ret)
{
	unsigned status = no_keys(c, ret);
	struct key_list l;
	int e;

	if (status)
		return status;
	e = volume_key_list(c->volume, &l);
	return e ? refuse(e, "", ret) : answer(key_list_json(&l), ret);
}

unsigned act_key_add(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *kind = r->param(r, "kind");
	struct key_source src = { .where = r->param(r, "where") };
	_cleanup_(key_added_release) struct key_added added = { .lacking = 0 };
	struct kdf_options kdf = { 0 };
	unsigned status = no_keys(c, ret);
	char why[512];
	int e;

	if (status)
		return status;
	if (!kind || key_type_parse(kind, &src.type) || !src.where)
		return act_refuse(400, ret, "kind= is one of file, passphrase, command, recovery, "
					    "and where= says where");
	if (!number_param(r, "kdf_memory", &kdf.memory) ||
	    !number_param(r, "kdf_passes", &kdf.passes))
		return act_refuse(400, ret, "kdf_memory= and kdf_passes= are numbers");
	e = volume_key_add(c->volume, &src, &kdf, &added, why, sizeof(why));
	return e ? refuse(e, why, ret) : answer(key_added_json(c->volume, &added), ret);
}

unsigned act_key_remove(struct control *c, const struct request_line *r, struct buf *ret)
{
	const char *force = r->param(r, "force");
	uint64_t number = UINT64_MAX, lacking = 0;
	unsigned status = no_keys(c, ret);
	char why[512];
	int e;

	if (status)
		return status;
	if (!number_param(r, "number", &number) || number > UINT8_MAX)
		return act_refuse(400, ret, "number= is the number of a key slot");
	e = volume_key_remove(c->volume, (unsigned)number, force && !strcmp(force, "1"), &lacking,
			      why, sizeof(why));
	return e ? refuse(e, why, ret) :
		   answer(key_removed_json(c->volume, (unsigned)number, lacking), ret);
}
