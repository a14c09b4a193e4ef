/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Takes secrets out of text that leaves the machine: values that are known to be secret, wherever
 * they stand, and what follows words such as "sig=" or "Authorization:", whatever it is.
 */
#include "base/buf.h"

#define REDACTED "[redacted]"
#define REDACT_MAX 128

struct redactor {
	char *secrets[REDACT_MAX];
	size_t n;
};
void redactor_release(struct redactor *r);
/* Shorter ones than eight bytes are no secrets: they would tear holes into every text. */
void redact_add(struct redactor *r, struct span secret);
/*
 * The values of the variables whose names speak of keys, tokens, secrets and passwords, in the form
 * of /proc/PID/environ.
 */
void redact_environment(struct redactor *r, struct span environment);
/* The lines and quoted strings of a file of credentials. Absent: nothing. */
void redact_file(struct redactor *r, const char *path);
/* Appends the text without them. 0, -ENOMEM, -EMSGSIZE. */
must_check int redact(const struct redactor *r, struct span text, struct buf *ret);
/* A configuration: no comments, and no command that prints a key. Appends. */
must_check int redact_config(struct span text, struct buf *ret);
