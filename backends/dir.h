/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A folder as a store: the embedded default, also on a NAS; the reference that the clouds' dialects
 * are compared with.
 */
#include "backends/store.h"
#include "backends/uri.h"

/*
 * From a file:// URL. The folder must exist by the time of a request; a missing one is like a
 * missing bucket. 0; -EINVAL with a sentence; -ENOMEM.
 */
must_check int dir_store_open(const char *name, const char *url, const struct uri *uri,
			      struct store **ret, char *err, size_t err_size);
