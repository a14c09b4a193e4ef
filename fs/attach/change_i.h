/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "fs/attach/attach.h"

/*
 * What a store does not copy at once (STORE_TOO_LARGE) it copies by parts; as store_copy_wait(),
 * but that of the metadata only what meta.h knows goes with it. store: its number in the
 * attachment. step_ns: how long one request may take.
 */
must_check int change_copy_parts(struct attached *a, unsigned store, const struct copy_req *req,
				 uint64_t step_ns, char ret_version[STORE_VERSION_MAX]);
