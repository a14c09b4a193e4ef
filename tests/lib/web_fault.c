/* SPDX-License-Identifier: Apache-2.0 */
#include "web_fault.h"

#include "web_text.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct rule {
	struct rule *next;
	bool any;
	enum web_op op;
	char *match;                    /* part of the key; "" matches all */
	uint64_t skip, count;           /* count 0: for ever */
	bool spent;
	double prob;
	uint64_t random;
	struct web_fault fault;
};

struct web_faults {
	struct {
		pthread_mutex_t lock;
		pthread_cond_t cleared;
		uint64_t epoch;         /* goes up with each clear */
		struct rule *rules;
	} sync;
};

static const char *const names[WEB_FAULTS] = {
	[WEB_FAULT_NONE] = "none",
	[WEB_FAULT_REFUSE] = "refuse",
	[WEB_FAULT_RESET_BEFORE] = "reset_before",
	[WEB_FAULT_RESET_AFTER] = "reset_after",
	[WEB_FAULT_STALL] = "stall",
	[WEB_FAULT_SHORT_BODY] = "short_body",
	[WEB_FAULT_WRONG_LENGTH] = "wrong_length",
	[WEB_FAULT_STATUS] = "status",
	[WEB_FAULT_ERROR_200] = "error_200",
	[WEB_FAULT_DELAY_APPLY] = "delay_apply",
	[WEB_FAULT_TWICE] = "twice",
	[WEB_FAULT_BIT_FLIP] = "bit_flip",
	[WEB_FAULT_SLOW] = "slow",
};

const char *web_fault_name(enum web_fault_kind kind)
{
	return names[kind];
}

struct web_faults *web_faults_new(void)
{
	struct web_faults *faults = web_alloc(sizeof(*faults));
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&faults->sync.cleared, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&faults->sync.lock, NULL);
	return faults;
}

static void rule_free(struct rule *rule)
{
	if (!rule)
		return;
	free(rule->match);
	free(rule);
}

static void rules_free(struct rule *rule)
{
	for (struct rule *next; rule; rule = next) {
		next = rule->next;
		rule_free(rule);
	}
}

void web_faults_free(struct web_faults *faults)
{
	if (!faults)
		return;
	rules_free(faults->sync.rules);
	pthread_cond_destroy(&faults->sync.cleared);
	pthread_mutex_destroy(&faults->sync.lock);
	free(faults);
}

/* ---- rules from JSON ---- */

static const char *rule_set_op(struct rule *rule, const char *name)
{
	rule->any = strcmp(name, "any") == 0;
	if (rule->any)
		return NULL;
	for (enum web_op op = 0; op < WEB_OPS; op++) {
		if (strcmp(name, web_op_name(op)) == 0) {
			rule->op = op;
			return NULL;
		}
	}
	return "unknown op";
}

static const char *rule_set_kind(struct rule *rule, const char *name)
{
	for (int kind = 1; kind < WEB_FAULTS; kind++) {
		if (strcmp(name, names[kind]) == 0) {
			rule->fault.kind = kind;
			return NULL;
		}
	}
	return "unknown fault";
}

/* A number member, or its default when absent. */
static const char *number(json_t *json, const char *name, int64_t otherwise, int64_t *ret)
{
	json_t *value = json_object_get(json, name);
	if (value && !json_is_integer(value))
		return "a member that must be an integer is none";
	*ret = value ? json_integer_value(value) : otherwise;
	return NULL;
}

static const char *rule_set_numbers(struct rule *rule, json_t *json)
{
	struct web_fault *fault = &rule->fault;
	int64_t skip, count, seed, status, ms, speed;
	const struct {
		const char *name;
		int64_t otherwise, *ret;
	} members[] = {
		{ "skip", 0, &skip },
		{ "count", 1, &count },
		{ "seed", 1, &seed },
		{ "status", 503, &status },
		{ "ms", 0, &ms },
		{ "bytes_per_s", 0, &speed },
		{ "bytes", -1, &fault->bytes },
		{ "delta", 7, &fault->delta },
		{ "retry_after", -1, &fault->retry_after_s },
	};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *wrong = number(json, members[i].name, members[i].otherwise,
					   members[i].ret);
		if (wrong)
			return wrong;
	}
	if (skip < 0 || count < 0 || ms < 0 || speed < 0 || status < 200 || status > 599)
		return "a number is out of range";
	rule->skip = (uint64_t)skip;
	rule->count = (uint64_t)count;
	rule->random = (uint64_t)seed;
	fault->status = (int)status;
	fault->ms = (uint64_t)ms;
	fault->bytes_per_s = (uint64_t)speed;
	return NULL;
}

static const char *check_members(json_t *json)
{
	static const char *const known[] = {
		"op", "match", "count", "skip", "prob", "seed", "fault", "status", "code",
		"retry_after", "ms", "bytes_per_s", "bytes", "delta", "apply",
	};
	const char *name;
	json_t *value;
	json_object_foreach (json, name, value) {
		bool found = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found |= strcmp(name, known[i]) == 0;
		if (!found)
			return "unknown member";
	}
	return NULL;
}

