/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * AWS Signature Version 4 in its header form, from a request and a date. Pure. libcurl's own is
 * wrong in the versions of Debian 12 (it signs unsorted queries and encoded paths differently).
 */
#include "backends/pairs.h"

struct sigv4_key {
	const char *id;
	const char *secret;
	/*
	 * of a session, or NULL: the caller sends it as a header, which is signed like the others
	 */
	const char *token;
	const char *region;
	const char *service; /* "s3" */
};
struct sigv4_request {
	const char *method;
	const char *path;            /* escaped, exactly as sent; S3 escapes once */
	const char *query;           /* pairs_query()'s form */
	const struct pairs *headers; /* as sent; those that are not to be signed are skipped here */
	const char *payload_hash;    /* hex SHA-256, or UNSIGNED-PAYLOAD */
	const char *date;            /* iso_basic_date(), 16 characters */
};
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/*
 * Appends the canonical request and the names of the signed headers "a;b". For tests and for the
 * signature.
 */
must_check int sigv4_canonical(const struct sigv4_request *r, struct buf *ret,
			       struct buf *ret_signed);
/* The signing key of a day, region and service. */
void sigv4_signing_key(const struct sigv4_key *k, const char *date, uint8_t ret[32]);
/* Appends the value of the Authorization header. 0, -ENOMEM. */
must_check int sigv4_sign(const struct sigv4_key *k, const struct sigv4_request *r,
			  struct buf *ret);
