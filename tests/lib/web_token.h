/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bearer tokens: fixed ones, JWTs, and those handed out at a token endpoint, which expire.
 */

#include "web.h"

struct web_tokens *web_tokens_new(void);
void web_tokens_free(struct web_tokens *);

/* Whether the options ask for any authentication by bearer tokens. */
bool web_tokens_wanted(const struct web *);
/* Whether this token is good now. */
bool web_token_accepts(struct web *, const char *token);
/* The OAuth token endpoint, and that of a machine's metadata server. */
void web_token_endpoint(struct web_req *);
void web_token_metadata(struct web_req *);
