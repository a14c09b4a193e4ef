/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between the two halves of the AWS chain: what is on this machine, and what is asked over the
 * network.
 */
#include "backends/creds.h"

struct aws {
	char *file, *profile, *region, *ca_file; /* or NULL */
};
/* Where an answer of a chain's link goes. */
struct aws_answer {
	struct creds_value *value;
	char *err;
	size_t err_size;
};
#define AWS_NEXT 2 /* this link has nothing: ask the next */

/* What a role needs; strings borrowed, or NULL. */
struct aws_role {
	const char *arn, *session_name, *external_id, *duration_s;
	const char *token_file; /* web identity: no signature */
};
/* Each: 0, AWS_NEXT, -EACCES or -EAGAIN with a sentence, -ENOMEM. */
must_check int aws_assume_role(struct creds *c, const struct aws *a, const struct aws_role *role,
			       const struct creds_value *signer, struct aws_answer *ret);
must_check int aws_from_container(struct creds *c, struct aws_answer *ret);
must_check int aws_from_instance(struct creds *c, struct aws_answer *ret);
/* {"AccessKeyId","SecretAccessKey","Token" or "SessionToken","Expiration"} */
must_check int aws_parse_json(struct span text, struct aws_answer *ret);
int aws_answer_error(struct aws_answer *a, int error, const char *fmt, ...) printf_like(3, 4);
