/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON Web Tokens signed with RS256 (RFC 7515, 7519). Pure. */
#include "base/buf.h"

/* Appends header.claims.signature of the two JSON texts. 0, -EINVAL (bad key), -EIO, -ENOMEM. */
must_check int jwt_sign(struct span header, struct span claims, struct span pem, struct buf *ret);
