/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account of an upload: which parts are there, and what may come next.
 *
 * (K1) A part is entered before its call's end can be seen: who has waited for it may go on.
 * (K2) Nothing is asked of the server that cannot be right: sizes and order are settled here.
 */
#include "backends/upload_i.h"

#include "backends/store_i.h"
#include "base/crc.h"

#include <stdio.h>

/* ---- limits ---- */

const struct upload_limits *store_upload_limits(const struct store *s)
{
	return s->ops->upload_limits;
}

uint64_t store_upload_part_size(const struct store *s, uint64_t size, uint64_t wanted)
{
	const struct upload_limits *l = store_upload_limits(s);
	uint64_t needed;

	if (!l || size > l->object_max)
		return 0;
	needed = MAX(size / l->parts_max + (size % l->parts_max != 0), l->part_min);
	needed = MAX(needed, MIN(wanted, l->part_max));
	needed += (l->part_unit - needed % l->part_unit) % l->part_unit;
	return needed > l->part_max ? 0 : needed;
}

static bool part_size_is_good(const struct upload_limits *l, uint64_t size)
{
	return size >= l->part_min && size <= l->part_max && size % l->part_unit == 0;
}

/* ---- an upload's life ---- */

static struct store_upload *upload_new(struct store *s, const struct upload_req *r)
{
	struct store_upload *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->store = s;
	snprintf(u->name, sizeof(u->name), "%.*s", SPAN_FMT(r->name));
	if (r->meta)
		u->meta = *r->meta;
	u->cond = r->cond;
	snprintf(u->if_match, sizeof(u->if_match), "%s", r->if_match ? r->if_match : "");
	u->part_size = r->part_size;
	u->copies = r->copies;
	lock_init(&u->sync.lock, RANK_LEAF);
	u->sync.refs = 1;
	return u;
}

struct store_upload *store_upload_ref(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	u->sync.refs++;
	return u;
}

struct store_upload *store_upload_unref(struct store_upload *u)
{
	bool last;

	if (!u)
		return NULL;
	lock_take(&u->sync.lock);
	last = --u->sync.refs == 0;
	lock_give(&u->sync.lock);
	if (!last)
		return NULL;
	if (u->free_data)
		u->free_data(u->data);
	blob_unref(u->sync.tail);
	lock_release(&u->sync.lock);
	free(u->sync.parts);
	free(u->id);
	free(u);
	return NULL;
}

const char *store_upload_name(const struct store_upload *u)
{
	return u->name;
}

const char *store_upload_id(const struct store_upload *u)
{
	return store_upload_limits(u->store)->named ? u->id : NULL;
}

int store_upload_recall(struct store *s, struct span name, const char *id,
			struct store_upload **ret)
{
	const struct upload_req r = { .name = name };
	struct store_upload *u;

	if (!store_upload_limits(s) || !store_upload_limits(s)->named ||
	    !store_name_is_good(name) || !*id)
		return fail(-EINVAL);
	u = upload_new(s, &r);
	if (u)
		u->id = strdup(id);
	if (!u || !u->id) {
		store_upload_unref(u);
		return fail(-ENOMEM);
	}
	u->sync.doubtful = true; /* nobody knows what is still on its way */
	*ret = u;
	return 0;
}

/* ---- the account ---- */

unsigned upload_parts(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.n;
}

uint64_t upload_size(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.n ? upload_offset(u, u->sync.n - 1) + u->sync.parts[u->sync.n - 1].len : 0;
}

bool upload_crc32c(struct store_upload *u, uint32_t *ret)
{
	LOCK_SCOPE(&u->sync.lock);
	uint32_t crc = 0;

	for (unsigned i = 0; i < u->sync.n; i++) {
		const struct upload_part *p = &u->sync.parts[i];

		if (!p->has_crc32c)
			return false;
		crc = crc32c_join(crc, p->crc32c, p->len);
	}
	*ret = crc;
	return true;
}

void upload_know_crc32c(struct store_upload *u, unsigned index, uint32_t crc)
{
	LOCK_SCOPE(&u->sync.lock);
	u->sync.parts[index].crc32c = crc;
	u->sync.parts[index].has_crc32c = true;
}

