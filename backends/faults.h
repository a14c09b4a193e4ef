/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a provider says went wrong, from the body of its answer. Pure. */
#include "base/span.h"

struct fault {
	char code[64];     /* "NoSuchKey", "conditionNotMet"; "" when the body tells nothing */
	char message[160]; /* for people; printable, one line */
	char region[48];   /* S3: where the bucket is */
};
/*
 * S3 and Azure: <Error><Code/><Message/>. A byte-order mark is skipped. Answers whether it is such
 * a document.
 */
bool fault_parse_xml(struct span body, struct fault *ret);
/*
 * GCS: {"error":{"errors":[{"reason":}],"message":}}; OAuth:
 * {"error":"invalid_grant","error_description":}; else plain text.
 */
bool fault_parse_json(struct span body, struct fault *ret);
