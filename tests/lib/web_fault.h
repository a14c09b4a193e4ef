/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Faults that tests ask for: rules, tried in the order in which they came, against each request.
 * Of the rules that fire, the first decides what happens; those that only slow down add up to it.
 */

#include "web_http.h"

#include <stdbool.h>
#include <stdint.h>

enum web_fault_kind {
	WEB_FAULT_NONE,
	WEB_FAULT_REFUSE,               /* reset as soon as the head is there */
	WEB_FAULT_RESET_BEFORE,         /* reset when all is read, nothing executed */
	WEB_FAULT_RESET_AFTER,          /* executed, then reset instead of an answer */
	WEB_FAULT_STALL,                /* nothing executed, no answer, closed after ms */
	WEB_FAULT_SHORT_BODY,           /* the body ends early, Content-Length is right */
	WEB_FAULT_WRONG_LENGTH,         /* Content-Length is off by delta */
	WEB_FAULT_STATUS,               /* an error answer; executed first when apply */
	WEB_FAULT_ERROR_200,            /* status 200 with the body of an error */
	WEB_FAULT_DELAY_APPLY,          /* executed after ms, whether or not the client waits */
	WEB_FAULT_TWICE,                /* executed twice, the second result is answered */
	WEB_FAULT_BIT_FLIP,             /* one bit of the body is wrong */
	WEB_FAULT_SLOW,                 /* waits ms before the answer and limits the speed */
	WEB_FAULTS,
};

struct web_fault {
	enum web_fault_kind kind;
	int status;
	char code[64];                  /* "" for the dialect's own */
	int64_t retry_after_s;          /* -1: none */
	uint64_t ms;
	int64_t bytes;                  /* short_body: so many are sent; -1: half */
	int64_t delta;
	bool apply;
	uint64_t random;
	uint64_t slow_ms, bytes_per_s;  /* of all slow rules that fired */
	uint64_t epoch;                 /* when it was picked: the number of clears before */
};

struct web_faults;

struct web_faults *web_faults_new(void);
void web_faults_free(struct web_faults *);
const char *web_fault_name(enum web_fault_kind);

/* Adds a rule, or each of an array, in JSON. NULL, or what is wrong with it. */
const char *web_faults_add(struct web_faults *, const char *json, size_t n);
/* Forgets all rules and ends all waits. */
void web_faults_clear(struct web_faults *);
/* Which fault this request gets; counts the rules down. */
void web_faults_pick(struct web_faults *, enum web_op, const char *key, struct web_fault *ret);
/*
 * Sleeps ms, or for ever when 0, yet no longer than until the rules are cleared; not at all when
 * they were since the fault was picked.
 */
void web_faults_wait(struct web_faults *, const struct web_fault *, uint64_t ms);
