/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Azure's Shared Key signature and its shared access signatures. Pure. */
#include "backends/pairs.h"

struct sharedkey_request {
	const char *account;
	const char *method;
	/* escaped, as sent; in path style the account is its first part */
	const char *path;
	const struct pairs *query;   /* raw names and values */
	const struct pairs *headers; /* as sent */
	uint64_t body_len;
};
/* Appends the text that is signed. */
must_check int sharedkey_text(const struct sharedkey_request *r, struct buf *ret);
/*
 * Appends the value of the Authorization header. key_base64 as the portal shows it. 0, -EINVAL (no
 * base64), -ENOMEM.
 */
must_check int sharedkey_sign(const char *key_base64, const struct sharedkey_request *r,
			      struct buf *ret);
/*
 * Appends a shared access signature by which one blob can be read until then: path is
 * "/container/name", as it is. 0, -EINVAL, -ENOMEM.
 */
must_check int sharedkey_read_access(const char *key_base64, const char *account, const char *path,
				     uint64_t until_s, struct buf *ret);
/*
 * Appends base64(HMAC-SHA256(key, text)): the sig= of a shared access signature, too. 0, -EINVAL,
 * -ENOMEM.
 */
must_check int sharedkey_hmac(const char *key_base64, struct span text, struct buf *ret);
