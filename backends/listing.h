/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A page of names, whoever wrote it: the parsers of three dialects, and what makes their
 * pages alike. Pure.
 *
 * (G1) Names leave in byte order, without the store's own prefix, only those after `after`.
 * (G2) Some providers cannot start after a name, or tell a prefix again on later pages; so
 *      the token that we hand out carries, besides the provider's own, what the next page has to
 *      leave out.
 */
#include "backends/store.h"

struct listing {
	struct list_entry *entries; /* names as the provider tells them */
	size_t n;
	char *token; /* of the provider; NULL at the end */
	size_t room; /* private */
};
void listing_release(struct listing *l);
#define _cleanup_listing_ _cleanup_(listing_release)

/* 0; -EBADMSG: not such a document, or one that contradicts itself; -ENOMEM. */
must_check int listing_parse_s3(struct span body, struct listing *ret);
must_check int listing_parse_azure(struct span body, struct listing *ret);
must_check int listing_parse_gcs(struct span body, struct listing *ret);

/* What a page has to leave out. Strings or NULL. */
struct listing_state {
	char *after;       /* names up to this one (with the store's prefix) */
	char *last_prefix; /* common prefixes up to this one */
	char *token;       /* the provider's own */
};
void listing_state_release(struct listing_state *s);
#define _cleanup_listing_state_ _cleanup_(listing_state_release)
/* The token of the next page as text, owned. NULL: no memory. */
char *listing_state_write(const struct listing_state *s);
/* 0, -EINVAL (not one of ours), -ENOMEM. */
must_check int listing_state_read(const char *token, struct listing_state *ret);

/*
 * (G1): drops what the state leaves out and names that do not begin with store_prefix, strips that
 * prefix, sorts. An empty name (the prefix itself as an object) is dropped.
 */
void listing_finish(struct listing *l, const char *store_prefix, const struct listing_state *state);
/* An ETag in the one form that goes into headers: with quotes. */
void etag_copy(struct span s, char ret[STORE_VERSION_MAX]);
