/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Any operation of a store as one value, so that the entrances and the drills treat all five alike.
 */
#include "backends/store.h"

struct store_request {
	enum store_op op;
	union {
		struct get_req get;
		struct put_req put;
		struct head_req head;
		struct list_req list;
		struct remove_req remove;
	};
};

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
