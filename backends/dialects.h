/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The kinds of store, each opened from its URL; open.c chooses by the scheme. */
#include "backends/open.h"
#include "backends/uri.h"

/* Each: 0; -EINVAL or -EACCES with a sentence for people in err; -ENOMEM. */
must_check int s3_open(const struct store_config *cfg, const struct uri *u, struct store **ret,
		       char *err, size_t err_size);
must_check int azure_open(const struct store_config *cfg, const struct uri *u, struct store **ret,
			  char *err, size_t err_size);
must_check int gcs_open(const struct store_config *cfg, const struct uri *u, struct store **ret,
			char *err, size_t err_size);