bool upload_is_doubtful(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.doubtful;
}

void upload_keep_tail(struct store_upload *u, struct blob *body)
{
	LOCK_SCOPE(&u->sync.lock);
	blob_unref(u->sync.tail);
	u->sync.tail = blob_ref(body);
}

struct blob *upload_tail(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.tail ? blob_ref(u->sync.tail) : NULL;
}

/* ---- parts ---- */

static int make_room_locked(struct store_upload *u, unsigned index)
{
	unsigned room = MAX(index + 1, 2 * u->sync.room);
	struct upload_part *parts;

	if (index < u->sync.room)
		return 0;
	parts = reallocarray(u->sync.parts, room, sizeof(*parts));
	if (!parts)
		return fail(-ENOMEM);
	memset(parts + u->sync.room, 0, (room - u->sync.room) * sizeof(*parts));
	u->sync.parts = parts;
	u->sync.room = room;
	return 0;
}

static bool all_done_locked(const struct store_upload *u)
{
	for (unsigned i = 0; i < u->sync.n; i++)
		if (!u->sync.parts[i].done ||
		    (i + 1 < u->sync.n && u->sync.parts[i].len != u->part_size))
			return false;
	return u->sync.n > 0;
}

static bool is_in_turn_locked(const struct store_upload *u, unsigned index)
{
	const struct upload_limits *l = store_upload_limits(u->store);

	if (l->parts_at_once > 1)
		return true;
	return u->sync.under_way == 0 && index <= u->sync.n && index + 1 >= u->sync.n &&
	       (index == 0 ||
		(u->sync.parts[index - 1].done && u->sync.parts[index - 1].len == u->part_size));
}

static bool part_is_good(const struct store_upload *u, const struct upload_part_req *r,
			 uint64_t len)
{
	const struct upload_limits *l = store_upload_limits(u->store);

	if (r->index >= l->parts_max || len == 0 || len > u->part_size)
		return false;
	return r->body || (l->copies_parts && store_name_is_good(r->from) &&
			   r->offset <= INT64_MAX - r->length &&
			   (!r->from_match || store_version_is_good(r->from_match)));
}

static int part_begin(struct store_upload *u, const struct upload_part_req *r)
{
	uint64_t len = r->body ? blob_span(r->body).len : r->length;
	struct upload_part p = { .len = len, .has_crc32c = r->body != NULL };
	int error;

	if (!part_is_good(u, r, len))
		return fail(-EINVAL);
	if (r->body)
		p.crc32c = blob_crc32c(r->body);
	LOCK_SCOPE(&u->sync.lock);
	if (!is_in_turn_locked(u, r->index))
		return fail(-EINVAL);
	error = make_room_locked(u, r->index);
	if (error < 0)
		return error;
	u->sync.parts[r->index] = p;
	u->sync.n = MAX(u->sync.n, r->index + 1);
	u->sync.under_way++;
	return 0;
}

static void part_unbegin(struct store_upload *u)
{
	LOCK_SCOPE(&u->sync.lock);
	u->sync.under_way--;
}

void upload_ended(struct store_call *c, int result)
{
	struct store_upload *u = c->upload;
	struct upload_part *p;

	if (c->op != STORE_UPLOAD_PART)
		return;
	LOCK_SCOPE(&u->sync.lock);
	p = &u->sync.parts[c->entrance.part];
	p->done = result == 0;
	memcpy(p->version, c->version, sizeof(p->version));
	u->sync.doubtful |= result != 0 && !c->executed_not;
	u->sync.under_way--;
}

/* ---- the entrances ---- */

static int begin(struct store *s, const struct upload_req *r, bool wait, struct store_call **ret)
{
	const struct upload_limits *l = store_upload_limits(s);
	_cleanup_(store_upload_unrefp) struct store_upload *u = NULL;
	struct store_request q = { .op = STORE_UPLOAD_BEGIN, .begin = *r };

	if (!l || !store_name_is_good(r->name) || !store_cond_is_good(r->cond, r->if_match) ||
	    !part_size_is_good(l, r->part_size) || (r->meta && !object_meta_is_good(r->meta)))
		return fail(-EINVAL);
	q.upload = u = upload_new(s, r);
	if (!u)
		return fail(-ENOMEM);
	return wait ? store_run(s, &q, ret) : store_start(s, &q, NULL, NULL, ret);
}

