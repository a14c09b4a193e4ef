/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The part of a store that all clouds have: where it is, whose it is, and how its names become
 * paths.
 */
#include "backends/creds.h"
#include "backends/request.h"
#include "backends/uri.h"

struct dialect;

/* First in each dialect's own struct. */
struct web {
	struct store store;
	const struct dialect *dialect;
	struct endpoint endpoint;
	char *bucket;        /* or container */
	char *prefix;        /* before every name: "" or "a/b/" */
	char *ca_file;       /* or NULL */
	unsigned idle_s;     /* how long a kept connection is trusted */
	struct creds *creds; /* NULL: anonymous */
	int64_t skew_s;      /* store's clock minus ours; atomic */
};

/* The store's prefix and the name as one string, owned. NULL: no memory. */
char *web_key(const struct web *w, struct span name);
/* The escaped path: parts are raw; slashes stay in `key`. Owned. NULL: no memory. */
char *web_path(const char *base, const char *bucket, const char *key, bool keep_slash);
/* Seconds since 1970 by the store's clock. */
uint64_t web_now(const struct web *w);
/* -EINVAL with a sentence when it cannot be read; NULL is fine. */
must_check int web_check_ca(const char *ca_file, char *err, size_t err_size);
must_check int web_init(struct web *w, const struct store_ops *ops, const struct dialect *d,
			const char *name, const char *url, const char *prefix, const char *ca_file);
/* For store_ops.free: releases all and frees w itself. */
void web_free(struct store *s);
