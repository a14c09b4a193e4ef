/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Any operation of a store as one value, so that the entrances and the drills treat all alike.
 */
#include "backends/upload.h"

struct store_request {
	enum store_op op;
	struct store_upload *upload; /* borrowed: upload_*, but for begin's until it is made */
	union {
		struct get_req get;
		struct put_req put;
		struct head_req head;
		struct list_req list;
		struct remove_req remove;
		struct copy_req copy;
		struct describe_req describe;
		struct upload_req begin;
		struct upload_part_req part;
		uint64_t deadline_ns; /* finish, abort */
	};
};

/* Those whose outcome matters when it is not known (S4). */
static inline bool store_op_publishes(enum store_op op)
{
	return op == STORE_PUT || op == STORE_REMOVE || op == STORE_COPY ||
	       op == STORE_DESCRIBE || op == STORE_UPLOAD_FINISH;
}

/* Checks, counts and starts. 0, -EINVAL, -ENOMEM. */
must_check int store_start(struct store *s, const struct store_request *r, call_fn *then, void *arg,
			   struct store_call **ret);
/* Waits, to the deadline and a little more. */
int store_wait(struct store_call *c, uint64_t deadline_ns);
/* Both. */
int store_run(struct store *s, const struct store_request *r, struct store_call **ret_call);
/* What can be asked at all. */
bool store_request_is_good(const struct store *s, const struct store_request *r);
bool store_name_is_good(struct span name);
bool store_version_is_good(const char *v);
bool store_cond_is_good(enum put_cond cond, const char *if_match);

/* Hands the request to the implementer, who finishes the call. */
void store_dispatch(struct store *s, const struct store_request *r, struct store_call *c);
uint64_t store_request_deadline(const struct store_request *r);

/*
 * Plays a failure instead of (or, when slow, before) the real operation, on a task of its own.
 * Copies the request. 0; -ENOMEM: nothing was started and the call is not finished.
 */
must_check int drill_play(enum drill_mode mode, struct store *s, const struct store_request *r,
			  struct store_call *c);
/* By the call's end of life. Takes NULL, answers NULL. */
struct drill *drill_free(struct drill *d);
