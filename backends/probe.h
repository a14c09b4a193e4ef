/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Does a store keep the one promise everything stands on? Creates a random name under
 * "probe/" twice with put-if-absent; the second must be refused. Needs no rights but PUT and GET.
 * Also: the bucket exists, what is written is read back, and the clocks agree.
 */
#include "backends/store.h"

/*
 * 0; else negative errno with a sentence in err: what is wrong and what to do. *ret_skew_s: store's
 * clock minus ours.
 */
must_check int store_probe(struct store *s, uint64_t deadline_ns, int64_t *ret_skew_s, char *err,
			   size_t err_size);
/* For readers: the bucket answers and our credentials can GET. Writes nothing. */
must_check int store_check_read(struct store *s, uint64_t deadline_ns, int64_t *ret_skew_s,
				char *err, size_t err_size);
