/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What requests cost. A table of the providers' list prices, as of a date, stands in for what the
 * configuration does not say: real bills depend on region, class, volume and contract. Pure.
 */
#include "backends/store.h"

#define PRICE_LIST_DATE "2025-01" /* of the table in price.c */
#define PRICE_UNKNOWN	(-1.0)	  /* not configured */

/* In one currency, whichever the person who configures it thinks in; the list is in US dollars. */
struct prices {
	double read_gb, write_gb; /* a GB (10^9 bytes) out of the store, into it */
	/* A thousand requests: GET and HEAD; PUT, COPY, LIST and parts of uploads. A REMOVE is
	 * free everywhere. */
	double reads, writes;
};
extern const struct prices prices_unknown;
/* Of the provider of a URL: first tier, standard storage in a US region. A folder: zeros. */
struct prices price_list(const char *url);
/* The configured ones (PRICE_UNKNOWN: not), completed from the list. */
struct prices price_complete(const struct prices *configured, const char *url);

/* How a provider's bill sees a request. */
enum price_class { PRICE_READ, PRICE_WRITE, PRICE_FREE };
enum price_class price_class_of(enum store_op op);

struct spending {
	uint64_t reads, writes; /* requests, by class */
	uint64_t bytes_read, bytes_written;
};
struct spending spending_of(const struct store_stats *st);
double spending_cost(const struct spending *s, const struct prices *p);
