/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What doctor's files share: findings, each with what to do about it. */
#include "base/json.h"
#include "fs/config.h"

enum verdict { GOOD, ADVICE, BAD };

struct doctor {
	bool json;
	struct json *results;
	enum verdict worst;
};
void tell(struct doctor *d, enum verdict v, const char *what, const char *fmt, ...)
	printf_like(4, 5);

/* doctor_machine.c: kernel, FUSE, limits, clock, certificates */
void doctor_machine(struct doctor *d);
/* doctor_network.c: is the store's host known, and is what is sent to it encrypted? */
void doctor_network(struct doctor *d, const struct config_store *s);

/*
 * doctor_policy.c: the least rights of a role at each store of a configuration, in the words of its
 * provider; on stdout. An exit status.
 */
int doctor_policy(const struct config *cfg, const char *role);
