/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From a URL to a store: the one factory. */
#include "backends/store.h"

struct store_config {
	const char *name;        /* "aws" */
	const char *url;         /* s3://..., azblob://..., gs://..., file:///... with parameters */
	const char *credentials; /* a file, or NULL: where the provider's own tools look */
	const char *profile;     /* of the shared AWS files, or NULL */
};
/*
 * Opens a store (no request is sent yet). 0; -EINVAL or -EACCES with a sentence for people in err
 * ("unknown parameter 'regon' in s3://...: known are endpoint, region, ..."); -ENOMEM.
 */
must_check int store_open(const struct store_config *cfg, struct store **ret, char *err,
			  size_t err_size);
/* Is it a store's URL at all (by its scheme)? */
bool store_url_is(const char *url);