static const char *text(json_t *json, const char *name, const char *otherwise)
{
	json_t *value = json_object_get(json, name);
	return json_is_string(value) ? json_string_value(value) : otherwise;
}

static const char *rule_set(struct rule *rule, json_t *json)
{
	if (!json_is_object(json))
		return "a rule is a JSON object";
	json_t *prob = json_object_get(json, "prob");
	rule->prob = prob ? json_number_value(prob) : 1;
	rule->fault.apply = json_is_true(json_object_get(json, "apply"));
	rule->match = web_strdup(text(json, "match", ""));
	strncpy(rule->fault.code, text(json, "code", ""), sizeof(rule->fault.code) - 1);
	const char *wrong = check_members(json);
	if (!wrong)
		wrong = rule_set_op(rule, text(json, "op", "any"));
	if (!wrong)
		wrong = rule_set_kind(rule, text(json, "fault", ""));
	return wrong ? wrong : rule_set_numbers(rule, json);
}

static void rule_append(struct web_faults *faults, struct rule *rule)
{
	pthread_mutex_lock(&faults->sync.lock);
	struct rule **place = &faults->sync.rules;
	while (*place)
		place = &(*place)->next;
	*place = rule;
	pthread_mutex_unlock(&faults->sync.lock);
}

static const char *add_one(struct web_faults *faults, json_t *json)
{
	struct rule *rule = web_alloc(sizeof(*rule));
	const char *wrong = rule_set(rule, json);
	if (wrong)
		rule_free(rule);
	else
		rule_append(faults, rule);
	return wrong;
}

const char *web_faults_add(struct web_faults *faults, const char *bytes, size_t n)
{
	json_t *json = json_loadb(bytes, n, 0, NULL);
	if (!json)
		return "not JSON";
	const char *wrong = NULL;
	if (!json_is_array(json))
		wrong = add_one(faults, json);
	for (size_t i = 0; i < json_array_size(json) && !wrong; i++)
		wrong = add_one(faults, json_array_get(json, i));
	json_decref(json);
	return wrong;
}

void web_faults_clear(struct web_faults *faults)
{
	pthread_mutex_lock(&faults->sync.lock);
	struct rule *rules = faults->sync.rules;
	faults->sync.rules = NULL;
	faults->sync.epoch++;
	pthread_cond_broadcast(&faults->sync.cleared);
	pthread_mutex_unlock(&faults->sync.lock);
	rules_free(rules);
}

/* ---- picking ---- */

/* splitmix64: any seed is a good one, so that a test may say "seed": 1. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static bool rule_fires_locked(struct rule *rule, enum web_op op, const char *key)
{
	if (rule->spent || (!rule->any && rule->op != op) || !strstr(key, rule->match))
		return false;
	if (rule->skip) {
		rule->skip--;
		return false;
	}
	if (rule->prob < 1 && (double)(draw(&rule->random) >> 11) / (1ull << 53) >= rule->prob)
		return false;
	if (rule->count && --rule->count == 0)
		rule->spent = true;
	return true;
}

static void slow_add(struct web_fault *fault, const struct web_fault *slow)
{
	fault->slow_ms += slow->ms;
	if (slow->bytes_per_s &&
	    (!fault->bytes_per_s || slow->bytes_per_s < fault->bytes_per_s))
		fault->bytes_per_s = slow->bytes_per_s;
}

static void pick_locked(struct web_faults *faults, enum web_op op, const char *key,
			struct web_fault *fault)
{
	for (struct rule *rule = faults->sync.rules; rule; rule = rule->next) {
		bool slows = rule->fault.kind == WEB_FAULT_SLOW;
		/* A rule behind the deciding one is not counted down. */
		if (!slows && fault->kind != WEB_FAULT_NONE)
			continue;
		if (!rule_fires_locked(rule, op, key))
			continue;
		if (slows) {
			slow_add(fault, &rule->fault);
			continue;
		}
		struct web_fault slow = *fault;
		*fault = rule->fault;
		fault->random = draw(&rule->random);
		fault->slow_ms = slow.slow_ms;
		fault->bytes_per_s = slow.bytes_per_s;
	}
}

void web_faults_pick(struct web_faults *faults, enum web_op op, const char *key,
		     struct web_fault *ret)
{
	*ret = (struct web_fault){ .kind = WEB_FAULT_NONE };
	pthread_mutex_lock(&faults->sync.lock);
	pick_locked(faults, op, key, ret);
	ret->epoch = faults->sync.epoch;
	pthread_mutex_unlock(&faults->sync.lock);
	if (ret->kind == WEB_FAULT_NONE && (ret->slow_ms || ret->bytes_per_s))
		ret->kind = WEB_FAULT_SLOW;
}

void web_faults_wait(struct web_faults *faults, const struct web_fault *fault, uint64_t ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&faults->sync.lock);
	int err = 0;
	while (fault->epoch == faults->sync.epoch && err != ETIMEDOUT)
		err = ms ? pthread_cond_timedwait(&faults->sync.cleared, &faults->sync.lock,
						  &until)
			 : pthread_cond_wait(&faults->sync.cleared, &faults->sync.lock);
	pthread_mutex_unlock(&faults->sync.lock);
}
