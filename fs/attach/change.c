/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attach/change.h"

#include "backends/retry.h"
#include "fs/attach/change_i.h"

#include <stdio.h>

#define MIRROR_NS (15 * NS_PER_S)

/* One request at one store, until it is known how it ended. */
struct change {
	struct attached *a;
	uint64_t step_ns; /* of one request, where there are several */
	const struct bucket_entry *e;
	const char *key, *to_key;
	const struct bucket_entry *over;
	bool conditional;
	uint64_t deadline_ns;
	struct bucket_entry *ret;
};
typedef int change_fn(const struct change *c, struct store *s, unsigned i);

/* -errno for programs of what a store said. */
static int error_of(int result)
{
	switch (result) {
	case STORE_CHANGED:
	case STORE_MISSING:
		return -ESTALE;
	case STORE_EXISTS:
		return -EEXIST;
	case STORE_TOO_LARGE:
		return -EXDEV;
	case STORE_UNKNOWN:
		return -ETIMEDOUT;
	default:
		return result > 0 ? -EIO : result;
	}
}

static int until_known(const struct change *c, struct store *s, unsigned i, change_fn *fn)
{
	unsigned failed = 0;

	for (;;) {
		const int r = fn(c, s, i);

		if ((r != -EAGAIN && r != -ETIMEDOUT && r != STORE_UNKNOWN) ||
		    clock_now() >= c->deadline_ns)
			return r;
		sleep_until(MIN(c->deadline_ns,
				clock_now() + retry_delay_ns(++failed, 0, random_u64())));
	}
}

/*
 * (C3) Nobody waits long for a mirror, and one that is known to be down is not asked, if there is
 * another one. The first that answers decides.
 */
static int at_all(struct attached *a, struct change *c, change_fn *fn)
{
	const unsigned n = replicas_count(a->replicas);
	const uint64_t up = replicas_up(a->replicas), end = c->deadline_ns;
	uint64_t missed = 0;
	int error = 0;

	c->conditional = true;
	for (unsigned i = 0; i < n; i++) {
		const uint64_t begun = clock_now();
		int r = -EIO;

		if (n > 1)
			c->deadline_ns = MIN(end, begun + MIRROR_NS);
		if (!up || up >> i & 1) {
			r = until_known(c, replicas_store(a->replicas, i), i, fn);
			replicas_observe(a->replicas, i, r > 0 && r != STORE_UNKNOWN ? 0 : r,
					 clock_now() - begun, 0);
		}
		if (r > 0 && r != STORE_UNKNOWN && c->conditional)
			return error_of(r);
		if (r == 0)
			c->conditional = false;
		else
			missed |= 1ull << i;
		error = r ? r : error;
	}
	if (c->conditional)
		return error_of(error);
	return attach_missed(a, c->to_key ? c->to_key : c->key, missed);
}

static int remove_at(const struct change *c, struct store *s, unsigned i)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	const char *version = c->e ? c->e->version[i] : "";
	const struct remove_req req = { .name = span_str(c->key),
					.if_match = c->conditional && *version ? version : NULL,
					.deadline_ns = c->deadline_ns };
	int r = store_remove_wait(s, &req, &call);

	return r == STORE_MISSING ? 0 : r; /* an earlier attempt, or somebody else */
}

int change_remove(struct attached *a, const struct bucket_entry *e, uint64_t deadline_ns)
{
	struct change c = { .e = e, .key = e->key, .deadline_ns = deadline_ns };
	int r = at_all(a, &c, remove_at);

	if (r == 0)
		bucket_note_gone(a->bucket, e->ino);
	else if (r == -ESTALE)
		bucket_doubt(a->bucket, e->ino);
	return r;
}

int change_remove_dir(struct attached *a, const struct bucket_entry *e, uint64_t deadline_ns)
{
	struct change c = { .key = e->key, .deadline_ns = deadline_ns };
	int r = at_all(a, &c, remove_at);

	if (r == 0)
		bucket_note_gone(a->bucket, e->ino);
	return r;
}

static int mark_at(const struct change *c, struct store *s, unsigned i)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	_cleanup_(blob_unrefp) struct blob *empty = blob_new(0);
	const struct put_req req = { .name = span_str(c->key),
				     .body = empty,
				     .cond = PUT_IF_ABSENT,
				     .deadline_ns = c->deadline_ns };
	int r = empty ? store_put_wait(s, &req, &call) : -ENOMEM;

	/* a marker that is there already marks the same: perhaps one's own earlier attempt */
	return r == STORE_EXISTS ? 0 : r;
}

int change_make_dir(struct attached *a, const char *key, uint64_t deadline_ns)
{
	struct change c = { .key = key, .deadline_ns = deadline_ns };

	return at_all(a, &c, mark_at);
}

static int copy_at(const struct change *c, struct store *s, unsigned i)
{
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	const char *over = c->over ? c->over->version[i] : "";
	const struct copy_req req = {
		.from = span_str(c->key),
		.from_match = c->conditional && *c->e->version[i] ? c->e->version[i] : NULL,
		.to = span_str(c->to_key),
		.cond = !c->conditional	  ? PUT_ALWAYS :
			!c->over	  ? PUT_IF_ABSENT :
			*over		  ? PUT_IF_MATCH :
					    PUT_ALWAYS,
		.if_match = c->conditional && *over ? over : NULL,
		.deadline_ns = c->deadline_ns,
	};
	int r = store_copy_wait(s, &req, &call);

	if (r == STORE_TOO_LARGE)
		return change_copy_parts(c->a, i, &req, c->step_ns, c->ret->version[i]);
	if (r == 0)
		snprintf(c->ret->version[i], sizeof(c->ret->version[i]), "%s", call->version);
	return r;
}

int change_move(struct attached *a, const struct bucket_entry *e, const char *to_key,
		const struct bucket_entry *over, uint64_t deadline_ns, struct bucket_entry *ret)
{
	struct change c = { .a = a,
			    .step_ns = deadline_ns - MIN(deadline_ns, clock_now()),
			    .e = e,
			    .key = e->key,
			    .to_key = to_key,
			    .over = over,
			    .deadline_ns = deadline_ns,
			    .ret = ret };
	int r;

	*ret = *e;
	memset(ret->version, 0, sizeof(ret->version));
	snprintf(ret->key, sizeof(ret->key), "%s", to_key);
	r = at_all(a, &c, copy_at);
	if (r)
		return r;
	/* (C2) the copy may have taken long */
	return change_remove(a, e, MAX(deadline_ns, clock_now() + c.step_ns));
}
