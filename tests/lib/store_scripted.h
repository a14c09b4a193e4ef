/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A store in memory that behaves as it is told: answers late, fails, hangs, does and does not
 * say so. Every operation runs on a task of its own, as a slow network would.
 */
#include "backends/store.h"

enum scripted_lie {
	SCRIPTED_HONEST,
	SCRIPTED_UNSAID, /* a put is done, but its outcome is told as unknown */
};
struct scripted_rule {
	uint64_t delay_ns;
	int result;          /* 0: as the content says */
	bool hangs;          /* to the deadline or until cancelled */
	bool silent;         /* failures come without an answer's head */
	enum scripted_lie lie;
	uint64_t modified_s; /* of what is read */
	unsigned times;      /* how often the rule applies; 0: always */
};
struct scripted_count {
	unsigned gets, puts, probes, cancelled;
	unsigned most_at_once;
};

/* The store is owned by whoever gets it (store_free). Ends the test program without memory. */
struct store *scripted_new(const char *name);
/* From now on; NULL: behaves. */
void scripted_get(struct store *s, const struct scripted_rule *rule);
void scripted_put(struct store *s, const struct scripted_rule *rule);
/* Both, and probes too. */
void scripted_all(struct store *s, const struct scripted_rule *rule);
void scripted_add(struct store *s, const char *name, const char *content);
bool scripted_has(struct store *s, const char *name);
struct scripted_count scripted_count(struct store *s);
