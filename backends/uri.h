/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The URL of a store: scheme://AUTHORITY[/PATH][?name=value&...], and the address of an
 * HTTP server. Pure.
 */
#include "backends/pairs.h"

struct uri {
	char *scheme;    /* "s3" */
	char *authority; /* "bucket" or "account"; "" for file:// */
	char *path;      /* without the leading slash and without trailing ones; percent-decoded */
	struct pairs params;
};

/* 0; -EINVAL with a sentence in err; -ENOMEM. */
must_check int uri_parse(const char *url, struct uri *ret, char *err, size_t err_size);
void uri_release(struct uri *u);
#define _cleanup_uri_ _cleanup_(uri_release)

/*
 * Refuses a parameter that is not among `known` (NULL-terminated), naming those that are; url is
 * for the sentence.
 */
must_check int uri_check_params(const struct uri *u, const char *const *known, const char *url,
				char *err, size_t err_size);
/* The parameter's value (borrowed) or NULL. */
const char *uri_param(const struct uri *u, const char *name);
/* "true" "1" "yes" / "false" "0" "no"; absent: otherwise. -EINVAL with a sentence. */
must_check int uri_param_bool(const struct uri *u, const char *name, bool otherwise, bool *ret,
			      char *err, size_t err_size);

/* Where an HTTP server listens. */
struct endpoint {
	char *origin; /* "http://127.0.0.1:9000" */
	char *host;   /* as in the Host header: without the scheme's own port */
	char *path;   /* "" or "/base", no trailing slash */
	bool tls;
};
/*
 * "https://host[:port][/base]"; without a scheme: scheme_default ("http", "https"). 0, -EINVAL,
 * -ENOMEM.
 */
must_check int endpoint_parse(const char *text, const char *scheme_default, struct endpoint *ret);
void endpoint_release(struct endpoint *e);
/* An address, or localhost: such hosts have no names below them. */
bool endpoint_is_bare(const struct endpoint *e);
#define _cleanup_endpoint_ _cleanup_(endpoint_release)