static int part(struct store_upload *u, const struct upload_part_req *r, call_fn *done, void *arg,
		struct store_call **ret)
{
	const struct store_request q = { .op = STORE_UPLOAD_PART, .upload = u, .part = *r };
	int error = part_begin(u, r);

	if (error < 0)
		return error;
	error = store_start(u->store, &q, done, arg, ret);
	if (error < 0)
		part_unbegin(u);
	return error;
}

/* Neither ends an upload while a part is under way. */
static bool may_end(struct store_upload *u, enum store_op op)
{
	LOCK_SCOPE(&u->sync.lock);
	return u->sync.under_way == 0 && (op == STORE_UPLOAD_ABORT || all_done_locked(u));
}

static int end(struct store_upload *u, enum store_op op, uint64_t deadline_ns, bool wait,
	       struct store_call **ret)
{
	const struct store_request q = { .op = op, .upload = u, .deadline_ns = deadline_ns };

	if (!may_end(u, op))
		return fail(-EINVAL);
	return wait ? store_run(u->store, &q, ret) : store_start(u->store, &q, NULL, NULL, ret);
}

int store_upload_begin(struct store *s, const struct upload_req *r, struct store_call **ret)
{
	return begin(s, r, false, ret);
}

int store_upload_part_then(struct store_upload *u, unsigned index, struct blob *body,
			   uint64_t deadline_ns, call_fn *done, void *arg, struct store_call **ret)
{
	const struct upload_part_req r = { .index = index,
					   .body = body,
					   .deadline_ns = deadline_ns };

	return body ? part(u, &r, done, arg, ret) : fail(-EINVAL);
}

int store_upload_part(struct store_upload *u, unsigned index, struct blob *body,
		      uint64_t deadline_ns, struct store_call **ret)
{
	return store_upload_part_then(u, index, body, deadline_ns, NULL, NULL, ret);
}

int store_upload_copy_part(struct store_upload *u, unsigned index, struct span from,
			   const char *from_match, uint64_t offset, uint64_t length,
			   uint64_t deadline_ns, struct store_call **ret)
{
	const struct upload_part_req r = { .index = index,
					   .from = from,
					   .from_match = from_match,
					   .offset = offset,
					   .length = length,
					   .deadline_ns = deadline_ns };

	return part(u, &r, NULL, NULL, ret);
}

int store_upload_finish(struct store_upload *u, uint64_t deadline_ns, struct store_call **ret)
{
	return end(u, STORE_UPLOAD_FINISH, deadline_ns, false, ret);
}

int store_upload_abort(struct store_upload *u, uint64_t deadline_ns, struct store_call **ret)
{
	return end(u, STORE_UPLOAD_ABORT, deadline_ns, false, ret);
}

/* ---- start and wait ---- */

int store_upload_begin_wait(struct store *s, const struct upload_req *r,
			    struct store_call **ret_call)
{
	*ret_call = NULL;
	return begin(s, r, true, ret_call);
}

int store_upload_part_wait(struct store_upload *u, unsigned index, struct blob *body,
			   uint64_t deadline_ns, struct store_call **ret_call)
{
	int error;

	*ret_call = NULL;
	error = store_upload_part(u, index, body, deadline_ns, ret_call);
	return error < 0 ? error : store_wait(*ret_call, deadline_ns);
}

int store_upload_finish_wait(struct store_upload *u, uint64_t deadline_ns,
			     struct store_call **ret_call)
{
	*ret_call = NULL;
	return end(u, STORE_UPLOAD_FINISH, deadline_ns, true, ret_call);
}

int store_upload_abort_wait(struct store_upload *u, uint64_t deadline_ns,
			    struct store_call **ret_call)
{
	*ret_call = NULL;
	return end(u, STORE_UPLOAD_ABORT, deadline_ns, true, ret_call);
}
